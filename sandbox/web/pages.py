"""The pages: what this is, handing in a submission, watching it, reading its report."""

from __future__ import annotations

import datetime as dt
import functools
import logging
import mimetypes
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    g,
    make_response,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response as BaseResponse

from sandbox.drafting.writing import section_of
from sandbox.errors import Broken, NotAllowed, OverBudget
from sandbox.records import dossier_store, drafts, queue, uploads
from sandbox.records.tables import State, Submission, new_id
from sandbox.review import desk as reviews
from sandbox.review import holdouts, staleness
from sandbox.review import portfolio as systems
from sandbox.review.permissions import Permission
from sandbox.web import identity as who
from sandbox.web import receiving
from sandbox.web.duties import matrix
from sandbox.web.live import STAGES, progress_of
from sandbox.web.path_drawing import diagram
from sandbox.web.reading import Altered, Reading, read
from sandbox.web.security import csrf_token, require_token
from sandbox.web.words import DEFAULT_LANGUAGE, LANGUAGES, Pages, visible

log = logging.getLogger(__name__)

blueprint = Blueprint("pages", __name__)


class LanguageConverter(BaseConverter):
    """The part of an address that says a language there are pages in."""

    regex = "|".join(LANGUAGES)


LANGUAGE_COOKIE = "lang"
LANGUAGE_SECONDS = 365 * 24 * 3600
DOWNLOADS = ("model_card.{lang}.pdf", "model_card.{lang}.md", "model_card.{lang}.html", "dossier.json", "run.json")
"""Files of a dossier that the report offers one by one, where they are there."""

ACTOR = "web"


def service() -> Any:
    """Give what this application works with: settings, database, streams."""
    return current_app.extensions["aiact_sandbox"]


def words() -> Pages:
    """Give the words in the reader's language."""
    if "words" not in g:
        g.words = Pages(_language())
    return cast("Pages", g.words)


def _language() -> str:
    asked = (request.view_args or {}).get("lang") or request.path.strip("/").partition("/")[0]
    if asked in LANGUAGES:
        return str(asked)
    kept = request.cookies.get(LANGUAGE_COOKIE)
    return kept if kept in LANGUAGES else request.accept_languages.best_match(LANGUAGES) or DEFAULT_LANGUAGE


@blueprint.app_context_processor
def _in_every_template() -> dict[str, Any]:
    return {
        "w": words(),
        "lang": words().lang,
        "visible": visible,
        "languages": [(code, Pages(code)("language"), _same_page(code)) for code in LANGUAGES],
        "service_name": words()("service"),
        "upload_limit": service().settings.upload_bytes,
        "me": who.identity(),
        "has_mlflow": service().settings.mlflow_tracking_uri.startswith(("http://", "https://")),
        "has_accounts": service().settings.accounts != "off",
        "may": _may,
    }


def _may(permission: str, organisation: str | None = None) -> bool:
    """Tell templates whether whoever asks has a permission: in an organisation, or where None is given in any."""
    me = who.identity()
    if me is None:
        return False
    wanted = Permission(permission)
    return me.is_alone or (me.holds(wanted, organisation) if organisation else bool(me.where(wanted)))


def _same_page(lang: str) -> str:
    """Give the address of this page in another language; of the start page where this one has no address."""
    if request.endpoint and request.method in ("GET", "HEAD") and "lang" in (request.view_args or {}):
        return url_for(request.endpoint, **{**(request.view_args or {}), "lang": lang})
    return url_for("pages.start", lang=lang)


@blueprint.after_request
def _remember_language(response: Response) -> Response:
    lang = (request.view_args or {}).get("lang")
    if lang in LANGUAGES and request.cookies.get(LANGUAGE_COOKIE) != lang:
        response.set_cookie(LANGUAGE_COOKIE, lang, max_age=LANGUAGE_SECONDS, samesite="Lax", httponly=True)
    return response


@blueprint.get("/")
def root() -> BaseResponse:
    """Lead to the start page in the reader's language."""
    answer = redirect(url_for("pages.start", lang=_language()), 302)
    answer.headers["Vary"] = "Accept-Language, Cookie"
    return answer


@blueprint.get("/<lang:lang>/")
def start(lang: str) -> str:  # noqa: ARG001  # read from the address by `words`
    """Say what this is and what it is not, and take a submission."""
    return _start_page()


def _start_page(*problems: str) -> str:
    newest = queue.newest(service().database, limit=5, organisations=who.organisations(Permission.READ))
    me = who.identity()
    into = [(i, me.names[i]) for i in me.where(Permission.SUBMIT)] if me and not me.is_alone else []
    return render_template("start.html", problems=problems, newest=newest, into=into)


@blueprint.get("/<lang:lang>/submissions")
def submissions(lang: str) -> str:  # noqa: ARG001
    """List the submissions that one may read."""
    rows = queue.newest(service().database, organisations=who.organisations(Permission.READ))
    return render_template("submissions.html", rows=rows)


@blueprint.get("/<lang:lang>/portfolio")
def portfolio(lang: str) -> str:  # noqa: ARG001
    """Show per system that one may read of where it stands."""
    places = systems.portfolio(
        service().database,
        functools.partial(dossier_store.folder, service().settings),
        organisations=who.organisations(Permission.READ),
        today=dt.datetime.now(dt.UTC).date(),
        policy=service().settings.policy,
    )
    by_organisation: dict[str | None, list[systems.Place]] = {}
    for place in places:
        by_organisation.setdefault(place.newest.organisation, []).append(place)
    return render_template("portfolio.html", by_organisation=by_organisation)


@blueprint.post("/<lang:lang>/submissions")
def submit(lang: str) -> BaseResponse:
    """Take a submission in and lead to its page."""
    receiving.expect()
    require_token()
    sent = request.files.get("submission")
    taken = g.get("receiving")
    if sent is None or taken is None or taken.size == 0:
        csrf_token()
        code = "none" if sent is None or not sent.filename else "empty"
        return make_response(_start_page(words()(f"start.problem.{code}")), 422)
    try:
        submission_id = keep_for(taken, sent.filename or "", request.form.get("organisation", ""), actor=ACTOR)
    except OverBudget as over:
        return make_response(_start_page(*(words().problem(asdict(p))[0] for p in over.problems)), over.status)
    return redirect(url_for("pages.submission", lang=lang, submission_id=submission_id), 303)


def keep_for(
    taken: uploads.Receiving, name: str, organisation: str, *, actor: str, origin: queue.Origin | None = None
) -> str:
    """Keep an upload for the organisation named, or for the only one that it can be for.

    Args:
        origin: how long it stays, where that was chosen.

    Returns:
        The id of the submission.
    """
    me = who.somebody()
    if me.is_alone:
        return receiving.keep(taken, name, service().database, actor=actor, origin=origin)
    possible = me.where(Permission.SUBMIT)
    if not organisation and len(possible) == 1:
        organisation = possible[0]
    if organisation not in possible:
        raise NotAllowed("not for this organisation", hidden=organisation not in me.may)
    who.limited("submit")
    return receiving.keep(
        taken,
        name,
        service().database,
        actor=me.actor,
        organisation=organisation,
        submitted_by=me.person_id,
        origin=origin,
    )


@blueprint.get("/<lang:lang>/submissions/<submission_id>")
def submission(lang: str, submission_id: str) -> BaseResponse | str:
    """Show how far a submission is, what was wrong with it, or lead to its report."""
    found = who.found_submission(submission_id)
    if found.state == State.DONE:
        return redirect(url_for("pages.report", lang=lang, submission_id=submission_id), 303)
    progress = progress_of(found, queue.waiting_before(service().database, found), words())
    return render_template(
        "submission.html",
        row=found,
        progress=progress,
        stages=STAGES,
        problems=[(p.get("field", ""), *words().problem(p)) for p in found.problems],
        mend=_mend(lang, found),
    )


def _mend(lang: str, found: Submission) -> dict[str, str] | None:
    """Give for each field that is wrong the page on which it is filled in; None where there is no draft any more."""
    draft = drafts.find(service().database, found.draft) if found.draft is not None else None
    if draft is None or draft.submission not in (None, found.id) or not _may("submit", found.organisation):
        return None
    sections = {p["field"]: section_of(p["field"]) for p in found.problems if p.get("field")}
    return {
        field: url_for("wizard.section", lang=lang, draft_id=draft.id, section=section)
        for field, section in sections.items()
        if section
    }


@blueprint.get("/<lang:lang>/submissions/<submission_id>/events")
def events(lang: str, submission_id: str) -> BaseResponse:  # noqa: ARG001
    """Stream the progress of a submission; 204 tells the browser to stop asking."""
    return stream_of(who.found_submission(submission_id))


def stream_of(found: Submission) -> BaseResponse:
    """Stream how far a submission is; 204 when no stream is free."""
    stream = service().streams.open(found.id, words())
    if stream is None:
        return Response(status=204)
    return Response(stream, mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})


@blueprint.post("/<lang:lang>/submissions/<submission_id>/cancel")
def cancel(lang: str, submission_id: str) -> BaseResponse:
    """Ask for a submission to be stopped."""
    require_token()
    who.found_submission(submission_id)
    queue.request_cancel(service().database, submission_id, actor=who.actor(ACTOR))
    return redirect(url_for("pages.submission", lang=lang, submission_id=submission_id), 303)


def folder_of(found: Submission) -> Path:
    """Give the folder of a dossier.

    Raises:
        NotAllowed: there is none yet.
    """
    if found.dossier is None:
        raise NotAllowed("there is no dossier yet")
    return dossier_store.folder(service().settings, found.dossier)


def reading_of(found: Submission) -> Reading:
    """Read the dossier of a submission, in the reader's language.

    Raises:
        NotAllowed: there is none yet.
        Broken: it is not the one that was recorded.
    """
    try:
        return read(folder_of(found), str(found.dossier_digest), words().lang)
    except Altered as altered:
        incident = new_id()[:12]
        log.error("incident %s: the dossier of %s is not the one that was recorded", incident, found.id)
        raise Broken(incident) from altered


@blueprint.get("/<lang:lang>/submissions/<submission_id>/report")
def report(lang: str, submission_id: str) -> str:
    """Show a report: what it comes to in a minute, how to repeat it, the whole card, and all its files."""
    found = who.found_submission(submission_id)
    reading = reading_of(found)
    files = uploads.files_of(folder_of(found))
    who.note_reading(found, "report")
    database = service().database
    first = queue.find(database, found.holdout_of) if found.holdout_of else found
    standing = reviews.standing(database, first or found)
    moved = None
    if standing.is_signed:
        with database.reading() as session:
            moved = staleness.moved(session, first or found, standing.signatures[-1], service().settings.policy)
    return render_template(
        "report.html",
        row=found,
        reading=reading,
        first=first,
        standing=standing,
        moved=moved,
        holdouts=[run for run in holdouts.of(database, found) if run.dossier],
        offered=[name for pattern in DOWNLOADS if (name := pattern.format(lang=lang)) in files],
        has_card=f"model_card.{lang}.html" in files,
        versions=queue.versions_of(database, found),
        previous=queue.find(database, found.previous) if found.previous else None,
    )


@blueprint.get("/<lang:lang>/submissions/<submission_id>/law")
def law(lang: str, submission_id: str) -> str:  # noqa: ARG001
    """Show the class with the way to it, and the duties by role and date."""
    found = who.found_submission(submission_id)
    risk = reading_of(found).dossier.risk
    who.note_reading(found, "law")
    role, by = request.args.get("role", ""), _day(request.args.get("by", ""))
    return render_template(
        "law.html",
        row=found,
        risk=risk,
        matrix=matrix(risk.duties, words().documents.duty, role=role, by=by),
        drawing=diagram(risk, words().documents, words().class_name(risk.risk_class)),
        asked_role=role,
        asked_by=by,
    )


def _day(given: str) -> dt.date | None:
    """Read a day as a form sends it; what is none is not asked for."""
    try:
        return dt.date.fromisoformat(given)
    except ValueError:
        return None


@blueprint.get("/<lang:lang>/submissions/<submission_id>/compare/<other_id>")
def compare(lang: str, submission_id: str, other_id: str) -> str:
    """Show what changed from another submission to this one."""
    from sandbox.comparing import compare as compared
    from sandbox.comparing import to_card

    found, other = who.found_submission(submission_id), who.also_found(other_id)
    before, after = reading_of(other), reading_of(found)
    for row in (other, found):
        who.note_reading(row, "comparison")
    card = to_card(compared(before.dossier, after.dossier), lang)
    return render_template("compare.html", row=found, other=other, card=card)


@blueprint.get("/<lang:lang>/submissions/<submission_id>/compare/<other_id>/comparison.html")
def comparison(lang: str, submission_id: str, other_id: str) -> BaseResponse:
    """Give the comparison as a document of its own, which can run nothing."""
    from model_cards.exports import html
    from sandbox.comparing import compare as compared
    from sandbox.comparing import to_card

    found, other = who.found_submission(submission_id), who.also_found(other_id)
    before, after = reading_of(other), reading_of(found)
    for row in (other, found):
        who.note_reading(row, "comparison")
    g.is_document = True
    return Response(html.page(to_card(compared(before.dossier, after.dossier), lang)), mimetype="text/html")


@blueprint.get("/<lang:lang>/submissions/<submission_id>/card/model_card.<of>.html")
def card(lang: str, submission_id: str, of: str) -> BaseResponse:  # noqa: ARG001
    """Show the card as it stands in the dossier, with the way back above it; its links to its siblings work.

    It can run nothing.
    """
    found = who.found_submission(submission_id)
    written, pdf = _document(found, f"model_card.{of}.html"), f"model_card.{of}.pdf"
    bar = render_template("card_bar.html", row=found, pdf=pdf if (written.parent / pdf).is_file() else "")
    # After the link that skips to the content, before the first thing of the card.
    return Response(written.read_bytes().replace(b"<header>", bar.encode() + b"<header>", 1), mimetype="text/html")


@blueprint.get("/<lang:lang>/submissions/<submission_id>/files/<path:name>")
def file(lang: str, submission_id: str, name: str) -> BaseResponse:  # noqa: ARG001
    """Give one file of a dossier to be saved."""
    return send_file_of(who.found_submission(submission_id), name)


def send_file_of(found: Submission, name: str) -> BaseResponse:
    """Send one file of a dossier to be saved; 404 where there is no such file."""
    path = _document(found, name)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return send_file(path, mimetype=kind, as_attachment=True, download_name=path.name)


def _document(found: Submission, name: str) -> Path:
    """Find a file of a dossier that is about to be sent as a document, and note who reads it."""
    folder = folder_of(found)
    # Compared with what is there, never joined and hoped for.
    if name not in uploads.files_of(folder):
        abort(404)
    who.note_reading(found, name)
    g.is_document = True
    return folder / name


@blueprint.get("/<lang:lang>/submissions/<submission_id>/dossier.zip")
def dossier(lang: str, submission_id: str) -> BaseResponse:  # noqa: ARG001
    """Give the whole dossier as one zip."""
    return send_dossier(who.found_submission(submission_id))


def send_dossier(found: Submission) -> BaseResponse:
    """Send the zip of a dossier, as it was made when the dossier was."""
    path = uploads.dossiers(service().settings) / f"{folder_of(found).name}.zip"
    who.note_reading(found, "dossier.zip")
    g.is_document = True
    return send_file(
        path, mimetype="application/zip", as_attachment=True, download_name=f"dossier-{found.id[:8]}.zip", etag=True
    )
