"""What is still being written."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sandbox.records.tables.base import Base


class QuestionnaireDraft(Base):
    """Answers to the questionnaire that somebody is giving; nothing else is kept with them.

    Args:
        id: random; only the browser that began it holds it.
        content: `organisation` and `answers`, as in the form.
    """

    __tablename__ = "questionnaires"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    content: Mapped[dict[str, Any]]
    changed: Mapped[dt.datetime] = mapped_column(index=True)


class Draft(Base):
    """A submission that is being put together, section by section.

    Args:
        organisation, made_by: whose it is, by id; None where the service has no accounts.
        content: what was filled in, by section; see `sandbox.drafting.writing`.
        previous: the submission that this becomes a new version of.
        submission: what was handed in from it last; None before that.
    """

    __tablename__ = "drafts"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    organisation: Mapped[str | None] = mapped_column(String(32), index=True)
    made_by: Mapped[str | None] = mapped_column(String(32))
    made: Mapped[dt.datetime]
    changed: Mapped[dt.datetime] = mapped_column(index=True)
    content: Mapped[dict[str, Any]] = mapped_column(default=dict)
    previous: Mapped[str | None] = mapped_column(String(32))
    submission: Mapped[str | None] = mapped_column(String(32), index=True)


class DraftSection(Base):
    """Who answers for one section of a draft, and whether they confirmed it as it stands.

    Args:
        assigned_to: a person, by id.
        confirmed_by, confirmed_name, confirmed_at: who confirmed it and when; None when it was changed since.
    """

    __tablename__ = "draft_sections"

    draft: Mapped[str] = mapped_column(String(32), ForeignKey("drafts.id"), primary_key=True)
    section: Mapped[str] = mapped_column(String(20), primary_key=True)
    assigned_to: Mapped[str | None] = mapped_column(String(32))
    confirmed_by: Mapped[str | None] = mapped_column(String(32))
    confirmed_name: Mapped[str] = mapped_column(String(200), default="")
    confirmed_at: Mapped[dt.datetime | None]


class DraftFile(Base):
    """One file of a draft, as far as it has come.

    Args:
        kind: what it is, one of `sandbox.records.drafts.KINDS`.
        name: as sent; shown as text, never part of a path.
        path: under which it stands in the submission.
        size: bytes that it will have.
        received: bytes of it that are here.
        stored: bytes on disk that hold those, encrypted; what stands behind them was never acknowledged.
        pieces: how many encrypted pieces those are.
        digest: SHA-256, hexadecimal; empty until it is whole.
    """

    __tablename__ = "draft_files"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    draft: Mapped[str] = mapped_column(String(32), ForeignKey("drafts.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger, default=0)
    stored: Mapped[int] = mapped_column(BigInteger, default=0)
    pieces: Mapped[int] = mapped_column(default=0)
    digest: Mapped[str] = mapped_column(String(64), default="")
    made: Mapped[dt.datetime]


class DraftJob(Base):
    """Something that a worker does for a draft behind the walls: look at a table, or check the whole.

    Args:
        id: the file's for `look`, the draft's for `check`: one of each at a time.
        state: `waiting`, `running`, `done`, `failed`.
        until: until when a running one counts without a sign of life.
        tries: how often it was begun.
        problems: what it found wrong, as `sandbox.errors.Problem` by field.
    """

    __tablename__ = "draft_jobs"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    draft: Mapped[str] = mapped_column(String(32), ForeignKey("drafts.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(10), index=True)
    asked: Mapped[dt.datetime]
    until: Mapped[dt.datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    problems: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
