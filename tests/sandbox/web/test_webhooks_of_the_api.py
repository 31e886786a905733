"""Webhooks through the API: what a token of their scope may do, and that a secret is given once."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import waitress  # type: ignore[import-untyped]  # ships no types
from flask import Flask

from sandbox import outgoing
from sandbox.app import create_app
from sandbox.client import Answered, Client
from sandbox.notices import hooks
from sandbox.records import audit
from sandbox.records.database import Database, migrate
from sandbox.records.tables import AuditEntry
from sandbox.review import people
from sandbox.review.permissions import Role
from sandbox.settings import Settings

HOOKS = "/api/v1/webhooks"
LOOK_UP = outgoing.look_up
PASSWORD = "four words that differ"  # of people who exist in a test


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A service with two organisations, each with an owner who has a token of each scope."""

    app: Flask
    settings: Settings
    database: Database
    tokens: dict[tuple[str, str], str]

    def ask(self, method: str, path: str = "", *, login: str = "ada", scope: str = "webhooks", **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[login, scope]}"}
        return self.app.test_client().open(HOOKS + path, method=method, headers=headers, **more)

    def add(self, address: str = "https://hook.example/", **more: Any) -> Any:
        return self.ask("POST", json={"address": address}, **more)


def resolves_to(monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    """Have every name mean one address."""
    monkeypatch.setattr(outgoing, "look_up", functools.partial(LOOK_UP, resolve=lambda *_: [number]))


@pytest.fixture
def place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(people, "HASH", "argon2id:1:8:1")
    resolves_to(monkeypatch, "93.184.216.34")
    made = replace(settings, accounts="local")
    migrate(made)
    app = create_app(made)
    database: Database = app.extensions["aiact_sandbox"].database
    tokens = {}
    for login in ("ada", "bea"):
        organisation = people.create_organisation(database, name=f"Of {login}", actor="test")
        person = people.create_person(database, login=login, name=login, password=PASSWORD, actor="test")
        people.give_role(database, person_id=person, organisation_id=organisation, role=Role.OWNER, actor="test")
        identity = people.identify(database, people.sign_in(database, login=login, password=PASSWORD) or "")
        assert identity is not None
        for scope in ("submit", "webhooks"):
            tokens[login, scope] = people.make_token(
                database, identity, name="t", organisation_id=organisation, scope=scope, days=1
            )
    yield Place(app=app, settings=made, database=database, tokens=tokens)
    database.close()


def test_a_webhook_is_added_listed_and_removed_and_its_secret_given_once(place: Place) -> None:
    added = place.add()
    assert added.status_code == 201
    made = added.get_json()
    assert made["secret"] == hooks.secret_of(place.settings, made["id"])
    (listed,) = place.ask("GET").get_json()["webhooks"]
    assert listed == {k: v for k, v in made.items() if k != "secret"}
    assert place.ask("DELETE", f"/{made['id']}").status_code == 204
    assert place.ask("GET").get_json() == {"webhooks": []}
    assert place.ask("DELETE", f"/{made['id']}").status_code == 404
    with place.database.reading() as session:
        actions = [entry.action for entry in session.query(AuditEntry).order_by(AuditEntry.number)]
        assert [a for a in actions if a.startswith("webhook.")] == ["webhook.added", "webhook.removed"]
        assert audit.verify(session) == ()


@pytest.mark.network
def test_the_client_does_the_same(place: Place) -> None:
    server = waitress.create_server(place.app, host="127.0.0.1", port=0)
    threading.Thread(target=server.run, daemon=True).start()
    client = Client(f"http://127.0.0.1:{server.effective_port}", token=place.tokens["ada", "webhooks"])
    made = client.add_webhook("https://hook.example/")
    assert made.secret == hooks.secret_of(place.settings, made.id)
    assert [hook.id for hook in client.webhooks()] == [made.id]
    client.remove_webhook(made.id)
    with pytest.raises(Answered) as refused:
        client.add_webhook("http://hook.example/")
    assert refused.value.status == 422
    assert client.webhooks() == []
    server.close()


def test_a_webhook_of_others_is_not_there(place: Place) -> None:
    theirs = place.add(login="bea").get_json()["id"]
    assert place.ask("GET").get_json() == {"webhooks": []}
    assert place.ask("DELETE", f"/{theirs}").status_code == 404
    assert len(place.ask("GET", login="bea").get_json()["webhooks"]) == 1


def test_a_token_to_hand_in_manages_no_webhooks_and_one_for_webhooks_reads_nothing(place: Place) -> None:
    for answer in (place.ask("GET", scope="submit"), place.add(scope="submit")):
        assert answer.status_code == 403
    headers = {"Authorization": f"Bearer {place.tokens['ada', 'webhooks']}"}
    assert place.app.test_client().get("/api/v1/submissions", headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("address", "resolved"),
    [("http://hook.example/", "93.184.216.34"), ("https://a:b@hook.example/", "93.184.216.34"), ("x", "93.184.216.34"),
     ("https://hook.example/", "10.0.0.1"), ("https://hook.example/", "169.254.169.254")],
)  # fmt: skip
def test_an_address_inside_or_unencrypted_is_refused_as_on_the_page(
    place: Place, monkeypatch: pytest.MonkeyPatch, address: str, resolved: str
) -> None:
    resolves_to(monkeypatch, resolved)
    answer = place.add(address)
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert place.ask("GET").get_json() == {"webhooks": []}


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"data": b"x", "content_type": "text/plain"}, 415),
        ({"data": b"{", "content_type": "application/json"}, 400),
        ({"json": {}}, 422),
        ({"json": [1]}, 422),
        ({"json": {"address": "https://hook.example/", "secret": "mine"}}, 422),
        ({"json": {"address": "https://hook.example/" + "x" * 500}}, 422),
    ],
)
def test_a_body_that_is_not_as_described_is_refused(place: Place, more: dict[str, Any], status: int) -> None:
    assert place.ask("POST", **more).status_code == status


def test_there_is_an_end_to_how_many_there_are(place: Place) -> None:
    assert [place.add().status_code for _ in range(hooks.MOST + 1)] == [201] * hooks.MOST + [409]


def test_a_service_without_accounts_has_no_webhooks(client: Any) -> None:
    assert client.get(HOOKS).status_code == 404
    assert HOOKS not in client.get("/api/v1/openapi.json").get_json()["paths"]
