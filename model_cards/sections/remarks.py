"""What else the law says of this system without changing its class or duties, and what of it is draft or contested."""

from __future__ import annotations

from checks.ai_act import rules
from checks.ai_act.classify import notes
from model_cards.card import Cell, Column, Paragraph, Section, Table, Tone, line
from model_cards.material import Material

READ = "primary"
"""The certainty of what was read in the text of the law itself."""


def remarks(material: Material) -> tuple[Section, ...]:
    """Make the part on provisions that speak to this system, each with how far it was checked; none where none do."""
    words, dossier = material.words, material.dossier
    try:
        law = rules.load(dossier.risk.rules_version)
    except rules.UnknownRules:
        return ()
    rows = tuple(
        (
            Cell(line=line(words(f"law.notes.{note.id}"))),
            Cell(line=line(note.provision)),
            Cell(
                line=line(words(f"law.confidence.{note.confidence}")),
                detail=line(words("card.law.verified", date=words.date(note.verified_on))),
                tone=Tone.PLAIN if note.confidence == READ else Tone.UNDECIDED,
            ),
        )
        for note in notes(dossier.declaration, law)
    )
    if not rows:
        return ()
    table = Table(
        caption=words("law.remarks.title"),
        columns=(
            Column(title=words("law.remarks.remark"), width=6),
            Column(title=words("card.law.provision"), width=3),
            Column(title=words("card.law.confidence"), width=4),
        ),
        rows=rows,
        under_its_title=True,
    )
    intro = Paragraph(line=line(words("law.remarks.intro")))
    return (Section(id="law-remarks", title=words("law.remarks.title"), blocks=(intro, table)),)
