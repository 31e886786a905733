"""Say per system where it stands: its newest finished submission, its review, and the next date that matters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from model_cards.dossier import Dossier
from sandbox.records.database import Database
from sandbox.records.tables import State, Submission
from sandbox.review import desk

MOST_SYSTEMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one system stands.

    Args:
        newest: its newest finished submission.
        versions: how many finished submissions it has.
        status: of the review of that submission.
        next_date: first day after today from which a duty of the dossier applies; None when there is none.
        next_duties: ids of the duties of that day.
    """

    newest: Submission
    versions: int
    status: str
    next_date: dt.date | None
    next_duties: tuple[str, ...]


def portfolio(
    database: Database, dossiers: Path, *, organisations: Collection[str] | None, today: dt.date
) -> Sequence[Place]:
    """List the systems of some organisations, the newest first.

    Args:
        dossiers: folder of the dossiers.
        organisations: by id; None for all there are.
        today: the day that a date must come after.
    """
    statement = (
        select(Submission).where(Submission.state == State.DONE).order_by(Submission.received.desc()).limit(2000)
    )
    if organisations is not None:
        statement = statement.where(Submission.organisation.in_(organisations))
    with database.reading() as session:
        rows = session.scalars(statement).all()
    systems: dict[tuple[str | None, str | None], list[Submission]] = {}
    for row in rows:
        systems.setdefault((row.organisation, row.system), []).append(row)
    places = []
    for versions in list(systems.values())[:MOST_SYSTEMS]:
        newest = versions[0]
        date, duties = _next(dossiers / str(newest.dossier) / "dossier.json", today)
        places.append(
            Place(
                newest=newest,
                versions=len(versions),
                status=desk.standing(database, newest).status,
                next_date=date,
                next_duties=duties,
            )
        )
    return places


def _next(file: Path, today: dt.date) -> tuple[dt.date | None, tuple[str, ...]]:
    if not file.is_file():
        return None, ()
    duties = Dossier.from_json(file.read_bytes()).risk.duties
    dates = [d.applies_from for d in duties if d.applies_from is not None and d.applies_from > today]
    if not dates:
        return None, ()
    return min(dates), tuple(dict.fromkeys(d.id for d in duties if d.applies_from == min(dates)))
