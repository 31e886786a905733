"""The questionnaire as pages: who one is, then one block a page with only the questions that matter, then what follows.

Nothing is kept but the answers, under an id that only the browser holds. It works without JavaScript.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as BaseResponse

from checks.ai_act import rules as law
from checks.ai_act.answers import Profile, check_answers, facts, in_present_words
from checks.ai_act.classify import classify, next_questions
from checks.ai_act.logic import UNKNOWN
from checks.ai_act.rules import Question
from checks.declaration import Declaration, Role, Size
from sandbox.drafting.writing import organisation as organisation_of
from sandbox.errors import NotAllowed
from sandbox.records import drafts as records
from sandbox.web import drafts
from sandbox.web import identity as who
from sandbox.web.pages import ACTOR, service
from sandbox.web.security import require_token
from sandbox.web.wizard.opening import opened

blueprint = Blueprint("questions", __name__, url_prefix="/<lang:lang>/questions")

DRAFT = "questions"
PUBLIC_BODY = ("no", "yes")
Answers = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One block in the list of blocks.

    Args:
        state: `now`, `done` (all that matters is answered), `open`, `later` (whether anything in it matters hangs on
            answers that are still to come), or `skipped` (nothing in it matters).
    """

    block: str
    state: str


def _blocks() -> tuple[str, ...]:
    return tuple(dict.fromkeys(q.block for q in law.load().questions))


def _of_submission() -> str | None:
    """Give the draft of a submission that this questionnaire is a section of; None where it stands by itself."""
    return (request.view_args or {}).get("draft_id")


@blueprint.url_defaults
def _stay_in_submission(endpoint: str, values: dict[str, Any]) -> None:
    if endpoint.startswith("draft_questions.") and "draft_id" not in values:
        values["draft_id"] = _of_submission()


def _draft() -> tuple[str, Answers] | None:
    of_submission = _of_submission()
    if of_submission is not None:
        whole = opened(of_submission)
        given = whole.section("questionnaire").get("all") or whole.section("questionnaire").get("answers") or {}
        content: Answers | None = {"organisation": organisation_of(whole), "answers": given}
        draft_id = of_submission if whole.section("system") else None
    else:
        draft_id = session.get(DRAFT)
        content = drafts.read(service().database, draft_id) if isinstance(draft_id, str) else None
    if content is None or draft_id is None:
        return None
    return str(draft_id), {**content, "answers": in_present_words(content["answers"], law.load())}


def _write(draft_id: str, content: Answers) -> None:
    if _of_submission() is None:
        drafts.write(service().database, draft_id, content)
        return
    # What no longer matters stays, in case an answer is changed back; it is not handed in.
    given = {"all": content["answers"], "answers": _that_matter(content)}
    records.keep(service().database, draft_id, "questionnaire", given, actor=who.actor(ACTOR))


def _profile(organisation: Mapping[str, Any]) -> Profile:
    return Profile(
        roles=tuple(Role(role) for role in organisation["roles"]),
        public_body=organisation["public_body"] == "yes",
        size=Size(organisation["size"]) if "size" in organisation else None,
        country=organisation.get("country"),
    )


def _that_matter(content: Answers) -> dict[str, Any]:
    """Keep the answers to questions that are asked: what was answered before another answer changed is left out."""
    rules, profile, answers = law.load(), _profile(content["organisation"]), dict(content["answers"])
    while True:
        known = facts(answers, profile, rules)
        kept = {question: given for question, given in answers.items() if known.gate(question).truth is not False}
        if kept == answers:
            return kept
        answers = kept


def _waiting(content: Answers) -> list[Question]:
    rules = law.load()
    day = dt.datetime.now(dt.UTC).date()
    listed = next_questions(_that_matter(content), _profile(content["organisation"]), rules, as_of=day)
    return [rules.question(question) for question in listed]


def _shown(content: Answers, block: str) -> list[Question]:
    """List the questions of a block that are put: answered ones that matter, and those that wait."""
    wanted = set(_that_matter(content)) | {question.id for question in _waiting(content)}
    return [q for q in law.load().questions if q.block == block and q.id in wanted]


def _steps(content: Answers, now: str) -> list[Step]:
    answered = {law.load().question(question).block for question in _that_matter(content)}
    waiting = {question.block for question in _waiting(content)}
    known = facts(_that_matter(content), _profile(content["organisation"]), law.load())
    undecided = {q.block for q in law.load().questions if known.gate(q.id).truth is None}

    def state(block: str) -> str:
        if block == now:
            return "now"
        if block in waiting:
            return "open"
        if block in answered:
            return "done"
        return "later" if block in undecided else "skipped"

    return [Step(block=block, state=state(block)) for block in _blocks()]


def _onward(lang: str, content: Answers) -> str:
    """Give the address of the first block with a question that waits; of the result when none does."""
    waiting = _waiting(content)
    if waiting:
        return url_for(".block", lang=lang, block=waiting[0].block)
    return url_for(".result", lang=lang)


@blueprint.get("")
def begin(lang: str, draft_id: str | None = None) -> BaseResponse | str:
    """Say what the questionnaire is and ask who one is; in a submission that was said before."""
    found = _draft()
    if draft_id is not None:
        if found is None:
            return redirect(url_for("wizard.section", lang=lang, draft_id=draft_id, section="system"), 303)
        first = next((b for b in _blocks() if _shown(found[1], b)), None)
        onward = _onward(lang, found[1])
        if first is not None and not _waiting(found[1]):
            onward = url_for(".block", lang=lang, block=first)
        return redirect(onward, 303)
    given = found[1]["organisation"] if found else {"roles": ["provider"], "public_body": "no"}
    return _begin_page(given, bool(found), wrong="")


def _begin_page(given: Mapping[str, Any], is_begun: bool, *, wrong: str) -> str:
    return render_template(
        "questions_begin.html", given=given, is_begun=is_begun, wrong=wrong, roles=list(Role), sizes=list(Size)
    )


@blueprint.post("")
def organisation(lang: str, draft_id: str | None = None) -> BaseResponse | tuple[str, int]:
    """Keep who one is and go on to the questions."""
    require_token()
    if draft_id is not None:
        return redirect(url_for("wizard.section", lang=lang, draft_id=draft_id, section="system"), 303)
    who.limited("questions")
    roles = [role.value for role in Role if role.value in request.form.getlist("roles")]
    country = request.form.get("country", "").strip().upper()
    given: dict[str, Any] = {"roles": roles, "public_body": request.form.get("public_body", "")}
    if request.form.get("size") in list(Size):
        given["size"] = request.form["size"]
    if country:
        given["country"] = country[:2]
    if not roles or given["public_body"] not in PUBLIC_BODY:
        return _begin_page(given, False, wrong="roles"), 422
    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        return _begin_page(given, False, wrong="country"), 422
    found = _draft()
    if found is None:
        content: Answers = {"organisation": given, "answers": {}}
        session[DRAFT] = drafts.begin(service().database, content)
    else:
        content = {**found[1], "organisation": given}
        _write(found[0], content)
    return redirect(_onward(lang, content), 303)


@blueprint.get("/<block>")
def block(lang: str, block: str, draft_id: str | None = None) -> BaseResponse | str:  # noqa: ARG001  # in the address
    """Put the questions of one block that matter."""
    if block not in _blocks():
        raise NotAllowed("there is no such block")
    found = _draft()
    if found is None:
        return redirect(url_for(".begin", lang=lang), 303)
    content = found[1]
    questions = _shown(content, block)
    if not questions:
        return redirect(_onward(lang, content), 303)
    answers = content["answers"]
    waiting = _waiting(content)
    again = session.get("missing") == block
    problems = {p.question: p.code for p in check_answers(answers, law.load())}
    if again:
        session.pop("missing")
    blocks = _blocks()
    return render_template(
        "questions_block.html",
        block=block,
        number=blocks.index(block) + 1,
        total=len(blocks),
        before=next((b for b in reversed(blocks[: blocks.index(block)]) if _shown(content, b)), None),
        questions=questions,
        given={q.id: _as_list(answers.get(q.id)) for q in questions},
        offered={q.id: _offered(q, content) for q in questions},
        missing={q.id for q in questions if q.id not in answers} if again else set(),
        problems=problems,
        steps=_steps(content, block),
        answered=len(_that_matter(content)),
        waiting=len(waiting),
        unknown=UNKNOWN,
    )


def _offered(question: Question, content: Answers) -> list[str]:
    """List the options of a question that can still mean something."""
    known = facts(_that_matter(content), _profile(content["organisation"]), law.load())
    return [o.id for o in question.options if known.offers(question.id, o.id).truth is not False]


def _as_list(answer: Any) -> list[str]:
    return [] if answer is None else [answer] if isinstance(answer, str) else list(answer)


@blueprint.post("/<block>")
def answer(lang: str, block: str, draft_id: str | None = None) -> BaseResponse:  # noqa: ARG001  # in the address
    """Keep the answers of one block; stay there while one is missing or a new question came of them."""
    require_token()
    found = _draft()
    if block not in _blocks():
        raise NotAllowed("there is no such block")
    if found is None:
        return redirect(url_for(".begin", lang=lang), 303)
    kept_as, content = found
    answers = dict(content["answers"])
    put = _shown(content, block)
    were_offered = {question.id: _offered(question, content) for question in put}
    # Only what was on the page: a question that came up since is put, not taken as missing.
    on_page = set(request.form.getlist("on_page"))
    for question in put:
        if question.id not in on_page:
            continue
        options = [o.id for o in question.options if o.id in request.form.getlist(question.id)]
        if not options:
            answers.pop(question.id, None)
        else:
            answers[question.id] = options if question.kind == "multi" else options[0]
    content = {**content, "answers": answers}
    for question in put:
        # An option that was not on the page was not left unticked: its question is put again.
        if not set(_offered(question, content)) <= set(were_offered[question.id]):
            answers.pop(question.id, None)
    _write(kept_as, content)
    wrong = {p.question for p in check_answers(answers, law.load())}
    shown = {q.id for q in _shown(content, block)}
    missing = {q for q in shown & on_page if q not in answers}
    if missing:
        session["missing"] = block
    if missing or wrong & shown or any(q.block == block for q in _waiting(content)):
        return redirect(url_for(".block", lang=lang, block=block), 303)
    if request.form.get("to") == "result":
        return redirect(url_for(".result", lang=lang), 303)
    later = _blocks()[_blocks().index(block) + 1 :]
    following = next((b for b in later if _shown(content, b)), None)
    if following is None:
        return redirect(_onward(lang, content), 303)
    return redirect(url_for(".block", lang=lang, block=following), 303)


@blueprint.get("/result")
def result(lang: str, draft_id: str | None = None) -> BaseResponse | str:  # noqa: ARG001  # in the address
    """Show the class that the answers point to, how it came about, and what follows."""
    found = _draft()
    if found is None:
        return redirect(url_for(".begin", lang=lang), 303)
    content, rules = found[1], law.load()
    organisation = content["organisation"]
    provider = {"name": "-"} | {n: organisation[n] for n in ("size", "country") if n in organisation}
    answers = _that_matter(content)
    declaration = Declaration.model_validate(
        {
            "system": {
                "name": "-",
                "version": "-",
                "intended_purpose": "-",
                "provider": provider,
                "roles": organisation["roles"],
                "public_body": organisation["public_body"],
            },
            "answers": answers,
        }
    )
    risk = classify(declaration, rules, as_of=dt.datetime.now(dt.UTC).date())
    return render_template(
        "questions_result.html",
        risk=risk,
        waiting=len(_waiting(content)),
        block_of={q.id: q.block for q in rules.questions},
        unknown=UNKNOWN,
        steps=_steps(content, ""),
    )


@blueprint.get("/answers.yaml")
def download(lang: str, draft_id: str | None = None) -> BaseResponse:  # noqa: ARG001  # in the address
    """Give the answers as the file that a submission names under `answers`."""
    found = _draft()
    if found is None:
        return redirect(url_for(".begin", lang=lang), 303)
    content = found[1]
    document = {"organisation": content["organisation"], "answers": _that_matter(content)}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return Response(
        text, mimetype="application/yaml", headers={"Content-Disposition": "attachment; filename=answers.yaml"}
    )


@blueprint.post("/forget")
def forget(lang: str, draft_id: str | None = None) -> BaseResponse:
    """Remove the answers."""
    require_token()
    found = _draft()
    if draft_id is not None:
        _write(draft_id, {"organisation": {"roles": ["provider"], "public_body": "no"}, "answers": {}})
    elif found is not None:
        drafts.forget(service().database, found[0])
    session.pop(DRAFT, None)
    return redirect(url_for(".begin", lang=lang), 303)
