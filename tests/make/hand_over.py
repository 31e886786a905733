"""Make the whole set of documents of a dossier, and hold each to its standard by that standard's own means."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from model_cards.exports import exports
from sandbox.exporting import export
from sandbox.publishing import publish_to
from sandbox.settings import Settings
from tests.make import pages

ROOT = Path(__file__).resolve().parents[2]
SARIF = ROOT / "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"


def whole_set(dossier: Path, folder: Path, settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Give every export in both languages: of the dossier itself, then of its public package.

    Yields:
        `format/language/whole` or `.../public`, and the document.
    """
    package = publish_to(dossier, folder / "public", settings)
    for source, which in ((dossier, "whole"), (package, "public")):
        for name, module in exports().items():
            for lang in ("en", "nl"):
                out = folder / f"{which}.{name}.{lang}{module.SUFFIX}"
                yield f"{name}/{lang}/{which}", export(source, name, lang=lang, out=out).read_bytes()


def faults(name: str, content: bytes) -> list[str]:
    """Say what is wrong with a document by its standard's schema or library; an empty list where nothing is."""
    return _HOLD[name](content)


def _page(content: bytes) -> list[str]:
    page = pages.read(content)
    missing = [link for link in page.links if link.startswith("#") and link[1:] not in page.ids]
    return [*page.problems, *(f"leads nowhere: {link}" for link in missing)]


def _front_matter(content: bytes) -> list[str]:
    from huggingface_hub import ModelCard
    from huggingface_hub.repocard_data import eval_results_to_model_index

    card = ModelCard(content.decode())
    results = card.data.eval_results
    if results:
        eval_results_to_model_index(str(card.data.model_name), results)
    return [] if card.data.language else ["no language"]


def _pdf(content: bytes) -> list[str]:
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(content))
    root: Any = reader.trailer["/Root"]
    metadata = root["/Metadata"].get_object().get_data().decode()
    asked = {
        "PDF/A": "<pdfaid:part>2</pdfaid:part>" in metadata,
        "PDF/UA": "<pdfuaid:part>1</pdfuaid:part>" in metadata,
        "tags": bool(root["/MarkInfo"]["/Marked"]) and "/StructTreeRoot" in root,
        "language": root["/Lang"] in ("en", "nl"),
        "outline": len(reader.outline) > 3,
    }
    return [what for what, held in asked.items() if not held]


def _cyclonedx(content: bytes) -> list[str]:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode())
    return [] if wrong is None else [str(wrong)]


@cache
def _validator(path: Path) -> Any:
    from jsonschema.validators import validator_for

    schema = json.loads(path.read_text(encoding="utf-8"))
    return validator_for(schema)(schema)


def _by_schema(path: Path, given: Any) -> list[str]:
    return [f"{list(e.path)}: {e.message[:200]}" for e in _validator(path).iter_errors(given)]


def _sarif(content: bytes) -> list[str]:
    log = json.loads(content)
    # Where npm did not bring the schema, `test_build_systems` says that it was skipped.
    return _by_schema(SARIF, log) if SARIF.is_file() else []


def _junit(content: bytes) -> list[str]:
    from lxml import etree

    schema = etree.XMLSchema(etree.parse(ROOT / "tests/model_cards/exports/junit.xsd"))
    schema.validate(etree.fromstring(content))
    return [str(fault) for fault in schema.error_log]


def _register(content: bytes) -> list[str]:
    from model_cards.exports import algorithm_register

    document = json.loads(content)
    known = {field.key: field for field in algorithm_register.FIELDS}
    wrong = [f"{key} is no field" for key in document["entry"] if key not in known]
    for key, value in document["entry"].items():
        most = known[key].most
        if isinstance(value, str) and most and len(value) > most:
            wrong.append(f"{key} is too long")
        if known[key].kind == "choice" and value not in known[key].choices:
            wrong.append(f"{key} is none of the choices")
    return wrong


def _croissant(content: bytes) -> list[str]:
    import mlcroissant

    return [str(e) for e in mlcroissant.Dataset(jsonld=json.loads(content)).metadata.ctx.issues.errors]


def _figures(content: bytes) -> list[str]:
    import pyarrow.parquet as pq

    wrong = []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in (n for n in archive.namelist() if n.endswith(".csv")):
            rows = list(csv.reader(io.StringIO(archive.read(name).decode())))
            table = pq.read_table(io.BytesIO(archive.read(f"{name.removesuffix('.csv')}.parquet")))
            if len(rows) - 1 != table.num_rows or len(rows[0]) != table.num_columns:
                wrong.append(f"{name} and its Parquet differ")
    return wrong


_HOLD: dict[str, Callable[[bytes], list[str]]] = {
    "algorithm_register": _register,
    "algorithm_register_preview": _page,
    "annex_iv_pack": _page,
    "annex_viii": _page,
    "croissant": _croissant,
    "cyclonedx": _cyclonedx,
    "figures": _figures,
    "fria": _page,
    "html": _page,
    "hugging_face": _front_matter,
    "junit": _junit,
    "markdown": _front_matter,
    "pdf": _pdf,
    "sarif": _sarif,
    "system_card": lambda content: _by_schema(ROOT / "docs/reference/system_card.schema.json", yaml.safe_load(content)),
    "test_report": _page,
}
