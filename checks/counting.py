"""Count tables as arrays: what every count-based check reads, whichever route the rows came by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.declaration import ColumnRole, Data, Sampling, Task
from checks.evidence import EVERYONE, Need, View, crossed
from checks.finding import Reason, Scalar
from checks.statistics import Floats, effective_rows, effective_rows_of_rate

ABSENT = -1
"""The code of a label that is missing and of an answer that did not come."""

UNIT_FACTS = (Need.UNITS, Need.GROUPS, Need.DECISIONS, Need.VALUES, Need.LABELS, Need.WEIGHTS)
"""What is read, where it is there, to see how rows of one person or household go together."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """The rows themselves, as cells of one row each, with the unit (person, household) that each belongs to.

    A unit with rows in two groups counts in both as if they were apart, which makes a gap look less certain, never
    more, where its rows are alike.
    """

    rows: Cells
    unit: Codes

    def effective_rows(self, among: Mask, inside: Mask, value: Floats) -> tuple[Floats, Floats]:
        """Give the effective number of units of each group, and the independent rows its rate is as certain as, (g,).

        Args:
            among, inside: (n,) rows that the rate is a share of, and those that are counted in.
            value: (g,) the rate; NaN where there is none.
        """
        known = np.nan_to_num(value)
        return self.spread(among, inside, known).effective_rows(known, *self._by_row(among, inside))

    def effective_rows_of_rest(self, among: Mask, inside: Mask, rest: Floats, groups: Codes) -> tuple[Floats, Floats]:
        """Give the same of all people outside each of these groups, (k,).

        Args:
            rest: (k,) the rate of all people outside each group.
            groups: (k,) those groups.
        """
        value = np.zeros(len(self.rows.names))
        value[groups] = rest
        weight, squares_in, squares_out = (every.sum() - every for every in self._by_row(among, inside))
        found = self.spread_of_rest(among, inside, value).effective_rows(value, weight, squares_in, squares_out)
        return found[0][groups], found[1][groups]

    def _by_row(self, among: Mask, inside: Mask) -> tuple[Floats, Floats, Floats]:
        """Give of each group the sum of weights, and of squared weights in and out, row by row, (g,)."""
        rows = self.rows
        return rows.weight_of(among), rows.squares_of(among & inside), rows.squares_of(among & ~inside)

    def spread(self, among: Mask, each: Mask | Floats, mean: Floats) -> Spread:
        """Add up what units say of the mean of each group; residuals are added up within a unit, then squared.

        Args:
            among: (n,) rows that the mean is of.
            each: (n,) what it is the mean of.
            mean: (g,) that mean.
        """
        group, _, sums, weight = self._by_unit(among, each)
        size = len(self.rows.names)
        units, total, squares, spread = (
            _sums(group, column, size)
            for column in (np.ones(len(group)), weight, weight**2, (sums - mean[group] * weight) ** 2)
        )
        return Spread(units=units, weight=total, squares=squares, spread=spread)

    def spread_of_rest(self, among: Mask, each: Mask | Floats, mean: Floats) -> Spread:
        """Add up what units say of the mean of all people outside each group; the arguments are those of `spread`."""
        group, unit, sums, weight = self._by_unit(among, each)
        size = len(self.rows.names)
        every_sum, every_weight, parts = (_sums(unit, w, 0) for w in (sums, weight, np.ones(len(unit))))

        def summed(whole: float | Floats, of_unit: Floats, left: Floats) -> Floats:
            # All units count whole, but those with rows in the group, which count with what they have outside it.
            return np.asarray(whole + _sums(group, left - of_unit[unit], size), dtype=np.float64)

        left_sum, left_weight = every_sum[unit] - sums, every_weight[unit] - weight
        there = (every_weight > 0).astype(np.float64)
        before = (every_sum[unit] - mean[group] * every_weight[unit]) ** 2
        after = (left_sum - mean[group] * left_weight) ** 2
        whole = (every_sum**2).sum() - 2 * mean * (every_sum * every_weight).sum() + mean**2 * (every_weight**2).sum()
        return Spread(
            units=summed(there.sum(), there, (parts[unit] > 1).astype(np.float64)),
            weight=summed(every_weight.sum(), every_weight, left_weight),
            squares=summed((every_weight**2).sum(), every_weight**2, left_weight**2),
            spread=np.maximum(whole + _sums(group, after - before, size), 0.0),
        )

    def _by_unit(self, among: Mask, each: Mask | Floats) -> tuple[Codes, Codes, Floats, Floats]:
        """Add up by unit and group: group, unit, weighted sum and weight of each part, all (p,)."""
        units = int(self.unit.max(initial=0)) + 1
        kept = np.flatnonzero(among)
        key, at = np.unique(self.rows.group[kept] * units + self.unit[kept], return_inverse=True)
        weight = self.rows.weight[kept]
        sums, total = _sums(at, weight * each[kept], len(key)), _sums(at, weight, len(key))
        return key // units, key % units, sums, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What units say of a mean, (g,): their number, sum and squares of weights, and squares of residuals."""

    units: Floats
    weight: Floats
    squares: Floats
    spread: Floats

    @property
    def kish(self) -> Floats:
        """Effective number of units."""
        return np.minimum(effective_rows(self.weight, self.squares), self.units)

    @property
    def corrected(self) -> Floats:
        """Squares of residuals, made larger for the units that are few."""
        return self.spread * np.divide(self.units, self.units - 1.0, out=np.ones(len(self.units)), where=self.units > 1)

    def effective_rows(
        self, rate: Floats, weight: Floats, squares_in: Floats, squares_out: Floats
    ) -> tuple[Floats, Floats]:
        """Give the effective number of units, and the independent rows that a rate is as certain as.

        They are the effective rows over the design effect: the variance between units over that of the rows as if they
        were apart, and at least 1. Where all rows came out alike nothing says how alike rows of a unit are; there each
        unit counts as one.

        Args:
            rate, weight, squares_in, squares_out: (g,) as for `effective_rows_of_rate`, row by row.
        """
        alone, between = squares_in * (1.0 - rate) ** 2 + squares_out * rate**2, self.corrected
        told = (squares_in > 0) & (squares_out > 0) & (between > 0)
        share = np.minimum(1.0, np.divide(alone, between, out=np.ones_like(between), where=told))
        rows = effective_rows_of_rate(rate, weight, squares_in, squares_out) * share
        return self.kish, np.where(told, rows, self.kish)


def _sums(at: Codes, weights: Floats, size: int) -> Floats:
    return np.bincount(at, weights=weights, minlength=size).astype(np.float64)


def has_units(data: Data) -> bool:
    """Tell whether several rows may be of one person or household."""
    return ColumnRole.UNIT in data.columns.values()


def unit_codes(evidence: View) -> Codes | None:
    """Number the units of the rows, (n,); None where there are none, or no rows to see them in."""
    if not evidence.holds(Need.UNITS):
        return None
    return np.unique(evidence.units.to_numpy(zero_copy_only=False), return_inverse=True)[1].astype(np.int64)


def units_of(evidence: View, attribute: str, names: tuple[str | None, ...], *, labelled: bool) -> Units | None:
    """Read the rows with their units; None where rows are no units, or cannot be seen.

    Args:
        evidence: shows `UNIT_FACTS`.
        attribute: of the count table (or table of moments); `EVERYONE` puts all rows in one group.
        names: groups of the count table, in its order.
        labelled: whether labels must be there.
    """
    data = evidence.declaration.data
    unit = unit_codes(evidence)
    classes = data is not None and data.task is not Task.REGRESSION
    if data is None or unit is None or not evidence.holds(Need.DECISIONS if classes else Need.VALUES):
        return None
    if labelled and not evidence.holds(Need.LABELS):
        return None
    size = len(unit)
    group = np.zeros(size, dtype=np.int64)
    if attribute != EVERYONE:
        parts = data.crossing(attribute) or (attribute,)
        if not evidence.holds(Need.GROUPS) or not set(parts) <= set(evidence.groups.column_names):
            return None
        coded = [group_codes(evidence.groups.column(part), size) for part in parts]
        sizes = [len(labels) for _, labels in coded]
        kept, group = np.unique(np.ravel_multi_index([codes for codes, _ in coded], sizes), return_inverse=True)
        at = np.stack(np.unravel_index(kept, sizes), axis=1).tolist()
        values = [[labels[i] for (_, labels), i in zip(coded, places, strict=True)] for places in at]
        place = {name: i for i, name in enumerate(names)}
        named = [place[v[0] if len(v) == 1 else crossed(*v)] for v in values]
        group = np.array(named, dtype=np.int64)[group]
    weight = np.asarray(evidence.weights.to_numpy(), np.float64) if evidence.holds(Need.WEIGHTS) else np.ones(size)
    none = np.full(size, ABSENT, dtype=np.int64)
    rows = Cells(
        names=names,
        group=group,
        label=_codes(evidence.labels) if classes and evidence.holds(Need.LABELS) else none,
        decision=_codes(evidence.decisions) if classes else none,
        rows=np.ones(size, dtype=np.int64),
        weight=weight,
        weight_squared=weight**2,
    )
    return Units(rows=rows, unit=unit)


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
