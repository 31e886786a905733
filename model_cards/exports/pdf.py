"""The card as PDF, typeset by Typst: title page, contents, page references, tables that break well.

Values come from the provider and may be hostile: they reach the typesetter as data alone.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from enum import Enum
from functools import cache
from importlib import resources
from typing import Any

from model_cards.build import build
from model_cards.card import Card
from model_cards.dossier import Assessment
from model_cards.typesetting import font_folder, typeset

FORMAT = "pdf"
SUFFIX = ".pdf"
STANDARD = "PDF 1.7, PDF/A-2a and PDF/UA-1"

LONG_WORD = 24
"""Letters of an unbroken word after which a line may break inside it."""


def render(assessment: Assessment, lang: str, *, card: Card | None = None) -> bytes:
    """Make the card as PDF.

    Args:
        lang: of `model_cards.words.languages()`.
        card: the tree, where it has been built already.

    Returns:
        The PDF; the same assessment gives the same bytes.

    Raises:
        model_cards.typesetting.TypesettingFailed: it took too long or was refused (our fault).
    """
    card = card or build(assessment, lang)
    as_of = assessment.dossier.risk.as_of
    stamp = int(dt.datetime(as_of.year, as_of.month, as_of.day, tzinfo=dt.UTC).timestamp())
    template = resources.files("model_cards").joinpath("templates", "card.typ").read_text(encoding="utf-8")
    inputs = {**tree(card), "date": [as_of.year, as_of.month, as_of.day]}
    return typeset(template, inputs, timestamp=stamp)


def tree(value: Any) -> Any:
    """Turn a tree of dataclasses into JSON types; letters that no font has are spelt out."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return breakable(spelt_out(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        # A drawing is no text: it is passed on as it was drawn, except for letters that would stop the typesetter.
        kept = {"svg": spelt_out(named.pop("svg"))} if "svg" in named else {}
        return {"kind": type(value).__name__.lower(), **kept, **{name: tree(v) for name, v in named.items()}}
    if isinstance(value, tuple | list):
        return [tree(part) for part in value]
    return value


def spelt_out(text: str) -> str:
    """Write a letter that no font here has as `[U+4E2D]`: PDF/A refuses a letter that cannot be shown."""
    if text.isascii():
        return text
    known = _letters()
    return "".join(c if ord(c) < 128 or ord(c) in known else f"[U+{ord(c):04X}]" for c in text)


def breakable(text: str) -> str:
    """Let a very long word break over lines, at invisible places."""
    return re.sub(rf"\S{{{LONG_WORD + 1},}}", lambda word: _broken(word[0]), text)


def _broken(word: str) -> str:
    return "\u200b".join(word[i : i + 8] for i in range(0, len(word), 8))


@cache
def _letters() -> frozenset[int]:
    # Every letter of DejaVu Sans can be shown whatever the text's own font lacks.
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(font_folder() / "DejaVuSans.ttf")).get_charmap())
