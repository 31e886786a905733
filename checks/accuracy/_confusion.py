"""The confusion of labels and decisions over everyone, and what must be said beside figures taken from it."""

from __future__ import annotations

from dataclasses import dataclass

from checks.counting import ABSENT, Cells, Mask, labels_for_some
from checks.declaration import ColumnRole
from checks.evidence import Need, View
from checks.finding import Measure, NotGathered, Reason, Scalar
from checks.policy import Terms
from checks.statistics import Floats, critical, effective_rows_of_rate, wilson

UNITS_UNKNOWN = Reason(code="units_unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts of label x decision of all rows that have both.

    Args:
        cells: those rows.
        rows: rows in all.
        unlabelled, unanswered: rows without label, without answer.
        clustered: whether several rows are of one person or household: then rows are not independent.
    """

    cells: Cells
    rows: int
    unlabelled: int
    unanswered: int
    clustered: bool

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
        value = min(1.0, float(weight[inside].sum()) / total)
        squares = self.cells.weight_squared
        effective: Floats = effective_rows_of_rate(
            [value], [total], [float(squares[inside].sum())], [float(squares[outside].sum())]
        )
        return value, int(self.cells.rows[among].sum()), float(effective[0])

    def certain(self, measure: Measure) -> Measure:
        """Take the interval away where rows are not independent: it would say more than is known."""
        if not self.clustered:
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
    return Confusion(
        cells=cells.where(labelled & answered),
        rows=int(cells.rows.sum()),
        unlabelled=int(cells.rows[~labelled].sum()),
        unanswered=int(cells.rows[~answered].sum()),
        clustered=has_units(evidence),
    )


def has_units(evidence: View) -> bool:
    """Tell whether several rows may be of one person or household."""
    data = evidence.declaration.data
    return data is not None and ColumnRole.UNIT in data.columns.values()


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
    if never_within is None and has_units(evidence):
        never_within = UNITS_UNKNOWN
    left_out = None
    if unlabelled or unanswered:
        params: dict[str, Scalar] = {"rows": rows, "unlabelled": unlabelled, "unanswered": unanswered}
        left_out = Reason(code="left_out", params=params)
    return never_within or left_out, never_within
