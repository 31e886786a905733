"""What an organisation has used up is refused before it is queued, with what would help; counts hold over processes."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from sandbox.app import create_app
from sandbox.records import queue
from sandbox.records.database import Database, migrate
from sandbox.records.tables import Organisation, Spent, Submission, new_id, now
from sandbox.review import budgets, people
from sandbox.review.permissions import Role
from sandbox.settings import Settings
from sandbox.web.limits import Limit

PASSWORD = "four words that differ"


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(people, "HASH", "argon2id:1:8:1")
    return replace(settings, accounts="local", listen="127.0.0.1:8080", budget_cells=2, registration=1)


@pytest.fixture
def organisation(database: Database) -> str:
    person = people.create_person(database, login="ada", name="Ada", password=PASSWORD, actor="test")
    into = people.create_organisation(database, name="Municipality", actor="test")
    people.give_role(database, person_id=person, organisation_id=into, role=Role.OWNER, actor="test")
    return into


@pytest.fixture
def token(database: Database, organisation: str) -> str:
    secret = people.sign_in(database, login="ada", password=PASSWORD)
    identity = people.identify(database, secret or "")
    assert identity is not None
    return people.make_token(database, identity, name="t", organisation_id=organisation, scope="submit", days=1)


def hand_in(app: Flask, token: str, content: bytes = b"x" * 100) -> tuple[int, dict[str, object]]:
    answer = app.test_client().post(
        "/api/v1/submissions",
        data=content,
        content_type="application/zip",
        headers={"Authorization": f"Bearer {token}"},
    )
    return answer.status_code, answer.get_json()


def signed_in(app: Flask) -> FlaskClient:
    client = app.test_client()
    with client.session_transaction() as kept:
        kept["csrf"] = "known"
        kept["secret"] = people.sign_in(app.extensions["aiact_sandbox"].database, login="ada", password=PASSWORD)
    return client


def test_more_at_once_than_the_budget_is_refused_before_it_is_queued(
    app: Flask, database: Database, settings: Settings, token: str
) -> None:
    assert [hand_in(app, token)[0] for _ in range(3)] == [201, 201, 429]
    status, problem = hand_in(app, token)
    assert status == 429
    assert problem["type"] == "urn:aiact-sandbox:error:over_budget"
    assert "may have 2 at once" in str(problem["problems"])
    with database.reading() as session:
        kept = session.scalars(select(Submission.id)).all()
    assert {file.stem for file in (settings.state / "uploads").glob("*.sealed")} == set(kept)
    assert len(kept) == 2


@pytest.mark.parametrize(("part", "most"), [("cpu_seconds", 50), ("builds", 3)])
def test_what_this_month_took_counts_and_last_month_does_not(
    app: Flask, database: Database, organisation: str, token: str, part: str, most: int
) -> None:
    budgets.set_budget(database, organisation, actor="test", **{part: most})
    last = now().replace(day=1) - dt.timedelta(days=1)
    with database.writing() as session:
        spent = {"organisation": organisation, "cpu_seconds": 100.0, "builds": 5}
        session.add(Spent(submission=new_id(), at=last, **spent))
    assert hand_in(app, token)[0] == 201
    with database.writing() as session:
        session.add(Spent(submission=new_id(), at=now(), **spent))
    status, problem = hand_in(app, token)
    assert status == 429
    assert f"budget.{part}" in str(problem["problems"])


def test_bytes_stored_are_counted_to_the_last(app: Flask, database: Database, organisation: str, token: str) -> None:
    budgets.set_budget(database, organisation, actor="test", bytes=150, cells=0)
    assert hand_in(app, token)[0] == 201
    assert hand_in(app, token, b"x" * 51)[0] == 413
    assert hand_in(app, token, b"x" * 50)[0] == 201


def test_what_an_assessment_took_is_recorded_with_its_end(database: Database, organisation: str) -> None:
    queue.add(database, submission_id="1" * 32, name="n", size=1, digest="0" * 64, actor="t", organisation=organisation)
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    result = queue.Result(
        system="s", version="1", risk_class="minimal", beyond=0, undecided=0, within=0, folder="f",
        dossier_digest="0" * 64, evidence_digest="0" * 64, outbox_key="k", cpu_seconds=12.5, builds=1,
    )  # fmt: skip
    assert queue.finish(database, claimed, result, actor="w")
    assert not queue.finish(database, claimed, result, actor="w")
    with database.reading() as session:
        (spent,) = session.scalars(select(Spent)).all()
    assert (spent.cpu_seconds, spent.builds) == (12.5, 1)


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_the_page_of_an_organisation_shows_its_budget(app: Flask, organisation: str, token: str, lang: str) -> None:
    hand_in(app, token)
    page = signed_in(app).get(f"/{lang}/organisations/{organisation}").text
    assert "Municipality" in page
    assert "100" in page


def test_a_webhook_is_added_with_its_secret_shown_once(
    app: Flask, organisation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, page = signed_in(app), f"/en/organisations/{organisation}"
    refused = client.post(f"{page}/webhooks", data={"csrf": "known", "address": "https://127.0.0.1/"})
    assert refused.status_code == 422
    monkeypatch.setattr("sandbox.outgoing.look_up", lambda _address: None)
    made = client.post(f"{page}/webhooks", data={"csrf": "known", "address": "https://hook.example/"})
    assert made.status_code == 201
    assert "whsec_" in made.text
    assert "whsec_" not in client.get(page).text
    assert client.post(f"{page}/webhooks", data={"address": "https://hook.example/"}).status_code == 400


def test_an_organisation_registers_itself_once_where_the_operator_allows_it(app: Flask, database: Database) -> None:
    client = app.test_client()
    with client.session_transaction() as kept:
        kept["csrf"] = "known"
    form = {"csrf": "known", "organisation": "Startup", "name": "Bo", "login": "bo", "password": PASSWORD}
    assert client.post("/nl/register", data={**form, "password": "short"}).status_code == 422
    made = client.post("/nl/register", data=form)
    assert made.status_code == 303
    assert "Startup" in client.get(made.location).text
    with database.reading() as session:
        (row,) = session.scalars(select(Organisation)).all()
    assert row.registered_by is not None
    with client.session_transaction() as kept:
        kept["csrf"] = "known"
    assert client.post("/nl/register", data={"csrf": "known", "organisation": "Second"}).status_code == 422


def test_nobody_registers_where_the_operator_does_not_allow_it(settings: Settings) -> None:
    migrate(settings)
    client = create_app(replace(settings, registration=0)).test_client()
    assert client.get("/en/register").location.endswith("/sign-in")
    assert "/register" not in client.get("/en/sign-in").text


def test_a_limit_holds_over_processes(database: Database, settings: Settings) -> None:
    here, there = Limit(database, "x", 3, 60), Limit(Database(settings), "x", 3, 60)
    assert [here.allows("a"), there.allows("a"), here.allows("a"), there.allows("a")] == [True, True, True, False]
    assert there.allows("b")
    assert Limit(database, "y", 3, 60).allows("a")
