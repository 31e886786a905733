"""Tell a page how far its submission is: as words at once, and as server-sent events while it runs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from sandbox.records import queue
from sandbox.records.database import Database
from sandbox.records.tables import State, Submission, now
from sandbox.stages import NAMES
from sandbox.web.words import Pages

STAGES = tuple(name for name in NAMES if name != "log")
"""Stages shown; logging happens after a submission is done."""

LOOK_SECONDS = 0.4
HEARTBEAT_SECONDS = 10.0
LONGEST_SECONDS = 240.0
"""How long one stream lasts; the browser opens the next one by itself."""

MOST_STREAMS = 8
"""Streams at once, each of which holds a thread; beyond that a page falls back to reloading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a submission is.

    Args:
        index: place of the stage among `STAGES`; -1 before the first.
        percent: of the whole, 0 to 100.
        text: in the reader's language.
        used: time since it was begun, in the reader's language; empty before that.
        over: nothing more will come.
    """

    state: str
    stage: str
    index: int
    percent: int
    text: str
    used: str
    over: bool


def progress_of(submission: Submission, before: int, words: Pages) -> Progress:
    """Say how far a submission is.

    Args:
        before: how many are taken before it, as long as it waits.
    """
    state = State(submission.state)
    index = STAGES.index(submission.stage) if submission.stage in STAGES else -1
    within = submission.done / submission.total if 0 < submission.done <= submission.total else 0.0
    percent = 0
    if state is State.QUEUED:
        text = words("status.next") if before == 0 else words("status.waiting", count=before)
    elif state is State.RUNNING:
        percent = round(100 * (max(index, 0) + within) / len(STAGES))
        text = words(f"stage.{submission.stage}") if index >= 0 else words("status.starting")
        if submission.total > 1:
            text = words(
                "status.step", stage=text, done=words.whole(submission.done), total=words.whole(submission.total)
            )
        if submission.cancel_requested:
            text = words("status.stopping")
    else:
        percent = 100
        text = words(f"state.{state.value}")
    return Progress(
        state=state.value,
        stage=submission.stage,
        index=index,
        percent=percent,
        text=text,
        used=_used(submission, words),
        over=state.is_over,
    )


def _used(submission: Submission, words: Pages) -> str:
    """Say how long it has been worked on, to the second; empty before that."""
    if submission.started is None or submission.state == State.QUEUED:
        return ""
    seconds = int(((submission.ended or now()) - submission.started).total_seconds())
    return words("status.used", time=f"{seconds // 60}:{seconds % 60:02d}")


class Streams:
    """The event streams of this process, counted.

    Args:
        database: what is looked at.
    """

    def __init__(self, database: Database, most: int = MOST_STREAMS) -> None:
        self._database = database
        self._free = threading.BoundedSemaphore(most)

    def open(self, submission_id: str, words: Pages) -> Iterator[str] | None:
        """Open the stream of one submission.

        Returns:
            None when as many are open as this process can bear.
        """
        if not self._free.acquire(blocking=False):
            return None
        return self._events(submission_id, words)

    def _events(self, submission_id: str, words: Pages) -> Iterator[str]:
        try:
            begun = told_at = time.monotonic()
            told: Progress | None = None
            yield "retry: 1000\n\n"
            while time.monotonic() - begun < LONGEST_SECONDS:
                submission = queue.find(self._database, submission_id)
                if submission is None:
                    return
                before = queue.waiting_before(self._database, submission)
                progress = progress_of(submission, before, words)
                if progress != told:
                    yield f"data: {json.dumps(asdict(progress))}\n\n"
                    told, told_at = progress, time.monotonic()
                elif time.monotonic() - told_at > HEARTBEAT_SECONDS:
                    # The only way to notice that the reader has gone.
                    yield ": still here\n\n"
                    told_at = time.monotonic()
                if progress.over:
                    return
                time.sleep(LOOK_SECONDS)
        finally:
            self._free.release()
