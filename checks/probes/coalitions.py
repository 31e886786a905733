"""Ask about mixtures of a row and another row of the data, so that each input's share in an answer can be told.

A row x is explained against background rows z of the same data. Inputs join from z to x one by one, in a random order
and in its reverse (an antithetic pair), with a fresh background row for every pair; where all coalitions of all
background rows can be asked within the budget, all are. Inputs on which x and z agree change nothing when they join,
so no question is spent on them. Every value asked is a value that some row of the data really has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table

BUDGET_ROWS = 64_000
"""Rows asked in all, beside the explained and the background rows themselves."""

EXPLAINED_ROWS = 200
"""Rows explained, where the data and the budget allow."""

BACKGROUND_ROWS = 1_000
"""Background rows, drawn without replacement; all rows where the data have fewer."""

FEWEST_EXPLAINED = 10
FEWEST_PAIRS = 4
"""Fewest antithetic pairs of one explained row: below it, its error could not be told."""

MOST_PAIRS = 64

LONG_ROWS = 8
"""Explained rows that are asked about at length as well, so that the error of the ordinary run is seen and not only
estimated."""

LONG_SHARE = 0.125
"""Share of the budget that these get."""

MOST_LONG_PAIRS = 512

LEAST_EXACT_BACKGROUND = 50
"""Fewest background rows for which all coalitions are asked instead of sampled ones."""

Integers = NDArray[np.int64]


@probe(version=2)
def coalitions(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:
    """Plan mixtures of explained rows and background rows, at most about `BUDGET_ROWS` of them.

    Args:
        table: only its features and weights are looked at, so that labels and groups cannot change what is asked.
        declaration: columns of `inputs.dummies` join together, as one input.
        rng: draws explained rows, background rows and orders.

    Returns:
        None where there is nothing to explain, or where the inputs are so many that the budget is not enough. Else a
        plan with the facts of `plan_coalitions`.
    """
    players = players_of(table.features.column_names, declaration)
    return plan_coalitions(table.features, players, rng, weight=weights_of(table))


def weights_of(table: Table) -> NDArray[np.float64] | None:
    """Give the weight of each row, (n,); None where rows have none."""
    return None if table.weight is None else np.asarray(table.weight.to_numpy(), dtype=np.float64)


def players_of(columns: list[str], declaration: Declaration) -> list[tuple[str, tuple[str, ...]]]:
    """Name the inputs that join together: every column alone, the dummies of one category as one.

    Args:
        columns: names of the features, in the model's order.

    Returns:
        (name, its columns), in the order of their first columns.
    """
    member = {c: name for name, cs in declaration.inputs.dummies.items() for c in cs if c in columns}
    grouped: dict[tuple[str, bool], list[str]] = {}
    for column in columns:
        # A category may be named like another column; the flag keeps the two apart.
        key = (member[column], True) if column in member else (column, False)
        grouped.setdefault(key, []).append(column)
    return [(name, tuple(cs)) for (name, _), cs in grouped.items()]


def plan_coalitions(
    features: pa.Table,
    players: list[tuple[str, tuple[str, ...]]],
    rng: np.random.Generator,
    *,
    weight: NDArray[np.float64] | None = None,
    budget_rows: int = BUDGET_ROWS,
    explained_rows: int = EXPLAINED_ROWS,
    background_rows: int = BACKGROUND_ROWS,
    long_rows: int = LONG_ROWS,
) -> Plan | None:
    """Plan the questions of one explanation.

    Args:
        features: (n, f).
        players: (name, its columns), p in all.
        rng: draws all that is drawn.
        weight: (n,) how much each row counts in the background; all alike where not given.
        budget_rows: mixtures asked at most.
        explained_rows, background_rows, long_rows: at most this many.

    Returns:
        A plan with the facts of `plan_mixtures`; None where there are no rows or players, or too many players for the
        budget.
    """
    n, p = features.num_rows, len(players)
    if n < 2 or p == 0:
        return None
    explained = _draw_explained(n, p, rng, budget_rows, explained_rows)
    if explained is None:
        return None
    background = draw_background(n, min(background_rows, n), weight, rng)
    return plan_mixtures(features, players, explained, background, rng, budget_rows=budget_rows, long_rows=long_rows)


def plan_mixtures(
    features: pa.Table,
    players: list[tuple[str, tuple[str, ...]]],
    explained: Integers,
    background: Integers,
    rng: np.random.Generator,
    *,
    budget_rows: int,
    long_rows: int = 0,
) -> Plan:
    """Plan the mixtures of these explained rows and these background rows.

    Args:
        features: (n, f).
        players: (name, its columns), p in all.
        explained, background: positions of rows, (e,) and (b,), in the order drawn.
        rng: draws orders and pairs.
        budget_rows: mixtures asked at most, where that leaves `FEWEST_PAIRS`.
        long_rows: how many of the explained rows are asked about at length as well, where coalitions are sampled.

    Returns:
        A plan with the facts

        `explained` (e,) and `background` (b,): positions of rows in the data;
        `player` (f,): to which player each feature belongs;
        `drawn` (e, k): index into `background` of each pair's row;
        `order` (e, k, p): the order in which players join (all coalitions asked: empty);
        `index` (e, k, 2, p + 1): index of the answer after 0..p joined, in this order and in its reverse; or, where
        all coalitions are asked, (e, k, 2 ** p) with the players of a coalition as bits;
        `long` (r,): places among the explained rows of those asked at length, and `long_drawn`, `long_order` and
        `long_index`, as above for these rows.
    """
    e, p = len(explained), len(players)
    column_of = {c: i for i, (_, cs) in enumerate(players) for c in cs}
    player = np.array([column_of[c] for c in features.column_names], dtype=np.int64)
    affordable = _affordable_background(e, p, budget_rows)
    exact = affordable >= min(len(background), LEAST_EXACT_BACKGROUND)
    background = np.sort(background[:affordable] if exact else background)
    b = len(background)
    # From here on only the rows drawn are looked at: the cost does not grow with the data.
    used = features.take(pa.array(np.concatenate([explained, background]))).unify_dictionaries().combine_chunks()
    codes = codes_of_players(used, players)
    own, other = codes[:e], codes[e:]
    facts: dict[str, NDArray[np.generic]] = {"explained": explained, "background": background, "player": player}
    if exact:
        parts = [_all_mixtures(own, other)]
    else:
        # Rows may be sorted, so that those at length are spread over all of them.
        long = np.unique(np.linspace(0, e - 1, min(long_rows, e)).astype(np.int64))
        at_length = int(LONG_SHARE * budget_rows) if len(long) else 0
        parts = [_sampled_mixtures(own, other, rng, budget_rows - at_length, np.arange(e), e + b, MOST_PAIRS)]
        if len(long):
            begin = e + b + len(parts[0].row)
            parts.append(_sampled_mixtures(own, other, rng, at_length, long, begin, MOST_LONG_PAIRS))
            facts["long"] = long
    for name, part in zip(("", "long_"), parts, strict=False):
        facts[f"{name}drawn"] = part.drawn.astype(np.int32)
        facts[f"{name}order"] = part.order.astype(np.int16)
        facts[f"{name}index"] = part.index.astype(np.int32)
    from_x = np.concatenate([np.ones((e + b, p), dtype=bool), *(part.masks for part in parts)])
    x = np.concatenate([np.arange(e + b), *(part.row for part in parts)])
    z = np.concatenate([np.arange(e + b), *(e + part.other for part in parts)])
    columns = [
        used.column(i).combine_chunks().take(pa.array(np.where(from_x[:, player[i]], x, z)))
        for i in range(used.num_columns)
    ]
    return Plan(rows=pa.table(columns, schema=features.schema), facts=facts)


def draw_background(n: int, count: int, weight: NDArray[np.float64] | None, rng: np.random.Generator) -> Integers:
    """Draw background rows, each with a chance in proportion to its weight, (count,) in random order.

    Drawn at equal steps along the rows in random order (a systematic sample): so a row comes as often as its weight
    asks, to the nearest whole number, and rows of equal weight come at most once.

    Args:
        n: rows of the data.
        count: rows drawn.
        weight: (n,) positive; None draws without replacement.
    """
    if weight is None:
        return rng.choice(n, size=count, replace=False).astype(np.int64)
    order = rng.permutation(n)
    reach = np.cumsum(weight[order])
    steps = (np.arange(count) + rng.random()) / count * reach[-1]
    drawn = order[np.minimum(np.searchsorted(reach, steps, side="right"), n - 1)]
    return np.asarray(rng.permutation(drawn), dtype=np.int64)


def _affordable_background(explained: int, p: int, budget_rows: int) -> int:
    """Tell against how many background rows all coalitions of all explained rows can be asked."""
    return 0 if p > 16 else budget_rows // (explained * 2**p)


def _draw_explained(n: int, p: int, rng: np.random.Generator, budget_rows: int, explained_rows: int) -> Integers | None:
    """Draw which rows are explained: fewer where each needs many questions; None where even the fewest are too many."""
    per_pair = max(2 * (p - 1), 1)
    affordable = budget_rows // (per_pair * 2 * FEWEST_PAIRS)
    count = min(explained_rows, n, max(affordable, FEWEST_EXPLAINED))
    if count * per_pair * FEWEST_PAIRS > 2 * budget_rows:
        return None
    return np.sort(rng.choice(n, size=count, replace=False)).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mixtures:
    """Which mixtures to ask (mask, explained row, background row), and where each path finds its answers."""

    masks: NDArray[np.bool_]
    row: Integers
    other: Integers
    index: Integers
    drawn: Integers
    order: Integers


def _all_mixtures(own: Integers, other: Integers) -> _Mixtures:
    """Plan every coalition of every explained row (codes of its values, (e, p)) and background row, (b, p)."""
    e, b, p = len(own), len(other), own.shape[1]
    bits = (np.arange(2**p)[:, None] >> np.arange(p)) & 1 == 1
    differ = own[:, None, :] != other[None, :, :]
    weight = 1 << np.arange(p)
    # A player on whom both rows agree is dropped from the coalition: what is left names the one mixture to ask.
    varying = (differ * weight).sum(axis=2)
    wanted = np.arange(2**p)[None, None, :] & varying[:, :, None]
    lead = e + b
    index = np.full((e, b, 2**p), -1, dtype=np.int64)
    index[wanted == 0] = np.broadcast_to((e + np.arange(b))[None, :, None], index.shape)[wanted == 0]
    whole = wanted == varying[:, :, None]
    index[whole] = np.broadcast_to(np.arange(e)[:, None, None], index.shape)[whole]
    first = (wanted == np.arange(2**p)) & (index < 0)
    row, against, coalition = np.nonzero(first)
    number = np.full((e, b, 2**p), -1, dtype=np.int64)
    number[row, against, coalition] = lead + np.arange(len(row))
    open_ = index < 0
    index[open_] = np.take_along_axis(number, wanted, axis=2)[open_]
    drawn = np.broadcast_to(np.arange(b), (e, b)).copy()
    nothing = np.empty((e, b, 0), dtype=np.int64)
    return _Mixtures(masks=bits[coalition], row=row, other=against, index=index, drawn=drawn, order=nothing)


def _sampled_mixtures(
    every: Integers,
    other: Integers,
    rng: np.random.Generator,
    budget_rows: int,
    rows: Integers,
    begin: int,
    most_pairs: int,
) -> _Mixtures:
    """Plan antithetic pairs, as many as the budget allows.

    Args:
        every, other: codes of the values of all explained rows, (e, p), and of the background rows, (b, p).
        rows: (r,) the places of the explained rows that pairs are planned for.
        begin: index of the first mixture's answer.
        most_pairs: of one row.
    """
    own, e, r, b, p = every[rows], len(every), len(rows), len(other), every.shape[1]
    drawn_parts, order_parts, spent, k = [], [], 0, 0
    for others in _rounds(r, b, rng, most_pairs):
        order = np.argsort(rng.random((r, p)), axis=1)
        varies = (own != other[others]).sum(axis=1)
        cost = int(2 * np.maximum(varies - 1, 0).sum())
        if k >= FEWEST_PAIRS and spent + cost > budget_rows:
            break
        spent += cost
        k += 1
        drawn_parts.append(others)
        order_parts.append(order)
    drawn = np.stack(drawn_parts, axis=1)
    order = np.stack(order_parts, axis=1)
    differ = own[:, None, :] != other[drawn]
    index = np.empty((r, k, 2, p + 1), dtype=np.int64)
    masks, asked_rows, others_asked, number = [], [], [], begin
    for way in range(2):
        path = order if way == 0 else order[:, :, ::-1]
        step = np.take_along_axis(differ, path, axis=2)
        joined = np.concatenate([np.zeros((r, k, 1), dtype=np.int64), np.cumsum(step, axis=2)], axis=2)
        total = joined[:, :, -1:]
        asked = np.concatenate([np.zeros((r, k, 1), dtype=bool), step], axis=2) & (joined > 0) & (joined < total)
        # The place of each player in the path tells the mask after any number of steps.
        place = np.argsort(path, axis=2)
        i, j, s = np.nonzero(asked)
        masks.append(place[i, j] < s[:, None])
        asked_rows.append(rows[i])
        others_asked.append(drawn[i, j])
        at = np.zeros((r, k, p + 1), dtype=np.int64)
        at[i, j, s] = number + np.arange(len(i))
        number += len(i)
        # A step that changes nothing has the answer of the step before it.
        at = np.maximum.accumulate(at, axis=2)
        at = np.where(joined == 0, e + drawn[:, :, None], at)
        at = np.where(joined == total, rows[:, None, None], at)
        index[:, :, way] = at
    return _Mixtures(
        masks=np.concatenate(masks),
        row=np.concatenate(asked_rows),
        other=np.concatenate(others_asked),
        index=index,
        drawn=drawn,
        order=order,
    )


def _rounds(e: int, b: int, rng: np.random.Generator, most_pairs: int) -> Iterator[Integers]:
    """Give every explained row a fresh background row per round; none twice while there are fresh ones."""
    if e * b <= 4_000_000:
        decks = np.argsort(rng.random((e, b)), axis=1)
        for k in range(most_pairs):
            yield decks[:, k % b]
    else:
        for _ in range(most_pairs):
            yield rng.integers(0, b, size=e)


def codes_of_players(features: pa.Table, players: list[tuple[str, tuple[str, ...]]]) -> Integers:
    """Number the distinct values of each player, (n, p), so that equal values have equal numbers."""
    coded = np.empty((features.num_rows, len(players)), dtype=np.int64)
    for i, (_, columns) in enumerate(players):
        combined = np.zeros(features.num_rows, dtype=np.int64)
        for column in columns:
            codes = codes_of(features.column(column))
            _, combined = np.unique(combined * (int(codes.max()) + 2) + codes + 1, return_inverse=True)
        coded[:, i] = combined
    return coded


def codes_of(column: pa.ChunkedArray) -> Integers:
    """Number the distinct values of a column, (n,); null is -1."""
    one: Any = column.unify_dictionaries().combine_chunks()
    if not pa.types.is_dictionary(one.type):
        one = one.dictionary_encode()
    return np.asarray(one.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
