"""The register entry is what the API takes: lengths, lists, links and markup, and the right category."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_cards.dossier import Assessment
from model_cards.exports import algorithm_register as register
from model_cards.exports import algorithm_register_preview as preview
from tests.make import pages
from tests.make.assessments import assessment, undetermined
from tests.make.drafts import HOSTILE, of_class, of_public_body

COMPLETE = {
    "description_short": "Legt brieven met een termijn bovenop.",
    "organization": "Gemeente Voorbeeld",
    "category": ["sociale zekerheid", "Werk"],
    "status": "in gebruik",
    "begin_date": "2026-08-01",
    "contact": "algoritmes@voorbeeld.nl",
    "considerations": "<p>Afgewogen:</p><ul><li>snelheid</li><li>zorgvuldigheid</li></ul>",
    "human_intervention": "Een medewerker beslist.",
    "lawful_basis_grouping": [
        {"title": "Algemene wet bestuursrecht", "link": "https://wetten.overheid.nl/BWBR0005537"}
    ],
    "impacttoetsen_grouping": ["IAMA", {"title": "DPIA", "link": "https://voorbeeld.nl/dpia"}],
    "website": "https://voorbeeld.nl/algoritmes",
}


def made(given_: Assessment, lang: str = "nl") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(register.render(given_, lang))
    return document


def field(document: dict[str, Any], key: str) -> dict[str, Any]:
    return next(f for f in document["fields"] if f["key"] == key)


def held(entry: dict[str, Any]) -> None:
    """Hold an entry to what the API takes."""
    known = {f.key: f for f in register.FIELDS}
    for key, value in entry.items():
        spec = known[key]
        if spec.kind in ("text", "html", "url", "contact"):
            assert isinstance(value, str)
            assert len(value) <= (spec.most or len(value))
        elif spec.kind == "choice":
            assert value in spec.choices
        elif spec.kind == "choices":
            assert set(value) <= set(spec.choices)
        elif spec.kind == "month":
            assert len(value) == 7
        else:
            assert all(set(link) <= {"title", "link"} and link["title"] for link in value)
            assert not spec.link_required or all("link" in link for link in value)


@pytest.mark.parametrize(
    ("risk_class", "effect", "category"),
    [
        ("high_risk_annex_iii", "none", "Hoog-risico AI-systeem"),
        ("high_risk_annex_i_a", None, "Hoog-risico AI-systeem"),
        ("annex_iii_derogated", "contact_or_sorting", "Impactvolle algoritmes"),
        ("not_ai_system", "legal_effect", "Impactvolle algoritmes"),
        ("transparency", "none", "Overige algoritmes"),
        ("minimal", "none", "Overige algoritmes"),
        ("minimal", None, "Impactvolle algoritmes"),
        ("minimal", "unknown", "Impactvolle algoritmes"),
        ("prohibited", "none", None),
    ],
)
def test_the_category_follows_from_class_and_effect(risk_class: str, effect: str | None, category: str | None) -> None:
    answers = {"citizen_effect": effect} if effect else {}
    document = made(of_public_body(risk=of_class(risk_class), answers=answers))
    assert document["entry"].get("publication_category") == category
    assert field(document, "publication_category")["origin"] == ("answered" if category else "empty")


def test_an_open_class_leaves_the_category_open_and_the_entry_incomplete() -> None:
    document = made(of_public_body(risk=undetermined(), publication=COMPLETE))
    assert "publication_category" not in document["entry"]
    assert document["complete"] is False


def test_a_complete_publication_file_gives_a_complete_entry() -> None:
    document = made(of_public_body(publication=COMPLETE))
    assert document["complete"] is True
    held(document["entry"])
    assert document["entry"]["category"] == ["Sociale zekerheid", "Werk"]
    assert document["entry"]["status"] == "In gebruik"
    assert document["entry"]["begin_date"] == "2026-08"
    assert document["entry"]["proportionality"] == COMPLETE["considerations"]
    assert document["entry"]["impacttoetsen_grouping"][0] == {"title": "IAMA"}
    assert (document["entry"]["lang"], document["entry"]["standard_version"]) == ("nld", "1.0")


@pytest.mark.parametrize("route", ["model", "predictions", "counts", "documents"])
@pytest.mark.parametrize("lang", ["en", "nl"])
def test_the_entry_is_the_same_in_either_language_and_fits_the_api(route: str, lang: str) -> None:
    document = made(assessment(route=route), lang)
    held(document["entry"])
    assert document["entry"] == made(assessment(route=route), "nl")["entry"]
    assert {f["origin"] for f in document["fields"]} <= {"measured", "answered", "standard", "empty"}


def test_a_field_that_the_register_requires_and_nobody_gave_is_named() -> None:
    document = made(of_public_body())
    assert field(document, "status")["origin"] == "empty"
    assert field(document, "status")["problems"] == ["Zonder dit weigert het register een vermelding."]


def test_too_long_a_text_is_cut_at_a_word_and_said() -> None:
    document = made(of_public_body(publication={"goal": "woord & " * 500, "name": "lange naam " * 20}))
    held(document["entry"])
    assert document["entry"]["goal"].endswith("…")
    assert "Te lang" in field(document, "goal")["problems"][0]
    assert "Te lang" in field(document, "name")["problems"][0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status", "Klaar"),
        ("category", "Sport"),
        ("begin_date", "augustus"),
        ("begin_date", "2026-13"),
        ("website", "javascript:alert(1)"),
        ("website", 'https://x.nl/"onmouseover=alert(1)'),
        ("contact_email", "geen adres"),
        ("lawful_basis_grouping", [{"title": "Zonder link"}]),
    ],
)
def test_what_the_api_would_refuse_is_left_out_and_named(key: str, value: Any) -> None:
    document = made(of_public_body(publication={key: value}))
    assert key not in document["entry"] or document["entry"][key] == "ai@example.org"
    assert field(document, key)["problems"]


def test_only_the_tags_of_the_register_are_kept_and_only_where_they_fit_together() -> None:
    assert register.as_html("<P>a</p><br/><b>x</b>") == "<p>a</p><br>&lt;b&gt;x&lt;/b&gt;"
    assert register.as_html('<p onclick="x">a</p>') == '&lt;p onclick="x"&gt;a&lt;/p&gt;'
    assert register.as_html("<ul><li>a</ul></li>") == "&lt;ul&gt;&lt;li&gt;a&lt;/ul&gt;&lt;/li&gt;"
    assert register.as_html("a < b\nc") == "a &lt; b<br>c"


@given(st.text(alphabet="<>/pulibrdvo \n=\"'&x", max_size=80))
def test_no_text_makes_another_tag_or_an_attribute(text: str) -> None:
    page = pages.read(register.as_html(text).encode())
    assert {name for name, _ in page.tags} <= set(register.TAGS)
    assert not [given_ for _, given_ in page.tags if given_]
    assert page.problems == []


def test_hostile_names_fit_the_api_and_stay_text() -> None:
    document = made(assessment(hostile=HOSTILE))
    held(document["entry"])
    assert "<script" not in document["entry"]["goal"]
    assert "[U+202E]" in document["entry"]["goal"]


def test_a_stated_category_stands_but_its_difference_is_said() -> None:
    document = made(of_public_body(publication={"publication_category": "Overige algoritmes"}))
    assert document["entry"]["publication_category"] == "Overige algoritmes"
    assert "Hoog-risico" in field(document, "publication_category")["problems"][0]


def test_an_entry_that_was_published_is_compared_with_this_one() -> None:
    first = made(of_public_body(publication=COMPLETE))
    assert first["published_entry"] == "not_stated"
    same = made(of_public_body(publication={**COMPLETE, "published_entry_sha256": first["entry_sha256"]}))
    assert same["published_entry"] == "same"
    moved = {**COMPLETE, "status": "Buiten gebruik", "published_entry_sha256": first["entry_sha256"]}
    assert made(of_public_body(publication=moved))["published_entry"] == "differs"
    said = pages.read(preview.render(of_public_body(publication=moved), "nl")).text
    assert "niet meer die welke is gepubliceerd" in said


def test_the_preview_shows_every_field_with_its_origin() -> None:
    page = pages.read(preview.render(of_public_body(publication=COMPLETE), "nl"))
    said = " ".join(page.text.split())
    assert page.problems == []
    for words in ("Korte omschrijving", "Impacttoetsen", "beantwoord", "gemeten", "leeg", "Hoog-risico AI-systeem"):
        assert words in said
    assert "Afgewogen: snelheid zorgvuldigheid" in said
