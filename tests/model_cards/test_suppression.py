"""How much of each group leaves: by its own counts, by what its neighbours would give away, and by what left before."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from model_cards.dossier import CountTable
from model_cards.suppression import Counts, Depth, Known, counts_of, decide

ALL = ((0, 0), (0, 1), (1, 0), (1, 1))


def evenly(rows: int) -> dict[tuple[int | None, int | None], int]:
    return dict.fromkeys(ALL, rows)


def test_groups_of_which_nothing_is_small_leave_whole() -> None:
    counts = Counts(cells={"a": evenly(10), "b": evenly(200)}, classes=2)
    assert set(decide(counts, 10).values()) == {Depth.EVERYTHING}


def test_one_group_alone_below_the_minimum_leaves_nothing() -> None:
    assert decide(Counts(cells={"a": evenly(2)}, classes=2), 10) == {"a": Depth.NOTHING}


def test_a_count_of_nobody_says_something_where_others_are_counted() -> None:
    never = {(0, 0): 100, (0, 1): 0, (1, 0): 100, (1, 1): 0}
    counts = Counts(cells={"a": evenly(50), "b": evenly(60), "c": never}, classes=2)
    depths = decide(counts, 10)
    assert depths["c"] < Depth.DECISIONS
    # Where nobody at all gets that decision, everybody knows it of every group.
    assert set(decide(Counts(cells={"a": never, "b": never}, classes=2), 10).values()) == {Depth.EVERYTHING}


def test_rows_without_a_label_hold_a_group_back_only_where_they_are_few_and_some() -> None:
    without = {**evenly(50), (None, 0): 4}
    many = {**evenly(50), (None, 0): 40}
    depths = decide(Counts(cells={"a": evenly(50), "b": without, "c": many, "d": many}, classes=2), 10)
    assert depths["b"] is Depth.DECISIONS
    # One more group with rows without a label goes with it, else the four could be subtracted.
    assert depths["c"] is Depth.DECISIONS
    assert depths["d"] is Depth.EVERYTHING
    unlabelled: dict[tuple[int | None, int | None], int] = {(None, 0): 30, (None, 1): 40}
    assert set(decide(Counts(cells={"a": unlabelled, "b": unlabelled}, classes=2), 10).values()) == {Depth.EVERYTHING}


def test_groups_with_rows_alone_leave_whole_or_not_at_all() -> None:
    cells: dict[str | None, dict[tuple[int | None, int | None], int]] = {
        name: {(None, None): rows} for name, rows in (("a", 500), ("b", 40), ("c", 3))
    }
    assert decide(Counts(cells=cells, classes=0), 10) == {
        "a": Depth.EVERYTHING,
        "b": Depth.NOTHING,
        "c": Depth.NOTHING,
    }


def test_hundreds_of_groups_are_decided_quickly_and_never_leave_one_alone() -> None:
    drawn = random.Random(3)
    cells = {f"g{i}": {c: drawn.choice((0, 3, 15, 40, 200)) for c in ALL} for i in range(340)}
    begin = time.perf_counter()
    depths = decide(Counts(cells=cells, classes=2), 10)
    assert time.perf_counter() - begin < 5
    inside = [g for g, d in depths.items() if d is not Depth.EVERYTHING]
    assert len(inside) >= 2
    assert {depths[g] for g in inside} == {Depth.NOTHING}
    for c in ALL:
        assert sum(cells[g][c] for g in inside) >= 10


def test_what_was_held_to_less_before_stays_there() -> None:
    counts = Counts(cells={"a": evenly(50), "b": evenly(60), "c": evenly(70)}, classes=2)
    held = {"a": Depth.ROWS, "b": Depth.EVERYTHING, "c": Depth.EVERYTHING}
    depths = decide(counts, 10, at_most=held)
    assert depths["a"] <= Depth.ROWS
    assert sum(d < Depth.EVERYTHING for d in depths.values()) >= 2


def test_a_table_as_a_dossier_holds_it_is_read_by_group_and_cell() -> None:
    columns = {"group": ("a", "a", None), "label": (0, None, 1), "decision": (1, 0, None), "rows": (5, 6, 7)}
    counts = counts_of(CountTable(kind="cells", attribute="sex", columns=columns), 2)
    assert counts.groups == ("a", None)
    assert counts.rows("a") == 11
    assert counts.by_label("a") == {0: 5, None: 6}
    moments = counts_of(CountTable(kind="moments", attribute="sex", columns={"group": ("a",), "rows": (9,)}), 0)
    assert moments.cells == {"a": {(None, None): 9}}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.sampled_from([0, 2, 9, 10, 25, 90])] * 4), min_size=2, max_size=6),
    st.sets(st.integers(0, 5)),
)
def test_no_depth_shows_a_small_count_and_nothing_can_be_subtracted(
    rows: list[tuple[int, int, int, int]], earlier: set[int]
) -> None:
    assume(any(map(any, rows)))
    cells = {f"g{i}": dict(zip(ALL, row, strict=True)) for i, row in enumerate(rows)}
    counts = Counts(cells={g: dict(c) for g, c in cells.items()}, classes=2)
    shown = frozenset(f"g{i}" for i in earlier if i < len(rows))
    depths = decide(counts, 10, known=Known(rows=shown))
    everyone = {c: sum(g[c] for g in cells.values()) for c in ALL}
    for g, depth in depths.items():
        if depth is Depth.EVERYTHING:
            assert all(cells[str(g)][c] >= 10 or everyone[c] == 0 for c in ALL)
        if depth >= Depth.DECISIONS:
            for d in (0, 1):
                of_all = everyone[0, d] + everyone[1, d]
                assert of_all == 0 or cells[str(g)][0, d] + cells[str(g)][1, d] >= 10
        if depth >= Depth.ROWS:
            assert sum(cells[str(g)].values()) >= 10
    inside = [str(g) for g, d in depths.items() if d is not Depth.EVERYTHING]
    outside = len(depths) - len(inside)
    if inside and outside:
        assert len(inside) >= 2
        for c in ALL:
            assert sum(cells[g][c] for g in inside) >= min(10, everyone[c])


@pytest.mark.parametrize("minimum", [1, 10, 50])
def test_the_minimum_is_that_of_the_policy(minimum: int) -> None:
    counts = Counts(cells={"a": evenly(minimum), "b": evenly(minimum)}, classes=2)
    assert set(decide(counts, minimum).values()) == {Depth.EVERYTHING}
    assert set(decide(counts, minimum + 1).values()) != {Depth.EVERYTHING}
