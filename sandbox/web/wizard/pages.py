"""The pages of the wizard: an overview, a page for each section, the check, and handing in.

Everything works without scripts; scripts only add to uploading.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from checks.declaration import ColumnRole, Output, Role, Route, Sampling, Size, Task
from model_cards.dossier import Dossier
from sandbox.drafting import optional, writing
from sandbox.errors import NotAllowed, OverBudget, Problem
from sandbox.records import dossier_store, drafts, parts, queue
from sandbox.records.drafts import SECTIONS, Whole
from sandbox.records.queue import Origin
from sandbox.records.tables import DraftFile, DraftSection
from sandbox.review import people
from sandbox.review.permissions import Permission, allowed
from sandbox.web import identity as who
from sandbox.web import receiving
from sandbox.web.pages import ACTOR, service, words
from sandbox.web.security import require_token
from sandbox.web.wizard import forms
from sandbox.web.wizard.opening import opened

blueprint = Blueprint("wizard", __name__, url_prefix="/<lang:lang>/drafts")

KINDS_OF = {
    Route.MODEL: ("model", "data", "training", "requirements", "beside", "document"),
    Route.PREDICTIONS: ("predictions", "data", "training", "document"),
    Route.COUNTS: ("counts", "document"),
    Route.DOCUMENTS: ("document",),
}
"""What is uploaded on each route, in the order in which it is asked."""

OPTIONAL = ("publication",)
"""Sections that may be left as they are."""

SETTLED = ("confirmed", "optional")
"""States of a section that do not keep a draft from being handed in."""

MUST_HAVE = {Route.MODEL: ("model", "data"), Route.PREDICTIONS: ("predictions",), Route.COUNTS: ("counts",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One section in the list of sections.

    Args:
        state: `empty`, `optional` (empty, and nobody was asked to fill it in), `filled`, `wrong`, or `confirmed`.
        wrong: how many problems it has.
        assigned: name of who answers for it; empty for nobody in particular.
        recorded: who confirmed it and when; None before somebody did anything.
    """

    section: str
    state: str
    wrong: int
    assigned: str
    recorded: DraftSection | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One problem as a page shows it.

    Args:
        label: what the page calls the field; empty where it has no name of its own.
        anchor: id of the field on its page.
        language: that the text is in.
    """

    label: str
    anchor: str
    section: str
    text: str
    language: str


def _is_begun(whole: Whole, section: str) -> bool:
    if section == "files":
        return bool(whole.files)
    return bool(whole.section(section))


def _problems(whole: Whole) -> list[Wrong]:
    """List what is wrong so far, of the sections that were begun; first what only forms know of."""
    made = []
    if _is_begun(whole, "terms"):
        for field, code in forms.lacking_terms(whole.section("terms")):
            made.append(
                Wrong(
                    label=_label(field),
                    anchor=field,
                    section="terms",
                    text=words()(f"terms.wrong.{code}"),
                    language=words().lang,
                )
            )
    unfinished = [file for file in whole.files if not file.digest]
    for file in unfinished:
        text = words()("files.wrong.unfinished", name=_shown(file))
        made.append(Wrong(label="", anchor="files", section="files", text=text, language=words().lang))
    job = whole.jobs.get(whole.draft.id)
    found = writing.problems(whole)
    told = {(p.field, p.code) for p in found}
    checked = [Problem(**p) for p in job.problems] if job is not None else []
    looks = [Problem(**p) for j in whole.jobs.values() if j.kind == "look" for p in j.problems]
    for problem in (*found, *(p for p in (*checked, *looks) if (p.field, p.code) not in told)):
        section = writing.section_of(problem.field)
        text, language = words().problem(asdict(problem))
        made.append(
            Wrong(
                label=_label(problem.field),
                anchor=_anchor(whole, problem.field),
                section=section or "files",
                text=text,
                language=language,
            )
        )
    return [wrong for wrong in made if _is_begun(whole, wrong.section)]


def _shown(file: DraftFile) -> str:
    from sandbox.web.words import visible

    return visible(file.name)


WORDS_OF = (
    ("system.provider.", "system.provider_"),
    ("model.training.", "columns.trained_of."),
    ("inputs.", "columns.inputs_of."),
    ("predictions.", "columns."),
    ("model.", "columns."),
    ("data.", "columns."),
    ("data.", "files."),
    ("data.", "files.kinds."),
    ("model.", "files.kinds."),
    ("", "files.kinds."),
    ("", "terms."),
    ("", ""),
)
"""Where the words of a field stand: how its name begins, and what stands there instead; the first that there is."""


def _label(field: str) -> str:
    """Give the words that a page has beside a field; what has none keeps its name."""
    for start in ("data.columns.", "data.bands."):
        if field.startswith(start):
            return field.removeprefix(start)
    w = words()
    if field.startswith("publication."):
        return w.documents.find(f"exports.algorithm_register.fields.{field.removeprefix('publication.')}") or field
    if field.startswith("claims."):
        return _claimable().get(field.removeprefix("claims."), field)
    if field.startswith("limits."):
        code = field.removeprefix("limits.")
        return next((text for known, text in _codes() if code == known or code.startswith(f"{known}.")), code)
    plain = field.removesuffix(".file")
    named = (found + plain.removeprefix(start) for start, found in WORDS_OF if plain.startswith(start))
    places = [place for name in named for place in (f"{name}_title", name, f"{name}.label", f"{name}.name")]
    return next((said for place in places if (said := w.find(place)) is not None), field)


def _anchor(whole: Whole, field: str) -> str:
    """Name the place of a field on its page."""
    for start in ("data.columns.", "data.bands."):
        if field.startswith(start):
            names = [c["name"] for c in _columns(whole)]
            name = field.removeprefix(start)
            return f"column-{names.index(name)}" if name in names else "columns"
    if field.startswith("limits."):
        codes = [row["code"] for row in whole.section("limits").get("rows", ())]
        code = next((c for c in codes if field == f"limits.{c}" or field.startswith(f"limits.{c}.")), None)
        if code is None:
            return "limits"
        part = field.removeprefix(f"limits.{code}").removeprefix(".") or "limit"
        return f"{part}-{codes.index(code)}"
    if writing.section_of(field) == "files" and field not in ("data.delimiter", "data.missing"):
        return "files"
    named = next((f"inputs.{part}" for part in optional.NAMED if field.startswith(f"inputs.{part}.")), None)
    if named is not None or field.startswith("inputs.order."):
        return named or "inputs.order"
    if field.startswith("system.languages."):
        return "system.languages"
    return field


def _steps(whole: Whole, wrong: list[Wrong], names: Mapping[str, str]) -> list[Step]:
    made = []
    for section in writing.needed(whole):
        recorded = whole.sections.get(section)
        count = sum(w.section == section for w in wrong)
        state = "wrong" if count else "filled" if _is_begun(whole, section) else "empty"
        if state == "empty" and section in OPTIONAL and (recorded is None or recorded.assigned_to is None):
            state = "optional"
        if recorded is not None and recorded.confirmed_at is not None and not count:
            state = "confirmed"
        assigned = names.get(recorded.assigned_to or "", "") if recorded is not None else ""
        made.append(Step(section=section, state=state, wrong=count, assigned=assigned, recorded=recorded))
    return made


def _colleagues(whole: Whole) -> dict[str, str]:
    """Name those who can answer for a section, by id; nobody where the service has no accounts.

    Who reviews here and hands in nothing does not: what they review must not be their own words.
    """
    organisation = whole.draft.organisation
    if organisation is None:
        return {}
    members = people.members(service().database, organisation)
    may = {m.person_id: allowed(frozenset(m.roles)) for m in members}
    return {
        m.person_id: m.name
        for m in members
        if Permission.SUBMIT in may[m.person_id]
        or (Permission.CONTRIBUTE in may[m.person_id] and Permission.REVIEW not in may[m.person_id])
    }


def _may_submit(whole: Whole) -> bool:
    return who.somebody().holds(Permission.SUBMIT, whole.draft.organisation)


def _is_mine(whole: Whole, section: str) -> bool:
    """Tell whether a section is assigned to whoever asks."""
    recorded, me = whole.sections.get(section), who.somebody()
    return recorded is not None and me.person_id is not None and recorded.assigned_to == me.person_id


def _columns(whole: Whole) -> list[dict[str, Any]]:
    """Give what a worker saw of the table; nothing before it looked."""
    seen = _seen(whole)
    return list(seen["columns"]) if seen else []


def _seen(whole: Whole) -> dict[str, Any] | None:
    return _seen_of(whole.table)


def _seen_of(file: DraftFile | None) -> dict[str, Any] | None:
    content = None if file is None else parts.noted(service().settings, file.id)
    return None if content is None else dict(json.loads(content))


def _columns_with_answers(whole: Whole, seen: Mapping[str, Any] | None) -> list[str]:
    """Name the columns that can hold decisions and scores: those of the predictions, also where data stand apart."""
    of_predictions = _seen_of(whole.of_kind("predictions")) or seen
    return [column["name"] for column in of_predictions["columns"]] if of_predictions else []


def _show(whole: Whole, template: str, status: int = 200, **more: Any) -> BaseResponse:
    wrong, colleagues = _problems(whole), _colleagues(whole)
    section = more.get("section", "")
    page = render_template(
        template,
        draft=whole.draft,
        whole=whole,
        steps=(steps := _steps(whole, wrong, colleagues)),
        here=next((s for s in steps if s.section == section), None),
        wrong=[w for w in wrong if not section or w.section == section],
        at={w.anchor: w for w in reversed(wrong) if w.section == section},
        colleagues=colleagues,
        may_submit=(may_submit := _may_submit(whole)),
        may_fill=may_submit or _is_mine(whole, section),
        mine=[s for s in steps if _is_mine(whole, s.section) and s.state != "confirmed"],
        route=whole.section("system").get("route", Route.DOCUMENTS.value),
        given=whole.section(section) if section else {},
        **more,
    )
    return Response(page, status)


@blueprint.get("")
def listing(lang: str) -> str:  # noqa: ARG001  # read from the address by `words`
    """List the submissions that are being put together, and begin another."""
    me = who.somebody()
    rows = drafts.listed(
        service().database,
        organisations=who.organisations(Permission.SUBMIT),
        helped=me.where(Permission.CONTRIBUTE),
        person=me.person_id,
    )
    into = [] if me.is_alone else [(i, me.names[i]) for i in me.where(Permission.SUBMIT)]
    return render_template("wizard_list.html", rows=rows, into=into)


@blueprint.post("")
def begin(lang: str) -> BaseResponse:
    """Begin to put a submission together."""
    require_token()
    me = who.somebody()
    organisation = request.form.get("organisation") or next(iter(me.where(Permission.SUBMIT)), None)
    if not me.is_alone and (organisation is None or not me.holds(Permission.SUBMIT, organisation)):
        raise NotAllowed("not for this organisation", hidden=True)
    made = drafts.begin(
        service().database,
        actor=who.actor(ACTOR),
        organisation=None if me.is_alone else organisation,
        person=me.person_id,
    )
    return redirect(url_for("wizard.section", lang=lang, draft_id=made, section="system"), 303)


@blueprint.post("/again/<submission_id>")
def again(lang: str, submission_id: str) -> BaseResponse:
    """Begin a new version of a system that was assessed, with what was stated of it before."""
    require_token()
    found = who.found_submission(submission_id)
    if found.dossier is None:
        raise NotAllowed("there is no dossier yet")
    raw = (dossier_store.folder(service().settings, found.dossier) / "dossier.json").read_bytes()
    made = drafts.begin(
        service().database,
        actor=who.actor(ACTOR),
        organisation=found.organisation,
        person=who.somebody().person_id,
        content=writing.from_declaration(Dossier.from_json(raw).declaration),
        previous=found.id,
    )
    return redirect(url_for("wizard.section", lang=lang, draft_id=made, section="system"), 303)


@blueprint.get("/<draft_id>")
def overview(lang: str, draft_id: str) -> BaseResponse:  # noqa: ARG001
    """Show which sections there are, who answers for each, and how far they are."""
    whole = opened(draft_id)
    previous = queue.find(service().database, whole.draft.previous) if whole.draft.previous else None
    return _show(whole, "wizard_overview.html", previous=previous)


@blueprint.get("/<draft_id>/<section>")
def section(lang: str, draft_id: str, section: str) -> BaseResponse:  # noqa: ARG001
    """Show the page of one section."""
    whole = opened(draft_id)
    if section not in SECTIONS or (section == "publication" and not optional.is_public_body(whole)):
        raise NotAllowed("there is no such section")
    return _show(whole, f"wizard_{section}.html", section=section, **_for_page(whole, section))


def _for_page(whole: Whole, section: str) -> dict[str, Any]:
    """Give what the page of a section needs beside what was filled in."""
    settings = service().settings
    match section:
        case "system":
            return {"all_roles": list(Role), "sizes": list(Size), "routes": list(Route)}
        case "questionnaire":
            return {"answered": len(whole.section("questionnaire").get("answers") or {})}
        case "terms":
            return {
                "bases": forms.BASES,
                "personal": forms.PERSONAL,
                "terms_version": writing.TERMS_VERSION,
                "most_days": settings.retention_days,
                "sheet": optional.SHEET,
                "has_training": whole.section("system").get("route") in (Route.MODEL, Route.PREDICTIONS),
            }
        case "files":
            route = Route(whole.section("system").get("route", Route.DOCUMENTS))
            here = {file.kind for file in whole.files}
            return {
                "kinds": KINDS_OF[route],
                "must_have": [k for k in MUST_HAVE.get(route, ()) if k not in here],
                "locked": bool(forms.lacking_terms(whole.section("terms"))),
                "room": drafts.room_for(settings, whole.files),
                "problem": request.args.get("wrong") if request.args.get("wrong") in ("none", "large") else None,
            }
        case "columns":
            seen = _seen(whole)
            return {
                "seen": seen,
                "job": whole.jobs.get(whole.table.id) if whole.table is not None else None,
                "stated": _guessed(whole, seen),
                "tasks": list(Task),
                "outputs": list(Output),
                "samplings": list(Sampling),
                "answers": _columns_with_answers(whole, seen),
                "trained": optional.TRAINING,
                "column_roles": list(ColumnRole),
            }
        case "publication":
            from model_cards.exports.algorithm_register import FIELDS
            from model_cards.exports.fria import POINTS

            return {"register": [f for f in FIELDS if f.group != "hidden"], "fria": POINTS}
        case _:
            return {
                "codes": _codes(),
                "new": forms.NEW_LIMITS,
                "seals": writing.seals_of(whole),
                "claimable": _claimable(),
                "attributes": optional.attributes(whole),
                "answers": optional.ANSWERS,
            }


def _claimable() -> dict[str, str]:
    """Name the measures that can be claimed, as the checks that measure them do."""
    from checks.accuracy.claims import KNOWN
    from checks.registry import catalogue

    document = words().documents
    checks = (c for c in catalogue() if c.code.startswith("accuracy.") and c.code != "accuracy.claims")
    measured = {measure: check.code for check in checks for measure in check.gives}
    return {name: document.measure_name(measured[name], name) for name in KNOWN}


def _guessed(whole: Whole, seen: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give what the page on columns shows: what was filled in, and our guesses where nothing was."""
    given = dict(whole.section("columns"))
    if seen is None:
        return given
    guess = dict(seen["guess"])
    apart = whole.of_kind("predictions")
    if apart != whole.table and (of_predictions := _seen_of(apart)) is not None:
        # In a table of predictions alone what looks like an outcome is the decision.
        found = of_predictions["guess"]
        guess |= {"decision": found["decision"] or found["label"], "score": found["score"]}
    is_counts = whole.table is not None and whole.table.kind == "counts"
    answers = [guess.get("decision"), guess.get("score")]
    roles, bands = {}, {}
    for column in seen["columns"]:
        name = column["name"]
        if is_counts:
            roles[name] = "ignore" if name in ("label", "decision", "rows", "weight", "weight_squared") else "group"
        else:
            roles[name] = column["role"] or ("ignore" if name in answers else ColumnRole.FEATURE.value)
        if column.get("bands"):
            bands[name] = [b.strip() for b in str(column["bands"]).strip("[]").split(",")]
    # Where the same system was stated before, what was stated counts more than a guess.
    proposed = {
        "task": guess["task"],
        "classes": guess["classes"],
        "favourable": guess["favourable"] or "",
        "threshold": "0.5" if guess["task"] == Task.BINARY else "",
        "sampling": Sampling.ALL.value,
        "output": Output.VALUE.value if guess["task"] == Task.REGRESSION else Output.PROBABILITY.value,
        "score_of": guess["favourable"] or "",
        "decision": guess.get("decision") or "",
        "score": guess.get("score") or "",
    }
    roles |= given.get("roles", {})
    if "bands" in given:
        # Whoever took the bands of a group away wants none; for what is no group yet the guess stays at hand.
        offered = {name: bounds for name, bounds in bands.items() if not ColumnRole(roles[name]).is_group}
        bands = offered | given["bands"]
    return {**proposed, **given, "roles": roles, "bands": bands}


def _codes() -> list[tuple[str, str]]:
    """List what a limit can be set to: code and words."""
    from checks.registry import catalogue

    document = words().documents
    return [
        (f"{check.code}.{measure}", f"{document.title(check.code)}: {document.measure_name(check.code, measure)}")
        for check in catalogue()
        for measure in check.gives
    ]


@blueprint.post("/<draft_id>/<section>")
def keep(lang: str, draft_id: str, section: str) -> BaseResponse:
    """Keep what was filled in of a section; it may be wrong or unfinished, which the page then says at the field."""
    require_token()
    whole = opened(draft_id)
    before, me = whole.section(section), who.somebody()
    match section:
        case "system":
            given = forms.system(request.form)
        case "terms":
            given = forms.terms(request.form, before, me.name, service().settings.retention_days)
        case "columns":
            names = [c["name"] for c in _columns(whole)]
            given = forms.columns(request.form, names, whole.section("system").get("route", ""))
        case "limits":
            given = forms.limits(request.form, before, tuple(_claimable()), optional.attributes(whole))
        case "publication":
            given = forms.publication(request.form, before)
        case _:
            raise NotAllowed("nothing is filled in there")
    drafts.keep(service().database, draft_id, section, given, actor=who.actor(ACTOR))
    now = opened(draft_id)
    if any(w.section == section for w in _problems(now)) or request.form.get("to") == "stay":
        return redirect(url_for("wizard.section", lang=lang, draft_id=draft_id, section=section) + "#wrong", 303)
    return redirect(_onward(lang, now, section), 303)


def _onward(lang: str, whole: Whole, section: str) -> str:
    """Give the address of the section after this one; of the check after the last.

    Whoever answers for this section alone stays, to confirm it.
    """
    if not _may_submit(whole):
        return url_for("wizard.section", lang=lang, draft_id=whole.draft.id, section=section) + "#answering"
    following = [s for s in writing.needed(whole) if SECTIONS.index(s) > SECTIONS.index(section)]
    if not following:
        return url_for("wizard.check", lang=lang, draft_id=whole.draft.id)
    return url_for("wizard.section", lang=lang, draft_id=whole.draft.id, section=following[0])


def _known_section(section: str) -> None:
    if section not in SECTIONS:
        raise NotAllowed("there is no such section")


@blueprint.post("/<draft_id>/<section>/confirm")
def confirm(lang: str, draft_id: str, section: str) -> BaseResponse:
    """Confirm a section as it stands."""
    require_token()
    whole = opened(draft_id)
    _known_section(section)
    is_ready = _is_begun(whole, section) and not any(w.section == section for w in _problems(whole))
    me = who.somebody()
    if is_ready:
        drafts.confirm(service().database, draft_id, section, person=me.person_id, name=me.name, actor=who.actor(ACTOR))
    return redirect(url_for("wizard.overview", lang=lang, draft_id=draft_id), 303)


@blueprint.post("/<draft_id>/<section>/assign")
def assign(lang: str, draft_id: str, section: str) -> BaseResponse:
    """Say who answers for a section."""
    require_token()
    whole = opened(draft_id)
    _known_section(section)
    person = request.form.get("person") or None
    if person is not None and person not in _colleagues(whole):
        raise NotAllowed("there is no such colleague")
    drafts.assign(service().database, draft_id, section, person, actor=who.actor(ACTOR))
    return redirect(url_for("wizard.section", lang=lang, draft_id=draft_id, section=section), 303)


@blueprint.get("/<draft_id>/check")
def check(lang: str, draft_id: str) -> BaseResponse:  # noqa: ARG001
    """Show everything that is wrong, each with a link to its field, and hand in."""
    return _check_page(opened(draft_id))


def _check_page(whole: Whole, over: OverBudget | None = None) -> BaseResponse:
    """Show the check.

    Args:
        over: why the organisation could not hand in just now; None where nothing was tried.
    """
    return _show(
        whole,
        "wizard_check.html",
        status=200 if over is None else over.status,
        job=whole.jobs.get(whole.draft.id),
        lacking=_lacking(whole),
        over=[] if over is None else [words().problem(asdict(p))[0] for p in over.problems],
    )


def _lacking(whole: Whole) -> list[str]:
    """List the sections that still keep a draft from being handed in."""
    route = Route(whole.section("system").get("route", Route.DOCUMENTS))
    kinds = {file.kind for file in whole.files if file.digest}
    lacking = [s for s in writing.needed(whole) if s in ("system", "terms") and not _is_begun(whole, s)]
    if not set(MUST_HAVE.get(route, ())) <= kinds:
        lacking.append("files")
    if route is not Route.DOCUMENTS and not _is_begun(whole, "columns"):
        lacking.append("columns")
    return lacking


@blueprint.post("/<draft_id>/check")
def ask_check(lang: str, draft_id: str) -> BaseResponse:
    """Ask a worker to check the whole behind the walls, as the command would; nothing of it is run."""
    require_token()
    opened(draft_id)
    drafts.ask(service().database, draft_id, kind="check", job_id=draft_id)
    return redirect(url_for("wizard.check", lang=lang, draft_id=draft_id), 303)


@blueprint.post("/<draft_id>/look")
def look(lang: str, draft_id: str) -> BaseResponse:
    """Ask a worker to look at the table once more."""
    require_token()
    whole = opened(draft_id)
    if whole.table is not None:
        drafts.ask(service().database, draft_id, kind="look", job_id=whole.table.id)
    return redirect(url_for("wizard.section", lang=lang, draft_id=draft_id, section="columns"), 303)


@blueprint.get("/<draft_id>/submission.zip")
def download(lang: str, draft_id: str) -> BaseResponse:  # noqa: ARG001
    """Give the submission as far as it is: the same zip that is handed in, and that the command takes."""
    whole = opened(draft_id)
    headers = {"Content-Disposition": f"attachment; filename=submission-{draft_id[:8]}.zip"}
    return Response(writing.stream_zip(whole, service().settings), mimetype="application/zip", headers=headers)


@blueprint.post("/<draft_id>/submit")
def submit(lang: str, draft_id: str) -> BaseResponse:
    """Hand in, once nothing known is wrong and every section that is needed is confirmed."""
    require_token()
    whole, me = opened(draft_id), who.somebody()
    wrong = _problems(whole)
    steps = _steps(whole, wrong, {})
    if me.is_alone and request.form.get("confirm") == "yes" and not wrong and not _lacking(whole):
        for step in steps:
            if step.state not in SETTLED:
                drafts.confirm(service().database, draft_id, step.section, person=None, name="", actor=who.actor(ACTOR))
        whole = opened(draft_id)
        steps = _steps(whole, wrong, {})
    if wrong or _lacking(whole) or any(step.state not in SETTLED for step in steps):
        return redirect(url_for("wizard.check", lang=lang, draft_id=draft_id) + "#wrong", 303)
    who.limited("submit")
    taken = receiving.start()
    for piece in writing.stream_zip(whole, service().settings):
        taken.write(piece)
    system = whole.section("system")
    try:
        submission_id = receiving.keep(
            taken,
            f"{system['name']} {system['version']}",
            service().database,
            actor=who.actor(ACTOR),
            organisation=whole.draft.organisation,
            submitted_by=me.person_id,
            origin=Origin(
                draft=draft_id,
                previous=whole.draft.previous,
                hands=drafts.hands(service().database, whole.draft),
                retention_days=int(whole.section("terms")["retention_days"]),
                until_review=bool(whole.section("terms").get("until_review")),
            ),
        )
    except OverBudget as over:
        return _check_page(whole, over)
    drafts.handed_in(service().database, draft_id, submission_id)
    return redirect(url_for("pages.submission", lang=lang, submission_id=submission_id), 303)


@blueprint.post("/<draft_id>/forget")
def forget(lang: str, draft_id: str) -> BaseResponse:
    """Erase a draft and its files."""
    require_token()
    opened(draft_id)
    if request.form.get("sure") != "yes":
        abort(redirect(url_for("wizard.overview", lang=lang, draft_id=draft_id), 303))
    drafts.forget(service().database, service().settings, draft_id, actor=who.actor(ACTOR))
    return redirect(url_for("wizard.listing", lang=lang), 303)
