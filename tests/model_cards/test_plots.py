"""Plots: the same bytes every time, readable by all, and never broken by the names they show."""

from __future__ import annotations

import re
import threading
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from checks.finding import Figure
from model_cards.drawing import Drawing, width_of
from model_cards.plots import KINDS, WIDTH, draw
from model_cards.words import Words, languages

HOSTILE = (
    "<script>alert(1)</script>",
    r"$\frac{x}{y}$",
    "$x",
    "a\u202eb\x00c",
    "日本語",
    "x" * 5_000,
    "",
    'quote" onload="alert(1)',
    "]]>--><b>&amp;",
    "_hidden",
    "line\nbreak\ttab",
    "\ud800",
)

SVG = "{http://www.w3.org/2000/svg}"


def figure(kind: str, names: tuple[Any, ...] = ("age", "job", "pay"), **params: Any) -> Figure:
    """A figure of each kind with these names."""
    n = len(names)
    spread = [0.5 / (i + 1) * (-1) ** i for i in range(n)]
    columns: dict[str, tuple[Any, ...]]
    more: dict[str, Any] = {"unit": "share"}
    match kind:
        case "group_rates":
            columns = {
                "group": names,
                "rows": tuple(range(10, 10 + n)),
                "value": tuple(abs(s) for s in spread),
                "low": tuple(abs(s) * 0.8 for s in spread),
                "high": tuple(abs(s) * 1.1 for s in spread),
                "too_small": tuple(i == 1 for i in range(n)),
            }
            more |= {"attribute": names[0], "measure": "selection_rate"}
        case "bars":
            columns = {"group": names, "value": tuple(abs(s) for s in spread), "rows": tuple(range(n))}
            more |= {"attribute": names[0], "measure": "group_share", "label": "group"}
        case "effect":
            columns = {
                "at": names,
                "value": tuple(spread),
                "low": tuple(s - 0.01 for s in spread),
                "high": tuple(s + 0.01 for s in spread),
            }
            more |= {"attribute": names[0], "measure": "accumulated"}
        case "importance":
            columns = {
                "feature": names,
                "mean_abs": tuple(abs(s) for s in spread),
                "low": tuple(abs(s) * 0.8 for s in spread),
                "high": tuple(abs(s) * 1.1 for s in spread),
            }
            more |= {"kind": "probability", "of": names[0], "explained_rows": 9, "background_rows": 9}
        case "beeswarm":
            rng = np.random.default_rng(0)
            columns = {
                "feature": tuple(name for name in names for _ in range(9)),
                "contribution": tuple(rng.normal(size=9 * n).tolist()),
                "rank": tuple(None if i % 2 else i / (9 * n) for i in range(9 * n)),
            }
            more |= {"kind": "probability", "of": names[0], "explained_rows": 9, "background_rows": 9}
        case "calibration":
            columns = {
                "group": names,
                "score": tuple(abs(s) for s in spread),
                "value": tuple(abs(s) * 0.9 for s in spread),
                "low": tuple(abs(s) * 0.8 for s in spread),
                "high": tuple(abs(s) * 1.1 for s in spread),
                "rows": tuple(range(10, 10 + n)),
            }
            more |= {"attribute": names[0]}
        case "thresholds":
            columns = {"threshold": tuple(i / (n + 1) for i in range(n)), "value": tuple(abs(s) for s in spread)}
            more |= {"attribute": names[0], "now": 0.5}
        case _:
            columns = {"feature": names, "value": names, "contribution": tuple(spread), "error": (0.0,) * n}
            more |= {"kind": "probability", "of": names[0], "base_value": 0.25, "output": 0.25 + sum(spread)}
    code = {
        "group_rates": "fairness.selection_rate",
        "bars": "data_governance.representation",
        "effect": "explainability.effects",
    }
    check = code.get(kind, "explainability.feature_importance")
    return Figure(name=f"{check}.{kind}", kind=kind, columns=columns, params={**more, **params})


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def english() -> Words:
    return Words("en")


def test_it_is_an_image_with_a_title_and_a_text_alternative(kind: str, english: Words) -> None:
    root = ElementTree.fromstring(draw(figure(kind), english))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    labelled = (root.get("aria-labelledby") or "").split()
    said = {e.get("id"): e.text for e in root if e.tag in (f"{SVG}title", f"{SVG}desc")}
    assert set(labelled) == set(said)
    assert all(text and "[" not in text for text in said.values())
    assert root.get("viewBox")
    assert root.get("width") == "100%"


def test_the_callers_own_words_go_first(kind: str, english: Words) -> None:
    svg = draw(figure(kind), english, title="My <title>", description="What it shows & says")
    assert "<title" in svg
    assert ">My &lt;title&gt;</title>" in svg
    assert ">What it shows &amp; says</desc>" in svg


@pytest.mark.parametrize("kind", ["group_rates", "bars", "effect", "importance"], indirect=True)
def test_each_mark_tells_its_figures_under_the_pointer(kind: str, english: Words) -> None:
    root = ElementTree.fromstring(draw(figure(kind, names=("age", HOSTILE[0], "pay")), english))
    told = [e.findtext(f"{SVG}title") or "" for e in root.iter(f"{SVG}g") if e.find(f"{SVG}title") is not None]
    assert len(told) == 3
    assert told[0].startswith("age: 50")
    assert told[1].startswith("<script>alert(1)"), "as text, read back from escaped markup"
    if kind == "group_rates":
        assert "10 rows" in told[0]


def test_each_step_of_a_decision_tells_its_figure_under_the_pointer(english: Words) -> None:
    root = ElementTree.fromstring(draw(figure("decision", names=("age", HOSTILE[0], "pay")), english))
    told = [e.findtext(f"{SVG}title") or "" for e in root.iter(f"{SVG}g") if e.find(f"{SVG}title") is not None]
    assert len(told) == 3
    assert told[0].startswith("age = age: ")
    assert told[1].startswith("<script>"), "as text, read back from escaped markup"
    assert all(re.search(r"[+−]\d", text) for text in told)


def test_the_same_figure_gives_the_same_bytes_whatever_was_drawn_before(kind: str, english: Words) -> None:
    first = draw(figure(kind), english)
    np.random.seed(5)
    draw(figure("beeswarm"), english)
    np.random.random(17)
    assert draw(figure(kind), english) == first


@pytest.mark.parametrize("lang", languages())
def test_every_word_in_it_is_there_in_each_language(kind: str, lang: str) -> None:
    svg = draw(figure(kind), Words(lang))
    assert f'lang="{lang}"' in svg
    assert not re.findall(r"\[(?:plots|outcomes|checks)\.[^\]]*\]", svg)


def test_a_language_changes_the_drawing(kind: str) -> None:
    assert draw(figure(kind), Words("en")) != draw(figure(kind), Words("nl"))


def test_hostile_names_are_drawn_and_break_nothing(kind: str, english: Words) -> None:
    svg = draw(figure(kind, HOSTILE), english)
    root = ElementTree.fromstring(svg)
    allowed = {"svg", "title", "desc", "g", "path", "defs", "use", "clipPath", "rect", "image"}
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= allowed
    for element in root.iter():
        for attribute in element.attrib:
            assert not attribute.lower().startswith("on")
            assert attribute != "style"
    assert "\x00" not in svg
    assert "\u202e" not in svg
    assert len(svg) < 600_000


@pytest.mark.parametrize("name", HOSTILE)
def test_each_hostile_name_leaves_a_mark_of_its_own(name: str, english: Words) -> None:
    plain = draw(figure("group_rates", ("a", "b", "c")), english, title="t", description="d")
    other = draw(figure("group_rates", (name, "b", "c")), english, title="t", description="d")
    assert plain != other
    ElementTree.fromstring(other)


def test_hidden_characters_are_written_out_in_the_text_alternative(english: Words) -> None:
    svg = draw(figure("importance", ("a\u202eb", "c", "d")), english)
    assert "a[U+202E]b" in svg


def test_a_dollar_sign_is_a_dollar_sign_and_no_formula(english: Words) -> None:
    as_formula = draw(figure("importance", ("$x$", "b", "c")), english, title="t", description="d")
    as_letter = draw(figure("importance", ("x", "b", "c")), english, title="t", description="d")
    letters = [set(re.findall(r'id="[^"]*-(DejaVu[^"]+)"', svg)) for svg in (as_formula, as_letter)]
    # The dollar is one letter more; a formula would have swallowed it and set the x in italics.
    assert len(letters[0] - letters[1]) == 1
    assert not [letter for letter in letters[0] if "Oblique" in letter]


def test_nothing_points_outside_and_every_reference_is_met(kind: str, english: Words) -> None:
    svg = draw(figure(kind), english)
    assert not re.search(r'(?:href|src)="(?!#)(?!data:image/png)', svg)
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(set(ids)) == len(ids)
    used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
    assert used <= set(ids)
    assert "<style" not in svg
    assert "http" not in svg.replace("http://www.w3.org", "")


def test_two_plots_on_one_page_share_no_ids(english: Words) -> None:
    first, second = draw(figure("importance"), english), draw(figure("decision"), english)
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_no_text_is_cut_off_at_an_edge(kind: str, lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[float, float, str]] = []
    usual = Drawing.text

    def note(self: Drawing, at: tuple[float, float], text: str, **how: Any) -> None:
        long = width_of(text, how["size"])
        left = at[0] - how.get("anchor", 0.0) * long
        written.append((left, left + long, text))
        usual(self, at, text, **how)

    monkeypatch.setattr(Drawing, "text", note)
    draw(figure(kind), Words(lang))
    assert [text for left, right, text in written if left < 0 or right > WIDTH] == []


def test_small_groups_are_hollow_and_a_limit_is_drawn(english: Words) -> None:
    rates = figure("group_rates")
    all_large = rates.model_copy(update={"columns": {**rates.columns, "too_small": (False, False, False)}})
    assert draw(rates, english) != draw(all_large, english)
    limited = draw(figure("group_rates", at_least=0.2), english)
    assert "#c64f00" in limited
    assert "#c64f00" not in draw(rates, english)


def test_an_unknown_value_is_said_and_not_drawn_as_zero(english: Words) -> None:
    rates = figure("group_rates")
    columns = {**rates.columns, "value": (None, 0.2, 0.3), "low": (None, 0.1, 0.2), "high": (None, 0.3, 0.4)}
    unknown = draw(rates.model_copy(update={"columns": columns}), english)
    zero = {**columns, "value": (0.0, 0.2, 0.3), "low": (0.0, 0.1, 0.2), "high": (0.0, 0.3, 0.4)}
    assert unknown != draw(rates.model_copy(update={"columns": zero}), english)
    assert "age no value" in unknown


def test_many_rows_are_cut_and_the_cut_is_said(english: Words) -> None:
    many = tuple(f"group {i}" for i in range(90))
    svg = draw(figure("group_rates", many), english)
    shorter = draw(figure("group_rates", many[:40]), english)
    assert len(svg) < 1.2 * len(shorter)
    assert "and 82 more" in svg


@pytest.mark.parametrize("value", [0.0, 1e-9, 1e6])
def test_flat_tiny_and_huge_figures_are_drawn(kind: str, value: float, english: Words) -> None:
    base = figure(kind)
    numbers = ("value", "low", "high", "mean_abs", "contribution")
    columns = {
        n: tuple(value for _ in c) if n in numbers and not isinstance(c[0], str) else c for n, c in base.columns.items()
    }
    ElementTree.fromstring(draw(base.model_copy(update={"columns": columns}), english))


def test_a_kind_that_is_not_known_and_a_figure_without_rows_give_no_drawing(english: Words) -> None:
    assert draw(figure("importance").model_copy(update={"kind": "hologram"}), english) == ""
    assert draw(Figure(name="a.b.c", kind="bars", columns={"group": (), "value": ()}), english) == ""


def test_drawing_is_not_felt_anywhere_else(kind: str, english: Words) -> None:
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.rcParams["font.size"] = 23.0
    before = dict(mpl.rcParams)
    np.random.seed(3)
    expected = np.random.random(3)
    np.random.seed(3)
    try:
        draw(figure(kind), english)
        assert dict(mpl.rcParams) == before
        np.testing.assert_array_equal(np.random.random(3), expected)
        assert plt.get_fignums() == []
    finally:
        mpl.rcdefaults()


def test_threads_that_draw_at_once_get_what_each_would_get_alone(english: Words) -> None:
    alone = {k: draw(figure(k), english) for k in KINDS}
    got: dict[str, str] = {}

    def work(kind: str) -> None:
        got[kind] = draw(figure(kind), Words("en"))

    threads = [threading.Thread(target=work, args=(k,)) for k in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == alone
