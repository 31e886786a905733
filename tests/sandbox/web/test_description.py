"""The description of the API is the API: its operations are the routes, its schemas hold for what is sent."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from flask import Flask
from flask.testing import FlaskClient

from sandbox.api.description import OPERATIONS, document
from sandbox.review.permissions import ROUTES, Access

API = "/api/v1/submissions"


def test_its_operations_are_the_routes(app: Flask) -> None:
    routes = {
        (re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule), method.lower(), rule.endpoint)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == {(o.path, o.method, f"api.{o.name}") for o in OPERATIONS}


def test_what_needs_no_token_is_what_anyone_may() -> None:
    for operation in OPERATIONS:
        assert operation.is_open == (ROUTES[f"api.{operation.name}"] is Access.ANYONE)


def test_it_is_served_and_its_references_lead_somewhere(client: FlaskClient) -> None:
    given = client.get("/api/v1/openapi.json").get_json()
    assert given["openapi"] == "3.1.0"
    assert given == document(has_accounts=False)
    names = set(re.findall(r"#/components/schemas/(\w+)", str(given)))
    assert names == set(given["components"]["schemas"])
    for schema in given["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def described(path: str, method: str, status: int, kind: str) -> dict[str, Any]:
    content = document()["paths"][path][method]["responses"][str(status)]["content"]
    return {**content[kind]["schema"], "components": document()["components"]}


@pytest.mark.parametrize(
    ("path", "method", "status", "body"),
    [
        (API, "get", 200, None),
        (API, "post", 201, b"Loan"),
        (API, "post", 422, b""),
        (API, "post", 413, b"x" * 200_001),
        (API + "/{submission_id}", "get", 404, None),
        (API + "/{submission_id}/cancel", "post", 404, None),
        (API + "/{submission_id}/dossier", "get", 404, None),
        (API + "/{submission_id}/files", "get", 404, None),
        (API + "/{submission_id}/review", "get", 404, None),
    ],
)
def test_what_is_sent_is_what_is_described(
    client: FlaskClient, path: str, method: str, status: int, body: bytes | None
) -> None:
    more: Any = {} if body is None else {"data": body, "content_type": "application/zip"}
    answer = client.open(path.replace("{submission_id}", "0" * 32), method=method.upper(), **more)
    assert answer.status_code == status
    jsonschema.validate(answer.get_json(force=True), described(path, method, status, str(answer.mimetype)))


def test_a_waiting_submission_is_stopped_through_the_api(client: FlaskClient) -> None:
    made = client.post(API, data=b"Loan", content_type="application/zip").get_json()
    stopped = client.post(f"{API}/{made['id']}/cancel")
    assert stopped.status_code == 202
    assert stopped.get_json()["state"] == "cancelled"
