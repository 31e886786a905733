"""What people write about a dossier, and who was asked to review it by when."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sandbox.records.tables.base import Base


class ReviewEntry(Base):
    """One thing that somebody wrote about a dossier: never changed, never removed.

    Args:
        number: 1, 2, 3, ... of this submission.
        name: of the person, as it was then.
        kind: `comment`, `question`, `answer`, `judgement`, or a status of `sandbox.review.desk`.
        finding: what it is about, as `sandbox.review.desk.key_of`; empty for the dossier as a whole.
        passage: id of the item of that finding whose passage it is about; empty for the finding as a whole.
        answers: number of the question that it answers; None where it answers none.
        stated: what a judgement says of the questions that no figure answers, by their id; empty for other kinds.
        statement: what was signed, word for word; empty where nothing was.
        dossier_digest, policy, rules: what was before them.
    """

    __tablename__ = "review_entries"
    __table_args__ = (UniqueConstraint("submission", "number", name="uq_review_entries_number"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    submission: Mapped[str] = mapped_column(String(32), ForeignKey("submissions.id"))
    number: Mapped[int]
    at: Mapped[dt.datetime]
    person: Mapped[str] = mapped_column(String(32), ForeignKey("people.id"))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(30))
    finding: Mapped[str] = mapped_column(String(300), default="")
    text: Mapped[str] = mapped_column(Text, default="")
    statement: Mapped[str] = mapped_column(Text, default="")
    dossier_digest: Mapped[str] = mapped_column(String(64))
    policy: Mapped[str] = mapped_column(String(100))
    rules: Mapped[str] = mapped_column(String(100))
    passage: Mapped[str] = mapped_column(String(300), default="")
    answers: Mapped[int | None]
    stated: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ReviewAssignment(Base):
    """Somebody who was asked to review a dossier, and until when.

    Args:
        name: of the person, as it was then.
        due: the last day on which it is not overdue.
        asked_by: who asked, by id.
    """

    __tablename__ = "review_assignments"

    submission: Mapped[str] = mapped_column(String(32), ForeignKey("submissions.id"), primary_key=True)
    person: Mapped[str] = mapped_column(String(32), ForeignKey("people.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    due: Mapped[dt.date]
    asked_by: Mapped[str] = mapped_column(String(32), ForeignKey("people.id"))
    at: Mapped[dt.datetime]
