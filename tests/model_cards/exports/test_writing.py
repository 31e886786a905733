"""What is written can be read back, is the same every time, and acts in no reader."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from model_cards.words import visible
from model_cards.writing import as_csv, as_json, as_yaml, csv_cell, shown, stated, xml_text, zipped

TEXT = st.text(max_size=60)
TREE = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(TREE)
def test_json_reads_back_as_what_is_shown_and_holds_no_markup(value: object) -> None:
    raw = as_json(value)
    assert json.loads(raw) == shown(value)
    assert not set(b"<>&") & set(raw)


@given(TREE)
def test_yaml_reads_back_as_what_is_shown_and_holds_no_markup(value: object) -> None:
    raw = as_yaml(value, ("a heading",))
    assert yaml.safe_load(raw) == shown(value)
    assert b"<script" not in raw
    assert b"<" not in raw


@given(TEXT)
def test_any_text_fits_xml(text: str) -> None:
    read = ElementTree.fromstring(f'<a b="{xml_text(text)}">{xml_text(text)}</a>')
    assert read.attrib["b"].split() == visible(text).split()
    assert (read.text or "").split() == visible(text).split()


@given(TEXT)
def test_no_text_is_a_formula_for_a_spreadsheet(text: str) -> None:
    cell = list(csv.reader(io.StringIO(as_csv(("a",), [(text,)]).decode())))[-1]
    written = cell[0] if cell else ""
    try:
        float(written)
    except ValueError:
        assert written.lstrip(" \u00a0")[:1] not in ("=", "+", "-", "@", "＝", "＋", "－", "＠")


@pytest.mark.parametrize(
    "text", ["=1+1", "+A1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1", "-cmd|' /C calc'!A0"]
)
def test_what_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert csv_cell(text).startswith("'")


@pytest.mark.parametrize(("value", "written"), [(-0.5, "-0.5"), (1e-9, "1e-09"), (3, "3"), ("-5", "-5"), (None, "")])
def test_numbers_stay_numbers(value: object, written: str) -> None:
    assert csv_cell(value) == written


def test_only_what_says_nothing_is_left_out() -> None:
    assert stated({"a": None, "b": [], "c": "", "d": 0, "e": False, "f": {"g": None}}) == {"d": 0, "e": False}


def test_a_zip_depends_on_its_files_alone() -> None:
    assert zipped({"b": b"2", "a": b"1"}) == zipped({"a": b"1", "b": b"2"})
    with zipfile.ZipFile(io.BytesIO(zipped({"b": b"2", "a": b"1"}))) as archive:
        assert archive.namelist() == ["a", "b"]
        assert {i.date_time for i in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
