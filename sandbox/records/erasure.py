"""Erase what was handed in, on request, and leave a certificate of it in the audit log.

Assumes of its caller: whoever asks may ask. A copy made before (a backup) still holds what is erased here; the
certificate says what was erased in this installation and when, and nothing about copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select

from sandbox.records import audit, dossier_store, drafts, evidence_store, uploads
from sandbox.records.database import Database
from sandbox.records.tables import AuditEntry, State, Submission
from sandbox.settings import Settings

ERASED: Final = "submission.erased"


class NotYet(Exception):
    """The submission is still waiting or running: it is stopped first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was erased, and the line of the audit log that says so.

    Args:
        submission_id: of which submission.
        digest: SHA-256 of the upload as it was received.
        upload, evidence, dossier: whether there was one, and it was erased.
        evidence_shared: evidence stays because another submission that is kept has the same.
        number, at, line_digest: line of the audit log; it stands in the chain that `audit.verify` checks.
    """

    submission_id: str
    digest: str
    upload: bool
    evidence: bool
    dossier: bool
    evidence_shared: bool
    number: int
    at: str
    line_digest: str


def erase(
    settings: Settings, database: Database, submission_id: str, *, actor: str, reason: str, dossier: bool = False
) -> Certificate:
    """Erase the upload and the evidence of a submission by erasing their keys, then the files.

    The record itself stays: that something was handed in, and what became of it. It is given no name any more.

    Args:
        settings: where it is kept.
        database: as opened.
        submission_id: which one.
        actor: who asked, for the audit log.
        reason: why, in few words without personal data, for the audit log.
        dossier: whether the dossier goes too, which holds no rows.

    Returns:
        The certificate.

    Raises:
        LookupError: there is no such submission.
        NotYet: it waits or runs.
    """
    with database.reading() as session:
        found = session.get(Submission, submission_id)
        if found is None:
            raise LookupError(f"there is no submission {submission_id}")
        if not State(found.state).is_over:
            raise NotYet(f"submission {submission_id} is {found.state}; cancel it first")
        # What was assessed again with a reviewer's rows has evidence of its own, with these rows in it.
        again = session.scalars(select(Submission.id).where(Submission.holdout_of == submission_id)).all()
    for other in again:
        erase(settings, database, other, actor=actor, reason=reason, dossier=dossier)
    with database.reading() as session:
        evidence_digest = found.evidence_digest
        erased_before = select(AuditEntry.subject).where(AuditEntry.action == ERASED)
        shared = evidence_digest is not None and bool(
            session.scalar(
                select(func.count())
                .select_from(Submission)
                .where(Submission.evidence_digest == evidence_digest, Submission.id != submission_id)
                .where(Submission.id.not_in(erased_before))
            )
        )
    # The files first: a line of the log must not claim what a fault then kept from happening.
    upload = uploads.remove_upload(settings, submission_id)
    draft = drafts.find(database, found.draft) if found.draft is not None else None
    if draft is not None and draft.submission == submission_id:
        drafts.forget(database, settings, draft.id, actor=actor)
    evidence = evidence_digest is not None and not shared and evidence_store.erase(evidence_digest, settings)
    gone = False
    if dossier and found.dossier:
        gone = dossier_store.remove(settings, found.dossier)
    with database.writing() as session:
        row = session.get(Submission, submission_id)
        assert row is not None
        row.name = "–"
        line = audit.record(
            session,
            actor=actor,
            action=ERASED,
            subject=submission_id,
            facts={
                "digest": found.digest,
                "upload": upload,
                "evidence": evidence,
                "evidence_shared": shared,
                "dossier": gone,
                "reason": reason[:300],
            },
        )
    return Certificate(
        submission_id=submission_id,
        digest=found.digest,
        upload=upload,
        evidence=evidence,
        dossier=gone,
        evidence_shared=shared,
        number=line.number,
        at=line.at,
        line_digest=line.digest,
    )
