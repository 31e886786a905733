"""The Markdown card: tables that are tables, text that is only ever text, and front matter that the hub accepts."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import ModelCardData, eval_results_to_model_index
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from model_cards import front_matter
from model_cards.exports import hugging_face, markdown
from model_cards.words import visible
from tests.make import pages
from tests.make.assessments import assessment, declaration


def rendered(text: str) -> pages.Page:
    """Read Markdown as a reader's browser would get it, HTML allowed and links made of bare addresses."""
    maker = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return pages.read(maker.render(text).encode())


def test_tables_are_tables_and_headings_headings() -> None:
    page = rendered(markdown.body(markdown.build(assessment(), "en")))
    assert page.problems == []
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") > 10
    assert page.headings[:2] == [1, 2]
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))


def test_links_inside_the_document_lead_somewhere() -> None:
    page = rendered(markdown.body(markdown.build(assessment(), "en")))
    inside = {link.removeprefix("#") for link in page.links if link.startswith("#")}
    assert inside
    assert inside <= set(page.ids)


@given(st.text(alphabet=st.sampled_from("*_`[]()<>#+-.!|~&$:@^=\"'\\ 1ax/\n"), max_size=40))
def test_escaped_text_comes_back_as_the_same_text_without_any_markup(text: str) -> None:
    said = " ".join(visible(text).split())
    page = rendered(f"start {markdown.escape(said)} end")
    assert {tag for tag, _ in page.tags} <= {"p"}
    assert " ".join(page.text.split()) == f"start {said} end".replace("  ", " ").strip()


@pytest.mark.parametrize("text", ["# heading", "- item", "1. item", "> quote", "=====", "+ item", "~~~", "    code"])
def test_text_at_the_start_of_a_line_stays_a_paragraph(text: str) -> None:
    page = rendered(markdown.escape(text.strip()))
    assert [tag for tag, _ in page.tags] == ["p"]


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_the_front_matter_is_accepted_by_the_hubs_own_reader(lang: str) -> None:
    card = ModelCard(markdown.render(assessment(), lang).decode())
    assert isinstance(card.data, ModelCardData)
    assert card.data.license == "eupl-1.2"
    assert card.data.language == [lang]
    assert "tabular-classification" in card.data.tags
    results = card.data.eval_results
    assert results is not None
    by_type = {r.metric_type: r for r in results}
    rate = by_type["fairness.selection_rate.difference.sex"]
    assert rate.metric_value == 0.1945
    assert rate.metric_args == {"low": 0.1826, "high": 0.2063, "rows": 16281}
    assert rate.dataset_name == "test.parquet"
    assert eval_results_to_model_index("Income estimate", results)


def test_a_measure_without_a_value_is_never_a_metric() -> None:
    metrics = front_matter.metadata(assessment(), "en")["model-index"][0]["results"][0]["metrics"]
    assert all(isinstance(m["value"], float) for m in metrics)
    assert not [m for m in metrics if "adverse_ratio" in m["type"]]


def test_a_licence_that_the_hub_does_not_know_is_given_by_name() -> None:
    stated = declaration(licence="Our own licence")
    metadata = front_matter.metadata(assessment(stated=stated), "en")
    assert metadata["license"] == "other"
    assert metadata["license_name"] == "Our own licence"


def test_a_documents_only_card_has_no_model_index() -> None:
    given = assessment(route="documents")
    assert "model-index" not in front_matter.metadata(given, "en")
    assert ModelCard(markdown.render(given, "en").decode()).data.eval_results is None


def test_hostile_names_stay_strings_in_the_front_matter() -> None:
    text = markdown.render(assessment(hostile="\n---\nlicense: mit\n!!python/object:os.system"), "en").decode()
    front = text.split("---\n")[1]
    assert yaml.safe_load(front)["model-index"][0]["name"].startswith("Name")
    assert ModelCard(text).data.license == "eupl-1.2"


def test_the_readme_of_a_repository_needs_no_file_beside_it() -> None:
    text = hugging_face.render(assessment(), "en").decode()
    assert "](plots/" not in text
    assert "](plots/" in markdown.render(assessment(), "en").decode()
    assert ModelCard(text).data.model_name
