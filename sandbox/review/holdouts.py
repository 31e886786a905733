"""Let a reviewer assess a submission again with rows that the submitter never saw.

The table is kept as an upload is: encrypted, opened behind the wall alone, and erased as soon as the assessment is
over. What comes of it is a dossier of its own beside the first. It stands in the queue like a submission, and names the
one that it is about; its file is named by us, because a file's own name can tell what is in it.

Assumes of its caller: whoever adds one may review in the organisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final, Literal

from sqlalchemy import select

from checks.declaration import Route
from model_cards.dossier import Dossier
from sandbox.records import uploads
from sandbox.records.database import Database
from sandbox.records.tables import Submission
from sandbox.review.people import Identity
from sandbox.settings import Settings

SUFFIXES: Final = (".csv", ".parquet")
Why = Literal["four_eyes", "no_file", "kind", "no_model", "no_upload"]


class NotHeld(ValueError):
    """A holdout cannot be added; `code` says why."""

    def __init__(self, code: Why) -> None:
        super().__init__(code)
        self.code = code


def refuse(submission: Submission, dossier: Dossier, who: Identity, settings: Settings) -> None:
    """Refuse where no holdout can tell anything: it is one's own, there is no model, or the upload is gone.

    Raises:
        NotHeld: see `code`.
    """
    if submission.is_of(who.person_id):
        raise NotHeld("four_eyes")
    if dossier.submission.route is not Route.MODEL:
        raise NotHeld("no_model")
    if not uploads.is_kept(settings, submission.id):
        raise NotHeld("no_upload")


def name_of(given: str) -> str:
    """Name a table by its kind alone.

    Raises:
        NotHeld: it is neither CSV nor Parquet by its name.
    """
    suffix = PurePath(given).suffix.lower()
    if suffix not in SUFFIXES:
        raise NotHeld("kind")
    return f"holdout{suffix}"


def of(database: Database, submission: Submission) -> Sequence[Submission]:
    """List the assessments of a submission with a reviewer's rows, the oldest first."""
    with database.reading() as session:
        return session.scalars(
            select(Submission).where(Submission.holdout_of == submission.id).order_by(Submission.received)
        ).all()
