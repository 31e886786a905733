"""Hold what a classification looks like in a dossier to the published contract."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from checks.ai_act import rules as law
from checks.ai_act.classify import classify
from checks.ai_act.risk import Risk
from tests.checks.ai_act.answered import TODAY, case_named, declare, read_cases


def test_the_risk_of_a_dossier_has_the_fields_of_the_contract() -> None:
    risk = classify(declare(case_named("AC-09")), law.load(), as_of=TODAY).model_dump(by_alias=True, mode="json")
    assert list(risk) == [
        "class",
        "routes",
        "overlays",
        "possible",
        "undecided_by",
        "path",
        "contradictions",
        "other_law",
        "duties",
        "rules_version",
        "as_of",
    ]
    assert {"class", "provision", "applies_from", "applies_from_original", "contested", "basis"} <= set(
        risk["routes"][0]
    )
    assert set(risk["path"][0]) == {"question", "answer", "provision", "confidence"}
    assert {
        "id",
        "provision",
        "role",
        "applies_from",
        "applies_from_original",
        "contested",
        "evidence",
        "status",
    } <= set(risk["duties"][0])
    assert risk["as_of"] == "2026-11-24"


def test_a_risk_can_be_read_back_from_a_dossier() -> None:
    for case in read_cases()[1][::7]:
        risk = classify(declare(case), law.load(), as_of=TODAY)
        assert Risk.model_validate(json.loads(risk.model_dump_json(by_alias=True))) == risk


def test_a_classification_cannot_be_changed_afterwards() -> None:
    risk = classify(declare(case_named("AC-12")), law.load(), as_of=TODAY)
    with pytest.raises(ValidationError):
        risk.risk_class = "prohibited"  # type: ignore[misc]


def test_the_path_names_each_answer_with_its_provision_and_how_far_it_was_checked() -> None:
    path = {(s.question, s.answer): s for s in classify(declare(case_named("AC-06b")), law.load(), as_of=TODAY).path}
    assert path["services_use", "reclaim_signal"].confidence == "draft"
    assert path["services_use", "reclaim_signal"].provision == "AIA Annex III 5(a)"
    assert path["how_it_works", "learned"].confidence == "primary"
