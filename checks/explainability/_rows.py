"""Read the explained rows out of the evidence: Shapley values with names, shown values, ranks and first answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.evidence import Need, View
from checks.explainability._averages import Counted
from checks.explainability._shapley import (
    Explained,
    Floats,
    Integers,
    Shapley,
    explained_output,
    is_number,
    shapley_values,
)
from checks.finding import NotGathered, Reason, Scalar
from checks.probes.coalitions import players_of

PROBE = "coalitions"

COUNTED = (Need.WEIGHTS, Need.UNITS)
"""What tells how rows count, where it is there."""

ANSWERED = (Need.SCORES, Need.DECISIONS, Need.VALUES, Need.PROBABILITIES)
"""What holds the first answers to the same rows."""

UNITS = {
    "probability": "share",
    "own_probability": "share",
    "decision": "share",
    "own_decision": "share",
    "score": "points",
    "value": "label",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that is known of the explained rows.

    Args:
        shapley: values, errors, base and outputs.
        what: which number is explained.
        names: (p,) names of the inputs.
        columns: (p,) the columns of each input.
        explained: (e,) positions of the explained rows in the data.
        used: features of the explained rows, (e, f).
        ranks: (e, p) rank of each value in the data, in [0, 1]; NaN where the input has no order or no value.
        first: (e,) output of the same rows when they were asked as the system's decisions; None where not known.
        counted: how the explained rows count in an average.
    """

    shapley: Shapley
    what: Explained
    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    explained: Integers
    used: pa.Table
    ranks: Floats
    first: Floats | None
    counted: Counted

    @property
    def unit(self) -> str:
        """Unit of outputs and values."""
        return UNITS[self.what.kind]

    @property
    def span(self) -> float:
        """How far one value can move an answer, see `span_of`."""
        return span_of(self.what)

    @property
    def reason(self) -> Reason:
        """What is explained, on how many rows and against how many."""
        params: dict[str, Scalar] = {
            "explained": len(self.explained),
            "background": self.shapley.background_rows,
            "pairs": self.shapley.pairs,
        }
        if self.what.of is not None:
            params["of"] = self.what.of
        how = "all" if self.shapley.exact else "sampled"
        return Reason(code=f"explains_{self.what.kind}_{how}", params=params)


def read(evidence: View) -> Reading | NotGathered:
    """Compute the Shapley values of the explained rows.

    Args:
        evidence: must show `features` and the answers to the probe, and what `COUNTED` and `ANSWERED` name where it
            is there.

    Returns:
        `NotGathered` where some mixtures have no answer.
    """
    given = evidence.answers(PROBE)
    if not np.isfinite(given.values).all():
        return NotGathered(reason=Reason(code="answers_incomplete"))
    declaration, features = evidence.declaration, evidence.features
    explained = given.facts["explained"].astype(np.int64)
    what = explained_output(declaration, given.values, len(explained))
    shapley = shapley_values(what.numbers, given.facts, features=features, column=what.column)
    players = players_of(features.column_names, declaration)
    used = features.take(pa.array(explained))
    ranks = np.full((len(explained), len(players)), np.nan)
    for i, (_, columns) in enumerate(players):
        if len(columns) == 1:
            ranks[:, i] = _ranks(features.column(columns[0]), explained)
    return Reading(
        shapley=shapley,
        what=what,
        names=tuple(name for name, _ in players),
        columns=tuple(columns for _, columns in players),
        explained=explained,
        used=used,
        ranks=ranks,
        first=_first_answers(evidence, what, explained),
        counted=counted(evidence, explained),
    )


def span_of(what: Explained) -> float:
    """Give how far apart two answers can lie: 1 for a share, else as far as any two that were given.

    Returns:
        In the unit of the output, above 0; infinite where all answers are the same number, which says nothing of it.
    """
    return 1.0 if UNITS[what.kind] == "share" else float(np.ptp(what.numbers)) or np.inf


def counted(evidence: View, rows: Integers) -> Counted:
    """Say how some rows of the data count, (e,) positions."""
    weighted = evidence.holds(Need.WEIGHTS)
    weight = floats(evidence.weights)[rows] if weighted else np.ones(len(rows))
    unit = None
    if evidence.holds(Need.UNITS):
        unit = np.unique(evidence.units.to_numpy()[rows], return_inverse=True)[1]
    return Counted(weight=weight, unit=unit, weighted=weighted)


def _ranks(column: pa.ChunkedArray, explained: Integers) -> Floats:
    if not is_number(column.type):
        return np.full(len(explained), np.nan)
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    # A colour needs no finer rank than a hundred thousand rows give.
    spaced = values[:: max(1, len(values) // 100_000)]
    known = np.sort(spaced[np.isfinite(spaced)])
    mine = values[explained]
    if not known.size:
        return np.full(len(explained), np.nan)
    below = np.searchsorted(known, mine, side="left")
    up_to = np.searchsorted(known, mine, side="right")
    return np.asarray(np.where(np.isfinite(mine), (below + up_to) / (2.0 * known.size), np.nan))


def _first_answers(evidence: View, what: Explained, explained: Integers) -> Floats | None:
    declaration = evidence.declaration
    assert declaration.data is not None
    match what.kind:
        case "value" if evidence.holds(Need.VALUES):
            return floats(evidence.values)[explained]
        case "score" if evidence.holds(Need.SCORES):
            return floats(evidence.scores)[explained]
        case "probability" if evidence.holds(Need.SCORES):
            return floats(evidence.scores)[explained]
        case "probability" | "own_probability" if evidence.holds(Need.PROBABILITIES):
            table = evidence.probabilities
            each = np.stack([floats(table.column(n))[explained] for n in table.column_names], axis=1)
            if what.of is not None:
                return np.asarray(each[:, declaration.data.classes.index(what.of)])
            return np.asarray(each[np.arange(len(explained)), what.column])
        case "decision" | "own_decision" if evidence.holds(Need.DECISIONS):
            decided = floats(evidence.decisions)[explained]
            own = what.column if what.of is None else declaration.data.classes.index(what.of)
            return np.where(np.isnan(decided), np.nan, (decided == own).astype(np.float64))
        case _:
            return None


def floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Give a column as float64, NaN where null."""
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def shown_values(reading: Reading, row: int) -> list[str | bool | None]:
    """Give the values of one explained row as text (or yes and no), one per input; None where missing.

    Args:
        row: index among the explained rows.
    """
    shown: list[str | bool | None] = []
    for columns in reading.columns:
        values = [reading.used.column(c)[row].as_py() for c in columns]
        if len(columns) == 1:
            shown.append(as_text(values[0]))
        else:
            # Of a category spread over 0/1 columns, the columns that are on say which value it has.
            on = [c for c, v in zip(columns, values, strict=True) if v not in (None, 0, False)]
            shown.append(", ".join(on) or None)
    return shown


def as_text(value: object) -> str | bool | None:
    """Write a value of an input; None where it is missing."""
    if isinstance(value, bool):
        return value
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)[:200]
