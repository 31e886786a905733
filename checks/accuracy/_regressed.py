"""How far predicted numbers are off, over everyone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from checks.accuracy._confusion import UNITS_UNKNOWN, has_units
from checks.accuracy._scored import floats, mean_of, weights_of
from checks.evidence import Need, View
from checks.finding import Measure, Reason
from checks.policy import Terms
from checks.statistics import Floats, critical, effective_rows

ROW_FACTS = (Need.LABELS, Need.VALUES, Need.WEIGHTS)
"""What these figures are read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regressed:
    """Rows with a label and a predicted value, all (n,); and how many rows there were."""

    label: Floats
    value: Floats
    weight: Floats
    rows: int
    unlabelled: int
    unanswered: int


def regressed(evidence: View) -> Regressed | None:
    """Read the rows that have both; None where there are no values or labels at all."""
    if not (evidence.holds(Need.VALUES) and evidence.holds(Need.LABELS)):
        return None
    label, value = floats(evidence.labels), floats(evidence.values)
    known = ~(np.isnan(label) | np.isnan(value))
    return Regressed(
        label=label[known],
        value=value[known],
        weight=weights_of(evidence, len(label))[known],
        rows=len(label),
        unlabelled=int(np.isnan(label).sum()),
        unanswered=int(np.isnan(value).sum()),
    )


def errors_of(rows: Regressed, evidence: View, terms: Terms) -> tuple[Measure, Measure, Measure]:
    """Measure mean absolute error, root mean squared error and R squared."""
    error = rows.value - rows.label
    mae = mean_of("mae", "sklearn.metrics.mean_absolute_error", "label", np.abs(error), rows.weight, terms)
    squared = mean_of("rmse", "sklearn.metrics.root_mean_squared_error", "label", error**2, rows.weight, terms)
    rooted = {n: None if (v := getattr(squared, n)) is None else float(np.sqrt(max(v, 0.0))) for n in _BOUNDS}
    rmse = squared.model_copy(
        update={**rooted, "interval": "student of the mean square" if rooted["low"] is not None else ""}
    )
    made = (mae, rmse, _r2_of(rows, error, terms))
    if not has_units(evidence):
        return made
    bare = {"low": None, "high": None, "interval": "", "reason": UNITS_UNKNOWN}
    return made[0].model_copy(update=bare), made[1].model_copy(update=bare), made[2].model_copy(update=bare)


_BOUNDS = ("value", "low", "high")


def _r2_of(rows: Regressed, error: Floats, terms: Terms) -> Measure:
    """Measure the share of variance told, with the interval of its linearised ratio of sums on the log scale."""
    definition, weight, n = "sklearn.metrics.r2_score", rows.weight, len(error)
    spread = (rows.label - np.average(rows.label, weights=weight)) ** 2
    total, left = float((weight * spread).sum()), float((weight * error**2).sum())
    effective = float(effective_rows([weight.sum()], [(weight**2).sum()])[0])
    if total <= 0.0 or effective <= 2.0:
        return Measure(
            name="r2", value=None, rows=n, unit="ratio", definition=definition, reason=Reason(code="same_labels")
        )
    quotient = left / total
    low = high = 1.0 - quotient
    if quotient > 0.0:
        influence = weight * (error**2 / left - spread / total)
        half = critical(terms.confidence) * float(np.sqrt((influence**2).sum() * effective / (effective - 1.0)))
        low, high = 1.0 - quotient * float(np.exp(half)), 1.0 - quotient * float(np.exp(-half))
    return Measure(
        name="r2",
        value=1.0 - quotient,
        low=low,
        high=high,
        rows=n,
        unit="ratio",
        definition=definition,
        interval="linearised, on the log of the unexplained share",
    )
