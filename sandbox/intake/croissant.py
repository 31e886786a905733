"""Takes a data sheet from a Croissant file: what describes a data set in words, and nothing of its files and records.

Assumes nothing about the file. No address in it is ever opened: a file whose terms are explained elsewhere is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.errors import Refused
from sandbox.intake.problems import problem

SCHEMA = "https://schema.org/"
RAI = "http://mlcommons.org/croissant/RAI/"
LONGEST_ADDRESS = 400
"""Characters of what a term stands for, or of a part that is pointed at: a longer one is not written out each time."""

_ITEM_PARTS = ("@value", "name", "url", "@id")

FIELDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "origin": ((f"{RAI}dataCollectionRawData",), (f"{SCHEMA}creator", f"{SCHEMA}publisher")),
    "collection": ((f"{RAI}dataCollection", f"{RAI}dataCollectionType"),),
    "purpose": ((f"{RAI}dataUseCases",), (f"{SCHEMA}description",)),
    "period": ((f"{RAI}dataCollectionTimeframe",), (f"{SCHEMA}temporalCoverage",)),
    "population": ((f"{SCHEMA}spatialCoverage",),),
    "licence": ((f"{SCHEMA}license", f"{SCHEMA}conditionsOfAccess", f"{SCHEMA}usageInfo"),),
    "personal_data": ((f"{RAI}personalSensitiveInformation",),),
    "cleaning": (
        (
            *(f"{RAI}dataPreprocessingProtocol", f"{RAI}dataManipulationProtocol"),
            *(f"{RAI}dataImputationProtocol", f"{RAI}dataAnnotationProtocol"),
        ),
    ),
    "known_gaps": ((f"{RAI}dataLimitations", f"{RAI}dataBiases", f"{RAI}dataCollectionMissingData"),),
}
"""Per field of a data sheet, groups of terms that speak of it: the first group of which one is there counts, whole.

A lawful basis is not among the terms of Croissant.
"""


def is_croissant(content: Mapping[str, Any]) -> bool:
    """Tell a Croissant file (JSON-LD) from a data sheet of our own."""
    return "@context" in content


def sheet(content: Mapping[str, Any], name: str) -> dict[str, str]:
    """Take a data sheet from a Croissant file, version 1.0 or 1.1.

    Args:
        content: of the file, with texts as its only values.
        name: its path in the submission, for the words.

    Returns:
        Text by field of a data sheet; several values stand with `, ` between them, several terms with `; `.

    Raises:
        Refused: its terms would have to be fetched, or it describes no data set.
    """
    if not isinstance(content["@context"], Mapping) or any(_fetched(content)):
        raise Refused(problem(name, "croissant.context", file=name))
    context = {k: v for k, v in content["@context"].items() if _is_short(v)}
    dataset = next((n for n in _nodes(content) if f"{SCHEMA}Dataset" in _types(n, context)), None)
    if dataset is None:
        raise Refused(problem(name, "croissant.no_dataset", file=name))
    parts = {str(n["@id"]): n for n in _nodes(content) if "@id" in n}
    said: dict[str, list[str]] = {}
    for term, value in dataset.items():
        said.setdefault(_whole(term, context), []).append(_text(_pointed_at(value, parts)))
    made = {}
    for field, groups in FIELDS.items():
        for group in groups:
            given = [", ".join(filter(None, said.get(term, ()))) for term in group]
            if any(given):
                made[field] = "; ".join(filter(None, given))
                break
    return made


def _fetched(value: Any, *, is_outermost: bool = True) -> Iterator[bool]:
    """Yield true for each explanation of terms that stands at an address, and not in the file."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key == "@import" or (key == "@context" and not (is_outermost and isinstance(inner, Mapping)))
            yield from _fetched(inner, is_outermost=False)
    elif isinstance(value, list):
        for inner in value:
            yield from _fetched(inner, is_outermost=False)


def _nodes(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield content
    graph = content.get("@graph")
    yield from (n for n in (graph if isinstance(graph, list) else [graph]) if isinstance(n, Mapping))


def _types(node: Mapping[str, Any], context: Mapping[str, Any]) -> set[str]:
    given = node.get("@type")
    return {_whole(str(t), context) for t in (given if isinstance(given, list) else [given])}


def _is_short(told: Any) -> bool:
    named = told.get("@id", "") if isinstance(told, Mapping) else told
    return isinstance(named, str) and len(named) <= LONGEST_ADDRESS


def _whole(term: str, context: Mapping[str, Any], depth: int = 0) -> str:
    """Write a term out as its address, by what the file says of its prefixes; bounded, for it may name itself."""
    told = context.get(term)
    named = told.get("@id") if isinstance(told, Mapping) else told
    if isinstance(named, str) and named != term and depth < 3:
        return _whole(named, context, depth + 1)
    prefix, colon, rest = term.partition(":")
    if colon and not rest.startswith("//") and isinstance(context.get(prefix), str):
        return f"{context[prefix]}{rest}"
    vocabulary = context.get("@vocab")
    return term if colon else f"{vocabulary if isinstance(vocabulary, str) else SCHEMA}{term}"


def _pointed_at(value: Any, parts: Mapping[str, Mapping[str, Any]]) -> Any:
    """Put a part that stands elsewhere in the file where it is pointed at; once, for it may point on to itself."""
    if isinstance(value, list):
        return [_pointed_at(v, parts) for v in value]
    if not isinstance(value, Mapping) or set(value) != {"@id"}:
        return value
    name = _text(parts.get(str(value["@id"]), {}))
    return name if 0 < len(name) <= LONGEST_ADDRESS else value


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        if "@set" in value:
            return _text(value["@set"])
        if part := next((p for p in _ITEM_PARTS if value.get(p)), None):
            return _text(value[part])
        # A text in several languages, by language.
        return _text([v for k, v in value.items() if not k.startswith("@") and isinstance(v, str)])
    if isinstance(value, list):
        return ", ".join(filter(None, map(_text, value)))
    return "" if value in (None, "null") else str(value).strip()
