"""Count what one address or person did lately, over all processes, and refuse what is too much."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import delete

from sandbox.records.database import Database
from sandbox.records.tables import Counted, now
from sandbox.review.people import digest


class Limit:
    """At most so many times in a window of so many seconds, per key; the window begins with the first.

    Args:
        database: where it is counted, so that every web process counts the same.
        name: what is counted.
        times: allowed within the window.
        seconds: length of the window.
    """

    def __init__(self, database: Database, name: str, times: int, seconds: float) -> None:
        self.times, self.window = times, dt.timedelta(seconds=seconds)
        self._database, self._name = database, name

    def allows(self, key: str) -> bool:
        """Count one more for a key; False when that is too much, which is then not counted."""
        kept = digest(f"{self._name}\n{key}")
        with self._database.writing() as session:
            found = session.get(Counted, kept, with_for_update=True)
            if found is None:
                session.execute(delete(Counted).where(Counted.begun < now() - dt.timedelta(days=1)))
                session.add(Counted(digest=kept, begun=now(), times=1))
                return True
            if now() - found.begun > self.window:
                found.begun, found.times = now(), 0
            if found.times >= self.times:
                return False
            found.times += 1
            return True
