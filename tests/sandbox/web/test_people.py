"""People sign in, and stay locked out where they should; roles, tokens and passwords, through the pages."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from sandbox.app import create_app
from sandbox.cli import main
from sandbox.errors import CannotStart
from sandbox.records import audit
from sandbox.records.database import Database
from sandbox.records.tables import ApiToken, FailedSignIn, Person, SignedIn, now
from sandbox.review import people
from sandbox.review.permissions import Permission, Role
from sandbox.settings import Settings

PASSWORD = "four words that differ"  # of people who exist in a test


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "HASH", "argon2id:1:8:1")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, accounts="local", listen="127.0.0.1:8080")


def person(database: Database, login: str = "ada", role: Role = Role.OWNER, organisation: str = "Municipality") -> str:
    made = people.create_person(database, login=login, name=login.title(), password=PASSWORD, actor="test")
    into = people.create_organisation(database, name=organisation, actor="test")
    people.give_role(database, person_id=made, organisation_id=into, role=role, actor="test")
    return made


def csrf(client: FlaskClient, page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(page).text)
    assert found is not None
    return found[1]


def post(client: FlaskClient, path: str, page: str, **form: Any) -> TestResponse:
    return client.post(path, data={"csrf": csrf(client, page), **form})


def enter(client: FlaskClient, login: str = "ada", password: str = PASSWORD, **more: str) -> TestResponse:
    return post(client, "/en/sign-in", "/en/sign-in", login=login, password=password, **more)


def test_a_person_signs_in_and_out_and_is_led_to_where_they_wanted(client: FlaskClient, database: Database) -> None:
    person(database)
    sent = client.get("/nl/submissions")
    assert sent.location.endswith("/nl/sign-in?next=/nl/submissions")
    assert 'name="next" value="/nl/submissions"' in client.get(sent.location).text
    assert enter(client, "Ada ", next="/nl/submissions").location == "/nl/submissions"
    assert "Ada" in client.get("/en/").text
    assert client.get("/en/sign-in").status_code == 303
    assert post(client, "/en/sign-out", "/en/account").status_code == 303
    assert client.get("/en/account").status_code == 303


@pytest.mark.parametrize("onward", ["https://evil.example/", "//evil.example", "/en/\\evil", "/api/v1/x", "/en/?x=//e"])
def test_signing_in_leads_nowhere_else(client: FlaskClient, database: Database, onward: str) -> None:
    person(database)
    assert enter(client, next=onward).location == "/en/"


def test_a_session_is_new_at_each_sign_in_and_its_secret_is_not_kept(client: FlaskClient, database: Database) -> None:
    person(database)
    with client.session_transaction() as kept:
        kept["secret"] = "fixed by somebody else"
    enter(client)
    with client.session_transaction() as kept:
        secret = kept["secret"]
    assert secret != "fixed by somebody else"
    with database.reading() as session:
        rows = session.scalars(select(SignedIn)).all()
    assert [row.digest for row in rows] == [people.digest(secret)]
    assert secret not in str([vars(row) for row in rows])


def test_a_session_ends_when_it_is_idle_or_old(client: FlaskClient, database: Database) -> None:
    person(database)
    for field, age in (("seen", people.IDLE), ("begun", people.LONGEST_SESSION)):
        enter(client)
        assert client.get("/en/account").status_code == 200
        with database.writing() as session:
            for row in session.scalars(select(SignedIn)):
                setattr(row, field, now() - age - dt.timedelta(seconds=1))
        assert client.get("/en/account").status_code == 303
        with client.session_transaction() as kept:
            kept.clear()


def test_wrong_names_and_wrong_passwords_look_alike_and_lock_alike(client: FlaskClient, database: Database) -> None:
    person(database)
    for login in ("ada", "nobody"):
        pages = [enter(client, login, "wrong wrong wrong") for _ in range(people.FAILURES)]
        assert {page.status_code for page in pages} == {422}
        assert enter(client, login).status_code == 422, "locked, even with the right password"
    with database.writing() as session:
        for row in session.scalars(select(FailedSignIn)):
            row.last = now() - people.LOCKED
    assert enter(client, "ada").status_code == 303
    with database.reading() as session:
        assert audit.verify(session) == ()


def test_one_address_cannot_try_for_ever(client: FlaskClient, database: Database) -> None:
    person(database)
    statuses = [enter(client, f"guess{i}", "x").status_code for i in range(32)]
    assert statuses[:30] == [422] * 30
    assert statuses[30:] == [429, 429]


def test_a_password_is_kept_as_a_slow_hash_and_a_weak_one_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    person(database)
    with database.reading() as session:
        kept = session.scalars(select(Person.password)).one()
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in kept
    monkeypatch.undo()
    cost = [int(part) for part in people.HASH.split(":")[1:]]
    assert cost[0] >= 3
    assert cost[1] >= 2**16
    for password, code in (("short", "short"), ("x" * 201, "long"), ("long.login.name", "same_as_login")):
        with pytest.raises(people.Unfit) as unfit:
            people.create_person(database, login="long.login.name", name="x", password=password, actor="test")
        assert unfit.value.code == code


def test_a_new_password_ends_all_other_sessions(app: Flask, database: Database) -> None:
    person(database)
    here, elsewhere = app.test_client(), app.test_client()
    enter(here)
    enter(elsewhere)
    form = {"old": PASSWORD, "new": "quite another one", "again": "quite another one"}
    assert post(here, "/en/account/password", "/en/account", **{**form, "old": "wrong"}).status_code == 422
    assert post(here, "/en/account/password", "/en/account", **{**form, "again": "differs"}).status_code == 422
    assert elsewhere.get("/en/account").status_code == 200
    assert post(here, "/en/account/password", "/en/account", **form).status_code == 200
    assert here.get("/en/account").status_code == 200
    assert elsewhere.get("/en/account").status_code == 303
    assert enter(elsewhere, password="quite another one").status_code == 303


def test_a_person_who_is_added_must_choose_their_own_password_first(app: Flask, database: Database) -> None:
    person(database)
    owner, added = app.test_client(), app.test_client()
    enter(owner)
    organisation = people.create_organisation(database, name="Municipality", actor="test")
    page = post(
        owner, f"/nl/organisations/{organisation}/members", "/nl/people", login="Bo", name="<b>Bo", role="reviewer"
    )
    assert page.status_code == 201
    assert "&lt;b&gt;Bo" in page.text
    drawn = re.search(r"<code>((?:[0-9a-f]{4}-){4}[0-9a-f]{4})</code>", page.text)
    assert drawn is not None
    assert drawn[1] not in owner.get("/nl/people").text
    enter(added, "bo", drawn[1])
    assert added.get("/en/submissions").location.endswith("/en/account")
    form = {"old": drawn[1], "new": PASSWORD, "again": PASSWORD}
    assert post(added, "/en/account/password", "/en/account", **form).status_code == 200
    assert added.get("/en/submissions").status_code == 200
    assert added.get("/en/people").status_code == 403


def test_nobody_is_removed_who_is_the_last_to_manage(client: FlaskClient, database: Database) -> None:
    first = person(database)
    second = person(database, "bo", Role.REVIEWER)
    organisation = people.create_organisation(database, name="Municipality", actor="test")
    enter(client)
    members = f"/en/organisations/{organisation}/members"
    assert post(client, f"{members}/{first}/remove", "/en/people").status_code == 422
    assert post(client, f"{members}/{second}/remove", "/en/people").status_code == 303
    assert [m.login for m in people.members(database, organisation)] == ["ada"]


def test_one_person_has_other_roles_in_other_organisations(client: FlaskClient, database: Database) -> None:
    made = person(database, "ada", Role.REVIEWER)
    other = people.create_organisation(database, name="Startup", actor="test")
    people.give_role(database, person_id=made, organisation_id=other, role=Role.SUBMITTER, actor="test")
    enter(client)
    page = client.get("/en/account").text
    assert "reads reports" in page
    assert "hands in" in page
    assert "Hand in a submission" in client.get("/en/").text


def test_a_token_is_shown_once_acts_in_its_scope_and_ends(client: FlaskClient, database: Database) -> None:
    person(database)
    organisation = people.create_organisation(database, name="Municipality", actor="test")
    enter(client)
    page = post(client, "/en/account/tokens", "/en/account", name="build", scope=f"read:{organisation}", days="7")
    token = re.search(r"<code>(aiact_[\w-]{43})</code>", page.text)
    assert token is not None
    assert token[1] not in client.get("/en/account").text
    program = {"headers": {"Authorization": f"Bearer {token[1]}"}}
    fresh = client.application.test_client()
    assert fresh.get("/api/v1/submissions", **program).get_json() == {"submissions": [], "next": None}
    refused = fresh.post("/api/v1/submissions", data=b"x", content_type="application/zip", **program)
    assert refused.status_code == 403
    assert client.get("/api/v1/submissions").status_code == 401, "a browser's session is no token"
    with database.writing() as session:
        row = session.scalars(select(ApiToken)).one()
        assert token[1] not in str(vars(row))
        row.until = now()
        row_id = row.id
    gone = fresh.get("/api/v1/submissions", **program)
    assert gone.status_code == 401
    assert gone.headers["WWW-Authenticate"] == "Bearer"
    assert gone.mimetype == "application/problem+json"
    assert post(client, f"/en/account/tokens/{row_id}/end", "/en/account").status_code == 303
    assert people.tokens_of(database, row.person) == []


@pytest.mark.parametrize(
    "form",
    [
        {"name": "", "scope": "read:{}", "days": "7"},
        {"name": "x", "scope": "all:{}", "days": "7"},
        {"name": "x", "scope": "read:elsewhere", "days": "7"},
        {"name": "x", "scope": "read:{}", "days": "0"},
        {"name": "x", "scope": "read:{}", "days": "366"},
        {"name": "x", "scope": "read:{}", "days": "\u00b2"},
    ],
)
def test_a_token_for_more_than_one_may_is_not_made(
    client: FlaskClient, database: Database, form: dict[str, str]
) -> None:
    person(database)
    organisation = people.create_organisation(database, name="Municipality", actor="test")
    enter(client)
    given = {**form, "scope": form["scope"].format(organisation)}
    assert post(client, "/en/account/tokens", "/en/account", **given).status_code == 422
    with database.reading() as session:
        assert session.scalars(select(ApiToken)).all() == []


def test_a_service_without_accounts_listens_on_this_machine_alone(settings: Settings) -> None:
    for listen in ("0.0.0.0:8080", "192.0.2.1:80", "[::]:8080", "sandbox.example.org:80"):
        with pytest.raises(ValueError, match="AIACT_SANDBOX_ACCOUNTS"):
            create_app(replace(settings, accounts="off", listen=listen))
        assert create_app(replace(settings, accounts="local", listen=listen)).config["SESSION_COOKIE_SECURE"]
    with pytest.raises(ValueError, match="accounts"):
        create_app(replace(settings, accounts="ldap"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"oidc_issuer": ""}, "OIDC_ISSUER"),
        ({"oidc_issuer": "sso.example.org"}, "must be an address"),
        ({"oidc_secret_file": "/nowhere/secret"}, "/nowhere/secret cannot be read"),
    ],
)
def test_a_provider_that_cannot_be_asked_with_the_settings_is_refused_at_the_start(
    settings: Settings, wrong: dict[str, str], says: str
) -> None:
    given = {"accounts": "oidc", "oidc_issuer": "https://sso.example.org", "oidc_client": "c"}
    with pytest.raises(CannotStart, match=says):
        create_app(replace(settings, **{**given, **wrong}))  # type: ignore[arg-type]  # all of them are texts


def test_a_setting_that_is_none_is_named_in_plain_words_by_every_command() -> None:
    told = CliRunner().invoke(main, ["questions"], env={"AIACT_SANDBOX_BUDGET_CELLS": "many"})
    assert told.exit_code == 4
    assert told.output.strip() == "AIACT_SANDBOX_BUDGET_CELLS must be a whole number, not 'many'"


def test_the_first_person_is_made_on_the_command_line(
    client: FlaskClient, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "create-user" in client.get("/en/sign-in").text
    monkeypatch.setenv("AIACT_SANDBOX_STATE", str(settings.state))
    monkeypatch.setenv("AIACT_SANDBOX_ACCOUNTS", "local")
    make = ["admin", "create-user", "ada", "--organisation", "Municipality", "--password-stdin"]
    assert CliRunner().invoke(main, make, input="short\n").exit_code == 2
    assert CliRunner().invoke(main, make, input=f"{PASSWORD}\n").exit_code == 0
    assert "create-user" not in client.get("/en/sign-in").text
    enter(client)
    assert "Municipality" in client.get("/en/people").text
    reset = ["admin", "set-password", "ada", "--password-stdin"]
    assert CliRunner().invoke(main, reset, input="one drawn for her\n").exit_code == 0
    assert client.get("/en/people").status_code == 303
    enter(client, password="one drawn for her")
    assert client.get("/en/people").location.endswith("/en/account")


def test_an_old_hash_is_taken_once_and_replaced_at_sign_in(client: FlaskClient, database: Database) -> None:
    from werkzeug.security import generate_password_hash

    person(database)
    with database.writing() as session:
        session.scalars(select(Person)).one().password = generate_password_hash(PASSWORD, "scrypt:1024:8:1")
    assert enter(client, password="another one altogether").status_code == 422
    with database.reading() as session:
        assert session.scalars(select(Person.password)).one().startswith("scrypt:")
    assert enter(client).status_code == 303
    with database.reading() as session:
        assert session.scalars(select(Person.password)).one().startswith("$argon2id$")
    assert people.sign_in(database, login="ada", password=PASSWORD) is not None


def test_an_account_without_a_password_takes_none(database: Database) -> None:
    people.sign_in_elsewhere(database, issuer="https://i.example", subject="s", name="S", mail="")
    with database.reading() as session:
        login = session.scalars(select(Person.login)).one()
    assert people.sign_in(database, login=login, password="") is None
    assert people.sign_in(database, login=login, password=PASSWORD) is None


def test_a_person_is_somebody_else_in_another_organisation(database: Database) -> None:
    made = person(database, role=Role.OWNER)
    there = people.create_organisation(database, name="Other", actor="test")
    people.give_role(database, person_id=made, organisation_id=there, role=Role.AUDITOR, actor="test")
    who = people.identify(database, people.sign_in(database, login="ada", password=PASSWORD) or "")
    assert who is not None
    here = people.organisation_of(database, "Municipality")
    assert who.holds(Permission.SUBMIT, here)
    assert not who.holds(Permission.SUBMIT, there)
    assert who.holds(Permission.READ, there)


def test_the_operator_sets_a_budget(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    person(database)
    monkeypatch.setenv("AIACT_SANDBOX_STATE", str(settings.state))
    monkeypatch.setenv("AIACT_SANDBOX_DATABASE_URL", settings.database_url)
    done = CliRunner().invoke(main, ["admin", "set-budget", "Municipality", "--cells", "3"])
    assert done.exit_code == 0, done.output
    assert "0 used of 3" in done.output
    assert CliRunner().invoke(main, ["admin", "set-budget", "Nobody"]).exit_code == 2
