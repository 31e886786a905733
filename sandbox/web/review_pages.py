"""The review desk: what waits, and per dossier its open findings, what is said of it, a holdout, and the signatures."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from flask import Blueprint, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from sandbox.errors import NotAllowed
from sandbox.records import queue
from sandbox.records.tables import ReviewEntry, Submission, now
from sandbox.review import assigning, holdouts, staleness
from sandbox.review import desk as reviews
from sandbox.review.assigning import NotAsked
from sandbox.review.desk import NotSo, Writing
from sandbox.review.holdouts import NotHeld
from sandbox.review.permissions import Permission
from sandbox.web import identity as who
from sandbox.web import receiving
from sandbox.web.pages import reading_of, service, words
from sandbox.web.reading import Reading
from sandbox.web.security import require_token

blueprint = Blueprint("review", __name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """Why nothing was kept, and what somebody wrote, so that they need not write it again.

    Args:
        code: key of the words.
        at: what it was about: key of a finding, `holdout`, `assign`, `q` and the number of a question, or empty.
        writing: as it was sent.
    """

    code: str = ""
    at: str = ""
    writing: Writing | None = None


def _today() -> dt.date:
    return now().date()


@blueprint.get("/<lang:lang>/review", endpoint="queue")
def listed(lang: str) -> str:  # noqa: ARG001  # read from the address by `words`
    """Show what there is to review, by what it waits for."""
    me = who.somebody()
    return render_template(
        "review_queue.html",
        parts_of_queue=assigning.queue(
            service().database, me.where(Permission.REVIEW), policy=service().settings.policy, today=_today()
        ),
        today=_today(),
    )


@blueprint.get("/<lang:lang>/submissions/<submission_id>/review")
def desk(lang: str, submission_id: str) -> BaseResponse | str:
    """Show what a person must judge in a dossier, and what was said of it."""
    found = who.found_submission(submission_id)
    if found.holdout_of is not None:
        return redirect(url_for("review.desk", lang=lang, submission_id=found.holdout_of), 303)
    return _desk_page(found, Wrong())


def _desk_page(found: Submission, wrong: Wrong) -> str:
    database, policy = service().database, service().settings.policy
    reading = reading_of(found)
    dossier = reading.dossier
    standing = reviews.standing(database, found)
    me = who.somebody()
    who.note_reading(found, "review")
    open_findings = reviews.to_judge(dossier)
    others = [(reviews.key_of(f), f) for f in dossier.findings if f not in open_findings]
    moved = None
    if standing.is_signed:
        with database.reading() as session:
            moved = staleness.moved(session, found, standing.signatures[-1], policy)
    return render_template(
        "review_desk.html",
        row=found,
        reading=reading,
        standing=standing,
        open_findings=[(reviews.key_of(f), f) for f in open_findings],
        others=others,
        others_said={e.finding for e in standing.entries} & {key for key, _ in others},
        titles={reviews.key_of(f): words().documents.finding_title(f) for f in dossier.findings},
        asked_of=reviews.asked_of,
        passages_of=reviews.passages_of,
        item_name=lambda finding, item: words().documents.item(item, finding.check),
        said_of=_said_of(standing),
        passages_said={e.finding for e in standing.entries if e.passage},
        answer_to={e.answers: e for e in standing.entries if e.kind == reviews.ANSWER},
        history=[e for e in standing.entries if e.kind in reviews.NEXT],
        unjudged=sum(reviews.key_of(f) not in standing.judged for f in open_findings),
        following=reviews.NEXT[standing.status],
        may_review=me.holds(Permission.REVIEW, found.organisation),
        may_comment=me.holds(Permission.COMMENT, found.organisation),
        is_own=found.is_of(me.person_id),
        has_signed=me.person_id in {e.person for e in standing.signatures},
        moved=moved,
        changes=_changes(reading, found, moved) if moved is not None and moved.why else (),
        statement=_statement(found, reading),
        asked=assigning.asked(database, found),
        reviewers=assigning.reviewers(database, found),
        holdout_runs=holdouts.of(database, found),
        today=_today(),
        wrong=wrong,
    )


def _said_of(standing: reviews.Standing) -> dict[tuple[str, str], list[ReviewEntry]]:
    """Gather comments and questions by the finding and the passage that they are about."""
    found: dict[tuple[str, str], list[ReviewEntry]] = {}
    for entry in standing.entries:
        if entry.kind in (reviews.COMMENT, reviews.QUESTION):
            found.setdefault((entry.finding, entry.passage), []).append(entry)
    return found


def _changes(reading: Reading, found: Submission, moved: staleness.Moved) -> tuple[object, ...]:
    """Set out what changed since the signature: first by a newer version, then by what applies now."""
    from sandbox.comparing import compare, to_card

    cards = []
    lang = words().lang
    if moved.newer is not None and moved.newer.organisation == found.organisation:
        cards.append(("version", to_card(compare(reading.dossier, reading_of(moved.newer).dossier), lang)))
    if moved.policy or moved.rules:
        now_applies = staleness.under_what_applies_now(reading.dossier, service().settings.policy)
        cards.append(("applies", to_card(now_applies, lang)))
    return tuple(cards)


def _statement(found: Submission, reading: Reading) -> str:
    return words()(
        "review.statement",
        digest=found.dossier_digest,
        policy=reviews.policy_of(reading.dossier),
        rules=reading.dossier.risk.rules_version,
    )


def _write(lang: str, submission_id: str, kind: str, *, at: str = "") -> BaseResponse:
    require_token()
    found = _first(submission_id)
    reading = reading_of(found)
    form = request.form
    answers = form.get("answers", "")
    writing = Writing(
        kind=kind,
        seen_digest=form.get("digest", ""),
        text=form.get("text", ""),
        finding=form.get("finding", ""),
        passage=form.get("passage", ""),
        answers=int(answers) if answers.isdecimal() and len(answers) < 7 else None,
        stated={name.removeprefix("stated."): said for name, said in form.items() if name.startswith("stated.")},
        has_no_conflict=form.get("no_conflict") == "yes",
        statement=_statement(found, reading),
    )
    try:
        reviews.write(service().database, found, reading.dossier, who.somebody(), writing)
    except NotSo as not_so:
        wrong = Wrong(code=not_so.code, at=at or writing.finding, writing=writing)
        return make_response(_desk_page(found, wrong), 422)
    return redirect(url_for("review.desk", lang=lang, submission_id=submission_id), 303)


def _first(submission_id: str) -> Submission:
    """Give the submission; what was assessed with a holdout is reviewed where the first is."""
    found = who.found_submission(submission_id)
    if found.holdout_of is not None:
        raise NotAllowed("this is reviewed with the submission it is about")
    return found


@blueprint.post("/<lang:lang>/submissions/<submission_id>/review/comments")
def comment(lang: str, submission_id: str) -> BaseResponse:
    """Add a comment, on a passage, on a finding or on the whole."""
    return _write(lang, submission_id, reviews.COMMENT)


@blueprint.post("/<lang:lang>/submissions/<submission_id>/review/questions")
def ask(lang: str, submission_id: str) -> BaseResponse:
    """Ask whoever handed it in, about a passage, a finding or the whole."""
    return _write(lang, submission_id, reviews.QUESTION)


@blueprint.post("/<lang:lang>/submissions/<submission_id>/review/answers")
def answer(lang: str, submission_id: str) -> BaseResponse:
    """Answer a question."""
    return _write(lang, submission_id, reviews.ANSWER, at=f"q{request.form.get('answers', '')}")


@blueprint.post("/<lang:lang>/submissions/<submission_id>/review/judgements")
def judge(lang: str, submission_id: str) -> BaseResponse:
    """Judge one finding, with reasons."""
    return _write(lang, submission_id, reviews.JUDGEMENT)


@blueprint.post("/<lang:lang>/submissions/<submission_id>/review/status")
def decide(lang: str, submission_id: str) -> BaseResponse:
    """Begin a review, ask for changes, sign, or withdraw."""
    status = request.form.get("status", "")
    if status not in reviews.NEXT or status == reviews.NONE:
        raise NotAllowed("there is no such status")
    return _write(lang, submission_id, status)


@blueprint.post("/<lang:lang>/submissions/<submission_id>/review/reviewers")
def assign(lang: str, submission_id: str) -> BaseResponse:
    """Ask somebody to review it by a day."""
    require_token()
    found = _first(submission_id)
    try:
        due = dt.date.fromisoformat(request.form.get("due", ""))
        assigning.ask(
            service().database,
            found,
            who.somebody(),
            person_id=request.form.get("person", ""),
            due=due,
            today=_today(),
        )
    except (NotAsked, ValueError) as not_asked:
        code = not_asked.code if isinstance(not_asked, NotAsked) else "due"
        return make_response(_desk_page(found, Wrong(code=code, at="assign")), 422)
    return redirect(url_for("review.desk", lang=lang, submission_id=submission_id), 303)


@blueprint.post("/<lang:lang>/submissions/<submission_id>/review/relieved")
def relieve(lang: str, submission_id: str) -> BaseResponse:
    """Ask somebody no longer."""
    require_token()
    assigning.relieve(
        service().database, _first(submission_id), who.somebody(), person_id=request.form.get("person", "")
    )
    return redirect(url_for("review.desk", lang=lang, submission_id=submission_id), 303)


@blueprint.post("/<lang:lang>/submissions/<submission_id>/review/holdout")
def holdout(lang: str, submission_id: str) -> BaseResponse:
    """Take a table that the submitter never saw, and have the submission assessed again with it."""
    found = _first(submission_id)
    receiving.expect()
    require_token()
    me, settings = who.somebody(), service().settings
    sent, taken = request.files.get("holdout"), g.get("receiving")
    try:
        holdouts.refuse(found, reading_of(found).dossier, me, settings)
        if sent is None or taken is None or taken.size == 0:
            raise NotHeld("no_file")
        name = holdouts.name_of(sent.filename or "")
    except NotHeld as not_held:
        return make_response(_desk_page(found, Wrong(code=f"holdout_{not_held.code}", at="holdout")), 422)
    receiving.keep(
        taken,
        name,
        service().database,
        actor=me.actor,
        organisation=found.organisation,
        submitted_by=me.person_id,
        origin=queue.Origin(holdout_of=found.id, retention_days=found.retention_days),
    )
    return redirect(url_for("review.desk", lang=lang, submission_id=submission_id) + "#holdout", 303)
