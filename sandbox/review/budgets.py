"""Say what an organisation may use, what it has used, and refuse before anything is put into the queue.

Counted is what receipts say: processor time of cells and environments built, in a calendar month (UTC). What failed
before it had a receipt counts nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select

from sandbox.errors import OverBudget, Problem
from sandbox.records import uploads
from sandbox.records.database import Database, Session
from sandbox.records.tables import Draft, DraftFile, Organisation, Spent, State, Submission, now
from sandbox.settings import Settings

NAMES: Final = ("cells", "running", "cpu_seconds", "builds", "bytes")
_COLUMNS: Final = {
    "cells": "cells_at_once",
    "running": "running_at_once",
    "cpu_seconds": "cpu_seconds",
    "builds": "builds",
    "bytes": "stored_bytes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a budget.

    Args:
        name: one of `NAMES`.
        used: so far: submissions waiting or running, those that run, seconds and builds of this month, bytes stored.
        most: what may be used; 0 for no limit.
    """

    name: str
    used: int
    most: int


def of(database: Database, settings: Settings, organisation_id: str) -> tuple[Part, ...]:
    """Give the budget of an organisation, with what is used of it."""
    with database.reading() as session:
        return _of(session, settings, organisation_id)


def _of(session: Session, settings: Settings, organisation_id: str) -> tuple[Part, ...]:
    organisation = session.get_one(Organisation, organisation_id)
    month = now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    theirs = Submission.organisation == organisation_id
    at_once = (
        select(func.count()).select_from(Submission).where(theirs, Submission.state.in_((State.QUEUED, State.RUNNING)))
    )
    running = select(func.count()).select_from(Submission).where(theirs, Submission.state == State.RUNNING)
    seconds, builds = session.execute(
        select(func.sum(Spent.cpu_seconds), func.sum(Spent.builds)).where(
            Spent.organisation == organisation_id, Spent.at >= month
        )
    ).one()
    of_drafts = (
        select(func.sum(DraftFile.stored))
        .join(Draft, Draft.id == DraftFile.draft)
        .where(Draft.organisation == organisation_id)
    )
    stored = session.execute(select(Submission.id, Submission.bytes).where(theirs)).all()
    used = {
        "cells": session.scalar(at_once) or 0,
        "running": session.scalar(running) or 0,
        "cpu_seconds": int(seconds or 0),
        "builds": int(builds or 0),
        "bytes": int(session.scalar(of_drafts) or 0)
        + sum(row.bytes for row in stored if uploads.is_kept(settings, row.id)),
    }
    parts = []
    for name in NAMES:
        own = getattr(organisation, _COLUMNS[name])
        parts.append(Part(name=name, used=used[name], most=getattr(settings, f"budget_{name}") if own is None else own))
    return tuple(parts)


def gate(settings: Settings, organisation_id: str, size: int) -> Callable[[Session], None]:
    """Make what refuses a submission that the budget has no room for.

    Args:
        size: bytes of the upload that is to be stored.

    Returns:
        What is called in the transaction that puts it into the queue, so that two at once are both counted; it raises
        OverBudget, with a problem for each part that is used up.
    """

    def refuse(session: Session) -> None:
        # Whoever else hands in for this organisation waits here.
        session.get_one(Organisation, organisation_id, with_for_update=True)
        over = [
            part
            for part in _of(session, settings, organisation_id)
            # More than may run at once are not refused; they wait, see `sandbox.records.queue.claim`.
            if part.name != "running"
            and part.most
            and part.used + (size if part.name == "bytes" else 0) >= part.most + (part.name == "bytes")
        ]
        if over:
            status = 413 if all(part.name == "bytes" for part in over) else 429
            raise OverBudget([_problem(part) for part in over], status=status)

    return refuse


_SENTENCES: Final = {
    "cells": "Submissions of the organisation that wait or run: {used}. It may have {most} at once. "
    "Wait until one has ended, or stop one.",
    "cpu_seconds": "The organisation has used {used} of its {most} seconds of processor time of this month. "
    "It begins again on {next}.",
    "builds": "The organisation has built {used} of the {most} environments that it may build this month. "
    "It begins again on {next}.",
    "bytes": "With this upload the organisation would store more than its {most} bytes; {used} are stored now. "
    "Remove a draft, or wait until an older upload is no longer kept.",
}


def _problem(part: Part) -> Problem:
    following = (now().replace(day=1) + dt.timedelta(days=32)).replace(day=1).date()
    params = {"used": part.used, "most": part.most, "next": following.isoformat()}
    return Problem(field="", code=f"budget.{part.name}", message=_SENTENCES[part.name].format(**params), params=params)


def set_budget(database: Database, organisation_id: str, *, actor: str, **parts: int | None) -> None:
    """Set parts of an organisation's budget, by name; None gives back what the operator gives everybody."""
    from sandbox.records import audit

    with database.writing() as session:
        organisation = session.get_one(Organisation, organisation_id)
        for name, most in parts.items():
            setattr(organisation, _COLUMNS[name], most)
        audit.record(session, actor=actor, action="organisation.budget", subject=organisation_id, facts=dict(parts))
