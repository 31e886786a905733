"""Start one cell in a thread that lives as long as it, watch its limits from outside, and say how it ended.

Assumes of its caller: what is kept builds the whole wall itself; the keeper only starts, measures and ends it. The
thread matters: bubblewrap's `--die-with-parent` ends the cell when the thread that started it ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from sandbox.errors import CellUnavailable
from sandbox.isolation.interface import Ending, Limits, Meters
from sandbox.isolation.limits import ControlGroup
from sandbox.isolation.looking import Facts
from sandbox.isolation.place import children

KEPT_STDERR = 4096
_TICK = 0.05
_STATUS_MEMORY = 71
_SIGNALLED = 128


class Kept(Protocol):
    """What a keeper keeps: a process tree of ours, or an engine's container."""

    pid: int
    """Its first process, by its id on the host; 0 before the start."""

    group: ControlGroup | None
    """What measures it; None where nothing does."""

    stderr: int
    """Descriptor of what it writes to standard error, -1 for none; the keeper only reads it."""

    def start(self) -> None:
        """Start it. Raises OSError or CellUnavailable when that fails."""

    def text(self, piece: bytes) -> bytes:
        """Take the stream's framing away from a piece of standard error."""

    def look(self, pids: Sequence[int]) -> dict[int, Facts]:
        """Look at processes of it from outside. Raises OSError or CellUnavailable where that is not possible."""

    def kill(self) -> None:
        """End it now, from any thread; nothing happens when it is gone."""

    def finish(self) -> int:
        """Wait until the last of it is gone and give its status, 128 + signal when a signal ended it."""

    def memory_ran_out(self) -> bool:
        """Say whether the kernel ended something of it for want of memory."""


class Keeper(threading.Thread):
    """The thread of one cell.

    Args:
        kept: what to start, watch and end.
        limits: processor time, wall-clock and output are held here; the rest by the wall itself.
    """

    def __init__(self, kept: Kept, limits: Limits) -> None:
        super().__init__(name="cell-keeper", daemon=True)
        self._kept = kept
        self._limits = limits
        self._begun = time.monotonic()
        self._seconds: float | None = None
        self._cpu_seconds: float | None = None
        self._peak_bytes: int | None = None
        self._memory_kills = 0
        self._memory_ran_out = False
        self._stopped_for: Ending | None = None
        self._lock = threading.Lock()
        self._over = False
        self._written = 0
        self.status: int | None = None
        self.failure: OSError | CellUnavailable | None = None
        self.stderr = b""
        self.started = threading.Event()
        self.ended = threading.Event()

    def run(self) -> None:
        """Start the cell and stay until it is gone."""
        try:
            self._kept.start()
        except (OSError, CellUnavailable) as failure:
            self.failure = failure
            self._over = True
            self.started.set()
            self.ended.set()
            return
        self.started.set()
        try:
            self._watch()
        finally:
            with self._lock:
                # Nobody kills by a process id that may soon belong to another.
                self._over = True
            self._measure()
            self.status = self._kept.finish()
            self._measure()
            self._memory_ran_out = self._memory_kills > 0 or self._kept.memory_ran_out()
            self._seconds = time.monotonic() - self._begun
            self.ended.set()

    def _watch(self) -> None:
        poll = select.poll()
        if self._kept.stderr >= 0:
            os.set_blocking(self._kept.stderr, False)
            poll.register(self._kept.stderr, select.POLLIN)
        try:
            handle = os.pidfd_open(self._kept.pid)
        except OSError:
            # It was over before it could be looked at.
            self._drain(poll)
            return
        try:
            poll.register(handle, select.POLLIN)
            self._watch_until(handle, poll)
            self._drain(poll)
        finally:
            os.close(handle)

    def _watch_until(self, handle: int, poll: select.poll) -> None:
        measured = 0.0
        while True:
            ready = dict(poll.poll(_TICK * 1000))
            if self._kept.stderr in ready:
                self._drain(poll)
                if self._written > self._limits.file_bytes:
                    self.stop(Ending.OUTPUT_LIMIT)
            if handle in ready:
                return
            now = time.monotonic()
            if now - self._begun > self._limits.wall_seconds:
                self.stop(Ending.TIMED_OUT)
            if now - measured >= _TICK:
                measured = now
                self._measure()
                if (self._cpu_seconds or 0.0) > self._limits.cpu_seconds:
                    self.stop(Ending.CPU_LIMIT)

    def _drain(self, poll: select.poll) -> None:
        """Read what is there of standard error, keep the last of it, and forget the stream once it is closed."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            piece = os.read(self._kept.stderr, 65536) if self._kept.stderr >= 0 else b""
            if not piece:
                with contextlib.suppress(KeyError):
                    poll.unregister(self._kept.stderr)
            self._written += len(piece)
            self.stderr = (self.stderr + self._kept.text(piece))[-KEPT_STDERR:]

    def _measure(self) -> None:
        group = self._kept.group
        if group is not None:
            cpu, peak = group.cpu_seconds(), group.peak_bytes()
            self._memory_kills = max(self._memory_kills, group.memory_kills())
        else:
            cpu, peak = tree_use(self._kept.pid) if self._kept.pid else (None, None)
        self._cpu_seconds = max(filter(None, (self._cpu_seconds, cpu)), default=self._cpu_seconds)
        self._peak_bytes = max(filter(None, (self._peak_bytes, peak)), default=self._peak_bytes)

    def begin_again(self) -> None:
        """Count wall-clock from now: the cell stood ready until here. Processor time counts from its start."""
        self._begun = time.monotonic()

    def stop(self, ending: Ending) -> None:
        """End the cell now, from any thread; the first reason given stays.

        Args:
            ending: why.
        """
        with self._lock:
            if self._over or not self.started.is_set():
                return
            if self._stopped_for is None:
                self._stopped_for = ending
            self._kept.kill()

    def ending(self) -> Ending:
        """Say how the cell ended; call it after the end.

        Returns:
            The limit that bit, or what its status says.
        """
        if self._stopped_for not in (None, Ending.FINISHED):
            assert self._stopped_for is not None
            return self._stopped_for
        if self._memory_ran_out:
            return Ending.OUT_OF_MEMORY
        if self._stopped_for is Ending.FINISHED or self.status == 0:
            return Ending.FINISHED
        if self.status == _SIGNALLED + signal.SIGXCPU or (self._cpu_seconds or 0.0) >= self._limits.cpu_seconds:
            return Ending.CPU_LIMIT
        if self.status == _SIGNALLED + signal.SIGXFSZ:
            return Ending.OUTPUT_LIMIT
        if self._kept.group is None and self.status == _STATUS_MEMORY:
            return Ending.OUT_OF_MEMORY
        return Ending.CRASHED

    def meters(self) -> Meters:
        """Say what the cell used so far."""
        seconds = self._seconds if self._seconds is not None else time.monotonic() - self._begun
        return Meters(seconds=seconds, cpu_seconds=self._cpu_seconds, peak_bytes=self._peak_bytes)


def tree_use(pid: int) -> tuple[float | None, int | None]:
    """Add up what a process and its descendants use, where no control group measures it.

    Args:
        pid: first process of the tree.

    Returns:
        Processor seconds and largest resident bytes of those alive; None for a tree that is gone.
    """
    ticks, resident, seen = 0, 0, 0
    for current in (pid, *descendants(pid)):
        with contextlib.suppress(OSError, ValueError):
            fields = Path(f"/proc/{current}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(value) for value in fields[11:15])
            seen += 1
            for line in Path(f"/proc/{current}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    resident += int(line.split()[1]) * 1024
    return (ticks / os.sysconf("SC_CLK_TCK"), resident) if seen else (None, None)


def descendants(pid: int) -> list[int]:
    """List a process's descendants, parents before their children.

    Args:
        pid: the process, by its id on the host.
    """
    found = children(pid)
    for child in found:
        found += children(child)
    return found


def kill_until_gone(listed: Callable[[], list[int]], seconds: float = 2.0) -> None:
    """Kill what is listed until nothing is.

    Args:
        listed: gives the processes that are left.
        seconds: longest time to try.
    """
    until = time.monotonic() + seconds
    while (left := listed()) and time.monotonic() < until:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
