"""Ask rows again with every number moved by no more than the data can tell, so that an answer stored per row is lost.

A model that has learned something answers such a row as before, as far as it matters; a model that looks the row up
among those it was given does not find it.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table

ASKED_ROWS = 2_000

SEEN_ROWS = 20_000
"""Rows from which the precision of a column is told."""

FEWEST_VALUES = 12
"""Distinct values below which a column of numbers is taken for codes, which stay as they are."""

MOST_DECIMALS = 9

FINEST = 1e-6
"""Precision of a column that has no fewer decimals, as a share of its range."""

LEAST, MOST = 0.1, 0.4
"""Size of a move as a share of the precision: below a half, so that rounding would give the old value again."""


@probe()
def within_precision(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:
    """Plan a second question for up to `ASKED_ROWS` rows, each number moved by less than its column's precision.

    The precision is the last decimal that a column's values have. Whole numbers have no finer values, and may be
    codes: they move by 1, the least they can, to a value that the data hold; freely only where most rows differ in it.
    A moved number stays within the range of its column. Dummies, booleans, categories, text and codes stay as they are.

    Returns:
        A plan with the facts `row` (m,), positions of the rows asked, each of which really changed, and `moved` (f,),
        whether each column was moved; None where no row can be changed.
    """
    if not table.rows:
        return None
    dummies = {c for columns in declaration.inputs.dummies.values() for c in columns}
    seen = rng.choice(table.rows, size=min(SEEN_ROWS, table.rows), replace=False).astype(np.int64)
    chosen = np.sort(seen[:ASKED_ROWS])
    rows, known = table.features.take(pa.array(chosen)), table.features.take(pa.array(seen))
    moved = np.zeros(table.features.num_columns, dtype=bool)
    changed = np.zeros(len(chosen), dtype=bool)
    for i, name in enumerate(table.features.column_names):
        draw = rng.uniform(LEAST, MOST, len(chosen)) * rng.choice(np.array([-1.0, 1.0]), len(chosen))
        if name in dummies or not _is_number(rows.column(name).type):
            continue
        mine, values = (c.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False) for c in (rows, known))
        after = _moved(mine, values[np.isfinite(values)], draw)
        differs = after != mine
        differs &= ~np.isnan(mine)
        if differs.any():
            typed = pa.array(np.where(np.isnan(mine), 0.0, after), mask=np.isnan(mine)).cast(rows.column(name).type)
            rows = rows.set_column(i, rows.schema.field(i), pa.chunked_array([typed]))
            moved[i] = True
            changed |= differs
    if not changed.any():
        return None
    return Plan(rows=rows.filter(pa.array(changed)), facts={"row": chosen[changed], "moved": moved})


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _moved(mine: NDArray[np.float64], known: NDArray[np.float64], draw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move numbers, (m,), by a share of their column's precision; what has no next value of the same meaning stays."""
    values = np.unique(known)
    if len(values) < FEWEST_VALUES:
        return mine
    low, high = values[0], values[-1]
    whole = bool((values == np.round(values)).all())
    step = np.sign(draw) if whole else draw * precision(known)
    free = not whole or len(values) > len(known) / 2

    def usable(wanted: NDArray[np.float64]) -> NDArray[np.bool_]:
        return ((wanted >= low) & (wanted <= high)) if free else np.isin(wanted, values)

    # Where the one way leads out of the data, the other is taken.
    return np.where(usable(mine + step), mine + step, np.where(usable(mine - step), mine - step, mine))


def precision(values: NDArray[np.float64]) -> float:
    """Tell the precision of a column: one unit of its values' last decimal.

    Args:
        values: (n,) finite, not all alike.

    Returns:
        A power of ten from 1 to 1e-9, no larger than needed and no finer than `FINEST` of the range.
    """
    finest = FINEST * float(values.max() - values.min())
    for decimals in range(MOST_DECIMALS + 1):
        unit = 10.0**-decimals
        if unit <= finest or np.allclose(values, np.round(values, decimals), rtol=1e-12, atol=0.0):
            return max(unit, finest)
    return max(10.0**-MOST_DECIMALS, finest)
