"""Definition traps: where two readings of one word give different figures, which one is taken here."""

from __future__ import annotations

import numpy as np
import pytest

from checks.evidence import Evidence
from checks.finding import Outcome
from tests.make.evidence import by_counts, by_model, by_predictions, codes, declare, table
from tests.make.judged import finding, group, measure, of_group


def two_groups(*, f: tuple[int, int], m: tuple[int, int]) -> Evidence:
    """Counts of (favourable, adverse) decisions of two groups, all with a favourable label."""
    return by_counts([("F", 1, 1, f[0]), ("F", 1, 0, f[1]), ("M", 1, 1, m[0]), ("M", 1, 0, m[1])])


def test_a_model_that_favours_nobody_has_no_gap_no_ratio_and_is_not_within() -> None:
    found = finding("fairness.selection_rate", two_groups(f=(0, 500), m=(0, 500)))
    difference, ratio = found.measure("difference"), found.measure("ratio")
    assert difference is not None
    assert ratio is not None
    assert difference.value == 0.0
    assert difference.high is not None
    assert difference.high > 0.0
    assert ratio.value is None
    assert ratio.reason is not None
    assert ratio.reason.code == "nobody"
    assert found.outcome is Outcome.INCONCLUSIVE


def test_a_denominator_of_zero_stays_empty() -> None:
    evidence = by_counts([("F", 0, 0, 100), ("M", 1, 1, 50), ("M", 1, 0, 50), ("M", 0, 0, 50), ("X", 1, 0, 80)])
    found = finding("fairness.equal_opportunity", evidence)
    empty = of_group(found, "F", "true_positive_rate")
    assert (empty.value, empty.low, empty.high, empty.rows) == (None, None, None, 0)
    assert empty.reason is not None
    assert empty.reason.code == "denominator_zero"
    # The group without a value is not taken for one with rate 0: the gap is that of M and X.
    assert measure("fairness.equal_opportunity", "difference", evidence).value == pytest.approx(0.5)
    assert of_group(finding("fairness.predictive_parity", evidence), "F", "precision").value is None


def test_equalised_odds_is_the_larger_gap_and_not_the_sum() -> None:
    cells = [("F", 1, 1, 500), ("F", 1, 0, 500), ("F", 0, 1, 100), ("F", 0, 0, 900)]
    cells += [("M", 1, 1, 700), ("M", 1, 0, 300), ("M", 0, 1, 250), ("M", 0, 0, 750)]
    evidence = by_counts(cells)
    difference = measure("fairness.equalised_odds", "difference", evidence)
    ratio = measure("fairness.equalised_odds", "ratio", evidence)
    assert difference.value == pytest.approx(0.2)
    assert ratio.value == pytest.approx(0.4)
    single = measure("fairness.equal_opportunity", "difference", evidence)
    assert difference.low is not None
    assert single.low is not None
    # Two rates are judged as one, so its interval is a little wider than that of one rate alone.
    assert difference.low < single.low


def test_a_group_of_18_is_shown_and_does_not_lead_the_headline() -> None:
    cells = [("A", 1, 1, 500), ("A", 1, 0, 500), ("B", 1, 1, 480), ("B", 1, 0, 520), ("C", 1, 1, 0), ("C", 1, 0, 18)]
    found = finding("fairness.selection_rate", by_counts(cells))
    difference = found.measure("difference")
    assert difference is not None
    assert difference.value == pytest.approx(0.02)
    small = group(found, "C")
    assert small.too_small
    assert small.rows == 18
    rate = of_group(found, "C", "selection_rate")
    assert rate.value == 0.0
    assert rate.high is not None
    assert rate.high > 0.1
    assert found.reason is not None
    assert found.reason.params["small_groups"] == 1


def test_the_score_of_the_adverse_class_is_not_taken_for_the_favourable_one() -> None:
    # The model scores "no", the adverse class; a high score is a bad outcome.
    declaration = declare(route="model", classes=("yes", "no"), favourable="yes", groups=("sex",))
    given = table(
        groups={"sex": ["F"] * 300 + ["M"] * 300},
        label=codes([0] * 600),
        features={"x": np.r_[np.full(300, 0.9), np.full(300, 0.1)]},
    )
    evidence = by_model(given, lambda t: t.column("x").to_numpy().reshape(-1, 1), declaration)
    found = finding("fairness.selection_rate", evidence)
    assert of_group(found, "F", "selection_rate").value == 0.0
    assert of_group(found, "M", "selection_rate").value == 1.0


def test_a_model_that_favours_nobody_is_a_finding_though_its_gap_is_nothing() -> None:
    rng = np.random.default_rng(3)
    label = rng.integers(0, 2, 600)
    evidence = by_predictions(
        groups={"sex": rng.choice(["F", "M"], 600)}, decision=np.zeros(600, dtype=int), label=label
    )
    assert measure("fairness.selection_rate", "difference", evidence).value == 0.0
    same = finding("accuracy.majority_class", evidence)
    assert same.outcome is Outcome.FAIL
    assert same.limit["classes_chosen"].outcome is Outcome.FAIL


@pytest.mark.parametrize("favourable", ["yes", "no"])
def test_the_favourable_outcome_and_not_the_scored_class_says_who_is_better_off(favourable: str) -> None:
    rng = np.random.default_rng(5)
    sex, score = rng.choice(["F", "M"], 2000), rng.random(2000)
    decision = (score + 0.2 * (sex == "M") >= 0.5).astype(int)
    evidence = by_predictions(
        groups={"sex": sex}, decision=decision, label=decision, score=score, favourable=favourable
    )
    found = finding("fairness.selection_rate", evidence)
    chosen = decision == (1 if favourable == "yes" else 0)
    for name in ("F", "M"):
        assert of_group(found, name, "selection_rate").value == pytest.approx(chosen[sex == name].mean())
        assert of_group(found, name, "adverse_rate").value == pytest.approx(1 - chosen[sex == name].mean())
