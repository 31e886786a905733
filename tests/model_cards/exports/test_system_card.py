"""The system card follows our schema of the Dutch reporting standard, on every route and for every class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator

from checks.ai_act.rules import RiskClass
from model_cards.dossier import Assessment
from model_cards.exports import system_card
from tests.make.assessments import assessment, measured_by_all_checks, undetermined
from tests.make.drafts import HOSTILE, of_class, of_public_body

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[3] / "docs" / "reference" / "system_card.schema.json").read_text(encoding="utf-8")
)


def made(given: Assessment, lang: str = "en") -> dict[str, Any]:
    card: dict[str, Any] = yaml.safe_load(system_card.render(given, lang))
    Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(card)
    return card


def labels(card: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in card["labels"]}


def test_the_schema_is_a_schema_and_refuses_what_the_standard_does_not_know() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    card = made(assessment())
    for wrong in ({**card, "surprise": 1}, {**card, "schema_version": "0.1a13"}, {"name": "x"}):
        assert not Draft202012Validator(SCHEMA).is_valid(wrong)


@pytest.mark.parametrize("lang", ["en", "nl"])
@pytest.mark.parametrize("route", ["model", "predictions", "counts", "documents"])
def test_it_follows_the_schema_on_every_route(route: str, lang: str) -> None:
    card = made(assessment(route=route), lang)
    assert ("models" in card) is (route != "documents")
    assert len(card["assessments"][0]["contents"]) == len(assessment(route=route).dossier.findings)


def test_it_follows_the_schema_with_hostile_names_without_a_run_and_for_the_whole_catalogue() -> None:
    made(assessment(hostile=HOSTILE))
    made(assessment(risk=undetermined(), run=False), "nl")
    made(measured_by_all_checks(rows=400))


@pytest.mark.parametrize("risk_class", get_args(RiskClass))
def test_every_class_has_its_profile(risk_class: str) -> None:
    profile = made(of_public_body(risk=of_class(risk_class)))["ai_act_profile"]
    group = profile.get("risk_group")
    if risk_class.startswith("high_risk"):
        assert group == "hoog-risico AI"
    elif risk_class.startswith("prohibited"):
        assert group == "verboden AI"
    elif risk_class in ("undetermined", "not_ai_system"):
        assert group is None
    else:
        assert group in ("geen hoog-risico AI", "uitzondering van toepassing")


@pytest.mark.parametrize(
    ("effect", "kind"),
    [
        ("legal_effect", "impactvol algoritme"),
        ("contact_or_sorting", "impactvol algoritme"),
        ("none", "niet-impactvol algoritme"),
        (None, "impactvol algoritme"),
    ],
)
def test_what_is_no_ai_is_still_an_algorithm_with_or_without_impact(effect: str | None, kind: str) -> None:
    given = of_public_body(risk=of_class("not_ai_system"), answers={"citizen_effect": effect} if effect else {})
    assert made(given)["ai_act_profile"]["type"] == kind


def test_the_traversed_path_and_the_requirements_are_there() -> None:
    card = made(assessment(), "nl")
    assert card["ai_act_profile"]["decision_tree"]["path"][-1]["answer"].startswith("Krediet")
    assert [r["urn"][-6:] for r in card["requirements"]] == ["aia-01", "aia-05", "aia-15", "aia-27"]


def test_every_field_says_where_it_comes_from() -> None:
    said = labels(made(of_public_body(publication={"human_intervention": "A clerk decides."})))
    assert said["origin/human_intervention"] == "answered"
    assert said["origin/goal_and_impact"] == "answered"
    assert said["origin/risk_management"] == "measured"
    assert said["origin/considerations"] == "empty"


def test_groups_are_labels_on_a_metric_and_weights_a_bar_plot() -> None:
    result = made(assessment())["models"][0]["model-index"][0]["results"][0]
    female = [m for m in result["metrics"] if {"name": "sex", "value": "Female"}.items() <= m["labels"][0].items()]
    assert female[0]["value"] == 0.1095
    assert {(label["name"], label["value"]) for label in female[0]["labels"][1:]} == {
        ("low", 0.1014),
        ("high", 0.1181),
        ("rows", 5421),
    }
    assert result["measurements"]["bar_plots"][0]["results"] == [{"name": "age", "value": 0.12}]
