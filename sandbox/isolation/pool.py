"""Cells that stand ready before their model is known: clean, behind the whole wall, each for one submission.

A cell of the pool has imported the numeric libraries and nothing else: it has seen no upload and answered no probe. Its
model enters through an inbox that was empty when it started and that it can only read. Assumes of its caller: the wall
was proved, or is proved before a cell is taken; who takes a cell closes it, and who makes a pool closes the pool.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from sandbox.errors import CellUnavailable, ModelFault
from sandbox.isolation.interface import CellFiles, Isolation, Limits, RunningCell
from sandbox.isolation.running import KeptCell

SECONDS = 600.0
"""How long a cell may stand ready. Older ones are ended unused."""

READY = CellFiles(entry="warm")


class Pool:
    """Cells of one backend and one set of limits, as many as were asked for.

    Args:
        isolation: makes the cells.
        limits: of each; another set of limits is another wall, and another pool.
        seconds: how long a cell may stand ready.
        environment: gives, for each cell once more, the folder of packages that the model's cells hold; None for the
            cells' own. Cells that stand ready hold their own, so such a pool is not filled.
    """

    def __init__(
        self,
        isolation: Isolation,
        limits: Limits,
        *,
        seconds: float = SECONDS,
        environment: Callable[[], Path] | None = None,
    ) -> None:
        self._isolation = isolation
        self._limits = limits
        self._seconds = seconds
        self._environment = environment
        self._ready: deque[tuple[float, Future[RunningCell]]] = deque()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="pool")
        self._closed = False

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fill(self, count: int) -> None:
        """Start cells until so many stand ready or are about to; returns at once.

        Args:
            count: how many.
        """
        self.expire()
        with self._lock:
            while not self._closed and len(self._ready) < count:
                opening = self._threads.submit(self._isolation.open, READY, self._limits)
                self._ready.append((time.monotonic(), opening))

    def expire(self) -> int:
        """End the cells that have stood ready for too long.

        Returns:
            How many were ended.
        """
        old: list[Future[RunningCell]] = []
        with self._lock:
            while self._ready and time.monotonic() - self._ready[0][0] >= self._seconds:
                old.append(self._ready.popleft()[1])
        for opening in old:
            _end(opening)
        return len(old)

    def take(self, model: Path, beside: tuple[Path, ...] = ()) -> RunningCell:
        """Give a cell with this model in it: one that stands ready, or a new one where there is none.

        A cell is given once; nothing of it comes back into the pool.

        Args:
            model: host path of the model file or folder, in quarantine.
            beside: files that it reads next to it; then the cell is a new one.

        Returns:
            The cell, whose time counts from now. The caller closes it.

        Raises:
            CellUnavailable: the wall could not be built, or the model not be put in place.
            ModelFault: a limit ended the cell before it connected.
        """
        self.expire()
        while True:
            with self._lock:
                if not self._ready or beside:
                    break
                _, opening = self._ready.popleft()
            cell = opening.result()
            if not isinstance(cell, KeptCell) or not cell.waits:
                cell.close()
                continue
            try:
                cell.give(model)
            except BaseException:
                cell.close()
                raise
            return cell
        environment = None if self._environment is None else self._environment()
        files = CellFiles(entry="serve", model=model, beside=beside, environment=environment)
        return self._isolation.open(files, self._limits)

    def close(self) -> None:
        """End all cells that were not taken. Idempotent."""
        with self._lock:
            self._closed = True
            left = [opening for _, opening in self._ready]
            self._ready.clear()
        for opening in left:
            _end(opening)
        self._threads.shutdown(wait=True)


def _end(opening: Future[RunningCell]) -> None:
    if not opening.cancel():
        with contextlib.suppress(CellUnavailable, ModelFault):
            opening.result().close()
