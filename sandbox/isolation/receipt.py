"""The isolation receipt: what was proved of a wall before a run, and what the run used, as one record.

Assumes of its caller: the attempts were made with the same backend and limits as the run. Everything in a receipt was
measured or seen outside the cell.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from sandbox.errors import CellUnavailable
from sandbox.isolation.interface import Attempt, Ending, Isolation, Limits, Meters, Receipt, RunningCell


def profile_digest(profile: Mapping[str, object]) -> str:
    """Hash a profile: equal digests are equal walls.

    Args:
        profile: from `Isolation.profile`.

    Returns:
        SHA-256 in hexadecimal.
    """
    return hashlib.sha256(json.dumps(profile, sort_keys=True, default=list).encode()).hexdigest()


def require(isolation: Isolation, attempts: Sequence[Attempt]) -> None:
    """Stop the run unless every attempt was held.

    Args:
        isolation: the backend that was tried.
        attempts: what was tried.

    Raises:
        CellUnavailable: a wall did not hold, or nothing was tried; names each probe with what was seen.
    """
    broken = [attempt for attempt in attempts if not attempt.held]
    if not attempts:
        raise CellUnavailable(f"The wall {isolation.name} was not tried, so no model is run behind it.")
    if broken:
        words = "; ".join(f"{a.probe}: expected {a.expected}, saw {a.observed}" for a in broken)
        raise CellUnavailable(
            f"The wall {isolation.name} did not hold, so no model is run behind it. {words}. "
            "`aiact-sandbox doctor` says what to mend.",
            probes=[attempt.probe for attempt in broken],
        )


def write_receipt(
    isolation: Isolation,
    limits: Limits,
    attempts: Sequence[Attempt],
    *,
    cells: Sequence[RunningCell] = (),
    bytes_in: int = 0,
    bytes_out: int = 0,
    rows_asked: int = 0,
    joules: float | None = None,
    notes: Sequence[str] = (),
) -> Receipt:
    """Put together the receipt of one run.

    Args:
        isolation: the backend.
        limits: the run's limits.
        attempts: what was tried in siblings before it.
        cells: the run's cells, ended here if they still run; none for a machine that is only being proved.
        bytes_in: bytes sent to the cells, counted by us.
        bytes_out: bytes that came back, counted by us.
        rows_asked: rows that the cells were asked about.
        joules: what the machine's processor packages used meanwhile; None where it does not tell.
        notes: what was said about the choice of the backend.

    Returns:
        The receipt.
    """
    profile = isolation.profile(limits)
    said = list(notes)
    if "resource limits only" in str(profile["memory_limit_by"]):
        said.append("Memory is limited per process only: this machine gives no writable control group.")
    if "worker's own" in str(profile["user"]):
        said.append("The cell has the worker's own user id in a user namespace: only root can give it one of its own.")
    if not profile["landlock"]:
        said.append("This kernel has no Landlock: a cell does not close itself in a second time behind its wall.")
    if len(cells) > 1:
        said.append(
            f"{len(cells)} cells held a copy of the model each: processor time, bytes and rows are added up, memory is "
            "that of the cell that took most, and the time is that of the cell that ran longest."
        )
    ending = ending_of(cells) if cells else Ending.FINISHED
    return Receipt(
        backend=isolation.name,
        runtime=str(profile["runtime"]),
        image=str(profile["image"]),
        profile_digest=profile_digest(profile),
        user=str(profile["user"]),
        memory_limit_by=str(profile["memory_limit_by"]),
        limits=limits,
        attempts=tuple(attempts),
        ending=ending,
        meters=meters_of(cells) if cells else Meters(seconds=0.0, cpu_seconds=None, peak_bytes=None),
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        rows_asked=rows_asked,
        joules=joules,
        notes=tuple(said),
    )


def ending_of(cells: Sequence[RunningCell]) -> Ending:
    """Say how the cells of one assessment ended: as the first that did not just finish.

    A cell that was only cancelled because another was lost does not hide how that one ended.

    Args:
        cells: at least one; ended here where they still run.
    """
    endings = [cell.ending() for cell in cells]
    telling = [e for e in endings if e not in (Ending.FINISHED, Ending.CANCELLED)]
    return telling[0] if telling else Ending.FINISHED if Ending.FINISHED in endings else Ending.CANCELLED


def meters_of(cells: Sequence[RunningCell]) -> Meters:
    """Add up what the cells of one assessment used.

    Args:
        cells: at least one, all ended.

    Returns:
        Processor time of all together, the wall-clock of the one that ran longest, and the memory of the one that took
        most (the limit of memory is one cell's); None where no cell tells.
    """
    each = [cell.meters() for cell in cells]
    cpu = [m.cpu_seconds for m in each if m.cpu_seconds is not None]
    peak = [m.peak_bytes for m in each if m.peak_bytes is not None]
    return Meters(
        seconds=max(m.seconds for m in each),
        cpu_seconds=sum(cpu) if cpu else None,
        peak_bytes=max(peak) if peak else None,
    )
