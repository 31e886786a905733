"""The tree of a card: what stands first, what stays visible, and the same files for the same assessment."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from checks.finding import AppliedLimit, Figure, Finding, Measure, Outcome, Reason, Rejudge
from model_cards.build import build
from model_cards.card import Card, Cell, Column, Section, Span, Table, line
from model_cards.documents import write
from model_cards.exports import markdown
from model_cards.plots import draw
from model_cards.words import Words
from model_cards.writing import parquet
from sandbox.summary import as_text
from tests.make.assessments import assessment, declaration, documentation, undetermined, within

STATEMENTS = {
    "en": "This is an isolated test environment. It is not a regulatory sandbox under Article 57 of Regulation (EU) "
    "2024/1689, not a conformity assessment and not legal advice.",
    "nl": "Dit is een geïsoleerde testsandbox. Het is geen regulatory sandbox als bedoeld in artikel 57 van "
    "Verordening (EU) 2024/1689, geen conformiteitsbeoordeling en geen juridisch advies.",
}
NOT_RUN = {
    "en": "The model was not run here; the provider supplied these figures.",
    "nl": "Het model is hier niet uitgevoerd; de aanbieder heeft deze cijfers aangeleverd.",
}


EMPTY = replace(build(assessment(), "en"), opening=(), sections=())


def text_of(section: Section) -> str:
    """Give all text of a section, as Markdown has it."""
    return markdown.body(replace(EMPTY, sections=(section,))).replace("\\", "")


def part(card: Card, name: str) -> str:
    return text_of(next(s for s in card.walk() if s.id == name))


@pytest.mark.parametrize("lang", ["en", "nl"])
@pytest.mark.parametrize("route", ["model", "predictions", "counts", "documents"])
def test_the_first_lines_say_who_attests_it_how_and_what_it_is_not(route: str, lang: str) -> None:
    card = build(assessment(route=route), lang)
    first, second = card.opening
    assert [span.text for span in second.lines[0]] == [STATEMENTS[lang]]
    how = " ".join(span.text for said in first.lines for span in said)
    assert (NOT_RUN[lang] in how) is (route in ("predictions", "counts"))


@pytest.mark.parametrize(
    ("who", "said"),
    [("provider_machine", "on its own machine"), ("service", "testing service"), ("reviewer", "for a reviewer")],
)
def test_each_attestation_has_its_own_words(who: str, said: str) -> None:
    card = build(assessment(attested_by=who), "en")
    assert said in card.opening[0].lines[0][0].text


def test_nothing_is_said_of_a_cell_without_a_receipt() -> None:
    said = str(build(assessment(run=False), "en").opening[0])
    assert "isolated cell" not in said
    assert "not known here" in said


def test_the_summary_counts_and_tells_what_lies_beyond_with_origin_of_the_limit() -> None:
    summary = part(build(assessment(), "en"), "summary")
    assert "**1** beyond the limit set · **2** undecided · **1** within the limit set · **1** our errors" in summary
    assert "from the policy used" in summary
    assert "the provider's own" in summary
    assert "Indicated class, based on the provider's answers" in summary
    assert summary.count("\n3. ") == 1
    assert summary.count("\n4. ") == 0


def test_a_long_purpose_is_cut_on_the_summary_and_whole_in_the_method() -> None:
    purpose = "It orders files. " * 100 + "The end."
    card = build(assessment(stated=declaration(purpose=purpose)), "en")
    assert "The end." not in part(card, "summary")
    assert " …" in part(card, "summary")
    assert "The end." in part(card, "method")


def test_the_class_is_headed_in_dutch_as_provisional() -> None:
    assert "Voorlopige indeling op basis van de antwoorden" in part(build(assessment(), "nl"), "summary")


def test_an_undetermined_class_says_what_is_possible_and_what_would_decide() -> None:
    card = build(assessment(risk=undetermined()), "en")
    summary = part(card, "summary")
    assert "Cannot be said yet" in summary
    assert "Still possible: High-risk, listed use" in summary
    assert "What would decide:" in summary
    assert "Answer the questions that decide the class" in summary
    assert "That does not mean that there are none." in part(card, "law-duties")


def test_what_has_no_result_stays_visible_with_its_reason() -> None:
    said = part(build(assessment(), "en"), "unmeasured")
    assert "Our error" in said
    assert "4f2a91c07b3d" in said
    assert "Not gathered" in said
    assert "Name the column with the true outcome as label" in said
    assert "Not applicable" in said


def test_a_measure_without_a_value_is_a_dash_with_its_reason_never_a_number() -> None:
    said = part(build(assessment(), "en"), "fairness-selection-rate")
    row = next(row for row in said.splitlines() if "adverse" in row)
    assert "| **–** |" in row
    assert "so the rate has no value" in row


def test_a_group_that_is_too_small_stays_in_the_table_and_says_so() -> None:
    said = part(build(assessment(), "en"), "fairness-selection-rate")
    assert "not stated<br>fewer rows than the policy asks" in said


def test_a_contested_date_is_visibly_contested_with_both_readings() -> None:
    said = part(build(assessment(), "en"), "law-duties").replace("\u00a0", " ")
    row = next(row for row in said.splitlines() if "AIA 47" in row)
    assert "contested" in row
    assert "2 August 2026" in row
    assert "2 December 2027" in row
    moved = next(row for row in said.splitlines() if "AIA 10)" in row)
    assert "2 August 2026" in moved
    past = next(row for row in said.splitlines() if "AIA 4)" in row)
    assert "since 2 February 2025" in past


def test_items_of_documentation_are_told_with_their_passage() -> None:
    said = part(build(assessment(), "nl"), "documentation")
    assert "“The system orders files for review.”" in said
    assert "Alleen een invulplek" in said
    assert "Niet gevonden (1)" in said
    assert "niet beoordeeld" in said


def test_the_receipt_says_what_was_tried_seen_and_held() -> None:
    said = part(build(assessment(), "en"), "isolation")
    assert "ENETUNREACH" in said
    assert "2.15 GB" in said.replace("\u00a0", " ")
    assert "48,000" in said


def test_a_single_decision_is_a_sentence_and_no_explanation_under_article_86() -> None:
    said = part(build(assessment(), "en"), "explainability-single-decisions").replace("\u00a0", " ")
    assert "For this person the model put the probability of “&gt;50K” at 63.0 %; on average it is 24.0 %." in said
    assert "age = 52 (+31.0 percentage points)" in said
    assert "not an explanation under Article 86" in said


def test_a_model_that_failed_is_said_so_at_the_top() -> None:
    card = build(assessment(model_fault={"code": "timed_out", "params": {}}), "en")
    assert "it did not answer in time" in str(card.opening[0])
    assert "it did not answer in time" in part(card, "isolation")


def test_a_model_that_failed_at_a_question_of_ours_is_not_said_to_have_failed_at_its_own_rows() -> None:
    fault = {"code": "crashed", "rows_answered": True, "question": "never_seen"}
    card = build(assessment(model_fault=fault), "en")
    assert "answered every row as it was handed in" in str(card.opening[0])
    assert "it crashed" in part(card, "summary")
    assert "did not give all the answers" not in str(card.opening[0])


def test_a_dossier_without_a_limit_beyond_gives_no_verdict() -> None:
    card = build(assessment(findings=(within(), documentation()), figures=()), "en")
    said = part(card, "summary")
    assert "**0** beyond the limit set" in said
    assert "That is no verdict on the system" in said


def test_a_figure_of_everyone_together_names_no_group() -> None:
    bins: dict[str, tuple[str | float | None, ...]] = {"group": (None, None), "score": (0.2, 0.8), "value": (0.25, 0.7)}
    whole = Figure(name="accuracy.overall.bins", kind="calibration", columns=bins, params={"unit": "share"})
    finding = within().model_copy(update={"figures": (whole.name,)})
    given = assessment(findings=(finding,), figures=(whole,))
    said = part(build(given, "en"), "accuracy-overall")
    assert "Stated probability" in said or "Score" in said
    assert "not stated" not in said
    assert "not stated" not in draw(whole, Words("en"), title="Bins")
    mixed = whole.model_copy(update={"columns": bins | {"group": ("Female", None)}})
    assert "not stated" in draw(mixed, Words("en"), title="Bins")
    assert "not stated" in part(build(assessment(findings=(finding,), figures=(mixed,)), "en"), "accuracy-overall")


def test_a_measure_of_two_attributes_is_defined_once_with_both_its_intervals() -> None:
    found = []
    for name, how in (("sex", "over 2 groups"), ("race", "over 5 groups")):
        top = Measure(name="top", value=0.5, rows=9, unit="share", definition="widest gap", interval=how)
        found.append(within().model_copy(update={"attribute": name, "measures": (top,)}))
    said = part(build(assessment(findings=tuple(found), figures=()), "en"), "method-definitions")
    assert said.count("widest gap") == 1
    assert "over 2 groups; over 5 groups" in said


def test_figures_without_a_drawing_are_shown_as_their_table() -> None:
    odd = Figure(name="accuracy.overall.odd", kind="no_such_kind", columns={"group": ("a", "b"), "value": (1.0, 2.5)})
    finding = within().model_copy(update={"figures": (odd.name,)})
    said = part(build(assessment(findings=(finding,), figures=(odd,)), "en"), "accuracy-overall")
    assert "This plot could not be drawn" in said
    assert "| b | 2.5 |" in said


def test_a_table_holds_its_rows_to_its_columns() -> None:
    with pytest.raises(ValueError, match="as many cells"):
        Table(caption="c", columns=(Column(title="a"),), rows=((Cell(line=line("1")), Cell(line=line("2"))),))


def test_ids_of_sections_are_unique() -> None:
    section = Section(id="same", title="t")
    with pytest.raises(ValueError, match="same"):
        replace(EMPTY, sections=(section,) * 2)


def test_text_is_made_visible_where_it_enters_the_tree() -> None:
    assert Span(text="a\u202eb").text == "a[U+202E]b"
    assert Section(id="i", title="a\x00").title == "a[U+0000]"


def test_writing_twice_gives_the_same_bytes_and_names_what_it_wrote(tmp_path: Path) -> None:
    given = assessment()
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    names = [p.relative_to(first) for p in write(given, first, ["en", "nl"])]
    write(given, second, ["en", "nl"])
    assert names == sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert {str(n) for n in names} >= {
        *(f"model_card.{lang}.{kind}" for lang in ("en", "nl") for kind in ("md", "html", "pdf")),
        "figures/fairness.selection_rate.sex.parquet",
        "plots/fairness.selection_rate.sex.nl.svg",
    }
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_hostile_figure_name_stays_inside_the_folder(tmp_path: Path) -> None:
    odd = Figure(name="../../etc/passwd", kind="bars", columns={"group": ("a",), "value": (1.0,)})
    folder = tmp_path / "out"
    folder.mkdir()
    written = write(assessment(findings=(within(),), figures=(odd,)), folder, ["en"])
    assert all(path.resolve().is_relative_to(folder) for path in written)
    assert list(tmp_path.iterdir()) == [folder]


def test_the_data_of_a_figure_can_be_read_back() -> None:
    figure = Figure(
        name="n", kind="bars", columns={"group": ("a", None), "value": (1, 2.5), "mixed": ("x", 3), "big": (True, None)}
    )
    table = pq.read_table(io.BytesIO(parquet(figure))).to_pydict()
    about = json.loads((pq.read_schema(io.BytesIO(parquet(figure))).metadata or {})[b"figure"])
    assert about == {"kind": "bars", "params": {}, "row_level": False}
    assert table == {"group": ["a", None], "value": [1.0, 2.5], "mixed": ["x", "3"], "big": [True, None]}


def test_every_outcome_is_in_the_usual_assessment() -> None:
    assert {f.outcome for f in assessment().dossier.findings} == set(Outcome)


def test_definitions_and_the_law_stand_once_and_not_under_every_finding() -> None:
    card = build(assessment(), "en")
    definition = "fairlearn.metrics"
    assert definition in part(card, "method-definitions")
    assert definition not in part(card, "findings")
    assert "AIA" in part(card, "method-law")


def test_what_rests_on_no_reading_of_the_law_is_marked() -> None:
    risk = assessment().dossier.risk
    law = risk.other_law[0].model_copy(update={"confidence": "unverified"})
    card = build(assessment(risk=risk.model_copy(update={"other_law": (law,)})), "en")
    table = next(s for s in card.walk() if s.id == "law-other").blocks[0]
    assert isinstance(table, Table)
    assert table.rows[0][2].tone == "undecided"
    assert "Not verified" in part(card, "law-other")


def alone(check: str, outcome: Outcome, **given: object) -> Finding:
    return Finding(check=check, outcome=outcome, rejudge=Rejudge.EVIDENCE, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_inputs_that_determine_the_label_are_told_before_all_else_that_lies_beyond(lang: str, tmp_path: Path) -> None:
    limit = {"m": AppliedLimit(at_most=0.0, origin="policy", outcome=Outcome.FAIL)}
    value = Measure(name="m", value=1.0, low=1.0, high=1.0, rows=9, unit="count", interval="exact")
    codes = ("fairness.selection_rate", "accuracy.inverse", "data_governance.determining_inputs")
    given = assessment(
        findings=tuple(alone(c, Outcome.FAIL, limit=limit, measures=(value,)) for c in codes), figures=()
    )
    words = Words(lang)
    for text in (part(build(given, lang), "summary-beyond"), as_text(given, tmp_path, lang)):
        places = [text.index(words.title(code)) for code in (codes[2], codes[0], codes[1])]
        assert places == sorted(places)


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_findings_that_settle_nothing_for_one_reason_are_told_once_and_said_to_count_as_one(
    lang: str, tmp_path: Path
) -> None:
    why = Reason(code="too_few_rows")
    alike = [alone(f"explainability.{n}", Outcome.INCONCLUSIVE, reason=why) for n in ("effects", "stability")]
    given = assessment(findings=tuple(alike), figures=())
    words = Words(lang)
    told = words("outcomes.counts.counted_once", number=2)
    assert given.dossier.outcome_counts["undecided"] == 1
    for text in (part(build(given, lang), "summary-undecided"), as_text(given, tmp_path, lang)):
        assert told in text
        assert words.title("explainability.effects") in text
        assert words.title("explainability.stability") not in text
