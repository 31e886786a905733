"""What comparisons of groups must do where the figures are tempting: empty, small, missing, weighted and clustered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from checks.evidence import Evidence
from checks.fairness._definitions import SELECTION
from checks.fairness._rates import Counted, compare, count
from checks.finding import Outcome
from checks.judge import judge
from checks.policy import load
from tests.make.evidence import by_counts, by_predictions
from tests.make.judged import find, finding, group, judged, measure, of_group

RATE_CHECKS = (
    "accuracy_by_group",
    "equal_opportunity",
    "equalised_odds",
    "false_positive_rate",
    "predictive_parity",
    "selection_rate",
)


def two_groups(*, f: tuple[int, int], m: tuple[int, int]) -> Evidence:
    """Counts of (favourable, adverse) decisions of two groups, all with a favourable label."""
    return by_counts([("F", 1, 1, f[0]), ("F", 1, 0, f[1]), ("M", 1, 1, m[0]), ("M", 1, 0, m[1])])


def test_one_percent_against_two_percent_flagged_is_a_ratio_of_a_half_and_beyond_the_limit() -> None:
    evidence = two_groups(f=(980_000, 20_000), m=(990_000, 10_000))
    found = finding("fairness.selection_rate", evidence)
    adverse, favourable = found.measure("adverse_ratio"), found.measure("ratio")
    assert adverse is not None
    assert favourable is not None
    assert adverse.value == pytest.approx(0.5)
    assert favourable.value == pytest.approx(0.98 / 0.99)
    assert found.limit["adverse_ratio"].outcome is Outcome.FAIL
    assert found.limit["ratio"].outcome is Outcome.PASS
    assert found.outcome is Outcome.FAIL


def test_few_groups_decide_nothing() -> None:
    evidence = by_counts([("A", 1, 1, 500), ("A", 1, 0, 500), ("B", 1, 0, 5)])
    for name in RATE_CHECKS:
        found = finding(f"fairness.{name}", evidence)
        difference = found.measure("difference")
        assert difference is not None
        assert difference.value is None
        assert difference.reason is not None
        assert difference.reason.code == "too_few_groups"
        assert found.outcome is not Outcome.PASS


def test_a_group_that_was_not_stated_stays_visible() -> None:
    evidence = by_predictions(
        groups={"sex": [None] * 100 + ["F"] * 100 + ["M"] * 100}, decision=[0, 1] * 150, label=[1, 0] * 150
    )
    found = finding("fairness.selection_rate", evidence)
    assert [g.group["sex"] for g in found.groups] == ["F", "M", None]
    assert group(found, None).rows == 100


def test_a_group_named_like_no_name_is_another_group_than_the_one_not_stated() -> None:
    names = ["None"] * 100 + [None] * 100 + ["nan"] * 100
    evidence = by_predictions(groups={"g": names}, decision=[1] * 100 + [0] * 100 + [1] * 100)
    found = finding("fairness.selection_rate", evidence)
    assert [of_group(found, n, "selection_rate").value for n in ("None", None, "nan")] == [1.0, 0.0, 1.0]


def test_rows_without_a_label_leave_what_needs_labels_and_are_told() -> None:
    label = [1] * 200 + [0] * 200 + [-1] * 600
    decision = ([1, 0] * 500)[:1000]
    evidence = by_predictions(groups={"sex": ["F", "F", "M", "M"] * 250}, decision=decision, label=label)
    found = finding("fairness.accuracy_by_group", evidence)
    assert found.reason is not None
    assert found.reason.code in ("left_out", "many_unlabelled")
    assert found.reason.params["unlabelled"] == 600
    assert of_group(found, "F", "accuracy").rows == 200
    assert of_group(found, "F", "unlabelled").value == pytest.approx(0.6)
    assert of_group(finding("fairness.selection_rate", evidence), "F", "selection_rate").rows == 500


def many(n: int = 20_000, **more: object) -> Evidence:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, n)
    decision = np.where(rng.random(n) < 0.9, label, 1 - label)
    return by_predictions(
        groups={"sex": rng.choice(["F", "M"], n)},
        decision=decision,
        label=label,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("name", ["equal_opportunity", "equalised_odds", "false_positive_rate"])
def test_labels_of_some_people_only_are_never_within(name: str) -> None:
    assert finding(f"fairness.{name}", many()).outcome is Outcome.PASS
    partial = finding(f"fairness.{name}", many(data={"sampling": "accepted_only"}))
    assert partial.outcome is Outcome.INCONCLUSIVE
    assert partial.reason is not None
    assert partial.reason.code == "labels_accepted_only"
    assert finding("fairness.selection_rate", many(data={"sampling": "accepted_only"})).outcome is Outcome.PASS


def test_without_a_favourable_class_it_is_said_what_to_supply() -> None:
    evidence = many(2000, favourable=None)
    for name in RATE_CHECKS:
        found = finding(f"fairness.{name}", evidence)
        if name == "accuracy_by_group":
            assert found.outcome is Outcome.MEASURED
        else:
            assert found.outcome is Outcome.NOT_GATHERED
            assert found.reason is not None
            assert found.reason.params["classes"] == "no, yes"


def test_without_labels_what_needs_them_is_not_gathered() -> None:
    evidence = by_predictions(groups={"sex": ["F", "M"] * 100}, decision=[0, 1, 1, 1] * 50)
    for name in RATE_CHECKS:
        expected = Outcome.INCONCLUSIVE if name == "selection_rate" else Outcome.NOT_GATHERED
        assert finding(f"fairness.{name}", evidence).outcome in (expected, Outcome.FAIL)


def test_answers_that_did_not_come_are_left_out_and_told() -> None:
    evidence = by_predictions(groups={"sex": ["F", "M"] * 200}, decision=[1, 0, -1, 1] * 100, label=[1, 1, 1, 0] * 100)
    found = finding("fairness.selection_rate", evidence)
    assert found.reason is not None
    assert found.reason.params["unanswered"] == 100
    assert of_group(found, "F", "selection_rate").rows == 100


def test_a_protected_input_is_found_whatever_the_rates() -> None:
    evidence = by_predictions(
        groups={"sex": ["F", "M"] * 100, "race": ["a", "b"] * 100},
        decision=[1, 0] * 100,
        columns={"race": "feature+group"},
    )
    by_attribute = {j.finding.attribute: j.finding for j in judged("fairness.protected_input", evidence)}
    assert by_attribute["race"].outcome is Outcome.FAIL
    assert by_attribute["sex"].outcome is Outcome.PASS
    assert by_attribute["sex"].reason is not None


def test_copies_of_every_person_make_nothing_more_certain_where_units_are_named() -> None:
    rng = np.random.default_rng(3)
    n, copies = 600, 8
    sex, label = rng.choice(["F", "M"], n), rng.integers(0, 2, n)
    decision = np.where(rng.random(n) < 0.8, label, 1 - label)
    once = by_predictions(groups={"sex": sex}, decision=decision, label=label)
    often = by_predictions(
        groups={"sex": np.repeat(sex, copies)},
        decision=np.repeat(decision, copies),
        label=np.repeat(label, copies),
        unit=np.repeat(np.arange(n), copies),
    )
    for name in RATE_CHECKS:
        one, many_ = (measure(f"fairness.{name}", "difference", e) for e in (once, often))
        assert many_.value == pytest.approx(one.value)
        assert one.low is not None
        assert one.high is not None
        assert many_.low is not None
        assert many_.high is not None
        assert many_.high - many_.low == pytest.approx(one.high - one.low, rel=0.02)
        assert many_.high - many_.low >= (one.high - one.low) * 0.9999
    found = finding("fairness.selection_rate", often)
    assert group(found, "F").effective_rows == pytest.approx(int((sex == "F").sum()))


def rates_by_hand(evidence: Evidence) -> dict[str, dict[str, list[np.ndarray]]]:
    """Give, by check and by its rates, whether each row of group F and of group M is counted in."""
    assert evidence.rows is not None
    chosen, qualified = (np.array(evidence.rows.column(n).to_pylist()) == 1 for n in ("decision", "label"))
    sex = np.array(evidence.rows.column("group:sex").to_pylist())
    every = np.ones(len(sex), dtype=bool)
    rates = {
        "accuracy": (every, chosen == qualified),
        "precision": (chosen, qualified),
        "true_positive_rate": (qualified, chosen),
        "false_positive_rate": (~qualified, chosen),
        "selection_rate": (every, chosen),
    }
    of_groups = {n: [hit[among & (sex == g)] for g in ("F", "M")] for n, (among, hit) in rates.items()}
    used = {
        "accuracy_by_group": ("accuracy",),
        "equal_opportunity": ("true_positive_rate",),
        "equalised_odds": ("true_positive_rate", "false_positive_rate"),
        "false_positive_rate": ("false_positive_rate",),
        "predictive_parity": ("precision",),
        "selection_rate": ("selection_rate",),
    }
    return {check: {n: of_groups[n] for n in names} for check, names in used.items()}


def gap_by_hand(groups: list[np.ndarray], z: float) -> tuple[float, float, float]:
    """Give a gap with Newcombe's interval over Wilson's of units of one row each.

    The variance between n units is 1 / (n - 1), not 1 / n, of what they add; and Student's t with n - 1 degrees of
    freedom takes the place of z: so n rows count for (n - 1) (z / t)^2.
    """
    bounds = []
    for hit in groups:
        n, p = len(hit), float(hit.mean())
        rows = (n - 1) * (z / student.ppf(norm.cdf(z), n - 1)) ** 2
        bounds.append((p, *proportion_confint(p * rows, rows, alpha=2 * norm.sf(z), method="wilson")))
    (p, p_low, p_high), (q, q_low, q_high) = sorted(bounds, reverse=True)
    low, high = np.hypot(p - p_low, q_high - q), np.hypot(p_high - p, q - q_low)
    return p - q, max(0.0, p - q - low, q - p - high), p - q + high


def test_units_of_one_row_each_change_no_figure_but_by_their_correction() -> None:
    plain, single = many(1000), many(1000, unit=np.arange(1000))
    by_hand = rates_by_hand(single)
    assert set(by_hand) == set(RATE_CHECKS)
    for name, rates in by_hand.items():
        one, other = (measure(f"fairness.{name}", "difference", e) for e in (plain, single))
        assert other.value == one.value
        z = float(norm.ppf(1 - 0.05 / len(rates) / 2))
        value, low, high = (max(each) for each in zip(*(gap_by_hand(g, z) for g in rates.values()), strict=True))
        assert other.value == pytest.approx(value, rel=1e-12)
        assert (other.low, other.high) == pytest.approx((low, high), rel=1e-9, abs=1e-12)
        assert one.high is not None
        assert one.high < high


def test_95_percent_is_95_percent_with_several_rows_of_one_person() -> None:
    rng = np.random.default_rng(21)
    check, terms = find("fairness.selection_rate"), load("default").terms
    held, draws = 0, 300
    for _ in range(draws):
        units = 160
        person = rng.beta([[3.0], [4.5]], [[7.0], [5.5]], (2, units))
        size = rng.integers(1, 6, (2, units))
        unit = np.repeat(np.arange(2 * units), size.ravel())
        decision = (rng.random(len(unit)) < person.ravel()[unit]).astype(int)
        evidence = by_predictions(groups={"g": np.where(unit < units, "a", "b")}, decision=decision, unit=unit)
        counted = count(evidence.only(check.needs + check.may_read), "g", labelled=False, told_apart=True)
        assert isinstance(counted, Counted)
        gap = compare(counted, SELECTION, terms).difference
        assert gap.low is not None
        assert gap.high is not None
        held += gap.low <= 0.15 <= gap.high
    # Three standard errors of 300 draws below 95 %.
    assert held / draws >= 0.912


def test_counts_of_several_rows_of_one_person_state_no_certainty() -> None:
    cells = [("F", 1, 1, 500), ("F", 1, 0, 500), ("M", 1, 1, 500), ("M", 1, 0, 500)]
    evidence = by_counts(cells, columns={"household": "unit"})
    found = finding("fairness.selection_rate", evidence)
    difference = found.measure("difference")
    assert difference is not None
    assert difference.value == 0.0
    assert difference.low is None
    assert difference.high is None
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.groups[0].measures[0].low is None


def test_the_unadjusted_interval_stands_beside_where_more_than_two_groups_are_compared() -> None:
    cells = [(g, 1, d, 400 + 20 * i * d) for i, g in enumerate("ABCD") for d in (0, 1)]
    m = measure("fairness.selection_rate", "difference", by_counts(cells))
    assert m.unadjusted is not None
    assert m.low is not None
    assert m.high is not None
    assert m.high > m.unadjusted[1]
    assert "4 groups" in m.interval
    two = measure("fairness.selection_rate", "difference", by_counts(cells[:4]))
    assert two.unadjusted is None


def test_a_figure_holds_every_group_with_its_interval() -> None:
    given = judged("fairness.equal_opportunity", many(2000))[0]
    (figure,) = given.figures
    assert figure.name == "fairness.equal_opportunity.sex"
    assert figure.kind == "group_rates"
    assert list(figure.columns) == ["group", "rows", "value", "low", "high", "too_small"]
    assert figure.columns["group"] == ("F", "M")
    assert figure.params == {"attribute": "sex", "measure": "true_positive_rate", "unit": "share"}
    assert given.finding.figures == (figure.name,)


def test_equalised_odds_draws_both_of_its_rates() -> None:
    given = judged("fairness.equalised_odds", many(2000))[0]
    drawn = {f.name: f.columns["value"] for f in given.figures}
    assert drawn == {
        f"fairness.equalised_odds.{rate}.sex": tuple(of_group(given.finding, name, rate).value for name in ("F", "M"))
        for rate in ("true_positive_rate", "false_positive_rate")
    }


def test_figures_of_attributes_with_odd_names_keep_names_that_can_be_files() -> None:
    odd = {"a/../b": ["x", "y"] * 50, "a b": ["x", "y"] * 50, "a_b": ["x", "y"] * 50}
    given = judged("fairness.selection_rate", by_predictions(groups=odd, decision=[0, 1] * 50))
    names = [f.name for j in given for f in j.figures]
    assert len(set(names)) == 3
    assert not any(set(name) & set("/ \\") for name in names)


def test_a_policy_with_more_rows_per_group_leaves_more_groups_out() -> None:
    policy = load("default")
    strict = policy.model_copy(update={"terms": policy.terms.model_copy(update={"minimum_rows": 600})})
    (given,) = judge(find("fairness.selection_rate"), many(1000), strict)
    assert all(g.too_small for g in given.finding.groups)


def test_groups_of_a_predicted_number_are_compared_by_the_size_of_errors() -> None:
    rng = np.random.default_rng(5)
    n = 4000
    label = rng.normal(100, 10, n)
    g = np.where(np.arange(n) % 2 == 0, "a", "b")
    value = label + rng.normal(0, 1, n) * np.where(g == "a", 1.0, 2.0) + np.where(g == "a", 0.0, 1.0)
    evidence = by_predictions(groups={"g": g}, decision=value, label=label, task="regression", favourable=None)
    found = finding("fairness.regression_error", evidence)
    bias = found.measure("mean_error_difference")
    assert bias is not None
    assert bias.low is not None
    assert bias.high is not None
    assert bias.low < 1.0 < bias.high
    assert bias.unit == "label"
    assert finding("fairness.selection_rate", evidence).outcome is Outcome.NOT_APPLICABLE


def test_a_predicted_number_without_error_has_no_ratio() -> None:
    label = np.arange(100.0)
    evidence = by_predictions(
        groups={"g": ["a", "b"] * 50}, decision=label, label=label, task="regression", favourable=None
    )
    ratio = measure("fairness.regression_error", "absolute_error_ratio", evidence)
    assert ratio.value is None
    assert ratio.reason is not None
    assert ratio.reason.code == "no_error"


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(40, 300), st.booleans())
def test_the_order_of_rows_and_the_names_of_groups_change_no_figure(seed: int, n: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    names = np.array(["a", "b", "c"], dtype=object)[rng.integers(0, 3, n)]
    label, decision = rng.integers(-1, 2, n), rng.integers(0, 2, n)
    weight = rng.integers(1, 5, n).astype(float) if weighted else None
    order = rng.permutation(n)
    renamed = {"a": "z", "b": "b", "c": "a"}
    one = by_predictions(groups={"g": names}, decision=decision, label=label, weight=weight)
    other = by_predictions(
        groups={"g": [renamed[g] for g in names[order]]},
        decision=decision[order],
        label=label[order],
        weight=None if weight is None else weight[order],
    )
    for name in ("equalised_odds", "selection_rate"):
        for a, b in zip(*(finding(f"fairness.{name}", e).measures for e in (one, other)), strict=True):
            for x, y in ((a.value, b.value), (a.low, b.low), (a.high, b.high)):
                assert x == y or (x is not None and y is not None and x == pytest.approx(y, abs=1e-12))
