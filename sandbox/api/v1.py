"""Version 1 of the API: hand in, ask how far, fetch. The same records as the pages, and no page's words."""

from __future__ import annotations

import datetime as dt
from typing import Any

from flask import Blueprint, Response, abort, g, jsonify, request, url_for
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.wrappers import Response as BaseResponse

from sandbox.errors import NotAllowed
from sandbox.records import queue
from sandbox.records.database import State, Submission
from sandbox.records.uploads import CHUNK
from sandbox.web import receiving
from sandbox.web.pages import send_dossier, service

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
ACTOR = "api"
ACCEPTED = ("application/zip", "application/x-zip-compressed")


class Counts(BaseModel):
    """How many findings lie beyond, are undecided and lie within their limit."""

    model_config = ConfigDict(frozen=True)

    beyond: int
    undecided: int
    within: int


class SubmissionShown(BaseModel):
    """One submission as the API shows it.

    Args:
        stage, done, total: how far it is, while it runs.
        problems: what was wrong, each with `field`, `code`, `message` and `params`.
        counts, risk_class, dossier: None before it is done.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    digest: str
    bytes: int
    received: dt.datetime
    state: State
    stage: str = ""
    done: int = 0
    total: int = 0
    attempt: int = 0
    started: dt.datetime | None = None
    ended: dt.datetime | None = None
    problems: list[dict[str, Any]] = Field(default_factory=list)
    incident: str | None = None
    system: str | None = None
    version: str | None = None
    risk_class: str | None = None
    counts: Counts | None = None
    dossier: str | None = None
    dossier_digest: str | None = None


def shown(row: Submission) -> SubmissionShown:
    """Turn a row into what the API shows of it."""
    counts = None
    if row.beyond is not None and row.undecided is not None and row.within is not None:
        counts = Counts(beyond=row.beyond, undecided=row.undecided, within=row.within)
    return SubmissionShown(
        **{
            name: getattr(row, name)
            for name in SubmissionShown.model_fields
            if name not in ("counts", "dossier", "problems")
        },
        problems=row.problems,
        counts=counts,
        dossier=url_for("api.dossier", submission_id=row.id) if row.dossier else None,
    )


def _json(row: Submission, status: int = 200) -> Response:
    answer = jsonify(shown(row).model_dump(mode="json"))
    answer.status_code = status
    return answer


def _found(submission_id: str) -> Submission:
    found = queue.find(service().database, submission_id)
    if found is None:
        raise NotAllowed("There is no such submission.")
    return found


@blueprint.post("/submissions")
def submit() -> Response:
    """Take a zip in as the body of the request; `?name=` is the name it is shown under."""
    # A web page elsewhere cannot send this type without asking first, and it is told no.
    if request.mimetype not in ACCEPTED:
        abort(415)
    receiving.expect()
    taken = receiving.start()
    while piece := request.stream.read(CHUNK):
        taken.write(piece)
    if taken.size == 0:
        abort(422, "The body of the request is empty; send the submission as a zip.")
    name = request.args.get("name", "submission.zip")
    submission_id = receiving.keep(taken, name, service().database, actor=ACTOR)
    answer = _json(_found(submission_id), 201)
    answer.headers["Location"] = url_for("api.submission", submission_id=submission_id)
    return answer


@blueprint.get("/submissions/<submission_id>")
def submission(submission_id: str) -> Response:
    """Say how far a submission is and what became of it."""
    return _json(_found(submission_id))


@blueprint.get("/submissions/<submission_id>/dossier")
def dossier(submission_id: str) -> BaseResponse:
    """Give the dossier as a zip."""
    g.api = True
    return send_dossier(_found(submission_id))
