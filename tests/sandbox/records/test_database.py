"""The tables are what the migrations make, and the database waits its turn."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import stat
from importlib import resources

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from sandbox.records import queue
from sandbox.records.database import Database, migrate
from sandbox.records.tables import Base, State, Submission, now
from sandbox.settings import Settings


def test_the_models_are_what_the_migrations_make(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    assert {"submissions", "audit", "outbox"} <= set(inspect(database.engine).get_table_names())


def test_migrating_again_changes_nothing(database: Database, settings: Settings) -> None:
    migrate(settings)
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1


def test_migrations_go_down_to_nothing_and_up_again(database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(resources.files("sandbox.records") / "migrations"))
    with database.engine.execution_options(writes=True).connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(config, "head")
        assert "audit" in inspect(connection).get_table_names()


def test_four_processes_migrate_a_fresh_database_together(settings: Settings) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=migrate, args=(settings,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [p.exitcode for p in processes] == [0, 0, 0, 0]


def test_the_state_is_private_and_sqlite_writes_ahead(database: Database, settings: Settings) -> None:
    assert stat.S_IMODE(settings.state.stat().st_mode) == 0o711
    if settings.database_url:
        # A server keeps its own files; none of them is here.
        assert list(settings.state.glob("*.db")) == []
        return
    for file in settings.state.glob("sandbox.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with database.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_times_come_back_with_their_zone(database: Database) -> None:
    at = dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    with database.writing() as session:
        session.add(Submission(id="a" * 32, received=at, name="x", bytes=1, digest="0" * 64, state="queued"))
    with database.reading() as session:
        row = session.get(Submission, "a" * 32)
        assert row is not None
        assert row.received == at
        assert row.received.utcoffset() == dt.timedelta(0)


def test_a_time_without_zone_is_refused(database: Database) -> None:
    naive = now().replace(tzinfo=None)
    row = Submission(id="b" * 32, received=naive, name="x", bytes=1, digest="0" * 64, state="queued")
    with pytest.raises(Exception, match="zone"), database.writing() as session:  # noqa: PT012
        session.add(row)
        session.flush()


def test_an_exception_undoes_the_whole_transaction(database: Database) -> None:
    row = Submission(id="c" * 32, received=now(), name="x", bytes=1, digest="0" * 64, state="queued")
    with pytest.raises(RuntimeError), database.writing() as session:  # noqa: PT012
        session.add(row)
        session.flush()
        raise RuntimeError
    with database.reading() as session:
        assert session.get(Submission, "c" * 32) is None


def test_a_row_that_another_transaction_holds_is_passed_over(database: Database, settings: Settings) -> None:
    if not settings.database_url:
        # Writers of SQLite take turns, so that no transaction ever sees a held row.
        with database.writing() as session:
            assert session.execute(text("SELECT 1")).scalar() == 1
        return
    for letter in "de":
        with database.writing() as session:
            session.add(
                Submission(id=letter * 32, received=now(), name="x", bytes=1, digest="0" * 64, state=State.QUEUED)
            )
    with database.writing() as session:
        session.execute(text("SELECT 1 FROM submissions WHERE id = :id FOR UPDATE"), {"id": "d" * 32})
        claimed = queue.claim(database, worker="w")
        assert claimed is not None
        assert claimed.submission_id == "e" * 32
        assert queue.claim(database, worker="w") is None
