"""Our effect curves against scikit-learn, against a case worked out by hand, and against theory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from checks.asking import Plan
from checks.evidence import Table
from checks.explainability.effects import FEWEST_IN_BIN, accumulated, filled, partial_dependence
from checks.probes.effects import BUDGET_ROWS, GRID, effects
from tests.make.evidence import declare, table

Floats = NDArray[np.float64]


def plan_of(given: Table, seed: int = 1) -> Plan:
    plan = effects.plan(given, declare(route="model"), np.random.default_rng(seed))
    assert plan is not None
    return plan


def asked_of(plan: Plan, model: Callable[[Floats], Floats]) -> Floats:
    """Give the answers, one line per value asked, (g, r)."""
    rows = np.stack([c.to_numpy() for c in plan.rows.columns], axis=1)
    return model(rows)[len(plan.facts["row"]) :].reshape(-1, len(plan.facts["row"]))


def numbers(rows: int = 300) -> Floats:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(rows, 4))
    x[:, 1] += x[:, 0]
    x[:, 3] = rng.integers(0, 4, rows)
    return x


def in_bins(own: Floats, edges: Floats) -> list[int]:
    """Count the rows in each bin of Apley and Zhu: above an edge up to the next; the first holds its lower edge too."""
    return [
        int(((own > low) & (own <= high)).sum() + (own == edges[0]).sum() * (low == edges[0]))
        for low, high in pairwise(edges)
    ]


def named(x: Floats) -> Table:
    return table(features={f"x{i}": x[:, i] for i in range(x.shape[1])}, groups={"sex": ["F"] * len(x)})


def test_partial_dependence_is_scikit_learns() -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.inspection import partial_dependence as by_sklearn

    x = numbers()
    model = HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(x, x[:, 0] * x[:, 1] + x[:, 3])
    plan = plan_of(named(x))
    answered = asked_of(plan, model.predict)
    rows, weight = x[plan.facts["row"]], np.random.default_rng(2).random(len(plan.facts["row"])) + 0.1
    for j in range(x.shape[1]):
        chosen = plan.facts["player"] == j
        grid = x[plan.facts["donor"][chosen], j]
        for weights in (np.ones(len(rows)), weight):
            theirs = by_sklearn(
                model, rows, [j], method="brute", custom_values={j: grid}, sample_weight=weights, kind="average"
            )
            ours = partial_dependence(answered[chosen], weights[None, :])
            np.testing.assert_allclose(ours[0], theirs["average"][0], atol=1e-10)


def test_accumulated_effects_are_those_worked_out_by_hand() -> None:
    """Rows at 0, 1, 1 and 3, edges 0, 1 and 3, and answers x * z with z = 1, 1, 3, 5.

    In (0, 1], with the row at 0, the answers change by 1, 1 and 3: 5/3 on average. In (1, 3] by 2 * 5 = 10. Added up:
    0, 5/3, 35/3. Three rows lie between 0 and 5/3, at 5/6 on average, and one between 5/3 and 35/3, at 20/3: the
    average over rows is (3 * 5/6 + 20/3) / 4 = 55/24.
    """
    edges, z = np.array([0.0, 1.0, 3.0]), np.array([1.0, 1.0, 3.0, 5.0])
    found = accumulated(edges[:, None] * z, np.array([0.0, 1.0, 1.0, 3.0]), edges, np.ones((1, 4)))
    np.testing.assert_allclose(found[0], np.array([0.0, 5 / 3, 35 / 3]) - 55 / 24)
    # A weight of 2 is the same as the row twice, and a row without a value is left out.
    twice = accumulated(
        edges[:, None] * np.append(z, [5.0, 9.0]), np.array([0, 1, 1, 3, 3, np.nan]), edges, np.ones((1, 6))
    )
    weighed = accumulated(edges[:, None] * z, np.array([0.0, 1.0, 1.0, 3.0]), edges, np.array([[1.0, 1.0, 1.0, 2.0]]))
    np.testing.assert_allclose(twice, weighed)


def test_of_inputs_that_go_together_accumulated_effects_tell_the_one_that_is_used() -> None:
    """Where x1 is x0 with little noise, a model that breaks off the beaten track fools partial dependence alone."""
    rng = np.random.default_rng(0)
    x = rng.random((2_000, 2))
    x[:, 1] = x[:, 0] + rng.normal(scale=0.01, size=2_000)

    def model(rows: Floats) -> Floats:
        off = np.abs(rows[:, 0] - rows[:, 1]) > 0.25
        return np.asarray(np.where(off, 50.0 * rows[:, 0], rows[:, 0]))

    plan = plan_of(named(x))
    answered = asked_of(plan, model)
    chosen = plan.facts["player"] == 0
    edges, own = x[plan.facts["donor"][chosen], 0], x[plan.facts["row"], 0]
    once = np.ones((1, len(own)))
    near = accumulated(answered[chosen], own, edges, once)[0]
    np.testing.assert_allclose(np.diff(near), np.diff(edges), rtol=1e-6)
    assert np.ptp(partial_dependence(answered[chosen], once)[0]) > 10.0


def test_a_linear_model_has_straight_curves_of_its_weights() -> None:
    x, weight = numbers(), np.array([2.0, -1.0, 0.0, 3.0])
    plan = plan_of(named(x))
    answered, own = asked_of(plan, lambda rows: rows @ weight), x[plan.facts["row"]]
    once = np.ones((1, len(own)))
    for j in range(4):
        chosen = plan.facts["player"] == j
        edges = x[plan.facts["donor"][chosen], j]
        assert (np.diff(edges) > 0).all()
        assert edges[0] == own[:, j].min()
        assert edges[-1] == own[:, j].max()
        for curve in (
            partial_dependence(answered[chosen], once)[0],
            accumulated(answered[chosen], own[:, j], edges, once)[0],
        ):
            np.testing.assert_allclose(np.diff(curve), weight[j] * np.diff(edges), atol=1e-10)


@pytest.mark.parametrize("inputs", [1, 12, 150, 400])
def test_what_is_asked_stays_within_the_budget(inputs: int) -> None:
    x = np.random.default_rng(0).normal(size=(500, inputs))
    plan = plan_of(named(x))
    assert plan.rows.num_rows <= BUDGET_ROWS + len(plan.facts["row"])
    asked = len(set(plan.facts["player"].tolist()))
    assert asked == min(inputs, BUDGET_ROWS // (GRID * 20))


def test_every_bin_holds_rows_and_dummies_change_together() -> None:
    rng = np.random.default_rng(0)
    debt = np.where(rng.random(400) < 0.9, 0.0, rng.exponential(100.0, 400))
    status = rng.integers(0, 3, 400)
    x = np.concatenate([debt[:, None], np.eye(3)[status]], axis=1)
    declared = declare(route="model")
    declared = declared.model_copy(
        update={"inputs": declared.inputs.model_copy(update={"dummies": {"status": ("x1", "x2", "x3")}})}
    )
    plan = effects.plan(named(x), declared, np.random.default_rng(0))
    assert plan is not None
    asked = np.stack([c.to_numpy() for c in plan.rows.columns], axis=1)
    np.testing.assert_array_equal(asked[:, 1:].sum(axis=1), 1.0)
    own = x[plan.facts["row"], 0]
    edges = x[plan.facts["donor"][plan.facts["player"] == 0], 0]
    kept = edges[filled(own, edges)]
    assert len(kept) >= 3
    assert min(in_bins(own, kept)) >= FEWEST_IN_BIN == 5


def test_categories_are_asked_by_how_often_they_occur() -> None:
    job = pa.array(["cook"] * 60 + ["smith"] * 30 + ["judge"] * 10).dictionary_encode()
    plan = plan_of(table(features={"job": job, "x": np.arange(100.0)}, groups={"sex": ["F"] * 100}))
    jobs = job.cast(pa.string()).to_pylist()
    assert [jobs[d] for d in plan.facts["donor"][plan.facts["player"] == 0]] == ["cook", "smith", "judge"]


def test_a_column_that_is_mostly_zero_gets_a_curve_over_its_other_values() -> None:
    rng = np.random.default_rng(3)
    x = numbers(2_000)
    x[:, 2] = np.where(rng.random(len(x)) < 0.085, np.round(rng.lognormal(8.5, 0.9, len(x))), 0.0)
    for seed in range(5):
        plan = plan_of(named(x), seed)
        edges = np.sort(x[plan.facts["donor"][plan.facts["player"] == 2], 2])
        own = x[plan.facts["row"], 2]
        kept = edges[filled(own, edges)]
        assert len(kept) >= 3
        assert kept[0] == edges[0] == 0.0
        assert kept[-1] == edges[-1] == own.max()
        assert min(in_bins(own, kept)) >= FEWEST_IN_BIN


def test_where_rows_are_too_few_for_two_bins_there_is_one() -> None:
    assert filled(np.arange(9.0), np.arange(9.0)) == [0, 8]
    assert filled(np.arange(10.0), np.arange(10.0)) == [0, 4, 9]
    assert filled(np.append(np.arange(10.0), np.nan), np.array([0.0, 9.0])) == [0, 1]
