"""Ask some rows a second time, hidden among all others: a system that answers twice differently is not repeatable."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table

REPEATED_ROWS = 2_000


@probe()
def repeated(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:  # noqa: ARG001  # one signature for all probes
    """Plan a second question for up to `REPEATED_ROWS` rows drawn at random.

    Returns:
        A plan with the fact `row` (m,), the positions of the rows asked; None where there are no rows.
    """
    if not table.rows or not table.features.num_columns:
        return None
    chosen = np.sort(rng.choice(table.rows, size=min(REPEATED_ROWS, table.rows), replace=False)).astype(np.int64)
    return Plan(rows=table.features.take(pa.array(chosen)), facts={"row": chosen})
