"""A database of every version, with rows in every table, goes up to the newest and back down, and loses nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from sandbox.records.database import open_engine
from sandbox.settings import Settings

FOLDER = str(resources.files("sandbox.records") / "migrations")
REVISIONS = tuple(s.revision for s in reversed(list(ScriptDirectory(FOLDER).walk_revisions())))
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both kinds of database."""
    return str(request.param)


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    """An empty database."""
    engine = open_engine(settings)
    with engine.execution_options(writes=True).connect() as opened:
        yield opened
    engine.dispose()


def move(connection: Connection, to: str) -> None:
    """Migrate, up or down."""
    config = Config()
    config.set_main_option("script_location", FOLDER)
    config.attributes["connection"] = connection
    here = (
        connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() if _tables(connection) else ""
    )
    connection.rollback()
    (command.downgrade if to == "base" or to < str(here or "") else command.upgrade)(config, to)


def _tables(connection: Connection) -> dict[str, sa.Table]:
    reflected = sa.MetaData()
    reflected.reflect(connection)
    return {table.name: table for table in reflected.sorted_tables}


def _value(column: sa.Column[Any], number: int) -> Any:
    """Make up a value that tells its row and, for what is read as text, is not of plain ASCII."""
    if column.foreign_keys:
        (target,) = column.foreign_keys
        return _value(target.column, number)
    match column.type:
        case sa.Boolean():
            return bool(number % 2)
        case sa.DateTime():
            return dt.datetime(2026, 3, 29, 1, 30, number, tzinfo=dt.UTC)
        case sa.Date():
            return dt.date(2026, 3, number)
        case sa.Integer() | sa.BigInteger():
            return number
        case sa.Float() | sa.Numeric():
            return number + 0.5
        case sa.LargeBinary():
            return bytes([number, 0, 255])
        case sa.JSON():
            return {"é": [number, None]}
        case sa.String():
            length = column.type.length or 200
            return f"{column.name}-é-{number}".ljust(min(length, 32), "x")[:length]
        case other:
            raise AssertionError(f"no value is known for {column}: {other}")


@contextmanager
def told(table: sa.Table) -> Iterator[None]:
    """Name the table of a fault."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise AssertionError(f"{table.name}: {error}") from error


def fill(connection: Connection) -> None:
    """Put two rows into each table."""
    for name, table in _tables(connection).items():
        if name != "alembic_version":
            with told(table):
                for number in (1, 2):
                    connection.execute(table.insert().values({c.name: _value(c, number) for c in table.columns}))
    connection.commit()


def held(connection: Connection) -> Rows:
    """Read all rows of all tables."""
    rows = {
        name: [dict(row) for row in connection.execute(table.select().order_by(*table.primary_key.columns)).mappings()]
        for name, table in _tables(connection).items()
        if name != "alembic_version"
    }
    connection.rollback()
    return rows


@pytest.mark.parametrize("revision", REVISIONS)
def test_rows_of_a_version_go_up_to_the_newest_and_come_back_as_they_were(
    connection: Connection, revision: str
) -> None:
    move(connection, revision)
    fill(connection)
    before = held(connection)
    assert all(len(rows) == 2 for rows in before.values())
    if revision != REVISIONS[-1]:
        move(connection, REVISIONS[-1])
    after = held(connection)
    assert before.keys() <= after.keys()
    for table, rows in before.items():
        for old, new in zip(rows, after[table], strict=True):
            assert {name: new[name] for name in old} == old, table
    if revision != REVISIONS[-1]:
        move(connection, revision)
    assert held(connection) == before


def test_rows_of_the_newest_version_go_down_a_version_at_a_time_without_a_fault(connection: Connection) -> None:
    move(connection, REVISIONS[-1])
    fill(connection)
    newest = held(connection)
    for revision in reversed(REVISIONS[:-1]):
        move(connection, revision)
        for table, rows in held(connection).items():
            for old, new in zip(rows, newest.get(table, rows), strict=True):
                assert {n: old[n] for n in old if n in new} == {n: new[n] for n in old if n in new}, table
    move(connection, "base")
    assert set(_tables(connection)) == {"alembic_version"}


def test_the_audit_log_of_the_first_version_still_refuses_to_be_changed_at_the_newest(connection: Connection) -> None:
    move(connection, REVISIONS[0])
    fill(connection)
    move(connection, REVISIONS[-1])
    with pytest.raises(sa.exc.DatabaseError, match="only ever added to"):
        connection.execute(sa.text("UPDATE audit SET actor = 'x'"))
    connection.rollback()
