"""Ask people to review a dossier by a day, and lay out what waits at the desk.

Assumes of its caller: whoever asks may review in the organisation (`sandbox.review.permissions`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select

from sandbox.records import audit
from sandbox.records.database import Database
from sandbox.records.tables import ReviewAssignment, State, Submission, now
from sandbox.review import desk, staleness
from sandbox.review.people import Identity, Member, members
from sandbox.review.permissions import Permission, allowed

MOST_LISTED: Final = 200
OVERDUE: Final = "overdue"
NEW: Final = "new"
WAITING: Final = "waiting"
WITH_SUBMITTER: Final = "with_submitter"
STALE: Final = "stale"
ENDED: Final = "ended"
PARTS: Final = (OVERDUE, NEW, WAITING, WITH_SUBMITTER, STALE, ENDED)
"""The parts of the queue, in the order in which somebody should look at them."""


class NotAsked(ValueError):
    """Somebody cannot be asked; `code` says why: `person` or `due`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One dossier at the desk.

    Args:
        submission, standing: what it is, and where its review stands.
        asked: who was asked to review it, the most urgent first.
        moved: what makes its signature stale; None where it has none.
        part: where in the queue it stands, one of `PARTS`.
    """

    submission: Submission
    standing: desk.Standing
    asked: Sequence[ReviewAssignment]
    moved: staleness.Moved | None
    part: str


def reviewers(database: Database, submission: Submission) -> Sequence[Member]:
    """List who can be asked: whoever may review in its organisation and had no hand in it."""
    if submission.organisation is None:
        return ()
    return [
        member
        for member in members(database, submission.organisation)
        if Permission.REVIEW in allowed(frozenset(member.roles)) and not submission.is_of(member.person_id)
    ]


def asked(database: Database, submission: Submission) -> Sequence[ReviewAssignment]:
    """List who was asked to review a dossier, the most urgent first."""
    with database.reading() as session:
        return session.scalars(
            select(ReviewAssignment)
            .where(ReviewAssignment.submission == submission.id)
            .order_by(ReviewAssignment.due, ReviewAssignment.name)
        ).all()


def ask(
    database: Database, submission: Submission, who: Identity, *, person_id: str, due: dt.date, today: dt.date
) -> None:
    """Ask somebody to review a dossier; who was asked before gets the new day.

    Args:
        due: the last day on which it is not overdue.
        today: a day before it is no day to ask for.

    Raises:
        NotAsked: this person cannot review it, or the day has passed.
    """
    found = next((m for m in reviewers(database, submission) if m.person_id == person_id), None)
    if found is None:
        raise NotAsked("person")
    if due < today:
        raise NotAsked("due")
    assert who.person_id is not None
    with database.writing() as session:
        session.merge(
            ReviewAssignment(
                submission=submission.id,
                person=person_id,
                name=found.name,
                due=due,
                asked_by=who.person_id,
                at=now(),
            )
        )
        facts = {"person": person_id, "due": due.isoformat()}
        audit.record(session, actor=who.actor, action="review.assigned", subject=submission.id, facts=facts)


def relieve(database: Database, submission: Submission, who: Identity, *, person_id: str) -> None:
    """Ask somebody no longer; no error where nobody asked them."""
    with database.writing() as session:
        session.execute(
            delete(ReviewAssignment).where(
                ReviewAssignment.submission == submission.id, ReviewAssignment.person == person_id
            )
        )
        facts = {"person": person_id}
        audit.record(session, actor=who.actor, action="review.relieved", subject=submission.id, facts=facts)


def queue(
    database: Database, organisations: Collection[str], *, policy: str, today: dt.date
) -> Mapping[str, Sequence[Waiting]]:
    """Lay out the finished submissions of some organisations by what they wait for.

    Args:
        organisations: by id.
        policy: name of the policy that the service judges by now.
        today: the day after which something is overdue.

    Returns:
        By part, of all `PARTS`; within a part the most urgent first, then the newest.
    """
    with database.reading() as session:
        rows = session.scalars(
            select(Submission)
            .where(
                Submission.organisation.in_(organisations),
                Submission.state == State.DONE,
                Submission.holdout_of.is_(None),
            )
            .order_by(Submission.received.desc())
            .limit(MOST_LISTED)
        ).all()
        stands = desk.standings(session, rows)
        people: dict[str, list[ReviewAssignment]] = {row.id: [] for row in rows}
        query = select(ReviewAssignment).where(ReviewAssignment.submission.in_(people)).order_by(ReviewAssignment.due)
        for assignment in session.scalars(query):
            people[assignment.submission].append(assignment)
        listed: dict[str, list[Waiting]] = {part: [] for part in PARTS}
        for row in rows:
            stand = stands[row.id]
            moved = staleness.moved(session, row, stand.signatures[-1], policy) if stand.is_signed else None
            part = _part(stand, people[row.id], moved, today)
            listed[part].append(Waiting(submission=row, standing=stand, asked=people[row.id], moved=moved, part=part))
    for waiting_there in listed.values():
        waiting_there.sort(key=lambda waiting: waiting.asked[0].due if waiting.asked else dt.date.max)
    return listed


def _part(
    stand: desk.Standing, people: Sequence[ReviewAssignment], moved: staleness.Moved | None, today: dt.date
) -> str:
    if stand.is_signed:
        return STALE if moved is not None and moved.why else ENDED
    if people and people[0].due < today:
        return OVERDUE
    if stand.status == desk.NONE:
        return NEW
    return WITH_SUBMITTER if stand.status == desk.CHANGES or stand.unanswered else WAITING
