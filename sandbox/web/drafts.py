"""Keep the answers that a browser gives to the questionnaire, until it forgets them or a month has passed."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from sqlalchemy import delete, func, select

from sandbox.records.database import Database
from sandbox.records.tables import QuestionnaireDraft, new_id, now

KEPT: Final = dt.timedelta(days=30)
MOST: Final = 20_000
"""Drafts kept at once; beyond that the one that was left alone longest goes."""


def begin(database: Database, content: dict[str, Any]) -> str:
    """Keep a new draft.

    Args:
        content: `organisation` and `answers`, as in the form.

    Returns:
        Its id, for the browser alone.
    """
    with database.writing() as session:
        session.execute(delete(QuestionnaireDraft).where(QuestionnaireDraft.changed < now() - KEPT))
        if (session.scalar(select(func.count()).select_from(QuestionnaireDraft)) or 0) >= MOST:
            oldest = select(QuestionnaireDraft.id).order_by(QuestionnaireDraft.changed).limit(1)
            session.execute(delete(QuestionnaireDraft).where(QuestionnaireDraft.id.in_(oldest)))
        draft = QuestionnaireDraft(id=new_id(), content=content, changed=now())
        session.add(draft)
        return draft.id


def read(database: Database, draft_id: str) -> dict[str, Any] | None:
    """Give the content of a draft; None when it is gone."""
    with database.reading() as session:
        draft = session.get(QuestionnaireDraft, draft_id)
        return dict(draft.content) if draft is not None and draft.changed > now() - KEPT else None


def write(database: Database, draft_id: str, content: dict[str, Any]) -> None:
    """Replace the content of a draft that is there."""
    with database.writing() as session:
        draft = session.get(QuestionnaireDraft, draft_id)
        if draft is not None:
            draft.content, draft.changed = content, now()


def forget(database: Database, draft_id: str) -> None:
    """Remove a draft."""
    with database.writing() as session:
        session.execute(delete(QuestionnaireDraft).where(QuestionnaireDraft.id == draft_id))
