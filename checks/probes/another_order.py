"""Ask some rows in another order and in small batches: an answer must not hang on a row's neighbours."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table

ORDERED_ROWS = 500
SMALL_BATCH_ROWS = 37
"""Rows of each batch: odd and small, so that batches end where no other probe's do."""


@probe()
def another_order(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:  # noqa: ARG001  # one signature for all probes
    """Plan a second question for up to `ORDERED_ROWS` rows, in a drawn order, in batches of `SMALL_BATCH_ROWS`.

    Returns:
        A plan with the fact `row` (m,), the positions of the rows asked; None where there are no rows.
    """
    if not table.rows or not table.features.num_columns:
        return None
    chosen = rng.choice(table.rows, size=min(ORDERED_ROWS, table.rows), replace=False).astype(np.int64)
    return Plan(
        rows=table.features.take(pa.array(chosen)), facts={"row": chosen}, apart=True, batch_rows=SMALL_BATCH_ROWS
    )
