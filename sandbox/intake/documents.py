"""Takes the text out of documents, with nothing but the standard library."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

from checks.evidence import Document
from sandbox.intake.problems import Gathered

TEXTS = (".md", ".txt", ".html", ".htm")
UNREAD = (".pdf", ".docx", ".odt")
LARGEST_BYTES = 8 * 1024**2


class _Text(HTMLParser):
    """Keeps the text of a page, and begins a new line where a block does."""

    _BLOCKS = frozenset(
        (
            "p",
            "div",
            "br",
            "li",
            "tr",
            "table",
            "ul",
            "ol",
            "section",
            "article",
            "header",
            "footer",
            "pre",
            "blockquote",
        )
    )
    _HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6", "title"))
    _HIDDEN = frozenset(("script", "style", "template", "noscript"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in self._HIDDEN:
            self._hidden += 1
        elif tag in self._HEADINGS:
            self.parts.append("\n\n" + "#" * (int(tag[1]) if tag[1].isdigit() else 1) + " ")
        elif tag in self._BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in self._BLOCKS or tag in self._HEADINGS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def text_of_html(page: str) -> str:
    """Give the text of a page: headings marked with `#`, blocks on lines of their own, no scripts and styles.

    Args:
        page: HTML.
    """
    parser = _Text()
    parser.feed(page)
    parser.close()
    lines = (re.sub(r"[ \t\r\f\v]+", " ", line).strip() for line in "".join(parser.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def read_documents(
    paths: Sequence[str], folder: Path, files: Mapping[str, str], gathered: Gathered, notes: list[str]
) -> tuple[Document, ...]:
    """Read the documents that a submission names.

    Args:
        paths: in the declared order.
        folder: the quarantine.
        files: SHA-256 by path.
        gathered: takes problems: another kind of file, too large, no UTF-8.
        notes: takes which files were kept but not read.

    Returns:
        Those whose text was read.
    """
    read = []
    for i, path in enumerate(paths):
        field = f"documents.{i}"
        suffix = Path(path).suffix.lower()
        if suffix in UNREAD:
            notes.append(f"The text of {path} was not read: supply it as .md, .txt or .html to have it looked at.")
            continue
        if suffix not in TEXTS:
            gathered.add(field, "document.kind", path=path, known=", ".join((*TEXTS, *UNREAD)))
            continue
        if (folder / path).stat().st_size > LARGEST_BYTES:
            gathered.add(field, "document.too_large", path=path, most=LARGEST_BYTES)
            continue
        content = (folder / path).read_bytes()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as raised:
            gathered.add(field, "document.not_utf8", path=path, line=content[: raised.start].count(b"\n") + 1)
            continue
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if suffix in (".html", ".htm"):
            text = text_of_html(text)
        read.append(Document(name=path, text=text, digest=files[path]))
    return tuple(read)
