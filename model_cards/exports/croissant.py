"""The evaluation data as a Croissant file: what the set is, where it comes from, its columns; never its rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from checks.declaration import ColumnRole, ColumnType, Declaration, Task
from model_cards.dossier import Assessment, Dossier
from model_cards.drafting import as_text, material_of, sentences, statement
from model_cards.material import Material
from model_cards.words import visible
from model_cards.writing import as_json, stated

FORMAT = "croissant"
SUFFIX = ".croissant.json"
STANDARD = "Croissant 1.0 (MLCommons) with its Responsible AI extension 1.0"

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The terms of the standard, by their full names."""

RAI = {
    "rai:dataCollection": ("origin", "collection"),
    "rai:dataCollectionTimeframe": ("period",),
    "rai:dataUseCases": ("purpose",),
    "rai:dataPreprocessingProtocol": ("cleaning",),
    "rai:personalSensitiveInformation": ("personal_data", "lawful_basis"),
    "rai:dataReleaseMaintenancePlan": ("maintenance",),
}
"""Terms of the extension by the fields of the data sheet that answer them."""

_TYPES = {
    ColumnType.NUMBER: "sc:Float",
    ColumnType.BOOLEAN: "sc:Boolean",
    ColumnType.CATEGORY: "sc:Text",
    ColumnType.TEXT: "sc:Text",
}


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the file.

    Args:
        lang: of `model_cards.words.languages()`.

    Returns:
        UTF-8 JSON-LD; without data it describes an empty set and says so. The same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    words, dossier = material.words, material.dossier
    declaration = dossier.declaration
    sheet = declaration.datasheet
    file = evaluation_file(declaration)
    name = words("exports.croissant.name", system=declaration.system.name, version=declaration.system.version)
    population = as_text(sheet.get("population"))
    # A file is described by its digest. One that is not known, or not public, cannot be pointed to, nor can its columns
    # then be fields, for the standard asks where each is read from: they are named in the description.
    digest = dossier.submission.files.get(file or "", "")
    pointed_to = re.fullmatch(r"[0-9a-f]{64}", digest) is not None
    columns = _columns(dossier) if file else []
    named = "; ".join(f"{visible(column)}: {_column(material, column)}" for column in columns)
    parts = [
        words("exports.croissant.description" if file else "exports.croissant.no_data", system=declaration.system.name),
        words("exports.croissant.population", population=population) if population else "",
        words("exports.croissant.columns", columns=named) if named and not pointed_to else "",
        words("exports.draft.is_a_draft"),
        statement(material),
        *material.attestation(),
    ]
    document: dict[str, Any] = {
        "@context": {**CONTEXT, "@language": lang},
        "@type": "sc:Dataset",
        "name": name,
        "description": " ".join(part for part in parts if part),
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "version": "1.0.0",
        "license": as_text(sheet.get("licence") or sheet.get("license")) or words("outcomes.words.not_stated"),
        "creator": {"@type": "sc:Organization", "name": declaration.system.provider.name},
        # Croissant asks for a date and an address: that of the law applied, and the dossier by its digest.
        "datePublished": dossier.risk.as_of.isoformat(),
        "url": f"urn:sha256:{dossier.digest}",
        "citeAs": name,
        "rai:dataLimitations": _limitations(material),
        **{term: " ".join(as_text(sheet.get(key)) for key in keys).strip() for term, keys in RAI.items()},
    }
    if file and pointed_to:
        document["distribution"] = [_file(material, file, digest)]
        document["recordSet"] = [_records(material, columns)]
    return as_json(stated(document))


def evaluation_file(declaration: Declaration) -> str | None:
    """Name the file that holds what was evaluated: rows, predictions or counts; None without one."""
    if declaration.data is not None and declaration.data.file:
        return declaration.data.file
    named = declaration.predictions or declaration.counts
    return named.file if named is not None else None


def _limitations(material: Material) -> list[str]:
    sheet = material.dossier.declaration.datasheet
    gaps = as_text(sheet.get("known_gaps") or sheet.get("gaps"))
    return [text for text in (gaps, *sentences(material, "data_governance")) if text]


def _file(material: Material, file: str, digest: str) -> dict[str, Any]:
    media = "application/x-parquet" if file.lower().endswith(".parquet") else "text/csv"
    return {
        "@type": "cr:FileObject",
        "@id": "evaluation-data",
        "name": file,
        "description": material.words("exports.croissant.file"),
        "contentUrl": file,
        "encodingFormat": media,
        "sha256": digest,
    }


def _columns(dossier: Dossier) -> list[str]:
    """Name the columns of the data, those that were read first."""
    data = dossier.declaration.data
    assert data is not None
    declared = [name for name, role in data.columns.items() if role is not ColumnRole.IGNORE]
    if dossier.declaration.counts is not None:
        declared = [*data.attributes, "label", "decision", "rows"]
    return list(dict.fromkeys([*dossier.submission.columns, *declared]))


def _records(material: Material, columns: Sequence[str]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "rows",
        "name": "rows",
        "description": material.words("exports.croissant.rows"),
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"rows/column-{i}",
                "name": visible(column),
                "description": _column(material, column),
                "dataType": _type(material.dossier.declaration, column),
                "source": {"fileObject": {"@id": "evaluation-data"}, "extract": {"column": column}},
            }
            for i, column in enumerate(columns, 1)
        ],
    }


def _column(material: Material, column: str) -> str:
    declaration = material.dossier.declaration
    assert declaration.data is not None
    if declaration.counts is not None:
        role = "group" if column in declaration.data.attributes else "count"
    else:
        role = declaration.data.role(column).value.replace("+", "_")
    return material.words(f"exports.croissant.roles.{role}")


def _type(declaration: Declaration, column: str) -> str:
    stated_type = declaration.inputs.types.get(column)
    if stated_type is not None:
        return _TYPES[stated_type]
    assert declaration.data is not None
    is_label = declaration.data.role(column) is ColumnRole.LABEL
    if declaration.counts is not None and column == "rows":
        return "sc:Integer"
    if declaration.data.role(column) is ColumnRole.WEIGHT or (is_label and declaration.data.task is Task.REGRESSION):
        return "sc:Float"
    return "sc:Text"
