"""Ask some rows of another copy of the model, which was asked nothing before: an answer must not hang on the past."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table

SHARE = 0.05
"""Share of the rows asked again."""

FEWEST_ROWS = 200
"""Rows asked again where the data have that many: a twentieth of few rows would tell little."""

BATCH_ROWS = 173
"""Rows of each batch: no other probe's batches are of this size."""


@probe()
def second_cell(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:  # noqa: ARG001  # one signature for all probes
    """Plan a second question for a random twentieth of the rows, in a drawn order, in batches of `BATCH_ROWS`.

    Returns:
        A plan to be asked afresh, with the fact `row` (m,), the positions of the rows asked; None where there are no
        rows.
    """
    if not table.rows or not table.features.num_columns:
        return None
    count = min(table.rows, max(FEWEST_ROWS, round(SHARE * table.rows)))
    chosen = rng.choice(table.rows, size=count, replace=False).astype(np.int64)
    return Plan(
        rows=table.features.take(pa.array(chosen)),
        facts={"row": chosen},
        apart=True,
        batch_rows=BATCH_ROWS,
        fresh=True,
    )
