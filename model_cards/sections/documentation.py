"""What the documents hold: each item found, short, a placeholder or not found; whether it is adequate is not judged."""

from __future__ import annotations

from checks.finding import Finding, Item
from model_cards.card import Block, Cell, Column, Line, Paragraph, Section, Table, Tone, line, link, quiet, strong
from model_cards.material import Material
from model_cards.sections.findings import one, with_result

STATE_TONES = {
    "found": Tone.PLAIN,
    "short": Tone.UNDECIDED,
    "placeholder": Tone.BEYOND,
    "not_found": Tone.MISSING,
}


def section(material: Material) -> Section:
    """Make the section on documentation."""
    words = material.words
    findings = with_result(material, "documentation")
    blocks: list[Block] = [Paragraph(line=line(words("card.documentation.intro")))]
    if not findings:
        none = words("card.finding.none")
        blocks.append(
            Paragraph(line=line(f"{none} ", link(words("card.section.unmeasured"), "unmeasured")), tone=Tone.QUIET)
        )
    return Section(
        id="documentation",
        title=words("card.section.documentation"),
        blocks=tuple(blocks),
        sections=tuple(_with_items(material, finding) for finding in findings),
    )


def _with_items(material: Material, finding: Finding) -> Section:
    words = material.words
    # What was not found has no passage to show: it is told in one sentence, and the table stays short.
    held = [item for item in finding.items if item.state != "not_found"]
    table = Table(
        caption=words("card.documentation.items", title=words.finding_title(finding)),
        columns=(
            Column(title=words("card.documentation.item"), width=5),
            Column(title=words("card.documentation.state"), width=2),
            Column(title=words("card.documentation.where"), width=6),
        ),
        rows=tuple(
            (
                Cell(line=line(words.item(item.id, finding.check))),
                Cell(
                    line=line(words.state(item.state, finding.check)),
                    tone=STATE_TONES.get(item.state, Tone.MISSING),
                ),
                Cell(line=_passage(material, item), detail=_where(item)),
            )
            for item in held
        ),
        under_its_title=True,
    )
    drawn: list[Block] = [table] if held else []
    absent = [words.item(item.id, finding.check) for item in finding.items if item not in held]
    if absent:
        state = words.state("not_found", finding.check)
        drawn.append(Paragraph(line=line(strong(f"{state} ({words.whole(len(absent))}): "), f"{'; '.join(absent)}.")))
    return one(material, finding, drawn=drawn)


def _passage(material: Material, item: Item) -> Line:
    passage = item.params.get("passage")
    if not isinstance(passage, str) or not passage:
        return line(quiet(material.words("card.documentation.none")))
    return line(f"“{passage}”")


def _where(item: Item) -> Line:
    places = [str(item.params[key]) for key in ("document", "heading") if item.params.get(key)]
    return line(" · ".join(places))
