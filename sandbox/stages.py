"""The stages of an assessment, for whoever watches one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sandbox.tracing import span

NAMES = ("prove", "accept", "read", "load", "ask", "seal", "judge", "classify", "write", "log")
"""All stages in their order; a stage that a submission does not need is left out."""


class Cancelled(BaseException):
    """Somebody asked for the assessment to stop. Not an error: only whoever started the assessment catches it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where an assessment is.

    Args:
        name: one of `NAMES`.
        done, total: how far within the stage, in units of its own (rows, checks); 0 of 0 where that is not known.
    """

    name: str
    done: int = 0
    total: int = 0


@dataclass(slots=True, kw_only=True)
class Watch:
    """Tells a watcher the stage, keeps the time of each, and stops the flow when asked to.

    Args:
        tell: called at the start of each stage and at each step of it.
        cancel: set from outside to stop the flow at its next step.
    """

    tell: Callable[[Stage], None] | None = None
    cancel: threading.Event | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked for the flow to stop."""
        return self.cancel is not None and self.cancel.is_set()

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Mark a stage; gives a callable for its steps.

        Raises:
            Cancelled: at its start or at a step, once `cancel` is set.
        """

        def step(done: int, total: int) -> None:
            if self.is_cancelled:
                raise Cancelled
            if self.tell is not None:
                self.tell(Stage(name=name, done=done, total=total))

        begun = time.monotonic()
        step(0, 0)
        try:
            with span(f"stage {name}"):
                yield step
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - begun, 4)
