"""Build the one tree of sections of an assessment, per language, and write the documents made from it."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from checks.finding import Figure
from model_cards.card import Callout, Card, Entries, Entry, Label, Line, Tone, code, line
from model_cards.dossier import Assessment
from model_cards.material import Material, file_name
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


def write(assessment: Assessment, folder: Path, languages: Sequence[str]) -> tuple[Path, ...]:
    """Write the model cards, the figures' data and their plots into a folder; the same assessment gives the same bytes.

    Args:
        folder: an existing folder, where `figures/` and `plots/` are made; files of the same names are replaced.
        languages: of `model_cards.words.languages()`.

    Returns:
        The paths written, sorted.

    Raises:
        LookupError: there are no words in a language.
        model_cards.typesetting.TypesettingFailed: the PDF could not be typeset (our fault).
        OSError: the folder cannot be written.
    """
    from model_cards.exports import html, markdown, pdf

    written: list[Path] = []

    def keep(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written.append(path)

    # The typesetter is a process of its own: it works on one language while the next is written here.
    with ThreadPoolExecutor(max_workers=len(languages) or 1) as typesetters:
        papers = {}
        for lang in languages:
            card = build(assessment, lang, siblings=languages)
            papers[lang] = typesetters.submit(pdf.render, assessment, lang, card=card)
            keep(folder / f"model_card.{lang}.md", markdown.render(assessment, lang, card=card))
            keep(folder / f"model_card.{lang}.html", html.render(assessment, lang, card=card))
            for picture in card.pictures():
                if picture.svg:
                    keep(folder / "plots" / f"{file_name(picture.name)}.{lang}.svg", picture.svg.encode())
        for figure in assessment.figures:
            keep(folder / "figures" / f"{file_name(figure.name)}.parquet", parquet(figure))
        for lang, paper in papers.items():
            keep(folder / f"model_card.{lang}.pdf", paper.result())
    return tuple(sorted(written))


def parquet(figure: Figure) -> bytes:
    """Write a figure's data as Parquet, its kind and parameters beside them; the same figure gives the same bytes."""
    # Arrow is slow to import and not needed for documents alone.
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {}
    for name, values in figure.columns.items():
        mixed = len({type(v) for v in values if v is not None} - {int, float}) > 1
        numbers = {type(v) for v in values if v is not None} <= {int, float}
        if mixed or (not numbers and any(isinstance(v, int | float) and not isinstance(v, bool) for v in values)):
            columns[name] = pa.array([None if v is None else str(v) for v in values], type=pa.string())
        elif numbers and any(isinstance(v, float) for v in values):
            columns[name] = pa.array([None if v is None else float(v) for v in values], type=pa.float64())
        else:
            columns[name] = pa.array(list(values))
    about = {"kind": figure.kind, "params": dict(figure.params), "row_level": figure.row_level}
    sink = io.BytesIO()
    table = pa.table(columns, metadata={"figure": json.dumps(about, ensure_ascii=False, sort_keys=True)})
    pq.write_table(table, sink, compression="zstd", version="2.6")
    return sink.getvalue()
