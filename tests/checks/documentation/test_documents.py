"""What is found in documents, and what only looks like an answer."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import policy
from checks.documentation._reading import items_of, look, sections_of, state_of
from checks.documentation.annex_iv import annex_iv
from checks.documentation.instructions_for_use import instructions_for_use
from checks.evidence import Document, Evidence, Need
from checks.finding import Item, Measured, Outcome
from checks.judge import judge
from checks.registry import catalogue
from tests.make.assessments import declaration

FOLDER = Path(__file__).parent / "documents"
TERMS = policy.load("default").terms


def document(text: str, name: str = "technical_documentation.md") -> Document:
    return Document(name=name, text=text, digest=hashlib.sha256(text.encode()).hexdigest())


def stored(name: str) -> Document:
    return document((FOLDER / name).read_text(encoding="utf-8"), name)


def found_in(*documents: Document, part: str = "annex_iv") -> dict[str, Item]:
    view = Evidence(declaration=declaration(route="documents"), submission_digest="00", documents=documents).only(
        [Need.DOCUMENTS]
    )
    check = annex_iv if part == "annex_iv" else instructions_for_use
    result = check.run(view, TERMS)
    assert isinstance(result, Measured)
    return {item.id.partition(".")[2]: item for item in result.items}


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_every_item_of_a_complete_document_is_found_with_its_passage(lang: str) -> None:
    items = found_in(stored(f"complete.{lang}.md"))
    assert {name: item.state for name, item in items.items() if item.state != "found"} == {}
    assert len(items) == 23
    assert all(item.params["passage"] and item.params["document"] for item in items.values())


def test_the_passage_is_the_one_below_the_items_own_heading() -> None:
    items = found_in(stored("complete.en.md"))
    assert items["2h"].params["heading"] == "Cybersecurity"
    assert str(items["2h"].params["passage"]).startswith("Access is by smart card; keys rotate every ninety days.")
    assert items["9"].params["heading"] == "9. Post-market monitoring"


def test_half_a_document_is_told_item_by_item() -> None:
    items = found_in(stored("half.en.md"))
    assert items["1a"].state == "found"
    assert items["2b"].state == "found"
    assert items["1e"].state == "short"
    assert items["2h"].state == "placeholder"
    assert items["5"].state == "placeholder"
    assert items["7"].state == "placeholder"
    assert items["9"].state == "not_found"
    assert "passage" not in items["9"].params


def test_the_counts_are_exact_and_add_up() -> None:
    result = look([stored("half.en.md")], "annex_iv", TERMS.short_words)
    by_state = Counter(item.state for item in result.items)
    assert {m.name: m.value for m in result.measures} == {
        state: float(by_state[state]) for state in ("found", "short", "placeholder", "not_found")
    }
    assert all(m.low == m.value == m.high for m in result.measures)
    assert sum(m.value or 0.0 for m in result.measures) == 23


@pytest.mark.parametrize(
    ("item", "state"),
    [
        ("1a", "placeholder"),  # the item's own words repeated
        ("1e", "placeholder"),  # the same
        ("2b", "placeholder"),  # filler
        ("2e", "placeholder"),  # one text under three headings
        ("5", "placeholder"),
        ("9", "placeholder"),
        ("2h", "placeholder"),  # an instruction to the writer
        ("2g", "placeholder"),  # later
        ("2d", "not_found"),  # named in a list of topics only
        ("8", "not_found"),
        ("7", "not_found"),
    ],
)
def test_what_only_looks_like_an_answer_is_not_called_found(item: str, state: str) -> None:
    assert found_in(stored("evasive.en.md"))[item].state == state


def test_half_a_dutch_document_is_told_item_by_item() -> None:
    items = found_in(stored("half.nl.md"))
    assert {name: items[name].state for name in ("1a", "2b", "1e", "2h", "5", "7", "9")} == {
        "1a": "found",
        "2b": "found",
        "1e": "short",
        "2h": "placeholder",
        "5": "placeholder",
        "7": "placeholder",
        "9": "not_found",
    }


def test_what_only_looks_like_an_answer_in_dutch_is_not_called_found() -> None:
    items = found_in(stored("evasive.nl.md"))
    assert [name for name, item in items.items() if item.state == "found"] == []
    assert {name: items[name].state for name in ("1a", "1e", "2b", "2e", "5", "9", "2h", "2g", "8", "7")} == {
        **dict.fromkeys(("1a", "1e", "2b", "2e", "5", "9", "2h", "2g"), "placeholder"),
        **dict.fromkeys(("8", "7"), "not_found"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "To be completed",
        "TBD",
        "t.b.d.",
        "TODO: write this",
        "Lorem ipsum dolor sit amet",
        "n.t.b.",
        "n.v.t.",
        "N/A",
        "...",
        "[vul hier in]",
        "Nog in te vullen door de afdeling.",
        "Wordt later aangevuld.",
        "Volgt nog",
        "Will be added at a later stage.",
        "",
    ],
)
def test_a_placeholder_is_caught_in_both_languages(text: str) -> None:
    items = found_in(document(f"# Documentation\n\n## Cybersecurity\n\n{text}\n"))
    assert items["2h"].state == "placeholder"


def test_a_placeholder_word_inside_a_real_passage_does_not_hide_it() -> None:
    text = (
        "Access is by smart card and keys rotate every ninety days. An outside firm tried to break in during May and "
        "found two weak ciphers, since replaced. The report of the second visit is to be completed in autumn."
    )
    assert found_in(document(f"## Cybersecurity\n\n{text}\n"))["2h"].state == "found"


def test_an_item_can_be_found_by_keywords_without_its_heading() -> None:
    text = (
        "Whoever opens the case can override the advice with one click, and a second person looks at every refusal "
        "before the letter leaves the building; both are written down with name and hour."
    )
    items = found_in(document(f"## How we work\n\n{text}\n"))
    assert items["2e"].state == "found"
    assert items["2e"].params["heading"] == "How we work"


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (
            "2d",
            "## Where it learned from\n\nThe sets for training were taken from the archive of 2024: their origin, how "
            "they were selected and labelled by four clerks, and which rows were cleaned away, stand in an "
            "appendix with counts per month.",
        ),
        (
            "5",
            "## Wat er mis kan gaan\n\nVoor het beheersen van risico's houdt het team een lijst bij met elf gevaren; "
            "elke maand bespreekt de leiding hoe het risicobeheersysteem werkte, wat er bijkwam en welke post "
            "van de lijst af mag.",
        ),
    ],
)
def test_a_passage_in_other_words_is_found_by_its_likeness_to_the_item(item: str, text: str) -> None:
    items = found_in(document(text))
    assert items[item].state == "found"
    assert [name for name, other in items.items() if other.state != "not_found"] == [item]


def test_a_passage_on_something_else_is_like_no_item() -> None:
    text = (
        "## Lunch\n\nThe canteen opens at noon and closes at two; on Fridays there is soup, and visitors pay at the "
        "door with a card or with the exact amount in coins."
    )
    assert {i.state for i in found_in(document(text)).values()} == {"not_found"}


def test_headings_of_pdf_text_and_of_numbered_items_are_headings() -> None:
    text = (
        "2.8 Cybersecurity measures\n\nAccess is by smart card and keys rotate every ninety days. An outside firm "
        "tried to break in during May and found two weak ciphers, which were replaced within a week by new ones.\n\n"
        "Annex IV, 2(f)\n==============\n\nEach quarter the ensemble is fitted again on the last eight quarters with "
        "the same code, and the release is held back when recall on urgent letters falls below ninety-two percent.\n"
    )
    items = found_in(document(text))
    assert items["2h"].state == "found"
    assert items["2f"].state == "found"


def test_a_sentence_in_a_numbered_list_is_no_heading() -> None:
    text = "Some text.\n\n1. The hardware is bought by the client.\n\n2. The rest follows from the contract;\n"
    assert [s.heading for s in sections_of(document(text))] == [""]


def test_what_stands_in_a_code_block_is_no_heading() -> None:
    assert [s.heading for s in sections_of(document("```\n# Hardware\n```\n"))] == [""]


def test_instructions_are_found_item_by_item() -> None:
    items = found_in(stored("instructions.en.md"), part="instructions_for_use")
    assert {name: item.state for name, item in items.items() if item.state != "found"} == {}
    assert len(items) == 12


def test_where_a_document_calls_itself_instructions_only_that_one_is_searched() -> None:
    thin = document("# Gebruiksaanwijzing\n\n## Beoogd doel\n\nPost ordenen.\n", "gebruiksaanwijzing.md")
    items = found_in(stored("instructions.en.md"), thin, part="instructions_for_use")
    assert items["a"].state == "found"  # both call themselves instructions
    rest = found_in(stored("complete.en.md"), thin, part="instructions_for_use")
    assert rest["b_i"].state == "short"
    assert rest["f"].state == "not_found"


def test_without_documents_nothing_is_gathered_and_the_reason_says_so() -> None:
    evidence = Evidence(declaration=declaration(route="documents"), submission_digest="00")
    for check in catalogue():
        if check.code.startswith("documentation.") and check.code != "documentation.datasheet":
            (judged,) = judge(check, evidence, policy.load("default"))
            assert judged.finding.outcome is Outcome.NOT_GATHERED
            assert judged.finding.reason is not None
            assert judged.finding.reason.code == "no_documents"


def test_adequacy_is_said_not_to_be_judged() -> None:
    result = look([stored("complete.en.md")], "annex_iv", TERMS.short_words)
    assert result.reason is not None
    assert result.reason.code == "adequacy_not_judged"


@given(st.text(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_searched(text: str) -> None:
    result = look([document(text), document(f"## Hardware\n\n{text}")], "annex_iv", TERMS.short_words)
    assert len(result.items) == 23


def test_a_large_document_is_searched_in_a_few_seconds() -> None:
    import time

    text = (FOLDER / "complete.en.md").read_text(encoding="utf-8")
    many = document("\n\n".join(f"# Part {i}\n\n{text}" for i in range(40)))
    start = time.perf_counter()
    look([many], "annex_iv", TERMS.short_words)
    assert time.perf_counter() - start < 10


def test_an_item_is_its_own_words_at_any_length() -> None:
    item = next(i for i in items_of("annex_iv") if i.id == "annex_iv.1e")
    said = "The hardware on which the AI system is intended to run is the hardware described in this section. "
    (section,) = (s for s in sections_of(document(f"## Hardware\n\n{said * 5}")) if s.heading)
    assert state_of(item, section, frozenset(), TERMS.short_words) == "placeholder"
