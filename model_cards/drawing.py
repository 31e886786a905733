"""Write a plain drawing as SVG: lines, shapes, and text as outlines of letters, so that it looks the same everywhere.

Assumes nothing of its texts: each letter becomes an outline, so that no text is ever read as markup or as a formula.
What is told of a mark under the pointer is the one text that stays text, and is escaped.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final
from xml.sax.saxutils import escape

from model_cards.words import visible

FONT: Final = "DejaVuSans"
EM: Final = 2048
"""Units of the font per em: outlines are written in these, and are whole numbers."""

MISSING: Final = "\ufffd"
"""What stands where the font lacks a letter."""

Point = tuple[float, float]

# The font is one object with a current letter, so that two threads must not ask it at once.
_LOCK: Final = threading.Lock()


@cache
def _font() -> Any:
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    font = FT2Font(f"{get_data_path()}/fonts/ttf/{FONT}.ttf")
    # At as many pixels as the em has units, outlines come in the font's own units.
    font.set_size(EM, 72)
    return font


@cache
def letters() -> frozenset[int]:
    """Give the code points that can be drawn."""
    with _LOCK:
        return frozenset(_font().get_charmap())


@cache
def _glyph(letter: str) -> tuple[int, str, float]:
    """Give the number, outline and advance of a letter, in units of the font."""
    from matplotlib.ft2font import LoadFlags

    if ord(letter) not in letters():
        letter = MISSING
    with _LOCK:
        font = _font()
        loaded = font.load_char(ord(letter), flags=LoadFlags.NO_HINTING)
        vertices, codes = font.get_path()
        number, advance = int(font.get_char_index(ord(letter))), loaded.linearHoriAdvance / 65536
    return number, _outline(vertices.tolist(), codes.tolist()), float(advance)


def _outline(vertices: Sequence[Sequence[float]], codes: Sequence[int]) -> str:
    commands = {1: ("M", 1), 2: ("L", 1), 3: ("Q", 2), 4: ("C", 3)}
    parts, at = [], 0
    while at < len(codes):
        if codes[at] not in commands:
            parts.append("Z")
            at += 1
            continue
        command, points = commands[codes[at]]
        parts.append(command + " ".join(f"{round(x)} {round(y)}" for x, y in vertices[at : at + points]))
        at += points
    return "".join(parts)


@cache
def width_of(text: str, size: float) -> float:
    """Give the width of a text, in points.

    Args:
        size: of the letters, in points.
    """
    return sum(_glyph(letter)[2] for letter in text) * size / EM


class Drawing:
    """A drawing in points, from the upper left corner.

    Args:
        prefix: begins every id, so that several drawings can stand in one page.
        width, height: in points.
    """

    __slots__ = ("_height", "_letters", "_parts", "_prefix", "_width")

    def __init__(self, *, prefix: str, width: float, height: float) -> None:
        self._prefix, self._width, self._height = prefix, width, height
        self._parts: list[str] = []
        self._letters: dict[int, str] = {}

    def text(
        self, at: Point, text: str, *, size: float, colour: str, anchor: float = 0.0, strong: bool = False
    ) -> None:
        """Write a text.

        Args:
            at: where its base line begins, or ends; see `anchor`.
            text: one line; letters that the font lacks become its sign for a missing letter.
            size: in points.
            anchor: 0 begins at the point, 0.5 is centred on it, 1 ends there.
            strong: drawn a little heavier.
        """
        scale = size / EM
        x, y = at
        placed, along = [], 0.0
        for letter in text:
            number, outline, advance = _glyph(letter)
            if outline:
                self._letters[number] = outline
                placed.append(f'<use xlink:href="#{self._prefix}{FONT}-{number}" x="{_short(along)}"/>')
            along += advance
        heavier = f' stroke="{colour}" stroke-width="{_short(EM * 0.035)}"' if strong else ""
        self._parts.append(
            f'<g fill="{colour}"{heavier} transform="translate({_short(x - anchor * along * scale)} {_short(y)}) '
            f'scale({scale:.6f} -{scale:.6f})">{"".join(placed)}</g>'
        )

    def line(self, start: Point, end: Point, *, colour: str, thick: float, dashes: str = "") -> None:
        """Draw a straight line; dashes as SVG has them."""
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._parts.append(
            f'<path d="M{_point(start)}L{_point(end)}" fill="none" stroke="{colour}" stroke-width="{_short(thick)}"'
            f"{dashed}/>"
        )

    def shape(self, corners: Sequence[Point], *, fill: str, edge: str = "", thick: float = 0.0) -> None:
        """Draw a closed shape."""
        edged = f' stroke="{edge}" stroke-width="{_short(thick)}"' if edge else ""
        self._parts.append(f'<path d="M{"L".join(_point(c) for c in corners)}Z" fill="{fill}"{edged}/>')

    def dot(self, at: Point, radius: float, *, fill: str, edge: str, thick: float) -> None:
        """Draw a dot."""
        x, y = at
        r = _short(radius)
        arcs = f"a{r} {r} 0 1 0 {_short(2 * radius)} 0a{r} {r} 0 1 0 {_short(-2 * radius)} 0Z"
        self._parts.append(
            f'<path d="M{_point((x - radius, y))}{arcs}" fill="{fill}" stroke="{edge}" stroke-width="{_short(thick)}"/>'
        )

    @contextmanager
    def told(self, text: str, corner: Point, opposite: Point) -> Iterator[None]:
        """Tell a text where the pointer rests on what is drawn meanwhile, or within an area around it.

        Args:
            corner, opposite: of the area.
        """
        (left, top), (right, bottom) = corner, opposite
        area = f"M{_point(corner)}L{_point((right, top))}L{_point(opposite)}L{_point((left, bottom))}Z"
        self._parts.append(
            f'<g><title>{escape(visible(text))}</title><path d="{area}" fill="none" pointer-events="all"/>'
        )
        yield
        self._parts.append("</g>")

    def svg(self) -> str:
        """Give the drawing as an `<svg>` element, on white."""
        defined = "".join(
            f'<path id="{self._prefix}{FONT}-{number}" d="{outline}"/>'
            for number, outline in sorted(self._letters.items())
        )
        size = f"{_short(self._width)} {_short(self._height)}"
        return (
            f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {size}" xmlns="http://www.w3.org/2000/svg"'
            f' version="1.1"><defs>{defined}</defs><rect width="100%" height="100%" fill="#ffffff"/>'
            f"{''.join(self._parts)}</svg>"
        )


def _short(number: float) -> str:
    """Write a number to a hundredth, without zeros that say nothing."""
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _point(at: Point) -> str:
    return f"{_short(at[0])} {_short(at[1])}"
