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
    cell: RunningCell | None = None,
    bytes_in: int = 0,
    bytes_out: int = 0,
    rows_asked: int = 0,
    notes: Sequence[str] = (),
) -> Receipt:
    """Put together the receipt of one run.

    Args:
        isolation: the backend.
        limits: the run's limits.
        attempts: what was tried in siblings before it.
        cell: the run's cell, ended here if it still runs; None for a machine that is only being proved.
        bytes_in: bytes sent to the cell, counted by us.
        bytes_out: bytes that came back, counted by us.
        rows_asked: rows that the cell was asked about.
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
    return Receipt(
        backend=isolation.name,
        runtime=str(profile["runtime"]),
        image=str(profile["image"]),
        profile_digest=profile_digest(profile),
        user=str(profile["user"]),
        memory_limit_by=str(profile["memory_limit_by"]),
        limits=limits,
        attempts=tuple(attempts),
        ending=cell.ending() if cell is not None else Ending.FINISHED,
        meters=cell.meters() if cell is not None else Meters(seconds=0.0, cpu_seconds=None, peak_bytes=None),
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        rows_asked=rows_asked,
        notes=tuple(said),
    )
