"""Count tables as arrays: what every count-based check reads, whichever route the rows came by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.declaration import Data, Sampling
from checks.finding import Reason, Scalar
from checks.statistics import Floats, effective_rows

ABSENT = -1
"""The code of a label that is missing and of an answer that did not come."""

Mask = NDArray[np.bool_]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """One count table: group x label x decision.

    Args:
        names: (g,) groups in the order of the table; None is the group that was not stated.
        group: (c,) position in `names`.
        label, decision: (c,) class index, `ABSENT` where there is none.
        rows, weight, weight_squared: (c,) counts and sums.
    """

    names: tuple[str | None, ...]
    group: Codes
    label: Codes
    decision: Codes
    rows: Codes
    weight: Floats
    weight_squared: Floats

    @classmethod
    def of(cls, table: pa.Table) -> Cells:
        """Read a table with the columns `checks.evidence.CELL_COLUMNS`."""
        given: list[str | None] = table.column("group").to_pylist()
        names = tuple(dict.fromkeys(given))
        place = {name: i for i, name in enumerate(names)}
        return cls(
            names=names,
            group=np.array([place[name] for name in given], dtype=np.int64),
            label=_codes(table.column("label")),
            decision=_codes(table.column("decision")),
            rows=np.asarray(table.column("rows").to_numpy(), dtype=np.int64),
            weight=np.asarray(table.column("weight").to_numpy(), dtype=np.float64),
            weight_squared=np.asarray(table.column("weight_squared").to_numpy(), dtype=np.float64),
        )

    def where(self, kept: Mask) -> Cells:
        """Keep some cells; the groups stay, also those left without a row."""
        return Cells(
            names=self.names,
            group=self.group[kept],
            label=self.label[kept],
            decision=self.decision[kept],
            rows=self.rows[kept],
            weight=self.weight[kept],
            weight_squared=self.weight_squared[kept],
        )

    @property
    def weighted(self) -> bool:
        """Whether rows carry weights other than 1."""
        return not (np.array_equal(self.weight, self.rows) and np.array_equal(self.weight_squared, self.rows))

    def rows_of(self, counted: Mask | None = None) -> Codes:
        """Rows of each group, (g,), of the cells counted."""
        return self._sum(self.rows, counted).astype(np.int64)

    def weight_of(self, counted: Mask | None = None) -> Floats:
        """Sum of weights of each group, (g,), of the cells counted."""
        return self._sum(self.weight, counted)

    def squares_of(self, counted: Mask | None = None) -> Floats:
        """Sum of squared weights of each group, (g,), of the cells counted."""
        return self._sum(self.weight_squared, counted)

    def effective_rows_of(self, counted: Mask | None = None) -> Floats:
        """Effective rows of each group, (g,), of the cells counted."""
        return effective_rows(self.weight_of(counted), self.squares_of(counted))

    def _sum(self, column: NDArray[np.float64] | Codes, counted: Mask | None) -> Floats:
        kept = slice(None) if counted is None else counted
        return np.bincount(self.group[kept], weights=column[kept], minlength=len(self.names)).astype(np.float64)


def _codes(column: pa.ChunkedArray) -> Codes:
    return np.asarray(column.fill_null(ABSENT).to_numpy(zero_copy_only=False), dtype=np.int64)


def group_codes(column: pa.ChunkedArray | None, rows: int) -> tuple[NDArray[np.int64], list[str | None]]:
    """Number the groups of a column in the order of their names, with the group that was not stated last.

    Args:
        column: (n,) text or dictionary of text; None puts everyone in one group without a name.
        rows: n.

    Returns:
        (n,) position of each row's group, and the names of the groups.
    """
    if column is None:
        return np.zeros(rows, dtype=np.int64), [None]
    one = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    encoded = one.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=lambda i: names[i])
    rank = np.empty(len(names) + 1, dtype=np.int64)
    rank[order] = np.arange(len(names))
    rank[-1] = len(names)
    codes = encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int64)
    labels: list[str | None] = [names[i] for i in order]
    ranked = rank[codes]
    if encoded.null_count:
        labels.append(None)
    return ranked, labels


def labels_for_some(data: Data, rows: int, unlabelled: int, few: float) -> Reason | None:
    """Say that labels are known for some people only, by how they were sampled or by how many are missing.

    Args:
        rows: rows in all.
        unlabelled: rows without a label.
        few: share of rows without a label up to which that does not matter; a term of the policy.

    Returns:
        Why a label-based figure may not be called within its limit; None where labels are there for (nearly) everyone.
    """
    params: dict[str, Scalar] = {"rows": rows, "unlabelled": unlabelled}
    if data.sampling is not Sampling.ALL:
        return Reason(code=f"labels_{data.sampling.value}", params=params)
    return Reason(code="many_unlabelled", params=params) if unlabelled > few * rows else None
