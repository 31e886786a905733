"""The API is asked what its description allows and what it does not; every answer is one that the description has."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import schemathesis
import waitress  # type: ignore[import-untyped]  # ships no types
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import strategies
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from sandbox import outgoing
from sandbox.api.description import OPERATIONS
from sandbox.app import create_app
from sandbox.engine import run
from sandbox.records import queue
from sandbox.records.database import Database, migrate
from sandbox.review import people
from sandbox.review.permissions import Role
from sandbox.settings import Settings
from tests.make.queued import hand_in

API = "/api/v1/submissions"
PASSWORD = "four words that differ"  # of a person who exists in a test


schemathesis.openapi.media_type("application/zip", strategies.binary(min_size=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A service with accounts, tokens to hand in and for webhooks, and ended submissions, the oldest first."""

    app: Flask
    token: str
    manages: str
    submissions: tuple[str, ...]

    def get(self, path: str, **more: Any) -> Any:
        client: FlaskClient = self.app.test_client()
        return client.get(path, headers={"Authorization": f"Bearer {self.token}"}, **more)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    yield from started(tmp_path_factory)


@pytest.fixture
def asked_at_random(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    yield from started(tmp_path_factory)


def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    kept = replace(
        Settings.from_environment(),
        state=tmp_path_factory.mktemp("api"),
        mlflow_tracking_uri="",
        accounts="local",
        listen="127.0.0.1:8080",
        upload_bytes=200_000,
    )
    migrate(kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "HASH", "argon2id:1:8:1")
        # Whoever asks what is allowed and what is not asks often.
        patch.setattr("sandbox.web.limits.Limit.allows", lambda *_: True)
        # All names are out on the internet.
        out = functools.partial(outgoing.look_up, resolve=lambda *_: ["93.184.216.34"])
        patch.setattr(outgoing, "look_up", out)
        app = create_app(kept)
        database: Database = app.extensions["aiact_sandbox"].database
        organisation = people.create_organisation(database, name="Municipality", actor="test")
        person = people.create_person(database, login="ada", name="Ada", password=PASSWORD, actor="test")
        people.give_role(database, person_id=person, organisation_id=organisation, role=Role.OWNER, actor="test")
        identity = people.identify(database, people.sign_in(database, login="ada", password=PASSWORD) or "")
        assert identity is not None
        token, manages = (
            people.make_token(database, identity, name="t", organisation_id=organisation, scope=scope, days=1)
            for scope in ("submit", "webhooks")
        )
        made = []
        for name, entry in (("100% sure.zip", "quick"), ("second.zip", "quick"), ("third.zip", "refused")):
            submission = hand_in(kept, database, b"Benefits", name, organisation=organisation, by=person)
            claimed = queue.claim(database, worker="test")
            assert claimed is not None
            run(submission, kept, token=claimed.token, entry=f"tests.make.runs:{entry}")
            made.append(submission)
        yield Known(app=app, token=token, manages=manages, submissions=tuple(made))
        database.close()


@pytest.mark.network
def test_every_answer_is_one_that_the_description_has(asked_at_random: Known) -> None:
    known = asked_at_random
    asked_with = {"Authorization": f"Bearer {known.token}"}
    chosen = SchemathesisConfig.from_dict(
        {
            "headers": asked_with,
            "operations": [
                {
                    "include-path-regex": "webhooks",
                    "headers": {"Authorization": f"Bearer {known.manages}"},
                    # No description can say which addresses are out on the internet.
                    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "422"]}},
                }
            ],
            "parameters": {"path.submission_id": known.submissions[0]},
            "generation": {"mode": "all", "max-examples": 12, "deterministic": True, "database": "none"},
        }
    )
    server = waitress.create_server(known.app, host="127.0.0.1", port=0)
    threading.Thread(target=server.run, daemon=True).start()
    address = f"http://127.0.0.1:{server.effective_port}/api/v1/openapi.json"
    described = schemathesis.openapi.from_url(address, config=chosen)
    asked: Counter[str] = Counter()
    wrong = []
    for event in from_schema(described).execute():
        assert not isinstance(event, NonFatalError | FatalError), event
        if isinstance(event, ScenarioFinished):
            asked[event.recorder.label] += len(event.recorder.interactions)
            wrong += [
                (event.recorder.label, check.name, check.failure_info.failure, check.failure_info.code_sample)
                for checks in event.recorder.checks.values()
                for check in checks
                if check.failure_info is not None
            ]
    server.close()
    assert not wrong, "\n\n".join(map(str, wrong))
    assert {f"{o.method.upper()} {o.path}" for o in OPERATIONS if not o.is_open} <= set(asked)


def test_a_list_is_read_page_by_page_and_searched(known: Known) -> None:
    oldest, second, third = known.submissions
    pages, following = [], ""
    while True:
        page = known.get(f"{API}?limit=2{following}").get_json()
        pages.append([s["id"] for s in page["submissions"]])
        if page["next"] is None:
            break
        following = f"&after={page['next']}"
    read = [one for page in pages for one in page]
    assert {len(page) for page in pages[:-1]} == {2}
    assert len(set(read)) == len(read)
    # Other tests may have handed in more.
    assert [one for one in read if one in known.submissions] == [third, second, oldest]

    def found(query: str) -> list[str]:
        listed = known.get(f"{API}?{query}").get_json()["submissions"]
        return [s["id"] for s in listed if s["id"] in known.submissions]

    assert found("q=100%25") == [oldest]
    assert found("q=%25") == [oldest], "a sign that means anything in SQL means itself here"
    assert found("q=BENEFIT") == [second, oldest], "by the name of the system"
    assert found("state=refused") == [third]
    assert found("state=done&q=second") == [second]


def test_a_page_is_not_read_on_from_what_others_have(known: Known) -> None:
    assert known.get(f"{API}?after={'0' * 32}").status_code == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "state=none", "after=x", "q=a%00b"])
def test_a_query_that_is_wrong_is_refused_by_name(known: Known, query: str) -> None:
    answer = known.get(f"{API}?{query}")
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert query.partition("=")[0] in answer.get_json(force=True)["detail"]


@pytest.mark.parametrize("days", ["0", "36501", "9" * 40])
def test_days_that_no_record_can_hold_are_refused(known: Known, days: str) -> None:
    answer = known.app.test_client().post(
        f"{API}?retention_days={days}",
        data=b"Benefits",
        content_type="application/zip",
        headers={"Authorization": f"Bearer {known.token}"},
    )
    assert answer.status_code == 422
    assert "retention_days" in answer.get_json(force=True)["detail"]


def test_each_file_of_a_dossier_is_listed_and_fetched(known: Known) -> None:
    listed = known.get(f"{API}/{known.submissions[0]}/files").get_json()["files"]
    assert "dossier.json" in [f["name"] for f in listed]
    for file in listed:
        answer = known.get(file["address"])
        assert answer.status_code == 200, file
        assert len(answer.data) == file["bytes"]
    assert known.get(f"{API}/{known.submissions[2]}/files").status_code == 404


def test_the_stream_of_one_that_is_over_says_so_and_ends(known: Known) -> None:
    answer = known.get(f"{API}/{known.submissions[2]}/events")
    assert answer.mimetype == "text/event-stream"
    assert '"state": "refused"' in answer.text
    assert '"over": true' in answer.text


def test_a_name_with_a_null_character_is_kept_without_it(known: Known) -> None:
    answer = known.app.test_client().post(
        f"{API}?name=a%00b.zip",
        data=b"Benefits",
        content_type="application/zip",
        headers={"Authorization": f"Bearer {known.token}"},
    )
    assert answer.get_json()["name"] == "a\ufffdb.zip"
