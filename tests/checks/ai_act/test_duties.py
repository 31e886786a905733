"""Hold duties to their dates: contested ones stay contested, what was there before has its own, nothing is ever met."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from checks.ai_act import rules as law
from checks.ai_act.classify import classify
from checks.ai_act.duties import duties
from checks.ai_act.risk import Duty, Risk
from tests.checks.ai_act.answered import TODAY, case_named, declare

CONTESTED = ["AIA 43(2)", "AIA 47", "AIA 48", "AIA 49(1)", "AIA 49(3)", "AIA 72", "AIA 73", "AIA 86"]


def _risk(case_id: str, as_of: dt.date = TODAY, **answers: Any) -> Risk:
    case = case_named(case_id)
    return classify(declare(case, {**case["answers"], **answers}), law.load(), as_of=as_of)


def _duty(risk: Risk, provision: str) -> Duty:
    return next(d for d in risk.duties if d.provision == provision)


@pytest.mark.parametrize("provision", CONTESTED)
def test_a_contested_date_shows_both_readings(provision: str) -> None:
    duty = _duty(_risk("AC-09"), provision)
    assert duty.contested
    assert duty.applies_from == dt.date(2027, 12, 2)
    assert duty.applies_from_other_reading == dt.date(2026, 8, 2)


def test_dates_that_nobody_disputes_are_not_called_contested() -> None:
    risk = _risk("AC-09")
    assert {d.provision for d in risk.duties if d.contested} == {*CONTESTED, "AIA 73, 26(5)"}
    assert _duty(_risk("AC-01b"), "AIA 49(2)").contested


def test_the_clock_turns_not_yet_due_into_due() -> None:
    assert _duty(_risk("AC-09", dt.date(2027, 12, 1)), "AIA 9").status == "not_yet_due"
    assert _duty(_risk("AC-09", dt.date(2027, 12, 2)), "AIA 9").status == "none"
    assert _duty(_risk("I-a", dt.date(2028, 8, 1)), "AIA 9").status == "not_yet_due"
    assert _duty(_risk("I-a", dt.date(2028, 8, 2)), "AIA 9").status == "none"
    assert _duty(_risk("AC-09"), "AIA 4").status == "none"


def test_a_system_under_both_annexes_has_the_earlier_date() -> None:
    assert _duty(_risk("I-both"), "AIA 9").applies_from == dt.date(2027, 12, 2)


def test_an_older_unchanged_system_has_no_duty_until_its_design_changes() -> None:
    duty = _duty(_risk("L-private"), "AIA 9")
    assert duty.status == "not_applicable"
    assert "legacy_unchanged" in duty.notes
    assert _duty(_risk("L-changed"), "AIA 9").status == "not_yet_due"


def test_an_older_system_for_public_authorities_has_until_2030() -> None:
    duty = _duty(_risk("L-public"), "AIA 9")
    assert duty.applies_from == dt.date(2030, 8, 2)
    assert duty.status == "not_yet_due"


def test_marking_of_an_older_generator_is_due_on_2_december_2026() -> None:
    assert _duty(_risk("T-legacy"), "AIA 50(2)").status == "not_yet_due"
    assert _duty(_risk("T-legacy", dt.date(2026, 12, 2)), "AIA 50(2)").status == "none"
    assert _duty(_risk("AC-04"), "AIA 50(2)").status == "none"


def test_an_older_model_has_until_august_2027() -> None:
    risk = _risk("G-model", gpai_kind=["before_2025_08_02"])
    assert _duty(risk, "AIA 53(1)(c)").applies_from == dt.date(2027, 8, 2)


def test_an_open_question_behind_a_duty_is_said_and_the_duty_is_not_dropped() -> None:
    risk = _risk("AC-01", persons_decision="unknown", interacts="unknown")
    assert risk.risk_class == "high_risk_annex_iii"
    assert "depends_on_unanswered" in _duty(risk, "AIA 26(11)").notes
    assert "depends_on_unanswered" in _duty(risk, "AIA 50(1)").notes
    assert "depends_on_unanswered" in _duty(_risk("III-5b", placed_when="unknown"), "AIA 9").notes
    assert "date_depends_on_unanswered" in _duty(_risk("AC-09", placed_when="unknown"), "AIA 9").notes


def test_an_undetermined_system_has_only_the_duties_that_are_certain() -> None:
    risk = _risk("U-profile")
    assert {d.provision for d in risk.duties} == {"AIA 4"}


def test_smaller_providers_see_what_may_be_simplified() -> None:
    case = case_named("III-5b")
    seen = {}
    for size in ("small", "small_mid_cap", "large"):
        risk = classify(declare({**case, "size": size}), law.load(), as_of=TODAY)
        seen[size] = {n for d in risk.duties for n in d.notes}
    assert {"simplified_documentation", "simplified_quality_system"} <= seen["small"]
    assert "simplified_documentation" in seen["small_mid_cap"]
    assert "simplified_quality_system" not in seen["small_mid_cap"]
    assert not {"simplified_documentation", "simplified_quality_system"} & seen["large"]


def test_a_country_that_is_not_decided_leaves_the_representative_open() -> None:
    case = case_named("III-5b")
    by_country = {}
    for country in ("NL", "US", "NO", None):
        risk = classify(declare({**case, "country": country}), law.load(), as_of=TODAY)
        by_country[country] = next((d.notes for d in risk.duties if d.provision == "AIA 22"), None)
    assert by_country["NL"] is None
    assert by_country["US"] == ()
    assert by_country["NO"] == by_country[None] == ("depends_on_unanswered",)


def test_no_duty_is_ever_called_met() -> None:
    assert set(Duty.model_json_schema()["properties"]["status"]["enum"]) == {
        "evidence_found",
        "partial",
        "none",
        "not_yet_due",
        "not_applicable",
    }


def test_duties_can_be_asked_for_on_their_own() -> None:
    case = case_named("AC-09")
    risk = _risk("AC-09")
    assert duties(risk, declare(case), law.load(), as_of=TODAY) == risk.duties


def test_a_provider_stays_one_until_it_is_said_that_another_took_over() -> None:
    case = case_named("R-taken")
    left_open = classify(declare(case, {**case["answers"], "role_change": ["unknown"]}), law.load(), as_of=TODAY)
    settled = classify(declare(case, {**case["answers"], "role_change": ["none"]}), law.load(), as_of=TODAY)
    of_provider = [d for d in settled.duties if d.role == "provider"]
    assert len(of_provider) > 15
    assert [d for d in left_open.duties if d.role == "provider"] == of_provider
    both = classify(
        declare(case, {**case["answers"], "role_change": ["own_name", "taken_over"]}), law.load(), as_of=TODAY
    )
    assert [d for d in both.duties if d.role == "provider"] == of_provider
