"""The entry for the Dutch algorithm register as a page, in the register's order, with what is still open."""

from __future__ import annotations

from model_cards.dossier import Assessment
from model_cards.drafting import Blank, Content, Part, draft, material_of, register_category
from model_cards.exports import algorithm_register as register
from model_cards.exports import html
from model_cards.material import Material

FORMAT = "algorithm_register_preview"
SUFFIX = ".html"
STANDARD = register.STANDARD

GROUPS = ("general", "responsible", "working", "hidden")
"""The parts of an entry, in the order in which the register shows them; the last is not shown there."""


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the preview.

    Args:
        lang: of `model_cards.words.languages()`; of what is said about the entry. The entry is in Dutch.

    Returns:
        UTF-8 HTML; the same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    words = material.words
    given = register.filled(material)
    _, reason = register_category(material)
    state = register.published_state(material, register.entry_of(given))
    missing = [words(f"exports.{register.FORMAT}.fields.{f.field.key}") for f in given if _is_missing(f)]
    notes = [
        words(f"exports.{register.FORMAT}.reasons.{reason}"),
        words(f"exports.{register.FORMAT}.published.{state}"),
    ]
    if missing:
        notes.append(words(f"exports.{register.FORMAT}.incomplete", fields=words.joined(missing)))
    parts = [
        Part(
            id=group,
            title=words(f"exports.{FORMAT}.groups.{group}"),
            blanks=tuple(_blank(material, f) for f in given if f.field.group == group),
        )
        for group in GROUPS
    ]
    return html.render(assessment, lang, card=draft(material, FORMAT, parts, notes=notes))


def _is_missing(given: register.Filled) -> bool:
    return given.field.required and given.value is None


def _blank(material: Material, given: register.Filled) -> Blank:
    words, field = material.words, given.field
    facts = [words(f"exports.{register.FORMAT}.required")] if field.required else []
    if field.most is not None and isinstance(given.value, str):
        facts.append(words(f"exports.{register.FORMAT}.length", length=len(given.value), most=field.most))
    problems = register.problem_sentences(words, given)
    contents: tuple[Content, ...] = ()
    if given.value is not None:
        contents = (Content(origin=given.origin, lines=_plain(given), where=" ".join(problems)),)
        problems = []
    return Blank(
        title=words(f"exports.{register.FORMAT}.fields.{field.key}"),
        contents=contents,
        note=" ".join([*facts, *problems]),
    )


def _plain(given: register.Filled) -> tuple[str, ...]:
    value = given.value
    if isinstance(value, list):
        return tuple(" ".join(v.values()) if isinstance(v, dict) else str(v) for v in value)
    return register.plain_lines(value) if given.field.kind == "html" else (str(value),)
