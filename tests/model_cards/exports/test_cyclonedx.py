"""The ML-BOM follows the schema of its standard and carries every figure with its interval."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from model_cards.dossier import Assessment
from model_cards.exports import cyclonedx
from tests.make.assessments import assessment, measured_by_all_checks, undetermined
from tests.make.drafts import HOSTILE, of_public_body


def made(given: Assessment, lang: str = "en") -> dict[str, Any]:
    raw = cyclonedx.render(given, lang).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(raw) is None
    bill: dict[str, Any] = json.loads(raw)
    return bill


@pytest.mark.parametrize("lang", ["en", "nl"])
@pytest.mark.parametrize("route", ["model", "predictions", "counts", "documents"])
def test_it_follows_the_schema_on_every_route(route: str, lang: str) -> None:
    assert made(assessment(route=route), lang)["bomFormat"] == "CycloneDX"


def test_it_follows_the_schema_with_hostile_names_and_without_a_class() -> None:
    made(assessment(hostile=HOSTILE))
    made(assessment(risk=undetermined(), run=False), "nl")


def test_it_follows_the_schema_for_the_whole_catalogue() -> None:
    card = made(measured_by_all_checks(rows=400))["metadata"]["component"]["modelCard"]
    assert len(card["quantitativeAnalysis"]["performanceMetrics"]) > 40


def test_each_group_has_its_metric_with_its_interval() -> None:
    metrics = made(assessment())["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    female = [m for m in metrics if m["slice"] == "sex: Female"]
    assert female == [
        {
            "type": "fairness.selection_rate.selection_rate",
            "value": "0.1095",
            "slice": "sex: Female",
            "confidenceInterval": {"lowerBound": "0.1014", "upperBound": "0.1181"},
        }
    ]
    assert {"type": "fairness.selection_rate.difference", "value": "0.1945", "slice": "all, by sex"}.items() <= metrics[
        0
    ].items()


def test_a_measure_without_a_value_is_no_number() -> None:
    metrics = made(assessment())["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert not [m for m in metrics if m["type"].endswith("adverse_ratio") or m["slice"] == "sex: not stated"]


def test_each_group_is_assessed_and_harm_is_left_to_a_person() -> None:
    assessed = made(assessment())["metadata"]["component"]["modelCard"]["considerations"]["fairnessAssessments"]
    assert [a["groupAtRisk"] for a in assessed] == ["sex: Female", "sex: Male"]
    assert all("for a person to say" in a["harms"] for a in assessed)
    assert "11.0\u00a0% (10.1 to 11.8), over 5,421 rows" in assessed[0]["harms"]
    assert {a["mitigationStrategy"] for a in assessed} == {"Not stated by the provider."}


def test_what_the_provider_says_of_risks_is_the_mitigation() -> None:
    card = made(of_public_body(publication={"risks": "Every month a clerk looks."}))["metadata"]["component"][
        "modelCard"
    ]
    assert {a["mitigationStrategy"] for a in card["considerations"]["fairnessAssessments"]} == {
        "Every month a clerk looks."
    }


def test_the_model_carries_its_digest_and_documents_alone_carry_no_model_card() -> None:
    assert made(assessment())["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "02" * 32}]
    component = made(assessment(route="documents"))["metadata"]["component"]
    assert component["type"] == "application"
    assert "modelCard" not in component


def test_the_serial_number_is_that_of_the_dossier() -> None:
    assert made(assessment())["serialNumber"] == made(assessment())["serialNumber"]
    assert made(assessment())["serialNumber"] != made(assessment(route="counts"))["serialNumber"]
