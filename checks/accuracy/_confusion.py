"""The confusion of labels and decisions over everyone, and what must be said beside figures taken from it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from checks.counting import ABSENT, Cells, Codes, Mask, Units, has_units, labels_for_some, units_of
from checks.evidence import EVERYONE, Need, View
from checks.finding import Measure, NotGathered, Reason, Scalar
from checks.policy import Terms
from checks.statistics import (
    USUAL,
    Floats,
    critical,
    effective_rows_of_rate,
    in_units,
    mean_of_rows,
    of_few_units,
    rate_of_rows,
    wilson,
)

UNITS_UNKNOWN = Reason(code="units_unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts of label x decision of all rows that have both.

    Args:
        cells: those rows.
        rows: rows in all.
        unlabelled, unanswered: rows without label, without answer.
        units: the rows and the person or household of each, where rows go together; `place` is the cell of each.
        hidden: whether rows go together and cannot be seen: then nothing has an interval.
    """

    cells: Cells
    rows: int
    unlabelled: int
    unanswered: int
    units: Units | None
    place: Codes | None
    hidden: bool

    def share(self, name: str, counts: Mask, among: Mask, confidence: float, definition: str) -> Measure:
        """Measure a share of these rows, with Wilson's interval on effective rows."""
        value, rows, effective = self.weigh(counts, among)
        if value is None:
            return Measure(
                name=name,
                value=None,
                rows=0,
                unit="share",
                definition=definition,
                reason=Reason(code="denominator_zero"),
            )
        low, high = wilson([value], [effective], critical(confidence))
        return self.certain(
            Measure(
                name=name,
                value=value,
                low=float(low[0]),
                high=float(high[0]),
                rows=rows,
                unit="share",
                definition=definition,
                interval="wilson",
            )
        )

    def weigh(self, counts: Mask, among: Mask) -> tuple[float | None, int, float]:
        """Give a share, the rows it is a share of, and their effective number; None where there are none."""
        inside, outside = counts & among, ~counts & among
        weight, total = self.cells.weight, float(self.cells.weight[among].sum())
        if total <= 0:
            return None, 0, 0.0
        value, rows = min(1.0, float(weight[inside].sum()) / total), int(self.cells.rows[among].sum())
        if self.units is not None:
            behind = np.flatnonzero(among[self.place])
            hit = counts[self.place][behind]
            return value, rows, rate_of_rows(hit, self.units.rows.weight[behind], self.units.unit[behind])[1]
        squares = self.cells.weight_squared
        effective: Floats = effective_rows_of_rate(
            [value], [total], [float(squares[inside].sum())], [float(squares[outside].sum())]
        )
        return value, rows, float(effective[0])

    def effective_of_difference(self, gained: Mask, lost: Mask) -> float:
        """Give the independent rows with which one share minus another, of all rows, would be as uncertain."""
        if self.units is None:
            return inf
        signed = gained.astype(np.float64) - lost
        weight = self.units.rows.weight
        mean, variance, n = mean_of_rows(signed[self.place], weight, self.units.unit)
        spread = float(np.average(signed[self.place] ** 2, weights=weight)) - mean**2
        return float(of_few_units(spread / variance, n, critical(USUAL))) if variance > 0 else n

    def variance_of_sum(self, influence: Floats) -> float:
        """Give the variance of a sum over rows of weight times influence, (c,) by cell and 0 in all.

        What rows of one unit add is summed before it is squared. One unit alone shows no spread: 0.
        """
        if self.units is None:
            n = float(self.cells.rows.sum())
            squared = float((self.cells.weight_squared * influence**2).sum())
        else:
            summed = in_units(self.units.rows.weight * influence[self.place], self.units.unit)
            n, squared = float(len(np.unique(self.units.unit))), float((summed**2).sum())
        return n / (n - 1.0) * squared if n > 1.0 else 0.0

    def fewest_of_a_label(self) -> float:
        """Give the effective rows of the label that has the fewest."""
        cells = self.cells
        every = cells.rows > 0
        return min(self.weigh(every, cells.label == label)[2] for label in np.unique(cells.label))

    def certain(self, measure: Measure) -> Measure:
        """Take the interval away where rows go together unseen: it would say more than is known."""
        if not self.hidden:
            return measure
        return measure.model_copy(update={"low": None, "high": None, "interval": "", "reason": UNITS_UNKNOWN})


def confuse(evidence: View) -> Confusion | NotGathered:
    """Read the counts of everyone; those without label or answer are set aside and told."""
    cells = Cells.of(evidence.cells())
    if not cells.rows.sum():
        return NotGathered(reason=Reason(code="no_rows"))
    labelled, answered = cells.label != ABSENT, cells.decision != ABSENT
    if not labelled.any():
        return NotGathered(reason=Reason(code="no_labels", params={"need": Need.LABELS.value}))
    if not (labelled & answered).any():
        return NotGathered(reason=Reason(code="no_rows"))
    kept = cells.where(labelled & answered)
    units, place = units_of(evidence, EVERYONE, (None,), labelled=True), None
    if units is not None:
        both = (units.rows.label != ABSENT) & (units.rows.decision != ABSENT)
        units = Units(rows=units.rows.where(both), unit=units.unit[both])
        side = 1 + int(max(kept.label.max(), kept.decision.max()))
        cell = np.zeros(side * side, dtype=np.int64)
        cell[kept.label * side + kept.decision] = np.arange(len(kept.rows))
        place = cell[units.rows.label * side + units.rows.decision]
    return Confusion(
        cells=kept,
        rows=int(cells.rows.sum()),
        unlabelled=int(cells.rows[~labelled].sum()),
        unanswered=int(cells.rows[~answered].sum()),
        units=units,
        place=place,
        hidden=units is None and units_hidden(evidence),
    )


def units_hidden(evidence: View) -> bool:
    """Tell whether several rows may be of one person or household, and cannot be seen."""
    data = evidence.declaration.data
    return data is not None and has_units(data) and not evidence.holds(Need.UNITS)


def standing(
    evidence: View, terms: Terms, rows: int, unlabelled: int, unanswered: int
) -> tuple[Reason | None, Reason | None]:
    """Say what must be known beside label-based figures, as `reason` and `never_within` of a result.

    Args:
        terms: from how many rows without a label on figures describe some people only.
        rows: rows in all.
        unlabelled, unanswered: rows without label, without answer.
    """
    data = evidence.declaration.data
    assert data is not None
    never_within = labels_for_some(data, rows, unlabelled, terms.few_unlabelled)
    if never_within is None and units_hidden(evidence):
        never_within = UNITS_UNKNOWN
    left_out = None
    if unlabelled or unanswered:
        params: dict[str, Scalar] = {"rows": rows, "unlabelled": unlabelled, "unanswered": unanswered}
        left_out = Reason(code="left_out", params=params)
    return never_within or left_out, never_within
