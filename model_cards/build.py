"""Build the one tree of sections of an assessment, per language."""

from __future__ import annotations

from collections.abc import Sequence

from model_cards.card import Callout, Card, Entries, Entry, Label, Line, Tone, code, line
from model_cards.dossier import Assessment
from model_cards.material import Material
from model_cards.sections import documentation, explanation, findings, isolation, law, method, summary, unmeasured
from model_cards.words import Words

NAV = ("contents", "skip", "other_language", "figures", "no_drawing", "page", "of", "on_page", "generated", "unfold")
"""Words of the document itself that exports need."""

PARTS = (summary, findings, explanation, documentation, law, isolation, unmeasured, method)
"""The parts, in the order in which they are read: summary first, method last."""


def build(assessment: Assessment, lang: str, *, siblings: Sequence[str] = ()) -> Card:
    """Build the card of an assessment in one language.

    Args:
        lang: one of `model_cards.words.languages()`.
        siblings: the languages that the same document is made in, for the links between them.

    Returns:
        The whole tree; the same assessment gives the same tree.

    Raises:
        LookupError: there are no words in that language.
    """
    material = Material(assessment=assessment, words=Words(lang))
    words = material.words
    system = assessment.dossier.declaration.system
    return Card(
        lang=lang,
        title=system.name,
        subtitle=words("card.subtitle"),
        facts=Entries(entries=_facts(material)),
        opening=_opening(material),
        sections=tuple(part.section(material) for part in PARTS),
        labels=tuple(Label(key=key, words=words(f"card.nav.{key}")) for key in NAV),
        siblings=tuple((other, Words(other)("card.language")) for other in siblings if other != lang),
    )


def _facts(material: Material) -> tuple[Entry, ...]:
    words, dossier, run = material.words, material.dossier, material.assessment.run
    system = dossier.declaration.system
    provider = system.provider
    given: list[tuple[str, Line]] = [("provider", line(provider.name)), ("version", line(system.version))]
    if provider.contact:
        given.append(("contact", line(provider.contact)))
    if provider.country:
        given.append(("country", line(provider.country)))
    if provider.size:
        given.append(("size", line(words(f"card.size.{provider.size}"))))
    given.append(("roles", line(words.joined([words.role(role).lower() for role in system.roles]))))
    given.append(("public_body", line(words("outcomes.words.yes" if system.public_body else "outcomes.words.no"))))
    given.append(("licence", line(system.licence or words("outcomes.words.not_stated"))))
    given.append(("as_of", line(words.date(dossier.risk.as_of))))
    if run is not None:
        given.append(("run_at", line(words.time(run.ended))))
    given.append(("digest", line(code(dossier.digest))))
    return tuple(Entry(term=words(f"card.facts.{key}"), lines=(said,)) for key, said in given)


def _opening(material: Material) -> tuple[Callout, ...]:
    """Say who attests it and how, and what it is not: the first lines of every document."""
    words = material.words
    return (
        Callout(title=words("card.attested.title"), lines=tuple(line(said) for said in material.attestation())),
        Callout(title=words("card.statement.title"), lines=(line(words("card.statement.text")),), tone=Tone.QUIET),
    )
