"""Version 1 of the API: hand in, ask how far, fetch. The same records as the pages, and no page's words."""

from __future__ import annotations

from typing import TypeVar

from flask import Blueprint, Response, abort, jsonify, request, url_for
from pydantic import BaseModel, ValidationError
from werkzeug.wrappers import Response as BaseResponse

from sandbox.api import description
from sandbox.api.shapes import (
    Counts,
    FileList,
    FileShown,
    Judgement,
    ReviewShown,
    SubmissionList,
    SubmissionQuery,
    SubmissionShown,
    SubmitQuery,
    WebhookGiven,
    WebhookList,
    WebhookMade,
    WebhookShown,
)
from sandbox.errors import NotAllowed
from sandbox.notices import hooks
from sandbox.records import queue, uploads
from sandbox.records.tables import Submission
from sandbox.records.uploads import CHUNK
from sandbox.review import desk
from sandbox.review.permissions import Permission
from sandbox.web import identity as who
from sandbox.web import receiving
from sandbox.web.pages import folder_of, keep_for, send_dossier, send_file_of, service, stream_of

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
ACTOR = "api"
Query = TypeVar("Query", bound=BaseModel)
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


def _json(given: BaseModel, status: int = 200) -> Response:
    answer = jsonify(given.model_dump(mode="json"))
    answer.status_code = status
    return answer


def _asked(model: type[Query], given: object = None) -> Query:
    """Read the query of this request, or what is given instead of it, or refuse it with what is wrong."""
    try:
        return model.model_validate(request.args.to_dict() if given is None else given)
    except ValidationError as wrong:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in wrong.errors())
        abort(422, f"The {'query' if given is None else 'body'} is not as the description says. {said}.")


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Describe this API, for programs that read descriptions."""
    return jsonify(description.document(has_accounts=service().settings.accounts != "off"))


@blueprint.get("/submissions")
def submissions() -> Response:
    """List the submissions that one may read, in pages: `?state=`, `?q=`, `?limit=` and `?after=`."""
    asked = _asked(SubmissionQuery)
    rows = queue.newest(
        service().database,
        limit=asked.limit + 1,
        organisations=who.organisations(Permission.READ),
        state=asked.state,
        containing=asked.q,
        after=who.also_found(asked.after) if asked.after else None,
    )
    here = rows[: asked.limit]
    return _json(
        SubmissionList(submissions=[shown(row) for row in here], next=here[-1].id if len(rows) > asked.limit else None)
    )


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
    asked = _asked(SubmitQuery)
    origin = queue.Origin(retention_days=asked.retention_days, until_review=asked.until_review)
    submission_id = keep_for(taken, asked.name, asked.organisation, actor=ACTOR, origin=origin)
    found = queue.find(service().database, submission_id)
    assert found is not None
    answer = _json(shown(found), 201)
    answer.headers["Location"] = url_for("api.submission", submission_id=submission_id)
    return answer


@blueprint.get("/submissions/<submission_id>")
def submission(submission_id: str) -> Response:
    """Say how far a submission is and what became of it."""
    return _json(shown(who.found_submission(submission_id)))


@blueprint.get("/submissions/<submission_id>/events")
def events(submission_id: str) -> BaseResponse:
    """Stream the progress of a submission; 204 when no stream is free."""
    return stream_of(who.found_submission(submission_id))


@blueprint.post("/submissions/<submission_id>/cancel")
def cancel(submission_id: str) -> Response:
    """Ask for a submission to be stopped; one that is over stays as it is."""
    found = who.found_submission(submission_id)
    queue.request_cancel(service().database, submission_id, actor=who.actor(ACTOR))
    return _json(shown(queue.find(service().database, submission_id) or found), 202)


@blueprint.get("/submissions/<submission_id>/dossier")
def dossier(submission_id: str) -> BaseResponse:
    """Give the dossier as a zip; 404 before it is done."""
    return send_dossier(who.found_submission(submission_id))


@blueprint.get("/submissions/<submission_id>/files")
def files(submission_id: str) -> Response:
    """List the files of the dossier; 404 before it is done."""
    folder = folder_of(who.found_submission(submission_id))
    return _json(
        FileList(
            files=[
                FileShown(
                    name=name,
                    bytes=(folder / name).stat().st_size,
                    address=url_for("api.file", submission_id=submission_id, name=name),
                )
                for name in sorted(uploads.files_of(folder))
            ]
        )
    )


@blueprint.get("/submissions/<submission_id>/files/<path:name>")
def file(submission_id: str, name: str) -> BaseResponse:
    """Give one file of the dossier, as an export or a figure."""
    return send_file_of(who.found_submission(submission_id), name)


@blueprint.get("/submissions/<submission_id>/review")
def review(submission_id: str) -> Response:
    """Say where the review of a dossier stands: the decision, what it binds to, and the judgements."""
    found = who.found_submission(submission_id)
    folder_of(found)
    standing = desk.standing(service().database, found)
    decision = standing.decision
    return _json(
        ReviewShown(
            status=standing.status,
            by=decision.name if decision else None,
            at=decision.at if decision else None,
            text=decision.text if decision else "",
            statement=decision.statement if decision else "",
            dossier_digest=decision.dossier_digest if decision else None,
            is_current=decision is not None and decision.dossier_digest == found.dossier_digest,
            judgements=[
                Judgement(finding=e.finding, text=e.text, by=e.name, at=e.at) for e in standing.judged.values()
            ],
        )
    )


def _organisation() -> str:
    """Give the one organisation that the token of this request is for."""
    me = who.somebody()
    if me.is_alone:
        raise NotAllowed("there are no organisations here")
    return me.where(Permission.MANAGE_WEBHOOKS)[0]


@blueprint.get("/webhooks")
def webhooks() -> Response:
    """List the webhooks of the organisation that the token is for."""
    found = hooks.listed(service().database, _organisation())
    return _json(WebhookList(webhooks=[WebhookShown.model_validate(hook) for hook in found]))


@blueprint.post("/webhooks")
def add_webhook() -> Response:
    """Add a webhook and give its secret this once: `{"address": "https://..."}`."""
    organisation = _organisation()
    if not request.is_json:
        abort(415)
    who.limited("webhook")
    asked = _asked(WebhookGiven, request.get_json())
    try:
        hook = hooks.add(
            service().database, organisation_id=organisation, address=asked.address, actor=who.actor(ACTOR)
        )
    except hooks.Unfit as unfit:
        abort(409 if isinstance(unfit, hooks.Enough) else 422, f"The webhook cannot be added: {unfit}.")
    secret = hooks.secret_of(service().settings, hook.id)
    return _json(WebhookMade(**WebhookShown.model_validate(hook).model_dump(), secret=secret), 201)


@blueprint.delete("/webhooks/<hook_id>")
def remove_webhook(hook_id: str) -> Response:
    """Remove a webhook, and what waits to be sent to it.

    Raises:
        NotAllowed: the organisation has no such webhook.
    """
    there = hooks.remove(service().database, organisation_id=_organisation(), hook_id=hook_id, actor=who.actor(ACTOR))
    if not there:
        raise NotAllowed("there is no such webhook")
    return Response(status=204)
