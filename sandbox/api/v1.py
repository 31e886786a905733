"""Version 1 of the API: hand in, ask how far, fetch. The same records as the pages, and no page's words."""

from __future__ import annotations

from flask import Blueprint, Response, abort, jsonify, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from sandbox.api import description
from sandbox.api.shapes import Counts, SubmissionList, SubmissionShown
from sandbox.records import queue
from sandbox.records.tables import Submission
from sandbox.records.uploads import CHUNK
from sandbox.review.permissions import Permission
from sandbox.web import identity as who
from sandbox.web import receiving
from sandbox.web.pages import keep_for, send_dossier, service

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
ACTOR = "api"
ACCEPTED = ("application/zip", "application/x-zip-compressed")


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


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Describe this API, for programs that read descriptions."""
    return jsonify(description.document())


@blueprint.get("/submissions")
def submissions() -> Response:
    """List the newest submissions that one may read, at most a hundred."""
    rows = queue.newest(service().database, organisations=who.organisations(Permission.READ))
    return jsonify(SubmissionList(submissions=[shown(row) for row in rows]).model_dump(mode="json"))


@blueprint.post("/submissions")
def submit() -> Response:
    """Take a zip in as the body of the request.

    `?name=` is the name it is shown under; `?organisation=` says for which organisation it is, where there are several.
    """
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
    submission_id = keep_for(taken, name, request.args.get("organisation", ""), actor=ACTOR)
    found = queue.find(service().database, submission_id)
    assert found is not None
    answer = _json(found, 201)
    answer.headers["Location"] = url_for("api.submission", submission_id=submission_id)
    return answer


@blueprint.get("/submissions/<submission_id>")
def submission(submission_id: str) -> Response:
    """Say how far a submission is and what became of it."""
    return _json(who.found_submission(submission_id))


@blueprint.post("/submissions/<submission_id>/cancel")
def cancel(submission_id: str) -> Response:
    """Ask for a submission to be stopped; one that is over stays as it is."""
    found = who.found_submission(submission_id)
    queue.request_cancel(service().database, submission_id, actor=who.actor(ACTOR))
    return _json(queue.find(service().database, submission_id) or found, 202)


@blueprint.get("/submissions/<submission_id>/dossier")
def dossier(submission_id: str) -> BaseResponse:
    """Give the dossier as a zip; 404 before it is done."""
    return send_dossier(who.found_submission(submission_id))
