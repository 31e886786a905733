"""The one-page summary that a document opens with: the system, three counts, what lies beyond, class, next steps."""

from __future__ import annotations

from collections.abc import Sequence

from checks.declaration import Declaration, Output, Route, Task
from checks.finding import ROWS_TO_DECIDE, Finding, Outcome, undecided_matters
from model_cards.card import (
    Block,
    Bullets,
    Callout,
    Count,
    Entries,
    Entry,
    Line,
    Paragraph,
    Section,
    Tally,
    Tone,
    line,
    link,
    strong,
)
from model_cards.material import Material
from model_cards.sections.findings import is_past

SENTENCES = {Outcome.FAIL: 5, Outcome.INCONCLUSIVE: 2}
"""Sentences of one kind on the page; the rest is counted and stands in the details."""

CLASSES = 3
"""Possible classes that are named on the page."""

PURPOSE_LETTERS = 320
"""Letters of the intended purpose that stand on the page."""

CHECKS = 4
"""Checks without a result that are named on the page."""

STEPS = 3


def section(material: Material) -> Section:
    """Make the summary."""
    words = material.words
    return Section(
        id="summary",
        title=words("card.section.summary"),
        blocks=(Entries(entries=_system(material)), _tally(material)),
        sections=(
            _told(material, "beyond", Outcome.FAIL),
            _told(material, "undecided", Outcome.INCONCLUSIVE),
            Section(
                id="summary-missing",
                title=words("summary.missing"),
                blocks=(Bullets(items=_missing(material)),),
            ),
            Section(id="summary-class", title=words("summary.class"), blocks=_class(material)),
            Section(
                id="summary-steps",
                title=words("summary.steps"),
                blocks=(Bullets(items=tuple(line(s) for s in next_steps(material)), ordered=True),),
            ),
        ),
        on_a_new_page=True,
    )


def _system(material: Material) -> tuple[Entry, ...]:
    words = material.words
    declaration = material.dossier.declaration
    system = declaration.system
    given = [
        ("purpose", cut(system.intended_purpose)),
        ("route", words(f"card.route.{declaration.route}")),
        ("decision_rule", decision_rule(material, declaration)),
        ("attributes", words.joined(declaration.data.attributes) if declaration.data else ""),
        ("rows", rows_assessed(material)),
    ]
    return tuple(Entry(term=words(f"card.facts.{key}"), lines=(line(said),)) for key, said in given if said)


def cut(text: str) -> str:
    """Cut a long text between words; the whole of it stands in the section on method."""
    if len(text) <= PURPOSE_LETTERS:
        return text
    return text[:PURPOSE_LETTERS].rsplit(" ", 1)[0] + " …"


def decision_rule(material: Material, declaration: Declaration) -> str:
    """Say in words how a decision comes about; empty where there is no decision to speak of."""
    words, data = material.words, declaration.data
    if data is None:
        return ""
    if data.task is Task.REGRESSION:
        return words("card.rule.value", label=data.label or words("card.rule.label_unstated"))
    score_of = declaration.score_of
    decides_itself = declaration.predictions is not None and declaration.predictions.decision is not None
    if decides_itself or score_of is None or declaration.route is Route.COUNTS:
        return words("card.rule.decision")
    if data.task is Task.MULTICLASS:
        return words("card.rule.largest")
    if data.threshold is None and declaration.model is None:
        return words("card.rule.no_threshold", score_of=score_of)
    probability = declaration.model is not None and declaration.model.output is Output.PROBABILITY
    if data.threshold is None and not probability:
        return words("card.rule.no_threshold", score_of=score_of)
    threshold = words.decimal(0.5 if data.threshold is None else data.threshold, 4)
    key = "card.rule.probability" if probability else "card.rule.score"
    return words(key, chosen=score_of, score_of=score_of, threshold=threshold)


def rows_assessed(material: Material) -> str:
    """Say how many rows were looked at, from the count tables; empty where there are none."""
    for table in material.dossier.counts:
        if table.attribute == "" and "rows" in table.columns:
            return material.words.whole(sum(int(n) for n in table.columns["rows"] if n is not None))
    return ""


def _tally(material: Material) -> Tally:
    words = material.words
    counts = material.dossier.outcome_counts
    shown = [("beyond", Tone.BEYOND), ("undecided", Tone.UNDECIDED), ("within", Tone.WITHIN)]
    if counts["errors"]:
        shown.append(("errors", Tone.ERROR))
    return Tally(
        counts=tuple(
            Count(number=words.whole(counts[key]), words=words(f"outcomes.counts.{key}"), tone=tone)
            for key, tone in shown
        )
    )


def _told(material: Material, key: str, outcome: Outcome) -> Section:
    words = material.words
    findings = material.dossier.of(outcome)
    matters: tuple[tuple[Finding, ...], ...] = tuple((f,) for f in findings)
    if outcome is Outcome.INCONCLUSIVE:
        matters = undecided_matters((*findings, *material.dossier.of(Outcome.NOT_GATHERED)))
    told: list[Line] = []
    for finding, *alike in matters:
        where = "unmeasured" if finding.outcome is Outcome.NOT_GATHERED else material.anchor(finding)
        wanted = outcome if outcome in [a.outcome for a in finding.limit.values()] else None
        # One sentence per finding, of the measure that decides it, so that what is left agrees with the counts.
        sentence = words.finding_sentences(finding, wanted, short=True)[0]
        if alike:
            sentence = f"{sentence} {words('outcomes.counts.counted_once', number=1 + len(alike))}"
        told.append(line(f"{sentence} ", link(words("summary.details"), where)))
    blocks: tuple[Block, ...]
    if told:
        left = len(told) - SENTENCES[outcome]
        if left > 0:
            told = [*told[: SENTENCES[outcome]], line(words("summary.more", number=left))]
        blocks = (Bullets(items=tuple(told)),)
    elif outcome is Outcome.FAIL:
        blocks = (Paragraph(line=line(words("summary.beyond_none"))),)
    else:
        blocks = (Paragraph(line=line(words("summary.undecided_none"))),)
    return Section(id=f"summary-{key}", title=words(f"summary.{key}"), blocks=blocks)


def _missing(material: Material) -> tuple[Line, ...]:
    words, dossier = material.words, material.dossier
    said: list[Line] = []
    for key, outcome in (("error", Outcome.ERROR), ("gathered", Outcome.NOT_GATHERED)):
        # A check that compares people appears once per attribute; the reader needs its name once.
        titles = list(dict.fromkeys(words.title(f.check) for f in dossier.findings if f.outcome is outcome))
        if titles:
            one = "_one" if len(titles) == 1 else ""
            named = [f"“{t}”" for t in titles[:CHECKS]]
            left = len(titles) - CHECKS
            listed = f"{', '.join(named)} {words('summary.more', number=left)}" if left > 0 else words.joined(named)
            sentence = words(f"summary.missing_{key}{one}", number=len(titles), checks=listed)
            said.append(line(f"{sentence} ", link(words("summary.details"), "unmeasured")))
    unlimited = sum(f.outcome is Outcome.MEASURED for f in dossier.findings)
    if unlimited:
        said.append(line(words("summary.missing_unlimited" + ("_one" if unlimited == 1 else ""), number=unlimited)))
    if dossier.submission.route is not Route.MODEL:
        said.append(line(words("summary.missing_not_run")))
    fault = material.fault()
    if fault is not None:
        said.append(line(fault))
    return tuple(said) or (line(words("summary.missing_none")),)


def _class(material: Material) -> tuple[Block, ...]:
    words, risk = material.words, material.dossier.risk
    lines: list[Line] = [line(strong(words.class_name(risk.risk_class)), f". {words.class_meaning(risk.risk_class)}")]
    for route in risk.routes:
        if route.risk_class == "minimal" or route.applies_from is None:
            continue
        key = "summary.class_route_since" if is_past(material, route.applies_from) else "summary.class_route"
        lines.append(line(words(key, provision=route.provision, date=words.date(route.applies_from))))
    if risk.overlays:
        said = "; ".join(words.overlay(o) for o in risk.overlays)
        lines.append(line(words("summary.class_overlays", overlays=said)))
    if risk.possible:
        said = "; ".join(words.class_name(c) for c in risk.possible[:CLASSES])
        if len(risk.possible) > CLASSES:
            said = f"{said} ({words('summary.more', number=len(risk.possible) - CLASSES)})"
        lines.append(line(words("summary.class_possible", classes=said)))
    if risk.undecided_by:
        lines.append(
            line(
                words("summary.class_questions", questions=_questions(material, risk.undecided_by)),
                " ",
                link(words("summary.details"), "law"),
            )
        )
    tone = Tone.UNDECIDED if risk.risk_class == "undetermined" else Tone.PLAIN
    return (Callout(lines=tuple(lines), tone=tone),)


def _questions(material: Material, ids: tuple[str, ...], most: int = 2) -> str:
    words = material.words
    said = " ".join(words.question(q) for q in ids[:most])
    left = len(ids) - most
    return f"{said} ({words('summary.more', number=left)})" if left > 0 else said


def next_steps(material: Material) -> tuple[str, ...]:
    """Say the next three steps, the heaviest first; each follows from something that was found or is missing."""
    words, dossier, risk = material.words, material.dossier, material.dossier.risk

    first: list[str] = []
    then: list[str] = []
    incidents = [f.incident for f in dossier.of(Outcome.ERROR) if f.incident]
    if incidents:
        first.append(words("summary.step.errors", incidents=", ".join(incidents)))
    beyond = [words("summary.step.beyond", title=words.finding_title(f)) for f in dossier.of(Outcome.FAIL)]
    first += beyond[:1]
    then += beyond[1:]
    if risk.contradictions:
        first.append(
            words(
                "summary.step.contradictions",
                questions=_questions(material, tuple(c.question for c in risk.contradictions)),
            )
        )
    if risk.undecided_by:
        first.append(words("summary.step.questions", questions=_questions(material, risk.undecided_by, 1)))
    undecided = [_more_rows(material, f) for f in dossier.of(Outcome.INCONCLUSIVE)]
    first += undecided[:1]
    then += undecided[1:]
    first += _gather(material, dossier.of(Outcome.NOT_GATHERED))[:1]
    absent = [
        words.item(i.id, f.check)
        for f in dossier.findings
        if f.family == "documentation"
        for i in f.items
        if i.state != "found"
    ]
    if absent:
        first.append(words("summary.step.items", items="; ".join(absent[:2])))
    if not any(a.origin == "provider" for f in dossier.findings for a in f.limit.values()):
        then.insert(0, words("summary.step.limits"))
    then += _gather(material, dossier.of(Outcome.NOT_GATHERED))[1:]
    then += [
        words("summary.step.duties", duty=words.duty(d.id), provision=d.provision)
        for d in risk.duties
        if d.status == "none"
    ]
    then.append(words("summary.step.read"))
    return tuple((first + then)[:STEPS])


def _more_rows(material: Material, finding: Finding) -> str:
    """Say what would decide a finding: how many rows more, where that was estimated."""
    words = material.words
    asked = words("summary.step.undecided", title=words.finding_title(finding))
    estimate = finding.measure(ROWS_TO_DECIDE)
    if estimate is None or estimate.reason is None:
        return asked
    return f"{asked} {words.reason(estimate.reason, finding.check)}"


def _gather(material: Material, findings: Sequence[Finding]) -> list[str]:
    words = material.words
    return [
        words("summary.step.gather", title=words.finding_title(f), why=words.reason(f.reason, f.check))
        for f in findings
        if f.reason is not None
    ]
