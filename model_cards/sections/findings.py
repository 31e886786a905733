"""What was measured, per family: each finding with its figures, limits, groups, plots, law and what it does not say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from checks.finding import AppliedLimit, Finding, GroupMeasures, Item, LawRef, Measure, Outcome
from checks.registry import FAMILIES
from model_cards.card import (
    Badge,
    Block,
    Callout,
    Cell,
    Column,
    Entries,
    Entry,
    Line,
    Paragraph,
    Section,
    Table,
    Tone,
    line,
    link,
    quiet,
    strong,
)
from model_cards.material import TONES, WITHOUT_RESULT, Material

ELSEWHERE = ("explainability", "documentation")
"""Families that have a section of their own."""

MEASURES_SIDE_BY_SIDE = 3
"""Measures per group in one table; more become a further table, so that a page stays legible."""


def section(material: Material) -> Section:
    """Make the section of all families that have none of their own."""
    words = material.words
    return Section(
        id="findings",
        title=words("card.section.findings"),
        sections=tuple(_family(material, family) for family in FAMILIES if family not in ELSEWHERE),
        on_a_new_page=True,
    )


def _family(material: Material, family: str) -> Section:
    words = material.words
    findings = with_result(material, family)
    blocks: tuple[Block, ...] = ()
    if not findings:
        none = words("card.finding.none")
        blocks = (
            Paragraph(line=line(f"{none} ", link(words("card.section.unmeasured"), "unmeasured")), tone=Tone.QUIET),
        )
    return Section(
        id=f"family-{family.replace('_', '-')}",
        title=words(f"card.family.{family}"),
        blocks=blocks,
        sections=tuple(one(material, finding) for finding in findings),
    )


def with_result(material: Material, family: str) -> tuple[Finding, ...]:
    """List the findings of a family that have figures, or that failed by our fault."""
    return tuple(
        f
        for f in material.dossier.findings
        if f.family == family and (f.outcome not in WITHOUT_RESULT or f.outcome is Outcome.ERROR)
    )


def one(material: Material, finding: Finding, drawn: Sequence[Block] | None = None) -> Section:
    """Make the section of one finding.

    Args:
        drawn: what stands in place of its pictures and items.
    """
    words = material.words
    title = words.finding_title(finding)
    blocks: list[Block] = [Paragraph(line=line(words.says(finding, **material.declared())))]
    if finding.outcome is Outcome.ERROR:
        said = words("card.finding.incident", incident=finding.incident or "")
        blocks.append(Callout(lines=(line(said),), tone=Tone.ERROR))
    elif finding.reason is not None:
        blocks.append(Callout(lines=(line(words.reason(finding.reason, finding.check)),), tone=Tone.QUIET))
    if finding.measures:
        blocks.append(_measures(material, finding, title))
    blocks += _groups(material, finding, title)
    if drawn is None:
        blocks += [*_items(material, finding, title), *material.pictures(finding)]
    else:
        blocks += drawn
    blocks += _reading(material, finding)
    return Section(
        id=material.anchor(finding),
        title=title,
        badge=badge(material, finding.outcome),
        blocks=tuple(blocks),
    )


def badge(material: Material, outcome: Outcome) -> Badge:
    """Make the badge of an outcome."""
    return Badge(words=material.words.outcome(outcome), tone=TONES[outcome])


def _measures(material: Material, finding: Finding, title: str) -> Table:
    words = material.words
    rows = []
    for measure in finding.measures:
        applied = finding.limit.get(measure.name)
        said = f"{words.reason(measure.reason, finding.check)}" if measure.reason is not None else ""
        rows.append(
            (
                Cell(line=line(words.measure_name(finding.check, measure.name)), detail=line(said)),
                Cell(
                    line=line(strong(words.number(measure.value, measure.unit, name=measure.name))),
                    detail=_interval(material, measure),
                ),
                Cell(line=line(words.whole(measure.rows))),
                _limit(material, measure, applied),
                Cell(
                    line=line(words.outcome(applied.outcome if applied else Outcome.MEASURED)),
                    tone=TONES[applied.outcome] if applied else Tone.QUIET,
                ),
            )
        )
    return Table(
        caption=words("card.finding.measures", title=title),
        columns=(
            Column(title=words("card.finding.measure"), width=4),
            Column(title=words("card.finding.value"), number=True, width=4),
            Column(title=words("card.finding.rows"), number=True, width=2),
            Column(title=words("card.finding.limit"), width=3),
            Column(title=words("card.finding.outcome"), width=3),
        ),
        rows=tuple(rows),
    )


def _interval(material: Material, measure: Measure) -> Line:
    words = material.words
    if measure.value is None or measure.low is None or measure.high is None:
        return ()
    if measure.low == measure.high == measure.value:
        return line(words("card.finding.exact"))
    parts = words.interval(measure)
    if measure.unadjusted is not None:
        low, high = measure.unadjusted
        bare = Measure(name=measure.name, value=measure.value, low=low, high=high, rows=measure.rows, unit=measure.unit)
        parts = f"{parts}; {words('card.finding.unadjusted', interval=words.interval(bare))}"
    return line(parts)


def _limit(material: Material, measure: Measure, applied: AppliedLimit | None) -> Cell:
    words = material.words
    if applied is None:
        return Cell(line=line(quiet(words("card.finding.no_limit"))))
    return Cell(line=line(words.limit(applied, measure)), detail=line(words.origin(applied, short=True)))


def _groups(material: Material, finding: Finding, title: str) -> list[Table]:
    words = material.words
    if not finding.groups:
        return []
    names = list(dict.fromkeys(m.name for g in finding.groups for m in g.measures))
    of_features = all(list(g.group) == ["feature"] for g in finding.groups)
    key = "features" if of_features else "groups"
    tables = []
    for start in range(0, max(1, len(names)), MEASURES_SIDE_BY_SIDE):
        part = names[start : start + MEASURES_SIDE_BY_SIDE]
        tables.append(
            Table(
                caption=words(f"card.finding.{key}", title=title),
                columns=(
                    Column(title=words("card.finding.feature" if of_features else "card.finding.group"), width=4),
                    Column(title=words("card.finding.rows"), number=True, width=2),
                    *(Column(title=words.measure_name(finding.check, n), number=True, width=3) for n in part),
                ),
                rows=tuple(
                    (
                        Cell(line=line(group_name(material, finding, group)), detail=_about_group(material, group)),
                        Cell(line=line(words.whole(group.rows))),
                        *(_group_measure(material, finding, group, name) for name in part),
                    )
                    for group in finding.groups
                ),
            )
        )
    return tables


def _items(material: Material, finding: Finding, title: str) -> list[Table]:
    words = material.words
    if not finding.items:
        return []
    return [
        Table(
            caption=words("card.documentation.items", title=title),
            columns=(
                Column(title=words("card.documentation.item"), width=4),
                Column(title=words("card.documentation.state"), width=3),
                Column(title=words("card.finding.details"), width=6),
            ),
            rows=tuple(
                (
                    Cell(line=line(words.item(item.id, finding.check))),
                    Cell(line=line(words.state(item.state, finding.check))),
                    Cell(line=line(_details(material, item))),
                )
                for item in finding.items
            ),
        )
    ]


def _details(material: Material, item: Item) -> str:
    words = material.words
    if list(item.params) == ["name"]:
        return words.scalar(item.params["name"])
    named = ((words.find(f"outcomes.params.{key}") or key.replace("_", " "), v) for key, v in item.params.items())
    return "; ".join(f"{name}: {words.scalar(value)}" for name, value in named) or "–"


def group_name(material: Material, finding: Finding, group: GroupMeasures) -> str:
    """Name a group; a value that was not stated is said to be so, and its attribute where there are several."""
    unstated = material.words("card.finding.not_stated_group")
    several = len({tuple(g.group) for g in finding.groups}) > 1
    named = (
        (f"{key}: " if several else "", unstated if value is None else value) for key, value in group.group.items()
    )
    return ", ".join(f"{key}{value}" for key, value in named) or unstated


def _about_group(material: Material, group: GroupMeasures) -> Line:
    words = material.words
    said = []
    if group.effective_rows is not None:
        said.append(words("card.finding.effective", rows=words.decimal(group.effective_rows, 4)))
    if group.too_small:
        said.append(words("card.finding.too_small"))
    return line("; ".join(said))


def _group_measure(material: Material, finding: Finding, group: GroupMeasures, name: str) -> Cell:
    words = material.words
    measure = next((m for m in group.measures if m.name == name), None)
    if measure is None:
        return Cell(line=line("–"))
    if measure.value is None:
        return Cell(line=line("–"), detail=line(material.reason(measure.reason, finding.check)), tone=Tone.MISSING)
    return Cell(
        line=line(words.number(measure.value, measure.unit, name=name)),
        detail=() if measure.low == measure.high == measure.value else _interval(material, measure),
        tone=Tone.MISSING if group.too_small else Tone.PLAIN,
    )


def _reading(material: Material, finding: Finding) -> list[Block]:
    """Say what must be read beside the figures: why the limits, what it does not say, and which law it bears on."""
    words = material.words
    entries = []
    for name, applied in finding.limit.items():
        measure = finding.measure(name)
        if measure is None or not applied.why:
            continue
        entries.append(
            Entry(
                term=f"{words('card.finding.limit')}: {words.measure_name(finding.check, name)}",
                lines=(line(f"{words.limit(applied, measure)}, {words.origin(applied)}. {words.why(applied)}"),),
            )
        )
    defined: dict[str, list[str]] = {}
    for measure in finding.measures:
        if measure.definition:
            how = f" ({measure.interval})" if measure.interval else ""
            defined.setdefault(f"{measure.definition}{how}", []).append(words.measure_name(finding.check, measure.name))
    if defined:
        lines = tuple(line(quiet(f"{', '.join(names)}: {how}")) for how, names in defined.items())
        entries.append(Entry(term=words("card.finding.definition"), lines=lines))
    entries.append(
        Entry(
            term=words("card.finding.says_not"),
            lines=(line(words.says_not(finding, **material.declared())),),
        )
    )
    if finding.law:
        refs = "; ".join(_law(material, finding.law))
        entries.append(Entry(term=words("card.nav.law"), lines=(line(words("card.finding.law", refs=refs)),)))
    return [Entries(entries=tuple(entries))]


def _law(material: Material, refs: tuple[LawRef, ...]) -> list[str]:
    """Say the provisions, those of which the same is known together."""
    words = material.words
    together: dict[tuple[str, str], list[str]] = {}
    for ref in refs:
        together.setdefault((ref.applies, str(ref.applies_from or "")), []).append(ref.provision)
    said = []
    for (applies, date), provisions in together.items():
        listed = ", ".join(provisions)
        if applies == "yes" and date:
            key = "law_applies_yes" if is_past(material, date) else "law_applies"
            said.append(words(f"card.finding.{key}", provision=listed, date=words.date(date)))
        else:
            key = {"no": "law_not", "yes": "law_plain"}.get(applies, "law_open")
            said.append(words(f"card.finding.{key}", provision=listed))
    return said


def is_past(material: Material, date: str | dt.date) -> bool:
    """Tell whether a date lies on or before the day that the law was looked at."""
    return str(date)[:10] <= str(material.dossier.risk.as_of)[:10]
