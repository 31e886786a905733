"""Several rows of one person: copies of a row say nothing new, and intervals hold their coverage where rows cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from checks.counting import Cells, Units
from checks.evidence import Evidence
from checks.finding import Finding
from checks.statistics import mean_of_rows
from tests.make.evidence import by_predictions
from tests.make.judged import finding

CLASSES = (
    "accuracy.overall",
    "accuracy.majority_class",
    "accuracy.scores",
    "accuracy.inverse",
    "data_governance.label_balance",
    "fairness.accuracy_by_group",
    "fairness.auc_by_group",
    "fairness.calibration_by_group",
    "fairness.equal_opportunity",
    "fairness.predictive_parity",
    "fairness.selection_rate",
)
NUMBERS = ("accuracy.regression", "fairness.regression_error")


def people(task: str, copies: int, *, seed: int = 3, size: int = 300) -> Evidence:
    """Draw people with weights, each with as many rows as asked that are all alike."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b", "c"], size)
    weight = rng.lognormal(0, 0.4, size)
    unit = np.arange(size)
    given: dict[str, Any] = {"task": task}
    if task == "regression":
        label = rng.normal(5, 2, size)
        columns = {"label": label, "decision": label + rng.normal(0.2, 1, size)}
        given["favourable"] = None
    else:
        score = rng.beta(2, 2, size)
        columns = {"label": rng.random(size) < score, "decision": score > 0.5, "score": score}
    return by_predictions(
        groups={"g": np.repeat(group, copies)},
        weight=np.repeat(weight, copies),
        unit=np.repeat(unit, copies),
        **{name: np.repeat(column, copies) for name, column in columns.items()},
        **given,
    )


def told(found: Finding) -> dict[str, tuple[float, float]]:
    every = {m.name: m for m in found.measures}
    every |= {f"{m.name} of {g.group}": m for g in found.groups for m in g.measures}
    return {n: (m.low, m.high) for n, m in every.items() if m.low is not None and m.high is not None}


@pytest.mark.parametrize(
    ("check", "task"), [*((c, "binary") for c in CLASSES), *((c, "regression") for c in NUMBERS)], ids=str
)
def test_copies_of_a_persons_row_make_nothing_more_certain(check: str, task: str) -> None:
    one, four = (told(finding(check, people(task, copies))) for copies in (1, 4))
    assert one
    assert set(one) == set(four)
    for name, bounds in one.items():
        assert four[name] == pytest.approx(bounds, abs=1e-9), name


def test_without_the_rows_no_certainty_is_stated_where_rows_may_go_together() -> None:
    from dataclasses import replace

    for check, task in (("accuracy.overall", "binary"), ("fairness.regression_error", "regression")):
        found = finding(check, replace(people(task, 2), rows=None))
        uncertain = [m for m in found.measures if m.interval != "exact" and m.value is not None]
        assert uncertain
        assert all(m.low is None and m.high is None for m in uncertain)


def test_the_spread_of_all_others_is_that_of_the_others_added_up_one_by_one() -> None:
    rng = np.random.default_rng(8)
    n = 500
    group, unit, hit = rng.integers(0, 5, n), rng.integers(0, 90, n), rng.random(n) < 0.4
    weight = rng.lognormal(0, 0.5, n)

    def cells(of: np.ndarray, groups: int) -> Cells:
        none = np.zeros(n, dtype=np.int64)
        return Cells(
            names=tuple(str(g) for g in range(groups)),
            group=of.astype(np.int64),
            label=none,
            decision=none,
            rows=none + 1,
            weight=weight,
            weight_squared=weight**2,
        )

    every = np.ones(n, dtype=np.bool_)
    means = np.array([np.average(hit[group != g], weights=weight[group != g]) for g in range(5)])
    together = Units(rows=cells(group, 5), unit=unit).spread_of_rest(every, hit, means)
    for g in range(5):
        alone = Units(rows=cells(group != g, 2), unit=unit).spread(every, hit, np.array([0.0, means[g]]))
        for name in ("units", "weight", "squares", "spread"):
            assert getattr(together, name)[g] == pytest.approx(getattr(alone, name)[1]), name


@pytest.mark.parametrize("groups", [2, 8])
def test_95_percent_is_95_percent_for_the_extremes_where_rows_cluster(groups: int) -> None:
    rng, draws, held = np.random.default_rng(21), 200, np.zeros(2)
    rates = np.linspace(0.3, 0.5, groups)
    households = 60 if groups == 8 else 100
    for _ in range(draws):
        group = np.repeat(np.arange(groups), households)
        own = rng.beta(rates[group] * 2, (1 - rates[group]) * 2)
        size = rng.integers(1, 6, len(group))
        unit = np.repeat(np.arange(len(group)), size)
        decision = rng.random(len(unit)) < own[unit]
        found = finding(
            "fairness.selection_rate",
            by_predictions(groups={"g": group[unit].astype(str)}, decision=decision, unit=unit),
        )
        for i, (name, truth) in enumerate((("difference", 0.2), ("ratio", 0.6))):
            measure = found.measure(name)
            assert measure is not None
            assert measure.low is not None
            assert measure.high is not None
            held[i] += measure.low <= truth <= measure.high
    # Three standard errors of 200 draws below 95 %; the long form runs with the benchmarks.
    assert held.min() / draws >= 0.904, held / draws


def test_95_percent_is_95_percent_for_the_auc_and_the_calibration_where_rows_cluster() -> None:
    rng, draws = np.random.default_rng(22), 200
    gaps, aucs = 0, 0

    def draw(people_drawn: int) -> dict[str, np.ndarray]:
        own = rng.normal(0, 1, people_drawn)
        unit = np.repeat(np.arange(people_drawn), 4)
        score = 1 / (1 + np.exp(-(own[unit] + rng.normal(0, 0.3, len(unit)))))
        # Rows of one person share their luck as well, so that they are far from independent.
        luck = np.repeat(rng.random(people_drawn), 4)
        label = np.where(rng.random(len(unit)) < 0.7, luck, rng.random(len(unit))) < score
        return {"score": score, "label": label, "unit": unit}

    many = draw(100_000)
    order = np.argsort(many["score"])
    rank = np.empty(len(order))
    rank[order] = np.arange(1, len(order) + 1)
    positive = many["label"]
    true = (rank[positive].mean() - (positive.sum() + 1) / 2) / (~positive).sum()
    for _ in range(draws):
        given = draw(150)
        evidence = by_predictions(
            groups={"g": ["a"] * 600},
            decision=given["score"] > 0.5,
            label=given["label"],
            score=given["score"],
            unit=given["unit"],
        )
        auc = finding("accuracy.scores", evidence).measure("auc")
        (group,) = finding("fairness.calibration_by_group", evidence).groups
        gap = next(m for m in group.measures if m.name == "mean_gap")
        aucs += auc is not None and auc.low is not None and auc.high is not None and auc.low <= true <= auc.high
        gaps += gap.low is not None and gap.high is not None and gap.low <= 0.0 <= gap.high
    assert min(aucs, gaps) / draws >= 0.904, (aucs, gaps)


def test_rows_that_do_not_cluster_lose_nothing_by_being_told_apart() -> None:
    rng = np.random.default_rng(1)
    each, weight = rng.normal(0, 1, 400), rng.lognormal(0, 0.3, 400)
    alone, named = mean_of_rows(each, weight), mean_of_rows(each, weight, rng.permutation(400))
    assert named == pytest.approx(alone)


def test_rows_of_one_person_alone_make_nothing_certain() -> None:
    rng = np.random.default_rng(9)
    label = rng.integers(0, 2, 200)
    given: dict[str, Any] = {"groups": {"g": ["a"] * 200}, "label": label, "unit": np.zeros(200, dtype=np.int64)}
    evidence = by_predictions(decision=rng.integers(0, 2, 200), score=rng.random(200), **given)
    for check in ("accuracy.overall", "accuracy.scores", "accuracy.majority_class", "accuracy.inverse"):
        for measure in finding(check, evidence).measures:
            if measure.value is not None and measure.interval not in ("", "exact"):
                assert measure.low is not None
                assert measure.high is not None
                assert measure.high - measure.low > 0.5, measure
