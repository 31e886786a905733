"""The audit log: who did what, when; only ever added to, each line chained to the one before by its digest.

Assumes of its caller: `facts` hold no personal data beyond the actor. The chain shows that a line was changed, removed
or put in between; that the newest lines were cut off shows only to whoever kept the head (`head`) elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from sqlalchemy import func, select, text

from checks.finding import Scalar
from sandbox.records.database import Session
from sandbox.records.tables import AuditEntry, now

FIRST = "0" * 64


def _digest(entry: AuditEntry) -> str:
    line = [entry.number, entry.at, entry.actor, entry.action, entry.subject, entry.facts, entry.previous]
    return hashlib.sha256(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def record(
    session: Session, *, actor: str, action: str, subject: str, facts: Mapping[str, Scalar] | None = None
) -> AuditEntry:
    """Add one line, in the caller's transaction: what is undone is not logged, what is logged was done.

    Args:
        session: a writing session of `Database.writing`.
        actor: who did it, as in `web`, `worker:host:pid` or a user.
        action: what, as in `submission.received`.
        subject: to what, an id.
        facts: what else must be known.

    Raises:
        sqlalchemy.exc.IntegrityError: at the end of the transaction, when another process added a line at the same time
            on a database without the lock taken here; the whole transaction is then undone.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(4141)"))
    last = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc()).limit(1)).first()
    entry = AuditEntry(
        number=last.number + 1 if last else 1,
        at=now().isoformat(timespec="microseconds"),
        actor=actor[:200],
        action=action,
        subject=subject[:200],
        facts=json.dumps(dict(facts or {}), ensure_ascii=False, sort_keys=True, allow_nan=False),
        previous=last.digest if last else FIRST,
    )
    entry.digest = _digest(entry)
    session.add(entry)
    session.flush()
    return entry


def head(session: Session) -> tuple[int, str]:
    """Give number and digest of the newest line; (0, 64 zeros) for an empty log."""
    last = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc()).limit(1)).first()
    return (last.number, last.digest) if last else (0, FIRST)


def verify(session: Session, *, expected_head: tuple[int, str] | None = None) -> tuple[str, ...]:
    """Check the whole chain.

    Args:
        session: any session.
        expected_head: a head kept elsewhere; the log must still hold that line, unchanged.

    Returns:
        What is wrong, in English, one sentence per fault; empty when every line is as it was written.
    """
    faults: list[str] = []
    previous, number = FIRST, 0
    found = expected_head is None or expected_head == (0, FIRST)
    for entry in session.scalars(select(AuditEntry).order_by(AuditEntry.number).execution_options(yield_per=500)):
        if entry.number != number + 1:
            faults.append(f"Between line {number} and line {entry.number} lines are missing.")
        if entry.previous != previous:
            faults.append(f"Line {entry.number} does not follow the line before it.")
        if entry.digest != _digest(entry):
            faults.append(f"Line {entry.number} was changed after it was written.")
        found = found or expected_head == (entry.number, entry.digest)
        previous, number = entry.digest, entry.number
    if not found and expected_head is not None:
        faults.append(f"Line {expected_head[0]} is not the line that was kept elsewhere.")
    return tuple(faults)


def length(session: Session) -> int:
    """Count the lines."""
    return session.scalar(select(func.count()).select_from(AuditEntry)) or 0
