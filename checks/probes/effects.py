"""Ask what the answers about some rows become when one input is given each of a few of its values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table
from checks.probes.coalitions import codes_of_players, players_of

BUDGET_ROWS = 12_000
"""Rows asked in all, beside the rows themselves."""

ROWS = 120
FEWEST_ROWS = 20

GRID = 8
"""Values of one input that are asked about, at most."""

Integers = NDArray[np.int64]


@probe()
def effects(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:
    """Plan to ask each of up to `ROWS` rows with up to `GRID` values of each input, all else left as it is.

    The values of a number are those at equal shares of the rows, its lowest and its highest among them; so that each
    row lies between two of them, and the same answers serve partial dependence (all rows) and accumulated local
    effects (the rows between two values that enough rows lie between, at these two). Of a category they are the most
    frequent ones; dummies of one category change together. Where the inputs are too many for the budget, some are
    drawn.

    Returns:
        A plan with the facts `row` (r,), positions of the rows; `player` (g,), which input each value is of, and
        `donor` (g,), position of a row that has this value. The answers: the r rows as they are, then r for each value.
        None where there are fewer than `FEWEST_ROWS` rows.
    """
    players = players_of(table.features.column_names, declaration)
    if table.rows < FEWEST_ROWS or not players:
        return None
    most = min(len(players), BUDGET_ROWS // (GRID * FEWEST_ROWS))
    taken = np.sort(rng.permutation(len(players))[:most])
    count = min(ROWS, table.rows, BUDGET_ROWS // (GRID * most))
    row = np.sort(rng.choice(table.rows, size=count, replace=False)).astype(np.int64)
    own = table.features.take(pa.array(row)).unify_dictionaries().combine_chunks()
    codes = codes_of_players(own, players)
    grid: list[tuple[int, int]] = []
    for j in taken:
        values = numbers_of(own, players[j][1])
        donors = _frequent(codes[:, j]) if values is None else _spaced(values)
        grid += [(int(j), int(d)) for d in donors]
    at = {name: i for i, name in enumerate(own.column_names)}
    as_they_are = np.arange(count)
    source = np.tile(as_they_are, (own.num_columns, 1 + len(grid), 1))
    for g, (j, donor) in enumerate(grid, start=1):
        source[[at[c] for c in players[j][1]], g] = donor
    columns = [own.column(i).combine_chunks().take(pa.array(source[i].ravel())) for i in range(own.num_columns)]
    return Plan(
        rows=pa.table(columns, schema=table.features.schema),
        facts={
            "row": row,
            "player": np.array([j for j, _ in grid], dtype=np.int64),
            "donor": row[[d for _, d in grid]],
        },
    )


def numbers_of(features: pa.Table, columns: tuple[str, ...]) -> NDArray[np.float64] | None:
    """Give the values of an input that has an order, (n,), NaN where missing; None where it has none."""
    kind = features.column(columns[0]).type
    if len(columns) > 1 or not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return None
    values = features.column(columns[0]).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(values) if np.isfinite(values).any() else None


def _spaced(values: NDArray[np.float64]) -> list[int]:
    """Choose rows whose values divide the others about evenly, from the lowest to the highest."""
    known = np.sort(values[np.isfinite(values)])
    distinct, count = np.unique(known, return_counts=True)
    wanted = distinct
    if len(distinct) > GRID:
        wanted = np.unique(np.quantile(known, np.linspace(0.0, 1.0, GRID), method="nearest"))
        if len(wanted) < GRID - 1:
            # Where many rows have one value, that one is asked and the others are divided among themselves.
            usual = distinct[np.argmax(count)]
            others = np.quantile(known[known != usual], np.linspace(0.0, 1.0, GRID - 1), method="nearest")
            wanted = np.unique([usual, *others])
    return [int(np.flatnonzero(values == value)[0]) for value in wanted]


def _frequent(codes: Integers) -> list[int]:
    """Choose a row of each of the most frequent values."""
    found, first, count = np.unique(codes, return_index=True, return_counts=True)
    return [int(first[i]) for i in np.lexsort((found, -count))[:GRID]]
