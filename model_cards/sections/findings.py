"""What was measured, per family: each finding with its figures, limits, groups, plots, law and what it does not say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from checks.finding import AppliedLimit, Finding, GroupMeasures, Item, LawRef, Measure, Outcome, Rejudge, Scalar
from checks.registry import FAMILIES
from model_cards.card import (
    Badge,
    Block,
    Callout,
    Cell,
    Column,
    Line,
    Paragraph,
    Section,
    Table,
    Tone,
    code,
    line,
    link,
    quiet,
    strong,
)
from model_cards.material import TONES, WITHOUT_RESULT, Material

ELSEWHERE = ("explainability", "documentation")
"""Families that have a section of their own."""

NOT_OF_PEOPLE = ("feature", "threshold")
"""Parts by which a finding tells its figures apart that are no groups of people."""

WRITTEN_OUT = 30
"""Groups up to which a plot surely writes out every figure."""

MEASURES_SIDE_BY_SIDE = 4
"""Measures per group in one table; more become a further table, so that a page stays legible."""


def section(material: Material) -> Section:
    """Make the section of all families that have none of their own."""
    words = material.words
    return Section(
        id="findings",
        title=words("card.section.findings"),
        blocks=(Paragraph(line=line(f"{words('card.finding.intro')} ", link(words("card.section.method"), "method"))),),
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
    says = words.says(finding, **material.declared())
    if finding.reason is not None and finding.outcome is not Outcome.ERROR:
        says = f"{says} {words.reason(finding.reason, finding.check)}"
    blocks: list[Block] = [Paragraph(line=line(says))]
    if finding.outcome is Outcome.ERROR:
        said = words("card.finding.incident", incident=finding.incident or "")
        blocks.append(Callout(lines=(line(said),), tone=Tone.ERROR))
    if finding.measures:
        blocks.append(_measures(material, finding, title))
    groups, pictures = _groups(material, finding, title), list(material.pictures(finding)) if drawn is None else []
    if len(groups) == 1 and len(pictures) == 1:
        # The table by group says all that the plot shows, and mostly more: it stands once, with the plot. Where it
        # says no more, paper shows the plot alone, which writes each figure out.
        table = replace(groups[0], under_its_title=True)
        no_more = len(table.columns) == len(("group", "rows", "value")) and not any(
            c.detail for r in table.rows for c in r
        )
        kept = no_more and len(table.rows) <= WRITTEN_OUT
        pictures = [replace(pictures[0], figures=table, repeated=kept, under_its_title=True)]
        groups = []
    blocks += groups
    blocks += [*_items(material, finding, title), *pictures] if drawn is None else drawn
    says_not = words.says_not(finding, **material.declared())
    blocks.append(Paragraph(line=line(strong(f"{words('card.finding.says_not')}: "), says_not), tone=Tone.QUIET))
    blocks.append(Paragraph(line=_again(material, finding), tone=Tone.QUIET))
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
    limited = bool(finding.limit)
    rows = []
    for measure in finding.measures:
        applied = finding.limit.get(measure.name)
        said = f"{words.reason(measure.reason, finding.check)}" if measure.reason is not None else ""
        value, detail = _value(material, finding, measure)
        cells = [
            Cell(line=line(words.measure_name(finding.check, measure.name)), detail=line(said)),
            Cell(line=(strong(value[0].text), *value[1:]), detail=detail),
            Cell(line=line(words.whole(measure.rows))),
        ]
        if limited:
            outcome = words.outcome(applied.outcome) if applied else "–"
            tone = TONES[applied.outcome] if applied else Tone.QUIET
            cells += [_limit(material, finding, measure, applied), Cell(line=line(outcome), tone=tone)]
        rows.append(tuple(cells))
    columns = [
        Column(title=words("card.finding.measure"), width=11),
        Column(title=words("card.finding.value"), number=True, width=12),
        Column(title=words("card.finding.rows"), number=True, width=4),
    ]
    if limited:
        columns += [
            Column(title=words("card.finding.limit"), width=9),
            Column(title=words("card.finding.outcome"), width=9),
        ]
    return Table(
        caption=words("card.finding.measures", title=title),
        columns=tuple(columns),
        rows=tuple(rows),
        under_its_title=True,
    )


def _value(material: Material, finding: Finding, measure: Measure) -> tuple[Line, Line]:
    """Say a measure with its interval, and beside it the interval without the adjustment for many comparisons."""
    words = material.words
    measure = words.said(finding.check, measure)
    value = words.number(measure.value, measure.unit, name=measure.name)
    if measure.value is None or measure.low is None or measure.high is None:
        return line(value), ()
    if measure.low == measure.high == measure.value:
        return line(value), ()
    detail: Line = ()
    if measure.unadjusted is not None:
        low, high = measure.unadjusted
        bare = Measure(name=measure.name, value=measure.value, low=low, high=high, rows=measure.rows, unit=measure.unit)
        detail = line(words("card.finding.unadjusted", interval=words.interval(bare)))
    return line(value, f" ({words.interval(measure)})"), detail


def _limit(material: Material, finding: Finding, measure: Measure, applied: AppliedLimit | None) -> Cell:
    words = material.words
    measure = words.said(finding.check, measure)
    if applied is None:
        return Cell(line=line(quiet(words("card.finding.no_limit"))))
    return Cell(line=line(words.limit(applied, measure)), detail=line(words.origin(applied, short=True)))


def _groups(material: Material, finding: Finding, title: str) -> list[Table]:
    words = material.words
    if not finding.groups:
        return []
    names = list(dict.fromkeys(m.name for g in finding.groups for m in g.measures))
    sort = _sort(finding)
    tables = []
    for start in range(0, max(1, len(names)), MEASURES_SIDE_BY_SIDE):
        part = names[start : start + MEASURES_SIDE_BY_SIDE]
        tables.append(
            Table(
                caption=words(f"card.finding.{sort}s", title=title),
                columns=(
                    Column(title=words(f"card.finding.{sort}"), width=3),
                    Column(title=words("card.finding.rows"), number=True, width=2),
                    *(Column(title=words.measure_name(finding.check, n), number=True, width=4) for n in part),
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
            under_its_title=True,
            columns=(
                Column(title=words("card.documentation.item"), width=4),
                Column(title=words("card.documentation.state"), width=3),
                Column(title=words("card.finding.details"), width=6),
            ),
            rows=tuple(
                (
                    Cell(line=line(words.item(item.id, finding.check))),
                    Cell(line=line(words.state(item.state, finding.check))),
                    Cell(line=line(_details(material, finding, item))),
                )
                for item in finding.items
            ),
        )
    ]


def _details(material: Material, finding: Finding, item: Item) -> str:
    words = material.words
    if list(item.params) == ["name"]:
        return words.scalar(item.params["name"])
    # What an item says of a measure is in the unit of that measure.
    units = {m.name: m.unit for m in finding.measures}

    def said(key: str, value: Scalar) -> str:
        unit = units.get(key) or units.get(item.id) or ""
        return words.number(value, unit) if isinstance(value, float) and unit else words.scalar(value)

    named = ((words.find(f"outcomes.params.{key}") or key.replace("_", " "), key, v) for key, v in item.params.items())
    return "; ".join(f"{name}: {said(key, value)}" for name, key, value in named) or "–"


def _sort(finding: Finding) -> str:
    """Say what a finding tells its figures apart by: groups of people, or something that is not compared by."""
    parts = {tuple(g.group) for g in finding.groups}
    return next((s for s in NOT_OF_PEOPLE if parts == {(s,)} and finding.attribute != s), "group")


def group_name(material: Material, finding: Finding, group: GroupMeasures) -> str:
    """Name a group; a value that was not stated is said to be so, and its attribute where there are several."""
    unstated = material.words("card.finding.not_stated_group")
    several = len({tuple(g.group) for g in finding.groups}) > 1
    if _sort(finding) == "threshold":
        return ", ".join(material.words.decimal(float(value), 4) for value in group.group.values() if value)
    named = (
        (f"{key}: " if several else "", unstated if value is None else value) for key, value in group.group.items()
    )
    return ", ".join(f"{key}{value}" for key, value in named) or unstated


def _again(material: Material, finding: Finding) -> Line:
    """Say what a finding bears on, and from what it can be found again; the commands stand once, under method."""
    words = material.words
    provisions = list(dict.fromkeys(ref.provision for ref in finding.law))
    law = words("card.finding.bears_on", provisions=words.joined(provisions)) if provisions else ""
    is_alone = finding.rejudge is Rejudge.DOSSIER and material.dossier.publication is None
    return line(
        f"{law} {words('card.finding.again')} ".lstrip(),
        code(finding.check),
        ", ",
        link(words("card.finding.from_dossier" if is_alone else "card.finding.from_submission"), "method-again"),
        ".",
    )


def _about_group(material: Material, group: GroupMeasures) -> Line:
    words = material.words
    said = []
    if group.effective_rows is not None:
        said.append(words("card.finding.effective", rows=words.decimal(group.effective_rows, 4)))
    if group.too_small:
        said.append(words("card.finding.too_small"))
    return line("; ".join(said))


def _group_measure(material: Material, finding: Finding, group: GroupMeasures, name: str) -> Cell:
    measure = next((m for m in group.measures if m.name == name), None)
    if measure is None:
        return Cell(line=line("–"))
    if measure.value is None:
        return Cell(line=line("–"), detail=line(material.reason(measure.reason, finding.check)), tone=Tone.MISSING)
    value, detail = _value(material, finding, measure)
    return Cell(line=value, detail=detail, tone=Tone.MISSING if group.too_small else Tone.PLAIN)


def law_said(material: Material, refs: tuple[LawRef, ...]) -> list[str]:
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
