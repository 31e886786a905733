"""Draft documents from a dossier: forms whose every field says where its content comes from, measured, answered or not.

A draft fills in what the dossier holds and leaves the rest visibly empty; it is never a document under the Act.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from checks.declaration import Declaration
from checks.finding import Finding, GroupMeasures, Item, Measure, Outcome
from model_cards.build import NAV
from model_cards.card import (
    Block,
    Bullets,
    Callout,
    Card,
    Cell,
    Column,
    Entries,
    Entry,
    Label,
    Line,
    Section,
    Table,
    Tone,
    code,
    line,
    quiet,
)
from model_cards.dossier import Assessment, Dossier
from model_cards.material import TONES, WITHOUT_RESULT, Material
from model_cards.words import Words

HIGH_RISK = ("high_risk_annex_i_a", "high_risk_annex_i_b", "high_risk_annex_iii")
"""Classes that are high-risk."""

PROHIBITED = ("prohibited", "prohibited_unless_exception_proven")
"""Classes under Art 5."""


class Origin(StrEnum):
    """Where the content of a field comes from.

    `measured`: by this assessment. `answered`: by a person, in declaration, questionnaire or publication file.
    `document`: a passage found in a document of the submission. `standard`: set beforehand, by the standard
    or the policy.
    `empty`: nobody gave it.
    """

    MEASURED = "measured"
    ANSWERED = "answered"
    DOCUMENT = "document"
    STANDARD = "standard"
    EMPTY = "empty"


ORIGIN_TONES = {
    Origin.MEASURED: Tone.PLAIN,
    Origin.ANSWERED: Tone.PLAIN,
    Origin.DOCUMENT: Tone.PLAIN,
    Origin.STANDARD: Tone.QUIET,
    Origin.EMPTY: Tone.MISSING,
}
"""How each origin is set off."""


LINES_IN_A_CELL = 3
"""Sentences that a cell of a form holds; more stand below the form, one under the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What one source gives for a field.

    Args:
        origin: where it comes from.
        lines: what it says; empty only where nobody gave it.
        where: a document and heading, or the name of a field in a file.
    """

    origin: Origin
    lines: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blank:
    """One field of a form.

    Args:
        title: what the form asks.
        contents: what each source gives; none makes the field empty.
        note: what must be known beside it.
    """

    title: str
    contents: tuple[Content, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a form.

    Args:
        id: unique in the document; letters, digits and hyphens.
        title: its heading.
        intro: sentences before the fields.
        blanks: its fields.
        blocks: what follows the fields, tables of figures say.
    """

    id: str
    title: str
    intro: tuple[str, ...] = ()
    blanks: tuple[Blank, ...] = ()
    blocks: tuple[Block, ...] = ()


def material_of(assessment: Assessment, lang: str) -> Material:
    """Give an assessment with the words of a language, as it stands once stored."""
    stored = _stored(assessment.dossier.to_json())
    return Material(assessment=assessment.model_copy(update={"dossier": stored}), words=Words(lang))


@lru_cache(maxsize=2)
def _stored(raw: bytes) -> Dossier:
    """Read a dossier once for all the documents that are made of it one after the other."""
    # Stored, mappings are sorted: a document made with the dossier and one made from it later must be the same bytes.
    return Dossier.from_json(raw)


def statement(material: Material) -> str:
    """Say what the sandbox is not; it stands on everything that leaves."""
    return material.words("card.statement.text")


def draft(material: Material, name: str, parts: Sequence[Part], *, notes: Sequence[str] = ()) -> Card:
    """Set out a draft as the tree that documents are made from.

    Args:
        name: of the export; its words are under `exports.<name>`.
        parts: of the form, in order.
        notes: sentences for this system that stand above the form.

    Returns:
        The tree; the same assessment gives the same tree.
    """
    words, dossier = material.words, material.dossier
    system = dossier.declaration.system
    facts = (
        ("provider", line(system.provider.name)),
        ("version", line(system.version)),
        ("roles", line(words.joined([words.role(role).lower() for role in system.roles]))),
        ("as_of", line(words.date(dossier.risk.as_of))),
        ("digest", line(code(dossier.digest))),
    )
    opening = [
        Callout(
            title=words(f"exports.{name}.heading"),
            lines=(line(words("exports.draft.is_a_draft")),),
        ),
        Callout(title=words("card.attested.title"), lines=tuple(line(said) for said in material.attestation())),
        Callout(title=words("card.statement.title"), lines=(line(statement(material)),), tone=Tone.QUIET),
    ]
    return Card(
        lang=words.lang,
        title=system.name,
        subtitle=words(f"exports.{name}.title"),
        facts=Entries(
            entries=(
                *(Entry(term=words(f"card.facts.{key}"), lines=(said,)) for key, said in facts),
                Entry(
                    term=words("exports.draft.class"),
                    lines=(line(words.class_name(dossier.risk.risk_class)),),
                ),
            )
        ),
        opening=tuple(opening),
        sections=(*_about(words, notes), *(_section(material, part) for part in parts)),
        labels=tuple(Label(key=key, words=words(f"card.nav.{key}")) for key in NAV),
    )


def _about(words: Words, notes: Sequence[str]) -> tuple[Section, ...]:
    if not notes:
        return ()
    said = Bullets(items=tuple(line(note) for note in notes))
    return (Section(id="about", title=words("exports.draft.about"), blocks=(said,)),)


def _section(material: Material, part: Part) -> Section:
    words = material.words
    blocks: list[Block] = []
    if part.intro:
        blocks.append(Callout(lines=tuple(line(said) for said in part.intro), tone=Tone.QUIET))
    if part.blanks:
        columns = (("field", 4), ("origin", 2), ("content", 8))
        blocks.append(
            Table(
                caption=words("exports.draft.caption", title=part.title),
                columns=tuple(Column(title=words(f"exports.draft.{key}"), width=width) for key, width in columns),
                rows=tuple(row for blank in part.blanks for row in _rows(words, blank)),
            )
        )
        blocks += [
            Callout(
                title=f"{blank.title}: {words(f'exports.origins.{content.origin}')}",
                lines=tuple(line(said) for said in content.lines),
                tone=Tone.QUIET,
            )
            for blank in part.blanks
            for content in distinct(blank.contents)
            if len(content.lines) > LINES_IN_A_CELL
        ]
    return Section(id=part.id, title=part.title, blocks=(*blocks, *part.blocks))


def _rows(words: Words, blank: Blank) -> Iterable[tuple[Cell, ...]]:
    contents = tuple(distinct(blank.contents)) or (Content(origin=Origin.EMPTY),)
    for i, content in enumerate(contents):
        said: Line = line(" ".join(content.lines))
        if len(content.lines) > LINES_IN_A_CELL:
            said = line(content.lines[0], " ", quiet(words("exports.draft.below", count=len(content.lines))))
        if not said:
            said = line(quiet(words("exports.draft.to_fill_in")))
        yield (
            Cell(line=line(blank.title), detail=line(blank.note) if blank.note and i == 0 else ()),
            Cell(line=line(words(f"exports.origins.{content.origin}")), tone=ORIGIN_TONES[content.origin]),
            Cell(line=said, detail=line(content.where) if content.where else ()),
        )


def distinct(contents: Iterable[Content]) -> Iterator[Content]:
    """Yield each content once: the same passage may have been found for two items."""
    seen = set()
    for content in contents:
        if (content.origin, content.lines) not in seen:
            seen.add((content.origin, content.lines))
            yield content


# ---- what a field can be filled with


def answered(lines: str | Sequence[str] | None, where: str = "") -> tuple[Content, ...]:
    """Give the content of a field that a person answered; nothing where nobody did."""
    said = (lines,) if isinstance(lines, str) else tuple(lines or ())
    kept = tuple(text.strip() for text in said if text and text.strip())
    return (Content(origin=Origin.ANSWERED, lines=kept, where=where),) if kept else ()


def measured(lines: Sequence[str], where: str = "") -> tuple[Content, ...]:
    """Give the content of a field that this assessment measured; nothing where it did not."""
    kept = tuple(text for text in lines if text)
    return (Content(origin=Origin.MEASURED, lines=kept, where=where),) if kept else ()


def published(declaration: Declaration, *keys: str, part: str = "") -> str:
    """Give an answer of the publication file as one text; empty where there is none.

    Args:
        keys: names under which it may stand; the first that holds something counts.
        part: the mapping of the file it stands in, as in `fria`; the file itself where empty.
    """
    given: Any = declaration.publication.get(part) if part else declaration.publication
    if not isinstance(given, Mapping):
        return ""
    for key in keys:
        text = as_text(given.get(key))
        if text:
            return text
    return ""


def as_text(value: Any) -> str:
    """Write an answer of a file as one text: lists with semicolons, mappings as `name: value`."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {as_text(inner)}" for key, inner in value.items() if as_text(inner))
    if isinstance(value, list | tuple):
        return "; ".join(text for text in (as_text(inner) for inner in value) if text)
    return str(value).strip()


def answer(declaration: Declaration, question: str) -> tuple[str, ...]:
    """Give the answers to a question of the questionnaire; none where it was not answered."""
    given = declaration.answers.get(question, ())
    return (given,) if isinstance(given, str) else tuple(given)


def answer_sentence(material: Material, question: str) -> str:
    """Say a question with its answers in words; empty where it was not answered."""
    given = answer(material.dossier.declaration, question)
    if not given:
        return ""
    words = material.words
    return f"{words.question(question)} {words.joined([words.answer(question, option) for option in given])}."


def with_result(material: Material, *of: str) -> tuple[Finding, ...]:
    """Give the findings of some families or checks, by their codes, that came with figures."""
    return tuple(
        f
        for f in material.dossier.findings
        if (f.family in of or f.check in of) and f.outcome not in WITHOUT_RESULT and f.measures
    )


def without_result(material: Material, *families: str) -> tuple[Finding, ...]:
    """Give the findings of some families that could not be made: not gathered, or our error."""
    return tuple(
        f
        for f in material.dossier.findings
        if f.family in families and f.outcome in (Outcome.NOT_GATHERED, Outcome.ERROR)
    )


def sentences(material: Material, *of: str, limited_only: bool = False) -> tuple[str, ...]:
    """Say the findings of some families or checks that came with figures.

    A finding with limits says each limited measure beside its limit; one without says its figures.

    Args:
        limited_only: leave out those without a limit.
    """
    said: list[str] = []
    for finding in with_result(material, *of):
        if finding.limit:
            said += material.words.finding_sentences(finding, short=True)
        elif not limited_only:
            said.append(figures_of(material, finding))
    return tuple(sentence for sentence in said if sentence)


def figures_of(material: Material, finding: Finding) -> str:
    """Say the headline measures of a finding in one line, with their intervals."""
    words = material.words
    said = [
        f"{words.measure_name(finding.check, m.name)} {words.value(m)}" for m in finding.measures if m.value is not None
    ]
    return f"{words.finding_title(finding)}: {'; '.join(said)}." if said else ""


def items_of(material: Material, check: str) -> Mapping[str, Item]:
    """Give what a check found in the documents, by item; empty where it found nothing to look in."""
    return {item.id: item for f in material.dossier.findings if f.check == check for item in f.items}


def passage(material: Material, item: Item | None, check: str) -> tuple[Content, ...]:
    """Give the passage that was found for an item, with its state and place; nothing where there is none."""
    if item is None:
        return ()
    text = item.params.get("passage")
    if item.state not in ("found", "short") or not isinstance(text, str) or not text:
        return ()
    places = [str(item.params[key]) for key in ("document", "heading") if item.params.get(key)]
    state = material.words.state(item.state, check)
    return (Content(origin=Origin.DOCUMENT, lines=(f"“{text}”",), where=" · ".join([state, *places])),)


def measures_table(material: Material, findings: Sequence[Finding], caption: str) -> tuple[Block, ...]:
    """Set out headline measures with intervals, rows, limits and outcomes; nothing where there are none."""
    words = material.words
    rows = [
        (
            Cell(line=line(f"{words.finding_title(finding)}: {words.measure_name(finding.check, m.name)}")),
            Cell(line=line(words.value(m))),
            Cell(line=line(words.whole(m.rows))),
            Cell(line=line(_limit(words, finding, m))),
            _outcome(words, finding, m),
        )
        for finding in findings
        for m in finding.measures
    ]
    if not rows:
        return ()
    columns = (
        ("measure", False, 6),
        ("value", False, 3),
        ("rows", True, 2),
        ("limit", False, 3),
        ("outcome", False, 3),
    )
    return (
        Table(
            caption=caption,
            columns=tuple(
                Column(title=words(f"exports.table.{key}"), number=number, width=width)
                for key, number, width in columns
            ),
            rows=tuple(rows),
        ),
    )


def _limit(words: Words, finding: Finding, m: Measure) -> str:
    applied = finding.limit.get(m.name)
    if applied is None:
        return "–"
    return f"{words.limit(applied, m)}, {words.origin(applied, short=True)}"


def _outcome(words: Words, finding: Finding, m: Measure) -> Cell:
    applied = finding.limit.get(m.name)
    outcome = applied.outcome if applied is not None else Outcome.MEASURED
    if m.value is None and m.reason is not None:
        return Cell(line=line(words.reason(m.reason, finding.check)), tone=TONES[outcome])
    return Cell(line=line(words.outcome(outcome)), tone=TONES[outcome])


def groups_table(material: Material, findings: Sequence[Finding], caption: str) -> tuple[Block, ...]:
    """Set out the measures of each group with their intervals; nothing where there are none."""
    words = material.words
    rows = [
        (
            Cell(line=line(group_name(words, group))),
            Cell(line=line(f"{words.title(finding.check)}: {words.measure_name(finding.check, m.name)}")),
            Cell(line=line(words.value(m))),
            Cell(line=line(words.whole(group.rows))),
        )
        for finding in findings
        for group in finding.groups
        for m in group.measures
    ]
    if not rows:
        return ()
    columns = (("group", False, 3), ("measure", False, 5), ("value", False, 3), ("rows", True, 2))
    return (
        Table(
            caption=caption,
            columns=tuple(
                Column(title=words(f"exports.table.{key}"), number=number, width=width)
                for key, number, width in columns
            ),
            rows=tuple(rows),
        ),
    )


def group_name(words: Words, group: GroupMeasures) -> str:
    """Name a group by its attributes and values; a value that was not stated says so."""
    return ", ".join(f"{name}: {words.scalar(value)}" for name, value in group.group.items())


# ---- the Dutch public sector


def register_category(material: Material) -> tuple[str | None, str]:
    """Work out the publication category of the Dutch algorithm register.

    Returns:
        The category as the register spells it, or None where the answers do not decide it or none fits; and the key of
        the reason, under `exports.algorithm_register.reasons`.
    """
    risk = material.dossier.risk
    effect = answer(material.dossier.declaration, "citizen_effect")
    if risk.risk_class in HIGH_RISK:
        return "Hoog-risico AI-systeem", "high_risk"
    if risk.risk_class in PROHIBITED:
        return None, "prohibited"
    if risk.risk_class == "undetermined" and any(possible in (*HIGH_RISK, *PROHIBITED) for possible in risk.possible):
        return None, "undetermined"
    for option in ("legal_effect", "contact_or_sorting"):
        if option in effect:
            return "Impactvolle algoritmes", option
    if "none" in effect:
        return "Overige algoritmes", "none"
    # The guidance of the register: in doubt, impactful.
    return "Impactvolle algoritmes", "in_doubt"
