"""What comparisons of two attributes at once, and of groups with everyone, must do."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, selection_rate

from checks.evidence import Evidence, apart, crossed
from checks.finding import Outcome, dumped
from checks.judge import judge
from checks.policy import load
from checks.registry import catalogue
from tests.make.evidence import by_counts, by_predictions
from tests.make.judged import finding, measure

POLICY = load("default")


def crossed_groups(n: int = 4000) -> tuple[Evidence, dict[str, list[str]], np.ndarray]:
    """Two attributes that show no gap alone and a large one together, as in XOR."""
    rng = np.random.default_rng(3)
    sex, race = rng.choice(["F", "M"], n), rng.choice(["a", "b"], n)
    chance = np.where((sex == "F") == (race == "a"), 0.7, 0.3)
    decision = (rng.random(n) < chance).astype(int)
    groups = {"sex": sex.tolist(), "race": race.tolist()}
    return by_predictions(groups=groups, decision=decision, label=decision), groups, decision


def all_of(code: str, evidence: Evidence) -> list:
    return [j.finding for j in judge(next(c for c in catalogue() if c.code == code), evidence, POLICY)]


def test_a_gap_that_two_attributes_show_only_together_is_seen() -> None:
    evidence, groups, decision = crossed_groups()
    alone = measure("fairness.selection_rate", "difference", evidence, "sex").value
    (found,) = all_of("fairness.intersections", evidence)
    together = found.measure("difference")
    assert alone is not None
    assert alone < 0.06
    frame = MetricFrame(
        metrics=selection_rate,
        y_true=decision,
        y_pred=decision,
        sensitive_features={n: np.array(v) for n, v in groups.items()},
    )
    assert together.value == pytest.approx(frame.difference())
    assert together.low > 0.3
    assert found.attribute == "sex × race"
    for group in found.groups:
        assert set(group.group) == {"sex", "race"}
        rate = next(m for m in group.measures if m.name == "selection_rate")
        assert rate.value == pytest.approx(frame.by_group[group.group["sex"], group.group["race"]])


def test_a_small_combination_stays_visible_and_does_not_lead() -> None:
    rows = [("F", "a", 1, 1, 400), ("F", "a", 1, 0, 400), ("M", "a", 1, 1, 380), ("M", "a", 1, 0, 420)]
    rows += [("M", "b", 1, 0, 12), ("F", "b", 1, 1, 200), ("F", "b", 1, 0, 200)]
    (found,) = all_of("fairness.intersections", by_counts(rows, attributes=("sex", "race")))
    small = next(g for g in found.groups if g.group == {"sex": "M", "race": "b"})
    assert small.too_small
    assert found.measure("difference").value == pytest.approx(0.025)


def test_counts_and_rows_give_the_same_intersections() -> None:
    evidence, groups, decision = crossed_groups(500)
    rows = list(zip(groups["sex"], groups["race"], decision.tolist(), decision.tolist(), [1] * 500, strict=True))
    counted = by_counts(rows, attributes=("sex", "race"))
    for code in ("fairness.intersections", "fairness.intersections_of_errors"):
        assert [dumped(f) for f in all_of(code, evidence)] == [dumped(f) for f in all_of(code, counted)]


def test_the_policy_says_how_many_pairs_are_compared_and_one_attribute_makes_none() -> None:
    rng = np.random.default_rng(1)
    groups = {name: rng.choice(["x", "y"], 200) for name in ("a", "b", "c")}
    evidence = by_predictions(groups=groups, decision=rng.integers(0, 2, 200))
    named = ["a × b", "a × c", "b × c", "a × b × c"]
    assert [f.attribute for f in all_of("fairness.intersections", evidence)] == named
    check = next(c for c in catalogue() if c.code == "fairness.intersections")
    two = POLICY.model_copy(update={"terms": POLICY.terms.model_copy(update={"pairs": 2, "triples": 0})})
    assert [j.finding.attribute for j in judge(check, evidence, two)] == ["a × b", "a × c"]
    alone = by_predictions(groups={"a": groups["a"]}, decision=[0, 1] * 100)
    (none,) = all_of("fairness.intersections", alone)
    assert none.outcome is Outcome.NOT_APPLICABLE


def test_a_gap_that_three_attributes_show_only_together_is_seen() -> None:
    rng = np.random.default_rng(5)
    n = 6000
    groups = {name: rng.choice(["x", "y"], n) for name in ("a", "b", "c")}
    odd = sum((groups[name] == "x").astype(int) for name in groups) % 2
    decision = (rng.random(n) < np.where(odd, 0.7, 0.3)).astype(int)
    evidence = by_predictions(groups=groups, decision=decision)
    found = {f.attribute: f for f in all_of("fairness.intersections", evidence)}
    for pair in ("a × b", "a × c", "b × c"):
        gap = found[pair].measure("difference")
        assert gap is not None
        assert gap.value is not None
        assert gap.value < 0.1
    three = found["a × b × c"]
    frame = MetricFrame(metrics=selection_rate, y_true=decision, y_pred=decision, sensitive_features=groups)
    together = three.measure("difference")
    assert together is not None
    assert together.value == pytest.approx(frame.difference())
    assert together.low is not None
    assert together.low > 0.25
    assert len(three.groups) == 8
    for group in three.groups:
        rate = next(m for m in group.measures if m.name == "selection_rate")
        assert rate.value == pytest.approx(frame.by_group[tuple(group.group[name] for name in groups)])


def test_a_further_attribute_adds_crossings_at_the_end_of_each_kind_and_takes_none_away() -> None:
    from tests.make.evidence import declare

    few, more = (declare(groups=names).data for names in (("a", "b", "c"), ("a", "b", "c", "d")))
    assert few is not None
    assert more is not None
    for size, number in ((2, 3), (3, 1)):
        assert list(more.crossings(size))[:number] == list(few.crossings(size))
    assert more.crossing("c × a × d") == ("c", "a", "d")
    assert more.crossing("a × z") is None
    assert more.crossing("a") is None


def test_a_crossing_of_more_groups_than_can_say_anything_is_not_counted() -> None:
    rng = np.random.default_rng(6)
    n = 9000
    groups = {"a": rng.integers(0, 15, n).astype(str), "b": rng.integers(0, 15, n).astype(str)}
    groups["c"] = rng.integers(0, 15, n).astype(str)
    evidence = by_predictions(groups=groups, decision=rng.integers(0, 2, n))
    assert {"a × b", "a × c", "b × c"} <= set(evidence.cells)
    assert "a × b × c" not in evidence.cells
    assert len(all_of("fairness.intersections", evidence)) == 3


def test_names_that_hold_the_sign_between_two_names_do_not_fall_together() -> None:
    first, second = crossed("a × b", "c"), crossed("a", "b × c")
    assert first != second
    assert apart(crossed(None, "x")) == (None, "x")
    assert apart(crossed("a", None, "x")) == ("a", None, "x")


def test_the_gap_to_everyone_is_fairlearns_and_its_interval_is_narrower_than_that_between_groups() -> None:
    rng = np.random.default_rng(7)
    group = rng.choice(["a", "b", "c"], 3000, p=[0.6, 0.3, 0.1])
    decision = (rng.random(3000) < np.where(group == "c", 0.3, 0.5)).astype(int)
    evidence = by_predictions(groups={"sex": group}, decision=decision)
    frame = MetricFrame(metrics=selection_rate, y_true=decision, y_pred=decision, sensitive_features=group)
    gap = measure("fairness.selection_rate", "largest_gap_to_everyone", evidence)
    ratio = measure("fairness.selection_rate", "smallest_ratio_to_everyone", evidence)
    assert gap.value == pytest.approx(frame.difference(method="to_overall"))
    assert ratio.value == pytest.approx(frame.ratio(method="to_overall"))
    assert gap.low < gap.value < gap.high
    assert ratio.low < ratio.value < ratio.high
    between = measure("fairness.selection_rate", "difference", evidence)
    assert gap.high < between.high


def test_the_interval_of_the_gap_to_everyone_holds_its_coverage() -> None:
    rng, hit, runs = np.random.default_rng(11), 0, 300
    sizes, rates = np.array([400, 250, 80]), np.array([0.5, 0.5, 0.35])
    truth = np.abs(rates - (sizes * rates).sum() / sizes.sum()).max()
    for _ in range(runs):
        chosen = rng.binomial(sizes, rates)
        rows = []
        for name, n, k in zip("abc", sizes.tolist(), chosen.tolist(), strict=True):
            rows += [(name, 1, 1, k), (name, 1, 0, n - k)]
        gap = measure("fairness.selection_rate", "largest_gap_to_everyone", by_counts(rows))
        hit += gap.low <= truth <= gap.high
    assert hit / runs >= 0.93


def test_the_number_of_rows_that_would_decide_does_decide() -> None:
    def counted(more: int) -> Evidence:
        n = 150 + more
        small = round(0.42 * n)
        return by_counts([("F", 1, 1, 2000), ("F", 1, 0, 2000), ("M", 1, 1, small), ("M", 1, 0, n - small)])

    found = finding("fairness.selection_rate", counted(0))
    assert found.outcome is Outcome.INCONCLUSIVE
    more = found.measure("rows_to_decide")
    assert more is not None
    assert more.reason.params["group"] == "M"
    assert more.reason.code == "more_rows"
    again = finding("fairness.selection_rate", counted(int(1.25 * more.value)))
    assert again.outcome is not Outcome.INCONCLUSIVE
    halfway = finding("fairness.selection_rate", counted(int(0.6 * more.value)))
    assert halfway.outcome is Outcome.INCONCLUSIVE


def test_what_lies_on_its_limit_is_not_promised_to_be_decided() -> None:
    rows = [("F", 1, 1, 500), ("F", 1, 0, 500), ("M", 1, 1, 400), ("M", 1, 0, 600)]
    found = finding("fairness.selection_rate", by_counts(rows))
    more = found.measure("rows_to_decide")
    assert more.value is None
    assert more.reason.code == "too_near_the_limit"


def test_what_is_decided_asks_for_no_more_rows() -> None:
    rows = [("F", 1, 1, 5000), ("F", 1, 0, 5000), ("M", 1, 1, 1000), ("M", 1, 0, 9000)]
    found = finding("fairness.selection_rate", by_counts(rows))
    assert found.outcome is Outcome.FAIL
    assert found.measure("rows_to_decide") is None


def test_households_that_decide_alike_make_the_gap_to_everyone_less_certain() -> None:
    rng = np.random.default_rng(5)
    unit = np.repeat(np.arange(200), 5)
    group = np.repeat(rng.choice(["F", "M"], 200), 5)
    decision = np.repeat(rng.integers(0, 2, 200), 5)
    loose = measure(
        "fairness.selection_rate", "largest_gap_to_everyone", by_predictions(groups={"sex": group}, decision=decision)
    )
    tied = measure(
        "fairness.selection_rate",
        "largest_gap_to_everyone",
        by_predictions(groups={"sex": group}, decision=decision, unit=unit),
    )
    assert tied.high - tied.low > 1.5 * (loose.high - loose.low)


def test_errors_of_predicted_numbers_are_compared_by_pairs_as_by_hand() -> None:
    rng = np.random.default_rng(12)
    sex, race, label = rng.choice(["F", "M"], 800), rng.choice(["a", "b"], 800), rng.normal(0, 1, 800)
    value = label + np.where((sex == "F") & (race == "b"), 1.0, 0.0) + rng.normal(0, 0.2, 800)
    evidence = by_predictions(
        groups={"sex": sex, "race": race}, decision=value, label=label, task="regression", favourable=None
    )
    (found,) = all_of("fairness.regression_intersections", evidence)
    for group in found.groups:
        mine = (sex == group.group["sex"]) & (race == group.group["race"])
        given = {m.name: m.value for m in group.measures}
        assert given["mean_error"] == pytest.approx((value - label)[mine].mean())
        assert given["absolute_error"] == pytest.approx(np.abs(value - label)[mine].mean())
    assert found.measure("mean_error_difference").low > 0.8


def test_predicted_numbers_without_labels_are_told_also_from_a_dossier_alone() -> None:
    from dataclasses import replace

    rng = np.random.default_rng(13)
    label = rng.normal(0, 1, 400)
    label[:100] = np.nan
    evidence = by_predictions(
        groups={"sex": rng.choice(["F", "M"], 400)},
        decision=rng.normal(0, 1, 400),
        label=label,
        task="regression",
        favourable=None,
    )
    for given in (evidence, replace(evidence, rows=None)):
        found = finding("fairness.regression_error", given)
        assert found.reason.code == "many_unlabelled"
        assert found.reason.params == {"rows": 400, "unlabelled": 100}


def test_a_declaration_that_lost_the_order_of_its_columns_still_finds_the_same_pairs() -> None:
    import json
    from dataclasses import replace

    from checks.declaration import Declaration

    evidence, _, _ = crossed_groups(400)
    stored = json.loads(json.dumps(evidence.declaration.model_dump(mode="json"), sort_keys=True))
    again = replace(evidence, declaration=Declaration.model_validate(stored), rows=None)
    assert again.declaration.data.attributes == ("race", "sex")
    for code in ("fairness.intersections", "fairness.intersections_of_errors"):
        assert [dumped(f) for f in all_of(code, again)] == [dumped(f) for f in all_of(code, evidence)]


def test_what_the_model_did_not_answer_is_said_of_every_pair() -> None:
    from checks.sealing import seal
    from tests.make.evidence import declare, table

    declaration = declare(route="model", groups=("sex", "race"))
    given = table(groups={"sex": ["F", "M"], "race": ["a", "b"]}, features={"x": [1.0, 2.0]})
    failed = seal(declaration, submission_digest="0" * 64, table=given, model_fault={"code": "crashed"})
    (found,) = all_of("fairness.intersections", failed)
    assert (found.outcome, found.reason.code) == (Outcome.NOT_GATHERED, "model_fault")
