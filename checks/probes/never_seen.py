"""Ask rows with a value that the data never hold: a number beyond its range, or a category of another name."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table

ASKED_ROWS = 600

BEYOND = 0.5
"""How far beyond its range a number is moved, as a share of that range."""

FEWEST_VALUES = 12
"""Distinct values below which a column of numbers is taken for codes, of which none is made up."""

UNSEEN: Final = "a value of no row"

NUMBER, CATEGORY = 0, 1
"""Values of the fact `kind`."""


@probe()
def never_seen(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:
    """Plan up to `ASKED_ROWS` questions, each a row of the data with one input set to what no row has.

    They are asked of another copy of the model, for one that does not stand such a value must not lose the answers to
    all other questions with it. Dummies, booleans, numbers with few values, and categories that are declared by their
    codes stay as they are.

    Returns:
        A plan to be asked afresh, with the facts `row` (m,), positions of the rows asked, `column` (m,), the input
        changed, and `kind` (m,), `NUMBER` or `CATEGORY`; None where no input can be changed.
    """
    inputs = declaration.inputs
    kept = {c for columns in inputs.dummies.values() for c in columns} | set(inputs.categories)
    kinds = {
        i: kind
        for i, name in enumerate(table.features.column_names)
        if table.rows and name not in kept and (kind := _kind(table.features.column(name))) is not None
    }
    if not kinds:
        return None
    count = min(ASKED_ROWS, table.rows * len(kinds))
    column = np.array(list(kinds), dtype=np.int64)[np.arange(count) % len(kinds)]
    row = rng.integers(0, table.rows, size=count).astype(np.int64)
    way = rng.random(count) < 0.5
    rows = table.features.take(pa.array(row)).unify_dictionaries()
    for i, kind in kinds.items():
        hit = column == i
        changed = (
            _beyond(rows.column(i), table.features.column(i), hit, way) if kind == NUMBER else _other(rows, i, hit)
        )
        rows = rows.set_column(i, rows.schema.field(i), changed)
    kind_of = np.array([kinds[int(i)] for i in column], dtype=np.int64)
    return Plan(rows=rows, facts={"row": row, "column": column, "kind": kind_of}, apart=True, fresh=True)


def _kind(column: pa.ChunkedArray) -> int | None:
    if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
        return CATEGORY
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return None
    known = column.drop_null()
    return NUMBER if len(known.unique()) >= FEWEST_VALUES else None


def _beyond(mine: pa.ChunkedArray, all_of: pa.ChunkedArray, hit: np.ndarray, way: np.ndarray) -> pa.ChunkedArray:
    """Set a number beyond its range, above or below it."""
    known = all_of.drop_null().cast(pa.float64()).to_numpy()
    known = known[np.isfinite(known)]
    low, high = float(known.min()), float(known.max())
    step = BEYOND * (high - low)
    if pa.types.is_integer(mine.type):
        step = float(np.ceil(step))
    set_to = np.where(way, high + step, low - step)
    now = mine.cast(pa.float64()).to_numpy(zero_copy_only=False)
    filled = np.where(hit, set_to, now)
    absent = np.isnan(filled)
    values = np.where(absent, 0.0, filled)
    typed = pa.array(values.astype(np.int64) if pa.types.is_integer(mine.type) else values, mask=absent)
    return pa.chunked_array([typed.cast(mine.type)])


def _other(rows: pa.Table, i: int, hit: np.ndarray) -> pa.ChunkedArray:
    """Set a category to one of another name."""
    column = rows.column(i)
    text = column.cast(pa.string()).to_pylist()
    changed = pa.array([UNSEEN if h else t for h, t in zip(hit.tolist(), text, strict=True)], type=pa.string())
    return pa.chunked_array(
        [changed.dictionary_encode().cast(column.type) if pa.types.is_dictionary(column.type) else changed]
    )
