"""Write the documents of an assessment: cards, plots and the figures' data."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model_cards.build import build
from model_cards.dossier import Assessment
from model_cards.exports import html, markdown, pdf
from model_cards.material import file_name
from model_cards.writing import parquet


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
