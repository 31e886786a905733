"""Ask rows again with every number moved a little: a decision that flips hangs on less than it should."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table

NUDGED_ROWS = 2_000

SEEN_ROWS = 20_000
"""Rows from which the spread of a column is told."""

STEP = 0.05
"""Size of the change, as a share of the usual spread of the column: its middle half, in standard deviations."""

FEWEST_VALUES = 12
"""Distinct values below which a column of numbers is taken for codes, which have no small changes."""


@probe()
def nudged(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:
    """Plan a second question for up to `NUDGED_ROWS` rows, each number moved by one step up or down.

    A moved number stays within the values that its column has. Where those are whole it becomes one that the data hold,
    by at least 1 away: whole numbers may be codes after all, and an unknown code could crash a model.
    Where most rows of a column have one value, those rows keep it, and the spread is that of the others.
    Dummies of a category, booleans, categories, text and numbers with few distinct values stay as they are.

    Returns:
        A plan with the facts `row` (m,), positions of the rows asked, and `moved` (f,), whether each column was moved;
        None where there are no rows, or no column can be moved.
    """
    if not table.rows:
        return None
    dummies = {c for columns in declaration.inputs.dummies.values() for c in columns}
    seen = rng.choice(table.rows, size=min(SEEN_ROWS, table.rows), replace=False).astype(np.int64)
    chosen = np.sort(seen[:NUDGED_ROWS])
    rows, moved = nudge(table.features.take(pa.array(chosen)), table.features.take(pa.array(seen)), dummies, rng)
    return Plan(rows=rows, facts={"row": chosen, "moved": moved}) if moved.any() else None


def nudge(
    rows: pa.Table, known: pa.Table, dummies: set[str], rng: np.random.Generator
) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Move every number of some rows one step up or down, as `nudged` says.

    Args:
        rows: (m, f).
        known: rows from which the spread of a column is told.
        dummies: columns that stay as they are.
        rng: draws the ways.

    Returns:
        The rows (m, f), and whether each column was moved, (f,).
    """
    moved = np.zeros(rows.num_columns, dtype=bool)
    for i, name in enumerate(rows.column_names):
        way = rng.choice(np.array([-1.0, 1.0]), size=rows.num_rows)
        if name in dummies:
            continue
        changed = _moved(rows.column(name), known.column(name), way)
        if changed is not None:
            rows = rows.set_column(i, rows.schema.field(i), changed)
            moved[i] = True
    return rows, moved


def _moved(column: pa.ChunkedArray, seen: pa.ChunkedArray, way: NDArray[np.float64]) -> pa.ChunkedArray | None:
    """Move the numbers of a column one step each; None where it holds none that have small changes."""
    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return None
    mine, values = (c.cast(pa.float64()).to_numpy(zero_copy_only=False) for c in (column, seen))
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    # Where most rows have one value (no debt, no gain), having another is no small change: those rows stay.
    mostly = low == high
    varied = known[known != middle] if mostly else known
    if len(np.unique(varied)) < FEWEST_VALUES:
        return None
    if mostly:
        low, high = np.quantile(varied, [0.25, 0.75])
    spread = float(high - low) / 1.349 or float(varied.std())
    step = STEP * spread
    whole = bool((known == np.round(known)).all())
    if whole:
        step = max(1.0, float(np.round(step)))
    absent = np.isnan(mine)
    way = np.where(mine == middle, 0.0, way) if mostly else way
    changed = np.clip(mine + way * step, known.min(), known.max())
    if whole:
        changed = _nearest(np.unique(known), changed)
    filled = np.where(absent, 0.0, changed)
    typed = pa.array(filled.astype(np.int64) if pa.types.is_integer(kind) else filled, mask=absent)
    return pa.chunked_array([typed.cast(kind)])


def _nearest(values: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the nearest of some sorted values to each wanted one; NaN stays NaN."""
    after = np.clip(np.searchsorted(values, wanted), 1, len(values) - 1)
    below, above = values[after - 1], values[after]
    nearest = np.where(wanted - below <= above - wanted, below, above)
    return np.where(np.isnan(wanted), np.nan, nearest)
