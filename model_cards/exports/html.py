"""The card as one self-contained HTML page: accessible, printable, without a script and without anything from outside.

Values come from the provider and may be hostile: the template escapes everything but the drawings, which are ours.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from model_cards.build import build
from model_cards.card import Block, Card
from model_cards.dossier import Assessment

FORMAT = "html"
SUFFIX = ".html"
STANDARD = "HTML (living standard), WCAG 2.2 AA as the aim; one file, no script"

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What a browser may load for this page: nothing. Styles are inline, in the page and in the drawings."""

MARKS = {"beyond": "●", "undecided": "◐", "within": "○", "missing": "◌", "error": "▲", "quiet": "–"}
"""A sign beside each outcome's words, so that no colour is needed to tell them apart."""


def render(assessment: Assessment, lang: str, *, card: Card | None = None) -> bytes:
    """Make the card as one HTML page.

    Args:
        lang: of `model_cards.words.languages()`.
        card: the tree, where it has been built already.

    Returns:
        UTF-8 HTML; the same assessment gives the same bytes.
    """
    return page(card or build(assessment, lang))


def page(card: Card) -> bytes:
    """Write any tree of sections as one HTML page; the same tree gives the same bytes."""
    made = (
        _environment()
        .get_template("card.html.j2")
        .render(
            card=card,
            css=Markup(_template("card.css")),  # noqa: S704  # our own file
            policy=POLICY,
            sibling=lambda other: f"model_card.{other}{SUFFIX}",
        )
    )
    return made.encode()


def inline(svg: str) -> Markup:
    """Make a drawing fit to stand inside a page: without a prolog. Its ids carry its figure's name.

    Args:
        svg: our own drawing.
    """
    start = svg.find("<svg")
    if start < 0:
        return Markup("")
    return Markup(svg[start:])  # noqa: S704  # a drawing of ours; its own text was escaped when it was drawn


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["kind"] = kind
    made.filters["inline"] = inline
    made.globals["marks"] = MARKS
    return made


def kind(block: Block) -> str:
    """Name the kind of a block, as templates know it."""
    return type(block).__name__.lower()


def _template(name: str) -> str:
    return resources.files("model_cards").joinpath("templates", name).read_text(encoding="utf-8")
