"""The tree that every document is made from: a card of sections, and the typed blocks that a section holds.

Text enters the tree through `Span`, `Cell` and `Section` alone, which make control and direction characters visible;
what remains for an export is the escaping of its own format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from model_cards.words import visible


class Tone(StrEnum):
    """How a thing is set off; never the only carrier of what it says."""

    PLAIN = "plain"
    LEAD = "lead"
    QUIET = "quiet"
    BEYOND = "beyond"
    UNDECIDED = "undecided"
    WITHIN = "within"
    MISSING = "missing"
    ERROR = "error"


class Style(StrEnum):
    """How a piece of running text is set."""

    PLAIN = "plain"
    STRONG = "strong"
    QUIET = "quiet"
    CODE = "code"
    LINK = "link"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of running text.

    Args:
        text: as shown.
        style: how it is set.
        to: id of a section, for a link.
    """

    text: str
    style: Style = Style.PLAIN
    to: str = ""

    def __post_init__(self) -> None:
        """Make hidden characters visible, once, so that no export can forget it."""
        object.__setattr__(self, "text", visible(self.text))


Line = tuple[Span, ...]
"""Running text."""


def line(*parts: str | Span) -> Line:
    """Make running text of plain strings and spans."""
    return tuple(part if isinstance(part, Span) else Span(text=part) for part in parts if part)


def strong(text: str) -> Span:
    """Make a piece of strong text."""
    return Span(text=text, style=Style.STRONG)


def code(text: str) -> Span:
    """Make a piece of text that is a name or a digest."""
    return Span(text=text, style=Style.CODE)


def quiet(text: str) -> Span:
    """Make a piece of text that steps back."""
    return Span(text=text, style=Style.QUIET)


def link(text: str, to: str) -> Span:
    """Make a link to a section of the same document."""
    return Span(text=text, style=Style.LINK, to=to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Running text."""

    line: Line
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A term and what is said of it; several lines are several statements."""

    term: str
    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        """Make hidden characters visible."""
        object.__setattr__(self, "term", visible(self.term))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """A list of terms and what is said of them."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table.

    Args:
        line: what it holds.
        tone: sets it off.
        detail: a second, quieter line.
    """

    line: Line
    tone: Tone = Tone.PLAIN
    detail: Line = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table: its heading, whether it holds numbers, and its share of the width."""

    title: str
    number: bool = False
    width: int = 1

    def __post_init__(self) -> None:
        """Make hidden characters visible."""
        object.__setattr__(self, "title", visible(self.title))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table; the first cell of a row is its heading.

    Args:
        caption: what the table shows; never empty.
        columns, rows: as many cells in each row as columns.
        note: what must be read beside it.
        under_its_title: whether it stands right under a heading that says what it shows; its caption is then for those
            alone who do not see the page.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: Line = ()
    under_its_title: bool = False

    def __post_init__(self) -> None:
        """Hold every row to the number of columns."""
        object.__setattr__(self, "caption", visible(self.caption))
        if not self.caption or any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("a table has a caption and as many cells in each row as columns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A plot with its text alternative and its figures.

    Args:
        name: of the figure, as in `fairness.selection_rate.sex`.
        caption: what it shows.
        alternative: the same in words, for who cannot see it.
        svg: the drawing; empty where it could not be drawn, and then the table is shown in its place.
        figures: the figures as a table.
        repeated: whether a paged document leaves the table out: the same section says these figures already, or they
            are the data of each point.
        under_its_title: as of a table.
    """

    name: str
    caption: str
    alternative: str
    svg: str
    figures: Table
    repeated: bool = False
    under_its_title: bool = False

    def __post_init__(self) -> None:
        """Make hidden characters visible."""
        object.__setattr__(self, "caption", visible(self.caption))
        object.__setattr__(self, "alternative", visible(self.alternative))


@dataclass(frozen=True, slots=True, kw_only=True)
class Callout:
    """A statement that is set off from the text around it."""

    lines: tuple[Line, ...]
    tone: Tone = Tone.PLAIN
    title: str = ""

    def __post_init__(self) -> None:
        """Make hidden characters visible."""
        object.__setattr__(self, "title", visible(self.title))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bullets:
    """A list of statements.

    Args:
        ordered: whether the order is part of what is said.
    """

    items: tuple[Line, ...]
    ordered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """One large number with its words."""

    number: str
    words: str
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The counts beside each other that a summary opens with."""

    counts: tuple[Count, ...]


Block = Paragraph | Entries | Table | Picture | Callout | Bullets | Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """An outcome in words, with its tone."""

    words: str
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the card.

    Args:
        id: unique in the card; letters, digits and hyphens.
        title: its heading.
        badge: an outcome beside the heading.
        blocks: what it holds, before its own parts.
        sections: its parts.
        on_a_new_page: whether a paged document starts a page with it.
        folded: whether a screen shows its heading alone until it is asked for: details that few readers need.
    """

    id: str
    title: str
    badge: Badge | None = None
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()
    on_a_new_page: bool = False
    folded: bool = False

    def __post_init__(self) -> None:
        """Make hidden characters visible."""
        object.__setattr__(self, "title", visible(self.title))

    def walk(self) -> Iterator[Section]:
        """Yield this section and all its parts, in order."""
        yield self
        for part in self.sections:
            yield from part.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A word of the document itself (of its navigation, say), by key."""

    key: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A whole document, in one language.

    Args:
        lang: `en` or `nl`.
        title: the system's name.
        subtitle: what the document is.
        facts: the title page's facts (provider, version, dates, digest).
        opening: the first lines: who attests it, how, and what it is not.
        sections: the parts, summary first.
        labels: words of the document itself.
        siblings: the other languages, as (code, name in that language).
    """

    lang: str
    title: str
    subtitle: str
    facts: Entries
    opening: tuple[Callout, ...]
    sections: tuple[Section, ...]
    labels: tuple[Label, ...] = ()
    siblings: tuple[tuple[str, str], ...] = field(default=())

    def __post_init__(self) -> None:
        """Make hidden characters visible and hold section ids to being unique."""
        object.__setattr__(self, "title", visible(self.title))
        ids = [section.id for section in self.walk()]
        if len(set(ids)) != len(ids):
            raise ValueError(f"section ids are used twice: {sorted({i for i in ids if ids.count(i) > 1})}")

    def walk(self) -> Iterator[Section]:
        """Yield every section, in order."""
        for section in self.sections:
            yield from section.walk()

    def pictures(self) -> Iterator[Picture]:
        """Yield every picture, in order."""
        for section in self.walk():
            yield from (block for block in section.blocks if isinstance(block, Picture))

    def label(self, key: str) -> str:
        """Give a word of the document itself; an unknown key is shown as such."""
        return next((label.words for label in self.labels if label.key == key), f"[{key}]")
