"""What a public body is pointed at, whatever the class: the register, its category and why, and other law."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from checks.ai_act import rules as law
from checks.ai_act.classify import classify
from checks.ai_act.risk import Risk
from model_cards.words import Words
from sandbox.starting import SECTORS
from tests.checks.ai_act.answered import TODAY, case_named, declare

PEOPLE = {"personal_data": "yes", "persons_decision": "assists"}


def risk_of(answers: dict[str, Any], *, public_body: bool = True) -> Risk:
    case = {**case_named("AC-12"), "public_body": public_body, "roles": ["provider", "deployer"]}
    return classify(declare(case, answers), law.load(), as_of=TODAY)


OF_CLASS: dict[str, dict[str, Any]] = {
    "out_of_scope": {"exclusion": "research"},
    "not_ai_system": {"exclusion": "none", "gpai": "no", "how_it_works": "rules_only"},
    "minimal": dict(SECTORS["letters"].answers),
    "high_risk_annex_iii": dict(SECTORS["benefits"].answers),
    "high_risk_annex_i_a": dict(SECTORS["imaging"].answers),
    "undetermined": {"how_it_works": "learned"},
}


@pytest.mark.parametrize("risk_class", OF_CLASS)
@pytest.mark.parametrize(
    ("effect", "category"),
    [("legal_effect", "impactful"), ("contact_or_sorting", "impactful"), ("none", "other"), ("unknown", None)],
)
def test_a_public_body_is_pointed_at_the_register_whatever_the_class(
    risk_class: str, effect: str, category: str | None
) -> None:
    risk = risk_of({**OF_CLASS[risk_class], **PEOPLE, "citizen_effect": effect})
    assert risk.risk_class == risk_class
    named = {o.id.removeprefix("nl_algorithm_register_") for o in risk.other_law if o.id.startswith("nl_algorithm_reg")}
    if risk_class.startswith("high_risk"):
        assert named == {"nl_algorithm_register", "high_risk"}
    elif risk_class == "undetermined":
        assert named == {"nl_algorithm_register"}
    else:
        assert named == {"nl_algorithm_register", category} - {None}


@pytest.mark.parametrize("risk_class", OF_CLASS)
def test_data_protection_and_administrative_law_are_pointed_at_whatever_the_class(risk_class: str) -> None:
    risk = risk_of({**OF_CLASS[risk_class], **PEOPLE, "citizen_effect": "legal_effect"})
    ids = {o.id for o in risk.other_law}
    assert {"gdpr_5_6", "gdpr_22", "nl_administrative_law", "nl_open_government", "equal_treatment"} <= ids
    assert all(o.verified_on >= dt.date(2026, 1, 1) and o.source_url.startswith("https://") for o in risk.other_law)
    for lang in ("en", "nl"):
        assert all(not Words(lang).other_law(o.id).startswith("[") for o in risk.other_law)


@pytest.mark.parametrize(("lang", "category"), [("en", "Impactvolle algoritmes"), ("nl", "Impactvolle algoritmes")])
def test_the_category_is_named_with_its_reason(lang: str, category: str) -> None:
    said = Words(lang).other_law("nl_algorithm_register_impactful")
    assert category in said
    assert {"en": "because", "nl": "omdat"}[lang] in said


def test_who_is_no_public_body_is_not_pointed_at_the_register() -> None:
    risk = risk_of({**OF_CLASS["minimal"], **PEOPLE}, public_body=False)
    assert not [o.id for o in risk.other_law if o.id.startswith("nl_")]
