"""Open and migrate the database: any SQLAlchemy URL, SQLite (WAL) by default. Its tables: `sandbox.records.tables`."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Engine,
    Select,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session as Session
from sqlalchemy.orm import sessionmaker

from sandbox.settings import Settings

CONNECTIONS = 20
"""How many connections a process keeps open at most; it opens them as it needs them."""

YOUNG_SECONDS = 3.0
"""How old a file must be before it can count as abandoned: it is made a moment before it is held."""


def open_engine(settings: Settings) -> Engine:
    """Open the database of these settings; a new SQLite file is private to this user.

    Raises:
        sqlalchemy.exc.ArgumentError: the URL is none.
    """
    url = make_url(settings.database)
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and url.database and url.database != ":memory:":
        file = Path(url.database)
        _walkable(file.parent)
        private_file(file)
    engine = create_engine(
        url,
        connect_args={"timeout": 30} if sqlite else {},
        pool_pre_ping=not sqlite,
        # A web process has more threads than the default keeps connections, and would open one for each of the others.
        pool_size=CONNECTIONS,
    )
    if sqlite:

        @event.listens_for(engine, "connect")
        def _set_up(connection: Any, _record: Any) -> None:
            # The driver's own transactions begin at the first write, which lets two readers block each other's writes.
            connection.isolation_level = None
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA foreign_keys=ON")

        @event.listens_for(engine, "begin")
        def _begin(connection: Any) -> None:
            # What will write says so at the start, so that it waits for its turn instead of failing halfway.
            writes = connection.get_execution_options().get("writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class Database:
    """The opened database: sessions to read and sessions to write.

    Args:
        settings: where it is.
    """

    def __init__(self, settings: Settings) -> None:
        self.engine = open_engine(settings)
        self._read = sessionmaker(self.engine, expire_on_commit=False)
        self._write = sessionmaker(self.engine.execution_options(writes=True), expire_on_commit=False)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads."""
        with self._read() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a session that writes, in one transaction: committed at the end, undone by an exception."""
        with self._write.begin() as session:
            yield session

    def has(self, statement: Select[*tuple[Any, ...]]) -> bool:
        """Tell whether there is a row, without a turn at writing: for those who look often and seldom find."""
        with self.reading() as session:
            return session.execute(statement.limit(1)).first() is not None

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def private_folder(folder: Path) -> Path:
    """Make a folder that only this user can open.

    Its missing parents can be walked through but not listed: a cell's own user id must reach the cell files that stand
    under the same state folder.
    """
    if not folder.is_dir():
        _walkable(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def private_file(file: Path) -> None:
    """Make a file for SQLite that only this user can open, where there is none; those beside it take its mode.

    One that is there is not opened: closing it again would let go of every lock that this process has on it, and
    whoever else closed it then would take the log away from under this process.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _walkable(folder: Path) -> None:
    if not folder.is_dir():
        _walkable(folder.parent)
        folder.mkdir(mode=0o711, exist_ok=True)
        folder.chmod(0o711)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock file of this machine; waits for whoever holds it, and is let go of even by a killed process.

    Args:
        file: the lock file; made if absent, never removed.
    """
    _walkable(file.parent)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_RDWR, 0o600), "r+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def hold(descriptor: int) -> None:
    """Mark an unfinished file as being written, for as long as this process has it open; see `is_abandoned`."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def is_abandoned(file: Path) -> bool:
    """Tell whether nobody writes an unfinished file any more: whoever did was killed, or never came to `hold` it.

    Args:
        file: a file that is held while it is written; one as young as `YOUNG_SECONDS` counts as being written.
    """
    try:
        with file.open("rb") as opened:
            if time.time() - os.fstat(opened.fileno()).st_mtime < YOUNG_SECONDS:
                return False
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except OSError:
        return False


def is_migrated(database: Database) -> bool:
    """Tell whether the database has the tables of exactly this software's version.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with resources.as_file(resources.files("sandbox.records")) as folder, database.engine.connect() as connection:
        found = set(MigrationContext.configure(connection).get_current_heads())
        return found == set(ScriptDirectory(str(folder / "migrations")).get_heads())


def migrate(settings: Settings) -> None:
    """Bring the database to the newest version; processes that start together take turns.

    Raises:
        alembic.util.CommandError: the database holds a version that this software does not know (it is older).
    """
    from alembic import command
    from alembic.config import Config

    with locked(settings.state / "migrate.lock"), resources.as_file(resources.files("sandbox.records")) as folder:
        engine = open_engine(settings)
        try:
            with engine.execution_options(writes=True).connect() as connection:
                config = Config()
                config.set_main_option("script_location", str(folder / "migrations").replace("%", "%%"))
                config.attributes["connection"] = connection
                if connection.dialect.name == "postgresql":
                    # Processes on several machines share no lock file; let go of at the end of the transaction.
                    connection.execute(text("SELECT pg_advisory_xact_lock(4142)"))
                command.upgrade(config, "head")
        finally:
            engine.dispose()
