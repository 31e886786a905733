"""Say per system where it stands: its newest finished submission, its review, and the next date that matters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sqlalchemy import select

from model_cards.dossier import Dossier
from sandbox.records.database import Database
from sandbox.records.tables import State, Submission
from sandbox.review import desk, staleness

MOST_SYSTEMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one system stands.

    Args:
        newest: its newest finished submission.
        versions: how many finished submissions it has.
        status: of the review of that submission.
        moved: what makes its signature stale; None where it has none.
        next_date: first day after today from which a duty of the dossier applies; None when there is none.
        next_duties: ids of the duties of that day.
    """

    newest: Submission
    versions: int
    status: str
    moved: staleness.Moved | None
    next_date: dt.date | None
    next_duties: tuple[str, ...]


def portfolio(
    database: Database,
    folder_of: Callable[[str], Path],
    *,
    organisations: Collection[str] | None,
    today: dt.date,
    policy: str,
) -> Sequence[Place]:
    """List the systems of some organisations, the newest first.

    Args:
        folder_of: gives the folder of a dossier by its name.
        organisations: by id; None for all there are.
        today: the day that a date must come after.
        policy: name of the policy that the service judges by now.
    """
    statement = (
        select(Submission)
        .where(Submission.state == State.DONE, Submission.holdout_of.is_(None))
        .order_by(Submission.received.desc())
        .limit(2000)
    )
    if organisations is not None:
        statement = statement.where(Submission.organisation.in_(organisations))
    systems: dict[tuple[str | None, str | None], list[Submission]] = {}
    with database.reading() as session:
        for row in session.scalars(statement):
            systems.setdefault((row.organisation, row.system), []).append(row)
        listed = list(systems.values())[:MOST_SYSTEMS]
        stands = desk.standings(session, [versions[0] for versions in listed])
        moved = {
            id_: staleness.moved(session, versions[0], stands[id_].signatures[-1], policy)
            for versions in listed
            if stands[id_ := versions[0].id].is_signed
        }
    places = []
    for versions in listed:
        newest = versions[0]
        date, duties = _next(folder_of(str(newest.dossier)), str(newest.dossier_digest), today)
        places.append(
            Place(
                newest=newest,
                versions=len(versions),
                status=stands[newest.id].status,
                moved=moved.get(newest.id),
                next_date=date,
                next_duties=duties,
            )
        )
    return places


def _next(folder: Path, digest: str, today: dt.date) -> tuple[dt.date | None, tuple[str, ...]]:
    ahead = [(date, duty) for date, duty in _dates(folder, digest) if date > today]
    if not ahead:
        return None, ()
    first = min(date for date, _ in ahead)
    return first, tuple(dict.fromkeys(duty for date, duty in ahead if date == first))


@lru_cache(maxsize=1000)
def _dates(folder: Path, digest: str) -> tuple[tuple[dt.date, str], ...]:  # noqa: ARG001  # what is kept is of these bytes
    """List the days from which duties apply; a dossier is never changed, so each is read once."""
    file = folder / "dossier.json"
    if not file.is_file():
        return ()
    duties = Dossier.from_json(file.read_bytes()).risk.duties
    return tuple((d.applies_from, d.id) for d in duties if d.applies_from is not None)
