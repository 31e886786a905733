"""Ask for the explanation of some rows again, against another background and with every number moved a little."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table
from checks.probes.coalitions import (
    FEWEST_EXPLAINED,
    FEWEST_PAIRS,
    draw_background,
    plan_mixtures,
    players_of,
    weights_of,
)
from checks.probes.nudged import SEEN_ROWS, nudge

ROWS = 30
"""Rows explained again."""

BUDGET_ROWS = 6_000
"""Mixtures asked for each of the three explanations."""

BACKGROUND_ROWS = 500
"""Rows of each of the two backgrounds."""

PARTS = ("first", "second", "nudged")
"""An explanation; the same rows against another background; and the same rows, nudged, against the first one."""


@probe()
def explained_again(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:
    """Plan three explanations of the same few rows.

    The nudged rows are asked about with the same background rows and orders as the first explanation, so that chance
    moves both alike; the two backgrounds have no row in common, where rows have no weights.

    Returns:
        A plan with the facts `row` (s,), positions of the rows explained; `begin` (parts + 1,), where the answers of
        each part begin; `player` (f,); and per part, as in `first_index`, the facts of `plan_mixtures`. The part
        `nudged` is absent where no column has small changes. None where there are too few rows or too many inputs.
    """
    n, players = table.rows, players_of(table.features.column_names, declaration)
    per_pair = max(2 * (len(players) - 1), 1)
    count = min(ROWS, n, BUDGET_ROWS // (per_pair * FEWEST_PAIRS))
    if count < FEWEST_EXPLAINED or not players:
        return None
    row = np.sort(rng.choice(n, size=count, replace=False)).astype(np.int64)
    each = min(BACKGROUND_ROWS, n // 2)
    drawn = draw_background(n, 2 * each, weights_of(table), rng)
    seen = rng.choice(n, size=min(SEEN_ROWS, n), replace=False).astype(np.int64)
    dummies = {c for columns in declaration.inputs.dummies.values() for c in columns}
    own = table.features.take(pa.array(row))
    moved_rows, moved = nudge(own, table.features.take(pa.array(seen)), dummies, rng)
    used = pa.concat_tables([own, moved_rows, table.features.take(pa.array(drawn))]).unify_dictionaries()
    seeds = rng.integers(2**31, size=2)
    explained, background = np.arange(count), 2 * count + np.arange(2 * each)
    wanted = {
        "first": (explained, background[:each], seeds[0]),
        "second": (explained, background[each:], seeds[1]),
        "nudged": (count + explained, background[:each], seeds[0]),
    }
    if not moved.any():
        del wanted["nudged"]
    facts: dict[str, NDArray[Any]] = {"row": row}
    asked, begin = [], [0]
    for part, (rows, others, seed) in wanted.items():
        plan = plan_mixtures(used, players, rows, others, np.random.default_rng(seed), budget_rows=BUDGET_ROWS)
        asked.append(plan.rows)
        begin.append(begin[-1] + plan.rows.num_rows)
        facts["player"] = plan.facts["player"]
        facts[f"{part}_explained"] = row
        facts[f"{part}_background"] = drawn[plan.facts["background"] - 2 * count]
        facts |= {f"{part}_{name}": plan.facts[name] for name in ("drawn", "order", "index")}
    facts["begin"] = np.array(begin, dtype=np.int64)
    return Plan(rows=pa.concat_tables(asked).cast(table.features.schema), facts=facts)
