"""Keep what people say of a dossier: comments, questions, a judgement per open finding, and signatures.

Assumes of its caller: whoever writes was allowed to (`sandbox.review.permissions`). What is asked here is the rest: the
order of statuses, four eyes (six where the class asks for two signatures), and that nothing is signed over a finding
that nobody judged. A signature binds to the digest of the dossier; `sandbox.review.staleness` says when it is stale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import select

from checks.finding import Finding, Item, Outcome
from model_cards.dossier import Dossier
from sandbox.records import audit
from sandbox.records.database import Database, Session
from sandbox.records.tables import ReviewEntry, Submission, new_id, now
from sandbox.review.people import Identity

NONE: Final = "none"
IN_REVIEW: Final = "in_review"
CHANGES: Final = "changes_requested"
SIGNED: Final = "signed"
RESERVED: Final = "signed_with_reservations"
WITHDRAWN: Final = "withdrawn"
COMMENT: Final = "comment"
QUESTION: Final = "question"
ANSWER: Final = "answer"
JUDGEMENT: Final = "judgement"

NEXT: Final[Mapping[str, tuple[str, ...]]] = {
    NONE: (IN_REVIEW,),
    IN_REVIEW: (CHANGES, SIGNED, RESERVED),
    CHANGES: (IN_REVIEW,),
    SIGNED: (WITHDRAWN,),
    RESERVED: (WITHDRAWN,),
    WITHDRAWN: (IN_REVIEW,),
}
"""Which status may follow which. Until all signatures are there, the review is still under way."""

SIGNATURES: Final = frozenset({SIGNED, RESERVED})
SIGNATURES_NEEDED: Final[Mapping[str, int]] = {
    "out_of_scope": 1,
    "not_ai_system": 1,
    "prohibited": 2,
    "prohibited_unless_exception_proven": 2,
    "high_risk_annex_i_a": 2,
    "high_risk_annex_i_b": 2,
    "high_risk_annex_iii": 2,
    "annex_iii_derogated": 2,
    "transparency": 1,
    "minimal": 1,
    "undetermined": 2,
}
"""How many people sign a dossier, by the class that it indicates."""

NEEDS_TEXT: Final = frozenset({COMMENT, QUESTION, ANSWER, JUDGEMENT, CHANGES, RESERVED, WITHDRAWN})
ALSO_THE_SUBMITTER: Final = frozenset({COMMENT, ANSWER})
"""What whoever handed it in, or had a hand in it, may write; the rest is for others."""

OPEN: Final = frozenset({Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR})
"""Outcomes that a person must judge before anything is signed."""

LONGEST_TEXT: Final = 5000
Why = Literal[
    "text", "order", "four_eyes", "conflict", "unjudged", "changed", "finding", "passage", "question", "stated", "twice"
]


class NotSo(ValueError):
    """This cannot be written; `code` says why."""

    def __init__(self, code: Why) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the review of a submission stands.

    Args:
        status: one of the statuses of `NEXT`; `in_review` as long as a signature is missing.
        decision: the entry that was decided last; None before the first.
        judged: the newest judgement by finding key, of this dossier alone.
        signatures: those that count: of this dossier, with nothing decided after them.
        needed: how many signatures the class asks for.
        unanswered: questions without an answer, the oldest first.
        entries: all, the oldest first.
    """

    status: str
    decision: ReviewEntry | None
    judged: Mapping[str, ReviewEntry]
    signatures: Sequence[ReviewEntry]
    needed: int
    unanswered: Sequence[ReviewEntry]
    entries: Sequence[ReviewEntry]

    @property
    def is_signed(self) -> bool:
        """Whether all signatures are there."""
        return self.status in SIGNATURES


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


def asked_of(finding: Finding) -> tuple[str, ...]:
    """List the questions about a difference between groups that a figure cannot answer, where there may be one.

    Returns:
        Ids, as in the check that shows the provider's own answers; none for findings of another kind.
    """
    from checks.fairness.justification import QUESTIONS

    compares = finding.family == "fairness" and finding.attribute is not None
    return QUESTIONS if compares and finding.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE) else ()


def passages_of(finding: Finding) -> tuple[Item, ...]:
    """List what was found in documents, each with its passage."""
    return tuple(item for item in finding.items if isinstance(item.params.get("passage"), str))


def standing(database: Database, submission: Submission) -> Standing:
    """Say where the review of a submission stands."""
    with database.reading() as session:
        return standings(session, [submission])[submission.id]


def standings(session: Session, submissions: Collection[Submission]) -> Mapping[str, Standing]:
    """Say where the reviews of some submissions stand, by their ids."""
    found: dict[str, list[ReviewEntry]] = {row.id: [] for row in submissions}
    query = select(ReviewEntry).where(ReviewEntry.submission.in_(found)).order_by(ReviewEntry.number)
    for entry in session.scalars(query):
        found[entry.submission].append(entry)
    return {row.id: _standing(row, found[row.id]) for row in submissions}


def _standing(submission: Submission, entries: Sequence[ReviewEntry]) -> Standing:
    ours = [e for e in entries if e.dossier_digest == submission.dossier_digest]
    decided = [e for e in entries if e.kind in NEXT]
    signatures: list[ReviewEntry] = []
    for entry in decided:
        signatures = [*signatures, entry] if entry.kind in SIGNATURES and entry in ours else []
    needed = SIGNATURES_NEEDED.get(submission.risk_class or "", max(SIGNATURES_NEEDED.values()))
    status = decided[-1].kind if decided else NONE
    if status in SIGNATURES:
        reserved = any(e.kind == RESERVED for e in signatures)
        status = IN_REVIEW if len(signatures) < needed else RESERVED if reserved else SIGNED
    answered = {e.answers for e in entries if e.kind == ANSWER}
    return Standing(
        status=status,
        decision=decided[-1] if decided else None,
        judged={e.finding: e for e in ours if e.kind == JUDGEMENT},
        signatures=signatures,
        needed=needed,
        unanswered=[e for e in entries if e.kind == QUESTION and e.number not in answered],
        entries=entries,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """What somebody writes.

    Args:
        kind: `comment`, `question`, `answer`, `judgement` or a status.
        seen_digest: digest of the dossier that the person had before them.
        text: in their words; for a judgement, the reasons.
        finding: key of the finding that it is about; empty for the whole.
        passage: id of the item of that finding whose passage it is about; empty for none.
        answers: number of the question that is answered.
        stated: what a judgement says of the questions of `asked_of`, by their id.
        has_no_conflict: the person states to have no conflict of interest; needed for a signature.
        statement: what is signed, word for word.
    """

    kind: str
    seen_digest: str
    text: str = ""
    finding: str = ""
    passage: str = ""
    answers: int | None = None
    stated: Mapping[str, str] = field(default_factory=dict)
    has_no_conflict: bool = False
    statement: str = ""


def write(database: Database, submission: Submission, dossier: Dossier, who: Identity, writing: Writing) -> None:
    """Add one entry, and a line of the audit log with it.

    Raises:
        NotSo: text is missing, the order is another, the dossier is another, there is no such finding, passage or
            question, the signer handed it in, has signed already, states no absence of conflict, or a finding was not
            judged.
    """
    kind, text = writing.kind, writing.text.strip()[:LONGEST_TEXT]
    stated = {name: said.strip()[:LONGEST_TEXT] for name, said in writing.stated.items() if said.strip()}
    if kind in NEEDS_TEXT and not text:
        raise NotSo("text")
    if writing.seen_digest != submission.dossier_digest:
        raise NotSo("changed")
    _refuse_what_is_not_there(dossier, writing, stated)
    # Whoever handed it in, or a part of it, judges nothing of it, not only the end.
    if kind not in ALSO_THE_SUBMITTER and submission.is_of(who.person_id):
        raise NotSo("four_eyes")
    with database.writing() as session:
        # Whoever else writes about it at this moment waits here: numbers and signatures are counted one by one.
        session.get_one(Submission, submission.id, with_for_update=True)
        now_stands = standings(session, [submission])[submission.id]
        _refuse_out_of_turn(dossier, writing, now_stands, who)
        number = now_stands.entries[-1].number + 1 if now_stands.entries else 1
        statement = writing.statement if kind in SIGNATURES else ""
        session.add(
            ReviewEntry(
                id=new_id(),
                submission=submission.id,
                number=number,
                at=now(),
                person=who.person_id,
                name=who.name,
                kind=kind,
                finding=writing.finding,
                passage=writing.passage,
                answers=writing.answers if kind == ANSWER else None,
                stated=stated if kind == JUDGEMENT else {},
                text=text,
                statement=statement,
                dossier_digest=writing.seen_digest,
                policy=policy_of(dossier),
                rules=dossier.risk.rules_version,
            )
        )
        said = "\n".join((text, statement, *(f"{name}: {stated[name]}" for name in sorted(stated))))
        audit.record(
            session,
            actor=who.actor,
            action=f"review.{kind}",
            subject=submission.id,
            facts={
                "number": number,
                "finding": writing.finding,
                "dossier": writing.seen_digest,
                "text": hashlib.sha256(said.encode()).hexdigest(),
            },
        )


def _refuse_what_is_not_there(dossier: Dossier, writing: Writing, stated: Mapping[str, str]) -> None:
    about = dossier.findings if writing.kind in (COMMENT, QUESTION) else to_judge(dossier)
    finding = next((f for f in about if key_of(f) == writing.finding), None)
    if finding is None and (writing.finding or writing.kind == JUDGEMENT):
        raise NotSo("finding")
    if writing.passage and (finding is None or writing.passage not in {i.id for i in passages_of(finding)}):
        raise NotSo("passage")
    if writing.kind == JUDGEMENT and finding is not None:
        asked = asked_of(finding)
        # Where nothing is known of a difference, there may be nothing to justify yet.
        if set(stated) - set(asked) or (finding.outcome is Outcome.FAIL and set(asked) - set(stated)):
            raise NotSo("stated")


def _refuse_out_of_turn(dossier: Dossier, writing: Writing, now_stands: Standing, who: Identity) -> None:
    kind = writing.kind
    if kind in NEXT and kind not in NEXT[now_stands.status]:
        raise NotSo("order")
    if kind == JUDGEMENT and now_stands.status != IN_REVIEW:
        raise NotSo("order")
    if kind == ANSWER:
        asked = next((e for e in now_stands.unanswered if e.number == writing.answers), None)
        if asked is None or asked.person == who.person_id:
            raise NotSo("question")
    if kind in SIGNATURES:
        if who.person_id in {e.person for e in now_stands.signatures}:
            raise NotSo("twice")
        if not writing.has_no_conflict:
            raise NotSo("conflict")
        if {key_of(f) for f in to_judge(dossier)} - set(now_stands.judged):
            raise NotSo("unjudged")


def policy_of(dossier: Dossier) -> str:
    """Name the policy of a dossier with its version."""
    return f"{dossier.policy.name} {dossier.policy.version}"[:100]
