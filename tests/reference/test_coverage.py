"""That 95 % is 95 % also for what is no rate: ranking, calibration, errors with heavy tails, explanations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from checks.asking import all_probes, ask, plan_all
from checks.cybersecurity.memorised_answers import _paired_ratio
from checks.evidence import Evidence, Table
from checks.explainability._averages import Counted
from checks.explainability.effects import _curve, _width
from checks.explainability.feature_importance import mean_absolute_interval
from checks.finding import Measure
from checks.policy import load
from checks.sealing import seal
from checks.statistics import critical
from tests.make.evidence import by_predictions, codes, declare, table
from tests.make.judged import finding

TERMS = load("default").terms
Told = Mapping[str, tuple[Measure | None, float]]
"""Of one data set, by name: what was measured, and what is true."""


def hold(one: Callable[[np.random.Generator], Told], draws: int) -> None:
    """Require that intervals of drawn data sets hold the truth: three errors of the simulation below 95 % at least."""
    held: dict[str, list[bool]] = {}
    for number in range(draws):
        for name, (measure, truth) in one(np.random.default_rng([95, number])).items():
            if measure is not None and measure.low is not None and measure.high is not None:
                held.setdefault(name, []).append(measure.low - 1e-12 <= truth <= measure.high + 1e-12)
    assert held
    for name, each in held.items():
        assert len(each) >= 0.9 * draws, name
        assert np.mean(each) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(each)), (name, np.mean(each))


@pytest.mark.parametrize(
    ("apart", "rows", "weighted"),
    [((1.0, 1.0), (150, 150), False), ((2.5, 0.7), (120, 400), True), ((1.0, 1.0, 1.2, 0.8), (120,) * 4, False)],
    ids=["alike", "weighted", "four groups"],
)
def test_95_percent_is_95_percent_for_the_gap_in_auc(
    apart: tuple[float, ...], rows: tuple[int, ...], weighted: bool
) -> None:
    # Scores of two normals that stand so far apart: the chance of the right order has a formula.
    true = norm.cdf(np.array(apart) / np.sqrt(2))

    def one(rng: np.random.Generator) -> Told:
        group = np.repeat(np.arange(len(rows)), rows)
        label = rng.random(len(group)) < 0.5
        score = norm.cdf((rng.normal(size=len(group)) + np.array(apart)[group] * label) / 3)
        weight = rng.lognormal(0, 0.55, len(group)) if weighted else None
        found = finding(
            "fairness.auc_by_group",
            by_predictions(
                groups={"g": group.astype(str)}, decision=score > 0.5, label=label, score=score, weight=weight
            ),
        )
        large = [true[int(str(g.group["g"]))] for g in found.groups if not g.too_small]
        return {"difference": (found.measure("difference"), float(np.ptp(large)))}

    hold(one, 250)


@pytest.mark.parametrize(
    ("shift", "weighted"), [((0.0, 0.0, 0.0), False), ((0.1, 0.0), True)], ids=["right", "too low"]
)
def test_95_percent_is_95_percent_for_calibration_by_group_and_over_everyone(
    shift: tuple[float, ...], weighted: bool
) -> None:
    def off(score: np.ndarray, moved: float) -> np.ndarray:
        return np.clip(score + moved, 0, 1) - score

    many = np.random.default_rng(0).beta(4, 4, 1_000_000)
    place = np.minimum((many * 10).astype(int), 9)
    gaps = [off(many, moved).mean() for moved in shift]
    expected = [np.abs(np.bincount(place, weights=off(many, moved))).sum() / len(many) for moved in shift]

    def one(rng: np.random.Generator) -> Told:
        group = np.repeat(np.arange(len(shift)), 150)
        score = rng.beta(4, 4, len(group))
        label = rng.random(len(group)) < score + off(score, 1.0 * np.array(shift)[group])
        weight = rng.lognormal(0, 0.55, len(group)) if weighted else None
        evidence = by_predictions(
            groups={"g": group.astype(str)}, decision=score > 0.5, label=label, score=score, weight=weight
        )
        found, told = finding("fairness.calibration_by_group", evidence), {}
        told["mean_gap_difference"] = (found.measure("mean_gap_difference"), float(np.ptp(gaps)))
        told["largest_expected_gap"] = (found.measure("largest_expected_gap"), float(max(expected)))
        if len(set(shift)) == 1:
            every = finding("accuracy.calibration", evidence)
            told |= {n: (every.measure(n), float(v)) for n, v in (("mean_gap", gaps[0]), ("expected_gap", expected[0]))}
        return told

    hold(one, 200)


@pytest.mark.parametrize("tails", ["t with four degrees", "lognormal"])
def test_95_percent_is_95_percent_for_gaps_in_errors_with_heavy_tails(tails: str) -> None:
    def drawn(rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.standard_t(4, n) if tails[0] == "t" else rng.lognormal(0, 1, n) - np.exp(0.5)

    sizes, shift, spread = np.array([150, 100, 60]), np.array([0.0, 0.3, 0.5]), np.array([1.0, 1.5, 1.0])
    many, share = drawn(np.random.default_rng(0), 2_000_000), sizes / sizes.sum()
    away = np.array([np.abs(a + b * many).mean() for a, b in zip(shift, spread, strict=True)])
    everyone = float((share * away).sum())
    truth = {
        "mean_error_difference": float(np.ptp(shift)),
        "absolute_error_difference": float(np.ptp(away)),
        "absolute_error_ratio": float(away.min() / away.max()),
        "mean_error_to_everyone": float(np.abs(shift - (share * shift).sum()).max()),
        "absolute_error_to_everyone": float(np.abs(away - everyone).max()),
        "absolute_error_ratio_to_everyone": float(np.minimum(away / everyone, everyone / away).min()),
    }

    def one(rng: np.random.Generator) -> Told:
        group = np.repeat(np.arange(3), sizes)
        label = rng.normal(0, 1, len(group))
        value = label + shift[group] + spread[group] * drawn(rng, len(group))
        evidence = by_predictions(
            groups={"g": group.astype(str)}, decision=value, label=label, task="regression", favourable=None
        )
        found = finding("fairness.regression_error", evidence)
        return {name: (found.measure(name), true) for name, true in truth.items()}

    hold(one, 250)


def asked(given: Table, probes: tuple[str, ...]) -> Evidence:
    """Ask a model that learned nothing of single rows."""
    declaration = declare(route="model")
    plans = plan_all(tuple(p for p in all_probes() if p.name in probes), given, declaration, 0)
    answers = ask(plans, lambda b: 1 / (1 + np.exp(-b.column("x").to_numpy()[:, None])), key=b"tests")
    return seal(declaration, submission_digest="0" * 64, table=given, asked=answers)


def test_95_percent_is_95_percent_for_membership_where_nothing_was_memorised() -> None:
    def drawn(rng: np.random.Generator, n: int) -> Table:
        x = rng.normal(0, 1, n)
        label = codes(rng.random(n) < 1 / (1 + np.exp(-x)))
        return table(groups={"sex": ["F"] * n}, label=label, features={"x": x})

    def one(rng: np.random.Generator) -> Told:
        given = replace(drawn(rng, 100), training=drawn(rng, 150))
        found = finding("privacy.membership_inference", asked(given, ("baseline", "training_rows")))
        return {"auc": (found.measure("auc"), 0.5)}

    hold(one, 200)


def test_95_percent_is_95_percent_for_rows_shared_beyond_chance() -> None:
    """A tenth of the rows is copied; those that share a value by chance are as many as among training rows."""
    values, copied = 400, 0.1
    chance = 1.0 / np.arange(1, values + 1)
    chance /= chance.sum()
    training, rows = 200, 150
    twins = float((chance * (1 - (1 - chance) ** training)).sum())
    fewer = float((chance * (1 - (1 - chance) ** (training - 1))).sum())
    truth = copied + (1 - copied) * twins - fewer

    def one(rng: np.random.Generator) -> Told:
        learned, shown = rng.choice(values, training, p=chance), rng.choice(values, rows, p=chance)
        shown = np.where(rng.random(rows) < copied, rng.choice(learned, rows), shown)
        tables = [
            table(groups={"sex": ["F"] * len(v)}, label=codes(v % 2), features={"x": v / 400}) for v in (shown, learned)
        ]
        given = replace(tables[0], training=tables[1])
        return {
            "beyond_chance": (
                finding("data_governance.leakage", asked(given, ("baseline",))).measure("beyond_chance"),
                truth,
            )
        }

    hold(one, 150)


@pytest.mark.parametrize(("noise", "weighted"), [(0.0, False), (0.4, False), (0.2, True)], ids=str)
def test_95_percent_is_95_percent_for_importance_with_and_without_sampling_noise(noise: float, weighted: bool) -> None:
    """One input moves by a normal amount, one by a skewed one, one by next to nothing."""
    truth = np.array([np.sqrt(2 / np.pi), 1.0, 0.01 * np.sqrt(2 / np.pi)])

    def one(rng: np.random.Generator) -> Told:
        values = np.stack([rng.normal(size=200), rng.exponential(size=200), 0.01 * rng.normal(size=200)], axis=1)
        errors = np.full(values.shape, noise) * np.array([1.0, 1.0, 0.01])
        weight = rng.lognormal(0, 0.4, 200) if weighted else np.ones(200)
        how = Counted(weight=weight, unit=None, weighted=weighted)
        absolute = np.abs(values + errors * rng.normal(size=values.shape))
        low, high = mean_absolute_interval(absolute, errors, how, critical(0.95), 10.0)
        bounds = zip(("normal", "skewed", "little"), low, high, truth, strict=True)
        return {
            name: (Measure(name=name, value=least, low=least, high=most, rows=200, unit="label"), true)
            for name, least, most, true in bounds
        }

    hold(one, 500)


def test_95_percent_is_95_percent_for_the_width_of_effects_that_differ_from_row_to_row() -> None:
    grid, n = np.linspace(-1.5, 1.5, 7), 150

    def one(rng: np.random.Generator) -> Told:
        own, slope = rng.normal(size=n), 1.0 + rng.normal(size=n)
        answered = grid[:, None] * slope + rng.normal(size=n)
        how = Counted(weight=np.ones(n), unit=None, weighted=False)
        drawn, span = how.bootstrapped(200, rng), float(np.ptp(answered))
        edges = np.quantile(own, np.linspace(0, 1, 6))
        local = (edges[:, None]) * slope
        curves = {
            "partial_dependence": (_curve(answered, how, drawn, 0.95, span), 3.0),
            "accumulated": (_curve(local, how, drawn, 0.95, span, (own, edges)), float(np.ptp(edges))),
        }
        return {way: (_width(way, curve, "label", n, how), true) for way, (curve, true) in curves.items()}

    hold(one, 250)


def test_95_percent_is_95_percent_for_the_ratio_of_errors_of_the_same_rows() -> None:
    def drawn(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        before = np.abs(rng.normal(size=n))
        return before, before * np.exp(rng.normal(0, 0.3, n)) + 0.2 * np.abs(rng.normal(size=n))

    before, after = drawn(np.random.default_rng(0), 2_000_000)
    true = float(before.mean() / after.mean())
    hold(lambda rng: {"ratio": (_paired_ratio(*drawn(rng, 80), np.arange(80), TERMS), true)}, 1000)


def test_the_benchmarks_promise_is_judged_by_the_intervals_there_were() -> None:
    from benchmarks.counting import spare_of

    assert spare_of(((float("nan"), 0), (float("nan"), 0))) == float("inf"), "none were given, and none is claimed"
    assert spare_of(((0.95, 1900), (float("nan"), 0))) == pytest.approx(0.015)
    assert spare_of(((0.99, 1900), (0.93, 1900))) == pytest.approx(-0.005)
