"""Drawings of lines, shapes and letters: outlines that a reader of SVG takes, and texts that are only ever outlines."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_cards.drawing import EM, Drawing, letters, width_of

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str) -> str:
    made = Drawing(prefix="p-", width=100, height=20)
    made.text((10, 10), text, size=10, colour="#000000")
    return made.svg()


@given(st.text(max_size=30))
def test_no_text_is_ever_read_as_markup(text: str) -> None:
    root = ElementTree.fromstring(drawn(text))
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= {"svg", "defs", "path", "rect", "g", "use"}


def test_each_letter_is_outlined_once_however_often_it_is_used() -> None:
    svg = drawn("abab")
    assert svg.count("<use") == 4
    assert len(re.findall(r'<path id="p-DejaVuSans-', svg)) == 2


def test_a_text_is_as_wide_as_its_letters_and_grows_with_their_size() -> None:
    assert width_of("", 10) == 0
    assert width_of("ab", 10) == pytest.approx(width_of("a", 10) + width_of("b", 10))
    assert width_of("a", 20) == pytest.approx(2 * width_of("a", 10))
    # DejaVu Sans gives a digit 1303 of 2048 units.
    assert width_of("0", EM) == pytest.approx(1303, abs=1)


def test_a_text_can_end_where_another_begins() -> None:
    made = Drawing(prefix="p-", width=100, height=20)
    made.text((50, 10), "ab", size=10, colour="#000000", anchor=1.0)
    start = float(re.search(r"translate\(([\d.]+) ", made.svg())[1])  # type: ignore[index]
    assert start == pytest.approx(50 - width_of("ab", 10), abs=0.01)


def test_letters_that_the_font_has_are_known() -> None:
    assert {ord(c) for c in "aé×≥–"} <= letters()
    assert ord("日") not in letters()
