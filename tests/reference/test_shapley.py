"""Our Shapley values against shap's exact explainer, against values worked out by hand, and against theory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from checks.explainability._shapley import Shapley, as_shap_explanation, shapley_values
from checks.probes.coalitions import plan_coalitions, players_of
from tests.make.evidence import declare

Floats = NDArray[np.float64]
Model = Callable[[Floats], Floats]


def explain(
    model: Model,
    x: Floats,
    *,
    seed: int = 1,
    use_features: bool = True,
    players: list[tuple[str, tuple[str, ...]]] | None = None,
    **sizes: int,
) -> tuple[Shapley, Floats, Floats]:
    """Explain a model of a numeric matrix; give the values, the explained rows and the background rows."""
    names = [f"x{i}" for i in range(x.shape[1])]
    table = pa.table({n: x[:, i] for i, n in enumerate(names)})
    plan = plan_coalitions(table, players or [(n, (n,)) for n in names], np.random.default_rng(seed), **sizes)
    assert plan is not None
    asked = np.stack([plan.rows.column(n).to_numpy() for n in names], axis=1)
    values = shapley_values(model(asked), plan.facts, features=table if use_features else None)
    return values, x[plan.facts["explained"]], x[plan.facts["background"]]


def by_shap(model: Model, explained: Floats, background: Floats) -> Floats:
    """Ask shap's exact explainer, which enumerates every coalition, with the same background."""
    import shap

    masker = shap.maskers.Independent(background, max_samples=len(background))
    return np.asarray(shap.explainers.Exact(model, masker)(explained, silent=True).values)


def grown(kind: str) -> tuple[Model, Floats]:
    """Fit a small model of correlated inputs that interact."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 6))
    x[:, 1] += 0.7 * x[:, 0]
    x[:, 3] = rng.integers(0, 3, 300)
    x[:, 4] = (rng.random(300) < 0.2) * rng.exponential(3.0, 300)
    chance = 1.0 / (1.0 + np.exp(-(1.5 * x[:, 0] + x[:, 1] * x[:, 2] + 2.0 * (x[:, 3] == 1) + 0.4 * x[:, 4] - 1.0)))
    y = rng.random(300) < chance
    made = {
        "boosted": HistGradientBoostingClassifier(max_iter=30, random_state=0),
        "forest": RandomForestClassifier(20, max_depth=5, random_state=0),
        "logistic": LogisticRegression(),
    }[kind].fit(x, y)
    return (lambda rows: np.asarray(made.predict_proba(rows)[:, 1])), x


@pytest.mark.parametrize("kind", ["boosted", "forest", "logistic"])
def test_sampled_values_lie_within_their_stated_error_of_shaps_exact_ones(kind: str) -> None:
    model, x = grown(kind)
    ours, explained, background = explain(model, x, budget_rows=8_000, explained_rows=40, background_rows=120)
    assert not ours.exact
    gap = ours.values - by_shap(model, explained, background)
    stated = float(np.sqrt((ours.errors**2).mean()))
    assert float(np.sqrt((gap**2).mean())) < 1.25 * stated
    # Per value too, not on average alone: a few of many fall outside three of their own errors.
    assert float((np.abs(gap) > 3.0 * ours.errors + 1e-12).mean()) < 0.08
    # And the error must be worth stating: well below the values themselves.
    assert stated < 0.6 * float(np.abs(ours.values).mean())


@pytest.mark.parametrize("kind", ["boosted", "logistic"])
def test_all_coalitions_asked_gives_shaps_exact_values(kind: str) -> None:
    model, x = grown(kind)
    ours, explained, background = explain(model, x, budget_rows=64_000, explained_rows=12, background_rows=60)
    assert ours.exact
    np.testing.assert_allclose(ours.values, by_shap(model, explained, background), atol=1e-9)
    assert float(ours.errors.max()) == 0.0


def test_the_error_falls_as_the_budget_grows() -> None:
    model, x = grown("boosted")
    few, *_ = explain(model, x, budget_rows=3_000, explained_rows=40, background_rows=300)
    many, *_ = explain(model, x, budget_rows=24_000, explained_rows=40, background_rows=300)
    assert many.pairs > 4 * few.pairs
    assert many.errors.mean() < 0.6 * few.errors.mean()


GRID = np.array([[a, b] for a in (0.0, 1.0) for b in (0.0, 1.0)])


@pytest.mark.parametrize(
    ("name", "of_both", "for_one_zero"),
    [
        # v() = 1/4, v({1}) = v({2}) = 1/2, v({1,2}) = 1 for the row (1, 1), so each gets (1/4 + 1/2) / 2 = 3/8.
        ("and", (3 / 8, 3 / 8), (1 / 8, -3 / 8)),
        # v() = 3/4, one known to be 1 makes it 1: each gets (1/4 + 0) / 2 = 1/8.
        ("or", (1 / 8, 1 / 8), (3 / 8, -1 / 8)),
        # v() = v({1}) = v({2}) = 1/2 and v({1,2}) = 0 for (1, 1): each gets (0 - 1/2) / 2 = -1/4; +1/4 for (1, 0).
        ("xor", (-1 / 4, -1 / 4), (1 / 4, 1 / 4)),
    ],
)
def test_gates_have_the_values_worked_out_by_hand(
    name: str, of_both: tuple[float, float], for_one_zero: tuple[float, float]
) -> None:
    gate: dict[str, Model] = {
        "and": lambda r: r[:, 0] * r[:, 1],
        "or": lambda r: np.maximum(r[:, 0], r[:, 1]),
        "xor": lambda r: np.abs(r[:, 0] - r[:, 1]),
    }
    ours, explained, _ = explain(gate[name], GRID)
    assert ours.exact
    at = {tuple(row): values for row, values in zip(explained.tolist(), ours.values, strict=True)}
    np.testing.assert_allclose(at[1.0, 1.0], of_both, atol=1e-12)
    np.testing.assert_allclose(at[1.0, 0.0], for_one_zero, atol=1e-12)


@pytest.mark.parametrize("gate", ["and", "or", "xor"])
def test_trees_of_gates_agree_with_the_gates(gate: str) -> None:
    from sklearn.tree import DecisionTreeRegressor

    target = {"and": GRID.all(axis=1), "or": GRID.any(axis=1), "xor": GRID.sum(axis=1) == 1}[gate].astype(float)
    tree = DecisionTreeRegressor(random_state=0).fit(GRID, target)
    ours, explained, background = explain(lambda r: np.asarray(tree.predict(r)), GRID)
    np.testing.assert_allclose(ours.values, by_shap(tree.predict, explained, background), atol=1e-12)


def test_a_linear_model_gives_weight_times_distance_from_the_mean() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 7)) * np.array([1.0, 5.0, 0.1, 2.0, 1.0, 1.0, 3.0])
    weight = np.array([2.0, -0.5, 10.0, 0.0, 1.0, -1.0, 0.3])
    ours, explained, background = explain(
        lambda r: r @ weight + 4.0, x, budget_rows=10_000, explained_rows=100, background_rows=400
    )
    assert not ours.exact
    wanted = weight * (explained - background.mean(axis=0))
    # The additive part is foretold and its mean known, so almost nothing is left to chance.
    assert float(np.abs(ours.values - wanted).max()) < 1e-3
    plain, *_ = explain(
        lambda r: r @ weight + 4.0,
        x,
        budget_rows=10_000,
        explained_rows=100,
        background_rows=400,
        use_features=False,
    )
    assert float(np.abs(plain.values - wanted).mean()) > 100 * float(np.abs(ours.values - wanted).mean())


def test_a_constant_model_moves_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(200, 9))
    ours, *_ = explain(lambda r: np.full(len(r), 0.3), x)
    assert not ours.exact
    assert float(np.abs(ours.values).max()) == 0.0
    assert float(ours.errors.max()) == 0.0


def test_an_input_that_is_not_used_gets_exactly_zero() -> None:
    model, x = grown("logistic")
    x = np.concatenate([x, np.random.default_rng(9).normal(size=(len(x), 3))], axis=1)
    ours, *_ = explain(lambda r: model(r[:, :6]), x, budget_rows=10_000)
    assert not ours.exact
    assert float(np.abs(ours.values[:, 6:]).max()) == 0.0
    assert float(np.abs(ours.values[:, :6]).mean()) > 0.0


@pytest.mark.parametrize("budget_rows", [4_000, 64_000])
def test_values_add_up_to_the_answer_less_the_average(budget_rows: int) -> None:
    model, x = grown("forest")
    ours, explained, background = explain(model, x, budget_rows=budget_rows, explained_rows=15, background_rows=50)
    np.testing.assert_allclose(ours.values.sum(axis=1) + ours.base, model(explained), atol=1e-12)
    np.testing.assert_allclose(ours.base, model(background).mean(), atol=1e-12)


def test_a_seed_gives_the_same_values_again_and_another_seed_others() -> None:
    model, x = grown("boosted")
    first, *_ = explain(model, x, seed=4, budget_rows=4_000)
    again, *_ = explain(model, x, seed=4, budget_rows=4_000)
    other, *_ = explain(model, x, seed=5, budget_rows=4_000)
    np.testing.assert_array_equal(first.values, again.values)
    assert first.values.shape != other.values.shape or not np.array_equal(first.values, other.values)


def test_dummies_of_one_category_are_one_input_and_never_contradict_each_other() -> None:
    rng = np.random.default_rng(2)
    status = rng.integers(0, 3, 240)
    x = np.concatenate([rng.normal(size=(240, 3)), np.eye(3)[status]], axis=1)
    declaration = declare(route="model")
    declaration = declaration.model_copy(
        update={"inputs": declaration.inputs.model_copy(update={"dummies": {"status": ("x3", "x4", "x5")}})}
    )
    players = players_of([f"x{i}" for i in range(6)], declaration)
    assert players == [("x0", ("x0",)), ("x1", ("x1",)), ("x2", ("x2",)), ("status", ("x3", "x4", "x5"))]
    seen: list[Floats] = []

    def model(rows: Floats) -> Floats:
        seen.append(rows)
        return np.asarray(rows[:, 0] + rows[:, 3:] @ np.array([0.0, 1.0, 5.0]))

    ours, explained, background = explain(model, x, players=players, budget_rows=6_000, explained_rows=60)
    assert ours.values.shape[1] == 4
    # Every row asked has exactly one of the three set: no person is single and married at once.
    np.testing.assert_array_equal(seen[0][:, 3:].sum(axis=1), 1.0)
    worth = np.array([0.0, 1.0, 5.0])
    wanted = explained[:, 3:] @ worth - (background[:, 3:] @ worth).mean()
    np.testing.assert_allclose(ours.values[:, 3], wanted, atol=5e-3)


def test_shaps_own_plots_draw_the_explanation() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import shap

    model, x = grown("forest")
    ours, explained, _ = explain(model, x, budget_rows=4_000, explained_rows=30)
    explanation = as_shap_explanation(ours, [f"input {i}" for i in range(6)], ranks=explained)
    assert explanation.shape == (30, 6)
    for plot in (shap.plots.bar, shap.plots.beeswarm):
        axes = plot(explanation, show=False)
        assert {t.get_text() for t in axes.get_yticklabels()} >= {f"input {i}" for i in range(6)}
        plt.close("all")
    axes = shap.plots.waterfall(explanation[0], show=False)
    assert any("input 0" in t.get_text() for t in axes.get_yticklabels())
    plt.close("all")
