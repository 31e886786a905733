"""Tell which decisions flip when a row is asked again with something changed, and how sure the shares are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.counting import unit_codes
from checks.declaration import Declaration, Output, Task
from checks.evidence import Answers, View
from checks.finding import GroupMeasures, Measure, NotGathered, Reason
from checks.policy import Terms
from checks.sealing import decide
from checks.statistics import critical, rate_of_rows, wilson

DEFINITION = "rows whose decision changed over rows asked again, each row counted once"

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """What became of the decisions about the rows that were asked again.

    Args:
        row: (m,) positions in the data.
        before, after: (m,) class index.
        place: (m,) where each stands among the rows that the probe asked.
        unit: (m,) the person or household of each; None where each row is one of its own.
    """

    row: Integers
    before: Integers
    after: Integers
    place: Integers
    unit: Integers | None = None

    def where(self, kept: NDArray[np.bool_] | Integers) -> Flips:
        """Keep some rows, by a mask or by their positions here."""
        unit = None if self.unit is None else self.unit[kept]
        return Flips(
            row=self.row[kept], before=self.before[kept], after=self.after[kept], place=self.place[kept], unit=unit
        )

    @property
    def flipped(self) -> NDArray[np.bool_]:
        """Whether each decision changed, (m,)."""
        return np.asarray(self.before != self.after)


def decisions_of(declaration: Declaration, values: NDArray[np.float64]) -> Integers | None:
    """Turn answers into decisions as for the first answers: (m,) class index, -1 where there is none.

    Returns:
        None where no threshold is known, so that there are no decisions.
    """
    data, model = declaration.data, declaration.model
    assert data is not None
    assert model is not None
    absent = np.isnan(values).any(axis=1)
    if model.output in (Output.LABEL, Output.DECISION):
        return np.where(absent, -1, np.nan_to_num(values[:, 0], nan=-1.0)).astype(np.int64)
    if data.task is Task.MULTICLASS:
        return np.where(absent, -1, np.argmax(np.nan_to_num(values, nan=-1.0), axis=1)).astype(np.int64)
    decided = decide(declaration, values[:, 0])
    return None if decided is None else decided.astype(np.int64)


def flips(evidence: View, again: Answers) -> Flips | NotGathered:
    """Hold the decisions about changed rows against the decisions about the same rows unchanged.

    Args:
        evidence: shows decisions, and may show units.
        again: with the fact `row`.
    """
    after = decisions_of(evidence.declaration, again.values)
    if after is None:
        return NotGathered(reason=Reason(code="no_decisions"))
    row = again.facts["row"].astype(np.int64)
    before = evidence.decisions.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)[row]
    known = np.flatnonzero((before >= 0) & (after >= 0))
    if not known.size:
        return NotGathered(reason=Reason(code="no_decisions"))
    unit = unit_codes(evidence)
    every = Flips(
        row=row, before=before, after=after, place=np.arange(len(row)), unit=None if unit is None else unit[row]
    )
    return every.where(known)


def share(
    name: str,
    hit: NDArray[np.bool_],
    terms: Terms,
    family: int = 1,
    unit: Integers | None = None,
    definition: str = DEFINITION,
) -> Measure:
    """Measure a share of rows with Wilson's interval, rows of one person or household counting together.

    Args:
        name: of the measure.
        hit: (m,) whether each row counts in.
        family: number of shares that are looked at together; the interval is Bonferroni's for so many.
        unit: (m,) the person or household of each row; None where each row is one of its own.
        definition: of the measure.
    """
    m = len(hit)
    if m == 0:
        nothing = Reason(code="no_decisions")
        return Measure(name=name, value=None, rows=0, unit="share", definition=definition, reason=nothing)
    value, effective = rate_of_rows(hit, np.ones(m), unit)
    assert value is not None
    rate = np.array([value])

    def bounds(confidence: float) -> tuple[float, float]:
        low, high = wilson(rate, np.array([effective]), critical(confidence))
        return float(low[0]), float(high[0])

    low, high = bounds(1.0 - (1.0 - terms.confidence) / family)
    return Measure(
        name=name,
        value=float(rate[0]),
        low=low,
        high=high,
        unadjusted=bounds(terms.confidence) if family > 1 else None,
        rows=m,
        unit="share",
        definition=definition,
        interval="wilson" if family == 1 else f"wilson, Bonferroni over {family} groups",
    )


def by_group(
    attribute: str, of_row: pa.ChunkedArray, found: Flips, terms: Terms, name: str = "flip_rate"
) -> list[GroupMeasures]:
    """Give the share of flips of each group of an attribute, groups in the order of their names.

    Args:
        attribute: name of the column.
        of_row: (n,) group of every row of the data, as text; null is a group of its own, last.
    """
    names = of_row.cast(pa.string()).take(pa.array(found.row)).to_pylist()
    groups = sorted({n for n in names if n is not None}) + ([None] if None in names else [])
    made = []
    for group in groups:
        inside = np.array([n == group for n in names])
        here = found.where(inside)
        made.append(
            GroupMeasures(
                group={attribute: group},
                rows=len(here.row),
                too_small=len(here.row) < terms.minimum_rows,
                measures=(share(name, here.flipped, terms, family=len(groups), unit=here.unit),),
            )
        )
    return made
