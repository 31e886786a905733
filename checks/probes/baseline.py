"""Ask every row of the evaluation data once: the answers are the system's decisions."""

from __future__ import annotations

import numpy as np

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table


@probe()
def baseline(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:  # noqa: ARG001  # one signature for all probes
    """Plan one question per row of the data."""
    return Plan(rows=table.features) if table.rows else None
