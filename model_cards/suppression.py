"""Decide which groups' counts may leave, so that no small count can be worked out from everything else that leaves.

Known to whoever reads a public package: all counts of everyone together, the counts of every group that leaves, this
rule, and what left earlier about the same data. A group leaves to one of four depths (`Depth`). A count of a group
below the minimum (0 as well: "nobody of them" says something of each) is kept in; then so many further groups are kept
in that what is kept in adds up to at least the minimum, in two groups or more; then linear programming works out
how narrowly each small count can be bracketed, and where that is too narrow, groups leave all or not at all.

Left open, and said: somebody who already knows some rows can subtract them; two data sets that differ in a few rows are
two data sets here; an outcome (`fail`) of a finding whose figures are kept in still bounds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from model_cards.dossier import CountTable

Cell = tuple[int | None, int | None]
"""Label and decision as class indices; None is a label that is not known or an answer that did not come."""

LARGEST_PROGRAM = 600
"""Most unknowns that are bracketed one by one; beyond, groups leave all or not at all, which needs no bracketing."""


class Depth(IntEnum):
    """How much of a group leaves; each holds what the one before it holds."""

    NOTHING = 0
    ROWS = 1
    DECISIONS = 2
    EVERYTHING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The counts of one attribute (or pair of attributes), as its count table has them.

    Args:
        cells: rows by group and cell.
        classes: number of classes; 0 where groups have rows only (regression).
    """

    cells: Mapping[str | None, Mapping[Cell, int]]
    classes: int

    @property
    def groups(self) -> tuple[str | None, ...]:
        """The groups, in a fixed order."""
        return tuple(sorted(self.cells, key=lambda g: (g is None, g or "")))

    def rows(self, group: str | None) -> int:
        """Rows of one group."""
        return sum(self.cells[group].values())

    def by_label(self, group: str | None) -> dict[int | None, int]:
        """Rows of one group by label."""
        found: dict[int | None, int] = {}
        for (label, _), rows in self.cells[group].items():
            found[label] = found.get(label, 0) + rows
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What left earlier about the same data, by another version, policy or export.

    Args:
        rows: groups whose number of rows is public.
        labels: groups whose number of rows by label is public.
    """

    rows: frozenset[str | None] = frozenset()
    labels: frozenset[str | None] = frozenset()


@dataclass(frozen=True, slots=True)
class _Sum:
    """One sum over the cells of a group that a reader would learn at some depth."""

    cells: frozenset[Cell]
    sure: bool = field(default=True)
    """Whether it is a count of people with a known answer and label; then 0 says something too."""


def counts_of(table: CountTable, classes: int) -> Counts:
    """Read a count table of a dossier.

    Args:
        table: `cells` (group x label x decision) or `moments` (rows per group).
        classes: number of classes of the task.
    """
    cells: dict[str | None, dict[Cell, int]] = {}
    columns = table.columns
    length = len(columns["group"])
    labels = columns["label"] if table.kind == "cells" else (None,) * length
    decisions = columns["decision"] if table.kind == "cells" else (None,) * length
    for group, label, decision, rows in zip(columns["group"], labels, decisions, columns["rows"], strict=True):
        name = None if group is None else str(group)
        cell = (_index(label), _index(decision))
        mine = cells.setdefault(name, {})
        mine[cell] = mine.get(cell, 0) + int(rows or 0)
    return Counts(cells=cells, classes=classes if table.kind == "cells" else 0)


def _index(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def decide(
    counts: Counts,
    minimum: int,
    *,
    at_most: Mapping[str | None, Depth] | None = None,
    known: Known | None = None,
) -> dict[str | None, Depth]:
    """Decide how much of each group leaves.

    Args:
        counts: of one attribute.
        minimum: fewest people that a count which leaves may stand for.
        at_most: depth that earlier decisions about the same data hold each group to.
        known: what is public already about the same data.

    Returns:
        The depth of each group.
    """
    sums = _sums(counts)
    held = {g: (at_most or {}).get(g, Depth.EVERYTHING) for g in counts.groups}
    depths = {g: min(held[g], _own_depth(counts, sums, g, minimum)) for g in counts.groups}
    _keep_in_more(counts, sums, depths, minimum)
    if _holds(counts, sums, depths, minimum, known or Known()):
        return depths
    whole = {g: d if d is Depth.EVERYTHING else Depth.NOTHING for g, d in depths.items()}
    while True:
        _keep_in_more(counts, sums, whole, minimum)
        again = {g: d if d is Depth.EVERYTHING else Depth.NOTHING for g, d in whole.items()}
        if again == whole:
            break
        whole = again
    if known is None or not (known.rows or known.labels) or _holds(counts, sums, whole, minimum, known):
        return whole
    return dict.fromkeys(counts.groups, Depth.NOTHING)


def _sums(counts: Counts) -> dict[Depth, tuple[_Sum, ...]]:
    """List, by depth, the sums that a reader learns of a group, over the cells that anybody is in or could be in."""
    everyone = {cell for cells in counts.cells.values() for cell, rows in cells.items() if rows}
    labels = {label for label, _ in everyone}
    decisions = {decision for _, decision in everyone}
    if counts.classes:
        labels |= set(range(counts.classes)) if labels - {None} else set()
        decisions |= set(range(counts.classes)) if decisions - {None} else set()
    cells = frozenset((label, decision) for label in labels for decision in decisions)
    # Where nobody has a label, the absence of labels says nothing of anybody; the same of answers.
    no_labels, no_decisions = labels == {None}, decisions == {None}
    return {
        Depth.ROWS: (_Sum(cells),),
        Depth.DECISIONS: tuple(
            _Sum(frozenset(c for c in cells if c[1] == decision), sure=decision is not None or no_decisions)
            for decision in decisions
        ),
        Depth.EVERYTHING: tuple(
            _Sum(
                frozenset({(label, decision)}),
                sure=(label is not None or no_labels) and (decision is not None or no_decisions),
            )
            for label, decision in cells
        ),
    }


def _value(counts: Counts, wanted: _Sum, groups: Sequence[str | None]) -> int:
    return sum(counts.cells[g].get(c, 0) for g in groups for c in wanted.cells)


def _small(value: int, total: int, wanted: _Sum, minimum: int) -> bool:
    """Tell whether a count may not be seen. What nobody at all is in says nothing of a group."""
    return total > 0 and value < minimum and (value > 0 or wanted.sure)


def _own_depth(counts: Counts, sums: Mapping[Depth, tuple[_Sum, ...]], group: str | None, minimum: int) -> Depth:
    reached = Depth.NOTHING
    for depth in (Depth.ROWS, Depth.DECISIONS, Depth.EVERYTHING):
        for wanted in sums[depth]:
            if _small(_value(counts, wanted, (group,)), _value(counts, wanted, counts.groups), wanted, minimum):
                return reached
        reached = depth
    return reached


def _keep_in_more(
    counts: Counts, sums: Mapping[Depth, tuple[_Sum, ...]], depths: dict[str | None, Depth], minimum: int
) -> None:
    """Keep in the smallest further groups, until what is kept in is two groups or more and adds up to enough."""
    for depth in (Depth.ROWS, Depth.DECISIONS, Depth.EVERYTHING):
        while True:
            inside = [g for g in counts.groups if depths[g] < depth]
            outside = [g for g in counts.groups if depths[g] >= depth]
            if not inside or not outside:
                break
            enough = len(inside) >= 2 and not any(
                _small(value, total, wanted, min(minimum, total))
                for wanted in sums[depth]
                for value, total in ((_value(counts, wanted, inside), _value(counts, wanted, counts.groups)),)
            )
            if enough:
                break
            depths[min(outside, key=counts.rows)] = Depth(depth - 1)


def _holds(
    counts: Counts,
    sums: Mapping[Depth, tuple[_Sum, ...]],
    depths: Mapping[str | None, Depth],
    minimum: int,
    known: Known,
) -> bool:
    """Work out how narrowly each small count that is kept in can be bracketed, and whether that is wide enough."""
    from scipy.optimize import linprog

    inside = [g for g in counts.groups if depths[g] < Depth.EVERYTHING]
    if not inside:
        return True
    cells = sorted(next(iter(sums[Depth.ROWS])).cells, key=str)
    if len(inside) * len(cells) > LARGEST_PROGRAM:
        # All or nothing without earlier knowledge needs no bracketing: each count can be anything up to its total.
        return all(depths[g] is Depth.NOTHING for g in inside) and not (known.rows or known.labels)
    at = {(g, c): i for i, (g, c) in enumerate((g, c) for g in inside for c in cells)}

    def line(groups: Sequence[str | None], over: frozenset[Cell]) -> NDArray[np.float64]:
        row = np.zeros(len(at))
        row[[at[g, c] for g in groups for c in over]] = 1.0
        return row

    facts = [(inside, frozenset({c})) for c in cells]
    for g in inside:
        if depths[g] >= Depth.ROWS or g in known.rows:
            facts += [([g], s.cells) for s in sums[Depth.ROWS]]
        if depths[g] >= Depth.DECISIONS:
            facts += [([g], s.cells) for s in sums[Depth.DECISIONS]]
        if g in known.labels:
            facts += [([g], frozenset(c for c in cells if c[0] == label)) for label in {c[0] for c in cells}]
    matrix = np.array([line(groups, over) for groups, over in facts])
    values = np.array([_value(counts, _Sum(over), groups) for groups, over in facts], dtype=float)
    for g in inside:
        for depth in (Depth.ROWS, Depth.DECISIONS, Depth.EVERYTHING):
            public = depths[g] >= depth or (depth is Depth.ROWS and g in known.rows)
            for wanted in () if public else sums[depth]:
                total = _value(counts, wanted, counts.groups)
                if not _small(_value(counts, wanted, (g,)), total, wanted, minimum):
                    continue
                aim = line([g], wanted.cells)
                ends = []
                for sign in (1.0, -1.0):
                    solved = linprog(sign * aim, A_eq=matrix, b_eq=values, bounds=(0, None), method="highs")
                    if solved.status != 0:
                        return False
                    ends.append(sign * float(solved.fun or 0.0))
                low, high = ends
                if high - low < min(minimum, total) - 1e-6:
                    return False
    return True
