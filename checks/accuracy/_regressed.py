"""How far predicted numbers are off, over everyone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from checks.accuracy._scored import floats, mean_of, weights_of
from checks.counting import Codes, unit_codes
from checks.evidence import Need, View
from checks.finding import Measure, Reason
from checks.policy import Terms
from checks.statistics import Floats, critical, effective_rows, in_units

ROW_FACTS = (Need.LABELS, Need.VALUES, Need.WEIGHTS, Need.UNITS)
"""What these figures are read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regressed:
    """Rows with a label and a predicted value, all (n,); and how many rows there were."""

    label: Floats
    value: Floats
    weight: Floats
    unit: Codes | None
    rows: int
    unlabelled: int
    unanswered: int


def regressed(evidence: View) -> Regressed | None:
    """Read the rows that have both; None where there are no values or labels at all."""
    if not (evidence.holds(Need.VALUES) and evidence.holds(Need.LABELS)):
        return None
    label, value = floats(evidence.labels), floats(evidence.values)
    known, unit = ~(np.isnan(label) | np.isnan(value)), unit_codes(evidence)
    return Regressed(
        label=label[known],
        value=value[known],
        weight=weights_of(evidence, len(label))[known],
        unit=None if unit is None else unit[known],
        rows=len(label),
        unlabelled=int(np.isnan(label).sum()),
        unanswered=int(np.isnan(value).sum()),
    )


def errors_of(rows: Regressed, terms: Terms) -> tuple[Measure, Measure, Measure]:
    """Measure mean absolute error, root mean squared error and R squared."""
    error = rows.value - rows.label
    mae = mean_of("mae", "sklearn.metrics.mean_absolute_error", "label", np.abs(error), rows.weight, terms, rows.unit)
    squared = mean_of(
        "rmse", "sklearn.metrics.root_mean_squared_error", "label", error**2, rows.weight, terms, rows.unit
    )
    rooted = {n: None if (v := getattr(squared, n)) is None else float(np.sqrt(max(v, 0.0))) for n in _BOUNDS}
    rmse = squared.model_copy(
        update={
            **rooted,
            "interval": "student of the mean square, skewness corrected" if rooted["low"] is not None else "",
        }
    )
    return mae, rmse, _r2_of(rows, error, terms)


_BOUNDS = ("value", "low", "high")


def _r2_of(rows: Regressed, error: Floats, terms: Terms) -> Measure:
    """Measure the share of variance told, with the interval of its linearised ratio of sums on the log scale."""
    definition, weight, n = "sklearn.metrics.r2_score", rows.weight, len(error)
    spread = (rows.label - np.average(rows.label, weights=weight)) ** 2
    total, left = float((weight * spread).sum()), float((weight * error**2).sum())
    behind = in_units(weight, rows.unit)
    effective = float(effective_rows([behind.sum()], [(behind**2).sum()])[0])
    if total <= 0.0 or effective <= 2.0:
        return Measure(
            name="r2", value=None, rows=n, unit="ratio", definition=definition, reason=Reason(code="same_labels")
        )
    quotient = left / total
    low = high = 1.0 - quotient
    if quotient > 0.0:
        influence = in_units(weight * (error**2 / left - spread / total), rows.unit)
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
