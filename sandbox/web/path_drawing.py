"""Lay out the way from the answers to the class as a diagram: boxes below each other, with lines between.

Only numbers and text come out of here: the template writes the SVG and escapes every text.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Final

from checks.ai_act.risk import Risk
from model_cards.words import Words, visible

WIDTH: Final = 400
LINE: Final = 20
INSIDE: Final = 14
BETWEEN: Final = 26
LETTERS: Final = {"plain": 46, "strong": 42, "quiet": 52}
"""Letters of a line by how it is set: what fits the width in the widest of the fonts that a page may come in."""

MOST_LINES: Final = 6
UNSURE: Final = ("background", "draft", "contested", "unverified", "secondary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of text: where its base line begins, and how it is set (`plain`, `strong` or `quiet`)."""

    y: int
    text: str
    style: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box.

    Args:
        kind: `step`, `unsure` (an answer that rests on less than the text of the law), `route`, `later` (a route that
            does not give the class yet) or `class`.
        y, height: in units of the drawing.
        lines: its text.
    """

    kind: str
    y: int
    height: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """A whole diagram, in units of which its width has `WIDTH`."""

    boxes: tuple[Box, ...]
    height: int
    width: int = WIDTH


def diagram(risk: Risk, words: Words, class_name: str) -> Diagram:
    """Lay the path of a classification out.

    Args:
        class_name: the class in words, for the last box.
    """
    given: list[tuple[str, list[tuple[str, str]]]] = [
        (
            "unsure" if step.confidence in UNSURE else "step",
            [
                (words.question(step.question), "plain"),
                (words.answer(step.question, step.answer), "strong"),
                (step.provision, "quiet"),
            ],
        )
        for step in risk.path
    ]
    for route in risk.routes:
        given.append(
            (
                "route" if route.counts else "later",
                [(words.class_name(route.risk_class), "strong"), (route.provision, "quiet")],
            )
        )
    given.append(("class", [(class_name, "strong")]))
    boxes: list[Box] = []
    y = 1
    for kind, texts in given:
        lines: list[Line] = []
        at = y + INSIDE + LINE - 6
        for text, style in texts:
            for piece in textwrap.wrap(visible(text), LETTERS[style], max_lines=MOST_LINES, placeholder=" …"):
                lines.append(Line(y=at, text=piece, style=style))
                at += LINE
        height = 2 * INSIDE + LINE * len(lines)
        boxes.append(Box(kind=kind, y=y, height=height, lines=tuple(lines)))
        y += height + BETWEEN
    return Diagram(boxes=tuple(boxes), height=y - BETWEEN + 1)
