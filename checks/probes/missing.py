"""Ask rows again with one input left empty, among the inputs that the data show may be empty."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table

MISSING_ROWS = 2_000

SEEN_ROWS = 20_000
"""Rows among which those with a value to leave out are looked for."""


@probe()
def missing(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:  # noqa: ARG001  # one signature for all probes
    """Plan a second question for up to `MISSING_ROWS` rows, each with one input left empty that was not.

    Only inputs that are empty somewhere in the data are left out: a model that was never meant to do without an input
    would crash, and take the answers to all other questions with it.

    Returns:
        A plan with the facts `row` (m,), positions of the rows asked, and `column` (m,), the column left empty; None
        where no input is ever empty.
    """
    columns = [i for i, c in enumerate(table.features.columns) if c.null_count]
    if not columns:
        return None
    seen = rng.choice(table.rows, size=min(SEEN_ROWS, table.rows), replace=False).astype(np.int64)
    there = np.stack([table.features.column(i).take(pa.array(seen)).is_valid().to_numpy() for i in columns], axis=1)
    which = rng.integers(0, len(columns), size=len(seen))
    # Each row seen has one input drawn for it, so that each input is left out about equally often.
    usable = np.flatnonzero(there[np.arange(len(seen)), which])[:MISSING_ROWS]
    if not len(usable):
        return None
    usable = usable[np.argsort(seen[usable])]
    row, column = seen[usable], np.array(columns, dtype=np.int64)[which[usable]]
    rows = table.features.take(pa.array(row))
    for i in columns:
        # A row number that is null takes a null from any type of column, its dictionary kept.
        kept = pa.array(row, mask=column == i)
        rows = rows.set_column(i, rows.schema.field(i), table.features.column(i).take(kept))
    return Plan(rows=rows, facts={"row": row, "column": column})
