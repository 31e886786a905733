"""An entry for the Dutch algorithm register, in the encoding that its API takes, with the origin of every field.

The register is Dutch: the entry itself is in Dutch whatever the language of what is said about it. Values come from the
provider and may be hostile: where the register allows markup, only its own few tags are kept, without attributes.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from checks.finding import Outcome
from model_cards.dossier import Assessment, canonical
from model_cards.drafting import (
    Origin,
    as_text,
    figures_of,
    material_of,
    register_category,
    statement,
)
from model_cards.material import Material
from model_cards.words import Words, visible
from model_cards.writing import as_json

FORMAT = "algorithm_register"
SUFFIX = ".json"
STANDARD = "Algoritmeregister Publicatiestandaard 1.0 (Netherlands), as the API takes it"

TAGS = ("div", "br", "p", "ul", "ol", "li")
"""Tags that the register allows in long texts."""

STATUSES = ("In ontwikkeling", "In gebruik", "Buiten gebruik")
CATEGORIES = ("Hoog-risico AI-systeem", "Impactvolle algoritmes", "Overige algoritmes")
THEMES = (
    "Organisatie en bedrijfsvoering",
    "Cultuur en recreatie",
    "Economie",
    "Overheidsfinanciën",
    "Wonen",
    "Internationaal",
    "Migratie en integratie",
    "Natuur en milieu",
    "Onderwijs en wetenschap",
    "Openbare orde en veiligheid",
    "Recht",
    "Ruimte en infrastructuur",
    "Sociale zekerheid",
    "Verkeer",
    "Werk",
    "Zorg en gezondheid",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of the register.

    Args:
        key: as the API names it.
        kind: `text`, `html` (a long text in which `TAGS` are allowed), `url`, `contact` (an address or URL), `month`
            (YYYY-MM), `choice`, `choices` or `links`.
        most: greatest number of characters; None where there is none. Of `links`: of title and of link.
        required: whether the API refuses an entry without it.
        asked: whether the register's guide wants it always shown.
        choices: what a `choice` or `choices` can be.
        aliases: other names under which the publication file may hold it.
        link_required: of `links`, whether each needs a link beside its title.
        group: of the preview: `general`, `responsible`, `working` or `hidden`.
    """

    key: str
    kind: str = "text"
    most: int | None = None
    required: bool = False
    asked: bool = False
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    link_required: bool = False
    group: str = "general"


def _long(key: str, group: str, most: int = 2500, *, asked: bool = False, aliases: tuple[str, ...] = ()) -> Field:
    return Field(key=key, kind="html", most=most, asked=asked, aliases=aliases, group=group)


FIELDS = (
    Field(key="name", most=100, required=True, asked=True),
    Field(key="description_short", most=400, required=True, asked=True),
    Field(key="organization", most=100, required=True, asked=True),
    Field(key="category", kind="choices", choices=THEMES, asked=True, aliases=("theme",)),
    Field(key="status", kind="choice", choices=STATUSES, required=True, asked=True),
    Field(key="begin_date", kind="month", asked=True),
    Field(key="end_date", kind="month", asked=True),
    Field(key="contact_email", kind="contact", most=500, required=True, asked=True, aliases=("contact",)),
    Field(key="website", kind="url", most=500),
    Field(key="publication_category", kind="choice", choices=CATEGORIES, required=True, asked=True),
    Field(key="url", kind="url", most=500),
    _long("goal", "responsible", asked=True, aliases=("goal_and_impact",)),
    _long("proportionality", "responsible", asked=True, aliases=("considerations",)),
    _long("human_intervention", "responsible", asked=True),
    _long("risks", "responsible", asked=True, aliases=("risk_management",)),
    _long("lawful_basis", "responsible"),
    Field(key="lawful_basis_grouping", kind="links", most=500, asked=True, link_required=True, group="responsible"),
    Field(key="process_index_url", kind="url", most=500, group="responsible"),
    Field(key="impacttoetsen_grouping", kind="links", most=500, asked=True, group="responsible"),
    _long("impacttoetsen", "responsible"),
    _long("source_data", "working", asked=True, aliases=("data",)),
    Field(key="source_data_grouping", kind="links", most=500, link_required=True, group="working"),
    _long("methods_and_models", "working", 5000, asked=True, aliases=("technical_design",)),
    Field(key="provider", most=200, asked=True, aliases=("supplier",), group="working"),
    Field(key="publiccode", kind="url", most=500, group="working"),
    Field(key="lang", kind="choice", choices=("nld",), required=True, group="hidden"),
    Field(key="standard_version", kind="choice", choices=("1.0",), group="hidden"),
    Field(key="source_id", most=100, group="hidden"),
    Field(key="tags", most=2500, group="hidden"),
)
"""The fields that a publisher fills in, in the register's order; the register itself adds an id and dates."""


Problem = tuple[str, Mapping[str, Any]]
"""What is wrong with a field or must be looked at: a key under `exports.algorithm_register.problems`, with params."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A field with what the dossier gives for it.

    Args:
        field: of the register.
        value: as the API takes it; None where the field is empty.
        origin: where it comes from.
        problems: what is wrong or must be looked at.
    """

    field: Field
    value: Any = None
    origin: Origin = Origin.EMPTY
    problems: tuple[Problem, ...] = ()


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the entry, with the origin of its fields and what is still wrong with it.

    Args:
        lang: of `model_cards.words.languages()`; of what is said about the entry. The entry is in Dutch.

    Returns:
        UTF-8 JSON whose `entry` is what the API takes; the same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    words = material.words
    given = filled(material)
    entry = entry_of(given)
    _, reason = register_category(material)
    document = {
        "title": words("exports.algorithm_register.title"),
        "system": material.dossier.declaration.system.name,
        "standard": STANDARD,
        "draft": words("exports.draft.is_a_draft"),
        "statement": statement(material),
        "attestation": list(material.attestation()),
        "dossier_sha256": material.dossier.digest,
        "complete": all(f.value is not None for f in given if f.field.required),
        "category_reason": words(f"exports.algorithm_register.reasons.{reason}"),
        "entry": entry,
        "entry_sha256": entry_digest(entry),
        "published_entry": published_state(material, entry),
        "published_entry_in_words": words(f"exports.algorithm_register.published.{published_state(material, entry)}"),
        "fields": [
            {
                "key": f.field.key,
                "label": words(f"exports.algorithm_register.fields.{f.field.key}"),
                "required": f.field.required,
                "always_shown": f.field.asked,
                "html_allowed": f.field.kind == "html",
                "max_length": f.field.most,
                "length": len(f.value) if isinstance(f.value, str) else None,
                "origin": f.origin.value,
                "origin_in_words": words(f"exports.origins.{f.origin}"),
                "problems": problem_sentences(words, f),
            }
            for f in given
        ],
    }
    return as_json(document)


def problem_sentences(words: Words, given: Filled) -> list[str]:
    """Say what is wrong with a field, or must be looked at."""
    return [words(f"exports.algorithm_register.problems.{key}", **params) for key, params in given.problems]


def entry_of(given: tuple[Filled, ...]) -> dict[str, Any]:
    """Give the entry as the API takes it: the fields that hold something."""
    return {f.field.key: f.value for f in given if f.value is not None}


def entry_digest(entry: Mapping[str, Any]) -> str:
    """SHA-256 of an entry as canonical JSON: what a later dossier is compared with."""
    return hashlib.sha256(canonical(dict(entry))).hexdigest()


def published_state(material: Material, entry: Mapping[str, Any]) -> str:
    """Say whether the entry that was published is still this one: `not_stated`, `same` or `differs`."""
    stated = as_text(material.dossier.declaration.publication.get("published_entry_sha256"))
    if not stated:
        return "not_stated"
    return "same" if stated.lower() == entry_digest(entry) else "differs"


def filled(material: Material) -> tuple[Filled, ...]:
    """Fill in every field of the register from the dossier, in the register's order."""
    return tuple(_fill(material, field) for field in FIELDS)


def _fill(material: Material, field: Field) -> Filled:
    if field.key == "publication_category":
        return _category(material, field)
    if field.key in ("lang", "standard_version"):
        return Filled(field=field, value=field.choices[0], origin=Origin.STANDARD)
    publication = material.dossier.declaration.publication
    raw = next((publication[k] for k in (field.key, *field.aliases) if as_text(publication.get(k))), None)
    if raw is not None:
        return checked(field, raw, Origin.ANSWERED)
    offered = _offered(material, field.key)
    if offered is not None:
        origin, text = offered
        return checked(field, text, origin)
    if not (field.required or field.asked):
        return Filled(field=field)
    return _refused(field, "required" if field.required else "always_shown")


def _category(material: Material, field: Field) -> Filled:
    derived, reason = register_category(material)
    stated = as_text(material.dossier.declaration.publication.get("publication_category"))
    if not stated:
        if derived is None:
            return _refused(field, f"category_{reason}")
        doubt: tuple[Problem, ...] = (("in_doubt", {}),) if reason == "in_doubt" else ()
        return Filled(field=field, value=derived, origin=Origin.ANSWERED, problems=doubt)
    given = checked(field, stated, Origin.ANSWERED)
    if given.value is not None and given.value != derived:
        other = derived or "–"
        problem = ("category_differs", {"stated": stated, "derived": other})
        return Filled(field=field, value=given.value, origin=given.origin, problems=(*given.problems, problem))
    return given


def _offered(material: Material, key: str) -> tuple[Origin, str] | None:
    """Give what the dossier offers for a field that the publication file leaves open, in Dutch."""
    dossier = material.dossier
    system = dossier.declaration.system
    dutch = Material(assessment=material.assessment, words=Words("nl"))
    words = dutch.words
    stated = {
        "name": system.name,
        "description_short": system.intended_purpose,
        "goal": system.intended_purpose,
        "contact_email": system.provider.contact or "",
        "organization": system.provider.name if system.public_body else "",
        "provider": "" if system.public_body else system.provider.name,
    }
    if stated.get(key):
        return Origin.ANSWERED, stated[key]
    said: tuple[str, ...] = ()
    if key == "risks":
        said = _open_points(dutch)
    elif key == "source_data" and dossier.submission.columns:
        columns = ", ".join(dossier.submission.columns)
        said = (words("exports.algorithm_register.offered.columns", columns=columns),)
    elif key == "methods_and_models":
        said = _working(dutch)
    if not said:
        return None
    points = "".join(f"<li>{sentence}</li>" for sentence in said)
    return Origin.MEASURED, f"<p>{words('exports.draft.offered')}</p><ul>{points}</ul>"


def _open_points(dutch: Material) -> tuple[str, ...]:
    """Say how many findings lie beyond, are undecided and within, and those that a reader must know."""
    words, dossier = dutch.words, dutch.dossier
    if not any(f.limit for f in dossier.findings):
        return ()
    named = [
        sentence
        for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)
        for f in dossier.findings
        if f.outcome is outcome
        for sentence in words.finding_sentences(f, outcome, short=True)
    ]
    counts = words(
        "exports.algorithm_register.offered.counts", counts=words("outcomes.counts.line", **dossier.outcome_counts)
    )
    return (counts, *named)


def _working(dutch: Material) -> tuple[str, ...]:
    words, dossier = dutch.words, dutch.dossier
    said = []
    form = dossier.scan.get("format")
    if isinstance(form, str) and form:
        said.append(words("exports.algorithm_register.offered.model", format=form))
    if dossier.explanation is not None and dossier.explanation.global_:
        first = sorted(dossier.explanation.global_, key=lambda g: -g.mean_abs)[:5]
        features = words.joined([g.feature for g in first])
        said.append(words("exports.algorithm_register.offered.features", features=features))
    said += [figures_of(dutch, f) for f in dossier.findings if f.check == "accuracy.overall" and f.measures]
    return tuple(said)


def checked(field: Field, raw: Any, origin: Origin) -> Filled:
    """Fill in one field with what was stated, and say what the register would refuse of it.

    Args:
        raw: as the publication file holds it.
        origin: who stated it.
    """
    match field.kind:
        case "links":
            return _links(field, raw, origin)
        case "choices":
            texts = raw if isinstance(raw, list | tuple) else re.split(r"[;,]\s*", as_text(raw))
            chosen = [_choice(field, as_text(text)) for text in texts]
            unknown = [as_text(text) for text, found in zip(texts, chosen, strict=True) if found is None]
            kept = list(dict.fromkeys(found for found in chosen if found is not None))
            problems = tuple(("not_a_choice", {"value": text, "choices": "; ".join(field.choices)}) for text in unknown)
            return Filled(field=field, value=kept or None, origin=origin if kept else Origin.EMPTY, problems=problems)
        case "choice":
            found = _choice(field, as_text(raw))
            if found is not None:
                return Filled(field=field, value=found, origin=origin)
            return _refused(field, "not_a_choice", value=as_text(raw), choices="; ".join(field.choices))
        case "month":
            month = re.match(r"\d{4}-(0[1-9]|1[0-2])(?=$|-\d\d)", as_text(raw))
            if month:
                return Filled(field=field, value=month[0], origin=origin)
            return _refused(field, "not_a_month", value=as_text(raw))
        case "url":
            text = as_text(raw)
            if not is_link(text) or len(text) > (field.most or len(text)):
                return _refused(field, "not_a_link", value=text)
            return Filled(field=field, value=text, origin=origin)
        case "contact":
            text = visible(as_text(raw))
            if not (is_link(text) or re.fullmatch(r"[^@\s<>\"]+@[^@\s<>\"]+\.[^@\s<>\"]+", text)):
                return _refused(field, "not_a_contact", value=text)
            return Filled(field=field, value=text[: field.most], origin=origin, problems=(("no_personal_address", {}),))
        case _:
            return _text(field, as_text(raw), origin)


def _refused(field: Field, key: str, **params: Any) -> Filled:
    """Leave a field empty because what was given cannot stand in it; it is said what was given."""
    return Filled(field=field, problems=((key, params),))


def _choice(field: Field, text: str) -> str | None:
    return next((choice for choice in field.choices if choice.casefold() == text.strip().casefold()), None)


def is_link(text: str) -> bool:
    """Whether a text is a web address without anything that could end an attribute."""
    return re.fullmatch(r"https?://[^\s<>\"'`\\]+", text) is not None and visible(text) == text


def _text(field: Field, raw: str, origin: Origin) -> Filled:
    written = as_html(raw) if field.kind == "html" else visible(raw)
    most = field.most or len(written)
    if len(written) <= most:
        return Filled(field=field, value=written, origin=origin)
    problem = ("too_long", {"length": len(written), "most": most})
    plain = visible(plain_text(written) if field.kind == "html" else raw)
    return Filled(field=field, value=_cut(plain, most, field.kind == "html"), origin=origin, problems=(problem,))


def _cut(plain: str, most: int, is_html: bool) -> str:
    """Cut a text at a word so that it fits as it will be written."""

    def written(text: str) -> str:
        return html.escape(text, quote=False) if is_html else text

    words, kept = plain.split(" "), ""
    for word in words:
        longer = f"{kept} {word}".strip()
        if len(written(longer)) + 2 > most:
            break
        kept = longer
    return written(kept or plain[: most // 6]) + " …"


def as_html(text: str) -> str:
    """Write a long text with no markup but the register's own tags, bare, and only where they fit together.

    Args:
        text: with or without those tags; line breaks become `<br>`.
    """
    escaped = html.escape(text.strip(), quote=False)
    named = "|".join(TAGS)
    tag = re.compile(rf"&lt;(/?)({named})\s*/?&gt;", re.IGNORECASE)
    open_tags: list[str] = []
    for found in tag.finditer(escaped):
        name = found[2].lower()
        if name == "br":
            continue
        if not found[1]:
            open_tags.append(name)
        elif not open_tags or open_tags.pop() != name:
            return visible(escaped)
    if open_tags:
        return visible(escaped)
    if not tag.search(escaped):
        escaped = escaped.replace("\r\n", "\n").replace("\n", "<br>")
    return visible(tag.sub(lambda found: f"<{found[1]}{found[2].lower()}>", escaped))


def plain_text(written: str) -> str:
    """Give the text of a value in which markup is allowed, in one line."""
    return " ".join(plain_lines(written))


def plain_lines(written: str) -> tuple[str, ...]:
    """Give the text of a value in which markup is allowed, by paragraphs, list items and line breaks."""
    pieces = re.split(r"</?(?:br|li|p|div|ul|ol)>", written)
    return tuple(text for piece in pieces if (text := " ".join(html.unescape(piece).split())))


def _links(field: Field, raw: Any, origin: Origin) -> Filled:
    kept: list[dict[str, str]] = []
    problems: list[Problem] = []
    most = 100 if field.key == "lawful_basis_grouping" else 500
    for given in raw if isinstance(raw, list | tuple) else [raw]:
        title = as_text(given.get("title", given.get("name"))) if isinstance(given, Mapping) else as_text(given)
        link = as_text(given.get("link", given.get("url"))) if isinstance(given, Mapping) else ""
        if link and not is_link(link):
            problems.append(("not_a_link", {"value": link}))
            link = ""
        if not title or (field.link_required and not link):
            problems.append(("link_incomplete", {"value": title or link or "–"}))
            continue
        if len(visible(title)) > most:
            problems.append(("too_long", {"length": len(visible(title)), "most": most}))
        kept.append({"title": visible(title)[:most], **({"link": link[:500]} if link else {})})
    return Filled(field=field, value=kept or None, origin=origin if kept else Origin.EMPTY, problems=tuple(problems))
