"""The review desk: what waits, and per dossier its open findings, comments, judgements and the signature."""

from __future__ import annotations

import logging

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from model_cards.dossier import Dossier
from sandbox.errors import Broken, NotAllowed
from sandbox.records import uploads
from sandbox.records.tables import Submission, new_id
from sandbox.review import desk as reviews
from sandbox.review.desk import NotSo
from sandbox.review.permissions import Permission
from sandbox.web import identity as who
from sandbox.web.pages import service, words
from sandbox.web.security import require_token

log = logging.getLogger(__name__)

blueprint = Blueprint("review", __name__)


@blueprint.get("/<lang:lang>/review")
def queue(lang: str) -> str:  # noqa: ARG001  # read from the address by `words`
    """Show what there is to review: not begun, under way, ended."""
    database = service().database
    listed = [
        (row, standing, reviews.newer(database, row))
        for row, standing in reviews.waiting(database, who.somebody().where(Permission.REVIEW))
    ]
    ended = reviews.SIGNATURES
    return render_template(
        "review_queue.html",
        parts_of_queue=[
            ("new", [entry for entry in listed if entry[1].status == reviews.NONE]),
            ("under_way", [entry for entry in listed if entry[1].status not in (reviews.NONE, *ended)]),
            ("ended", [entry for entry in listed if entry[1].status in ended]),
        ],
    )


def _dossier(found: Submission) -> Dossier:
    if found.dossier is None or found.dossier_digest is None:
        raise NotAllowed("there is no dossier yet")
    try:
        return reviews.read_dossier(uploads.dossiers(service().settings) / found.dossier, found.dossier_digest)
    except NotSo as other:
        incident = new_id()[:12]
        log.error("incident %s: the dossier of %s is not the one that was recorded", incident, found.id)
        raise Broken(incident) from other


@blueprint.get("/<lang:lang>/submissions/<submission_id>/review")
def desk(lang: str, submission_id: str) -> str:  # noqa: ARG001
    """Show what a person must judge in a dossier, and what was said of it."""
    return _desk_page(who.found_submission(submission_id))


def _desk_page(found: Submission, *, problem: str = "", at: str = "", kept: str = "") -> str:
    dossier = _dossier(found)
    standing = reviews.standing(service().database, found)
    me = who.somebody()
    who.note_reading(found, "review")
    open_findings = reviews.to_judge(dossier)
    return render_template(
        "review_desk.html",
        row=found,
        standing=standing,
        open_findings=[(reviews.key_of(f), f) for f in open_findings],
        others=[(reviews.key_of(f), f) for f in dossier.findings if f not in open_findings],
        titles={reviews.key_of(f): words().documents.finding_title(f) for f in dossier.findings},
        comments={
            key: [e for e in standing.entries if e.kind == reviews.COMMENT and e.finding == key]
            for key in ("", *(reviews.key_of(f) for f in dossier.findings))
        },
        history=[e for e in standing.entries if e.kind in reviews.NEXT],
        unjudged=sum(reviews.key_of(f) not in standing.judged for f in open_findings),
        following=reviews.NEXT[standing.status],
        may_review=me.holds(Permission.REVIEW, found.organisation),
        may_comment=me.holds(Permission.COMMENT, found.organisation),
        is_own=found.submitted_by == me.person_id,
        newer=reviews.newer(service().database, found) if standing.status in reviews.SIGNATURES else None,
        statement=_statement(found, dossier),
        problem=problem,
        at=at,
        kept=kept,
    )


def _statement(found: Submission, dossier: Dossier) -> str:
    return words()(
        "review.statement",
        digest=found.dossier_digest,
        policy=reviews.policy_of(dossier),
        rules=dossier.risk.rules_version,
    )


def _write(lang: str, submission_id: str, kind: str, finding: str) -> BaseResponse:
    require_token()
    found = who.found_submission(submission_id)
    dossier = _dossier(found)
    text = request.form.get("text", "")
    try:
        reviews.write(
            service().database,
            found,
            dossier,
            who.somebody(),
            kind=kind,
            text=text,
            finding=finding,
            seen_digest=request.form.get("digest", ""),
            has_no_conflict=request.form.get("no_conflict") == "yes",
            statement=_statement(found, dossier),
        )
    except NotSo as not_so:
        return make_response(_desk_page(found, problem=not_so.code, at=finding, kept=text), 422)
    return redirect(url_for("review.desk", lang=lang, submission_id=submission_id), 303)


@blueprint.post("/<lang:lang>/submissions/<submission_id>/review/comments")
def comment(lang: str, submission_id: str) -> BaseResponse:
    """Add a comment, on a finding or on the whole."""
    return _write(lang, submission_id, reviews.COMMENT, request.form.get("finding", ""))


@blueprint.post("/<lang:lang>/submissions/<submission_id>/review/judgements")
def judge(lang: str, submission_id: str) -> BaseResponse:
    """Judge one finding, with reasons."""
    return _write(lang, submission_id, reviews.JUDGEMENT, request.form.get("finding", ""))


@blueprint.post("/<lang:lang>/submissions/<submission_id>/review/status")
def decide(lang: str, submission_id: str) -> BaseResponse:
    """Begin a review, ask for changes, sign, or withdraw."""
    status = request.form.get("status", "")
    if status not in reviews.NEXT or status == reviews.NONE:
        raise NotAllowed("there is no such status")
    return _write(lang, submission_id, status, "")
