"""The HTML card: one file, accessible, nothing from outside, no script."""

from __future__ import annotations

import re

import pytest

from model_cards.exports import html
from tests.make import pages
from tests.make.assessments import assessment

ROUTES = ("model", "predictions", "counts", "documents")


@pytest.fixture(scope="module", params=["en", "nl"])
def lang(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def content(lang: str) -> bytes:
    return html.render(assessment(), lang)


@pytest.fixture(scope="module")
def page(content: bytes) -> pages.Page:
    return pages.read(content)


def test_every_tag_is_closed_where_it_belongs(page: pages.Page) -> None:
    assert page.problems == []


@pytest.mark.parametrize("route", ROUTES)
def test_the_page_of_every_route_fits_together(route: str) -> None:
    read = pages.read(html.render(assessment(route=route), "en"))
    assert read.problems == []
    assert len(set(read.ids)) == len(read.ids)


def test_the_language_is_stated(page: pages.Page, lang: str) -> None:
    assert next(a for tag, a in page.tags if tag == "html")["lang"] == lang


def test_headings_come_in_order_and_one_is_the_title(page: pages.Page) -> None:
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))


def test_ids_are_unique_and_every_link_inside_the_page_leads_somewhere(page: pages.Page) -> None:
    assert len(set(page.ids)) == len(page.ids)
    inside = {link.removeprefix("#") for link in page.links if link.startswith("#")}
    assert inside
    assert inside <= set(page.ids)


def test_references_inside_drawings_lead_somewhere(page: pages.Page, content: bytes) -> None:
    named = set(re.findall(rb'(?:href="#|url\(#)([^")]+)', content))
    named |= {n for group in re.findall(rb'aria-(?:labelledby|describedby)="([^"]+)"', content) for n in group.split()}
    assert {n.decode() for n in named} <= set(page.ids)


def test_tables_have_captions_and_headings_with_scope(page: pages.Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") > 5
    assert {a.get("scope") for tag, a in page.tags if tag == "th"} == {"col", "row"}


def test_every_drawing_has_a_text_alternative_and_its_figures_as_a_table(page: pages.Page) -> None:
    drawings = [a for tag, a in page.tags if tag == "svg"]
    assert drawings
    assert all(a.get("role") == "img" and a.get("aria-labelledby") for a in drawings)
    assert len([tag for tag, a in page.tags if tag == "details" and a.get("class") == "figures"]) == len(drawings)


def test_details_that_few_readers_need_are_folded_under_their_heading(page: pages.Page) -> None:
    tags = [(tag, a.get("class")) for tag, a in page.tags]
    assert tags.count(("details", "more")) >= 3
    assert all(tags[i + 1][0] == "summary" for i, tag in enumerate(tags) if tag == ("details", "more"))


def test_the_summary_does_not_repeat_the_facts_of_the_header(content: bytes) -> None:
    shown = content.decode().split("<main", 1)[1].split('id="findings"', 1)[0]
    assert "<dt>Provider</dt>" not in shown
    assert "<dt>Aanbieder</dt>" not in shown


def test_there_is_a_way_past_the_navigation(page: pages.Page) -> None:
    assert page.links[0] == "#content"
    assert ("main", "content") in [(tag, a.get("id")) for tag, a in page.tags]


def test_nothing_is_loaded_and_nothing_runs(page: pages.Page, content: bytes) -> None:
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "object", "embed", "form", "img", "base", "foreignobject"}
    assert not [name for _, given in page.tags for name in given if name.startswith("on")]
    loaded = [
        value
        for tag, given in page.tags
        for name, value in given.items()
        if name in ("src", "href", "xlink:href") and value and re.match(r"[a-z]+:|//", value) and tag != "a"
    ]
    assert loaded == []
    assert b"@import" not in content
    assert not re.search(rb"url\((?!#)", content)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none';")
    assert "script-src" not in str(policy)


def test_the_other_language_is_one_link_away() -> None:
    from model_cards.build import build

    given = assessment()
    made = pages.read(html.render(given, "en", card=build(given, "en", siblings=("en", "nl"))))
    assert "model_card.nl.html" in made.links
    assert "model_card.en.html" not in made.links


def test_light_dark_and_paper_have_their_styles(content: bytes) -> None:
    for needed in (b"prefers-color-scheme: dark", b"@media print", b":focus-visible"):
        assert needed in content
