"""Lay two dossiers side by side: what moved beyond its interval, changed outcome, came or went, and no verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from checks.ai_act.risk import Duty
from checks.finding import AppliedLimit, Finding, Measure, Outcome, Rejudge
from model_cards.build import NAV
from model_cards.card import (
    Block,
    Callout,
    Card,
    Cell,
    Column,
    Entries,
    Entry,
    Label,
    Paragraph,
    Section,
    Table,
    Tone,
    code,
    line,
)
from model_cards.dossier import Dossier
from model_cards.sections.findings import NOT_OF_PEOPLE
from model_cards.words import Words

SAME: Final = 1e-9
"""What two figures may differ by on another kind of processor without being called different."""

Key = tuple[str, str | None, str, str]
"""A figure: check, attribute, group (as text; empty for the headline) and measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two dossiers.

    Args:
        public: whether it is a public package, of which figures were kept in.
    """

    system: str
    version: str
    digest: str
    as_of: str
    rules_version: str
    policy: str
    route: str
    software: str
    risk_class: str
    routes: tuple[str, ...]
    overlays: tuple[str, ...]
    public: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One figure that is not what it was; None where that dossier does not have it."""

    check: str
    attribute: str | None
    group: str
    measure: str
    before: Measure | None
    after: Measure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Something that had one state and has another; None where it is not there.

    Args:
        what: a finding (`check` or `check/attribute`), a limit, a duty (`id/role`) or a file.
    """

    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changed between two dossiers.

    Args:
        before, after: the two.
        same_system: whether they are of the system of one name.
        same_data: whether the files with evaluation data are the same; None where a side names none.
        outcomes: findings whose outcome changed, or that one of the two does not have.
        limits: limits whose bounds changed.
        moved: figures whose intervals do not overlap.
        without_interval: figures that differ, where one of the two has no interval.
        on_one_side: figures that only one of the two has a value for.
        duties: those that came, went, or whose status or date changed.
        files: files of the submission that came, went or changed.
    """

    before: Side
    after: Side
    same_system: bool
    same_data: bool | None
    outcomes: tuple[Changed, ...]
    limits: tuple[Changed, ...]
    moved: tuple[Moved, ...]
    without_interval: tuple[Moved, ...]
    on_one_side: tuple[Moved, ...]
    duties: tuple[Changed, ...]
    files: tuple[Changed, ...]

    @property
    def class_changed(self) -> bool:
        """Whether the class, its routes or overlays, or the rules they follow from are other ones."""
        one, two = self.before, self.after
        return (one.risk_class, one.routes, one.overlays, one.rules_version) != (
            two.risk_class,
            two.routes,
            two.overlays,
            two.rules_version,
        )

    def as_object(self) -> dict[str, Any]:
        """Give it as JSON types."""
        given = asdict(self)
        for name in ("moved", "without_interval", "on_one_side"):
            given[name] = [_as_object(m) for m in getattr(self, name)]
        return {**given, "class_changed": self.class_changed}


def _as_object(moved: Moved) -> dict[str, Any]:
    def side(m: Measure | None) -> dict[str, Any] | None:
        return None if m is None else {"value": m.value, "low": m.low, "high": m.high, "rows": m.rows, "unit": m.unit}

    return {
        "check": moved.check,
        "attribute": moved.attribute,
        "group": moved.group,
        "measure": moved.measure,
        "before": side(moved.before),
        "after": side(moved.after),
    }


def compare(before: Dossier, after: Dossier) -> Comparison:
    """Compare two dossiers. Pure: the same two give the same comparison.

    Args:
        before: the earlier one.
        after: the later one.
    """
    moved, without, alone = _figures(before, after)
    one, two = _side(before), _side(after)
    return Comparison(
        before=one,
        after=two,
        same_system=one.system == two.system,
        same_data=_same_data(before, after),
        outcomes=_changes(_outcomes(before), _outcomes(after)),
        limits=_changes(_limits(before), _limits(after)),
        moved=moved,
        without_interval=without,
        on_one_side=alone,
        duties=_changes(_duties(before), _duties(after)),
        files=_changes(before.submission.files, after.submission.files),
    )


def _side(dossier: Dossier) -> Side:
    return Side(
        system=dossier.declaration.system.name,
        version=dossier.declaration.system.version,
        digest=dossier.digest,
        as_of=dossier.risk.as_of.isoformat(),
        rules_version=dossier.risk.rules_version,
        policy=f"{dossier.policy.name} {dossier.policy.version}",
        route=dossier.submission.route.value,
        software=dossier.versions.get("aiact-sandbox", ""),
        risk_class=str(dossier.risk.risk_class),
        routes=tuple(f"{r.risk_class} ({r.provision})" for r in dossier.risk.routes),
        overlays=dossier.risk.overlays,
        public=dossier.publication is not None,
    )


def _same_data(before: Dossier, after: Dossier) -> bool | None:
    def of(dossier: Dossier) -> set[str]:
        stated = dossier.declaration
        named = {stated.data.file if stated.data else None, stated.counts.file if stated.counts else None}
        return {digest for name, digest in dossier.submission.files.items() if name in named}

    one, two = of(before), of(after)
    return one == two if one and two else None


def _name(finding: Finding) -> str:
    return finding.check if finding.attribute is None else f"{finding.check}/{finding.attribute}"


def _outcomes(dossier: Dossier) -> dict[str, str]:
    return {_name(f): f.outcome.value for f in dossier.findings}


def _limits(dossier: Dossier) -> dict[str, str]:
    # A limit is of a check's measure, the same for every attribute.
    return {f"{f.check}.{name}": _bounds(limit) for f in dossier.findings for name, limit in f.limit.items()}


def _bounds(limit: AppliedLimit) -> str:
    given = (("at_least", limit.at_least), ("at_most", limit.at_most))
    return " ".join(f"{name}:{bound!r}" for name, bound in given if bound is not None)


def _duties(dossier: Dossier) -> dict[str, str]:
    return {f"{d.id}/{d.role}": _duty(d) for d in dossier.risk.duties}


def _duty(duty: Duty) -> str:
    return f"{duty.status}|{duty.applies_from.isoformat() if duty.applies_from else ''}"


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Changed, ...]:
    names = [*before, *(name for name in after if name not in before)]
    return tuple(
        Changed(what=name, before=before.get(name), after=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )


def _measures(dossier: Dossier) -> dict[Key, Measure]:
    found: dict[Key, Measure] = {}
    for finding in dossier.findings:
        for m in finding.measures:
            found[finding.check, finding.attribute, "", m.name] = m
        for group in finding.groups:
            named = ", ".join(f"{k}: {'–' if v is None else v}" for k, v in group.group.items())
            for m in group.measures:
                found[finding.check, finding.attribute, named, m.name] = m
    return found


def _figures(before: Dossier, after: Dossier) -> tuple[tuple[Moved, ...], tuple[Moved, ...], tuple[Moved, ...]]:
    """Sort the figures that differ: beyond their intervals, without an interval, on one side alone."""
    one, two = _measures(before), _measures(after)
    moved, without, alone = [], [], []
    for key in [*one, *(k for k in two if k not in one)]:
        was, now = one.get(key), two.get(key)
        check, attribute, group, name = key
        found = Moved(check=check, attribute=attribute, group=group, measure=name, before=was, after=now)
        old, new = was.value if was else None, now.value if now else None
        if old is None and new is None:
            continue
        if was is None or now is None or old is None or new is None:
            alone.append(found)
        elif abs(old - new) <= SAME * max(1.0, abs(old), abs(new)):
            continue
        elif was.low is None or was.high is None or now.low is None or now.high is None:
            without.append(found)
        elif was.high < now.low or now.high < was.low:
            moved.append(found)
    return tuple(moved), tuple(without), tuple(alone)


# ---- in words


def to_card(found: Comparison, lang: str) -> Card:
    """Set a comparison out as a tree of sections, which the documents' own exports can write.

    Raises:
        LookupError: there are no words in that language.
    """
    words = Words(lang)
    said = [line(words("comparing.method.text"))]
    if not found.same_system:
        said.insert(0, line(words("comparing.other_system", before=found.before.system, after=found.after.system)))
    if found.same_data is False:
        said.insert(0, line(words("comparing.other_data")))
    if found.before.public or found.after.public:
        both = found.before.public and found.after.public
        said.insert(0, line(words("comparing.public.both" if both else "comparing.public.one")))
    parts = (
        ("outcomes", "finding", [_outcome_row(c, words) for c in found.outcomes]),
        ("figures", "figure", [_moved_row(m, words) for m in found.moved]),
        ("duties", "duty", [_duty_row(c, words) for c in found.duties]),
        ("limits", "limit", [_limit_row(c, words) for c in found.limits]),
        ("documents", "file", [_file_row(c, words) for c in found.files]),
    )
    sections = [
        _section(name, words(f"comparing.{name}.title"), _column(name, first, words), rows, words)
        for name, first, rows in parts
    ]
    sections.insert(2, _class_section(found, words))
    for name in ("without", "appeared"):
        given = found.without_interval if name == "without" else found.on_one_side
        if given:
            rows = [_moved_row(m, words) for m in given]
            title = words(f"comparing.figures.{name}")
            sections.append(_section(f"figures-{name}", title, words("comparing.figures.figure"), rows, words))
    return Card(
        lang=lang,
        title=words("comparing.title"),
        subtitle=words("comparing.subtitle"),
        facts=_facts(found, words),
        opening=(
            Callout(title=words("comparing.method.title"), lines=tuple(said)),
            Callout(title=words("card.statement.title"), lines=(line(words("card.statement.text")),), tone=Tone.QUIET),
        ),
        sections=tuple(sections),
        labels=tuple(Label(key=key, words=words(f"card.nav.{key}")) for key in NAV),
    )


def _column(name: str, first: str, words: Words) -> str:
    return words(f"comparing.{name}.{first}")


def _section(key: str, title: str, first: str, rows: Sequence[tuple[Cell, ...]], words: Words) -> Section:
    block: Block = Paragraph(line=line(words("comparing.none")))
    if rows:
        block = Table(
            caption=title,
            columns=(
                Column(title=first, width=4),
                Column(title=words("comparing.before"), width=2),
                Column(title=words("comparing.after"), width=2),
            ),
            rows=tuple(rows),
            under_its_title=True,
        )
    return Section(id=f"compare-{key}", title=title, blocks=(block,))


def _facts(found: Comparison, words: Words) -> Entries:
    one, two = found.before, found.after
    pairs = (
        ("system", one.system, two.system),
        ("version", one.version, two.version),
        ("as_of", words.date(one.as_of), words.date(two.as_of)),
        ("rules", one.rules_version, two.rules_version),
        ("policy", one.policy, two.policy),
        ("route", words.scalar(_route(one.route, words)), words.scalar(_route(two.route, words))),
        ("software", one.software, two.software),
    )
    entries = [
        Entry(
            term=words(f"comparing.facts.{key}"),
            lines=(line(a),) if a == b else (_said(words, "before", a), _said(words, "after", b)),
        )
        for key, a, b in pairs
    ]
    digests = (
        line(f"{words('comparing.before')}: ", code(one.digest)),
        line(f"{words('comparing.after')}: ", code(two.digest)),
    )
    return Entries(entries=(*entries, Entry(term=words("comparing.facts.digest"), lines=digests)))


def _route(route: str, words: Words) -> str:
    return words.find(f"reasons.values.route.{route}") or route


def _said(words: Words, side: str, value: str) -> Any:
    return line(f"{words(f'comparing.{side}')}: {value}")


def _class_section(found: Comparison, words: Words) -> Section:
    rows = []
    if found.class_changed:
        one, two = found.before, found.after
        pairs = (
            ("class", words.class_name(one.risk_class), words.class_name(two.risk_class)),
            ("routes", "; ".join(_routes(one, words)), "; ".join(_routes(two, words))),
            ("overlays", "; ".join(map(words.overlay, one.overlays)), "; ".join(map(words.overlay, two.overlays))),
            ("rules", one.rules_version, two.rules_version),
        )
        rows = [_row(words(f"comparing.classes.{key}"), a or "–", b or "–") for key, a, b in pairs if a or b]
    return _section("classes", words("comparing.classes.title"), words("comparing.classes.class"), rows, words)


def _routes(side: Side, words: Words) -> Iterable[str]:
    for route in side.routes:
        name, _, provision = route.partition(" ")
        yield f"{words.class_name(name)} {provision}"


def _row(*texts: str) -> tuple[Cell, ...]:
    return tuple(Cell(line=line(text)) for text in texts)


def _titled(check: str, attribute: str | None, words: Words) -> str:
    return words.finding_title(
        Finding(check=check, outcome=Outcome.MEASURED, attribute=attribute, rejudge=Rejudge.DOSSIER)
    )


def _outcome_row(changed: Changed, words: Words) -> tuple[Cell, ...]:
    check, _, attribute = changed.what.partition("/")
    sides = (words("comparing.absent") if o is None else words.outcome(o) for o in (changed.before, changed.after))
    return _row(_titled(check, attribute or None, words), *sides)


def _moved_row(moved: Moved, words: Words) -> tuple[Cell, ...]:
    name = words.measure_name(moved.check, moved.measure)
    title = f"{_titled(moved.check, moved.attribute, words)}: {name}"
    if moved.group:
        title += f" ({_part(moved, words)})"
    sides = (
        words("comparing.absent") if m is None else words.value(words.said(moved.check, m))
        for m in (moved.before, moved.after)
    )
    return _row(title, *sides)


def _part(moved: Moved, words: Words) -> str:
    """Name what a figure is of: a group of people as its table has it, anything else in the reader's words."""
    sort, _, part = moved.group.partition(": ")
    if sort not in NOT_OF_PEOPLE or moved.attribute == sort:
        return moved.group
    said = words.decimal(float(part), 4) if sort == "threshold" else part
    return f"{words(f'card.finding.{sort}')}: {said}"


def _duty_row(changed: Changed, words: Words) -> tuple[Cell, ...]:
    duty, _, role = changed.what.rpartition("/")

    def said(state: str | None) -> str:
        if state is None:
            return words("comparing.absent")
        status, _, day = state.partition("|")
        return f"{words(f'law.statuses.{status}')}; {words('terminal.from', date=words.date(day or None))}"

    return _row(f"{words.duty(duty)} ({words.role(role)})", said(changed.before), said(changed.after))


def _limit_row(changed: Changed, words: Words) -> tuple[Cell, ...]:
    check, _, measure = changed.what.rpartition(".")

    def said(bounds: str | None) -> str:
        if not bounds:
            return words("comparing.limits.nothing")
        pairs = (bound.partition(":") for bound in bounds.split(" "))
        return ", ".join(words(f"comparing.limits.{name}", value=float(value)) for name, _, value in pairs)

    title = f"{words.title(check)}: {words.measure_name(check, measure)}"
    return _row(title, said(changed.before), said(changed.after))


def _file_row(changed: Changed, words: Words) -> tuple[Cell, ...]:
    state = "came" if changed.before is None else "went" if changed.after is None else "changed"
    short = (words("comparing.absent") if d is None else f"{d[:16]}…" for d in (changed.before, changed.after))
    return _row(f"{changed.what} ({words(f'comparing.documents.{state}')})", *short)


def counts(found: Comparison, words: Words) -> str:
    """Give the line that a summary ends with."""
    return words(
        "comparing.counts",
        outcomes=len(found.outcomes),
        moved=len(found.moved),
        duties=len(found.duties),
        documents=len(found.files),
    )


def as_text(found: Comparison, lang: str) -> str:
    """Write a comparison for a terminal."""
    words = Words(lang)
    card = to_card(found, lang)

    def plain(spans: Sequence[Any]) -> str:
        return "".join(span.text for span in spans)

    lines = [card.title, ""]
    for entry in card.facts.entries:
        lines.append(f"{entry.term}: {' | '.join(plain(said) for said in entry.lines)}")
    for section in card.sections:
        lines += ["", section.title]
        for block in section.blocks:
            if isinstance(block, Table):
                for row in block.rows:
                    first, *sides = (plain(cell.line) for cell in row)
                    lines.append(f"  {first}: {' -> '.join(sides)}")
            elif isinstance(block, Paragraph):
                lines.append(f"  {plain(block.line)}")
    for callout in card.opening:
        lines += ["", *(plain(said) for said in callout.lines)]
    return "\n".join([*lines, "", counts(found, words)])


def as_html(found: Comparison, lang: str) -> bytes:
    """Write a comparison as one self-contained page, in the form of a model card."""
    from model_cards.exports import html

    return html.page(to_card(found, lang))


def compare_folders(before: Path, after: Path) -> Comparison:
    """Compare the dossiers of two folders or zips.

    Raises:
        Refused: one of them holds no dossier that can be read.
        FileNotFoundError: there is nothing of that name.
    """
    return compare(_load(before), _load(after))


def _load(source: Path) -> Dossier:
    from sandbox.contents import Contents, Unreadable
    from sandbox.errors import Problem, Refused

    try:
        with Contents.of(source) as contents:
            return Dossier.from_json(contents.read("dossier.json"))
    except (Unreadable, ValueError, KeyError, TypeError, AttributeError, RecursionError) as wrong:
        message = f"{source} holds no dossier of schema 1; name the folder or zip of a dossier"
        raise Refused(Problem(field="dossier.json", code="dossier.unreadable", message=message)) from wrong
