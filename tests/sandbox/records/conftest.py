"""A migrated database of each kind: what works with the database is tested on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.records.database import Database, migrate
from sandbox.settings import Settings
from tests.make import postgres


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on both kinds of database, if it works with one at all."""
    if "database" in metafunc.fixturenames or metafunc.module.__name__.endswith("test_database"):
        metafunc.parametrize("kind", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database of this test."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def settings(request: pytest.FixtureRequest, settings: Settings, kind: str) -> Iterator[Settings]:
    """The settings of the test, with a database of its own."""
    if kind == "sqlite":
        yield settings
        return
    with postgres.fresh(request.getfixturevalue("postgres_server")) as url:
        yield replace(settings, database_url=url)


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, settings: Settings, kind: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings of an installation that is not there yet."""
    with ExitStack() as stack:
        url = ""
        if kind == "postgresql":
            url = stack.enter_context(postgres.fresh(request.getfixturevalue("postgres_server")))
        yield replace(settings, state=tmp_path / "elsewhere", database_url=url)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    migrate(settings)
    opened = Database(settings)
    yield opened
    opened.close()
