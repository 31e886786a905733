"""Uploads and what became of them."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from sandbox.records.tables.base import Base


class State(StrEnum):
    """Where a submission stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self not in (State.QUEUED, State.RUNNING)


class Submission(Base):
    """One upload and what became of it.

    Args:
        id: 128 random bits, hexadecimal; the only name by which it is asked for.
        name: the file name as sent; shown as text, never used as a path.
        digest: SHA-256 of the upload as received, hexadecimal.
        stage, done, total: how far it is, as last reported.
        attempt: how often it was claimed.
        token: fencing token; grows with each claim, and only its holder may write a result.
        worker, lease_until: who works on it, and until when that counts without a sign of life.
        cancel_requested: somebody asked to stop it.
        problems: what was wrong, as `sandbox.errors.Problem` by field.
        beyond, undecided, within: findings beyond, undecided and within their limit; None before it is done.
        dossier: name of its folder among the dossiers; None before it is done.
        organisation, submitted_by: whose it is, by id; None where the service has no accounts.
        hands: who else had a hand in it, by id: whoever began its draft, or filled in, sent or
            confirmed a part of it.
        draft: what it was put together in; None where it came as a zip.
        previous: the submission that it is a new version of.
        retention_days: how long upload and evidence are kept; None for as long as the operator keeps them.
        until_review: the upload is erased as soon as its review is signed, if that is sooner.
        data_digest: SHA-256 of the evaluation data; None before it is done, and without data.
        limits_digest: SHA-256 of the provider's own limits; None before it is done, and without limits.
        holdout_of: the submission that this one assesses again with rows that a reviewer added; then the upload is that
            table, and no submission of anybody. None for a submission.
        priority: what has more is claimed first, whoever it belongs to; see `sandbox.records.queue.REVIEW`.
    """

    __tablename__ = "submissions"
    __table_args__ = (
        Index("ix_submissions_state_received", "state", "received"),
        Index("ix_submissions_received", "received"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    received: Mapped[dt.datetime]
    name: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default=State.QUEUED)
    stage: Mapped[str] = mapped_column(String(32), default="")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    token: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[dt.datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    started: Mapped[dt.datetime | None]
    ended: Mapped[dt.datetime | None]
    problems: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    incident: Mapped[str | None] = mapped_column(String(32))
    system: Mapped[str | None] = mapped_column(Text)
    version: Mapped[str | None] = mapped_column(String(60))
    risk_class: Mapped[str | None] = mapped_column(String(60))
    beyond: Mapped[int | None]
    undecided: Mapped[int | None]
    within: Mapped[int | None]
    dossier: Mapped[str | None] = mapped_column(String(80))
    dossier_digest: Mapped[str | None] = mapped_column(String(64))
    evidence_digest: Mapped[str | None] = mapped_column(String(64))
    organisation: Mapped[str | None] = mapped_column(String(32), index=True)
    submitted_by: Mapped[str | None] = mapped_column(String(32))
    hands: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    draft: Mapped[str | None] = mapped_column(String(32))
    previous: Mapped[str | None] = mapped_column(String(32))
    retention_days: Mapped[int | None]
    data_digest: Mapped[str | None] = mapped_column(String(64), index=True)
    limits_digest: Mapped[str | None] = mapped_column(String(64))
    until_review: Mapped[bool] = mapped_column(default=False, server_default=false())
    holdout_of: Mapped[str | None] = mapped_column(String(32), index=True)
    priority: Mapped[int] = mapped_column(default=0, server_default="0")

    def is_of(self, person_id: str | None) -> bool:
        """Tell whether a person handed it in or had a hand in it; such a person does not judge it."""
        return person_id == self.submitted_by or person_id in self.hands
