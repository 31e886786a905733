"""The PDF card: structure for reading aloud and keeping, data that never becomes markup, and a time limit."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from model_cards import typesetting
from model_cards.build import build
from model_cards.card import Cell, Column, Paragraph, Section, Table, line
from model_cards.exports import pdf
from model_cards.typesetting import TypesettingFailed, typeset
from tests.make.assessments import (
    assessment,
    documentation,
    measured_by_all_checks,
    selection_rate,
    undecided,
    undetermined,
    without_result,
)


@pytest.fixture(scope="module", params=["en", "nl"])
def reader(request: pytest.FixtureRequest) -> PdfReader:
    return PdfReader(io.BytesIO(pdf.render(assessment(), str(request.param))))


def kinds_in(node: object) -> list[str]:
    """List the structure types below a node of the structure tree."""
    found: list[str] = []
    waiting = [node]
    while waiting:
        one = waiting.pop()
        one = one.get_object() if hasattr(one, "get_object") else one
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, DictionaryObject):
            if "/S" in one:
                found.append(str(one["/S"]))
            if "/K" in one:
                waiting.append(one["/K"])
    return found


def test_it_says_that_it_is_tagged_in_which_language_and_to_which_standards(reader: PdfReader) -> None:
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] in ("en", "nl")
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    metadata = root["/Metadata"].get_object().get_data().decode()
    assert "<pdfaid:part>2</pdfaid:part>" in metadata
    assert "<pdfuaid:part>1</pdfuaid:part>" in metadata
    assert str(reader.metadata.title).startswith("Income estimate")


def test_headings_tables_lists_and_pictures_are_in_the_structure_tree(reader: PdfReader) -> None:
    kinds = set(kinds_in(reader.trailer["/Root"]["/StructTreeRoot"]))
    assert kinds >= {"/H1", "/H2", "/H3", "/Table", "/TR", "/TH", "/TD", "/L", "/Figure", "/Caption", "/Link", "/TOC"}


@pytest.mark.skipif(shutil.which("verapdf") is None, reason="veraPDF is not installed; no registry of ours has it")
@pytest.mark.parametrize("flavour", ["2a", "ua1"])
def test_verapdf_finds_nothing_against_it(flavour: str, tmp_path: Path) -> None:
    (tmp_path / "card.pdf").write_bytes(pdf.render(assessment(), "nl"))
    command = ["verapdf", "--format", "text", "--flavour", flavour, str(tmp_path / "card.pdf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout.startswith("PASS"), done.stdout


@pytest.mark.parametrize("lines", range(38, 48, 3))
def test_a_short_table_stays_on_one_page_and_each_note_with_its_row(lines: int) -> None:
    def texts(*given: str) -> tuple[Cell, ...]:
        return tuple(Cell(line=line(text)) for text in given)

    note = line("a note that is a good deal longer than its narrow column")
    rows = [(Cell(line=line(f"first{i}"), detail=note), *texts(f"second{i}", f"third{i}")) for i in range(6)]
    columns = (Column(title="one"), Column(title="two"), Column(title="three"))
    filler = [Paragraph(line=line(f"line {i}")) for i in range(lines)]
    table = Table(caption="Short", columns=columns, rows=tuple(rows))
    section = Section(id="only", title="Only", blocks=(*filler, table), on_a_new_page=True)
    given = assessment()
    card = replace(build(given, "en"), sections=(section,))
    reader = PdfReader(io.BytesIO(pdf.render(given, "en", card=card)))
    holding = [page.extract_text() for page in reader.pages if "second" in page.extract_text()]
    assert len(holding) == 1
    for i in range(6):
        assert f"second{i}" in holding[0]
    # Each note is one line, as wide as the table.
    assert holding[0].count("a note that is a good deal longer than its narrow column") == 6


def test_pages_are_numbered_listed_and_referred_to(reader: PdfReader) -> None:
    pages = [page.extract_text() for page in reader.pages]
    assert len(pages) >= 8
    assert any(word in pages[1] for word in ("Contents", "Inhoud"))
    assert any(f"2 {word} {len(pages)}" in pages[1] for word in ("of", "van"))
    assert len(reader.outline) > 5


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_no_page_of_a_full_assessment_is_empty(lang: str) -> None:
    found = PdfReader(io.BytesIO(pdf.render(measured_by_all_checks(), lang)))
    # Beside its head and its number a page holds something.
    assert [n for n, page in enumerate(found.pages, 1) if len(page.extract_text().split()) < 25] == []


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_the_summary_of_a_full_assessment_is_one_page_too(lang: str) -> None:
    test_the_summary_is_one_page(PdfReader(io.BytesIO(pdf.render(measured_by_all_checks(), lang))))


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_the_summary_stays_one_page_however_much_lies_beyond_or_is_undecided(lang: str) -> None:
    names = [f"highest_completed_education_and_region_{i}" for i in range(9)]
    beyond = tuple(selection_rate(name)[0].model_copy(update={"figures": ()}) for name in names)
    given = assessment(
        findings=(*beyond, *(undecided(name) for name in names), *without_result(), documentation()),
        figures=(),
        risk=undetermined(),
    )
    test_the_summary_is_one_page(PdfReader(io.BytesIO(pdf.render(given, lang))))


def test_the_summary_is_one_page(reader: PdfReader) -> None:
    titles = {
        entry.title: reader.get_destination_page_number(entry) for entry in reader.outline if hasattr(entry, "title")
    }
    names = list(titles)
    summary = next(n for n in names if n in ("Summary", "Samenvatting"))
    following = names[names.index(summary) + 1]
    assert titles[following] == titles[summary] + 1


def test_what_looks_like_a_program_is_shown_as_text() -> None:
    hostile = '#read("/etc/passwd") #panic("x") $x^2$ @label *strong*'
    text = " ".join(
        page.extract_text() for page in PdfReader(io.BytesIO(pdf.render(assessment(hostile=hostile), "en"))).pages
    )
    assert '#read("/etc/passwd")' in text
    assert "root:" not in text


def test_letters_that_no_font_has_are_spelt_out_and_stop_nothing() -> None:
    text = "".join(
        page.extract_text() for page in PdfReader(io.BytesIO(pdf.render(assessment(hostile="中 😀 ع"), "en"))).pages
    )
    assert "[U+4E2D]" in text
    assert "ع" in text or "U+0639" not in text


def test_a_very_long_word_is_broken_over_lines() -> None:
    assert pdf.render(assessment(hostile="x" * 150), "en").startswith(b"%PDF-1.7")


def test_a_template_cannot_read_a_file_of_this_machine() -> None:
    for path in ("/etc/hostname", "../../../../etc/hostname"):
        with pytest.raises(TypesettingFailed):
            typeset(f'#read("{path}")', {}, timestamp=0)


def test_a_template_cannot_fetch_a_package() -> None:
    with pytest.raises(TypesettingFailed):
        typeset('#import "@preview/example:0.1.0": *', {}, timestamp=0)


def test_typesetting_that_does_not_end_is_ended() -> None:
    endless = "#{ let n = 0; for i in range(60000) { for j in range(60000) { n += 1 } } }"
    with pytest.raises(TypesettingFailed, match="more than 1 seconds"):
        typeset(endless, {}, timestamp=0, time_limit_seconds=1)


def test_the_process_for_typesetting_imports_nothing_from_the_working_folder(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    with open("typst.py", "w") as planted:  # noqa: PTH123
        planted.write("raise SystemExit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = typeset('#set document(title: "t")\n#set text(lang: "en")\nx', {}, timestamp=0)
    assert made.startswith(b"%PDF")
    assert sys.executable
    assert typesetting.STANDARDS == ("a-2a", "ua-1")
