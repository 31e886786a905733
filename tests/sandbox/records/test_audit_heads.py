"""The head of the audit log goes, signed, to where nobody of the service can rewrite it; what changed since shows."""

from __future__ import annotations

import datetime as dt
import email
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from click.testing import CliRunner
from sqlalchemy import text

from sandbox import worker
from sandbox.cli import main
from sandbox.keys.held import new_key
from sandbox.records import audit, audit_heads
from sandbox.records.database import Database
from sandbox.records.tables import AuditHead
from sandbox.review import people
from sandbox.review.permissions import Role
from sandbox.settings import Settings
from tests.make.time_stamps import Authority
from tests.make.waiting import free_port

pytestmark = pytest.mark.network

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "one")


@pytest.fixture
def stamped(settings: Settings, authority: Authority, tmp_path: Path) -> Iterator[Settings]:
    """Settings with an authority and a key to sign with."""
    new_key(str(tmp_path / "key.pem"), name="ours", key_list=tmp_path / "keys.json", valid_from=dt.date(2026, 1, 1))
    with authority.listening() as address:
        yield replace(settings, timestamp_authority=address, signing=str(tmp_path / "key.pem"))


class Kept(Message):
    """A mail server that keeps what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[email.message.Message] = []

    def handle_message(self, message: email.message.Message) -> None:
        self.mails.append(message)


@pytest.fixture
def mailbox() -> Iterator[tuple[Kept, str]]:
    with ExitStack() as stack:
        kept = Kept()
        port = free_port()
        server = Controller(kept, hostname="127.0.0.1", port=port)
        stack.callback(server.stop)
        server.start()
        yield kept, f"127.0.0.1:{port}"


def write(database: Database, lines: int = 3) -> tuple[int, str]:
    for i in range(lines):
        with database.writing() as session:
            audit.record(session, actor="web", action="submission.received", subject=f"s{i}")
    with database.reading() as session:
        return audit.head(session)


def faults(database: Database, roots: Path | None = None) -> tuple[str, ...]:
    with database.reading() as session:
        return audit_heads.verify(session, roots=roots)


def tamper(database: Database, *statements: str) -> None:
    """Do to the tables what only their owner can."""
    with database.engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("DROP TRIGGER audit_no_change ON audit"))
        else:
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER audit_no_{verb}"))
        for statement in statements:
            connection.execute(text(statement))


def test_a_head_is_stamped_once_a_day_and_the_stamp_holds(
    database: Database, stamped: Settings, authority: Authority
) -> None:
    assert audit_heads.send(database, stamped, at=NOW) == 0, "an empty log has no head"
    head = write(database)
    assert audit_heads.send(database, stamped, at=NOW) == 1
    write(database)
    assert audit_heads.send(database, stamped, at=NOW) == 0
    assert audit_heads.send(database, stamped, at=NOW + dt.timedelta(days=1)) == 1
    with database.reading() as session:
        sent = session.get(AuditHead, (NOW.date().isoformat(), "authority"))
    assert sent is not None
    assert (sent.number, sent.digest) == head
    said = json.loads(sent.statement)
    assert (said["number"], said["digest"], "signature" in said) == (*head, True)
    (late,) = faults(database, authority.root)
    assert "time stamp is of" in late, "a clock that was put forward shows"


@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        ("DELETE FROM audit WHERE number = 3", "line 3 of the log is not the one that was sent"),
        ("UPDATE audit SET digest = '" + "a" * 64 + "' WHERE number = 3", "line 3 of the log is not the one"),
        ("UPDATE audit_heads SET digest = '" + "a" * 64 + "'", "its statement is of another head"),
        ("UPDATE audit_heads SET statement = replace(statement, 'AIACT', 'OTHER')", "changed after it was signed"),
        ("UPDATE audit_heads SET statement = replace(statement, ':', ': ')", "time stamp is of another signature"),
        ("UPDATE audit_heads SET stamp = 'x'", "its time stamp was changed or is damaged"),
    ],
)
def test_what_was_changed_after_the_head_was_sent_shows(
    database: Database, stamped: Settings, tampering: str, says: str
) -> None:
    write(database)
    assert audit_heads.send(database, stamped) == 1
    assert faults(database) == ()
    tamper(database, tampering)
    assert any(says in fault for fault in faults(database)), faults(database)


def test_a_stamp_of_another_authority_is_not_taken(database: Database, stamped: Settings, tmp_path: Path) -> None:
    write(database)
    audit_heads.send(database, stamped)
    (fault,) = faults(database, Authority(tmp_path / "other", "Another").root)
    assert "is not by an authority of the certificates that were given" in fault


def test_a_place_that_does_not_answer_is_tried_again(database: Database, stamped: Settings) -> None:
    write(database)
    assert audit_heads.send(database, replace(stamped, timestamp_authority="http://127.0.0.1:9/")) == 0
    assert audit_heads.send(database, stamped) == 1


def test_the_head_is_mailed_to_the_customers_addresses_and_to_auditors(
    database: Database, settings: Settings, mailbox: tuple[Kept, str]
) -> None:
    kept, server = mailbox
    auditor = people.create_person(database, login="kim", name="Kim", password="four words that differ", actor="test")
    theirs = people.create_organisation(database, name="North", actor="test")
    people.give_role(database, person_id=auditor, organisation_id=theirs, role=Role.AUDITOR, actor="test")
    with database.writing() as session:
        session.execute(text("UPDATE people SET mail = 'kim@example.org'"))
        number, digest = audit.head(session)
    mine = replace(
        settings,
        mail_server=server,
        mail_plain=1,
        mail_from="sandbox@example.org",
        audit_mail="log@customer.example, \n, not an address",
    )
    assert audit_heads.send(database, mine) == 2
    assert audit_heads.send(database, mine) == 0
    assert {m["To"] for m in kept.mails} == {"kim@example.org", "log@customer.example"}
    body = kept.mails[0].get_payload(decode=True)
    assert isinstance(body, bytes)
    assert f"--head {number}:{digest}" in body.decode()
    with database.reading() as session:
        assert "kim@example.org" not in {row.place for row in session.query(AuditHead)}
    assert faults(database) == ()
    tamper(database, f"DELETE FROM audit WHERE number = {number}")
    assert len(faults(database)) == 2


def test_the_worker_sends_it_and_the_operator_s_command_checks_it(
    database: Database, stamped: Settings, authority: Authority
) -> None:
    number, _ = write(database)
    worker.work(stamped, until_empty=True)
    env = {"AIACT_SANDBOX_STATE": str(stamped.state), "AIACT_SANDBOX_DATABASE_URL": stamped.database_url}
    verify = ["admin", "audit", "verify", "--roots", str(authority.root)]
    done = CliRunner().invoke(main, verify, env=env)
    assert done.exit_code == 0, done.output
    assert "1 heads were sent elsewhere" in done.output
    tamper(database, f"DELETE FROM audit WHERE number = {number}")
    done = CliRunner().invoke(main, verify, env=env)
    assert (done.exit_code, f"line {number} of the log is not the one" in done.output) == (4, True)
