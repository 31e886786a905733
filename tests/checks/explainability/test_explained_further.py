"""What is said beside importance: stability, inputs that go together, groups, weights, units and effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from checks.asking import rng_for
from checks.evidence import Evidence
from checks.explainability._averages import Counted
from checks.explainability._shapley import shapley_values
from checks.explainability.inputs_together import cramers_v
from checks.finding import Finding, Measure, Outcome
from checks.judge import judge
from checks.policy import load
from checks.probes.coalitions import draw_background, plan_coalitions
from checks.registry import catalogue
from tests.checks.explainability.test_told_apart import Scaffold, people
from tests.make.evidence import by_model, codes, declare, table

Floats = NDArray[np.float64]
POLICY = load("default")
DERIVED = (
    "feature_importance",
    "single_decisions",
    "stability",
    "inputs_together",
    "effects",
    "difference_between_groups",
)


def run(name: str, evidence: Evidence) -> Finding:
    return judge(next(c for c in catalogue() if c.code == f"explainability.{name}"), evidence, POLICY)[0].finding


def measure(finding: Finding, name: str) -> Measure:
    found = finding.measure(name)
    assert found is not None
    return found


def value(finding: Finding, name: str) -> float:
    found = measure(finding, name).value
    assert found is not None
    return found


def of_feature(finding: Finding, feature: str, name: str) -> Measure:
    group = next(g for g in finding.groups if g.group["feature"] == feature)
    return next(m for m in group.measures if m.name == name)


def sealed(
    x: Floats,
    model: Callable[[Floats], Floats],
    *,
    group: list[str] | None = None,
    seed: int = 0,
    **more: NDArray[np.float64],
) -> Evidence:
    given = table(
        features={f"x{i}": x[:, i] for i in range(x.shape[1])},
        groups={"town": group or ["a"] * len(x)},
        label=codes(np.random.default_rng(1).integers(0, 2, len(x))),
        **more,  # type: ignore[arg-type]
    )
    columns = {"w": "weight"} if "weight" in more else {}
    columns |= {"u": "unit"} if "unit" in more else {}

    def predict(rows: pa.Table) -> Floats:
        return model(np.stack([c.to_numpy() for c in rows.columns], axis=1))[:, None]

    return by_model(given, predict, declare(route="model", groups=("town",), columns=columns), seed=seed)


def sigmoid(z: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-z)))


# ---- all of it settles nothing where questions are told from real rows


def test_all_that_comes_of_an_explanation_settles_nothing_where_questions_are_told_from_real_rows() -> None:
    attacked = by_model(people(1, together=0.999), Scaffold(0.999), declare(route="model", groups=("town",)))
    for name in DERIVED:
        finding = run(name, attacked)
        assert finding.outcome is Outcome.INCONCLUSIVE, name
        assert finding.reason is not None
        assert finding.reason.code == "rows_told_apart", name


def test_the_area_is_the_policys_to_set() -> None:
    evidence = by_model(
        people(1, together=0.0),
        lambda b: b.column("group").to_numpy()[:, None],
        declare(route="model", groups=("town",)),
    )
    strict = POLICY.model_copy(update={"terms": POLICY.terms.model_copy(update={"told_apart": 0.5})})
    check = next(c for c in catalogue() if c.code == "explainability.single_decisions")
    assert judge(check, evidence, POLICY)[0].finding.outcome is Outcome.MEASURED
    assert judge(check, evidence, strict)[0].finding.outcome is Outcome.INCONCLUSIVE


# ---- stability


def test_a_linear_model_is_explained_the_same_after_a_nudge_and_a_steep_one_is_not() -> None:
    x = np.random.default_rng(3).normal(size=(600, 6))
    steady = run("stability", sealed(x, lambda r: 0.5 + 0.01 * (r @ np.arange(1.0, 7.0))))
    steep = run("stability", sealed(x, lambda r: (np.sin(60.0 * r).sum(axis=1) + 6.0) / 12.0))
    assert value(steady, "nudge_rank") > 0.9
    assert value(steep, "nudge_rank") < value(steady, "nudge_rank") - 0.2
    assert value(steep, "nudge_change") > 10 * value(steady, "nudge_change")


def test_another_background_changes_a_linear_explanation_by_what_the_means_differ() -> None:
    x = np.random.default_rng(3).normal(size=(600, 6))
    weight = 0.01 * np.arange(1.0, 7.0)
    evidence = sealed(x, lambda r: 0.5 + r @ weight)
    finding = run("stability", evidence)
    facts = evidence.asked["explained_again"].facts
    first, second = (x[facts[f"{part}_background"]] for part in ("first", "second"))
    assert not set(facts["first_background"]) & set(facts["second_background"])
    wanted = np.abs(weight * (first.mean(axis=0) - second.mean(axis=0)))
    for j in range(6):
        found = of_feature(finding, f"x{j}", "background_change")
        assert found.value == pytest.approx(wanted[j], abs=2e-4)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high
    assert value(finding, "background_change") == pytest.approx(wanted.max(), abs=2e-4)


def test_where_nothing_can_be_nudged_that_is_said() -> None:
    x = np.random.default_rng(3).integers(0, 3, (300, 4)).astype(float)
    finding = run("stability", sealed(x, lambda r: r.mean(axis=1) / 2.0))
    for name in ("nudge_rank", "nudge_change"):
        none = measure(finding, name)
        assert none.value is None
        assert none.reason is not None
        assert none.reason.code == "nothing_to_nudge"
    assert measure(finding, "background_rank").value is not None


# ---- inputs that go together


def test_inputs_that_go_together_are_named_and_weighed_as_one() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(800, 5))
    x[:, 1] = x[:, 0] + 0.1 * rng.normal(size=800)
    # What the one of the pair adds the other takes away: each looks heavy, and together they are nearly nothing.
    finding = run("inputs_together", sealed(x, lambda r: sigmoid(2.0 * (r[:, 0] - r[:, 1]) + 0.5 * r[:, 2])))
    assert value(finding, "inputs_grouped") == 2
    strongest = measure(finding, "largest_association")
    assert strongest.reason is not None
    assert strongest.reason.params == {"first": "x0", "second": "x1"}
    names = [g.group["feature"] for g in finding.groups]
    assert set(names) == {"x0 + x1", "x2", "x3", "x4"}
    alone = run("feature_importance", sealed(x, lambda r: sigmoid(2.0 * (r[:, 0] - r[:, 1]) + 0.5 * r[:, 2])))
    joint, one = of_feature(finding, "x0 + x1", "mean_abs").value, of_feature(alone, "x0", "mean_abs").value
    assert joint is not None
    assert one is not None
    assert joint < 0.3 * one


def test_categories_go_together_by_cramers_v() -> None:
    from scipy.stats.contingency import association

    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, 4_000)
    second = np.where(rng.random(4_000) < 0.5, first, rng.integers(0, 4, 4_000))
    table_ = np.zeros((4, 4), dtype=int)
    np.add.at(table_, (first, second), 1)
    # The correction for bias is small where rows are many.
    assert cramers_v(first, second) == pytest.approx(association(table_, method="cramer"), abs=5e-3)
    assert cramers_v(first, first) == pytest.approx(1.0)
    assert cramers_v(first, rng.integers(0, 4, 4_000)) < 0.05
    assert cramers_v(first, np.zeros(4_000, dtype=np.int64)) == 0.0


# ---- groups


def two_towns(differ: bool, seed: int = 7) -> Finding:
    rng = np.random.default_rng(seed)
    town = np.array(["a", "b"])[(rng.random(900) < 0.5).astype(int)]
    x = rng.normal(size=(900, 4))
    x[:, 3] = town == "b"

    def model(r: Floats) -> Floats:
        return sigmoid(np.where((r[:, 3] > 0.5) & differ, 3.0 * r[:, 1], 3.0 * r[:, 0]))

    return run("difference_between_groups", sealed(x, model, group=town.tolist(), seed=seed))


def test_an_input_that_counts_for_one_group_only_makes_a_gap_and_one_that_counts_alike_does_not() -> None:
    gap = measure(two_towns(True), "difference")
    assert gap.low is not None
    assert gap.low > 0.02
    alike = measure(two_towns(False), "difference")
    assert alike.low is not None
    assert alike.low <= 0.005


def test_groups_that_are_all_alike_show_a_gap_in_one_of_twenty_data_sets_at_most() -> None:
    """Over all inputs and pairs at once; each data set is drawn anew."""
    beyond = sum((measure(two_towns(False, seed), "difference").low or 0.0) > 0.0 for seed in range(20))
    assert beyond <= 1


def test_a_group_with_few_explained_rows_stays_visible_and_is_not_compared() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(900, 4))
    town = ["c" if i % 60 == 0 else "ab"[i % 2] for i in range(900)]
    finding = run("difference_between_groups", sealed(x, lambda r: sigmoid(r[:, 0]), group=town))
    assert value(finding, "groups_compared") == 2
    small = [g for g in finding.groups if g.group["town"] == "c"]
    assert small
    assert all(g.too_small for g in small)
    lone = run("difference_between_groups", sealed(x, lambda r: sigmoid(r[:, 0])))
    none = measure(lone, "difference")
    assert none.value is None
    assert none.reason is not None
    assert none.reason.code == "too_few_groups"


# ---- weights and units


def test_a_background_row_comes_as_often_as_its_weight_asks() -> None:
    weight = np.array([1.0, 1.0, 2.0, 6.0])
    drawn = draw_background(4, 10, weight, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(drawn, minlength=4), [1, 1, 2, 6])
    even = draw_background(50, 50, np.full(50, 3.0), np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(even), np.arange(50))


def test_a_weighted_linear_model_is_explained_against_the_weighted_mean_and_averaged_by_weight() -> None:
    rng = np.random.default_rng(2)
    x, weight = rng.normal(size=(400, 3)), rng.lognormal(0.0, 1.0, 400)
    x[:, 0] += np.log(weight)
    factor = np.array([0.02, -0.03, 0.01])
    evidence = sealed(x, lambda r: 0.5 + r @ factor, weight=weight)
    finding = run("feature_importance", evidence)
    facts = evidence.asked["coalitions"].facts
    explained, background = x[facts["explained"]], x[facts["background"]]
    weighted_mean = np.average(x, axis=0, weights=weight)
    assert abs(background[:, 0].mean() - weighted_mean[0]) < 0.15
    assert abs(x[:, 0].mean() - weighted_mean[0]) > 0.5
    phi = factor * (explained - background.mean(axis=0))
    wanted = np.average(np.abs(phi), axis=0, weights=weight[facts["explained"]])
    for j in range(3):
        assert of_feature(finding, f"x{j}", "mean_abs").value == pytest.approx(wanted[j], rel=0.02)


def test_rows_of_one_household_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    unit = np.repeat(np.arange(40), 10)
    x = np.repeat(rng.normal(size=(40, 3)), 10, axis=0) + 0.01 * rng.normal(size=(400, 3))

    def width(finding: Finding) -> float:
        found = of_feature(finding, "x0", "mean_abs")
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    apart = run("feature_importance", sealed(x, lambda r: sigmoid(r[:, 0])))
    together = run("feature_importance", sealed(x, lambda r: sigmoid(r[:, 0]), unit=unit))
    assert width(together) > 1.6 * width(apart)


def test_averages_agree_with_statsmodels() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    values, weight, unit = rng.normal(size=60), rng.random(60) + 0.5, rng.integers(0, 20, 60)
    unit = np.unique(unit, return_inverse=True)[1]
    how = Counted(weight=weight, unit=unit, weighted=True)
    fit = sm.WLS(values, np.ones(60), weights=weight).fit(
        cov_type="cluster", cov_kwds={"groups": unit, "use_correction": False}
    )
    m = len(np.unique(unit))
    assert how.mean(values[:, None])[0] == pytest.approx(fit.params[0])
    assert how.variance(values[:, None])[0] == pytest.approx(fit.bse[0] ** 2 * m / (m - 1))
    plain = Counted(weight=np.ones(60), unit=None, weighted=False)
    assert plain.variance(values[:, None])[0] == pytest.approx(values.var(ddof=1) / 60)


# ---- the long reference


def test_the_gap_to_a_longer_run_is_about_the_error_that_is_stated() -> None:
    x = np.random.default_rng(1).normal(size=(500, 10))

    def model(r: Floats) -> Floats:
        return sigmoid(r[:, 0] * r[:, 1] + r[:, 2] + (r[:, 3] > 0) * r[:, 4])

    features = pa.table({f"x{i}": x[:, i] for i in range(10)})
    ratios = []
    for seed in range(6):
        plan = plan_coalitions(
            features, [(c, (c,)) for c in features.column_names], rng_for(seed, "x"), budget_rows=24_000
        )
        assert plan is not None
        found = shapley_values(
            model(np.stack([c.to_numpy() for c in plan.rows.columns], axis=1)), plan.facts, features=features
        )
        long = found.at_length
        assert long is not None
        assert long.pairs > 2 * found.pairs
        assert plan.rows.num_rows <= 24_000 + 700
        gap = found.values[long.rows] - long.values
        stated = found.errors[long.rows] ** 2 + long.errors**2
        ratios.append(float(np.sqrt((gap**2).mean() / stated.mean())))
    assert 0.6 < float(np.mean(ratios)) < 1.3


# ---- effects


def test_effects_are_told_per_input_with_intervals_and_curves() -> None:
    x = np.random.default_rng(3).normal(size=(500, 3))
    evidence = sealed(x, lambda r: sigmoid(2.0 * r[:, 0]))
    judged = judge(next(c for c in catalogue() if c.code == "explainability.effects"), evidence, POLICY)[0]
    finding = judged.finding
    assert finding.groups[0].group["feature"] == "x0"
    for way in ("partial_dependence", "accumulated"):
        wide, none = of_feature(finding, "x0", way), of_feature(finding, "x2", way)
        assert wide.low is not None
        assert wide.low > 0.5
        assert none.value == pytest.approx(0.0, abs=1e-12)
    assert all(figure.row_level for figure in judged.figures)
    assert judged.figures[0].params["attribute"] == "x0"


def test_a_changed_row_without_an_answer_leaves_no_curve_and_no_comparison() -> None:
    evidence = sealed(np.random.default_rng(3).normal(size=(300, 4)), lambda r: sigmoid(r[:, 0]))
    for probe, check in (("effects", "effects"), ("explained_again", "stability")):
        given = evidence.asked[probe]
        values = given.values.copy()
        values[-1] = np.nan
        holed = replace(evidence, asked={**evidence.asked, probe: replace(given, values=values)})
        finding = run(check, holed)
        assert finding.outcome is Outcome.NOT_GATHERED
        assert finding.reason is not None
        assert finding.reason.code == "answers_incomplete"


def test_the_dummies_of_a_category_are_one_input_in_all_that_is_said() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(500, 3)), np.eye(3)[rng.integers(0, 3, 500)]], axis=1)
    given = table(
        features={f"x{i}": x[:, i] for i in range(6)},
        groups={"town": ["ab"[i % 2] for i in range(500)]},
        label=codes(rng.integers(0, 2, 500)),
    )
    declared = declare(route="model", groups=("town",))
    declared = declared.model_copy(
        update={"inputs": declared.inputs.model_copy(update={"dummies": {"status": ("x3", "x4", "x5")}})}
    )
    seen: list[Floats] = []

    def model(rows: pa.Table) -> Floats:
        asked = np.stack([c.to_numpy() for c in rows.columns], axis=1)
        seen.append(asked)
        return sigmoid(asked[:, 0] + asked[:, 3:] @ np.array([0.0, 1.0, 3.0]))[:, None]

    evidence = by_model(given, model, declared)
    # Nobody was ever asked about who is single and married at once, by any of these questions.
    for asked in seen:
        np.testing.assert_array_equal(asked[:, 3:].sum(axis=1), 1.0)
    for name in DERIVED:
        if name == "single_decisions":
            continue
        named = {g.group["feature"] for g in run(name, evidence).groups}
        assert "status" in named, name
        assert not named & {"x3", "x4", "x5"}, name
