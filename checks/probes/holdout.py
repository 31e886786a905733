"""Ask the rows that a reviewer added and the submitter never saw, mixed with the others."""

from __future__ import annotations

import numpy as np

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table
from checks.probes._as_asked import as_asked


@probe()
def holdout(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:  # noqa: ARG001  # one signature for all probes
    """Plan one question for each row of the holdout that can be asked in the form of the evaluation data.

    Returns:
        A plan with the facts `label` (m,), class index or number, NaN where unknown, `unit` (m,), the code of the
        person or household, and `left_out` (1,); None where there is no holdout.
    """
    held = table.holdout
    if held is None or not held.rows or not table.features.num_columns:
        return None
    rows, kept = as_asked(held.features, table.features)
    label = np.full(held.rows, np.nan)
    if held.label is not None:
        label = np.asarray(held.label.to_numpy(zero_copy_only=False), dtype=np.float64)
    unit = np.arange(held.rows) if held.unit is None else held.unit.to_numpy()
    return Plan(
        rows=rows,
        facts={
            "label": label[kept],
            "unit": unit[kept].astype(np.int64),
            "left_out": np.array([held.rows - len(kept)]),
        },
    )
