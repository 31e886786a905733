"""What every isolation backend offers, and the facts of one run behind it.

Assumes of its caller: the files named in `CellFiles` are already in quarantine, hashed, and not writable by the model's
submitter any more; the caller closes what it opens.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one cell may use. Every limit has its ending, see `Ending`; none can be switched off.

    Args:
        memory_bytes: memory of all processes of the cell together.
        processes: processes and threads at once.
        cpu_seconds: processor time of the whole cell.
        wall_seconds: time between start and end.
        scratch_bytes: size of its private /tmp.
        file_bytes: largest file it can write.
        open_files: descriptors per process.
        answer_seconds: longest wait for the answer to one batch.
        start_seconds: longest wait until the model is loaded.

    Raises:
        ValueError: one is not above 0, which engines take for no limit at all.
    """

    memory_bytes: int = 3 * 1024**3
    processes: int = 64
    cpu_seconds: int = 600
    wall_seconds: int = 900
    scratch_bytes: int = 16 * 1024**2
    file_bytes: int = 16 * 1024**2
    open_files: int = 64
    answer_seconds: float = 120.0
    start_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what would be no limit."""
        for name in self.__slots__:
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be above 0 and finite, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFiles:
    """What enters a cell, all of it read-only.

    Args:
        model: host path of the model file or folder (None for a cell without a model: a probe or an intake cell, or one
            that gets its model later).
        upload: host path of a file for an intake cell to read (None in a model's cell).
        entry: module of `sandbox/cell` to run, without `.py`: `serve` (answers for a model), `warm` (the same, made
            ready before its model is there), `read` (intake), `attempt` (tries to get out, for the receipt) or `build`
            (installs packages; the one kind that may speak TCP, to itself, see `sandbox.environments`).
        beside: host paths of files that the model reads next to it.
        environment: host path of a folder of packages in the place of the cell's own tree; None for that tree.
    """

    entry: str = "serve"
    model: Path | None = None
    upload: Path | None = None
    beside: tuple[Path, ...] = ()
    environment: Path | None = None

    @property
    def builds(self) -> bool:
        """Whether it is a builder's cell."""
        return self.entry == "build"


class Ending(StrEnum):
    """How a cell ended, as seen from outside."""

    FINISHED = "finished"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CPU_LIMIT = "cpu_limit"
    OUTPUT_LIMIT = "output_limit"
    PROTOCOL = "protocol"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meters:
    """What one cell used, measured outside it; None where this machine does not tell."""

    seconds: float
    cpu_seconds: float | None
    peak_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One thing tried from inside a sibling cell of the same profile.

    Args:
        probe: its stable name, as in `network_inet`, `core_pattern`, `environment`.
        expected: what must be seen, in a few words.
        observed: what was seen.
        held: whether the wall held. A wall that could not be tested did not hold.
    """

    probe: str
    expected: str
    observed: str
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The isolation receipt: what was proved about the wall, and what the run used.

    `joules` is what the processor packages of the whole machine used meanwhile; None where the machine does not tell.
    """

    backend: str
    runtime: str
    image: str
    profile_digest: str
    user: str
    memory_limit_by: str
    limits: Limits
    attempts: tuple[Attempt, ...]
    ending: Ending
    meters: Meters
    bytes_in: int = 0
    bytes_out: int = 0
    rows_asked: int = 0
    joules: float | None = None
    notes: tuple[str, ...] = ()


class RunningCell(Protocol):
    """One cell, started and connected. One connection, accepted once; the listener is closed by then."""

    connection: socket.socket
    """Connected AF_UNIX stream socket to the cell; whoever holds it uses `recv` only, never `recvmsg`."""

    def ending(self) -> Ending:
        """End the cell if it still runs, collect its end, and say how it ended. Idempotent.

        Returns:
            `FINISHED` when it ended by itself with status 0 or was ended by us after the work; else what stopped it.
        """

    def meters(self) -> Meters:
        """Say what the cell used; complete after `ending()`."""

    def cancel(self) -> None:
        """End the cell now, from any thread; it is gone within two seconds."""

    def close(self) -> None:
        """End the cell and remove all that it left. Idempotent; never raises for a cell that is already gone."""


class Isolation(Protocol):
    """A backend. Making one touches nothing; `available()` looks, `open()` starts."""

    name: str

    def available(self) -> str | None:
        """Say why this backend cannot be used here, with what to install; None when it can."""

    def profile(self, limits: Limits) -> Mapping[str, object]:
        """Describe the wall (flags, filter digest, image, user): equal profiles are equal walls. JSON types only."""

    def open(self, files: CellFiles, limits: Limits) -> RunningCell:
        """Start a cell and wait until it has connected.

        Raises:
            CellUnavailable: the wall could not be built (engine gone, image missing, no user namespaces).
            ModelFault: the cell ended before it connected (cannot happen for our own entries unless a limit bit).
        """

    def prove(self, limits: Limits) -> Sequence[Attempt]:
        """Try to get out of a sibling cell of the same profile, and report each attempt.

        Raises:
            CellUnavailable: the sibling could not be started at all.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The backend that will be used, and what was said about the choice."""

    isolation: Isolation
    notes: tuple[str, ...] = field(default=())
