"""Numbers, dates and sentences as each language writes them, and what happens where words are missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.finding import Measure, Outcome, Reason
from model_cards.words import Words, languages, visible
from tests.make import assessments, variety
from tests.make.judged import judged

EN, NL = Words("en"), Words("nl")
NBSP = "\u00a0"


@pytest.mark.parametrize(
    ("value", "en", "nl"),
    [
        (0.1945, "19.5", "19,5"),
        (0.3, "30.0", "30,0"),
        (1.0, "100", "100"),
        (0.0, "0", "0"),
        (-0.026, "−2.6", "−2,6"),
        (0.0042, "0.42", "0,42"),
        (0.000013, "0.0013", "0,0013"),
        (0.9996, "100.0", "100,0"),
    ],
)
def test_a_share_is_a_percentage_with_sensible_digits(value: float, en: str, nl: str) -> None:
    assert EN.share(value) == en
    assert NL.share(value) == nl


@pytest.mark.parametrize(
    ("value", "en", "nl"),
    [(16281, "16,281", "16.281"), (999, "999", "999"), (-1234567, "−1,234,567", "−1.234.567")],
)
def test_thousands_stand_apart_as_the_language_has_it(value: int, en: str, nl: str) -> None:
    assert EN.whole(value) == en
    assert NL.whole(value) == nl


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.8, "ratio", "0.80"),
        (0.0421, "ratio", "0.0421"),
        (12.0, "rows", f"12{NBSP}rows"),
        (4.213, "seconds", f"4.21{NBSP}s"),
        (1.2e-9, "points", f"1.2 × 10^-9{NBSP}points".replace("-", "−")),
        (None, "share", "–"),
    ],
)
def test_a_number_carries_its_unit(value: float | None, unit: str, said: str) -> None:
    assert EN.number(value, unit) == said


def test_a_difference_of_shares_is_in_percentage_points() -> None:
    assert EN.number(0.1945, "share", name="difference") == f"19.5{NBSP}percentage points"
    assert NL.number(0.1945, "share", name="selection_rate_difference") == f"19,5{NBSP}procentpunt"
    assert EN.number(0.1945, "share", name="largest_gap_to_everyone") == f"19.5{NBSP}percentage points"
    assert EN.number(0.1945, "share", name="selection_rate") == f"19.5{NBSP}%"


@pytest.mark.parametrize(
    "name", ["gain", "largest_shortfall", "accuracy_lost", "mean_gap_difference", "accuracy_change"]
)
def test_a_gain_or_shortfall_of_a_share_is_in_percentage_points(name: str) -> None:
    assert EN.number(0.02, "share", name=name) == f"2.0{NBSP}percentage points"


def test_a_claim_less_what_was_measured_is_in_percentage_points_under_whatever_name() -> None:
    shortfall = Measure(name="accuracy", value=0.02, low=0.01, high=0.03, rows=10, unit="share")
    assert EN.value(EN.said("accuracy.claims", shortfall)) == f"2.0{NBSP}percentage points (1.0 to 3.0)"
    assert EN.value(EN.said("accuracy.overall", shortfall)) == f"2.0{NBSP}% (1.0 to 3.0)"
    assert EN.said("accuracy.claims", shortfall.model_copy(update={"unit": "points"})).name == "accuracy"


def test_a_measure_is_written_with_its_interval_and_an_exact_one_stands_alone() -> None:
    given = Measure(name="accuracy", value=0.1945, low=0.179, high=0.21, rows=10, unit="share")
    assert EN.value(given) == f"19.5{NBSP}% (17.9 to 21.0)"
    assert NL.value(given) == f"19,5{NBSP}% (17,9 tot 21,0)"
    assert EN.value(given.model_copy(update={"low": 0.1945, "high": 0.1945})) == f"19.5{NBSP}%"
    assert EN.value(given.model_copy(update={"low": None, "high": None})) == f"19.5{NBSP}%"


@pytest.mark.parametrize(
    ("low", "said"),
    [(0.00046, "0.05 to"), (0.0061, "0.6 to"), (0.0, "0 to"), (0.000001, "0.0001 to"), (-0.004, "−0.4 to")],
)
def test_the_end_of_an_interval_has_no_more_digits_than_its_value_and_never_becomes_nothing(
    low: float, said: str
) -> None:
    given = Measure(name="difference", value=0.078, low=low, high=0.152, rows=10, unit="share")
    assert EN.interval(given).startswith(said)


def test_dates_are_written_out() -> None:
    assert EN.date("2027-12-02") == f"2{NBSP}December{NBSP}2027"
    assert NL.date("2027-12-02") == f"2{NBSP}december{NBSP}2027"
    assert EN.date(None) == "no date"
    assert EN.date("soon") == "soon"
    assert EN.time("2026-11-24T11:30:09+01:00") == f"24{NBSP}November{NBSP}2026, 10:30 UTC"


def test_a_missing_word_is_visible_and_no_crash() -> None:
    assert EN("nothing.of.the.kind") == "[nothing.of.the.kind]"
    assert EN.title("fairness.no_such_check") == "[checks.fairness.no_such_check.title]"
    assert EN.reason(Reason(code="no_such_reason")) == "[reasons.no_such_reason]"
    assert "{number}" in EN("summary.more")


def test_a_value_in_a_slot_is_never_itself_a_slot() -> None:
    assert EN("summary.more", number="{title} %s {0.__class__}") == "and {title} %s {0.__class__} more, in the details"


def test_an_unknown_language_is_refused_by_name() -> None:
    with pytest.raises(LookupError, match="en, nl"):
        Words("xx")
    assert languages() == ("en", "nl")


def test_a_finding_is_told_in_one_sentence_with_figure_interval_limit_and_origin() -> None:
    finding, _ = assessments.selection_rate()
    said = EN.finding_sentence(finding)
    for part in ("by sex", f"19.5{NBSP}percentage points", "(18.3 to 20.6)", f"at most 10{NBSP}percentage points"):
        assert part in said
    assert "screening convention" in said
    gezegd = NL.finding_sentence(finding)
    for part in ("naar sex", f"19,5{NBSP}procentpunt", "(18,3 tot 20,6)", f"ten hoogste 10{NBSP}procentpunt"):
        assert part in gezegd


def test_every_outcome_has_a_sentence() -> None:
    findings = list(assessments.assessment().dossier.findings)
    assert {f.outcome for f in findings} == set(Outcome)
    for words in (EN, NL):
        for finding in findings:
            said = words.finding_sentence(finding)
            assert words.title(finding.check) in said
            assert "{" not in said


def test_the_reason_of_a_check_goes_before_the_general_one() -> None:
    own = EN.reason(Reason(code="denominator_zero"), "fairness.selection_rate")
    assert own == EN("checks.fairness.selection_rate.reasons.denominator_zero")
    assert EN.reason(Reason(code="no_scan"), "fairness.selection_rate") == EN("reasons.no_scan")


def test_a_code_inside_a_reason_is_put_in_words() -> None:
    said = NL.reason(Reason(code="model_fault", params={"fault": "out_of_memory"}))
    assert said == "Het model gaf geen antwoorden om te beoordelen: het nam meer geheugen dan mag."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a[U+202E]b"),
        ("a\x00b\x1b", "a[U+0000]b[U+001B]"),
        ("zero\u200bwidth", "zero[U+200B]width"),
        ("two\nlines\tand", "two lines and"),
        ("lone\ud800", "lone[U+D800]"),
        ("é 中 ü – 12 %", "é 中 ü – 12 %"),
    ],
)
def test_characters_that_hide_or_reorder_are_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_made_visible_twice_is_made_visible_once(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_any_number_can_be_written_in_any_unit(value: float) -> None:
    for unit in ("share", "ratio", "rows", "count", "points", "label", "seconds"):
        assert NL.number(value, unit)


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize(
    "code",
    [
        "accuracy.calibration",
        "accuracy.overall",
        "data_governance.label_balance",
        "fairness.calibration_by_group",
        "fairness.remedies",
        "privacy.k_anonymity",
        "privacy.membership_inference",
    ],
)
def test_every_column_of_a_figure_has_words(code: str, lang: str) -> None:
    kind = "predictions" if code != "privacy.membership_inference" else "model with training data and a holdout"
    figures = [figure for one in judged(code, variety.make(kind)) for figure in one.figures]
    assert figures
    assert {c for f in figures for c in f.columns if Words(lang).find(f"outcomes.columns.{c}") is None} == set()
