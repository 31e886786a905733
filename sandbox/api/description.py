"""Describe the API as an OpenAPI 3.1 document, made from the models that it sends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sandbox.api.shapes import ProblemDocument, SubmissionList, SubmissionShown

PROBLEM: Final = "application/problem+json"
SCHEMAS: Final = "#/components/schemas/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation.

    Args:
        name: its endpoint without the blueprint; the `operationId`.
        answers: the model of its answer by status; None for a zip.
        errors: statuses it may answer with a problem document.
        query: its parameters in the query with what each is for.
        takes_zip: whether its body is a zip.
        is_open: whether it needs no token.
    """

    name: str
    method: str
    path: str
    summary: str
    answers: dict[int, type[BaseModel] | None]
    errors: tuple[int, ...]
    query: tuple[tuple[str, str], ...] = ()
    takes_zip: bool = False
    is_open: bool = False


ONE: Final = "/api/v1/submissions/{submission_id}"
OPERATIONS: Final = (
    Operation(
        name="submissions",
        method="get",
        path="/api/v1/submissions",
        summary="List the newest submissions that one may read",
        answers={200: SubmissionList},
        errors=(401, 403),
    ),
    Operation(
        name="submit",
        method="post",
        path="/api/v1/submissions",
        summary="Hand in a submission",
        answers={201: SubmissionShown},
        errors=(401, 403, 404, 413, 415, 422, 429),
        query=(
            ("name", "the file name it is shown under"),
            ("organisation", "id of the organisation it is for; needed only where there are several"),
        ),
        takes_zip=True,
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
        answers={200: None},
        errors=(401, 404),
    ),
    Operation(
        name="openapi",
        method="get",
        path="/api/v1/openapi.json",
        summary="This description",
        answers={},
        errors=(),
        is_open=True,
    ),
)


@cache
def document() -> dict[str, Any]:
    """Give the description; its schemas are JSON Schema of the draft that OpenAPI 3.1 uses."""
    models: list[type[BaseModel]] = [SubmissionShown, SubmissionList, ProblemDocument]
    _, schemas = models_json_schema([(model, "serialization") for model in models], ref_template=SCHEMAS + "{model}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
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
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Made on the page of one's account. A service without accounts asks for none.",
                }
            },
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, model in operation.answers.items():
        content: dict[str, Any] = {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
        if model is not None:
            content = {"application/json": {"schema": {"$ref": SCHEMAS + model.__name__}}}
        answers[str(status)] = {"description": operation.summary, "content": content}
    if not answers:
        answers["200"] = {
            "description": operation.summary,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    for status in (*operation.errors, 500):
        answers[str(status)] = {
            "description": "A problem",
            "content": {PROBLEM: {"schema": {"$ref": SCHEMAS + ProblemDocument.__name__}}},
        }
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": answers,
        "security": [] if operation.is_open else [{"token": []}, {}],
    }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in operation.query
    ]
    if "{submission_id}" in operation.path:
        parameters.append(
            {"name": "submission_id", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 32}}
        )
    if parameters:
        described["parameters"] = parameters
    if operation.takes_zip:
        described["requestBody"] = {
            "required": True,
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    return described
