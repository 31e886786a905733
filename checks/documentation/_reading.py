"""Look for items of documentation in text: by heading, keyword and likeness, without judging whether it is adequate.

What only looks like an answer is told apart: a placeholder, the item's own words repeated, and one text pasted under
many headings. Documents come from the provider and are only ever searched, never interpreted.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from checks import resources
from checks.ai_act.answers import Profile, facts
from checks.ai_act.duties import held_roles
from checks.ai_act.logic import conjunction, disjunction
from checks.ai_act.rules import load
from checks.declaration import Declaration
from checks.evidence import Document, Need, View
from checks.finding import Item, Measure, Measured, NotApplicable, NotGathered, Reason, Result, Scalar

STATES = ("found", "short", "placeholder", "not_found")
"""What can be said of an item, from best to worst."""

PASSAGE_LETTERS = 280
"""Letters of a passage that are quoted."""

KEYWORDS_NEEDED = 2
"""Different keywords that make a paragraph without a fitting heading a passage on the item."""

NEW_WORDS_NEEDED = 5
"""Different words beyond the item's own that a passage must hold; with fewer it only repeats the item."""

PASTED = 3
"""Headings under which the same text may stand twice; from this many on it is no answer to any of them."""

ITEMS_PER_PARAGRAPH = 4
"""Items that one paragraph can be found for by keywords alone; one that names more is a list of topics."""

LIKE = 0.3
"""Likeness from which on a paragraph is taken as a passage on the item it is most like (cosine of the weights of groups
of three to five letters; between 0 and 1). Chosen on documents written for the tests, so that paragraphs on other
subjects stay below it."""

WORD = re.compile(r"[^\W\d_][\w'’-]*", re.UNICODE)
_HASHED = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t#]*$")
_NUMBERED = re.compile(r"^ {0,3}(\d{1,2}(?:\.\d{1,2}){0,3}|[a-z])[.)]?[ \t]+(\S.{1,78})$")
_BOLD = re.compile(r"^ {0,3}(?:\*\*|__)(.{2,90}?)(?:\*\*|__):?[ \t]*$")
_RULE = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One item and how it is recognised.

    Args:
        id: as in `annex_iv.2g`.
        headings, keywords: patterns over normalised text.
        own: the item's own words, normalised.
        asks: the same as a text, to compare passages with.
    """

    id: str
    headings: tuple[re.Pattern[str], ...]
    keywords: tuple[re.Pattern[str], ...]
    own: frozenset[str]
    asks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A heading and the text below it, or a paragraph of it.

    Args:
        document: name of the document.
        heading: empty before the first heading.
        text: up to the next heading of the same or a higher level; with the headings and texts in between.
        prose: the same without those headings.
        said: `prose`, normalised.
    """

    document: str
    heading: str
    text: str
    prose: str
    said: str


def counted(items: Sequence[Item], definition: str) -> tuple[Measure, ...]:
    """Count the items in each state; exact, for items are no sample of anything."""
    counts = Counter(item.state for item in items)
    return tuple(
        Measure(
            name=state,
            value=float(counts[state]),
            low=float(counts[state]),
            high=float(counts[state]),
            rows=len(items),
            unit="count",
            definition=definition,
            interval="exact",
        )
        for state in STATES
    )


def look_for(evidence: View, part: str, short_words: int) -> Result:
    """Look for the items of a part that matters only where a duty follows from the answers.

    Args:
        evidence: the documents, which the check may read.
        part: a part of `parts.yaml`.
        short_words: fewest words of a passage that is not called short.

    Returns:
        What `look` gives. Not applicable where the answers settle that none of the part's duties follows; while that
        is open, it is looked for. Not gathered where there are no documents.
    """
    refusal = why_not_asked(evidence.declaration, part, evidence.rules_version)
    if refusal is not None:
        return NotApplicable(reason=refusal)
    if not evidence.holds(Need.DOCUMENTS):
        return NotGathered(reason=Reason(code="no_documents"))
    return look(evidence.documents, part, short_words)


def why_not_asked(declaration: Declaration, part: str, rules_version: str | None = None) -> Reason | None:
    """Say why a part is not looked for; None where a duty of it follows, or where answers leave that open.

    Args:
        declaration: answers and organisation.
        part: a part of `parts.yaml`.
        rules_version: of the law that is judged by; None for the law as it stands.
    """
    rules = load(rules_version)
    known = facts(declaration.answers, Profile.of(declaration), rules)
    holders = held_roles(known, rules)
    duties = [d for d in rules.duties if d.id in _parts()[part]["duties"]]
    follows = disjunction([conjunction([holders[d.role], known.holds(d.when)]) for d in duties])
    if follows.truth is not False:
        return None
    return Reason(code="no_such_duty", params={"provision": ", ".join(d.provision for d in duties)})


def look(documents: Sequence[Document], part: str, short_words: int) -> Measured:
    """Look for every item of a part in the documents.

    Args:
        documents: as text.
        part: a part of `items.yaml` or `parts.yaml`.
        short_words: fewest words of a passage that is not called short.

    Returns:
        One item each with its state and, where there is one, the passage; and the exact number of items per state.
    """
    wanted = items_of(part)
    sections = [s for d in documents for s in sections_of(d)]
    paragraphs = [p for d in documents for p in paragraphs_of(d)]
    pasted = _pasted(sections)
    named = _named(paragraphs, wanted)
    like = _like(paragraphs, wanted)
    found = tuple(
        _one(item, sections, named[item.id], pasted, short_words)
        or _one(item, (), like[item.id], pasted, short_words)
        or Item(id=item.id, state="not_found")
        for item in wanted
    )
    return Measured(
        measures=counted(found, f"checks.documentation.{part}"),
        items=found,
        reason=Reason(code="adequacy_not_judged", params={"documents": len(documents), "items": len(found)}),
    )


@cache
def items_of(part: str) -> tuple[Wanted, ...]:
    """Read the items of a part.

    Raises:
        KeyError: there is no such part.
    """
    given = _parts()[part]["items"] if part in _parts() else _data()[part]
    return tuple(_wanted(f"{part}.{name}", item) for name, item in given.items())


def parts() -> tuple[str, ...]:
    """Name every part that documents are searched for."""
    return ("annex_iv", "instructions_for_use", *_parts())


def instructions_among(documents: Sequence[Document]) -> tuple[Document, ...]:
    """Choose the documents that call themselves instructions for use; all of them where none does."""
    names = tuple(_data()["instructions_names"])

    def calls_itself_so(document: Document) -> bool:
        first = next((s.heading for s in sections_of(document) if s.heading), "")
        said = normal(f"{re.sub(r'[_./-]+', ' ', document.name)} {first}")
        return any(name in said for name in names)

    return tuple(d for d in documents if calls_itself_so(d)) or tuple(documents)


def _data() -> Mapping[str, Any]:
    read: Mapping[str, Any] = resources.read("documentation/items.yaml")
    return read


def _parts() -> Mapping[str, Any]:
    read: Mapping[str, Any] = resources.read("documentation/parts.yaml")
    return read


def _wanted(name: str, given: Mapping[str, Any]) -> Wanted:
    own = " ".join([given["asks"], *given["heading"], *given["keyword"]])
    return Wanted(
        id=name,
        headings=(*(_pattern(p) for p in given["heading"]), _numbered(name, given["provision"])),
        keywords=tuple(_pattern(p) for p in given["keyword"]),
        own=frozenset(WORD.findall(normal(own))),
        asks=normal(own),
    )


def _pattern(phrase: str) -> re.Pattern[str]:
    escaped = re.escape(normal(phrase)).replace(r"\*", r"\w*").replace(r"\ ", r"\s+")
    return re.compile(rf"(?<!\w){escaped}(?!\w)")


def _numbered(name: str, provision: str) -> re.Pattern[str]:
    """Fit a heading that names an item by its number, as in `Annex IV, 2(g)` or `2(g) Testing`."""
    part, _, number = name.partition(".")
    if part == "annex_iv":
        point, letter = number[0], re.escape(number[1:])
        numbered = rf"{point}\s*[.(]?\s*{letter}\)?(?!\w)" if letter else rf"{point}(?!\w|\s*[.(])"
        start = rf"|^{point}\s*\(\s*{letter}\s*\)" if letter else ""
        return re.compile(rf"(?:annex|bijlage) iv\W{{0,3}}(?:point |punt )?\(?{numbered}{start}")
    if part != "instructions_for_use":
        return _of_provision(provision)
    inner = "".join(rf"\(?{re.escape(x)}\)[\s,]*" for x in number.split("_"))
    return re.compile(rf"(?:article|artikel|art\.?) 13\W{{0,3}}(?:lid )?\(?3\)?\W{{0,2}}{inner}(?!\w|\()")


def _of_provision(provision: str) -> re.Pattern[str]:
    """Fit a heading that names the first article of a provision, as in `Article 9(2)(a)` or `artikel 9, lid 2, a`."""
    named = re.match(r"AIA (\d+[a-z]?)((?:\([0-9a-z]+\))*)", provision)
    if named is None:
        return re.compile(r"(?!)")
    inner = "".join(
        rf"\W{{0,3}}(?:lid |onder )?\(?{re.escape(x)}\)?(?!\w)" for x in re.findall(r"\(([0-9a-z]+)\)", named[2])
    )
    return re.compile(rf"(?:article|artikel|art\.?) {named[1]}(?!\w){inner}(?!\()")


def normal(text: str) -> str:
    """Write text in small letters and composed form, with plain apostrophes and single spaces."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).replace("’", "'")).casefold().strip()


def sections_of(document: Document) -> Iterator[Passage]:
    """Yield the sections of a document: each heading with all that stands below it, parts included."""
    lines = document.text.splitlines()
    heads = list(_headings(lines))
    taken = {n for _, _, start, end in heads for n in range(start, end)}
    if not heads or heads[0][2] > 0:
        first = heads[0][2] if heads else len(lines)
        yield _passage(document.name, "", lines, range(first), taken)
    for i, (level, title, _, end) in enumerate(heads):
        until = next((h[2] for h in heads[i + 1 :] if h[0] <= level), len(lines))
        yield _passage(document.name, title, lines, range(end, until), taken)


def _passage(name: str, heading: str, lines: Sequence[str], span: range, taken: set[int]) -> Passage:
    prose = "\n".join(lines[n] for n in span if n not in taken).strip()
    text = "\n".join(lines[n] for n in span).strip()
    return Passage(document=name, heading=heading, text=text, prose=prose, said=normal(prose))


def paragraphs_of(document: Document) -> Iterator[Passage]:
    """Yield the paragraphs of a document, each with the heading it stands under."""
    lines = document.text.splitlines()
    heads = list(_headings(lines))
    borders = [(0, 0, "")] + [(start, end, title) for _, title, start, end in heads]
    for i, (_, end, title) in enumerate(borders):
        until = borders[i + 1][0] if i + 1 < len(borders) else len(lines)
        for block in re.split(r"\n\s*\n", "\n".join(lines[end:until])):
            if block.strip():
                text = block.strip()
                yield Passage(document=document.name, heading=title, text=text, prose=text, said=normal(text))


def _headings(lines: Sequence[str]) -> Iterator[tuple[int, str, int, int]]:
    """Yield (level, title, first line, first line below it) of every heading."""
    fenced = False
    for n, raw in enumerate(lines):
        if raw.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        if fenced:
            continue
        below = lines[n + 1] if n + 1 < len(lines) else ""
        before = lines[n - 1] if n else ""
        if hashed := _HASHED.match(raw):
            yield len(hashed[1]), hashed[2], n, n + 1
        elif raw.strip() and not before.strip() and (ruled := _RULE.match(below)) and len(ruled[1]) > 2:
            yield (1 if ruled[1][0] == "=" else 2), raw.strip(), n, n + 2
        elif bold := _BOLD.match(raw):
            yield 6, bold[1], n, n + 1
        elif (numbered := _NUMBERED.match(raw)) and not before.strip() and not below.strip() and _title(numbered[2]):
            yield 2 + numbered[1].count("."), raw.strip(), n, n + 1


def _title(text: str) -> bool:
    """Tell a heading from a sentence in a numbered list: it does not end like one."""
    return not text.rstrip().endswith((".", ";", ",", ":")) and len(text.split()) <= 10


def _pasted(sections: Sequence[Passage]) -> frozenset[str]:
    """Find texts that stand, the same, under several headings."""
    by_text = Counter(s.said for s in sections if s.said and s.text == s.prose)
    return frozenset(text for text, times in by_text.items() if times >= PASTED)


def _named(paragraphs: Sequence[Passage], wanted: Sequence[Wanted]) -> Mapping[str, tuple[Passage, ...]]:
    """Find, per item, the paragraphs that name it by keywords; one that names many items is a list of topics."""
    named: dict[str, list[Passage]] = {item.id: [] for item in wanted}
    for passage in paragraphs:
        items = [item for item in wanted if _names(item, passage.said)]
        if len(items) <= ITEMS_PER_PARAGRAPH:
            for item in items:
                named[item.id].append(passage)
    return {name: tuple(found) for name, found in named.items()}


def _like(paragraphs: Sequence[Passage], wanted: Sequence[Wanted]) -> Mapping[str, tuple[Passage, ...]]:
    """Find, per item, the paragraphs that are more like what it asks than like any other item."""
    like: dict[str, list[Passage]] = {item.id: [] for item in wanted}
    prose = [p for p in paragraphs if p.heading or len(p.said) >= PASSAGE_LETTERS]
    if prose:
        from sklearn.feature_extraction.text import TfidfVectorizer

        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
        asked = letters.fit_transform([item.asks for item in wanted])
        likeness = (letters.transform([f"{normal(p.heading)} {p.said}" for p in prose]) @ asked.T).toarray()
        for passage, row in zip(prose, likeness, strict=True):
            if row.max() >= LIKE:
                like[wanted[int(row.argmax())].id].append(passage)
    return {name: tuple(found) for name, found in like.items()}


def _names(item: Wanted, said: str) -> bool:
    return sum(bool(k.search(said)) for k in item.keywords) >= KEYWORDS_NEEDED


def _one(
    item: Wanted,
    sections: Sequence[Passage],
    named: Sequence[Passage],
    pasted: frozenset[str],
    short_words: int,
) -> Item | None:
    headed = [s for s in sections if s.heading and any(h.search(normal(s.heading)) for h in item.headings)]
    best: tuple[int, Passage] | None = None
    for passage in [*headed, *named]:
        rank = STATES.index(state_of(item, passage, pasted, short_words))
        if best is None or rank < best[0]:
            best = (rank, passage)
    if best is None:
        return None
    rank, passage = best
    params: dict[str, Scalar] = {"document": passage.document, "passage": quoted(passage.prose)}
    if passage.heading:
        params["heading"] = quoted(passage.heading)
    return Item(id=item.id, state=STATES[rank], params=params)


def state_of(item: Wanted, passage: Passage, pasted: frozenset[str], short_words: int) -> str:
    """Say what a passage is worth as a trace of an item: `found`, `short` or `placeholder`."""
    if passage.said in pasted:
        return "placeholder"
    left = _placeholders().sub(" ", passage.said)
    words = WORD.findall(left)
    if left != passage.said and len(words) < short_words:
        return "placeholder"
    filler = frozenset(_data()["filler"])
    if len({w for w in words if w in filler}) >= 3:
        return "placeholder"
    if len({w for w in words if len(w) > 2} - item.own - _function_words()) < NEW_WORDS_NEEDED:
        return "placeholder" if _repeats(words, item) else "short"
    return "short" if len(words) < short_words else "found"


def is_placeholder(text: str) -> bool:
    """Tell whether a text of a few words says no more than that something is still to come."""
    said = normal(text)
    left = _placeholders().sub(" ", said)
    return left != said and len(WORD.findall(left)) < NEW_WORDS_NEEDED


def _repeats(words: Sequence[str], item: Wanted) -> bool:
    content = [w for w in words if len(w) > 2 and w not in _function_words()]
    return not content or sum(w in item.own for w in content) * 2 >= len(content)


@cache
def _placeholders() -> re.Pattern[str]:
    return re.compile("|".join(rf"(?<![\w])(?:{p})(?![\w])" for p in _data()["placeholders"]))


@cache
def _function_words() -> frozenset[str]:
    return frozenset(_data()["function_words"])


def quoted(text: str) -> str:
    """Quote the beginning of a text in one line, cut between words."""
    one = re.sub(r"\s+", " ", text).strip()
    if len(one) <= PASSAGE_LETTERS:
        return one
    return one[:PASSAGE_LETTERS].rsplit(" ", 1)[0].rstrip(" ,;:") + " …"
