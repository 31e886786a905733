"""Batches spread over several cells: the same answers in the same order, one fault for all, and one receipt."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from checks.asking import Plan, ask
from sandbox.errors import CellUnavailable, ModelFault
from sandbox.isolation.interface import Ending, Limits, Meters
from sandbox.isolation.receipt import ending_of, meters_of
from sandbox.isolation.spread import BATCHES_PER_CELL, MOST_CELLS, Spread, cells_for

LIMITS = Limits(memory_bytes=1024)


class Talk:
    """Answers with twice the input, and remembers which batches it got; fails at one of them where told to."""

    def __init__(self, *, fails_at: float | None = None, gone: bool = False, load: Exception | None = None) -> None:
        self.lost = False
        self.usable = True
        self.got: list[float] = []
        self.dropped = 0
        self.beside: list[Talk] = []
        self._sent: deque[pa.Table] = deque()
        self._fails_at = fails_at
        self._gone = gone
        self._load = load

    def load(self) -> None:
        if self._load is not None:
            self.lost, self.usable = True, False
            raise self._load

    def predict(self, batch: pa.Table) -> np.ndarray:
        self.send(batch)
        return self.take()

    def send(self, batch: pa.Table) -> None:
        self.got.append(float(batch.column("x")[0].as_py()))
        self._sent.append(batch)

    def take(self) -> np.ndarray:
        batch = self._sent.popleft()
        if self._fails_at is not None and batch.column("x")[0].as_py() >= self._fails_at:
            self.lost, self.usable = self._gone, not self._gone
            raise ModelFault("crashed", "no")
        return batch.column("x").to_numpy()[:, None] * 2

    def drop(self) -> None:
        self.dropped += len(self._sent)
        self._sent.clear()


class Cell:
    """A running cell of which only the end is looked at."""

    def __init__(self, ending: Ending = Ending.FINISHED, meters: Meters | None = None) -> None:
        self.cancelled = False
        self._ending = ending
        self._meters = meters or Meters(seconds=1.0, cpu_seconds=2.0, peak_bytes=10)

    def ending(self) -> Ending:
        return self._ending

    def meters(self) -> Meters:
        return self._meters

    def cancel(self) -> None:
        self.cancelled = True


def spread_of(*talks: Talk) -> tuple[Spread, list[Cell]]:
    cells = [Cell() for _ in talks]
    return Spread(list(zip(cells, talks, strict=True))), cells  # type: ignore[arg-type]


def batches(count: int) -> Iterator[pa.Table]:
    for number in range(count):
        yield pa.table({"x": np.arange(3.0) + 10 * number})


@pytest.mark.parametrize("cells", [1, 2, 3])
def test_answers_come_in_the_order_of_the_batches_whatever_the_number_of_cells(cells: int) -> None:
    talks = [Talk() for _ in range(cells)]
    spread, _ = spread_of(*talks)
    plans = {
        "a": Plan(rows=pa.table({"x": np.arange(20_000.0)})),
        "b": Plan(rows=pa.table({"x": np.arange(5_000.0)})),
        "c": Plan(rows=pa.table({"x": np.arange(300.0)}), apart=True, batch_rows=37),
    }
    told: list[int] = []
    asked = ask(
        plans, talks[0].predict, key=b"k", over=spread.over, progress=lambda done, total: told.append(total - done)
    )
    spread.close()
    alone = ask(plans, Talk().predict, key=b"k")
    for name, plan in plans.items():
        np.testing.assert_array_equal(asked[name].values, alone[name].values)
        np.testing.assert_array_equal(asked[name].values[:, 0], 2 * plan.rows.column("x").to_numpy())
    assert told == sorted(told, reverse=True)
    assert told[-1] == 0


def test_which_batch_goes_to_which_cell_hangs_on_its_number_alone() -> None:
    talks = [Talk(), Talk()]
    spread, _ = spread_of(*talks)
    assert len(list(spread.over(talks[0].predict, batches(9)))) == 9
    spread.close()
    assert talks[0].got == [0.0, 20.0, 40.0, 60.0, 80.0]
    assert talks[1].got == [10.0, 30.0, 50.0, 70.0]
    assert talks[0].dropped == talks[1].dropped == 0


@pytest.mark.parametrize("cells", [1, 2])
def test_a_cell_has_its_next_batch_before_it_has_answered_the_one_before(cells: int) -> None:
    talks = [Talk() for _ in range(cells)]
    spread, _ = spread_of(*talks)
    answers = spread.over(talks[0].predict, batches(9))
    next(answers)
    assert [len(talk.got) for talk in talks] == [2] * cells
    assert [talk.beside for talk in talks] == [[other for other in talks if other is not talk] for talk in talks]
    answers.close()  # type: ignore[attr-defined]
    assert [talk.dropped for talk in talks] == [1, 2][:cells]
    assert not any(talk.beside for talk in talks)
    spread.close()


def test_batches_are_made_as_they_are_needed() -> None:
    made: list[int] = []

    def counted() -> Iterator[pa.Table]:
        for number, batch in enumerate(batches(50)):
            made.append(number)
            yield batch

    spread, _ = spread_of(Talk(), Talk())
    answers = spread.over(Talk().predict, counted())
    next(answers)
    assert len(made) <= 4
    answers.close()  # type: ignore[attr-defined]
    spread.close()


def test_a_fault_in_one_ends_the_asking_of_all_and_keeps_cells_that_can_be_asked_again() -> None:
    talks = [Talk(), Talk(fails_at=30.0)]
    spread, cells = spread_of(*talks)
    given = []
    with pytest.raises(ModelFault):
        given.extend(spread.over(talks[0].predict, batches(200)))
    assert len(talks[0].got) < 10
    assert spread.usable
    assert not any(cell.cancelled for cell in cells)
    assert len(list(spread.over(talks[0].predict, batches(2)))) == 2
    spread.close()


def test_a_lost_cell_ends_the_others() -> None:
    talks = [Talk(), Talk(fails_at=30.0, gone=True), Talk()]
    spread, cells = spread_of(*talks)
    with pytest.raises(ModelFault):
        list(spread.over(talks[0].predict, batches(200)))
    assert all(cell.cancelled for cell in cells)
    assert not spread.usable
    spread.close()


def test_the_first_fault_in_the_order_of_the_batches_is_the_one_told() -> None:
    spread, _ = spread_of(Talk(fails_at=20.0), Talk(load=CellUnavailable("never")))
    with pytest.raises(CellUnavailable):
        spread.load()
    spread.close()
    slow, quick = Talk(fails_at=0.0), Talk(fails_at=0.0, gone=True)
    spread, _ = spread_of(slow, quick)
    with pytest.raises(ModelFault):
        next(iter(spread.over(slow.predict, batches(5))))
    spread.close()


def test_there_are_as_many_cells_as_processors_memory_and_work_allow() -> None:
    plenty = 10**9
    assert cells_for(0, LIMITS, cores=2, free_bytes=plenty) == 1
    assert cells_for(2 * BATCHES_PER_CELL - 1, LIMITS, cores=2, free_bytes=plenty) == 1
    assert cells_for(2 * BATCHES_PER_CELL, LIMITS, cores=2, free_bytes=plenty) == 2
    assert cells_for(1_000, LIMITS, cores=2, free_bytes=plenty) == 2
    assert cells_for(1_000, LIMITS, cores=64, free_bytes=plenty) == MOST_CELLS
    assert cells_for(1_000, LIMITS, cores=4, free_bytes=3 * 1024) == 3
    assert cells_for(1_000, LIMITS, cores=4, free_bytes=3 * 1024, beside=1) == 2
    assert cells_for(1_000, LIMITS, cores=4, free_bytes=0) == 1


def test_one_receipt_adds_up_what_all_cells_used_and_tells_the_end_that_matters() -> None:
    cells = [
        Cell(meters=Meters(seconds=1.0, cpu_seconds=2.0, peak_bytes=10)),
        Cell(meters=Meters(seconds=3.0, cpu_seconds=0.5, peak_bytes=30)),
        Cell(Ending.CANCELLED, Meters(seconds=2.0, cpu_seconds=None, peak_bytes=None)),
    ]
    assert meters_of(cells) == Meters(seconds=3.0, cpu_seconds=2.5, peak_bytes=30)  # type: ignore[arg-type]
    assert ending_of(cells) is Ending.FINISHED  # type: ignore[arg-type]
    assert ending_of([*cells, Cell(Ending.OUT_OF_MEMORY)]) is Ending.OUT_OF_MEMORY  # type: ignore[list-item]
    assert ending_of([cells[2]]) is Ending.CANCELLED  # type: ignore[list-item]
