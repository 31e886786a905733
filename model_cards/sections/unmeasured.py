"""What was not measured, and why: what is missing is part of the result."""

from __future__ import annotations

from model_cards.card import Cell, Column, Paragraph, Section, Table, line
from model_cards.material import TONES, WITHOUT_RESULT, Material


def section(material: Material) -> Section:
    """Make the section on what was not measured."""
    words = material.words
    findings = [f for f in material.dossier.findings if f.outcome in WITHOUT_RESULT]
    if not findings:
        return Section(
            id="unmeasured",
            title=words("card.section.unmeasured"),
            blocks=(Paragraph(line=line(words("card.unmeasured.none"))),),
        )
    # The heaviest first: our errors, then what could still be gathered, then what does not fit.
    order = {outcome: place for place, outcome in enumerate(WITHOUT_RESULT)}
    rows = []
    for finding in sorted(findings, key=lambda f: order[f.outcome]):
        family = words(f"card.family.{finding.family}")
        rows.append(
            (
                Cell(line=line(words.finding_title(finding)), detail=line(family)),
                Cell(line=line(words.outcome(finding.outcome)), tone=TONES[finding.outcome]),
                Cell(line=line(material.reason(finding.reason, finding.check))),
            )
        )
    return Section(
        id="unmeasured",
        title=words("card.section.unmeasured"),
        blocks=(
            Paragraph(line=line(words("card.unmeasured.intro"))),
            Table(
                caption=words("card.unmeasured.caption"),
                columns=(
                    Column(title=words("card.unmeasured.check"), width=4),
                    Column(title=words("card.unmeasured.outcome"), width=3),
                    Column(title=words("card.unmeasured.why"), width=6),
                ),
                rows=tuple(rows),
            ),
        ),
    )
