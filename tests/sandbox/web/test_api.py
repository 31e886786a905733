"""A program hands in, asks how far, and fetches; every error is one problem document."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sandbox.engine import run
from sandbox.errors import Broken, CellUnavailable, NotAllowed, Problem, Refused
from sandbox.records import queue, uploads
from sandbox.records.database import Database
from sandbox.review.permissions import ROUTES, Access
from sandbox.settings import Settings

API = "/api/v1/submissions"


def post(client: FlaskClient, content: bytes = b"Loan decisions", **more: Any) -> Any:
    return client.post(API, data=content, **{"content_type": "application/zip", **more})


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    given = answer.get_json(force=True)
    assert {"type", "title", "status", "detail", "instance"} <= given.keys()
    assert given["status"] == status
    return dict(given)


def test_from_handing_in_to_fetching(client: FlaskClient, database: Database, settings: Settings) -> None:
    made = post(client, query_string={"name": "loan.zip"})
    assert made.status_code == 201
    where = made.headers["Location"]
    given = client.get(where).get_json()
    assert (given["state"], given["name"], given["bytes"], given["counts"]) == ("queued", "loan.zip", 14, None)
    problem(client.get(f"{where}/dossier"), 404)
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    run(claimed.submission_id, settings, token=claimed.token, entry="tests.make.runs:quick")
    given = client.get(where).get_json()
    assert given["state"] == "done"
    assert given["counts"] == {"beyond": 1, "undecided": 2, "within": 1}
    assert given["risk_class"] == "high_risk_annex_iii"
    with zipfile.ZipFile(io.BytesIO(client.get(given["dossier"]).data)) as archive:
        assert "dossier.json" in archive.namelist()


def test_an_upload_of_many_pieces_arrives_whole(client: FlaskClient, settings: Settings) -> None:
    content = bytes(range(256)) * (settings.upload_bytes // 256)
    made = post(client, content).get_json()
    assert made["bytes"] == len(content)
    assert b"".join(uploads.read_upload(settings, made["id"])) == content


def test_problems_come_with_field_code_and_sentence(client: FlaskClient, ended: Callable[..., str]) -> None:
    given = client.get(f"{API}/{ended('refused')}").get_json()
    assert given["state"] == "refused"
    assert [(p["field"], p["code"]) for p in given["problems"]] == [
        ("data.columns.sex", "table.column_missing"),
        ("model.file", "model.absent"),
    ]


def test_an_empty_body_is_refused(client: FlaskClient, settings: Settings) -> None:
    assert "empty" in problem(post(client, b""), 422)["detail"]
    assert list((settings.state / "uploads").iterdir()) == []


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=x", ""])
def test_anything_but_a_zip_is_refused(client: FlaskClient, kind: str, database: Database) -> None:
    problem(post(client, content_type=kind), 415)
    assert queue.newest(database) == []


def test_too_much_is_refused_and_not_kept(client: FlaskClient, settings: Settings) -> None:
    for size in (settings.upload_bytes + 1, settings.upload_bytes * 3):
        problem(post(client, b"x" * size), 413)
    assert list((settings.state / "uploads").iterdir()) == []


def test_a_page_of_another_site_is_refused(client: FlaskClient, database: Database) -> None:
    problem(post(client, headers={"Origin": "https://evil.example"}), 403)
    assert queue.newest(database) == []


def test_what_is_not_there_and_what_cannot_be_done_are_told_apart(client: FlaskClient) -> None:
    problem(client.get(f"{API}/{'0' * 32}"), 404)
    problem(client.get("/api/v1/nothing"), 404)
    assert "GET" in client.delete(f"{API}/{'0' * 32}").headers["Allow"]
    problem(client.delete(f"{API}/{'0' * 32}"), 405)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused(Problem(field="model.file", code="model.absent", message="There is no such file.")), 422),
        (NotAllowed("secret", hidden=True), 404),
        (NotAllowed("secret", hidden=False), 403),
        (CellUnavailable("No wall can be built here.", probes=("dns",)), 503),
        (Broken("abc123"), 500),
        (ZeroDivisionError("secret"), 500),
    ],
)
def test_each_error_has_its_answer_in_pages_and_api(
    app: Flask, error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise error

    for endpoint in ("api_fails", "page_fails"):
        monkeypatch.setitem(cast("dict[str, Access]", ROUTES), endpoint, Access.ANYONE)
    app.add_url_rule("/api/v1/fails", "api_fails", fail)
    app.add_url_rule("/nl/fails", "page_fails", fail)
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    client = app.test_client()
    given = problem(client.get("/api/v1/fails"), status)
    page = client.get("/nl/fails")
    assert page.status_code == status
    assert page.mimetype == "text/html"
    assert 'lang="nl"' in page.text
    for text in (str(given), page.text):
        assert "secret" not in text
        assert "Traceback" not in text
    if isinstance(error, Refused):
        assert given["problems"][0]["field"] == "model.file"
        assert "model.file" in page.text
    if isinstance(error, Broken):
        assert given["incident"] == "abc123"
        assert "abc123" in page.text
