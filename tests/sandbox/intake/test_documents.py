"""Documents of several kinds are read behind a wall, and those that would harm a reader are refused or bounded."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from checks.documentation._reading import look
from sandbox.cell.documents import text_of_html
from sandbox.errors import Refused
from sandbox.intake import accept
from sandbox.isolation.interface import Isolation
from sandbox.settings import Settings
from tests.make import submissions, written

DOCUMENTS = Path(__file__).parents[2] / "checks" / "documentation" / "documents"
KINDS = ("pdf", "docx", "html")


def text_of(name: str) -> str:
    return (DOCUMENTS / name).read_text(encoding="utf-8")


def folder_with(tmp_path: Path, name: str, content: bytes) -> Path:
    return submissions.documents(tmp_path / "s", {name: content}, documents=[name])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lang", ["en", "nl"])
def test_every_item_of_a_complete_document_is_found_in_each_kind_of_file(
    take, tmp_path: Path, kind: str, lang: str
) -> None:
    content = getattr(written, kind)(text_of(f"complete.{lang}.md"))
    bundle = take(folder_with(tmp_path, f"doc.{kind}", content))
    assert bundle.read_by == "limited_process"
    found = look(bundle.documents, "annex_iv", 25)
    assert {i.id: i.state for i in found.items if i.state != "found"} == {}
    of_security = next(i for i in found.items if i.id == "annex_iv.2h")
    assert of_security.params["heading"] in ("Cybersecurity", "Cyberbeveiliging")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["half.en.md", "half.nl.md", "evasive.en.md", "evasive.nl.md"])
def test_half_and_evasive_documents_say_the_same_in_each_kind_of_file(
    take, tmp_path: Path, kind: str, name: str
) -> None:
    markdown = text_of(name)
    of_file = take(folder_with(tmp_path / "a", f"doc.{kind}", getattr(written, kind)(markdown)))
    of_text = take(folder_with(tmp_path / "b", "doc.md", markdown.encode()))
    states = [{i.id: i.state for i in look(b.documents, "annex_iv", 25).items} for b in (of_file, of_text)]
    assert states[0] == states[1]


def test_a_document_is_read_behind_each_wall(
    settings: Settings, quarantine: Path, tmp_path: Path, wall: Isolation
) -> None:
    markdown = text_of("complete.en.md")
    names = {f"doc.{kind}": getattr(written, kind)(markdown) for kind in KINDS}
    folder = submissions.documents(tmp_path / "s", names, documents=list(names))
    with accept(folder, settings, isolation=wall, quarantine=quarantine) as bundle:
        assert bundle.read_by == "cell"
        assert [d.name for d in bundle.documents] == list(names)
        assert all("Access is by smart card" in " ".join(d.text.split()) for d in bundle.documents)


def test_headers_and_page_numbers_are_no_text_of_a_document(take, tmp_path: Path) -> None:
    bundle = take(folder_with(tmp_path, "doc.pdf", written.pdf(text_of("complete.en.md"))))
    assert "confidential" not in bundle.documents[0].text


def test_text_that_no_reader_sees_is_not_taken(take, tmp_path: Path) -> None:
    content = written.docx("# Purpose\n\nIt sorts letters.", hidden="Risk management is complete.")
    bundle = take(folder_with(tmp_path, "doc.docx", content))
    assert "It sorts letters." in bundle.documents[0].text
    assert "Hardware | Two servers" in bundle.documents[0].text
    assert "complete" not in bundle.documents[0].text


def test_a_page_gives_its_text_and_none_of_its_scripts() -> None:
    page = (
        "<title>T</title><h2>Data &amp; more</h2><p>One\ntwo</p><script>x()</script><table><tr><td>a<td>b</tr></table>"
    )
    assert text_of_html(page) == "# T\n\n## Data & more\n\nOne two\n\na b\n"


def docx_with(name: str, content: bytes) -> bytes:
    return written.with_part(written.docx("# A\n\nText."), name, content)


ENTITIES = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>'


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.pdf", lambda: b"%PDF-1.7\nnothing", "broken"),
        ("a.pdf", lambda: b"MZ", "broken"),
        ("a.pdf", lambda: written.locked_pdf("# A\n\nText."), "locked"),
        ("a.pdf", lambda: written.empty_pages_pdf(2), "no_text"),
        ("a.pdf", lambda: written.empty_pages_pdf(1501), "too_long"),
        ("a.docx", lambda: b"PK\x03\x04", "broken"),
        ("a.docx", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1old", "locked"),
        ("a.docx", lambda: docx_with("word/vbaProject.bin", b"x"), "active"),
        ("a.docx", lambda: docx_with("word/embeddings/oleObject1.bin", b"x"), "active"),
        ("a.docx", lambda: docx_with("word/document.xml", ENTITIES), "broken"),
        ("a.docx", lambda: docx_with("word/document.xml", b"<w:document"), "broken"),
        ("a.docx", lambda: docx_with("word/media/zeros.png", bytes(20_000_000)), "too_long"),
        ("a.html", lambda: b"<p>x\n\xff", "not_utf8"),
        ("a.html", lambda: b"<script>only()</script>", "no_text"),
    ],
)
def test_a_document_that_cannot_be_read_is_refused_with_the_reason(
    refusal, tmp_path: Path, name: str, content, code: str
) -> None:
    assert set(refusal(folder_with(tmp_path, name, content()))) == {f"documents.0|document.{code}"}


def test_a_document_that_unpacks_to_gigabytes_ends_within_its_limits(refusal, tmp_path: Path) -> None:
    started = time.monotonic()
    found = refusal(folder_with(tmp_path, "a.pdf", written.bomb_pdf(2_000_000_000)))
    assert len(found) == 1
    (problem,) = found
    assert problem.startswith("documents.0|")
    assert time.monotonic() - started < 75


def test_every_unreadable_document_is_told_at_once(settings: Settings, quarantine: Path, tmp_path: Path) -> None:
    files = {"a.pdf": b"x", "b.docx": b"x"}
    folder = submissions.documents(tmp_path / "s", files, documents=list(files))
    with pytest.raises(Refused) as raised:
        accept(folder, settings, isolation=None, quarantine=quarantine).close()
    assert [p.field for p in raised.value.problems] == ["documents.0", "documents.1"]
