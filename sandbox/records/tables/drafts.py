"""What is still being written."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import String
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
