"""The card as Markdown, with front matter that a Hugging Face model card can carry.

Values come from the provider and may be hostile: everything is escaped, so that text is never read as markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import assert_never

from model_cards.build import build
from model_cards.card import (
    Block,
    Bullets,
    Callout,
    Card,
    Cell,
    Entries,
    Line,
    Paragraph,
    Picture,
    Section,
    Span,
    Style,
    Table,
    Tally,
)
from model_cards.dossier import Assessment
from model_cards.front_matter import front_matter
from model_cards.material import file_name

FORMAT = "markdown"
SUFFIX = ".md"
STANDARD = "CommonMark 0.31 with GitHub tables; Hugging Face model card front matter (model-index)"

_LINE_START = re.compile(r"^(\s*)([-+#>=~]|\d+[.)])")


def render(assessment: Assessment, lang: str, *, card: Card | None = None) -> bytes:
    """Make the card as Markdown.

    Args:
        lang: of `model_cards.words.languages()`.
        card: the tree, where it has been built already.

    Returns:
        UTF-8 text with front matter; the same assessment gives the same bytes.
    """
    card = card or build(assessment, lang)
    return f"{front_matter(assessment, lang)}\n{body(card)}".encode()


def body(card: Card) -> str:
    """Write the tree as Markdown without front matter."""
    parts = [f"# {escape(card.title)}", f"*{escape(card.subtitle)}*"]
    for callout in card.opening:
        parts += list(_block(callout, card))
    parts += list(_block(card.facts, card))
    for section in card.sections:
        parts += list(_section(section, card, 2))
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Escape text so that no Markdown, HTML, link or mention can come of it.

    Args:
        text: one line, without control characters.
    """
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = re.sub(r"([\\`*_{}\[\]#|~$^!])", r"\\\1", escaped)
    # A link needs no markup on some readers: a scheme, `www.` and `@name` are broken up by an empty comment's kin.
    escaped = re.sub(r"(?i)\b(https?|ftp|mailto|javascript|data)(:)", r"\1&#58;", escaped)
    escaped = re.sub(r"(?i)\bwww\.", "www&#46;", escaped)
    escaped = escaped.replace("@", "&#64;")
    return _LINE_START.sub(_escaped_start, escaped)


def _escaped_start(found: re.Match[str]) -> str:
    mark = found[2]
    return f"{found[1]}{mark[:-1]}\\{mark[-1]}"


def _section(section: Section, card: Card, level: int) -> Iterator[str]:
    yield f'<a id="{section.id}"></a>\n\n{"#" * min(level, 6)} {escape(section.title)}'
    if section.badge is not None:
        yield f"**{escape(section.badge.words)}**"
    for block in section.blocks:
        yield from _block(block, card)
    for part in section.sections:
        yield from _section(part, card, level + 1)


def _block(block: Block, card: Card) -> Iterator[str]:
    match block:
        case Paragraph():
            yield _line(block.line)
        case Entries():
            yield "\n".join(
                f"- **{escape(entry.term)}**: {'; '.join(_line(said) for said in entry.lines)}"
                for entry in block.entries
            )
        case Table():
            yield from _table(block)
        case Picture():
            yield from _picture(block, card)
        case Callout():
            title = [f"> **{escape(block.title)}**"] if block.title else []
            yield "\n>\n".join(title + [f"> {_line(said)}" for said in block.lines])
        case Bullets():
            marks = [f"{i}." if block.ordered else "-" for i in range(1, len(block.items) + 1)]
            yield "\n".join(f"{mark} {_line(item)}" for mark, item in zip(marks, block.items, strict=True))
        case Tally():
            yield " · ".join(f"**{escape(c.number)}** {escape(c.words)}" for c in block.counts)
        case _:
            assert_never(block)


def _line(said: Line) -> str:
    return "".join(_span(span) for span in said)


def _span(span: Span) -> str:
    text = escape(span.text)
    bare = text.strip()
    if not bare:
        return text
    match span.style:
        case Style.STRONG:
            return text.replace(bare, f"**{bare}**", 1)
        case Style.CODE:
            # Inside back quotes nothing is markup but the back quote itself, and an entity is not resolved.
            return escape(span.text) if "`" in span.text or "|" in span.text else f"`{span.text}`"
        case Style.LINK:
            return f"[{bare}](#{span.to})"
        case _:
            return text


def _table(table: Table) -> Iterator[str]:
    yield f"**{escape(table.caption)}**"
    head = "| " + " | ".join(escape(column.title) for column in table.columns) + " |"
    rule = "|" + "|".join(" ---: " if column.number else " --- " for column in table.columns) + "|"
    rows = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in table.rows]
    yield "\n".join([head, rule, *rows])
    if table.note:
        yield _line(table.note)


def _cell(cell: Cell) -> str:
    said = _line(cell.line)
    return f"{said}<br>{_line(cell.detail)}" if cell.detail else said


def _picture(picture: Picture, card: Card) -> Iterator[str]:
    if picture.svg:
        name = f"plots/{file_name(picture.name)}.{card.lang}.svg"
        alternative = escape(picture.alternative)
        yield f"![{alternative}]({name})"
        yield f"<details><summary>{escape(card.label('figures'))}</summary>"
        yield from _table(picture.figures)
        yield "</details>"
        return
    yield escape(card.label("no_drawing"))
    yield from _table(picture.figures)
