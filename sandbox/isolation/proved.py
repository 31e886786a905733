"""A wall that opens no cell for an upload before it was tried: the proof comes first, whoever opens one.

Assumes of its caller: one of these serves one run, so that every run has a proof of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import fields

from sandbox.isolation.interface import Attempt, CellFiles, Isolation, Limits, RunningCell
from sandbox.isolation.receipt import require

_OURS = ("answer_seconds", "start_seconds")
"""How long this side waits, which is no part of the wall."""


class Proved:
    """A backend behind its own proof.

    Args:
        isolation: the backend that makes the cells.
    """

    def __init__(self, isolation: Isolation) -> None:
        self.isolation = isolation
        self.name = isolation.name
        self._attempts: dict[Limits, tuple[Attempt, ...]] = {}
        self._lock = threading.Lock()

    def available(self) -> str | None:
        """Say why the backend cannot be used here; None when it can."""
        return self.isolation.available()

    def profile(self, limits: Limits) -> Mapping[str, object]:
        """Describe the backend's wall."""
        return self.isolation.profile(limits)

    def prove(self, limits: Limits) -> Sequence[Attempt]:
        """Try to get out of a sibling cell with these limits, once; a second time the same attempts are given.

        Args:
            limits: of the cells to come.

        Raises:
            CellUnavailable: the sibling could not be started at all.
        """
        with self._lock:
            if limits not in self._attempts:
                self._attempts[limits] = tuple(self.isolation.prove(limits))
            return self._attempts[limits]

    def open(self, files: CellFiles, limits: Limits) -> RunningCell:
        """Start a cell, once the wall was tried with these limits or with wider ones and held.

        Raises:
            CellUnavailable: a probe did not hold, or the wall could not be built.
            ModelFault: the cell ended before it connected.
        """
        tried = next((wider for wider in list(self._attempts) if _within(limits, wider)), limits)
        require(self.isolation, self.prove(tried))
        return self.isolation.open(files, limits)


def _within(limits: Limits, wider: Limits) -> bool:
    """Say whether no limit of the cell is larger than the other's: the same wall around less room."""
    held = [field.name for field in fields(Limits) if field.name not in _OURS]
    return all(getattr(limits, name) <= getattr(wider, name) for name in held)
