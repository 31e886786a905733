"""Assessments in a real MLflow server, and its pages as people of two organisations see them through the service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from flask.testing import FlaskClient
from waitress.server import create_server

from sandbox.app import create_app
from sandbox.records import mlflow_log
from sandbox.records.database import Database, migrate
from sandbox.records.examination import examine
from sandbox.records.tables import new_id
from sandbox.review import people
from sandbox.review.permissions import Role
from sandbox.settings import Settings
from sandbox.web import mlflow_pages
from tests.conftest import ROOT
from tests.make import postgres, runs
from tests.make.s3 import bucket as make_bucket
from tests.make.waiting import free_port, until_it_answers

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]

PASSWORD = "four words that differ"
ACCOUNT = "service:a % word: of MLflow's"


@pytest.fixture(scope="module")
def stores(postgres_server: str, s3: dict[str, str]) -> Iterator[tuple[str, str]]:
    """A database of PostgreSQL and a bucket of S3, both empty."""
    with postgres.fresh(postgres_server) as url:
        yield url, make_bucket(f"mlflow-{new_id()[:12]}")


@pytest.fixture(scope="module")
def server(stores: tuple[str, str], s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking server of MLflow's own with one account, its runs in PostgreSQL and its artifacts in S3."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    account = folder / "account"
    account.write_text(ACCOUNT)
    command = [
        *(str(ROOT / "docs/operating/serve-mlflow"), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", stores[0], "--artifacts-destination", f"{stores[1]}/artifacts"),
    ]
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, **mlflow_log.ENVIRONMENT, "MLFLOW_S3_ENDPOINT_URL": s3["AWS_ENDPOINT_URL"]}
        environment |= {"MLFLOW_CREDENTIAL_FILE": str(account), "MLFLOW_ACCOUNTS": f"sqlite:///{folder}/accounts.db"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        # Processes for jobs of MLflow's own, which nothing here asks for.
        environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        until_it_answers(f"{address}/health", process)
        yield address
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def installation(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, dict[str, str]]]:
    """A service with two organisations, each with a person who reads, and one assessed system of the same name."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "account").write_text(ACCOUNT)
    settings = Settings(
        state=folder / "state",
        accounts="local",
        listen="127.0.0.1:8080",
        mlflow_tracking_uri=server,
        mlflow_credential_file=str(folder / "account"),
        worker_beside=0,
    )
    migrate(settings)
    database = Database(settings)
    whose: dict[str, str] = {}
    letters = []
    for name in ("North", "South"):
        person = people.create_person(database, login=name.lower(), name=name, password=PASSWORD, actor="test")
        whose[name] = people.create_organisation(database, name=name, actor="test")
        people.give_role(database, person_id=person, organisation_id=whose[name], role=Role.REVIEWER, actor="test")
        made = folder / name
        runs.write(made, who=name)
        letters.append(mlflow_log.Letter(key=mlflow_log.key_of(made), folder=made, organisation=(whose[name], name)))

    class Outbox:
        def letters(self) -> Any:
            return letters

        def logged(self, *_: object) -> None: ...

        def failed(self, _: object, problem: str) -> None:
            pytest.fail(problem)

    drained = mlflow_log.drain(Outbox(), settings)
    assert len(drained.logged) == 2, drained.problem
    yield settings, whose
    database.close()


@pytest.fixture
def reading(installation: tuple[Settings, dict[str, str]]) -> Iterator[Any]:
    """A client that is signed in as somebody of one of the organisations, by its name."""
    app = create_app(installation[0])

    def signed_in(name: str) -> FlaskClient:
        client = app.test_client()
        page = client.get("/en/sign-in").text
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token is not None
        entered = client.post("/en/sign-in", data={"csrf": token[1], "login": name.lower(), "password": PASSWORD})
        assert entered.status_code == 303
        return client

    yield signed_in
    app.extensions["aiact_sandbox"].database.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/graphql"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/get-artifact?run_uuid=0&path=dossier.json"),
        ("GET", "/api/2.0/mlflow/experiments/search?max_results=1"),
        ("POST", "/api/2.0/mlflow/runs/create"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts"),
        ("POST", "/api/2.0/mlflow/users/create"),
        ("GET", "/ajax-api/2.0/mlflow/experiments/search?max_results=1"),
        ("POST", "/ajax-api/3.0/jobs/search"),
        ("POST", "/v1/traces"),
    ],
)
@pytest.mark.parametrize("account", ["", "service:wrong", "admin:password1234"])
def test_the_server_answers_nobody_without_the_one_account(
    installation: tuple[Settings, dict[str, str]], method: str, path: str, account: str
) -> None:
    name, _, password = account.partition(":")
    address = installation[0].tracking_uri + path
    answer = requests.request(method, address, json={}, auth=(name, password) if account else None, timeout=30)
    assert answer.status_code in (401, 403), answer.text[:200]
    assert "Loan decisions" not in answer.text


def test_an_operator_is_told_of_a_credential_that_does_not_open_the_server(
    installation: tuple[Settings, dict[str, str]], tmp_path: Path
) -> None:
    settings = installation[0]
    (tmp_path / "account").write_text("service:wrong")
    wrong = replace(settings, mlflow_credential_file=str(tmp_path / "account"))
    told = [next(line for line in examine(each) if line.what == "mlflow") for each in (settings, wrong)]
    assert [(line.held, line.observed, line.mend) for line in told] == [
        (True, "answers 200", ""),
        (False, "answers 401", "mend MLFLOW_CREDENTIAL_FILE"),
    ]


def test_runs_lie_in_postgresql_and_documents_in_s3(
    installation: tuple[Settings, dict[str, str]], stores: tuple[str, str]
) -> None:
    import boto3

    engine = sa.create_engine(stores[0])
    with engine.connect() as connection:
        below = "SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId'"
        classes = connection.execute(
            sa.text(f"SELECT value FROM tags WHERE key = 'risk_class' AND run_uuid IN ({below})")
        )
        assert classes.scalars().all() == ["high_risk_annex_iii"] * 2
    engine.dispose()
    listed = boto3.client("s3").list_objects_v2(Bucket=stores[1].removeprefix("s3://"))["Contents"]
    assert sum(item["Key"].endswith("/model_card.en.html") for item in listed) == 2
    assert not (installation[0].state / "mlflow.db").exists()


def experiments(client: FlaskClient) -> list[dict[str, Any]]:
    answer = client.get("/mlflow/ajax-api/2.0/mlflow/experiments/search?max_results=50")
    assert answer.status_code == 200
    return list(answer.get_json()["experiments"])


def search(client: FlaskClient, *ids: str, **more: Any) -> Any:
    return client.post("/mlflow/ajax-api/2.0/mlflow/runs/search", json={"experiment_ids": list(ids), **more})


def test_a_reader_finds_the_runs_of_their_own_organisation_by_class_and_by_metric(reading: Any) -> None:
    client = reading("North")
    (mine,) = experiments(client)
    assert mine["name"].startswith("Loan decisions (North")
    for query in ("tags.risk_class = 'high_risk_annex_iii'", "metrics.`fairness.selection_rate.ratio/sex` < 0.8"):
        found = search(client, mine["experiment_id"], filter=query).get_json()["runs"]
        assert len(found) == 1
    run_id = found[0]["info"]["run_id"]
    listed = client.get(f"/mlflow/ajax-api/2.0/mlflow/artifacts/list?run_id={run_id}").get_json()
    assert "model_card.en.html" in {f["path"] for f in listed["files"]}
    card = client.get(f"/mlflow/get-artifact?run_uuid={run_id}&path=model_card.en.html")
    assert "Card en" in card.text
    assert card.headers["Content-Security-Policy"].startswith("sandbox")


def test_nothing_of_another_organisation_is_reached(reading: Any) -> None:
    north, south = reading("North"), reading("South")
    (theirs,) = experiments(south)
    experiment = theirs["experiment_id"]
    (mine,) = experiments(north)
    run_id = search(south, experiment).get_json()["runs"][0]["info"]["run_id"]
    graph = {
        "query": "query GetRun($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { info { runName } } } }"
    }
    refused = [
        search(north, experiment),
        search(north, mine["experiment_id"], experiment),
        search(north),
        search(north, mine["experiment_id"], experimentIds=[experiment]),
        north.get(f"/mlflow/ajax-api/2.0/mlflow/experiments/get?experiment_id={experiment}"),
        north.get(f"/mlflow/ajax-api/2.0/mlflow/runs/get?run_id={run_id}"),
        north.get(f"/mlflow/ajax-api/2.0/mlflow/artifacts/list?run_id={run_id}"),
        north.get(f"/mlflow/get-artifact?run_uuid={run_id}&path=dossier.json"),
        north.get(f"/mlflow/ajax-api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key=a"),
        north.post("/mlflow/graphql", json={**graph, "variables": {"data": {"runId": run_id}}}),
        north.post(
            "/mlflow/graphql",
            json={"query": f'{{ mlflowGetRun(input: {{runId: "{run_id}"}}) {{ run {{ info {{ runName }} }} }} }}'},
        ),
    ]
    assert {answer.status_code for answer in refused} == {404}
    assert south.post("/mlflow/graphql", json={**graph, "variables": {"data": {"runId": run_id}}}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_tells_whether_an_experiment_of_others_has_a_name(reading: Any, method: str) -> None:
    north = reading("North")

    def answer(filter_: str) -> Any:
        asked = {"filter": filter_, "max_results": 1}
        how: dict[str, Any] = {"json": asked} if method == "POST" else {"query_string": asked}
        return north.open("/mlflow/ajax-api/2.0/mlflow/experiments/search", method=method, **how).get_json()

    for given in ("name LIKE '%decisions%'", ""):
        (found,) = answer(given).pop("experiments")
        assert found["name"].startswith("Loan decisions (North")
    # More than one would fill this page, and there is no second one to be told of.
    assert answer("name LIKE '%decisions%'").keys() == {"experiments"}
    assert answer("name LIKE '%South%'") == answer("name LIKE '%Nowhere%'") == {"experiments": []}
    for evading in ("name LIKE '%' --", "-- ", "name LIKE '%' OR name LIKE '%'"):
        assert "South" not in str(answer(evading))


@pytest.mark.parametrize(
    "path",
    [
        "static-files/%252e%252e/ajax-api/2.0/mlflow/experiments/search",
        "static-files/%252E%252e%252fajax-api/2.0/mlflow/experiments/search",
        "static-files/a/%252e%252e/%252e%252e/graphql",
        "static-files/index.html%3f",
    ],
)
def test_what_leads_upwards_once_it_is_decoded_again_never_leaves_for_the_server(
    reading: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(mlflow_pages.Reader, "ask", lambda _self, _method, path, **_: asked.append(path))
    assert reading("North").get(f"/mlflow/{path}").status_code == 404
    assert asked == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "ajax-api/2.0/mlflow/runs/create"),
        ("POST", "ajax-api/2.0/mlflow/runs/delete"),
        ("POST", "ajax-api/2.0/mlflow/experiments/create"),
        ("POST", "ajax-api/2.0/mlflow/runs/set-tag"),
        ("POST", "api/2.0/mlflow/runs/search"),
        ("GET", "api/2.0/mlflow-artifacts/artifacts"),
        ("GET", "ajax-api/2.0/mlflow/registered-models/search"),
        ("GET", "static-files/../ajax-api/2.0/mlflow/experiments/search"),
        ("GET", "metrics"),
    ],
)
def test_what_is_no_read_of_the_table_is_not_passed_on(reading: Any, method: str, path: str) -> None:
    client = reading("North")
    answer = client.open(f"/mlflow/{path}", method=method, json={} if method == "POST" else None)
    assert answer.status_code == 404


def test_a_stranger_is_sent_to_sign_in(installation: tuple[Settings, dict[str, str]]) -> None:
    app = create_app(installation[0])
    assert "/sign-in" in app.test_client().get("/mlflow/").headers["Location"]
    app.extensions["aiact_sandbox"].database.close()


def test_mlflows_own_page_shows_the_card_in_a_browser(
    installation: tuple[Settings, dict[str, str]], reading: Any, browser: Any
) -> None:
    settings = replace(installation[0], listen=f"127.0.0.1:{free_port()}")
    app = create_app(settings)
    web = create_server(app, listen=settings.listen, threads=8)
    threading.Thread(target=web.run, daemon=True).start()
    try:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"http://{settings.listen}/en/sign-in")
        page.fill("[name=login]", "north")
        page.fill("[name=password]", PASSWORD)
        with page.expect_navigation():
            page.click("main button")
        page.goto(f"http://{settings.listen}/mlflow/#/experiments")
        page.get_by_text("Loan decisions (North").first.wait_for(timeout=60_000)
        assert page.get_by_text("Loan decisions (South").count() == 0
        (mine,) = experiments(reading("North"))
        experiment = mine["experiment_id"]
        run_id = search(reading("North"), experiment, filter="tags.assessment != ''").get_json()["runs"][0]["info"][
            "run_id"
        ]
        page.goto(f"http://{settings.listen}/mlflow/#/experiments/{experiment}/runs/{run_id}")
        page.get_by_role("heading", name="Summary").first.wait_for(timeout=60_000)
        shown = page.inner_text("body")
        assert "not a regulatory sandbox under Article 57" in shown
        assert "beyond the limit set" in shown
        page.close()
    finally:
        web.close()
        app.extensions["aiact_sandbox"].database.close()
