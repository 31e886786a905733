"""Takes the text of documents: plain text as it stands, everything that needs a parser through the intake cell.

Assumes of its caller that the files lie in the quarantine. Neither PDF, DOCX nor HTML is opened in this process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from checks.evidence import Document
from sandbox.errors import Refused
from sandbox.intake.problems import Gathered
from sandbox.intake.reading import LIMITS, reading
from sandbox.isolation.interface import Isolation

TEXTS = (".md", ".txt")
PARSED = {".pdf": "pdf", ".docx": "docx", ".html": "html", ".htm": "html"}
UNREAD = (".odt", ".doc", ".rtf")
LARGEST_BYTES = {"text": 8 * 1024**2, "html": 8 * 1024**2, "pdf": 64 * 1024**2, "docx": 64 * 1024**2}
LARGEST_TEXT_BYTES = 8 * 1024**2
MOST_PAGES = 1500
DOCUMENT_LIMITS = replace(
    LIMITS, memory_bytes=1536 * 1024**2, cpu_seconds=60, wall_seconds=90, answer_seconds=75.0, start_seconds=60.0
)


def needs_reading(paths: Sequence[str]) -> bool:
    """Tell whether any of these documents is opened by a parser."""
    return any(Path(path).suffix.lower() in PARSED for path in paths)


def read_documents(
    paths: Sequence[str],
    folder: Path,
    files: Mapping[str, str],
    gathered: Gathered,
    notes: list[str],
    *,
    isolation: Isolation | None,
) -> tuple[Document, ...]:
    """Read the documents that a submission names.

    Args:
        paths: in the declared order.
        folder: the quarantine.
        files: SHA-256 by path.
        gathered: takes problems: another kind of file, too large, broken, locked, with macros, no UTF-8.
        notes: takes which files were kept but not read.
        isolation: the wall behind which documents are parsed; None for a resource-limited process.

    Returns:
        Those whose text was read.

    Raises:
        CellUnavailable: the wall could not be built.
    """
    read = []
    for i, path in enumerate(paths):
        field = f"documents.{i}"
        suffix = Path(path).suffix.lower()
        kind = "text" if suffix in TEXTS else PARSED.get(suffix)
        if suffix in UNREAD:
            notes.append(f"The text of {path} was not read: supply it as .pdf, .docx, .md, .txt or .html.")
            continue
        if kind is None:
            gathered.add(field, "document.kind", path=path, known=", ".join((*TEXTS, *PARSED, *UNREAD)))
            continue
        if (folder / path).stat().st_size > LARGEST_BYTES[kind]:
            gathered.add(field, "document.too_large", path=path, most=LARGEST_BYTES[kind])
            continue
        text = (
            _plain(folder / path, path, field, gathered)
            if kind == "text"
            else _parsed(folder / path, kind, field, gathered, isolation)
        )
        if text is not None:
            read.append(Document(name=path, text=text, digest=files[path]))
    return tuple(read)


def _plain(file: Path, path: str, field: str, gathered: Gathered) -> str | None:
    content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as raised:
        gathered.add(field, "document.not_utf8", path=path, line=content[: raised.start].count(b"\n") + 1)
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _parsed(file: Path, kind: str, field: str, gathered: Gathered, isolation: Isolation | None) -> str | None:
    try:
        with reading(
            file, field=field, isolation=isolation, budget_bytes=LARGEST_TEXT_BYTES, limits=DOCUMENT_LIMITS
        ) as opened:
            return opened.text(kind=kind, most_pages=MOST_PAGES, largest=LARGEST_TEXT_BYTES)
    except Refused as refused:
        gathered.take(refused)
        return None
