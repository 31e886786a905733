"""What must be true of every document and export, present and future."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from html import unescape
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
import yaml
from pypdf import PdfReader

from model_cards.exports import exports
from model_cards.words import languages
from tests.make import pages
from tests.make.assessments import assessment, undetermined

ROUTES = ("model", "predictions", "counts", "documents")
HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> **b** [x](javascript:alert(1)) "
    '#read("/etc/passwd") {{7*7}} ${x} `c` |c| "q" \u202eexe.gnp \x07 &lt;'
)
ENGLISH = ("fair", "safe", "compliant", "passed", "unfair", "unsafe")
VERDICTS = {"en": ENGLISH, "nl": (*ENGLISH, "eerlijk", "oneerlijk", "veilig", "onveilig", "conform", "geslaagd")}
DISCLAIMERS = {
    "en": "not a regulatory sandbox under Article 57",
    "nl": "geen regulatory sandbox als bedoeld in artikel 57",
}

each_export = pytest.mark.parametrize("name", sorted(exports()))
each_language = pytest.mark.parametrize("lang", languages())


def strings_in(value: Any) -> Iterator[str]:
    """Yield every text of a structure, keys included, with numbers as they are written."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from strings_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_in(inner)
    elif value is not None:
        yield str(value)


def text_of(name: str, content: bytes) -> str:
    """Give what a reader sees of a document."""
    suffix = exports()[name].SUFFIX
    if suffix == ".pdf":
        text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)
        return text.replace("\u200b", "")
    if suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            tables = [pq.read_table(io.BytesIO(archive.read(n))) for n in archive.namelist() if n.endswith(".parquet")]
            files = {n: archive.read(n).decode() for n in archive.namelist() if not n.endswith(".parquet")}
        assert tables
        cells = [c for n, t in files.items() if n.endswith(".csv") for row in csv.reader(io.StringIO(t)) for c in row]
        return "\n".join([*files, *cells, *(t for n, t in files.items() if not n.endswith(".csv"))])
    text = content.decode()
    if suffix == ".html":
        return pages.read(content).text
    if suffix == ".md":
        return unescape(re.sub(r"\\(.)", r"\1", text))
    if suffix.endswith((".json", ".sarif")):
        return "\n".join(strings_in(json.loads(text)))
    if suffix == ".yaml":
        comments = [line for line in text.splitlines() if line.startswith("#")]
        return "\n".join([*comments, *strings_in(yaml.safe_load(text))])
    if suffix == ".xml":
        # Our own file, written a line above; nothing in it comes from outside.
        return "\n".join(t for e in ElementTree.fromstring(content).iter() for t in (*e.attrib.values(), e.text or ""))
    raise AssertionError(f"say here how a reader sees {suffix}")


@each_export
def test_it_says_what_it_is_and_which_standard_it_follows(name: str) -> None:
    export = exports()[name]
    assert name == export.FORMAT
    assert len(export.STANDARD) > 5
    assert export.SUFFIX.startswith(".")


@each_export
@each_language
@pytest.mark.parametrize("route", ROUTES)
def test_it_is_made_for_every_route_and_language(name: str, lang: str, route: str) -> None:
    content = exports()[name].render(assessment(route=route), lang)
    assert isinstance(content, bytes)
    said = text_of(name, content)
    # Of the data alone an export can speak without the system's name; it then names the data.
    assert "Income estimate" in said or "test.parquet" in said


@each_export
def test_the_same_assessment_gives_the_same_bytes(name: str) -> None:
    render = exports()[name].render
    assert render(assessment(), "en") == render(assessment(), "en")


@each_export
def test_it_is_made_without_a_run_and_for_an_undetermined_class(name: str) -> None:
    assert exports()[name].render(assessment(run=False, risk=undetermined()), "nl")


@each_export
@each_language
def test_it_says_what_it_is_not(name: str, lang: str) -> None:
    said = " ".join(text_of(name, exports()[name].render(assessment(), lang)).split())
    assert DISCLAIMERS[lang] in said
    assert "AI-testomgeving voor regelgeving" not in said


@each_export
@each_language
@pytest.mark.parametrize("route", ROUTES)
def test_it_never_gives_a_verdict(name: str, lang: str, route: str) -> None:
    said = text_of(name, exports()[name].render(assessment(route=route), lang)).casefold()
    assert [word for word in VERDICTS[lang] if re.search(rf"(?<![\w-]){word}(?![\w-])", said)] == []


@each_export
@each_language
def test_no_word_is_missing(name: str, lang: str) -> None:
    said = text_of(name, exports()[name].render(assessment(), lang))
    assert re.findall(r"\[[a-z_]+\.[a-z_0-9.]+\]", said) == []
    assert re.findall(r"(?<!\$)\{[a-z_]+\}", said) == []


@each_export
def test_hostile_names_are_shown_as_text(name: str) -> None:
    content = exports()[name].render(assessment(hostile=HOSTILE), "en")
    said = " ".join(text_of(name, content).split())
    for part in ("alert(1)", '#read("/etc/passwd")', "{{7*7}}", "[U+202E]exe.gnp", "[U+0007]"):
        assert part in said, part
    raw = content.decode("utf-8", "replace")
    if exports()[name].SUFFIX == ".md":
        # In the front matter they are strings of YAML; it is what follows that a reader's browser is given.
        raw = raw.split("---\n", 2)[2]
    assert "\u202e" not in raw
    if exports()[name].SUFFIX in (".md", ".html"):
        assert "\x07" not in raw
        assert "<script" not in raw.casefold()
        assert "<img" not in raw.casefold()


@each_export
def test_hostile_markdown_makes_no_link_and_no_markup(name: str) -> None:
    if exports()[name].SUFFIX not in (".md", ".html"):
        return
    content = exports()[name].render(assessment(hostile=HOSTILE), "en")
    if exports()[name].SUFFIX == ".md":
        from markdown_it import MarkdownIt

        body = content.decode().split("---\n", 2)[2]
        content = MarkdownIt("commonmark", {"html": True}).enable("table").render(body).encode()
    page = pages.read(content)
    assert not [link for link in page.links if "javascript" in link.casefold()]
    assert not [name for _, given in page.tags for name in given if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
