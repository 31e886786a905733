"""What the Act says of this system by the provider's answers: class, routes, path, dated duties, other law."""

from __future__ import annotations

import datetime as dt

from checks.ai_act.risk import Duty, Risk, Route
from model_cards.card import (
    Block,
    Bullets,
    Callout,
    Cell,
    Column,
    Line,
    Paragraph,
    Section,
    Table,
    Tone,
    line,
    strong,
)
from model_cards.material import Material
from model_cards.sections.findings import is_past
from model_cards.sections.remarks import remarks

NAMED = 2
"""Checks that are named beside a duty; more are counted, and named in the section on method."""

UNSURE = ("background", "draft", "contested", "unverified", "secondary")
"""Certainties that a reader must see: the text of the law itself was not read, or is disputed."""

STATUS_TONES = {
    "evidence_found": Tone.PLAIN,
    "partial": Tone.UNDECIDED,
    "none": Tone.MISSING,
    "not_yet_due": Tone.QUIET,
    "not_applicable": Tone.QUIET,
}


def section(material: Material) -> Section:
    """Make the section on the law."""
    words, risk = material.words, material.dossier.risk
    version = words("card.law.rules", version=risk.rules_version, date=words.date(risk.as_of))
    return Section(
        id="law",
        title=words("card.section.law"),
        blocks=(Paragraph(line=line(f"{words('card.law.basis')} {version}")),),
        sections=(
            _class(material, risk),
            _duties(material, risk),
            *remarks(material),
            _other(material, risk),
            _path(material, risk),
        ),
    )


def _class(material: Material, risk: Risk) -> Section:
    words = material.words
    tone = Tone.UNDECIDED if risk.risk_class == "undetermined" else Tone.PLAIN
    name, meaning = words.class_name(risk.risk_class), words.class_meaning(risk.risk_class)
    blocks: list[Block] = [Callout(lines=(line(strong(name)), line(meaning)), tone=tone)]
    if risk.routes:
        blocks.append(
            Table(
                caption=words("card.law.routes"),
                columns=(
                    Column(title=words("card.law.route"), width=5),
                    Column(title=words("card.law.provision"), width=3),
                    Column(title=words("card.law.applies_from"), width=4),
                    Column(title=words("card.law.confidence"), width=3),
                ),
                rows=tuple(_route(material, route) for route in risk.routes),
            )
        )
    for title, lines in (
        ("overlays", [line(words.overlay(o)) for o in risk.overlays]),
        ("possible", [line(words.class_name(c)) for c in risk.possible]),
        ("undecided_by", [line(words.question(q)) for q in risk.undecided_by]),
        ("contradictions", [line(words.contradiction(c)) for c in risk.contradictions]),
    ):
        if lines:
            blocks.append(Paragraph(line=line(strong(words(f"card.law.{title}")))))
            blocks.append(Bullets(items=tuple(lines)))
    return Section(id="law-class", title=words("card.law.indicated"), blocks=tuple(blocks))


def _route(material: Material, route: Route) -> tuple[Cell, ...]:
    words = material.words
    later = words("law.not_yet_counting", applies_from=_said(material, route.applies_from))
    detail: Line = () if route.counts else line(f" {later}")
    ground = words.find(f"law.routes.{route.rule}")
    dated, dated_detail = _dated(material, route.applies_from, route.applies_from_original, route.contested, None)
    return (
        Cell(line=line(words.class_name(route.risk_class)), detail=line(ground) if ground else ()),
        Cell(line=line(route.provision)),
        Cell(line=dated, detail=(*dated_detail, *detail), tone=Tone.UNDECIDED if route.contested else Tone.PLAIN),
        Cell(
            line=line(words(f"law.basis.{route.basis}")),
            tone=Tone.PLAIN if route.basis == "text" else Tone.UNDECIDED,
        ),
    )


def _said(material: Material, date: dt.date | None) -> str:
    return material.words.date(date)


def _dated(
    material: Material,
    applies_from: dt.date | None,
    original: dt.date | None,
    contested: bool,
    other: dt.date | None,
) -> tuple[Line, Line]:
    """Say a date and, beside it, the date first set, or both readings where it is contested."""
    words = material.words
    first = line(_said(material, applies_from))
    if applies_from is not None and is_past(material, applies_from):
        first = line(words("card.law.applied_since", date=_said(material, applies_from)))
    if contested:
        if other is None or other == applies_from:
            return first, line(words("card.law.contested"))
        readings = {"other_reading": _said(material, other), "applies_from": _said(material, applies_from)}
        return line(words("card.law.contested_readings", **readings)), ()
    if original is not None and original != applies_from:
        dates = {"applies_from": _said(material, applies_from), "applies_from_original": _said(material, original)}
        return line(words("law.original_date", **dates)), ()
    return first, ()


def _duties(material: Material, risk: Risk) -> Section:
    words = material.words
    none = "card.law.duties_undetermined" if risk.risk_class == "undetermined" else "card.law.duties_none"
    blocks: tuple[Block, ...] = (Paragraph(line=line(words(none))),)
    if risk.duties:
        blocks = (
            Paragraph(line=line(words("card.law.duties_intro"))),
            Table(
                caption=words("card.law.duties_caption"),
                columns=(
                    Column(title=words("card.law.duty"), width=6),
                    Column(title=words("card.law.role"), width=2),
                    Column(title=words("card.law.date"), width=4),
                    Column(title=words("card.law.status"), width=3),
                ),
                rows=tuple(_duty(material, duty) for duty in risk.duties),
                note=_readings(material, risk),
                under_its_title=True,
            ),
        )
    return Section(id="law-duties", title=words("card.law.duties"), blocks=blocks)


def _readings(material: Material, risk: Risk) -> Line:
    """Say once, under the table, how a date can be read in two ways."""
    said: dict[str, None] = {}
    for duty in risk.duties:
        other = duty.applies_from_other_reading
        if duty.contested and other is not None and other != duty.applies_from:
            dates = {"other_reading": _said(material, other), "applies_from": _said(material, duty.applies_from)}
            said[material.words("law.contested", **dates)] = None
    return line(" ".join(said))


def _duty(material: Material, duty: Duty) -> tuple[Cell, ...]:
    words = material.words
    first, detail = _dated(
        material, duty.applies_from, duty.applies_from_original, duty.contested, duty.applies_from_other_reading
    )
    notes = " ".join([words.duty_text(duty.id), *(words.duty_note(n) for n in duty.notes)])
    titles = list(dict.fromkeys(words.title(code) for code in duty.evidence))
    # What a long list would name stands in the section on method: which check bears on which provision.
    named = words.joined(titles) if len(titles) <= NAMED else words("card.law.evidence", number=len(titles))
    return (
        Cell(line=line(f"{words.duty(duty.id)} ({duty.provision})"), detail=line(notes)),
        Cell(line=line(words.role(duty.role))),
        Cell(line=first, detail=detail, tone=Tone.UNDECIDED if duty.contested else Tone.PLAIN),
        Cell(
            line=line(words(f"law.statuses.{duty.status}")),
            detail=line(named),
            tone=STATUS_TONES[duty.status],
        ),
    )


def _path(material: Material, risk: Risk) -> Section:
    words = material.words
    blocks: tuple[Block, ...] = (Paragraph(line=line(words("card.law.path_none"))),)
    if risk.path:
        blocks = (
            Table(
                caption=words("card.law.path_caption"),
                columns=(
                    Column(title=words("card.law.question"), width=6),
                    Column(title=words("card.law.answer"), width=5),
                    Column(title=words("card.law.provision"), width=3),
                    Column(title=words("card.law.confidence"), width=3),
                ),
                rows=tuple(
                    (
                        Cell(line=line(words.question(step.question))),
                        Cell(line=line(words.answer(step.question, step.answer))),
                        Cell(line=line(step.provision)),
                        Cell(
                            line=line(words(f"law.confidence.{step.confidence}")),
                            tone=Tone.UNDECIDED if step.confidence in UNSURE else Tone.PLAIN,
                        ),
                    )
                    for step in risk.path
                ),
            ),
        )
    return Section(id="law-path", title=words("card.law.path"), blocks=blocks, folded=True)


def _other(material: Material, risk: Risk) -> Section:
    words = material.words
    block: Block = Paragraph(line=line(words("card.law.other_none")))
    if risk.other_law:
        block = Table(
            caption=words("card.law.other"),
            columns=(
                Column(title=words("card.law.law"), width=6),
                Column(title=words("card.law.provision"), width=4),
                Column(title=words("card.law.confidence"), width=4),
            ),
            rows=tuple(
                (
                    Cell(line=line(words.other_law(law.id))),
                    Cell(line=line(law.provision)),
                    Cell(
                        line=line(words(f"law.confidence.{law.confidence}")),
                        detail=line(words("card.law.verified", date=words.date(law.verified_on))),
                        tone=Tone.UNDECIDED if law.confidence in UNSURE else Tone.PLAIN,
                    ),
                )
                for law in risk.other_law
            ),
            under_its_title=True,
        )
    return Section(id="law-other", title=words("card.law.other"), blocks=(block,))
