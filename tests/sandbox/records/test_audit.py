"""The audit log is only ever added to, and a change shows."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from sandbox.records import audit
from sandbox.records.database import Database


def _write(database: Database, lines: int) -> None:
    for i in range(lines):
        with database.writing() as session:
            audit.record(session, actor="web", action="submission.received", subject=f"s{i}", facts={"bytes": i})


def _without_triggers(database: Database, *statements: str) -> None:
    with database.engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("DROP TRIGGER audit_no_change ON audit"))
        else:
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER audit_no_{verb}"))
        for statement in statements:
            connection.execute(text(statement))


def _faults(database: Database, **kwargs: tuple[int, str]) -> tuple[str, ...]:
    with database.reading() as session:
        return audit.verify(session, **kwargs)


def test_an_untouched_chain_verifies(database: Database) -> None:
    assert _faults(database) == ()
    _write(database, 5)
    assert _faults(database) == ()
    with database.reading() as session:
        assert audit.length(session) == 5
        assert audit.head(session)[0] == 5


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_the_database_itself_refuses_a_change(database: Database, statement: str) -> None:
    _write(database, 2)
    with pytest.raises(DatabaseError, match="only ever added to"), database.writing() as session:
        session.execute(text(statement))
    assert _faults(database) == ()


@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 3", "Line 3 was changed"),
        ("UPDATE audit SET facts = '{}' WHERE number = 3", "Line 3 was changed"),
        ("DELETE FROM audit WHERE number = 3", "Between line 2 and line 4"),
        ("DELETE FROM audit WHERE number = 1", "Between line 0 and line 2"),
        ("UPDATE audit SET number = 9 WHERE number = 5", "Between line 4 and line 9"),
    ],
)
def test_tampering_past_the_database_shows(database: Database, tampering: str, says: str) -> None:
    _write(database, 5)
    _without_triggers(database, tampering)
    assert any(says in fault for fault in _faults(database))


def test_a_line_with_a_digest_made_to_fit_breaks_the_next_one(database: Database) -> None:
    _write(database, 3)
    _without_triggers(database, "UPDATE audit SET digest = '" + "a" * 64 + "' WHERE number = 2")
    assert any("Line 3 does not follow" in fault for fault in _faults(database))


def test_lines_cut_off_at_the_end_show_to_whoever_kept_the_head(database: Database) -> None:
    _write(database, 4)
    with database.reading() as session:
        head = audit.head(session)
    _without_triggers(database, "DELETE FROM audit WHERE number = 4")
    assert _faults(database) == ()
    assert _faults(database, expected_head=head) == ("Line 4 is not the line that was kept elsewhere.",)


def test_many_writers_at_once_leave_no_gap(database: Database) -> None:
    threads = [threading.Thread(target=_write, args=(database, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _faults(database) == ()
    with database.reading() as session:
        assert audit.length(session) == 40
