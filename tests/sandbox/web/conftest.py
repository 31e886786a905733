"""The application on a migrated database, a browser's client, and submissions in every state."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sandbox.app import create_app
from sandbox.engine import run
from sandbox.records import queue
from sandbox.records.database import Database, migrate
from sandbox.settings import Settings

Submit = Callable[..., TestResponse]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, upload_bytes=200_000, listen="127.0.0.1:8080")


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    migrate(settings)
    made = create_app(settings)
    yield made
    made.extensions["aiact_sandbox"].database.close()


@pytest.fixture
def database(app: Flask) -> Database:
    found = app.extensions["aiact_sandbox"].database
    assert isinstance(found, Database)
    return found


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def token(client: FlaskClient) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/en/").text)
    assert found is not None
    return found[1]


@pytest.fixture
def submit(client: FlaskClient, token: str) -> Submit:
    def send(
        content: bytes = b"Loan decisions", name: str = "loan.zip", lang: str = "en", **fields: str
    ) -> TestResponse:
        form = {"csrf": token, "submission": (io.BytesIO(content), name), **fields}
        return client.post(f"/{lang}/submissions", data=form, content_type="multipart/form-data")

    return send


@pytest.fixture
def ended(submit: Submit, database: Database, settings: Settings) -> Callable[..., str]:
    def end(entry: str, content: bytes = b"Loan decisions", name: str = "loan.zip") -> str:
        submission_id = submit(content, name).location.rpartition("/")[2]
        claimed = queue.claim(database, worker="test")
        assert claimed is not None
        assert claimed.submission_id == submission_id
        run(submission_id, settings, token=claimed.token, entry=f"tests.make.runs:{entry}")
        return submission_id

    return end
