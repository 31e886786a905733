"""Ask rows again with one input set to what is usual, the same for everyone: what if the system were not told it?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.asking import Plan, probe
from checks.declaration import Declaration, Task
from checks.evidence import Table
from checks.probes.coalitions import codes_of_players, players_of

ASKED_ROWS = 12_000
"""Questions in all, shared out over the inputs."""

FEWEST, MOST = 100, 1_000
"""Rows asked for each input, the same ones for all; with more inputs than fit, those that come first are left out."""

SEEN_ROWS = 20_000
"""Rows from which it is told what is usual."""


@probe(tasks=(Task.BINARY, Task.MULTICLASS))
def neutral(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:
    """Plan a question for each of some rows and each input, that input set to what is usual in the data.

    Usual is the middle value of a number, and the most frequent one of all else; the dummies of one category change
    together. It is always a value that some row of the data has.

    Returns:
        A plan with the facts `row` (m,), positions of the rows asked, and `player` (m,), the number of the input among
        `players_of`; None where there are no rows, or no input has two values.
    """
    if not table.rows or not table.features.num_columns:
        return None
    seen = rng.choice(table.rows, size=min(SEEN_ROWS, table.rows), replace=False).astype(np.int64)
    known = table.features.take(pa.array(seen))
    players = players_of(table.features.column_names, declaration)
    coded = codes_of_players(known, players)
    varied = [i for i in range(len(players)) if len(np.unique(coded[:, i])) > 1][-(ASKED_ROWS // FEWEST) :]
    if not varied:
        return None
    chosen = np.sort(seen[: min(MOST, max(FEWEST, ASKED_ROWS // len(varied)))])
    parts = []
    for i in varied:
        rows = table.features.take(pa.array(chosen))
        usual = pa.array(np.full(len(chosen), seen[_usual(known, players[i][1], coded[:, i])], dtype=np.int64))
        for name in players[i][1]:
            at = rows.column_names.index(name)
            rows = rows.set_column(at, rows.schema.field(at), table.features.column(name).take(usual))
        parts.append(rows)
    return Plan(
        rows=pa.concat_tables(parts),
        facts={
            "row": np.tile(chosen, len(varied)),
            "player": np.repeat(np.array(varied, dtype=np.int64), len(chosen)),
        },
    )


def _usual(known: pa.Table, columns: tuple[str, ...], coded: np.ndarray) -> int:
    """Give the place of a row that has the usual value of an input."""
    column = known.column(columns[0])
    if len(columns) == 1 and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        there = np.flatnonzero(np.isfinite(numbers))
        if there.size:
            return int(there[np.argsort(numbers[there], kind="stable")[(there.size - 1) // 2]])
    _, first, counts = np.unique(coded, return_index=True, return_counts=True)
    return int(first[np.argmax(counts)])
