"""A PostgreSQL server for tests: one per session, on a Unix socket alone, with a fresh database for each test."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from sandbox.records.database import migrate
from sandbox.records.tables import new_id
from sandbox.settings import Settings

URL = "AIACT_SANDBOX_TEST_DATABASE_URL"
"""Environment variable: a PostgreSQL server to use instead of one of our own, as a URL of a role that may create."""


def programs() -> Path | None:
    """Give the folder of the newest PostgreSQL's programs, where Debian puts them; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run a server until the block ends; its files are gone afterwards.

    Returns:
        The URL of its maintenance database.

    Raises:
        FileNotFoundError: PostgreSQL's programs are not there.
    """
    if given := os.environ.get(URL):
        yield given
        return
    where = programs()
    if where is None:
        raise FileNotFoundError("PostgreSQL is not installed")
    # The path of a socket may be a hundred characters long, which a test's own folder is not short enough for.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    # PostgreSQL refuses to be run by root.
    other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if other:
        shutil.chown(folder, "postgres", "postgres")
    try:
        subprocess.run(
            [*other, where / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8"],
            check=True,
            capture_output=True,
            cwd="/",
        )
        process = subprocess.Popen(
            [*other, where / "postgres", "-D", folder / "data", "-k", folder, "-h", "", "-F"],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("w"),
            cwd="/",
        )
        try:
            url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
            subprocess.run(
                [where / "pg_isready", "-q", "-h", folder, "-t", "20"], check=False, capture_output=True, cwd="/"
            )
            _wait_for(url, process)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    import time

    from sqlalchemy.exc import OperationalError

    until = time.monotonic() + 30
    while True:
        engine = create_engine(url)
        try:
            with engine.connect():
                return
        except OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)
        finally:
            engine.dispose()


@contextlib.contextmanager
def fresh(maintenance: str) -> Iterator[str]:
    """Make an empty database, and drop it when the block ends, whoever is still connected.

    Args:
        maintenance: URL of a database of the same server.

    Returns:
        The new database's URL.
    """
    name = f"test_{new_id()[:12]}"
    engine = create_engine(maintenance, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        yield make_url(maintenance).set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


class Everywhere:
    """Gives each state folder that has no database of its own one on a server, so that any test runs on it.

    Args:
        maintenance: URL of a database of the server.
    """

    def __init__(self, maintenance: str) -> None:
        self._engine = create_engine(maintenance, isolation_level="AUTOCOMMIT")
        self._maintenance = make_url(maintenance)
        self._urls: dict[Path, str] = {}
        self._template = self._create("template0")
        migrate(Settings(state=Path(tempfile.mkdtemp()), database_url=self._url(self._template)))

    def _url(self, name: str) -> str:
        return self._maintenance.set(database=name).render_as_string(hide_password=False)

    def _create(self, template: str) -> str:
        name = f"test_{new_id()[:12]}"
        with self._engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return name

    @contextlib.contextmanager
    def installed(self) -> Iterator[Everywhere]:
        """Let settings without a database, but with a state folder, get one until the block ends."""
        made, usual = Settings.__init__, Settings().state

        @functools.wraps(made)
        def placed(settings: Settings, **values: Any) -> None:
            state = values.get("state", usual)
            given = values.get("database_url", "")
            if state != usual and (not given or given in self._urls.values()):
                if state not in self._urls:
                    self._urls[state] = self._url(self._create(self._template))
                values["database_url"] = self._urls[state]
            made(settings, **values)

        Settings.__init__ = placed  # type: ignore[method-assign]
        try:
            yield self
        finally:
            Settings.__init__ = made  # type: ignore[method-assign]
            self._engine.dispose()

    def drop_below(self, folder: Path) -> None:
        """Drop the databases of the state folders below a folder, whoever is still connected."""
        for state in [state for state in self._urls if state.is_relative_to(folder)]:
            name = make_url(self._urls.pop(state)).database
            with self._engine.connect() as connection:
                connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
