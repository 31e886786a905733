"""Ask some rows of the training data, so that it can be told whether answers give away who was in them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table
from checks.probes._as_asked import as_asked

ASKED_ROWS = 4_000


@probe()
def training_rows(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:  # noqa: ARG001  # one signature for all probes
    """Plan one question for each of up to `ASKED_ROWS` rows drawn from the training data, one of each person at most.

    Rows that cannot be asked in the form of the evaluation data are left out (see `as_asked`).

    Returns:
        A plan with the facts `label` (m,), class index or number, NaN where unknown, and `left_out` (1,); None where
        there are no training data.
    """
    training = table.training
    if training is None or not training.rows or not table.features.num_columns:
        return None
    order = rng.permutation(training.rows)
    if training.unit is not None:
        order = order[np.sort(np.unique(training.unit.to_numpy()[order], return_index=True)[1])]
    drawn = np.sort(order[:ASKED_ROWS])
    rows, kept = as_asked(training.features.take(pa.array(drawn)), table.features)
    label = np.full(len(drawn), np.nan)
    if training.label is not None:
        label = np.asarray(training.label.to_numpy(zero_copy_only=False), dtype=np.float64)[drawn]
    return Plan(rows=rows, facts={"label": label[kept], "left_out": np.array([len(drawn) - len(kept)])})
