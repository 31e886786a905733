"""Our reading of Croissant files is held to the library of the standard."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from checks.documentation.datasheet import FIELDS as OF_A_SHEET
from sandbox.errors import Refused
from sandbox.intake import croissant
from sandbox.intake.strict_yaml import read_yaml
from tests.make import submissions

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "recordSet": "cr:recordSet",
    "sc": "https://schema.org/",
    "source": "cr:source",
}
BY_LANGUAGE = {**CONTEXT, "name": {"@container": "@language"}, "description": {"@container": "@language"}}
MINIMAL = {
    "@context": CONTEXT,
    "@type": "sc:Dataset",
    "conformsTo": "http://mlcommons.org/croissant/1.0",
    "name": "loans",
    "description": "Loans of one year. 😀",
}
FULL = {
    **MINIMAL,
    "license": ["CC-BY-4.0", "https://example.org/terms"],
    "conditionsOfAccess": "on request",
    "url": "https://example.org/loans",
    "version": "1.0.0",
    "datePublished": "2025-01-31",
    "creator": {"@type": "sc:Organization", "name": "Example BV"},
    "publisher": [{"@type": "sc:Person", "name": "A. Jansen"}],
    "temporalCoverage": "2024",
    "spatialCoverage": "Netherlands",
    "distribution": [
        {
            "@type": "cr:FileObject",
            "@id": "loans.csv",
            "name": "loans.csv",
            "contentUrl": "loans.csv",
            "encodingFormat": "text/csv",
            "sha256": "ab" * 32,
        }
    ],
    "recordSet": [
        {
            "@type": "cr:RecordSet",
            "@id": "rows",
            "field": [
                {
                    "@type": "cr:Field",
                    "@id": "rows/age",
                    "dataType": "sc:Integer",
                    "source": {"fileObject": {"@id": "loans.csv"}, "extract": {"column": "age"}},
                }
            ],
        }
    ],
}
RAI = {
    **FULL,
    "rai:dataCollection": "Taken from the ledger.",
    "rai:dataCollectionType": ["Secondary data", "Existing data set"],
    "rai:dataCollectionRawData": "Entries of the ledger.",
    "rai:dataCollectionTimeframe": ["2024-01-01", "2024-12-31"],
    "rai:dataCollectionMissingData": "Income of 3 % is missing.",
    "rai:dataUseCases": ["Testing", "Validation"],
    "rai:dataLimitations": "No self-employed.",
    "rai:dataBiases": ["Few young people", "Few people in the north"],
    "rai:personalSensitiveInformation": ["Gender", "Income"],
    "rai:dataPreprocessingProtocol": ["Duplicates removed", "Amounts in euro"],
    "rai:dataManipulationProtocol": "None.",
    "rai:dataImputationProtocol": "Median.",
    "rai:dataAnnotationProtocol": ["Two readers"],
}
OTHER_PREFIX = {**{k: v for k, v in CONTEXT.items() if k != "rai"}, "r": "http://mlcommons.org/croissant/RAI/"}
READ: dict[str, dict[str, Any]] = {
    "minimal": MINIMAL,
    "full": FULL,
    "with responsible AI": RAI,
    "version 1.1": {**RAI, "@context": BY_LANGUAGE, "conformsTo": "http://mlcommons.org/croissant/1.1"},
    "version 1.1 in two languages": {
        **MINIMAL,
        "@context": BY_LANGUAGE,
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "description": {"en": "Loans of one year.", "nl": "Leningen van een jaar."},
    },
    "no version named": {k: v for k, v in RAI.items() if k not in ("conformsTo", "distribution", "recordSet")},
    "licence under its prefix": {**{k: v for k, v in FULL.items() if k != "license"}, "sc:license": ["MIT", "CC0-1.0"]},
    "licence as a work": {**FULL, "license": {"@type": "sc:CreativeWork", "name": "CC BY", "url": "https://cc.org"}},
    "another prefix": {**FULL, "@context": OTHER_PREFIX, "r:dataBiases": "Few young people"},
    "a whole address": {**FULL, "http://mlcommons.org/croissant/RAI/dataBiases": "Few young people"},
    "a term of its own": {**FULL, "@context": {**CONTEXT, "bias": "rai:dataBiases"}, "bias": "Few young people"},
    "in a graph": {"@context": CONTEXT, "@graph": [{k: v for k, v in RAI.items() if k != "@context"}]},
    "a creator who stands elsewhere in a graph": {
        "@context": CONTEXT,
        "@graph": [
            {"@type": "sc:Organization", "@id": "office", "name": "Office of the north"},
            {**{k: v for k, v in FULL.items() if k != "@context"}, "creator": {"@id": "office"}},
        ],
    },
    "values in a set": {**FULL, "rai:dataBiases": {"@set": ["Few young people", "Few people in the north"]}},
    "a period in words": {**MINIMAL, "rai:dataCollectionTimeframe": "the year 2024"},
    "a creator who is named alone": {**MINIMAL, "creator": [{"@type": "sc:Person", "name": "A"}]},
}
REFUSED: dict[str, Any] = {
    "no data set": {k: v for k, v in FULL.items() if k != "@type"},
    "something else": {**FULL, "@type": "sc:Person"},
    "terms at an address": {**FULL, "@context": "https://schema.org/"},
    "terms at several addresses": {**FULL, "@context": [CONTEXT, "https://schema.org/"]},
    "terms that import others": {**FULL, "@context": {**CONTEXT, "@import": "https://example.org/c.jsonld"}},
    "terms of a part at an address": {
        **FULL,
        "creator": {"@context": "https://example.org/c.jsonld", "@type": "sc:Organization", "name": "A"},
    },
}


def read(document: dict[str, Any]) -> dict[str, str]:
    return croissant.sheet(read_yaml(json.dumps(document).encode(), "sheet.json").content, "sheet.json")


def as_the_library_reads(document: dict[str, Any]) -> dict[str, str]:
    """Read by the library, which writes every term in its usual form; then only put each term to its field."""
    import mlcroissant

    metadata = mlcroissant.Dataset(jsonld=json.loads(json.dumps(document))).metadata
    said = {k: v for k, v in metadata.to_json().items() if k != "@context"}
    prefixes = {k: v for k, v in document["@context"].items() if isinstance(v, str)}

    def whole(term: str) -> str:
        term = prefixes.get(term, term)
        prefix, colon, rest = term.partition(":")
        return f"{prefixes[prefix]}{rest}" if colon else f"{croissant.SCHEMA}{term}"

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return str(value["name"]) if "name" in value else ", ".join(map(str, value.values()))
        return ", ".join(map(text, value)) if isinstance(value, list) else str(value)

    by_term = {whole(term): text(value) for term, value in said.items() if not term.startswith("@") and value}
    made = {}
    for field, groups in croissant.FIELDS.items():
        found = [[by_term[t] for t in group if t in by_term] for group in groups]
        if parts := next(filter(None, found), None):
            made[field] = "; ".join(parts)
    return made


@pytest.mark.parametrize("document", READ.values(), ids=READ)
def test_what_is_read_of_a_croissant_file_is_what_the_library_of_the_standard_reads(document: dict[str, Any]) -> None:
    ours = read(document)
    assert ours == as_the_library_reads(document)
    assert ours
    assert set(ours) <= set(OF_A_SHEET) - {"lawful_basis"}


def test_each_field_is_filled_from_a_file_that_says_everything() -> None:
    assert set(read(RAI)) == set(OF_A_SHEET) - {"lawful_basis"}
    assert read(RAI)["known_gaps"] == (
        "No self-employed.; Few young people, Few people in the north; Income of 3 % is missing."
    )
    assert read(RAI)["licence"] == "CC-BY-4.0, https://example.org/terms; on request"
    assert read(MINIMAL) == {"purpose": "Loans of one year. 😀"}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
def test_a_file_that_the_library_cannot_read_is_refused(document: Any) -> None:
    import mlcroissant

    # No socket can be opened in a test: where the library would fetch, it fails, and we never try.
    with pytest.raises(Exception):  # noqa: B017, PT011 - the library raises what it comes across
        mlcroissant.Dataset(jsonld=json.loads(json.dumps(document))).metadata.to_json()
    with pytest.raises(Refused) as refused:
        read(document)
    (problem,) = refused.value.problems
    assert problem.code in ("croissant.context", "croissant.no_dataset")
    assert "sheet.json" in problem.message


def test_a_part_that_is_pointed_at_many_times_cannot_be_written_out_until_the_memory_is_full() -> None:
    large = {"@type": "sc:Organization", "@id": "o", "name": "x" * 400_000}
    pointing = {"@type": "sc:Dataset", "creator": [{"@id": "o"}] * 20_000}
    assert len(read({"@context": CONTEXT, "@graph": [large, pointing]})["origin"]) < 100_000
    itself = {"@type": "sc:Dataset", "@id": "o", "creator": {"@id": "o"}, "description": "Loans."}
    assert read({"@context": CONTEXT, "@graph": [itself]})["origin"] == "o"


def test_the_kinds_of_values_are_not_judged_what_is_said_is_shown() -> None:
    assert read({**FULL, "creator": ["A. Jansen", "B. de Vries"]})["origin"] == "A. Jansen, B. de Vries; A. Jansen"
    assert read({**FULL, "rai:dataBiases": 3})["known_gaps"] == "3"


def test_files_and_records_are_not_looked_at_and_the_reference_says_so() -> None:
    import mlcroissant

    field = {
        "@type": "cr:Field",
        "@id": "rows/age",
        "dataType": "sc:Integer",
        "source": {"fileObject": {"@id": "gone"}},
    }
    broken = {**FULL, "recordSet": [{"@type": "cr:RecordSet", "@id": "rows", "field": [field]}]}
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=json.loads(json.dumps(broken)))
    assert read(broken) == read(FULL)
    reference = Path(__file__).parents[3] / "docs" / "reference" / "submission.md"
    assert "its files and records are not looked at" in reference.read_text(encoding="utf-8")


def test_terms_that_name_each_other_without_end_are_read_as_they_stand() -> None:
    assert read({**MINIMAL, "@context": {**CONTEXT, "a": "b", "b": "a"}, "a": "x"}) == read(MINIMAL)


def test_a_submission_whose_croissant_file_is_refused_says_so_with_its_other_problems(
    take: Any, tmp_path: Path
) -> None:
    files = {"sheet.json": json.dumps(REFUSED["terms at an address"])}
    folder = submissions.predictions(tmp_path / "s", files=files, data={"datasheet": "sheet.json"})
    with pytest.raises(Refused) as refused:
        take(folder)
    assert [p.code for p in refused.value.problems] == ["croissant.context"]


@pytest.mark.parametrize(
    "told",
    [
        {"a": "x" * 400_000},
        {"a": {"@id": "x" * 400_000}},
        {"@vocab": "x" * 400_000},
        {"@vocab": {"@id": "x", "y": "x" * 400_000}},
        {"a": "b", "b": "c", "c": "x" * 400_000},
    ],
)
def test_what_stands_for_a_term_cannot_be_written_out_until_the_memory_is_full(told: dict[str, Any]) -> None:
    terms = {f"{'' if '@vocab' in told else 'a:'}{i}": "y" for i in range(5_000)}
    content = read_yaml(json.dumps({"@context": told, "@type": f"{croissant.SCHEMA}Dataset", **terms}).encode(), "x")
    tracemalloc.start()
    try:
        assert croissant.sheet(content.content, "x") == {}
        assert tracemalloc.get_traced_memory()[1] < 20 * 1024**2
    finally:
        tracemalloc.stop()
