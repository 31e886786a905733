"""Every page and every operation against every role and a stranger: who gets in is what the table says, and no more."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from sandbox.app import create_app
from sandbox.drafting import writing
from sandbox.engine import run
from sandbox.records import drafts, queue
from sandbox.records.database import Database, migrate
from sandbox.review import people
from sandbox.review.permissions import ROLES, ROUTES, SCOPES, Access, Permission, Role, allowed
from sandbox.settings import Settings
from sandbox.web import mlflow_pages
from tests.make.queued import hand_in

PASSWORD = "four words that differ"  # of people who exist in a test
STRANGER, ELSEWHERE = "stranger", "owner of another organisation"
EVERYBODY = (*Role, STRANGER, ELSEWHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A service with accounts: two organisations, a person per role, and a finished submission of the first."""

    app: Flask
    database: Database
    settings: Settings
    organisation: str
    submission: str
    draft: str
    file: str
    sessions: dict[str, str]
    tokens: dict[tuple[str, str], str]
    person: str
    member: str


class Nothing:
    """What an MLflow server without experiments answers."""

    status_code = 200
    headers: ClassVar[dict[str, str]] = {}

    def json(self) -> dict[str, Any]:
        return {"experiments": []}

    def iter_content(self, _: int) -> Iterator[bytes]:
        yield b"{}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    base = Settings.from_environment()
    settings = replace(
        base,
        state=tmp_path_factory.mktemp("world"),
        mlflow_tracking_uri="http://mlflow.invalid",
        accounts="local",
        listen="127.0.0.1:8080",
    )
    migrate(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "HASH", "argon2id:1:8:1")
        patch.setattr(mlflow_pages.Reader, "ask", lambda *_, **__: Nothing())
        app = create_app(settings)
        database: Database = app.extensions["aiact_sandbox"].database
        here = people.create_organisation(database, name="Municipality", actor="test")
        there = people.create_organisation(database, name="Startup", actor="test")
        sessions: dict[str, str] = {}
        tokens: dict[tuple[str, str], str] = {}
        persons: dict[str, str] = {}
        for who in (*Role, ELSEWHERE):
            login = str(who).replace(" ", "_")
            person = people.create_person(database, login=login, name=login, password=PASSWORD, actor="test")
            role = who if isinstance(who, Role) else Role.OWNER
            people.give_role(
                database,
                person_id=person,
                organisation_id=here if isinstance(who, Role) else there,
                role=role,
                actor="test",
            )
            secret = people.sign_in(database, login=login, password=PASSWORD)
            assert secret is not None
            sessions[who], persons[who] = secret, person
            identity = people.identify(database, secret)
            assert identity is not None
            where = here if isinstance(who, Role) else there
            for scope in SCOPES:
                if SCOPES[scope] <= allowed(frozenset({role})):
                    tokens[who, scope] = people.make_token(
                        database, identity, name="t", organisation_id=where, scope=scope, days=1
                    )
        by = persons[Role.SUBMITTER]
        submission = hand_in(settings, database, b"Benefits", "a secret name.zip", organisation=here, by=by)
        claimed = queue.claim(database, worker="test")
        assert claimed is not None
        run(submission, settings, token=claimed.token, entry="tests.make.runs:quick")
        content = {"terms": {"personal_data": "no", "accepted": writing.TERMS_VERSION}}
        draft = drafts.begin(database, actor="test", organisation=here, content=content)
        file = drafts.add_file(
            database, settings, draft, kind="document", name="a secret note.md", size=9, actor="test"
        )
        assert file is not None
        for section in ("terms", "files", "columns", "questionnaire"):
            drafts.assign(database, draft, section, persons[Role.MEMBER], actor="test")
        yield World(
            app=app,
            database=database,
            settings=settings,
            organisation=here,
            submission=submission,
            draft=draft,
            file=file.id,
            sessions=sessions,
            tokens=tokens,
            person=persons[Role.REVIEWER],
            member=persons[Role.MEMBER],
        )
        database.close()


def walked(app: Flask) -> list[tuple[str, str]]:
    """List every endpoint with each of its methods."""
    return sorted(
        (rule.endpoint, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


def address(rule: Rule, world: World) -> str:
    values = {
        "lang": "en",
        "submission_id": world.submission,
        "other_id": world.submission,
        "organisation_id": world.organisation,
        "person_id": "0" * 32,
        "token_id": "0" * 32,
        "hook_id": "0" * 32,
        "of": "en",
        "name": "dossier.json",
        "filename": "style.css",
        "block": "scope",
        "path": "ajax-api/2.0/mlflow/experiments/search",
        "draft_id": world.draft,
        "section": "terms",
        "file_id": world.file if rule.endpoint == "wizard_files.part" else "0" * 32,
    }
    return re.sub(r"<(?:[^:<>]+:)?([a-z_]+)>", lambda m: values[m[1]], rule.rule)


def as_person(world: World, who: str) -> FlaskClient:
    client = world.app.test_client()
    with client.session_transaction() as kept:
        kept["csrf"] = "known"
        if who in world.sessions:
            kept["secret"] = world.sessions[who]
    return client


def token_of(world: World, who: str, endpoint: str) -> str | None:
    """Give the token that may most of what an address asks; any other where none may it."""
    theirs = {scope: token for (of, scope), token in world.tokens.items() if of == who}
    fitting = [scope for scope in theirs if ROUTES[endpoint] in SCOPES[scope]]
    return theirs.get((fitting or list(theirs) or [""])[-1])


def call(world: World, who: str, endpoint: str, method: str) -> TestResponse:
    rule = next(r for r in world.app.url_map.iter_rules() if r.endpoint == endpoint and method in (r.methods or ()))
    more: dict[str, Any] = {}
    if endpoint.startswith("api."):
        token = token_of(world, who, endpoint)
        more["headers"] = {"Authorization": f"Bearer {token}"} if token else {}
        if endpoint == "api.submit":
            more |= {"data": b"Benefits", "content_type": "application/zip"}
        if endpoint == "api.add_webhook":
            more["json"] = {"address": "https://127.0.0.1/"}
    elif endpoint in ("wizard_files.create", "wizard_files.part"):
        more["headers"] = {
            "X-CSRF-Token": "known",
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": "0",
            "Upload-Length": "1",
        }
        more["headers"] |= {"Upload-Metadata": "kind ZG9jdW1lbnQ=", "Content-Type": "application/offset+octet-stream"}
    elif endpoint == "mlflow.read" and method == "POST":
        more["json"] = {}
    elif method == "POST":
        # A form that is wrong on purpose: what is asked is who gets as far as having it read.
        more["data"] = {"csrf": "known", "role": "none", "login": "!", "password": "x", "status": "in_review"}
        if endpoint == "wizard.assign":
            # It stays with whom it is assigned to: what that person may do is asked too.
            more["data"]["person"] = world.member
        if endpoint == "wizard.keep":
            # What is asked of the pages after it needs the terms.
            more["data"] |= {"personal_data": "no", "accept": writing.TERMS_VERSION}
        if endpoint == "pages.submit":
            more["data"]["submission"] = (io.BytesIO(b"Benefits"), "b.zip")
            more["content_type"] = "multipart/form-data"
    return as_person(world, who).open(address(rule, world), method=method, **more)


def test_every_route_has_a_row_and_every_row_a_route(app: Flask) -> None:
    assert {endpoint for endpoint, _ in walked(app)} == set(ROUTES)


def test_a_route_without_a_row_answers_nobody(app: Flask) -> None:
    app.add_url_rule("/en/new", "new", lambda: "open")
    assert app.test_client().get("/en/new").status_code == 404


@pytest.mark.parametrize("who", EVERYBODY)
def test_each_role_gets_where_the_table_lets_it_and_nowhere_else(world: World, who: str) -> None:
    for endpoint, method in walked(world.app):
        # These end what the others need.
        if endpoint in ("accounts.sign_out", "accounts.change_password"):
            continue
        answer = call(world, who, endpoint, method)
        seen = f"{method} {endpoint} as {who}: {answer.status_code}"
        access, is_api = ROUTES[endpoint], endpoint.startswith("api.")
        in_address = {"submission_id", "organisation_id", "draft_id"} & set(
            next(r for r in world.app.url_map.iter_rules() if r.endpoint == endpoint).arguments
        )
        has_key = bool(token_of(world, who, endpoint)) if is_api else who in world.sessions
        if access is Access.ANYONE or access is Access.STRANGER_WITH_ACCOUNTS:
            assert answer.status_code in (200, 302, 303, 422), seen
        elif not has_key:
            assert answer.status_code == (401 if is_api else 303), seen
            assert is_api or "/sign-in" in answer.location, seen
        elif access is Access.PERSON:
            assert answer.status_code in (200, 303, 422, 404 if endpoint == "accounts.end_token" else 200), seen
        elif endpoint == "api.remove_webhook" and isinstance(access, Permission):
            role = Role.OWNER if who == ELSEWHERE else Role(who)
            assert answer.status_code == (404 if access in ROLES[role] else 403), seen
        elif who == ELSEWHERE and in_address:
            assert answer.status_code == 404, seen
        elif who == ELSEWHERE:
            assert isinstance(access, Permission)
            may = access in ROLES[Role.OWNER]
            # The address of a webhook is wrong on purpose.
            may_be = (422,) if endpoint == "api.add_webhook" else (200, 201, 303)
            assert answer.status_code in (may_be if may else (403,)), seen
        else:
            assert isinstance(access, Permission)
            role = Role(who)
            if access in ROLES[role]:
                assert answer.status_code in (200, 201, 202, 204, 303, 422), seen
            elif in_address == {"draft_id"} and role is Role.MEMBER:
                assert answer.status_code == 403, seen
            elif in_address & {"submission_id", "draft_id"} and Permission.READ not in ROLES[role]:
                assert answer.status_code == 404, seen
            else:
                assert answer.status_code == 403, seen


def test_what_others_have_is_told_apart_from_nothing_by_nobody(world: World) -> None:
    outside = as_person(world, ELSEWHERE)
    for path in ("", "/report", "/events", "/dossier.zip", "/files/dossier.json", "/card/model_card.en.html"):
        there = outside.get(f"/en/submissions/{world.submission}{path}")
        nothing = outside.get(f"/en/submissions/{'0' * 32}{path}")
        assert there.status_code == nothing.status_code == 404
        assert there.text.replace(world.submission, "") == nothing.text.replace("0" * 32, "")
    own = call(world, ELSEWHERE, "api.submit", "POST").get_json()["id"]
    for name in ("", "/comparison.html"):
        beside = outside.get(f"/en/submissions/{own}/compare/{world.submission}{name}")
        assert beside.status_code == outside.get(f"/en/submissions/{own}/compare/{'0' * 32}{name}").status_code == 404
    for page in ("/en/", "/en/submissions", "/en/people"):
        assert world.submission not in outside.get(page).text
        assert "Municipality" not in outside.get(page).text
    listed = outside.get("/api/v1/submissions", headers={"Authorization": f"Bearer {world.tokens[ELSEWHERE, 'read']}"})
    assert world.submission not in listed.text


def test_who_read_a_report_is_in_the_audit_log(world: World) -> None:
    from sqlalchemy import select

    from sandbox.records import audit
    from sandbox.records.tables import AuditEntry

    as_person(world, Role.REVIEWER).get(f"/en/submissions/{world.submission}/report")
    with world.database.reading() as session:
        read = session.scalars(select(AuditEntry).where(AuditEntry.action == "dossier.read")).all()
        assert ("person:reviewer", world.submission) in {(entry.actor, entry.subject) for entry in read}
        assert audit.verify(session) == ()
