"""Calibration, ranking and proxies per group against scikit-learn and against what is known of drawn data."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from checks.evidence import Evidence
from checks.finding import Outcome
from checks.statistics import sum_of_distances
from checks.telling import alone, coded, dealt, ranked
from tests.make.evidence import by_predictions
from tests.make.judged import finding, judged, measure, of_group


def scored(n: int = 4000, shift: float = 0.0, seed: int = 2, **more: object) -> tuple[Evidence, dict[str, np.ndarray]]:
    """Labels drawn from the scores themselves; in group M they come `shift` more often than stated."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["F", "M"], n)
    score = rng.beta(2, 2, n) * 0.8
    label = (rng.random(n) < np.clip(score + shift * (group == "M"), 0, 1)).astype(int)
    decision = (score > 0.4).astype(int)
    evidence = by_predictions(groups={"sex": group}, decision=decision, label=label, score=score, **more)
    return evidence, {"group": group, "score": score, "label": label}


def test_the_auc_of_each_group_is_scikit_learns() -> None:
    evidence, given = scored()
    found = finding("fairness.auc_by_group", evidence)
    each = {}
    for name in ("F", "M"):
        kept = given["group"] == name
        each[name] = roc_auc_score(given["label"][kept], given["score"][kept])
        assert of_group(found, name, "auc").value == pytest.approx(each[name])
    gap = found.measure("difference")
    assert gap.value == pytest.approx(abs(each["F"] - each["M"]))
    assert gap.low <= gap.value <= gap.high


def test_the_expected_calibration_error_is_that_of_scikit_learns_curve() -> None:
    evidence, given = scored(shift=0.1)
    found = finding("fairness.calibration_by_group", evidence)
    for name in ("F", "M"):
        kept = given["group"] == name
        label, score = given["label"][kept], given["score"][kept]
        happened, stated = calibration_curve(label, score, n_bins=10)
        counts = np.histogram(score, bins=np.linspace(0, 1, 11))[0]
        expected = (counts[counts > 0] / counts.sum() * np.abs(happened - stated)).sum()
        assert of_group(found, name, "expected_gap").value == pytest.approx(expected)
        assert of_group(found, name, "mean_gap").value == pytest.approx((label - score).mean())
    (figure,) = judged("fairness.calibration_by_group", evidence)[0].figures
    assert figure.kind == "calibration"
    assert sum(figure.columns["rows"]) == len(given["label"])


def test_a_group_that_is_rated_too_low_is_seen() -> None:
    evidence, _ = scored(shift=0.1)
    gap = measure("fairness.calibration_by_group", "mean_gap_difference", evidence)
    assert gap.low > 0.05
    assert gap.low < 0.1 < gap.high


def test_where_labels_follow_the_scores_no_error_is_claimed_for_certain() -> None:
    missed = 0
    for seed in range(100):
        evidence, _ = scored(600, seed=seed)
        largest = measure("fairness.calibration_by_group", "largest_expected_gap", evidence)
        missed += largest.low > 0.0
    assert missed <= 5


def test_the_interval_of_a_sum_of_distances_holds_also_where_all_distances_are_nothing() -> None:
    rng, hits, runs = np.random.default_rng(1), 0, 400
    share, spread = np.full(10, 0.1), np.full(10, 0.02**2)
    for truth in (np.zeros(10), np.linspace(-0.05, 0.1, 10)):
        hits = 0
        for _ in range(runs):
            low, high = sum_of_distances(truth + rng.normal(0, 0.02, 10), spread, share, 0.95)
            hits += low <= (share * np.abs(truth)).sum() <= high
        assert hits / runs >= 0.94


def test_scores_that_are_no_probabilities_are_not_compared_with_what_happened() -> None:
    rng = np.random.default_rng(0)
    evidence = by_predictions(
        groups={"sex": rng.choice(["F", "M"], 200)},
        decision=rng.integers(0, 2, 200),
        label=rng.integers(0, 2, 200),
        score=rng.normal(0, 3, 200),
    )
    found = finding("fairness.calibration_by_group", evidence)
    assert found.outcome is Outcome.NOT_GATHERED
    assert found.reason.code == "scores_only"
    assert finding("fairness.auc_by_group", evidence).outcome is Outcome.MEASURED


def test_a_group_with_few_of_the_rarer_outcome_does_not_lead_the_gap_in_auc() -> None:
    rng = np.random.default_rng(4)
    group = np.array(["A"] * 500 + ["B"] * 500 + ["C"] * 40)
    label = rng.integers(0, 2, 1040)
    label[1000:] = [1] * 3 + [0] * 37
    score = np.clip(0.5 * label + rng.random(1040) * 0.5, 0, 1)
    score[1000:] = np.linspace(0.1, 0.9, 40)
    evidence = by_predictions(groups={"sex": group}, decision=label, label=label, score=score)
    found = finding("fairness.auc_by_group", evidence)
    assert next(g for g in found.groups if g.group["sex"] == "C").too_small
    assert found.measure("difference").value < 0.05


def proxied(n: int = 3000) -> Evidence:
    rng = np.random.default_rng(6)
    sex = rng.choice(["F", "M"], n)
    woman = sex == "F"
    first = rng.integers(0, 2, n)
    features = {
        "spelled": np.where(woman, "mevrouw", "meneer").tolist(),
        "height": np.where(woman, 168.0, 181.0) + rng.normal(0, 7, n),
        "noise": rng.normal(0, 1, n),
        "first": first,
        "second": np.where(woman, first, 1 - first),
    }
    return by_predictions(groups={"sex": sex}, decision=rng.integers(0, 2, n), features=features)


def test_inputs_that_tell_the_group_are_named_in_the_order_of_how_well_they_do() -> None:
    found = finding("fairness.proxies", proxied())
    told = {g.group["feature"]: g.measures[0] for g in found.groups}
    assert next(iter(told)) == "spelled"
    assert told["spelled"].value > 0.999
    height = told["height"]
    # Two normal distributions that stand 13 apart with a spread of 7: the chance of the right order is known.
    from scipy.stats import norm

    assert height.low < norm.cdf(13 / 7 / np.sqrt(2)) < height.high + 0.01
    assert told["noise"].low < 0.5 < told["noise"].high
    assert found.reason.params["strongest"] == "spelled"


def test_inputs_that_tell_the_group_only_together_are_found() -> None:
    evidence = proxied()
    from dataclasses import replace

    rows = evidence.rows.drop_columns(["feature:spelled", "feature:height"])
    found = finding("fairness.proxies", replace(evidence, rows=rows))
    assert found.measure("strongest_input").value < 0.55
    assert found.measure("all_inputs").value > 0.95


def test_a_column_that_is_the_attribute_itself_is_left_out_of_its_proxies() -> None:
    rng = np.random.default_rng(6)
    sex = rng.choice(["F", "M"], 300).tolist()
    features = {"sex": sex, "noise": rng.normal(0, 1, 300)}
    evidence = by_predictions(groups={"sex": sex}, decision=[0, 1] * 150, features=features)
    found = finding("fairness.proxies", evidence)
    assert [g.group["feature"] for g in found.groups] == ["noise"]


def test_the_same_seed_looks_at_the_same_rows() -> None:
    evidence = proxied(6000)
    first, again = (finding("fairness.proxies", evidence) for _ in range(2))
    assert first == again
    assert first.reason.params["sample"] == 4000


def test_ranking_is_scikit_learns_auc_and_out_of_fold_scores_do_not_flatter() -> None:
    rng = np.random.default_rng(8)
    target, score = rng.integers(0, 2, 500).astype(bool), rng.integers(0, 20, 500).astype(float)
    assert ranked(target, score, 0.95)[0] == pytest.approx(roc_auc_score(target, score))
    import pyarrow as pa

    # Every row has a value of its own, so a model that saw its own rows would tell them all.
    names = pa.chunked_array([pa.array([f"v{i}" for i in range(500)])])
    column = coded("names", names, np.arange(500))
    told = ranked(target, alone(column, target, dealt(500, rng)), 0.95)
    assert told[0] < 0.6


def test_a_person_is_not_told_from_another_row_of_the_same_person() -> None:
    rng = np.random.default_rng(12)
    people, copies = 200, 5
    group = rng.choice(["a", "b"], people)
    # Each person has a name, which says nothing of the group but to whoever knows the person.
    name = np.repeat([f"n{i}" for i in range(people)], copies).tolist()
    given = {
        "groups": {"g": np.repeat(group, copies)},
        "decision": np.repeat(rng.integers(0, 2, people), copies),
        "features": {"name": name, "other": rng.normal(size=people * copies)},
    }
    with_units = by_predictions(**given, unit=np.repeat(np.arange(people), copies))
    alone, known = (
        finding("fairness.proxies", evidence).measure("all_inputs")
        for evidence in (by_predictions(**given), with_units)
    )
    assert alone is not None
    assert known is not None
    assert alone.value is not None
    assert known.value is not None
    assert alone.value > 0.99
    assert known.value < 0.6
