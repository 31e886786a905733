"""The card as the README of a Hugging Face model repository: front matter with a model index, then the card itself."""

from __future__ import annotations

from dataclasses import replace

from model_cards.build import build
from model_cards.card import Card, Picture, Section
from model_cards.dossier import Assessment
from model_cards.exports import markdown
from model_cards.front_matter import front_matter

FORMAT = "hugging_face"
SUFFIX = ".md"
STANDARD = "Hugging Face model card metadata, model-index (huggingface_hub 1.x and later)"


def render(assessment: Assessment, lang: str, *, card: Card | None = None) -> bytes:
    """Make the README of a model repository.

    Args:
        lang: of `model_cards.words.languages()`.
        card: the tree, where it has been built already.

    Returns:
        UTF-8 text; the same assessment gives the same bytes. It needs no file beside it: plots are given as tables.
    """

    def without_drawings(section: Section) -> Section:
        blocks = tuple(block.figures if isinstance(block, Picture) else block for block in section.blocks)
        return replace(section, blocks=blocks, sections=tuple(without_drawings(s) for s in section.sections))

    card = card or build(assessment, lang)
    plain = replace(card, sections=tuple(without_drawings(section) for section in card.sections))
    return f"{front_matter(assessment, lang)}\n{markdown.body(plain)}".encode()
