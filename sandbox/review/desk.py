"""Keep what people say of a dossier: comments, a judgement per open finding, and a signature that binds to digests.

Assumes of its caller: whoever writes was allowed to (`sandbox.review.permissions`). What is asked here is the rest: the
order of statuses, four eyes, and that nothing is signed over a finding that nobody judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import func, select

from checks.finding import Finding, Outcome
from model_cards.dossier import Dossier
from sandbox.records import audit
from sandbox.records.database import Database, Session
from sandbox.records.tables import ReviewEntry, State, Submission, new_id, now
from sandbox.review.people import Identity

NONE: Final = "none"
IN_REVIEW: Final = "in_review"
CHANGES: Final = "changes_requested"
SIGNED: Final = "signed"
RESERVED: Final = "signed_with_reservations"
WITHDRAWN: Final = "withdrawn"
COMMENT: Final = "comment"
JUDGEMENT: Final = "judgement"

NEXT: Final[Mapping[str, tuple[str, ...]]] = {
    NONE: (IN_REVIEW,),
    IN_REVIEW: (CHANGES, SIGNED, RESERVED),
    CHANGES: (IN_REVIEW,),
    SIGNED: (WITHDRAWN,),
    RESERVED: (WITHDRAWN,),
    WITHDRAWN: (IN_REVIEW,),
}
"""Which status may follow which."""

SIGNATURES: Final = frozenset({SIGNED, RESERVED})
NEEDS_TEXT: Final = frozenset({COMMENT, JUDGEMENT, CHANGES, RESERVED, WITHDRAWN})
OPEN: Final = frozenset({Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR})
"""Outcomes that a person must judge before anything is signed."""

LONGEST_TEXT: Final = 5000
Why = Literal["text", "order", "four_eyes", "conflict", "unjudged", "changed", "finding"]


class NotSo(ValueError):
    """This cannot be written; `code` says why."""

    def __init__(self, code: Why) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the review of a submission stands.

    Args:
        status: one of the statuses of `NEXT`.
        decision: the entry that gave the status; None before the first.
        judged: the newest judgement by finding key, of this dossier alone.
        entries: all, the oldest first.
    """

    status: str
    decision: ReviewEntry | None
    judged: Mapping[str, ReviewEntry]
    entries: Sequence[ReviewEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Newer:
    """A newer version of the same system, which a signature under the older one says nothing of."""

    submission: Submission
    changed: tuple[str, ...]


def key_of(finding: Finding) -> str:
    """Name a finding within its dossier."""
    return f"{finding.check}@{finding.attribute}" if finding.attribute else finding.check


def read_dossier(folder: Path, digest: str) -> Dossier:
    """Read a dossier whose digest is known.

    Raises:
        NotSo: the file is not the one that the digest belongs to.
    """
    raw = (folder / "dossier.json").read_bytes()
    if hashlib.sha256(raw).hexdigest() != digest:
        raise NotSo("changed")
    return Dossier.from_json(raw)


def to_judge(dossier: Dossier) -> tuple[Finding, ...]:
    """List the findings that a person must judge."""
    return tuple(finding for finding in dossier.findings if finding.outcome in OPEN)


def standing(database: Database, submission: Submission) -> Standing:
    """Say where the review of a submission stands."""
    with database.reading() as session:
        return _standing(session, submission)


def _standing(session: Session, submission: Submission) -> Standing:
    entries = session.scalars(
        select(ReviewEntry).where(ReviewEntry.submission == submission.id).order_by(ReviewEntry.number)
    ).all()
    decision = next((entry for entry in reversed(entries) if entry.kind in NEXT), None)
    return Standing(
        status=decision.kind if decision else NONE,
        decision=decision,
        judged={
            entry.finding: entry
            for entry in entries
            if entry.kind == JUDGEMENT and entry.dossier_digest == submission.dossier_digest
        },
        entries=entries,
    )


def write(
    database: Database,
    submission: Submission,
    dossier: Dossier,
    who: Identity,
    *,
    kind: str,
    text: str = "",
    finding: str = "",
    seen_digest: str,
    has_no_conflict: bool = False,
    statement: str = "",
) -> None:
    """Add one entry, and a line of the audit log with it.

    Args:
        kind: `comment`, `judgement` or a status.
        finding: key of the finding that it is about; empty for the whole.
        seen_digest: digest of the dossier that the person had before them.
        has_no_conflict: the person states to have no conflict of interest; needed for a signature.
        statement: what is signed, word for word.

    Raises:
        NotSo: text is missing, the order is another, the dossier is another, the signer handed it in, states no absence
            of conflict, or a finding was not judged.
    """
    text = text.strip()[:LONGEST_TEXT]
    if kind in NEEDS_TEXT and not text:
        raise NotSo("text")
    if seen_digest != submission.dossier_digest:
        raise NotSo("changed")
    if finding and finding not in {key_of(f) for f in (dossier.findings if kind == COMMENT else to_judge(dossier))}:
        raise NotSo("finding")
    if kind == JUDGEMENT and not finding:
        raise NotSo("finding")
    with database.writing() as session:
        now_stands = _standing(session, submission)
        if kind in NEXT and kind not in NEXT[now_stands.status]:
            raise NotSo("order")
        if kind == JUDGEMENT and now_stands.status != IN_REVIEW:
            raise NotSo("order")
        # Whoever handed it in judges nothing of it, not only the end.
        if kind != COMMENT and submission.submitted_by == who.person_id:
            raise NotSo("four_eyes")
        if kind in SIGNATURES:
            if not has_no_conflict:
                raise NotSo("conflict")
            if {key_of(f) for f in to_judge(dossier)} - set(now_stands.judged):
                raise NotSo("unjudged")
        number = (
            session.scalar(select(func.max(ReviewEntry.number)).where(ReviewEntry.submission == submission.id)) or 0
        )
        session.add(
            ReviewEntry(
                id=new_id(),
                submission=submission.id,
                number=number + 1,
                at=now(),
                person=who.person_id,
                name=who.name,
                kind=kind,
                finding=finding,
                text=text,
                statement=statement if kind in SIGNATURES else "",
                dossier_digest=seen_digest,
                policy=policy_of(dossier),
                rules=dossier.risk.rules_version,
            )
        )
        audit.record(
            session,
            actor=who.actor,
            action=f"review.{kind}",
            subject=submission.id,
            facts={
                "number": number + 1,
                "finding": finding,
                "dossier": seen_digest,
                "text": hashlib.sha256(f"{text}\n{statement}".encode()).hexdigest(),
            },
        )


def policy_of(dossier: Dossier) -> str:
    """Name the policy of a dossier with its version."""
    return f"{dossier.policy.name} {dossier.policy.version}"[:100]


def newer(database: Database, submission: Submission) -> Newer | None:
    """Find the newest finished submission of the same system in the same organisation, if it came after this one."""
    with database.reading() as session:
        found = session.scalars(
            select(Submission)
            .where(
                Submission.organisation == submission.organisation,
                Submission.system == submission.system,
                Submission.state == State.DONE,
                Submission.received > submission.received,
            )
            .order_by(Submission.received.desc())
            .limit(1)
        ).first()
    if found is None:
        return None
    fields = ("version", "digest", "risk_class", "beyond", "undecided", "within", "dossier_digest")
    return Newer(
        submission=found,
        changed=tuple(name for name in fields if getattr(found, name) != getattr(submission, name)),
    )


def waiting(database: Database, organisations: Collection[str]) -> Sequence[tuple[Submission, Standing]]:
    """List the finished submissions of some organisations with where their review stands, the newest first."""
    with database.reading() as session:
        rows = session.scalars(
            select(Submission)
            .where(Submission.organisation.in_(organisations), Submission.state == State.DONE)
            .order_by(Submission.received.desc())
            .limit(200)
        ).all()
        return [(row, _standing(session, row)) for row in rows]
