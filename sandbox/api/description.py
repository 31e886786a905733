"""Describe the API as an OpenAPI 3.1 document, made from the models that it takes and sends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sandbox.api.shapes import (
    FileList,
    ProblemDocument,
    ReviewShown,
    SubmissionList,
    SubmissionQuery,
    SubmissionShown,
    SubmitQuery,
    WebhookGiven,
    WebhookList,
    WebhookMade,
)

PROBLEM: Final = "application/problem+json"
SCHEMAS: Final = "#/components/schemas/"
ID: Final = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
NAME: Final = {
    "type": "string",
    "pattern": r"^[!-~]+$",
    "description": "as in the list of files, with slashes as %2F",
}
EVENT: Final = {"type": "string", "contentMediaType": "application/json"}
MEDIA: Final[dict[str, dict[str, Any]]] = {
    "application/zip": {"type": "string", "format": "binary", "minLength": 1},
    "application/json": {"type": "object"},
    "text/event-stream": {"type": "object", "properties": {"data": EVENT}},
    "*/*": {},
}
"""What an answer of each media type is, where no model says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation.

    Args:
        name: its endpoint without the blueprint; the `operationId`.
        answers: by status the model of its answer, or the media type of one that is no JSON; "" for an empty one.
        errors: statuses it may answer with a problem document.
        query: model of its parameters in the query.
        takes: media type of its body, or the model of one in JSON; "" for none.
        is_open: whether it needs no token.
        is_of_people: whether it is there only on a service with accounts.
    """

    name: str
    method: str
    path: str
    summary: str
    answers: dict[int, type[BaseModel] | str]
    errors: tuple[int, ...]
    query: type[BaseModel] | None = None
    takes: type[BaseModel] | str = ""
    is_open: bool = False
    is_of_people: bool = False


ALL: Final = "/api/v1/submissions"
ONE: Final = f"{ALL}/{{submission_id}}"
HOOKS: Final = "/api/v1/webhooks"
OPERATIONS: Final = (
    Operation(
        name="submissions",
        method="get",
        path=ALL,
        summary="List the submissions that one may read, the newest first, in pages",
        answers={200: SubmissionList},
        errors=(401, 403, 404, 422),
        query=SubmissionQuery,
    ),
    Operation(
        name="submit",
        method="post",
        path=ALL,
        summary="Hand in a submission",
        answers={201: SubmissionShown},
        errors=(401, 403, 404, 413, 415, 422, 429),
        query=SubmitQuery,
        takes="application/zip",
    ),
    Operation(
        name="submission",
        method="get",
        path=ONE,
        summary="Ask how far a submission is and what became of it",
        answers={200: SubmissionShown},
        errors=(401, 404),
    ),
    Operation(
        name="events",
        method="get",
        path=f"{ONE}/events",
        summary="Follow a submission as server-sent events, each a JSON object with state, stage, percent and over; "
        "204 when no stream is free: ask again, or ask for the submission itself",
        answers={200: "text/event-stream", 204: ""},
        errors=(401, 404),
    ),
    Operation(
        name="cancel",
        method="post",
        path=f"{ONE}/cancel",
        summary="Ask for a submission to be stopped",
        answers={202: SubmissionShown},
        errors=(401, 403, 404),
    ),
    Operation(
        name="dossier",
        method="get",
        path=f"{ONE}/dossier",
        summary="Fetch the dossier as a zip",
        answers={200: "application/zip"},
        errors=(401, 404),
    ),
    Operation(
        name="files",
        method="get",
        path=f"{ONE}/files",
        summary="List the files of the dossier, exports among them",
        answers={200: FileList},
        errors=(401, 404),
    ),
    Operation(
        name="file",
        method="get",
        path=f"{ONE}/files/{{name}}",
        summary="Fetch one file of the dossier",
        answers={200: "*/*"},
        errors=(401, 404),
    ),
    Operation(
        name="review",
        method="get",
        path=f"{ONE}/review",
        summary="Ask where the review of a dossier stands",
        answers={200: ReviewShown},
        errors=(401, 404),
    ),
    Operation(
        name="webhooks",
        method="get",
        path=HOOKS,
        summary="List the webhooks of the organisation that the token is for",
        answers={200: WebhookList},
        errors=(401, 403, 404),
        is_of_people=True,
    ),
    Operation(
        name="add_webhook",
        method="post",
        path=HOOKS,
        summary="Add a webhook; its secret is in this answer and in no other",
        answers={201: WebhookMade},
        errors=(400, 401, 403, 404, 409, 413, 415, 422, 429),
        takes=WebhookGiven,
        is_of_people=True,
    ),
    Operation(
        name="remove_webhook",
        method="delete",
        path=f"{HOOKS}/{{hook_id}}",
        summary="Remove a webhook, and what waits to be sent to it",
        answers={204: ""},
        errors=(401, 403, 404),
        is_of_people=True,
    ),
    Operation(
        name="openapi",
        method="get",
        path="/api/v1/openapi.json",
        summary="This description",
        answers={200: "application/json"},
        errors=(),
        is_open=True,
    ),
)


@cache
def document(*, has_accounts: bool = True) -> dict[str, Any]:
    """Give the description; its schemas are JSON Schema of the draft that OpenAPI 3.1 uses.

    Args:
        has_accounts: whether the service asks for a token.
    """
    operations = [o for o in OPERATIONS if has_accounts or not o.is_of_people]
    sent = {m for o in operations for m in o.answers.values() if not isinstance(m, str)} | {ProblemDocument}
    taken = {o.takes for o in operations if not isinstance(o.takes, str)}
    _, schemas = models_json_schema(
        [(m, "serialization") for m in sorted(sent, key=str)] + [(m, "validation") for m in sorted(taken, key=str)],
        ref_template=SCHEMAS + "{model}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = paths.setdefault(operation.path, {})[operation.method] = _described(operation)
        if has_accounts:
            described["security"] = [] if operation.is_open else [{"token": []}]
    token = {"type": "http", "scheme": "bearer", "description": "Made on the page of one's account."}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AI Act sandbox",
            "version": version("aiact-sandbox"),
            "description": "Hand in submissions, ask how far they are, fetch dossiers. This is an isolated test "
            "environment. It is not a regulatory sandbox under Article 57 of Regulation (EU) 2024/1689, not a "
            "conformity assessment and not legal advice.",
            "license": {"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            **({"securitySchemes": {"token": token}} if has_accounts else {}),
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    answers: dict[str, Any] = {
        str(status): {"description": operation.summary, **_content(given)}
        for status, given in operation.answers.items()
    }
    for status in (*operation.errors, 500):
        answers[str(status)] = {
            "description": "A problem",
            "content": {PROBLEM: {"schema": {"$ref": SCHEMAS + ProblemDocument.__name__}}},
        }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in (("submission_id", ID), ("hook_id", ID), ("name", NAME))
        if f"{{{name}}}" in operation.path
    ]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": answers,
        "parameters": parameters + _in_query(operation.query),
    }
    if operation.takes:
        described["requestBody"] = {"required": True, **_content(operation.takes)}
    return described


def _content(given: type[BaseModel] | str) -> dict[str, Any]:
    if isinstance(given, str):
        return {"content": {given: {"schema": MEDIA[given]}}} if given else {}
    return {"content": {"application/json": {"schema": {"$ref": SCHEMAS + given.__name__}}}}


def _in_query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    """Turn the fields of a model into parameters; one that may be None is one that may be left out."""
    if model is None:
        return []
    schema = model.model_json_schema()
    made = []
    for name, field in schema["properties"].items():
        kind = next(k for k in field.get("anyOf", [field]) if k.get("type") != "null")
        kind = schema["$defs"][kind["$ref"].rpartition("/")[2]] if "$ref" in kind else kind
        kept = {k: v for k, v in kind.items() if k not in ("title", "description")}
        made.append(
            {"name": name, "in": "query", "required": False, "description": field["description"], "schema": kept}
        )
    return made
