"""The Croissant file is read by the standard's own library, and holds columns but never rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model_cards import public
from model_cards.dossier import Assessment
from model_cards.exports import croissant
from tests.make.assessments import assessment, declaration
from tests.make.drafts import HOSTILE


def with_file(given: Assessment, name: str) -> Assessment:
    """Give an assessment whose submission names the digest of a data file."""
    facts = given.dossier.submission
    facts = facts.model_copy(update={"files": {**facts.files, name: "ab" * 32}, "columns": ("age", "sex")})
    return given.model_copy(update={"dossier": given.dossier.model_copy(update={"submission": facts})})


def made(given: Assessment, lang: str = "en") -> dict[str, Any]:
    import mlcroissant

    document: dict[str, Any] = json.loads(croissant.render(given, lang))
    issues = mlcroissant.Dataset(jsonld=document).metadata.ctx.issues
    assert not issues.errors, issues.report()
    return document


FILES = {"model": "test.parquet", "predictions": "test.parquet", "counts": "counts.csv"}


@pytest.mark.parametrize("lang", ["en", "nl"])
@pytest.mark.parametrize("route", sorted(FILES))
def test_the_library_of_the_standard_reads_it(route: str, lang: str) -> None:
    document = made(with_file(assessment(route=route), FILES[route]), lang)
    assert document["distribution"][0]["sha256"] == "ab" * 32
    assert document["distribution"][0]["contentUrl"] == FILES[route]
    assert len(document["recordSet"][0]["field"]) >= 3


def test_the_library_reads_it_with_hostile_names() -> None:
    made(with_file(assessment(hostile=HOSTILE), "test.parquet"))


def test_documents_alone_have_no_data_and_that_is_said() -> None:
    document = made(assessment(route="documents"))
    assert "distribution" not in document
    assert "recordSet" not in document
    assert "No data were supplied" in document["description"]


def test_a_file_whose_digest_is_not_known_is_not_pointed_to() -> None:
    document = made(assessment())
    assert "distribution" not in document
    assert "recordSet" not in document
    assert "sex: People are compared by this column" in document["description"]


def test_a_public_package_points_to_no_file_and_is_read_all_the_same() -> None:
    whole = with_file(assessment(), "test.parquet")
    document = made(public.reduce(whole, {}, 10).assessment, "nl")
    assert "distribution" not in document
    assert "ab" * 32 not in json.dumps(document)


def test_each_column_says_its_role_and_no_value_of_a_row_is_there() -> None:
    fields = made(with_file(assessment(), "test.parquet"))["recordSet"][0]["field"]
    said = {f["name"]: f["description"] for f in fields}
    assert said["sex"] == "People are compared by this column; it was not shown to the system."
    assert said["age"] == "Input of the system."
    assert said["income"] == "The outcome that was observed."
    assert all(set(f) == {"@type", "@id", "name", "description", "dataType", "source"} for f in fields)


def test_the_data_sheet_is_carried_over() -> None:
    sheet = {"origin": "Survey of 2025.", "licence": "CC0-1.0", "population": "Adults.", "cleaning": ["a", "b"]}
    stated = declaration().model_copy(update={"datasheet": sheet})
    document = made(with_file(assessment(stated=stated), "test.parquet"))
    assert document["license"] == "CC0-1.0"
    assert "Population, as stated: Adults." in document["description"]
    assert document["rai:dataCollection"] == "Survey of 2025."
    assert document["rai:dataPreprocessingProtocol"] == "a; b"
