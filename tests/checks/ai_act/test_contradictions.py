"""Hold the flags on answers that do not go with the upload: both sides quoted, and no class changed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from checks import resources
from checks.ai_act import contradictions as told
from checks.ai_act import rules as law
from checks.ai_act.contradictions import Claim, Dates, Observed, Range, observe
from checks.ai_act.logic import Combination
from checks.ai_act.observing import ages_of, dates_of, groups_of
from checks.declaration import Declaration
from checks.finding import Finding, GroupMeasures, Item, Measure
from model_cards.words import Words
from tests.checks.ai_act.answered import case_named, declare

contradictions = partial(told.contradictions, rules=law.load())


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
    listed = {"areas": ["credit"], "services_use": ["credit_persons"], "profiling": "no"}
    data = {"classes": ["yes", "no"], "columns": {"income": "feature", "debt": "label"}}
    declaration = _declared({**listed, "personal_data": "yes"}, "Credit for persons.", **data)
    found = contradictions(declaration, Observed(columns=("income", "debt", "colour")))
    assert [(c.code, c.observed) for c in found] == [("profiling_inputs", "income")]


def test_an_answer_to_what_the_rules_of_a_version_do_not_ask_says_nothing() -> None:
    never = {"asked_when": Combination(any=())}
    asked = [q.model_copy(update=never) if q.id == "profiling" else q for q in law.load().questions]
    without = law.Rules(
        **{k: getattr(law.load(), k) for k in law.Rules.model_fields if k != "questions"}, questions=tuple(asked)
    )
    listed = {"areas": ["credit"], "services_use": ["credit_persons"], "profiling": "no", "personal_data": "yes"}
    declaration = _declared(
        listed, "Credit for persons.", columns={"income": "feature", "y": "label"}, classes=["a", "b"]
    )
    seen = Observed(columns=("income",))
    assert [c.code for c in contradictions(declaration, seen)] == ["profiling_inputs"]
    assert [c.code for c in contradictions(declaration, seen, rules=without)] == []


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
    for signal in (s for kind in ("columns", "decisions", "purposes") for s in signals[kind]):
        question = law.load().question(signal["question"])
        assert question.option(signal.get("answer") or signal["option"]) is not None
        codes.add(signal["code"])
    for lang in words:
        elsewhere = {"personal_data_found", "special_data_found", "claim_beyond_measured"}
        elsewhere |= {"period_beyond_stated", "population_beyond_stated"}
        assert set(words[lang]["contradictions"]) == codes | elsewhere


# ---- what was stated elsewhere, and what the checks and the data show


def _finding(check: str, **more: Any) -> Finding:
    return Finding(check=check, outcome="measured", rejudge="evidence", **more)


def _seen_in(check: str, **columns: str) -> Finding:
    groups = tuple(
        GroupMeasures(group={"feature": n}, rows=9, measures=(Measure(name=kind, value=1.0, rows=9, unit="share"),))
        for n, kind in columns.items()
    )
    return _finding(check, groups=groups)


def test_no_personal_data_yet_values_that_identify_a_person() -> None:
    seen = observe([_seen_in("privacy.identifiers", ref="bsn", email="email")], columns=("ref", "email"))
    found = contradictions(_declared({"personal_data": "no"}), seen)
    assert [(c.code, c.observed) for c in found] == [("personal_data_column", "email"), ("personal_data_found", "ref")]
    assert (
        contradictions(_declared({"personal_data": "yes"}), observe([_seen_in("privacy.identifiers", ref="bsn")])) == ()
    )


@pytest.mark.parametrize(("answer", "times"), [("no", 1), ("yes", 1), ("special", 0), ("unknown", 0)])
def test_values_of_a_special_category_go_with_one_answer_only(answer: str, times: int) -> None:
    seen = observe([_seen_in("privacy.special_categories", kind="health", sexe="not_special")])
    found = contradictions(_declared({"personal_data": answer}), seen)
    assert [(c.code, c.observed) for c in found] == [("special_data_found", "kind")] * times


def test_without_a_finding_on_privacy_nothing_is_said_of_it() -> None:
    assert observe([]) == Observed()
    assert contradictions(_declared({"personal_data": "no"}), observe([])) == ()


def _claimed(low: float, high: float) -> Finding:
    return _finding(
        "accuracy.claims",
        measures=(Measure(name="accuracy", value=(low + high) / 2, low=low, high=high, rows=9, unit="share"),),
        items=(Item(id="accuracy", state="compared", params={"claimed": 0.95, "measured": 0.8123}),),
    )


def test_a_claim_is_flagged_only_where_the_whole_interval_falls_short_of_it() -> None:
    (found,) = contradictions(_declared({}), observe([_claimed(0.05, 0.2)]))
    assert (found.code, found.question, found.answer, found.observed) == (
        "claim_beyond_measured",
        "stated.claims",
        "accuracy 0.95",
        "0.8123",
    )
    assert contradictions(_declared({}), observe([_claimed(-0.01, 0.2)])) == ()


def _with_sheet(**sheet: str) -> Declaration:
    return _declared({}).model_copy(update={"datasheet": sheet})


@pytest.mark.parametrize(
    ("period", "first", "last", "flagged"),
    [
        ("2024-01-01 to 2024-12-31", "2024-01-01", "2024-12-31", False),
        ("2024", "2024-03-01", "2024-12-31", False),
        ("2023 t/m 2024", "2022-12-31", "2024-01-01", True),
        ("2023 to 2024-06", "2023", "2024-06-30", False),
        ("2023 to 2024-06", "2023-01-01", "2024-07-01", True),
        ("2021-05-01 to 2022-05-01", "2021", "2022", False),
        ("the last two years", "1990", "2024", False),
    ],
)
def test_dates_outside_the_period_of_the_data_sheet_are_flagged(
    period: str, first: str, last: str, flagged: bool
) -> None:
    found = contradictions(
        _with_sheet(period=period), Observed(dates=(Dates(column="decided", first=first, last=last),))
    )
    assert [c.code for c in found] == ["period_beyond_stated"] * flagged
    assert all(c.answer == period and c.observed == f"decided: {first} – {last}" for c in found)


@pytest.mark.parametrize(
    ("population", "seen", "times"),
    [
        ("Residents aged 18 to 65 years", {"ages": (Range(column="age", low=16, high=60),)}, 1),
        ("Inwoners van 18 t/m 65 jaar", {"ages": (Range(column="leeftijd", low=18, high=65),)}, 0),
        ("Women in the north", {"groups": {"sex": ("F", "M")}}, 1),
        ("Women and men in the north", {"groups": {"sex": ("F", "M")}}, 0),
        ("Vrouwen met een uitkering", {"groups": {"geslacht": ("vrouw",)}}, 0),
        ("", {"groups": {"sex": ("F", "M")}}, 0),
    ],
)
def test_people_outside_the_population_of_the_data_sheet_are_flagged(
    population: str, seen: dict[str, Any], times: int
) -> None:
    found = contradictions(_with_sheet(population=population), Observed(**seen))
    assert [c.code for c in found] == ["population_beyond_stated"] * times


def test_dates_years_ages_and_groups_are_found_in_the_evidence() -> None:
    from tests.make.evidence import by_predictions

    evidence = by_predictions(
        groups={"sex": ["F", "M", "F", None]},
        decision=[0, 1, 1, 0],
        label=[0, 1, 0, 1],
        features={
            "decided": pa.array(["2024-02-01", None, "2023-12-31T10:00", "2024-01-01"]),
            "year": pa.array([2020, 2021, 2022, None]),
            "age": pa.array([17.0, 30.0, None, 88.0]),
            "town": pa.array(["Assen", "2024-02-01", "Breda", "Delft"]),
            "storage": pa.array([1, 2, 3, 4]),
        },
    )
    assert dates_of(evidence) == (
        Dates(column="decided", first="2023-12-31", last="2024-02-01"),
        Dates(column="year", first="2020", last="2022"),
    )
    assert ages_of(evidence) == (Range(column="age", low=17, high=88),)
    assert groups_of(evidence) == {"sex": ("F", "M")}


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_both_sides_stand_in_the_words_of_a_contradiction(lang: str) -> None:
    seen = Observed(
        identifying=("ref",),
        claims=(Claim(name="recall", claimed=0.9, measured=0.5),),
        dates=(Dates(column="d", first="2001", last="2002"),),
        groups={"sex": ("M",)},
    )
    stated = _declared({"personal_data": "no"}).model_copy(
        update={"datasheet": {"period": "2024", "population": "women"}}
    )
    said = [Words(lang).contradiction(c) for c in contradictions(stated, seen)]
    assert len(said) == 4
    for text, sides in zip(
        said, (("ref",), ("recall 0.9", "0.5"), ("2024", "d: 2001 – 2002"), ("women", "sex: M")), strict=True
    ):
        assert all(side in text for side in sides)
        assert "{" not in text
    assert all(not Words(lang).question(c.question).startswith("[") for c in contradictions(stated, seen))
