"""Compare answers to the same rows, asked twice in different company."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.declaration import Output, Task
from checks.evidence import Answers, Need, View
from checks.finding import Measure, Measured, NotGathered, Reason

TOLERANCE = 1e-6
"""Largest relative gap that is put down to rounding: that of single precision, in which many models compute."""

DEFINITION = f"rows whose two answers differ by more than {TOLERANCE:g} of the larger (of 1, where both are smaller)"

ANSWERS = (Need.DECISIONS, Need.SCORES, Need.VALUES, Need.PROBABILITIES)
"""Facts in which the first answers are found, by the kind of output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The two answers of each row.

    Args:
        differs: (m,) whether they differ beyond rounding.
        change: (m,) largest absolute gap; 0 or 1 for decisions.
        unit: of the change.
    """

    differs: NDArray[np.bool_]
    change: NDArray[np.float64]
    unit: str


def first_answers(evidence: View) -> tuple[NDArray[np.float64], str] | None:
    """Give the answers that are the system's decisions, (n, k), and their unit; None where there are none."""
    data, model = evidence.declaration.data, evidence.declaration.model
    assert data is not None
    assert model is not None

    def column(of: pa.ChunkedArray) -> NDArray[np.float64]:
        return np.asarray(of.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)

    if data.task is Task.REGRESSION:
        return (column(evidence.values)[:, None], "label") if evidence.holds(Need.VALUES) else None
    if model.output in (Output.LABEL, Output.DECISION):
        return (column(evidence.decisions)[:, None], "share") if evidence.holds(Need.DECISIONS) else None
    if data.task is Task.MULTICLASS:
        if not evidence.holds(Need.PROBABILITIES):
            return None
        table = evidence.probabilities
        return np.stack([column(table.column(n)) for n in table.column_names], axis=1), "share"
    if not evidence.holds(Need.SCORES):
        return None
    return column(evidence.scores)[:, None], "share" if model.output is Output.PROBABILITY else "points"


def compare(evidence: View, again: Answers) -> Compared | NotGathered:
    """Hold second answers against the first ones.

    Args:
        evidence: shows the first answers, whichever of `ANSWERS` the output is.
        again: with the fact `row`, positions in the data.
    """
    first = first_answers(evidence)
    if first is None:
        return NotGathered(reason=Reason(code="no_first_answers"))
    answered, unit = first
    before, after = answered[again.facts["row"]], again.values
    assert evidence.declaration.model is not None
    if evidence.declaration.model.output in (Output.LABEL, Output.DECISION):
        gap = (before != after).astype(np.float64)
        gap[np.isnan(before) & np.isnan(after)] = 0.0
    else:
        # An answer that is there once and absent once differs, by an unknown amount.
        gap = np.abs(before - after)
    scale = np.maximum(np.maximum(np.abs(before), np.abs(after)), 1.0)
    beyond = ~(gap <= TOLERANCE * scale) & ~(np.isnan(before) & np.isnan(after))
    return Compared(differs=beyond.any(axis=1), change=np.nan_to_num(gap).max(axis=1), unit=unit)


def measured(compared: Compared) -> Measured:
    """Give `differing_rows` and `largest_change` as exact measures; fewer is better for both."""
    m, count = len(compared.differs), float(compared.differs.sum())
    largest = float(compared.change.max(initial=0.0))
    return Measured(
        measures=(
            Measure(
                name="differing_rows",
                value=count,
                low=count,
                high=count,
                rows=m,
                unit="rows",
                definition=DEFINITION,
                interval="exact",
            ),
            Measure(
                name="largest_change",
                value=largest,
                low=largest,
                high=largest,
                rows=m,
                unit=compared.unit,
                definition="largest absolute gap between two answers to one row; 1 for another decision",
                interval="exact",
            ),
        ),
        reason=Reason(code="asked_again", params={"rows": m, "differing": int(count)}),
    )
