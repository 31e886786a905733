"""How well columns tell which group a row is of: models fitted on some rows and asked about the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.counting import Codes
from checks.statistics import Floats

FOLDS = 5
"""Parts that the rows are dealt into; each is asked of a model that was fitted without it."""

BANDS = 20
"""Bands of about equal numbers of rows that a numeric column is cut into."""

TREES, DEPTH, LEAF = 12, 8, 10
"""Trees of the model that is given all columns, how deep each may be, and the fewest rows of a leaf."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One input as whole numbers.

    Args:
        name: of the column.
        code: (n,) band or category, 0 where missing.
        ordered: whether codes have an order.
    """

    name: str
    code: Codes
    ordered: bool


def coded(name: str, values: pa.ChunkedArray, rows: Codes) -> Column:
    """Turn a column into bands or categories.

    Args:
        rows: (m,) positions of the rows taken.
    """
    taken = values.take(pa.array(rows))
    if pa.types.is_dictionary(taken.type):
        taken = taken.cast(taken.type.value_type)
    if pa.types.is_floating(taken.type) or pa.types.is_integer(taken.type):
        numbers = np.asarray(taken.to_numpy(zero_copy_only=False), dtype=np.float64)
        known = ~np.isnan(numbers)
        code = np.zeros(len(numbers), dtype=np.int64)
        if known.any():
            edges = np.unique(np.quantile(numbers[known], np.linspace(0.0, 1.0, BANDS + 1)[1:-1]))
            code[known] = 1 + np.searchsorted(edges, numbers[known], side="right")
        return Column(name=name, code=code, ordered=True)
    encoded = taken.cast(pa.string()).combine_chunks().dictionary_encode()
    code = 1 + encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Column(name=name, code=code, ordered=False)


def dealt(rows: int, rng: np.random.Generator, unit: Codes | None = None) -> NDArray[np.int64]:
    """Deal rows into `FOLDS` parts of about equal size at random, (n,); rows of one unit come into the same part.

    Args:
        unit: (n,) from 0 without a gap; None where each row is one of its own.
    """
    if unit is not None:
        return np.asarray(dealt(int(unit.max(initial=-1)) + 1, rng)[unit])
    return rng.permutation(np.arange(rows) % FOLDS)


def alone(column: Column, target: NDArray[np.bool_], fold: NDArray[np.int64]) -> Floats:
    """Give each row the share of the target among the other folds' rows with the same value, (n,).

    A value that is rare there is drawn towards the share among all, as if one row of that share had been seen more.
    """
    size = int(column.code.max(initial=0)) + 1
    score = np.empty(len(target))
    for part, rest in _parts(fold):
        score[part] = _share_of(column.code[rest], target[rest], size)[column.code[part]]
    return score


def together(
    columns: Sequence[Column], target: NDArray[np.bool_], fold: NDArray[np.int64], rng: np.random.Generator
) -> Floats:
    """Give each row the score of a forest that was fitted on all columns of the other folds' rows, (n,)."""
    from sklearn.tree import DecisionTreeClassifier

    score = np.zeros(len(target))
    for part, rest in _parts(fold):
        given = np.stack([_as_numbers(column, target, rest) for column in columns], axis=1)
        if target[rest].all() or not target[rest].any():
            score[part] = float(target[rest].mean())
            continue
        for _ in range(TREES):
            drawn = rest[rng.integers(0, len(rest), len(rest))]
            if target[drawn].all() or not target[drawn].any():
                continue
            tree = DecisionTreeClassifier(
                max_depth=DEPTH,
                min_samples_leaf=LEAF,
                max_features="sqrt",
                random_state=int(rng.integers(2**31 - 1)),
            )
            tree.fit(given[drawn], target[drawn])
            score[part] += tree.predict_proba(given[part])[:, 1]
    return score


def _as_numbers(column: Column, target: NDArray[np.bool_], rest: NDArray[np.int64]) -> Floats:
    if column.ordered:
        return column.code.astype(np.float64)
    # Categories are put in the order of their share of the target, learned without the rows that will be asked; and
    # for the rows learned from, from the other half of them, so that a value of one row alone cannot tell itself.
    size = int(column.code.max(initial=0)) + 1
    numbers = _share_of(column.code[rest], target[rest], size)[column.code]
    for mine, others in ((rest[::2], rest[1::2]), (rest[1::2], rest[::2])):
        numbers[mine] = _share_of(column.code[others], target[others], size)[column.code[mine]]
    return numbers


def _share_of(code: Codes, target: NDArray[np.bool_], size: int) -> Floats:
    overall = float(target.mean())
    seen = np.bincount(code, minlength=size)
    hits = np.bincount(code, weights=target, minlength=size)
    return np.asarray((hits + overall) / (seen + 1.0), dtype=np.float64)


def _parts(fold: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    # Of fewer units than folds some folds stay empty.
    for number in np.unique(fold):
        yield np.flatnonzero(fold == number), np.flatnonzero(fold != number)


def ranked(target: NDArray[np.bool_], score: Floats, confidence: float) -> tuple[float, float, float]:
    """Give the AUC of a score with DeLong's interval on log odds; 0 to 1, 0.5 tells nothing.

    Args:
        target: (n,) whether a row is of the group; both kinds must occur.
        score: (n,) of unweighted rows.
        confidence: in (0, 1).
    """
    from scipy.special import expit, logit
    from scipy.stats import rankdata

    from checks.statistics import critical, wilson

    inside, outside = score[target], score[~target]
    m, n = len(inside), len(outside)
    every = rankdata(np.concatenate([inside, outside]))
    value = float((every[:m].sum() - m * (m + 1) / 2.0) / (m * n))
    places = (every[:m] - rankdata(inside)) / n, 1.0 - (every[m:] - rankdata(outside)) / m
    variance = sum(float(p.var(ddof=1)) / len(p) if len(p) > 1 else 0.25 for p in places)
    z = critical(confidence)
    if not 0.0 < value < 1.0 or variance <= 0.0:
        low, high = wilson([value], [min(m, n)], z)
        return value, float(low[0]), float(high[0])
    half = z * float(np.sqrt(variance)) / (value * (1.0 - value))
    return value, float(expit(logit(value) - half)), float(expit(logit(value) + half))
