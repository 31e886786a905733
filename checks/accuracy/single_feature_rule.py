"""Whether the system is right more often, or less far off, than a rule that looks at one input only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from checks.accuracy._confusion import UNITS_UNKNOWN, standing, units_hidden
from checks.accuracy._scored import floats, mean_of, weights_of
from checks.counting import Codes, unit_codes
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.finding import Measure, Measured, NotGathered, Reason, Rejudge, Result, Scalar
from checks.policy import Terms
from checks.registry import check
from checks.statistics import USUAL, Floats, critical, mean_of_rows, of_few_units, paired_difference, rate_of_rows
from checks.telling import FOLDS, Column, coded, dealt

FEWEST = 20
"""Rows with the same value of an input, from which on the rule has a number of its own for it."""

SAMPLE = 20_000
"""Rows that are looked at, at most; drawn with the run's seed."""


@check(
    gives=("gain", "rule_accuracy", "error_gain", "rule_error"),
    needs=(Need.FEATURES, Need.LABELS),
    may_read=(Need.DECISIONS, Need.VALUES, Need.WEIGHTS, Need.UNITS),
    tasks=(Task.BINARY, Task.MULTICLASS, Task.REGRESSION),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 15(1)", "AIA 15(3)", "AIA Annex IV 3"),
    rejudge=Rejudge.EVIDENCE,
)
def single_feature_rule(evidence: View, terms: Terms) -> Result:
    """Compare the system's accuracy (of numbers: its mean absolute error) with that of the best rule on one input.

    Args:
        evidence: inputs, labels, answers and weights, at most 20,000 rows that have both, drawn with the run's seed.
        terms: confidence.

    Returns:
        `gain` (share, -1 to 1, larger is better; below 0 one input alone does better; interval for two shares of the
        same rows) and `rule_accuracy` (share of these rows that the rule gets right). Of numbers `error_gain` (in the
        unit of the label, larger is better; below 0 one input alone comes nearer; Student's interval of the mean of
        paired differences) and `rule_error`. The rule gives each band or category of the input its most frequent label,
        of numbers its median; input and labels are chosen on four parts of the rows, and the fifth is asked. The
        system may have been fitted on more rows than the rule was.

    Law:
        AIA 15(1) asks for an appropriate level of accuracy; it does not say what level that is.

    References:
        Holte (1993), Machine Learning 11, for rules on one input; MOVER for paired shares, Zou (2007).
    """
    data = evidence.declaration.data
    assert data is not None
    numbers = data.task is Task.REGRESSION
    features, label = evidence.features, floats(evidence.labels)
    decision = floats(evidence.values if numbers else evidence.decisions)
    known = np.flatnonzero(~np.isnan(label) & ~np.isnan(decision))
    if not features.num_columns or len(known) < max(terms.minimum_rows, FOLDS):
        code = "no_labels" if np.isnan(label).all() else "too_few_rows"
        return NotGathered(reason=Reason(code=code, params={"need": Need.LABELS.value}))
    rng = np.random.default_rng([evidence.seed, 0x0E])
    rows = np.sort(rng.choice(known, SAMPLE, replace=False)) if len(known) > SAMPLE else known
    weight = weights_of(evidence, len(label))[rows]
    units = unit_codes(evidence)
    unit = None if units is None else np.unique(units[rows], return_inverse=True)[1].astype(np.int64)
    columns = [coded(name, features.column(name), rows) for name in features.column_names]
    fold, hidden = dealt(len(rows), rng, unit), units_hidden(evidence)
    if len(np.unique(fold)) < FOLDS:
        return NotGathered(reason=Reason(code="too_few_units"))
    if numbers:
        guessed, chosen = _by_medians(columns, label[rows], weight, fold)
        off, off_by_rule = np.abs(decision[rows] - label[rows]), np.abs(guessed - label[rows])
        gain = _error_gain(off_by_rule - off, weight, unit, terms, hidden=hidden)
        of_rule = _exact("rule_error", float(np.average(off_by_rule, weights=weight)), len(rows), "label", "median")
    else:
        truth = label[rows].astype(np.int64)
        ruled, chosen = _by_rule(columns, truth, weight, len(data.classes), fold)
        right, by_rule = decision[rows] == truth, ruled == truth
        gain = _gain(right & ~by_rule, ~right & by_rule, weight, unit, terms, hidden=hidden)
        accuracy = float(weight[by_rule].sum() / weight.sum())
        of_rule = _exact("rule_accuracy", accuracy, len(rows), "share", "most frequent")
    _, never_within = standing(evidence, terms, len(label), int(np.isnan(label).sum()), int(np.isnan(decision).sum()))
    params: dict[str, Scalar] = {"feature": chosen, "sample": len(rows), "rows": len(label)}
    return Measured(
        measures=(gain, of_rule),
        reason=never_within or Reason(code="rule", params=params),
        never_within=never_within,
    )


def _exact(name: str, value: float, rows: int, unit: str, which: str) -> Measure:
    definition = f"one input, its bands or categories, {which} label; cross-validated"
    return Measure(
        name=name, value=value, low=value, high=value, rows=rows, unit=unit, definition=definition, interval="exact"
    )


def _by_medians(columns: list[Column], label: Floats, weight: Floats, fold: NDArray[np.int64]) -> tuple[Floats, str]:
    """Give what the rule of numbers says of each row, and the input it looked at in most parts.

    A value with fewer than `FEWEST` rows gets the median of all: one that numbers the rows would learn them by heart.
    """
    ruled, votes = np.empty(len(label)), dict.fromkeys((c.name for c in columns), 0)
    for number in range(FOLDS):
        rest, part = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        overall, best, name = _median(label[rest], weight[rest]), np.inf, columns[0].name
        for column in columns:
            rule = np.full(int(column.code.max(initial=0)) + 1, overall)
            order = rest[np.argsort(column.code[rest], kind="stable")]
            codes, begin, count = np.unique(column.code[order], return_index=True, return_counts=True)
            for code, start, n in zip(codes, begin, count, strict=True):
                if n >= FEWEST:
                    own = order[start : start + n]
                    rule[code] = _median(label[own], weight[own])
            error = float((weight[rest] * np.abs(rule[column.code[rest]] - label[rest])).sum())
            if error < best:
                best, name, ruled[part] = error, column.name, rule[column.code[part]]
        votes[name] += 1
    return ruled, max(votes, key=lambda n: votes[n])


def _median(of: Floats, weight: Floats) -> float:
    order = np.argsort(of)
    reached = np.cumsum(weight[order])
    return float(of[order][np.searchsorted(reached, reached[-1] / 2.0)])


def _error_gain(nearer: Floats, weight: Floats, unit: Codes | None, terms: Terms, *, hidden: bool) -> Measure:
    gain = mean_of(
        "error_gain", "mean absolute error of the rule minus that of the system", "label", nearer, weight, terms, unit
    )
    none = {"low": None, "high": None, "interval": "", "reason": UNITS_UNKNOWN}
    return gain.model_copy(update=none) if hidden else gain


def _by_rule(
    columns: list[Column], truth: NDArray[np.int64], weight: Floats, classes: int, fold: NDArray[np.int64]
) -> tuple[NDArray[np.int64], str]:
    """Give what the rule says of each row, and the input it looked at in most parts."""
    ruled, votes = np.empty(len(truth), dtype=np.int64), dict.fromkeys((c.name for c in columns), 0)
    for number in range(FOLDS):
        rest, part = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        overall = int(np.argmax(np.bincount(truth[rest], weights=weight[rest], minlength=classes)))
        best, said, name = -1.0, np.full(len(part), overall), columns[0].name
        for column in columns:
            size = int(column.code.max(initial=0)) + 1
            counts = (
                np.bincount(column.code[rest] * classes + truth[rest], weights=weight[rest], minlength=size * classes)
                .reshape(size, classes)
                .astype(np.float64)
            )
            # A value that few rows have says little, so one row of the overall answer is added to each.
            counts[:, overall] += weight[rest].mean()
            rule = counts.argmax(axis=1)
            hits = float(weight[rest][rule[column.code[rest]] == truth[rest]].sum())
            # An input with a value for nearly every row would learn them by heart.
            hits -= float(weight[rest].mean()) * np.count_nonzero(counts.sum(axis=1) > float(weight[rest].mean()))
            if hits > best:
                best, said, name = hits, rule[column.code[part]], column.name
        ruled[part] = said
        votes[name] += 1
    return ruled, max(votes, key=lambda n: votes[n])


def _gain(
    gained: NDArray[np.bool_],
    lost: NDArray[np.bool_],
    weight: Floats,
    unit: Codes | None,
    terms: Terms,
    *,
    hidden: bool,
) -> Measure:
    (more, n), (less, m) = rate_of_rows(gained, weight, unit), rate_of_rows(lost, weight, unit)
    assert more is not None
    assert less is not None
    signed = gained.astype(np.float64) - lost
    mean, variance, whole = mean_of_rows(signed, weight, unit)
    own = whole
    if variance > 0:
        seeming = (float(np.average(signed**2, weights=weight)) - mean**2) / variance
        own = float(of_few_units(seeming, whole, critical(USUAL)))
    low, high = paired_difference(more, less, min(n, m, own), critical(terms.confidence))
    return Measure(
        name="gain",
        value=more - less,
        low=None if hidden else low,
        high=None if hidden else high,
        rows=len(weight),
        unit="share",
        definition="accuracy minus that of the best rule on one input",
        interval="" if hidden else "mover over wilson, paired",
        reason=UNITS_UNKNOWN if hidden else None,
    )
