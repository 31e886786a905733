"""Takes the text out of a document, PDF, DOCX or HTML, with its headings marked as in Markdown.

Runs in an intake cell and assumes nothing about the document. Nothing of it is executed or fetched: scripts, actions,
links and pictures are left where they are. What a reader of the document would not see (deleted or hidden text) is not
taken. Sizes are looked at before anything is unpacked; what a parser makes too much of ends at the limits of the cell.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from . import frames
from .frames import Fault, Kind, Unreadable

MOST_PARTS = 4000
MOST_UNPACKED_BYTES = 128 * 1024**2
MOST_RATIO = 250
_RATIO_FROM_BYTES = 4 * 1024**2
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MACROS = re.compile(r"(vbaproject\.bin|vbadata\.xml|activex/|/oleobject\d*\.bin)", re.IGNORECASE)
_HEADING_STYLE = re.compile(r"^(?:heading|kop)\s*([1-9])$", re.IGNORECASE)
_LARGER = 1.12
_HEADING_WORDS = 16
_DEEPEST_TABLE = 4
_OF_THE_FILE = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, OSError),
    *(RuntimeError, SyntaxError, TypeError, ValueError),
)
"""What a parser raises at the mercy of its input, beside its own errors: the file's fault, in a process of its own."""


def answer(path: Path, body: dict[str, Any]) -> bytes:
    """Write a document's text as one whole answer.

    Args:
        path: the document.
        body: the host's request: `kind` (`pdf`, `docx` or `html`), `most_pages` and `largest` (bytes of text).

    Raises:
        Unreadable: broken, locked, with macros, too long, or without any text.
    """
    largest, most_pages = int(body["largest"]), int(body["most_pages"])
    pages = 0
    match body["kind"]:
        case "pdf":
            text, pages = text_of_pdf(path, most_pages, largest)
        case "docx":
            text = text_of_docx(path, largest)
        case "html":
            text = text_of_html(_decoded(path))
        case _:
            raise Unreadable(Fault.BROKEN_DOCUMENT, "not a kind of document that is read")
    text = _tidy(text)
    if not text.strip():
        raise Unreadable(Fault.NO_TEXT)
    written = text.encode("utf-8", "replace")
    if len(written) > largest:
        raise Unreadable(Fault.LONG_DOCUMENT, "bytes of text", (len(written), largest))
    return frames.answer(Kind.TEXT, count=1, rows=pages, length=len(written)) + written


def _tidy(text: str) -> str:
    lines = (re.sub(r"[ \t\r\f\v\xa0]+", " ", line).strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as raised:
        raise Unreadable(Fault.NOT_UTF8, "", (content[: raised.start].count(b"\n") + 1,)) from None


# ---- HTML


class _Page(HTMLParser):
    """Keeps the text of a page, and begins a new line where a block does."""

    _BLOCKS = frozenset(
        (
            *("p", "div", "br", "li", "tr", "table", "ul", "ol", "dl", "dt", "dd", "section", "article"),
            *("header", "footer", "main", "pre", "blockquote", "figcaption"),
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
        elif tag == "p":
            self.parts.append("\n\n")
        elif tag in ("td", "th"):
            self.parts.append(" ")
        elif tag in self._BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in self._HEADINGS or tag == "p":
            self.parts.append("\n\n")
        elif tag in self._BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            # A line break in the source of a page is only a space.
            self.parts.append(data.replace("\r", " ").replace("\n", " "))


def text_of_html(page: str) -> str:
    """Give the text of a page: headings marked with `#`, blocks on lines of their own, no scripts and styles.

    Args:
        page: HTML.
    """
    parser = _Page()
    parser.feed(page)
    parser.close()
    return _tidy("".join(parser.parts))


# ---- DOCX


def text_of_docx(path: Path, largest: int) -> str:
    """Give the text of a Word document: headings by their style, table rows on lines of their own.

    Args:
        path: the document.
        largest: most characters that are taken.

    Raises:
        Unreadable: no such document, one with macros, one that unpacks to too much, or one that is too long.
    """
    _look_at_package(path)
    import docx
    from docx.exceptions import PythonDocxError
    from docx.opc.exceptions import OpcError

    try:
        document = docx.Document(str(path))
        lines: list[str] = []
        taken = 0
        for line in _blocks(document.element.body, _headings_of(document), 0):
            taken += len(line)
            if taken > largest:
                raise Unreadable(Fault.LONG_DOCUMENT, "characters", (taken, largest))
            lines.append(line)
    except (Unreadable, MemoryError):
        raise
    except (PythonDocxError, OpcError, *_OF_THE_FILE) as raised:
        raise Unreadable(Fault.BROKEN_DOCUMENT, type(raised).__name__) from None
    return "\n\n".join(lines)


def _look_at_package(path: Path) -> None:
    """Refuse what must not be unpacked: too many or too large parts, macros, and XML with declarations of its own."""
    try:
        with zipfile.ZipFile(path) as package:
            parts = package.infolist()
            unpacked = sum(p.file_size for p in parts)
            if len(parts) > MOST_PARTS:
                raise Unreadable(Fault.LONG_DOCUMENT, "parts", (len(parts), MOST_PARTS))
            if unpacked > MOST_UNPACKED_BYTES:
                raise Unreadable(Fault.LONG_DOCUMENT, "bytes when unpacked", (unpacked, MOST_UNPACKED_BYTES))
            if unpacked > _RATIO_FROM_BYTES and unpacked > MOST_RATIO * path.stat().st_size:
                raise Unreadable(Fault.LONG_DOCUMENT, "bytes when unpacked", (unpacked, MOST_UNPACKED_BYTES))
            names = [p.filename for p in parts]
            if len(set(names)) != len(names):
                raise Unreadable(Fault.BROKEN_DOCUMENT, "a part is there twice")
            if macro := next((n for n in names if _MACROS.search(n)), None):
                raise Unreadable(Fault.ACTIVE_DOCUMENT, macro[:200])
            if any(p.flag_bits & 1 for p in parts):
                raise Unreadable(Fault.LOCKED_DOCUMENT)
            for part in parts:
                if part.filename.lower().endswith((".xml", ".rels")):
                    head = package.read(part)
                    if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
                        raise Unreadable(Fault.BROKEN_DOCUMENT, "XML that declares entities")
                    if b"macroEnabled" in head:
                        raise Unreadable(Fault.ACTIVE_DOCUMENT, part.filename[:200])
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError, RuntimeError) as raised:
        locked = path.read_bytes()[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        fault = Fault.LOCKED_DOCUMENT if locked else Fault.BROKEN_DOCUMENT
        raise Unreadable(fault, type(raised).__name__) from None


def _headings_of(document: Any) -> dict[str, int]:
    """Give the level of each style that makes a heading, by style id."""
    levels = {}
    for style in document.styles:
        if named := _HEADING_STYLE.match(style.name or ""):
            levels[style.style_id] = int(named[1])
        elif (style.name or "").casefold() in ("title", "titel"):
            levels[style.style_id] = 1
    return levels


def _blocks(parent: Any, headings: dict[str, int], depth: int) -> Iterator[str]:
    for child in parent:
        if child.tag == f"{_WORD}p":
            text = _paragraph(child)
            if text.strip():
                level = _level(child, headings)
                listed = child.find(f"{_WORD}pPr/{_WORD}numPr") is not None
                yield f"{'#' * min(level, 6)} {text.strip()}" if level else f"- {text}" if listed else text
        elif child.tag == f"{_WORD}tbl" and depth < _DEEPEST_TABLE:
            rows = []
            for row in child.iter(f"{_WORD}tr"):
                cells = [" ".join(_blocks(cell, {}, depth + 1)) for cell in row.findall(f"{_WORD}tc")]
                rows.append(" | ".join(c for c in cells if c.strip()))
            if any(rows):
                yield "\n".join(r for r in rows if r)
        elif child.tag == f"{_WORD}sdt":
            for content in child.findall(f"{_WORD}sdtContent"):
                yield from _blocks(content, headings, depth)


def _level(paragraph: Any, headings: dict[str, int]) -> int:
    style = paragraph.find(f"{_WORD}pPr/{_WORD}pStyle")
    outline = paragraph.find(f"{_WORD}pPr/{_WORD}outlineLvl")
    if outline is not None and (told := outline.get(f"{_WORD}val", "")).isdigit() and int(told) < 9:
        return int(told) + 1
    return headings.get(style.get(f"{_WORD}val", ""), 0) if style is not None else 0


def _paragraph(paragraph: Any) -> str:
    parts = []
    for run in paragraph.iter(f"{_WORD}r"):
        if run.find(f"{_WORD}rPr/{_WORD}vanish") is not None:
            continue
        for piece in run:
            if piece.tag == f"{_WORD}t":
                parts.append(piece.text or "")
            elif piece.tag in (f"{_WORD}tab", f"{_WORD}br", f"{_WORD}cr"):
                parts.append(" ")
            elif piece.tag == f"{_WORD}noBreakHyphen":
                parts.append("-")
    return "".join(parts)


# ---- PDF


class _Piece(NamedTuple):
    text: str
    size: float
    bold: bool
    height: float


class _Line(NamedTuple):
    text: str
    size: float
    bold: bool
    height: float


def text_of_pdf(path: Path, most_pages: int, largest: int) -> tuple[str, int]:
    """Give the text of a PDF page by page: headings by the size of their letters, and how many pages it has.

    Args:
        path: the document.
        most_pages: most pages that are read.
        largest: most characters that are taken.

    Raises:
        Unreadable: no such document, locked, or too long.
    """
    import logging

    logging.disable(logging.CRITICAL)
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(str(path), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable(Fault.LOCKED_DOCUMENT)
        count = len(reader.pages)
        if count > most_pages:
            raise Unreadable(Fault.LONG_DOCUMENT, "pages", (count, most_pages))
        pages: list[list[_Line]] = []
        taken = 0
        for page in reader.pages:
            pages.append(list(_lines(_pieces(page))))
            taken += sum(len(line.text) for line in pages[-1])
            if taken > largest:
                raise Unreadable(Fault.LONG_DOCUMENT, "characters", (taken, largest))
    except (Unreadable, MemoryError):
        raise
    except (PyPdfError, *_OF_THE_FILE) as raised:
        raise Unreadable(Fault.BROKEN_DOCUMENT, type(raised).__name__) from None
    return "\n\n".join(_written(_without_repeated(pages))), count


def _pieces(page: Any) -> list[_Piece]:
    pieces: list[_Piece] = []

    def visit(text: str, cm: list[float], tm: list[float], font: Any, size: float) -> None:
        if text:
            scale = abs(tm[3] or tm[1]) * abs(cm[3] or cm[1]) or 1.0
            name = str(font.get("/BaseFont", "")) if font else ""
            height = tm[5] * cm[3] + cm[5]
            pieces.append(
                _Piece(text, round(abs(size) * scale, 1), bool(re.search("bold|black|heavy", name, re.I)), height)
            )

    page.extract_text(visitor_text=visit)
    return pieces


def _lines(pieces: Iterable[_Piece]) -> Iterator[_Line]:
    """Put pieces together to lines; the size of a line is that of most of its letters."""
    text, sizes, bold, letters, height = "", Counter[float](), 0, 0, 0.0
    for piece in (*pieces, _Piece("\n", 0.0, False, 0.0)):
        for i, part in enumerate(piece.text.split("\n")):
            if i and text.strip():
                yield _Line(text.strip(), sizes.most_common(1)[0][0], bold * 2 > letters, height)
            if i:
                text, sizes, bold, letters = "", Counter[float](), 0, 0
            text += part
            shown = len(part.strip())
            if shown:
                sizes[piece.size] += shown
                bold += shown * piece.bold
                letters += shown
                height = piece.height


def _without_repeated(pages: list[list[_Line]]) -> list[list[_Line]]:
    """Leave out the first and last lines that stand on most pages: headers, footers and page numbers."""

    def plain(line: _Line) -> str:
        return re.sub(r"\d+", "0", line.text)

    edges = Counter(text for lines in pages for text in {plain(line) for line in (*lines[:1], *lines[-1:])})
    repeated = {text for text, times in edges.items() if times >= 3 and times * 2 >= len(pages)}

    def kept(lines: list[_Line]) -> list[_Line]:
        last = len(lines) - 1
        return [line for i, line in enumerate(lines) if i not in (0, last) or plain(line) not in repeated]

    return [kept(lines) for lines in pages]


def _written(pages: list[list[_Line]]) -> Iterator[str]:
    letters = Counter[float]()
    for lines in pages:
        for line in lines:
            letters[line.size] += len(line.text)
    if not letters:
        return
    body = letters.most_common(1)[0][0]
    larger = sorted((s for s in letters if s > body * _LARGER), reverse=True)
    paragraph: list[str] = []
    before: _Line | None = None
    for lines in pages:
        for line in lines:
            short = len(line.text.split()) <= _HEADING_WORDS and bool(re.search(r"[^\W\d_]", line.text))
            is_large = line.size in larger and short
            is_bold = not is_large and line.bold and short and not line.text.endswith((".", ";", ","))
            gap = before is not None and abs(before.height - line.height) > 1.75 * max(line.size, before.size, 1.0)
            if (is_large or is_bold or gap) and paragraph:
                yield "\n".join(paragraph)
                paragraph = []
            if is_large:
                yield f"{'#' * min(1 + larger.index(line.size), 6)} {line.text}"
            elif is_bold:
                yield f"**{line.text.strip('*')}**"
            else:
                paragraph.append(line.text)
            before = line
    if paragraph:
        yield "\n".join(paragraph)
