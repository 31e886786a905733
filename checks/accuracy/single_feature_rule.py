"""Whether the system is right more often than a rule that looks at one input only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from checks.accuracy._confusion import UNITS_UNKNOWN, standing, units_hidden
from checks.accuracy._scored import floats, weights_of
from checks.counting import Codes, unit_codes
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.finding import Measure, Measured, NotGathered, Reason, Rejudge, Result, Scalar
from checks.policy import Terms
from checks.registry import check
from checks.statistics import Floats, critical, mean_of_rows, paired_difference, rate_of_rows
from checks.telling import FOLDS, Column, coded, dealt

SAMPLE = 20_000
"""Rows that are looked at, at most; drawn with the run's seed."""


@check(
    gives=("gain", "rule_accuracy"),
    needs=(Need.FEATURES, Need.LABELS, Need.DECISIONS),
    may_read=(Need.WEIGHTS, Need.UNITS),
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 15(1)", "AIA 15(3)", "AIA Annex IV 3"),
    rejudge=Rejudge.EVIDENCE,
)
def single_feature_rule(evidence: View, terms: Terms) -> Result:
    """Compare the system's accuracy with that of the best rule on one input.

    Args:
        evidence: inputs, labels, decisions and weights, at most 20,000 rows that have both, drawn with the run's seed.
        terms: confidence.

    Returns:
        `gain` (share, -1 to 1, larger is better; below 0 one input alone does better; interval for two shares of the
        same rows) and `rule_accuracy` (share of these rows that the rule gets right). The rule gives each band or
        category of the input its most frequent label; input and labels are chosen on four parts of the rows, and the
        fifth is asked. The system may have been fitted on more rows than the rule was.

    Law:
        AIA 15(1) asks for an appropriate level of accuracy; it does not say what level that is.

    References:
        Holte (1993), Machine Learning 11, for rules on one input; MOVER for paired shares, Zou (2007).
    """
    data = evidence.declaration.data
    assert data is not None
    features, label, decision = evidence.features, floats(evidence.labels), floats(evidence.decisions)
    known = np.flatnonzero(~np.isnan(label) & ~np.isnan(decision))
    if not features.num_columns or len(known) < max(terms.minimum_rows, FOLDS):
        code = "no_labels" if np.isnan(label).all() else "too_few_rows"
        return NotGathered(reason=Reason(code=code, params={"need": Need.LABELS.value}))
    rng = np.random.default_rng([evidence.seed, 0x0E])
    rows = np.sort(rng.choice(known, SAMPLE, replace=False)) if len(known) > SAMPLE else known
    truth, weight = label[rows].astype(np.int64), weights_of(evidence, len(label))[rows]
    units = unit_codes(evidence)
    unit = None if units is None else np.unique(units[rows], return_inverse=True)[1].astype(np.int64)
    columns = [coded(name, features.column(name), rows) for name in features.column_names]
    ruled, chosen = _by_rule(columns, truth, weight, len(data.classes), dealt(len(rows), rng, unit))
    right, by_rule = decision[rows] == truth, ruled == truth
    gain = _gain(right & ~by_rule, ~right & by_rule, weight, unit, terms, hidden=units_hidden(evidence))
    accuracy = float(weight[by_rule].sum() / weight.sum())
    _, never_within = standing(evidence, terms, len(label), int(np.isnan(label).sum()), int(np.isnan(decision).sum()))
    params: dict[str, Scalar] = {"feature": chosen, "sample": len(rows), "rows": len(label)}
    return Measured(
        measures=(
            gain,
            Measure(
                name="rule_accuracy",
                value=accuracy,
                low=accuracy,
                high=accuracy,
                rows=len(rows),
                unit="share",
                definition="one input, its bands or categories, most frequent label; cross-validated",
                interval="exact",
            ),
        ),
        reason=never_within or Reason(code="rule", params=params),
        never_within=never_within,
    )


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
    own = (float(np.average(signed**2, weights=weight)) - mean**2) / variance if variance > 0 else whole
    low, high = paired_difference(more, less, min(n, m, whole, own), critical(terms.confidence))
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
