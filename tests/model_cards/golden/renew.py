"""Write the golden files of the card anew, to read the difference: `python -m tests.model_cards.golden.renew`."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

from pypdf import PdfReader

from model_cards.build import build
from model_cards.exports import html, hugging_face, markdown, pdf
from model_cards.words import languages
from tests.make.assessments import assessment

FOLDER = Path(__file__).resolve().parent

_DRAWING = re.compile(r"<svg .*?</svg>", re.DOTALL)
_STYLES = re.compile(r"<style>.*?</style>", re.DOTALL)


def documents() -> Iterator[tuple[str, str]]:
    """Yield the name and content of each golden file.

    Drawings are left out, which hold no words and have tests of their own, and so is the style sheet, which is a file.
    Of the PDF it is the text of each page; of the README of a model repository what it adds to the card.
    """
    given = assessment()
    for lang in languages():
        card = build(given, lang, siblings=languages())
        yield f"card.{lang}.md", markdown.render(given, lang, card=card).decode()
        page = html.render(given, lang, card=card).decode()
        readme = hugging_face.render(given, lang, card=card).decode()
        yield f"card.{lang}.readme.yaml", readme.removeprefix("---\n").partition("\n---\n")[0] + "\n"
        pages = PdfReader(io.BytesIO(pdf.render(given, lang, card=card))).pages
        yield f"card.{lang}.pdf.txt", "\n".join(f"== {n}\n{p.extract_text()}" for n, p in enumerate(pages, 1)) + "\n"
        yield f"card.{lang}.html", _STYLES.sub("<style></style>", _DRAWING.sub("<svg></svg>", page))


if __name__ == "__main__":
    for name, content in documents():
        (FOLDER / name).write_text(content, encoding="utf-8")
