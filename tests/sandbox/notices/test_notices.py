"""What happens is told to webhooks, signed and at least once, and by mail through a real server, with a link alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from sqlalchemy import select, update

from sandbox import outgoing
from sandbox.notices import hooks, mail, making, sending
from sandbox.records import audit, drafts, queue
from sandbox.records.database import Database, migrate
from sandbox.records.tables import Notice, Person, State, Webhook, now
from sandbox.review import people
from sandbox.settings import Settings
from tests.make.waiting import free_port

SUBMISSION = "5" * 32


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    migrate(settings)
    made = Database(settings)
    making.make(made, with_mail=False)
    yield made
    made.close()


@pytest.fixture
def organisation(database: Database) -> str:
    return people.create_organisation(database, name="Secret Works", actor="test")


@pytest.fixture
def hook(database: Database, settings: Settings, organisation: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(outgoing, "look_up", lambda _address: None)
    made = hooks.add(database, organisation_id=organisation, address="https://hook.example/", actor="test")
    return hooks.secret_of(settings, made.id)


def handed_in(database: Database, organisation: str | None, by: str | None = None) -> None:
    queue.add(
        database,
        submission_id=SUBMISSION,
        name="secret name.zip",
        size=1,
        digest="0" * 64,
        actor="test",
        organisation=organisation,
        submitted_by=by,
    )
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    queue.end(database, claimed, state=State.REFUSED, actor="w")


class Receiver:
    """Stands where the request goes out, and answers as it is told."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.got = list(statuses), list[tuple[dict[str, str], bytes]]()

    def __call__(self, _address: str, *, headers: dict[str, str], body: bytes, **_options: Any) -> outgoing.Answer:
        self.got.append((headers, body))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            raise outgoing.NotReached("away")
        return outgoing.Answer(status=status, headers={}, body=b"")


def due_now(database: Database) -> None:
    with database.writing() as session:
        session.execute(update(Notice).values(due=now()))


def test_a_webhook_is_told_each_change_in_its_order_and_signed(
    database: Database, settings: Settings, organisation: str, hook: str
) -> None:
    handed_in(database, organisation)
    making.make(database, with_mail=False)
    receiver = Receiver()
    assert sending.send_due(database, settings, fetch=receiver) == 3
    events = [headers["AIAct-Sandbox-Event"] for headers, _ in receiver.got]
    assert events == ["submission.queued", "submission.running", "submission.refused"]
    for headers, body in receiver.got:
        signed = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers["AIAct-Sandbox-Signature"])
        assert signed is not None
        wanted = hmac.new(hook.encode(), f"{signed[1]}.".encode() + body, hashlib.sha256).hexdigest()
        assert signed[2] == wanted
        told = json.loads(body)
        assert told["id"] == headers["AIAct-Sandbox-Delivery"]
        assert set(told) == {"id", "event", "submission", "at", "url"}
        assert b"secret" not in body.lower()
    making.make(database, with_mail=False)
    assert sending.send_due(database, settings, fetch=receiver) == 0


def test_what_is_not_taken_is_sent_again_later_under_the_same_id(
    database: Database, settings: Settings, organisation: str, hook: str
) -> None:
    assert hook
    (row,) = hooks.listed(database, organisation)
    hooks.try_out(database, organisation_id=organisation, hook_id=row.id)
    receiver = Receiver(500, 0, 302, 204)
    for _ in range(3):
        assert sending.send_due(database, settings, fetch=receiver) == 0
        assert sending.send_due(database, settings, fetch=receiver) == 0
        with database.reading() as session:
            (waits,) = session.scalars(select(Notice)).all()
            assert waits.due > now()
        due_now(database)
    assert sending.send_due(database, settings, fetch=receiver) == 1
    assert len({body for _, body in receiver.got}) == 1
    assert len(receiver.got) == 4
    assert hooks.listed(database, organisation)[0].status == 204


def test_what_nobody_ever_takes_is_given_up(
    database: Database, settings: Settings, organisation: str, hook: str
) -> None:
    assert hook
    (row,) = hooks.listed(database, organisation)
    hooks.try_out(database, organisation_id=organisation, hook_id=row.id)
    for _ in range(sending.TRIES):
        due_now(database)
        sending.send_due(database, settings, fetch=Receiver(500))
    with database.reading() as session:
        assert session.scalars(select(Notice)).all() == []


def test_other_organisations_hear_nothing(database: Database, organisation: str, hook: str) -> None:
    assert hook
    assert organisation
    handed_in(database, people.create_organisation(database, name="Others", actor="test"))
    making.make(database, with_mail=False)
    with database.reading() as session:
        assert session.scalars(select(Notice)).all() == []


def test_the_database_holds_no_secret_of_a_webhook(database: Database, organisation: str, hook: str) -> None:
    assert hook.startswith("whsec_")
    with database.reading() as session:
        for row in session.scalars(select(Webhook)).all():
            assert hook.removeprefix("whsec_") not in "".join(str(value) for value in vars(row).values())
    assert not hooks.remove(
        database, organisation_id="0" * 32, hook_id=hooks.listed(database, organisation)[0].id, actor="t"
    )


@pytest.mark.parametrize(
    "address", ["http://hook.example/", "https://127.0.0.1/", "https://[::1]/", "https://x y/", "file:///etc"]
)
def test_a_webhook_inside_or_unencrypted_is_refused(database: Database, organisation: str, address: str) -> None:
    with pytest.raises(hooks.Unfit):
        hooks.add(database, organisation_id=organisation, address=address, actor="test")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key, made = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(made)],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, made


class Kept(Message):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.mails = list[Any]()

    def handle_message(self, message: Any) -> None:
        self.mails.append(message)


@pytest.fixture
def server(certificate: tuple[Path, Path]) -> Iterator[Controller]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1], certificate[0])
    made = Controller(Kept(), hostname="127.0.0.1", port=0, tls_context=context, require_starttls=True)
    # Port 0: the system picks one, which the controller does not ask for itself.
    made.port = free_port()
    made.start()
    yield made
    made.stop()


@pytest.mark.network
@pytest.mark.parametrize(
    ("language", "subject"), [("en", "A submission cannot be assessed"), ("nl", "Een inzending kan niet")]
)
def test_whoever_handed_in_gets_a_mail_with_a_link_and_no_more(
    database: Database,
    settings: Settings,
    organisation: str,
    server: Controller,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    language: str,
    subject: str,
) -> None:
    person = people.create_person(database, login="ada", name="Ada", password="four words that differ", actor="test")
    with database.writing() as session:
        session.execute(update(Person).values(mail="ada@example.org", language=language))
    handed_in(database, organisation, person)
    making.make(database, with_mail=True)
    trusted = ssl.create_default_context(cafile=str(certificate[1]))
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusted)
    sends = replace(
        settings,
        mail_server=f"127.0.0.1:{server.port}",
        mail_from="sandbox@example.org",
        address="https://s.example.org",
    )
    assert sending.send_due(database, sends) == 1
    (sent,) = server.handler.mails
    assert sent["Subject"].startswith(subject)
    assert sent["To"] == "ada@example.org"
    text = sent.get_payload(decode=True).decode()
    assert f"https://s.example.org/{language}/submissions/{SUBMISSION}" in text
    for private in ("secret name", "Secret Works", "Ada"):
        assert private not in text


@pytest.mark.network
def test_a_certificate_that_is_not_trusted_gets_no_mail(settings: Settings, server: Controller) -> None:
    sends = replace(settings, mail_server=f"127.0.0.1:{server.port}", mail_from="sandbox@example.org")
    made = mail.message(
        sends, to="a@example.org", language="en", event="submission.done", about=SUBMISSION, notice_id="1"
    )
    with pytest.raises(mail.NotSent, match="SSL"):
        mail.send(sends, made)
    assert server.handler.mails == []


@pytest.mark.parametrize(
    "to", ["a@example.org\r\nBcc: b@example.org", "a@example.org, b@example.org", "a@example.org\n", "a"]
)
def test_no_address_brings_a_header_or_a_second_reader(database: Database, settings: Settings, to: str) -> None:
    assert not people.is_mail(to)
    sends = replace(settings, mail_from="sandbox@example.org")
    with pytest.raises(mail.NotSent):
        mail.message(sends, to=to, language="en", event="submission.done", about=SUBMISSION, notice_id="1")


def test_without_a_server_there_is_no_mail_and_a_reviewer_hears_of_what_is_assigned(
    database: Database, organisation: str
) -> None:
    person = people.create_person(database, login="rev", name="R", password="four words that differ", actor="test")
    with database.writing() as session:
        session.execute(update(Person).values(mail="r@example.org"))
    handed_in(database, organisation, person)
    making.make(database, with_mail=False)
    with database.reading() as session:
        assert session.scalars(select(Notice)).all() == []
    with database.writing() as session:
        audit.record(session, actor="test", action="review.assigned", subject=SUBMISSION, facts={"person": person})
    making.make(database, with_mail=True)
    with database.reading() as session:
        (waits,) = session.scalars(select(Notice)).all()
    assert (waits.person, waits.event) == (person, "review.assigned")


def test_whoever_is_asked_to_fill_in_a_section_hears_of_it_and_where_it_is(
    database: Database, settings: Settings, organisation: str
) -> None:
    person = people.create_person(database, login="dpo", name="D", password="four words that differ", actor="test")
    with database.writing() as session:
        session.execute(update(Person).values(mail="d@example.org"))
    making.make(database, with_mail=True)
    draft = drafts.begin(database, actor="test", organisation=organisation)
    drafts.assign(database, draft, "terms", person, actor="test")
    drafts.assign(database, draft, "files", person, actor="person:dpo")
    drafts.assign(database, draft, "terms", None, actor="test")
    making.make(database, with_mail=True)
    with database.reading() as session:
        (waits,) = session.scalars(select(Notice)).all()
    assert (waits.person, waits.event, waits.body) == (person, "draft.assigned", draft)
    sends = replace(settings, mail_from="sandbox@example.org", address="https://sandbox.example.org")
    made = mail.message(sends, to="d@example.org", language="nl", event=waits.event, about=waits.body, notice_id="1")
    assert f"https://sandbox.example.org/nl/drafts/{draft}\n" in made.get_content()
