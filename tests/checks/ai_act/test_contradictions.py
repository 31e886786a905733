"""Hold the flags on answers that do not go with the upload: both sides quoted, and no class changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from checks import resources
from checks.ai_act import rules as law
from checks.ai_act.contradictions import Observed, contradictions
from checks.declaration import Declaration
from tests.checks.ai_act.answered import case_named, declare


def _declared(answers: dict[str, Any], purpose: str = "Sorts letters to teams.", **data: Any) -> Declaration:
    case = case_named("AC-12")
    declaration = declare(case, {**case["answers"], **answers})
    stated = declaration.model_dump(exclude_defaults=True)
    stated["system"]["intended_purpose"] = purpose
    if data:
        stated["data"] = {"file": "test.csv", "task": "binary", **data}
        stated["model"] = {"file": "m.onnx", "output": "decision"}
    return Declaration.model_validate(stated)


def _codes(declaration: Declaration, *columns: str) -> list[str]:
    return [c.code for c in contradictions(declaration, Observed(columns=columns))]


@pytest.mark.parametrize("column", ["birth_date", "Geslacht", "postcode4", "CustomerAge", "applicant id"])
def test_no_personal_data_yet_a_column_that_looks_like_it(column: str) -> None:
    (found,) = contradictions(_declared({"personal_data": "no"}), Observed(columns=("pressure", column)))
    assert (found.code, found.question, found.answer) == ("personal_data_column", "personal_data", "no")
    assert found.observed == column


@pytest.mark.parametrize("column", ["pressure", "stage", "page", "username_hash_count", "agenda", "racecar"])
def test_a_word_inside_another_word_is_no_hit(column: str) -> None:
    assert _codes(_declared({"personal_data": "no"}), column) == []


def test_no_special_data_yet_a_column_on_health() -> None:
    assert _codes(_declared({"personal_data": "yes"}), "diagnosis_code") == ["special_data_column"]
    assert _codes(_declared({"personal_data": "special"}), "diagnosis_code") == []


def test_no_profiling_yet_inputs_about_money_of_persons() -> None:
    listed = {"areas": ["credit"], "credit_use": ["persons"], "profiling": "no"}
    data = {"classes": ["yes", "no"], "columns": {"income": "feature", "debt": "label"}}
    declaration = _declared({**listed, "personal_data": "yes"}, "Credit for persons.", **data)
    found = contradictions(declaration, Observed(columns=("income", "debt", "colour")))
    assert [(c.code, c.observed) for c in found] == [("profiling_inputs", "income")]


def test_nothing_decided_yet_classes_that_are_decisions() -> None:
    declaration = _declared({"persons_decision": "no"}, classes=["approved", "rejected"], columns={"y": "label"})
    assert _codes(declaration) == ["decision_column"]
    assert _codes(_declared({"persons_decision": "assists"}, classes=["approved", "rejected"])) == []


@pytest.mark.parametrize(
    ("purpose", "option"),
    [
        ("Ranks candidates for vacancies.", "employment"),
        ("Beoordeelt een lening.", "credit"),
        ("Helpt bij de bijstand.", "benefits"),
        ("Marks exams.", "education"),
        ("Sets the insurance premium.", "insurance"),
        ("Reads emotions of callers.", "emotion"),
        ("Gezichtsherkenning bij de poort.", "identification"),
    ],
)
def test_a_purpose_that_names_what_the_answers_exclude_is_quoted(purpose: str, option: str) -> None:
    found = contradictions(_declared({}, f"It is used daily. {purpose}"), Observed())
    assert [(c.code, c.answer, c.observed) for c in found] == [("purpose_names_area", option, purpose)]


def test_what_was_not_answered_contradicts_nothing() -> None:
    declaration = _declared({"personal_data": "unknown", "areas": ["unknown"], "practices": ["unknown"]}, "Ranks CVs.")
    assert _codes(declaration, "birth_date") == []


def test_many_columns_are_counted_and_not_all_quoted() -> None:
    columns = [f"age_{i}" for i in range(20)]
    (found,) = contradictions(_declared({"personal_data": "no"}), Observed(columns=tuple(columns)))
    assert found.observed.endswith("(+12)")


def test_every_signal_speaks_of_a_question_that_exists_and_has_words() -> None:
    signals = resources.read("ai_act/signals.yaml")
    locale = Path(__file__).parents[3] / "model_cards" / "locale"
    words = {lang: yaml.safe_load((locale / lang / "law.yaml").read_text(encoding="utf-8")) for lang in ("en", "nl")}
    codes = set()
    for signal in (s for kind in signals.values() for s in kind):
        question = law.load().question(signal["question"])
        assert question.option(signal.get("answer") or signal["option"]) is not None
        codes.add(signal["code"])
    for lang in words:
        assert set(words[lang]["contradictions"]) == codes
