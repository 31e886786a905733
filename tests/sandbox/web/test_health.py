"""Machines learn how the service stands, and nothing about anybody."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from sandbox.records.database import Database

LINE = re.compile(r'aiact_sandbox_[a-z_]+(\{[a-z]+="[^"\n]*"\})? -?[0-9.e+-]+')


def test_a_service_that_can_take_work_says_so(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"alive": True}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"ready": True, "lacking": []})


def test_a_database_of_another_version_or_without_tables_is_not_ready(client: FlaskClient, database: Database) -> None:
    with database.engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"ready": False, "lacking": ["migrations"]})
    with database.engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_a_full_disk_is_not_ready_and_says_which_part(app: Flask, client: FlaskClient) -> None:
    found = app.extensions["aiact_sandbox"]
    app.extensions["aiact_sandbox"] = replace(found, settings=replace(found.settings, upload_bytes=10**18))
    assert client.get("/readyz").json == {"ready": False, "lacking": ["disk"]}


def test_figures_are_in_prometheus_format_and_name_nobody(
    client: FlaskClient, submit: Callable[..., object], ended: Callable[..., str]
) -> None:
    done = ended("quick")
    submit(name="of Jan Jansen.zip")
    answer = client.get("/metrics")
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert [line for line in lines if not line.startswith("# ") and not LINE.fullmatch(line)] == []
    assert 'aiact_sandbox_submissions{state="done"} 1' in lines
    assert 'aiact_sandbox_submissions{state="queued"} 1' in lines
    assert "aiact_sandbox_outbox_waiting 1" in lines
    assert "aiact_sandbox_done_last_hour 1" in lines
    assert "Jansen" not in answer.text
    assert done not in answer.text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_figures_are_not_given_through_a_proxy(client: FlaskClient, header: str) -> None:
    assert client.get("/metrics", headers={header: "for=192.0.2.7"}).status_code == 404
