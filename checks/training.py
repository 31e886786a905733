"""Reduce training data to what evidence keeps of them: bins of each column, and how many rows are alike in each row.

No training row and no value that only one column of free text holds enters evidence this way. A sample of the answers
to training rows does, as the answers to the probe `training_rows`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.asking import rng_for
from checks.counting import Codes
from checks.declaration import Data, Task
from checks.evidence import BIN_COLUMNS, Table, TrainingFacts
from checks.kinds import kinds_of
from checks.probes.within_precision import precision
from checks.statistics import Floats, effective_rows

PARTS = 10
"""Parts that training rows are dealt into at random, so that a check can tell how much their drawing matters."""

MOST_CUTS = 100
"""Numbers are compared at each value that occurs, or at this many quantiles of both tables where more occur."""

MOST_CATEGORIES = 20
"""Categories compared one by one, the most frequent first; the others are taken together."""

OTHERS = "\0others"
"""The bin of all rarer categories. No value that is read holds this character."""


def reduce_training(table: Table, data: Data, seed: int) -> TrainingFacts | None:
    """Hold the training data of a table against its rows.

    Args:
        table: evaluation data with `training`.
        data: how the columns are declared.
        seed: of the run.

    Returns:
        None where there are no training data, or no rows on one of the sides.
    """
    training = table.training
    if training is None or not table.rows or not training.rows:
        return None
    names = [n for n in table.features.column_names if n in training.features.column_names]
    whole, near = {}, {}
    for name in names:
        both = _plain(table.features.column(name)), _plain(training.features.column(name))
        whole[name] = pa.chunked_array([*both[0].chunks, *both[1].chunks], type=both[0].type)
        near[name] = _rounded(*both)
    n = table.rows
    kind = kinds_of(pa.table(whole)) if whole else np.zeros(n + training.rows, dtype=np.int64)
    dealt = _dealt(training, rng_for(seed, "training parts"))
    alike = np.stack([_counted(kind, n, dealt == part) for part in range(PARTS)], axis=1)
    return TrainingFacts(
        rows=training.rows,
        columns=_bins(table, training, data),
        twins=_twins(kind[n:], dealt, training),
        alike=alike,
        alike_label=_with_label(kind, table, training),
        near=_counted(kinds_of(pa.table(near)), n) if near else alike.sum(axis=1, dtype=np.int32),
        known_unit=_known_units(table, training),
    )


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column.cast(pa.float64(), safe=False)
    return column


def _numbers(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _rounded(evaluation: pa.ChunkedArray, training: pa.ChunkedArray) -> pa.ChunkedArray:
    """Put both beside one another with what differs in writing alone taken away: decimals beyond, case and blanks."""
    import pyarrow.compute as pc

    if pa.types.is_floating(evaluation.type):
        both = [_numbers(evaluation), _numbers(training)]
        known = [v[np.isfinite(v)] for v in both]
        unit = max((precision(v) for v in known if len(v)), default=1.0)
        steps = np.round(np.concatenate(both) / unit)
        return pa.chunked_array([pa.array(steps, from_pandas=True)])
    joined = pa.chunked_array([*evaluation.chunks, *training.chunks], type=evaluation.type)
    if not pa.types.is_string(joined.type):
        return joined
    return pc.replace_substring_regex(pc.utf8_lower(pc.utf8_trim_whitespace(joined)), r"\s+", " ")


def _dealt(training: Table, rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal rows into parts, (m,); those of one person or household into one."""
    unit = np.arange(training.rows)
    if training.unit is not None:
        unit = np.unique(training.unit.to_numpy(), return_inverse=True)[1]
    return np.asarray(rng.permutation(int(unit.max()) + 1)[unit] % PARTS, dtype=np.int64)


def _twins(kind: Codes, dealt: NDArray[np.int64], training: Table) -> Floats:
    """Give the share of rows alike to one of another unit: of all, and with each part left out, (PARTS + 1,)."""
    own = np.ones(len(kind), dtype=np.int64)
    if training.unit is not None:
        unit = np.unique(training.unit.to_numpy(), return_inverse=True)[1]
        pair = np.unique(kind * (int(unit.max()) + 1) + unit, return_inverse=True)[1]
        own = np.bincount(pair)[pair]
    others = np.bincount(kind)[kind] - own
    shares = [float((others > 0).mean())]
    for part in range(PARTS):
        inside = dealt == part
        left = others - np.bincount(kind[inside], minlength=int(kind.max()) + 1)[kind]
        shares.append(float((left[~inside] > 0).mean()) if not inside.all() else np.nan)
    return np.array(shares)


def _counted(kind: Codes, n: int, among: NDArray[np.bool_] | None = None) -> NDArray[np.int32]:
    """Count for each of the first n rows how many of the others are of its kind, (n,)."""
    mine, others = kind[:n], kind[n:] if among is None else kind[n:][among]
    # Kinds are numbered as they come, so those of the first n rows are the smallest numbers.
    size = int(mine.max()) + 1
    return np.bincount(others[others < size], minlength=size)[mine].astype(np.int32)


def _with_label(kind: Codes, table: Table, training: Table) -> NDArray[np.int32]:
    if table.label is None or training.label is None:
        return np.full(table.rows, -1, dtype=np.int32)
    mine, theirs = _numbers(table.label), _numbers(training.label)
    both = pa.table({"kind": kind, "label": np.concatenate([mine, theirs])})
    counted = _counted(kinds_of(both), table.rows, ~np.isnan(theirs))
    return np.where(np.isnan(mine), -1, counted).astype(np.int32)


def _known_units(table: Table, training: Table) -> NDArray[np.int8]:
    if table.unit is None or training.unit is None:
        return np.full(table.rows, -1, dtype=np.int8)
    return np.isin(table.unit.to_numpy(), training.unit.to_numpy()).astype(np.int8)


def _weights(table: Table) -> tuple[Floats, float]:
    """Give the weight of each row, (n,), and the independent, equally weighted rows that any share is as certain as.

    A share is a weighted mean of what each unit (person, household) has of it, which lies between 0 and 1: so it is at
    least as certain as that of as many single rows as the units' weights are worth (Kish).
    """
    weight = np.ones(table.rows) if table.weight is None else _numbers(table.weight)
    of_unit: Floats = weight
    if table.unit is not None:
        unit = np.unique(table.unit.to_numpy(), return_inverse=True)[1]
        of_unit = np.bincount(unit, weights=weight).astype(np.float64)
    return weight, float(effective_rows([of_unit.sum()], [(of_unit**2).sum()])[0])


def _bins(table: Table, training: Table, data: Data) -> pa.Table:
    columns: list[tuple[str, str, pa.ChunkedArray, pa.ChunkedArray]] = []
    for role, mine, theirs in (
        ("feature", table.features, training.features),
        ("group", table.groups, training.groups),
    ):
        seen = {name for _, name, _, _ in columns}
        columns += [
            (role, n, mine.column(n), theirs.column(n))
            for n in mine.column_names
            if n in theirs.column_names and n not in seen
        ]
    if table.label is not None and training.label is not None and data.label is not None:
        labels = (table.label, training.label)
        if data.task is not Task.REGRESSION:
            names = pa.array(list(data.classes))
            labels = (_named(labels[0], names), _named(labels[1], names))
        columns.append(("label", data.label, *labels))
    (weight, effective), (their_weight, their_effective) = _weights(table), _weights(training)
    made: dict[str, list[object]] = {name: [] for name in BIN_COLUMNS}
    for role, name, first, second in columns:
        binned = _binned(_plain(first), _plain(second))
        if binned is None:
            continue
        kind, bins, place, their_place = binned
        shares = np.bincount(place, weights=weight, minlength=len(bins)) / weight.sum()
        theirs_shares = np.bincount(their_place, weights=their_weight, minlength=len(bins)) / their_weight.sum()
        for at, shown in enumerate(bins):
            line = (role, name, kind, shown, float(shares[at]), float(theirs_shares[at]), effective, their_effective)
            for column, value in zip(BIN_COLUMNS, line, strict=True):
                made[column].append(value)
    text, number = pa.string(), pa.float64()
    return pa.table(
        [pa.array(made[n], type=text if n in BIN_COLUMNS[:4] else number) for n in BIN_COLUMNS],
        names=list(BIN_COLUMNS),
    )


def _named(codes: pa.ChunkedArray, names: pa.Array) -> pa.ChunkedArray:
    return pa.chunked_array([names.take(codes.combine_chunks())])


def _binned(first: pa.ChunkedArray, second: pa.ChunkedArray) -> tuple[str, list[str | None], Codes, Codes] | None:
    """Sort the values of two tables into the same bins.

    Returns:
        `number` or `category`, the bins in their order (None: missing) and the bin of each row; None for free text,
        of which hardly a value occurs twice.
    """
    if pa.types.is_floating(first.type):
        mine, theirs = _numbers(first), _numbers(second)
        pooled = np.concatenate([mine, theirs])
        pooled = pooled[np.isfinite(pooled)]
        cuts = np.unique(pooled)
        if len(cuts) > MOST_CUTS:
            cuts = np.unique(np.quantile(pooled, np.linspace(0.0, 1.0, MOST_CUTS + 1)[1:], method="higher"))
        # What is missing stands before all numbers: a gap in how much is missing shows at the first cut.
        places = [np.where(np.isnan(v), 0, 1 + np.searchsorted(cuts, v, side="left")) for v in (mine, theirs)]
        return "number", [None, *(f"<={c:.10g}" for c in cuts)], places[0], places[1]
    import pandas as pd

    values = [column.cast(pa.string()).to_pandas() for column in (first, second)]
    counts = [v.value_counts(dropna=True, normalize=True) for v in values]
    # Each table's shares count alike, so that the larger one does not choose which categories are seen.
    pooled_shares = counts[0].add(counts[1], fill_value=0.0)
    if len(pooled_shares) > 1000:
        return None
    order = sorted(pooled_shares.index, key=lambda v: (-pooled_shares[v], v))[:MOST_CATEGORIES]
    index = pd.Index(order)
    codes = []
    for v in values:
        at = index.get_indexer(v)
        codes.append(np.where(v.isna(), len(order), np.where(at < 0, len(order) + 1, at)).astype(np.int64))
    return "category", [*order, None, OTHERS], codes[0], codes[1]
