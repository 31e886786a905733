"""Make notices out of the audit log, which is written in one transaction with each change: nothing is lost or made up.

A mark says up to which line notices were made. Several workers may do this: whoever moves the mark makes them.
"""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import select

from sandbox.records import audit
from sandbox.records.database import Database, Session
from sandbox.records.tables import AuditEntry, Notice, NoticeMark, Person, Submission, Webhook, now

EVENTS: Final = {
    "submission.received": "submission.queued",
    "submission.claimed": "submission.running",
    "submission.requeued": "submission.queued",
    "submission.given_back": "submission.queued",
    "submission.done": "submission.done",
    "submission.failed": "submission.failed",
    "submission.refused": "submission.refused",
    "submission.cancelled": "submission.cancelled",
    "review.in_review": "review.in_review",
    "review.question": "review.question",
    "review.changes_requested": "review.changes_requested",
    "review.signed": "review.signed",
    "review.signed_with_reservations": "review.signed_with_reservations",
    "review.withdrawn": "review.withdrawn",
}
"""What webhooks are told, by what the audit log calls it."""

MAILED: Final = frozenset(
    {
        "submission.done",
        "submission.failed",
        "submission.refused",
        "review.question",
        "review.changes_requested",
        "review.signed",
        "review.signed_with_reservations",
    }
)
"""What whoever handed in gets mail of."""

ASSIGNED: Final = "review.assigned"
"""What a reviewer gets mail of; the line's facts have the person's id under `person`."""

SECTION_ASSIGNED: Final = "draft.assigned"
"""What whoever has to fill in a section gets mail of; the line's subject is the draft, and `to` the person's id."""

AT_ONCE: Final = 200
_FIRST: Final = 1


def make(database: Database, *, with_mail: bool) -> int:
    """Make the notices of what the audit log has beyond the mark, and move the mark.

    Args:
        with_mail: whether there is a server to send mail by.

    Returns:
        How many lines were looked at; 0 when there is nothing new.
    """
    with database.reading() as session:
        mark = session.get(NoticeMark, _FIRST)
        if mark is not None and audit.head(session)[0] <= mark.number:
            return 0
    with database.writing() as session:
        mark = session.get(NoticeMark, _FIRST, with_for_update=True)
        if mark is None:
            # What happened before there were notices is told to nobody.
            session.add(NoticeMark(id=_FIRST, number=audit.head(session)[0]))
            return 0
        lines = session.scalars(
            select(AuditEntry).where(AuditEntry.number > mark.number).order_by(AuditEntry.number).limit(AT_ONCE)
        ).all()
        for line in lines:
            _of_line(session, line, with_mail)
            mark.number = line.number
        return len(lines)


def _of_line(session: Session, line: AuditEntry, with_mail: bool) -> None:
    facts: dict[str, Any] = json.loads(line.facts)
    if line.action == SECTION_ASSIGNED and with_mail:
        _mail(session, line, facts.get("to"), SECTION_ASSIGNED)
    event = EVENTS.get(line.action, ASSIGNED if line.action == ASSIGNED else "")
    found = session.get(Submission, line.subject) if event else None
    if found is None or found.organisation is None:
        return
    if line.action in EVENTS:
        hooks = select(Webhook).where(Webhook.organisation == found.organisation)
        for hook in session.scalars(hooks).all():
            put(session, hook, f"{line.number}-{hook.id}", event, body_of(event, found.id, line.at))
    if with_mail:
        _mail(session, line, facts.get("person") if event == ASSIGNED else found.submitted_by, event)


def _mail(session: Session, line: AuditEntry, to: object, event: str) -> None:
    """Put one mail about the subject of a line into the table, where whom it is for wants mail of such a thing."""
    person = session.get(Person, to) if isinstance(to, str) and event in (*MAILED, ASSIGNED, SECTION_ASSIGNED) else None
    # Whoever did it themselves knows.
    if person is not None and person.mail and line.actor != f"person:{person.login}":
        key = f"{line.number}-{person.id}"
        session.add(Notice(id=key, person=person.id, event=event, body=line.subject, put=now(), due=now(), tries=0))


def put(session: Session, hook: Webhook, key: str, event: str, body: dict[str, Any]) -> None:
    """Put one message to a webhook into the table."""
    text = json.dumps({"id": key, **body}, sort_keys=True)
    session.add(Notice(id=key, webhook=hook.id, event=event, body=text, put=now(), due=now(), tries=0))


def body_of(event: str, submission_id: str, at: str) -> dict[str, Any]:
    """Give what a webhook is told: what, of which submission, when; the rest is asked for with a token."""
    return {"event": event, "submission": submission_id, "at": at, "url": f"/api/v1/submissions/{submission_id}"}
