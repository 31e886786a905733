"""Measure how much each input moves the answers, on average over explained rows."""

from __future__ import annotations

import numpy as np
from scipy import stats

from checks.evidence import Need, View, answers
from checks.explainability._averages import Counted
from checks.explainability._rows import ANSWERED, COUNTED, PROBE, Reading, read
from checks.explainability._shapley import Floats
from checks.explainability._told_apart import settles_nothing, told_apart
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotApplicable, NotGathered, Reason, Scalar
from checks.policy import Terms
from checks.registry import check
from checks.statistics import critical, finite, finite_bounds

DEFINITION = "mean over explained rows of the absolute interventional Shapley value"

METHODS = {
    False: "interventional Shapley values from antithetic permutations, a fresh background row for each pair",
    True: "interventional Shapley values from all coalitions",
}
"""How the values were found, by whether all coalitions were asked; the first measure carries it."""

FEWEST_FOR_DIRECTION = 10


@check(
    gives=("explained_rows", "background_rows", "additivity_error", "sampling_error", "long_run_error", "told_apart"),
    needs=(Need.FEATURES, answers(PROBE)),
    may_read=(*ANSWERED, *COUNTED),
    law=("AIA 13(3)(b)(iv)", "AIA 13(3)(b)(vii)", "AIA Annex IV 2(b)", "AIA 86(1)"),
    version=4,
)
def feature_importance(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Average the absolute Shapley values of each input, with intervals over rows and over sampling.

    Reads:
        The answers to the probe `coalitions` and the features of the explained rows.

    Args:
        evidence: shows features and answers; and the first answers to the same rows, weights and units, where there
            are any.
        terms: the confidence of the intervals.

    Returns:
        `additivity_error` (in the unit of the output, relative to the largest output where that is above 1; lower is
        better): the largest gap between a row's values added up and its first answer. An arithmetic check: it says
        that the sums are right and that the model answered the same twice, not that the explanation is good.
        `sampling_error` (ratio; lower is better): mean standard error of a value over the mean absolute value.
        `long_run_error` (ratio; lower is better; chi-square interval, one degree of freedom per row): the root mean
        squared gap between values and those of a longer run for a few of the rows, over the mean absolute value. The
        longer run has errors of its own, so that it says rather too much than too little.
        `told_apart` (area under the ROC curve, 0.5 to 1; lower is better; Hanley and McNeil's interval): how well the
        mixed rows can be told from real ones. Where it may lie above the policy's `told_apart`, a model could answer
        them by another rule than real rows, so the explanation settles nothing.
        `explained_rows`, `background_rows`: exact counts. Per input `mean_abs` (in the unit of the output; t interval
        over rows, weighted where they have weights and over units where they have those; the sampling error is in its
        spread, and the lower bound is lowered by what noise adds to an absolute value) and, for inputs with an order,
        `direction` (Spearman, -1 to 1; Fisher's interval).

    Law:
        Annex IV 2(b) asks for the main design choices and what the system is designed to optimise for; Art 13(3)(b)
        for information to explain the output, where applicable. Neither asks for Shapley values, and Art 86 asks
        for more than figures.

    References:
        Lundberg and Lee (2017); Janzing, Minorics and Bloebaum (2020) for the interventional definition; Slack and
        others (2020) for models that answer mixed rows otherwise.
    """
    reading = read(evidence)
    if isinstance(reading, NotGathered):
        return reading
    shapley, e = reading.shapley, len(reading.explained)
    absolute = np.abs(shapley.values)
    mean = reading.counted.mean(absolute)
    low, high = mean_absolute_interval(
        absolute, shapley.errors, reading.counted, critical(terms.confidence), reading.span
    )
    order = np.lexsort((np.arange(len(mean)), -mean))
    names = [reading.names[i] for i in order]
    how = reading.counted.method + ("" if shapley.exact else ", sampling included")
    groups = []
    for i in order:
        least, most = finite_bounds(low[i], high[i])
        of_input = [
            Measure(
                name="mean_abs",
                value=float(mean[i]),
                low=least,
                high=most,
                rows=e,
                unit=reading.unit,
                definition=DEFINITION,
                interval=how,
            )
        ]
        direction = _direction(reading, int(i), terms.confidence)
        if direction is not None:
            of_input.append(direction)
        groups.append(GroupMeasures(group={"feature": reading.names[i]}, rows=e, measures=tuple(of_input)))
    params: dict[str, Scalar] = {
        "unit": reading.unit,
        "kind": reading.what.kind,
        "of": reading.what.of,
        "explained_rows": e,
        "background_rows": shapley.background_rows,
    }
    bars = Figure(
        name="explainability.feature_importance.importance",
        kind="importance",
        columns={
            "feature": tuple(names),
            "mean_abs": tuple(mean[order].tolist()),
            "low": tuple(finite(v) for v in low[order]),
            "high": tuple(finite(v) for v in high[order]),
        },
        params=params,
    )
    ranks = reading.ranks[:, order].T.ravel()
    swarm = Figure(
        name="explainability.feature_importance.beeswarm",
        kind="beeswarm",
        columns={
            "feature": tuple(np.repeat(np.array(names, dtype=object), e).tolist()),
            "contribution": tuple(shapley.values[:, order].T.ravel().tolist()),
            "rank": tuple(None if np.isnan(r) else float(r) for r in ranks),
        },
        params=params,
        row_level=True,
    )
    apart = told_apart(evidence.features, evidence.answers(PROBE).facts, evidence.seed, terms, reading.names)
    return Measured(
        measures=(
            _count("explained_rows", e, METHODS[shapley.exact]),
            _count("background_rows", shapley.background_rows, "rows drawn from the data without replacement"),
            _additivity(reading),
            _sampling(reading, terms.confidence),
            _long_run(reading, terms.confidence),
            apart,
        ),
        groups=tuple(groups),
        figures=(bars, swarm),
        reason=reading.reason,
        settles_nothing=settles_nothing(apart, terms),
    )


def mean_absolute_interval(
    absolute: Floats, errors: Floats, counted: Counted, z: float, span: float
) -> tuple[Floats, Floats]:
    """Give the interval of the mean absolute value of each input, (p,) and (p,).

    Args:
        absolute, errors: (e, p) absolute values and their standard errors.
        counted: how the rows count.
        z: critical value.
        span: the largest that a value can be.
    """
    low, high = counted.interval(absolute, z, (0.0, span))
    # The mean of |value + noise| lies above |value|; how far, if both were as they seem (a folded normal).
    ratio = np.divide(absolute, errors, out=np.full_like(absolute, 40.0), where=errors > 0)
    folded = errors * np.sqrt(2.0 / np.pi) * np.exp(-(ratio**2) / 2.0) + absolute * (1.0 - 2.0 * stats.norm.cdf(-ratio))
    lift = counted.mean(np.where(errors > 0, folded - absolute, 0.0))
    return np.maximum(low - lift, 0.0), high


def _direction(reading: Reading, i: int, confidence: float) -> Measure | None:
    """Tell whether higher values of an input go with higher values of its share, where it has an order."""
    ranks, values = reading.ranks[:, i], reading.shapley.values[:, i]
    known = np.isfinite(ranks)
    count = int(known.sum())
    # Without this, rounding noise around a constant would get a rank and a direction.
    flat = np.ptp(values[known]) <= 1e-12 if count else True
    if count < FEWEST_FOR_DIRECTION or flat or np.ptp(ranks[known]) == 0:
        return None
    rho = float(np.clip(stats.spearmanr(ranks[known], values[known]).statistic, -1.0, 1.0))
    # Bonett and Wright's standard error for Spearman under Fisher's transformation; where the order is perfect, that of
    # the order with two neighbours swapped, which the rows tell least from it.
    nearly = float(np.clip(rho, -1.0 + 12.0 / (count**3 - count), 1.0 - 12.0 / (count**3 - count)))
    half = stats.norm.ppf(0.5 + confidence / 2.0) * np.sqrt((1.0 + nearly**2 / 2.0) / (count - 3))
    low, high = (float(np.tanh(np.arctanh(nearly) + side * half)) for side in (-1, 1))
    low, high = min(low, rho), max(high, rho)
    return Measure(
        name="direction",
        value=rho,
        low=low,
        high=high,
        rows=count,
        unit="ratio",
        definition="scipy.stats.spearmanr of value and Shapley value",
        interval="Fisher transformation, Bonett and Wright",
    )


def _additivity(reading: Reading) -> Measure:
    shapley = reading.shapley
    added = shapley.values.sum(axis=1) + shapley.base
    against = shapley.outputs if reading.first is None else reading.first
    known = np.isfinite(against)
    scale = max(1.0, float(np.abs(against[known]).max(initial=0.0)))
    gap = float(np.abs(added - against)[known].max(initial=0.0)) / scale
    return Measure(
        name="additivity_error",
        value=gap,
        low=gap,
        high=gap,
        rows=int(known.sum()),
        unit=reading.unit,
        definition="largest |sum of values + base - first answer|, over the largest answer where that is above 1",
        interval="exact",
    )


def _sampling(reading: Reading, confidence: float) -> Measure:
    shapley, e = reading.shapley, len(reading.explained)
    definition = "mean standard error of a value over the mean absolute value"
    absolute, errors = np.abs(shapley.values).mean(axis=1), shapley.errors.mean(axis=1)
    if absolute.mean() == 0.0:
        none = Reason(code="nothing_moves")
        return Measure(
            name="sampling_error", value=None, rows=e, unit="ratio", definition=definition, interval="", reason=none
        )
    ratio = float(errors.mean() / absolute.mean())
    low: float | None = ratio
    high: float | None = ratio
    interval = "exact"
    if not shapley.exact:
        spread = (errors - ratio * absolute).std(ddof=1) / (np.sqrt(e) * absolute.mean()) if e > 1 else 0.0
        half = float(stats.t.ppf(0.5 + confidence / 2.0, e - 1) * spread) if spread > 0 else np.nan
        # Errors that are all the same share of a value, or all none, show no spread, and bound nothing.
        low, high = finite_bounds(max(ratio - half, 0.0), ratio + half)
        interval = "" if low is None else "linearised ratio over rows"
    return Measure(
        name="sampling_error",
        value=ratio,
        low=low,
        high=high,
        rows=e,
        unit="ratio",
        definition=definition,
        interval=interval,
    )


def _long_run(reading: Reading, confidence: float) -> Measure:
    shapley, long = reading.shapley, reading.shapley.at_length
    definition = "root mean squared gap to the values of a longer run over their mean absolute value"
    size = 0.0 if long is None else float(np.abs(long.values).mean())
    if long is None or size == 0.0:
        none = Reason(code="all_asked" if shapley.exact else "nothing_moves")
        rows = 0 if long is None else len(long.rows)
        return Measure(name="long_run_error", value=None, rows=rows, unit="ratio", definition=definition, reason=none)
    rows = len(long.rows)
    ratio = float(np.sqrt(((shapley.values[long.rows] - long.values) ** 2).mean())) / size
    upper, lower = (float(stats.chi2.ppf(0.5 + side * confidence / 2.0, rows)) for side in (1, -1))
    # Two runs that agree to the last bit bound nothing.
    bounds = (ratio * float(np.sqrt(rows / upper)), ratio * float(np.sqrt(rows / lower))) if ratio > 0 else None
    return Measure(
        name="long_run_error",
        value=ratio,
        low=bounds[0] if bounds else None,
        high=bounds[1] if bounds else None,
        rows=rows,
        unit="ratio",
        definition=definition,
        interval="chi-square, one degree of freedom per row" if bounds else "",
        reason=Reason(code="long_run", params={"pairs": long.pairs, "rows": rows}),
    )


def _count(name: str, count: int, definition: str) -> Measure:
    value = float(count)
    return Measure(
        name=name,
        value=value,
        low=value,
        high=value,
        rows=count,
        unit="rows",
        definition=definition,
        interval="exact",
    )
