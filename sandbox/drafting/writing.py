"""Write the submission that a draft is so far: the same files that somebody would write by hand, and the same zip.

Nothing of an uploaded file is looked at here: only what was filled in becomes text, and files pass through as bytes.
"""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from checks.declaration import ColumnRole, Declaration, Role, Route, Size
from sandbox.drafting import optional
from sandbox.errors import Problem, Refused
from sandbox.records import parts
from sandbox.records.drafts import SECTIONS, Whole
from sandbox.records.uploads import FIXED_TIME
from sandbox.sealing_limits import FILE as SEALS
from sandbox.sealing_limits import Seal, to_file
from sandbox.settings import Settings

MANIFEST: Final = "submission.yaml"
ANSWERS: Final = "answers.yaml"
DATASHEET: Final = "datasheet.yaml"
INPUTS: Final = "inputs.yaml"
POPULATION: Final = "population.csv"
PUBLICATION: Final = "publication.yaml"
DATASHEET_FIELDS: Final = (*optional.SHEET, "personal_data", "lawful_basis")
TERMS_VERSION: Final = "2026-11"
"""Version of the processing terms that are shown; a change of them is a new version, which must be accepted anew."""

_PLAIN: Final = ("name", "version", "intended_purpose", "description", "licence", "languages")
_OF_PROVIDER: Final = ("name", "contact", "country", "size")
_SECTION_OF: Final = (
    ("answers", "questionnaire"),
    ("datasheet", "terms"),
    ("data.datasheet", "terms"),
    ("limits", "limits"),
    ("claims", "limits"),
    ("publication", "publication"),
    ("model.file", "files"),
    ("model.requirements", "files"),
    ("data.delimiter", "files"),
    ("data.missing", "files"),
    ("data.file", "files"),
    ("data.training", "files"),
    ("predictions.file", "files"),
    ("counts", "files"),
    ("documents", "files"),
    ("model", "columns"),
    ("predictions", "columns"),
    ("inputs", "columns"),
    ("data", "columns"),
    ("system", "system"),
)
"""The section in which a field is filled in, by the first that fits."""


def needed(whole: Whole) -> tuple[str, ...]:
    """List the sections that must be confirmed.

    Documents alone have no columns and no limits; only a public body is asked what a register asks.
    """
    left_out = set() if optional.is_public_body(whole) else {"publication"}
    if whole.section("system").get("route") == Route.DOCUMENTS:
        left_out |= {"columns", "limits"}
    return tuple(s for s in SECTIONS if s not in left_out)


def section_of(field: str) -> str:
    """Tell in which section a field is filled in; empty for the submission as a whole."""
    for start, section in _SECTION_OF:
        if field == start or field.startswith(f"{start}."):
            return section
    return ""


def organisation(whole: Whole) -> dict[str, Any]:
    """Give who the organisation is, as the questionnaire takes it; what is wrong so far counts as not said."""
    given = whole.section("system")
    made: dict[str, Any] = {
        "roles": [role for role in given.get("roles") or () if role in set(Role)] or [Role.PROVIDER.value],
        "public_body": "yes" if given.get("public_body") == "yes" else "no",
    }
    if given.get("provider_size") in set(Size):
        made["size"] = given["provider_size"]
    if re.fullmatch("[A-Z]{2}", given.get("provider_country") or ""):
        made["country"] = given["provider_country"]
    return made


def manifest(whole: Whole) -> dict[str, Any]:
    """Give the content of `submission.yaml` as far as it is filled in."""
    given = whole.section("system")
    provider = {n: given[f"provider_{n}"] for n in _OF_PROVIDER if given.get(f"provider_{n}")}
    system = {n: given[n] for n in _PLAIN if given.get(n)}
    system |= {
        "provider": provider,
        "roles": list(given.get("roles") or ["provider"]),
        "public_body": given.get("public_body") == "yes",
    }
    made: dict[str, Any] = {"format": 1, "system": system}
    route = given.get("route")
    if route in (Route.MODEL, Route.PREDICTIONS, Route.COUNTS):
        made |= _measured(whole, str(route))
    if whole.section("questionnaire").get("answers"):
        made["answers"] = ANSWERS
    documents = [file.path for file in whole.files if file.kind == "document" and file.digest]
    if documents:
        made["documents"] = documents
    limits = {row["code"]: {k: v for k, v in row.items() if k != "code"} for row in _rows(whole)}
    if limits:
        made["limits"] = limits
    claims = _present(whole.section("limits").get("claims") or {})
    if claims and "data" in made:
        made["claims"] = claims
    if optional.publication(whole):
        made["publication"] = PUBLICATION
    return made


def _rows(whole: Whole) -> list[dict[str, Any]]:
    rows = whole.section("limits").get("rows")
    return list(rows) if isinstance(rows, list) else []


def _measured(whole: Whole, route: str) -> dict[str, Any]:
    """Give the parts on model, predictions or counts, and on data."""
    given = whole.section("columns")
    made: dict[str, Any] = {}
    if route == Route.MODEL:
        model = {"output": given.get("output"), "score_of": given.get("score_of")}
        model["file"] = _path(whole, "model")
        model["requirements"] = _path(whole, "requirements")
        model["inputs"] = INPUTS if optional.inputs(given) else None
        model["training"] = _present({name: given.get(f"trained_{name}") for name in optional.TRAINING})
        if given.get("allow_code"):
            model["allow_code"] = True
        made["model"] = _present(model)
    elif route == Route.PREDICTIONS:
        named = {n: given.get(n) for n in ("decision", "score", "score_of")}
        made["predictions"] = _present({"file": _path(whole, "predictions"), **named})
    else:
        made["counts"] = _present({"file": _path(whole, "counts")})
    data: dict[str, Any] = {n: given.get(n) for n in ("task", "favourable", "threshold", "sampling")}
    data["file"] = _path(whole, "data") if route != Route.COUNTS else None
    data["training"] = _path(whole, "training") if route != Route.COUNTS else None
    data["population"] = POPULATION if optional.population(whole) else None
    data |= {name: whole.section("files").get(name) for name in ("delimiter", "missing")}
    data["classes"] = given.get("classes")
    data["columns"] = {"default": "ignore" if route == Route.COUNTS else "feature", **_roles(given)}
    data["bands"] = given.get("bands")
    data["datasheet"] = DATASHEET if _datasheet(whole) else None
    made["data"] = _present(data)
    return made


def _roles(given: Mapping[str, Any]) -> dict[str, str]:
    roles = given.get("roles")
    return {n: r for n, r in roles.items() if r != ColumnRole.FEATURE} if isinstance(roles, dict) else {}


def _present(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if value not in (None, "", [], {})}


def _path(whole: Whole, kind: str) -> str | None:
    found = whole.of_kind(kind)
    return None if found is None else found.path


def _datasheet(whole: Whole) -> dict[str, Any]:
    given = whole.section("terms")
    made = {name: given[name] for name in DATASHEET_FIELDS if given.get(name)}
    ground = given.get("special_ground")
    if ground and "lawful_basis" in made:
        made["lawful_basis"] = f"{made['lawful_basis']}; {ground}"
    of_training = {name: given[key] for name in optional.SHEET if given.get(key := optional.OF_TRAINING + name)}
    if of_training:
        made["training"] = of_training
    return made


def texts(whole: Whole) -> dict[str, bytes]:
    """Write the texts of the submission by path; files that were uploaded stand beside them."""
    made = {MANIFEST: _yaml(manifest(whole))}
    answers = whole.section("questionnaire").get("answers")
    if answers:
        made[ANSWERS] = _yaml(answers)
    datasheet = _datasheet(whole)
    if datasheet:
        made[DATASHEET] = _yaml(datasheet)
    route, columns = whole.section("system").get("route"), whole.section("columns")
    if route == Route.MODEL and optional.inputs(columns):
        made[INPUTS] = _yaml(optional.inputs(columns))
    if route in (Route.MODEL, Route.PREDICTIONS, Route.COUNTS) and optional.population(whole):
        made[POPULATION] = optional.population(whole)
    if optional.publication(whole):
        made[PUBLICATION] = _yaml(optional.publication(whole))
    seals = seals_of(whole)
    if seals:
        made[SEALS] = to_file(seals)
    return made


def _yaml(content: Mapping[str, Any]) -> bytes:
    return yaml.dump(dict(content), Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True, width=110).encode()


class _WithoutAliases(yaml.SafeDumper):
    """Writes what stands in two places twice: a submission may hold no alias."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the library's signature
        return True


def seals_of(whole: Whole) -> tuple[Seal, ...]:
    """Give the seals of limits that this draft has had, the oldest first."""
    return tuple(Seal.model_validate(seal) for seal in whole.section("limits").get("seals") or ())


def problems(whole: Whole) -> tuple[Problem, ...]:
    """Find what is wrong with what was filled in, also by the command's own validation of a declaration.

    What only shows once the files are opened is found by a worker; see `sandbox.drafting.jobs`.
    """
    # The reader of declarations is handed nothing but the texts that were just written here.
    from sandbox.intake.declaring import declare

    written, typed = texts(whole), tuple(optional.problems(whole))
    with tempfile.TemporaryDirectory(prefix="declaration-") as name:
        folder = Path(name)
        for path, content in written.items():
            (folder / path).write_bytes(content)
        here = dict.fromkeys((*written, *(file.path for file in whole.files if file.digest)), "")
        try:
            declare(folder, here)
        except Refused as refused:
            return (*typed, *refused.problems)
    return typed


def _entry(path: str, size: int = 0) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, FIXED_TIME)
    entry.file_size = size
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    return entry


def stream_zip(whole: Whole, settings: Settings) -> Iterator[bytes]:
    """Give the submission as a zip piece by piece: stored as it is, with fixed times, in constant memory.

    Raises:
        FileNotFoundError: a file was erased meanwhile.
        sandbox.records.uploads.Damaged: a file was changed on disk.
    """
    out = _Pieces()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, content in sorted(texts(whole).items()):
            archive.writestr(_entry(path), content)
        yield out.take()
        for file in whole.files:
            if file.digest:
                with archive.open(_entry(file.path, file.size), "w") as sink:
                    for piece in parts.read(settings, file.id, file.size):
                        sink.write(piece)
                        yield out.take()
    yield out.take()


class _Pieces(io.RawIOBase):
    """Keeps what was written since it was last taken."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, piece: object, /) -> int:
        raw = memoryview(piece).cast("B")  # type: ignore[arg-type]  # any buffer
        self._waiting += raw
        return len(raw)

    def take(self) -> bytes:
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken


def from_declaration(stated: Declaration) -> dict[str, Any]:
    """Fill in the start of a new version from what was stated of the last one; files and terms are given anew."""
    system, data = stated.system, stated.data
    filled: dict[str, Any] = {
        "name": system.name,
        "intended_purpose": system.intended_purpose,
        "description": system.description or "",
        "licence": system.licence or "",
        "languages": list(system.languages),
        "roles": [role.value for role in system.roles],
        "public_body": "yes" if system.public_body else "no",
        "route": stated.route.value,
    }
    filled |= {f"provider_{n}": str(v) for n in _OF_PROVIDER if (v := getattr(system.provider, n)) is not None}
    made: dict[str, Any] = {"system": filled}
    typed, further, publication = optional.from_declaration(stated)
    if publication:
        made["publication"] = publication
    if stated.answers:
        answers = {q: a if isinstance(a, str) else list(a) for q, a in stated.answers.items()}
        made["questionnaire"] = {"answers": answers}
    if data is not None:
        columns: dict[str, Any] = {
            "task": data.task.value,
            "classes": list(data.classes),
            "favourable": data.favourable or "",
            "threshold": "" if data.threshold is None else f"{data.threshold:g}",
            "sampling": data.sampling.value,
            "roles": {name: role.value for name, role in data.columns.items()},
            "bands": {name: list(bounds) for name, bounds in data.bands.items()},
        }
        if stated.model is not None:
            columns |= {"output": stated.model.output.value, "allow_code": stated.model.allow_code}
        if stated.predictions is not None:
            columns |= {n: getattr(stated.predictions, n) or "" for n in ("decision", "score")}
        columns["score_of"] = stated.score_of or ""
        made["columns"] = columns | typed
        usual = data.missing == type(data).model_fields["missing"].default
        made["files"] = _present({"delimiter": data.delimiter, "missing": [] if usual else list(data.missing)})
    if stated.limits:
        rows = [
            {"code": code, **{k: v for k, v in limit.model_dump(mode="json").items() if v is not None}}
            for code, limit in stated.limits.items()
        ]
        further["rows"] = rows
    if further:
        made["limits"] = further
    return made
