"""Spread batches over several cells with the same model, so that a second core answers as well.

Assumes of its caller: every cell was opened by one backend with one set of limits, and is closed by whoever opened it.
Which batch goes to which cell depends on nothing but its number, so that equal runs ask equal cells the same.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sandbox.errors import CellUnavailable, ModelFault
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.interface import Limits, RunningCell

MOST_CELLS = 8
BATCHES_PER_CELL = 4
"""Batches below which another cell is not worth the loading of another copy of the model."""

WAITING_PER_CELL = 2


def cells_for(
    batches: int, limits: Limits, *, beside: int = 0, cores: int | None = None, free_bytes: int | None = None
) -> int:
    """Say how many cells one assessment is spread over.

    Args:
        batches: how many are to be asked in any order.
        limits: of each cell; its memory is counted as if it took all of it.
        beside: other cells that stand at the same time.
        cores: processors that may be used; those of this process where not given.
        free_bytes: memory that may be used; what the kernel calls available where not given.

    Returns:
        At least 1 and at most `MOST_CELLS`: no more than there are processors, than memory has room for, or than
        there are `BATCHES_PER_CELL` batches for.
    """
    cores = len(os.sched_getaffinity(0)) if cores is None else cores
    room = _available_bytes() if free_bytes is None else free_bytes
    return max(1, min(MOST_CELLS, cores, batches // BATCHES_PER_CELL, room // limits.memory_bytes - beside))


def _available_bytes() -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


class Spread:
    """Conversations with copies of one model, each in a cell of its own.

    Args:
        cells: each running cell with the conversation held with it; at least one.
    """

    def __init__(self, cells: Sequence[tuple[RunningCell, Conversation]]) -> None:
        self._cells = tuple(cells)
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix="cell") for _ in self._cells]

    @property
    def usable(self) -> bool:
        """Whether every cell can be asked another question."""
        return all(talk.usable for _, talk in self._cells)

    @property
    def first(self) -> Conversation:
        """The conversation by which questions are asked that must stay in one order."""
        return self._cells[0][1]

    def load(self) -> None:
        """Load the model in all cells at once.

        Raises:
            ModelFault, CellUnavailable: as `Conversation.load`, of the first cell in order that failed.
        """
        self._settle([thread.submit(talk.load) for thread, (_, talk) in zip(self._threads, self._cells, strict=True)])

    def over(
        self,
        predict: Callable[[pa.Table], np.ndarray],  # noqa: ARG002  # the place of `map`: each cell has a predict of its own
        batches: Iterable[pa.Table],
    ) -> Iterator[np.ndarray]:
        """Ask batches of all cells in turn, a few ahead of what was taken.

        Args:
            predict: not used.
            batches: each is asked once; they are made as they are needed.

        Yields:
            The answers, in the order of the batches.

        Raises:
            ModelFault, CellUnavailable: the first one in that order. No cell is asked anything more then, and where a
                cell is gone, all are ended.
        """
        talks = [talk for _, talk in self._cells]
        waiting: deque[Conversation] = deque()
        for talk in talks:
            talk.beside = [other for other in talks if other is not talk]
        try:
            for number, batch in enumerate(batches):
                waiting.append(talks[number % len(talks)])
                waiting[-1].send(batch)
                if len(waiting) >= WAITING_PER_CELL * len(talks):
                    yield waiting.popleft().take()
            while waiting:
                yield waiting.popleft().take()
        finally:
            self._end_all_where_one_is_lost()
            for talk in talks:
                talk.drop()
                talk.beside = ()

    def _settle(self, asked: Sequence[Future[None]]) -> None:
        waiting = deque(asked)
        try:
            while waiting:
                waiting.popleft().result()
        finally:
            self._settle_quietly(waiting)

    def _settle_quietly(self, waiting: Iterable[Future[Any]]) -> None:
        """Leave nothing under way: what was not begun is dropped, and a lost cell ends the others."""
        left = list(waiting)
        for asked in left:
            asked.cancel()
        self._end_all_where_one_is_lost()
        for asked in left:
            with contextlib.suppress(ModelFault, CellUnavailable):
                if not asked.cancelled():
                    asked.result()

    def _end_all_where_one_is_lost(self) -> None:
        if any(talk.lost for _, talk in self._cells):
            self.cancel()

    def cancel(self) -> None:
        """End all cells now, from any thread."""
        for running, _ in self._cells:
            running.cancel()

    def close(self) -> None:
        """Let the threads end. The cells are closed by whoever opened them."""
        for thread in self._threads:
            thread.shutdown(wait=True, cancel_futures=True)
