"""Turn what may be stated beside the common path, which is typed as lines of text, into what a submission says with it.

What cannot be read is told by field and line; nothing is dropped in silence that was typed.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any, Final

from checks.declaration import ColumnRole, Declaration
from sandbox.errors import Problem
from sandbox.records.drafts import Whole

SHEET: Final = ("origin", "collection", "purpose", "period", "population", "licence", "cleaning", "known_gaps")
"""What a data sheet says of data, of the training data too."""

OF_TRAINING: Final = "training_"
"""Begins the names of the fields on training data."""

TRAINING: Final = ("commit", "data_digest", "date", "mlflow_run")
NAMED: Final = ("types", "categories", "dummies")
"""What `inputs.yaml` says by the name of a column or category: typed as `name: value, value`."""

SHARES: Final = ("attribute", "group", "share")
"""The columns of the table of whom a system is meant for."""

ANSWERS: Final = ("justified", "desirable")
"""What no figure can tell of a difference between groups."""


def lines(text: object) -> list[str]:
    """List the lines of a text that hold something."""
    return [line.strip() for line in str(text or "").splitlines() if line.strip()]


def _named(text: object) -> list[tuple[str, str]]:
    """Read lines as `name: values`; where a part is missing it is empty."""
    found = (line.partition(":") for line in lines(text))
    return [(name.strip(), rest.strip()) for name, _, rest in found]


def _values(text: str) -> list[str]:
    return [part.strip() for part in text.split("," if ";" not in text else ";") if part.strip()]


def inputs(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Give the content of `inputs.yaml`; empty where nothing is stated.

    Args:
        columns: what was filled in of the section on columns.
    """
    named = {part: [(n, v) for n, v in _named(columns.get(f"inputs_{part}")) if n and v] for part in NAMED}
    made = {
        "order": lines(columns.get("inputs_order")),
        "types": dict(named["types"]),
        "categories": {name: _values(values) for name, values in named["categories"]},
        "dummies": {name: _values(values) for name, values in named["dummies"]},
    }
    return {part: stated for part, stated in made.items() if stated}


def _shares(columns: Mapping[str, Any]) -> list[list[str]]:
    """Read lines as attribute, group and share; a semicolon between them leaves room for a decimal comma."""
    rows = [
        [part.strip() for part in line.split(";" if ";" in line else ",")] for line in lines(columns.get("population"))
    ]
    return [[*row[:2], row[2].replace(",", ".")] if len(row) == len(SHARES) else row for row in rows]


def population(whole: Whole) -> bytes:
    """Write the table of whom the system is meant for, as other tables are written; empty where nothing is stated."""
    rows = _shares(whole.section("columns"))
    delimiter = str(whole.section("files").get("delimiter") or "").replace('"', "")[:1] or ","
    if not rows:
        return b""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([SHARES, *rows])
    return out.getvalue().encode()


def attributes(whole: Whole) -> list[str]:
    """List the columns that people are compared by."""
    roles = whole.section("columns").get("roles") or {}
    return [name for name, role in roles.items() if role in set(ColumnRole) and ColumnRole(role).is_group]


def is_public_body(whole: Whole) -> bool:
    """Whether the organisation is a public body, by what was filled in."""
    return whole.section("system").get("public_body") == "yes"


def publication(whole: Whole) -> dict[str, Any]:
    """Give the content of `publication.yaml`: for a public body what a register asks, for all their own answers.

    What no page asks and a version before said stays.
    """
    given = whole.section("publication")
    made: dict[str, Any] = dict(given.get("further") or {})
    if is_public_body(whole):
        made |= {field.key: _as_stated(field.kind, raw) for field, raw in _register(given)}
        fria = {key: text for key, text in (given.get("fria") or {}).items() if text}
        made |= {"fria": fria} if fria else {}
    stated = whole.section("limits").get("differences") or {}
    answered = {name: {q: text for q, text in stated.get(name, {}).items() if text} for name in attributes(whole)}
    differences = {name: answers for name, answers in answered.items() if answers}
    return made | ({"differences": differences} if differences else {})


def _register(given: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Give each field of the register that holds something, with what was typed."""
    from model_cards.exports.algorithm_register import FIELDS

    stated = given.get("fields") or {}
    yield from ((field, stated[field.key]) for field in FIELDS if stated.get(field.key))


def _as_stated(kind: str, raw: Any) -> Any:
    if kind != "links":
        return raw
    parts = (line.partition("|") for line in lines(raw))
    return [{"title": title.strip(), "link": link.strip()} for title, _, link in parts]


def problems(whole: Whole) -> Iterator[Problem]:
    """Find what was typed and cannot be read, each with its field."""
    columns = whole.section("columns")
    for part in NAMED:
        for number, (name, values) in enumerate(_named(columns.get(f"inputs_{part}")), start=1):
            if not name or not values:
                yield _typed(f"inputs.{part}", "line_named", line=number)
        for name, times in Counter(name for name, _ in _named(columns.get(f"inputs_{part}"))).items():
            if times > 1:
                yield _typed(f"inputs.{part}", "twice", name=name)
    yield from _of_population(whole)
    if is_public_body(whole):
        yield from _of_register(whole)


def _typed(field: str, code: str, **params: Any) -> Problem:
    """Make a problem that only a form knows; its words stand with the pages."""
    return Problem(field=field, code=f"typed.{code}", message=code.replace("_", " "), params=params)


def _of_population(whole: Whole) -> Iterator[Problem]:
    # Only words and a number are taken from there: what was typed is read here.
    from sandbox.intake.further import ROUNDING
    from sandbox.intake.problems import listed, problem

    field, known = "data.population", attributes(whole)
    totals: dict[str, float] = {}
    seen = set()
    for number, row in enumerate(_shares(whole.section("columns")), start=1):
        try:
            attribute, group, share = row[0], row[1], float(row[2])
        except (IndexError, ValueError):
            yield _typed(field, "line_share", line=number)
            continue
        if len(row) != len(SHARES) or not group or not 0 <= share <= 1:
            yield _typed(field, "line_share", line=number)
        elif attribute not in known:
            yield problem(field, "population.attribute", attribute=attribute, known=listed(known, 10))
        elif (attribute, group) in seen:
            yield problem(field, "population.twice", attribute=attribute, group=group)
        else:
            seen.add((attribute, group))
            totals[attribute] = totals.get(attribute, 0.0) + share
    for attribute, total in totals.items():
        if not isclose(total, 1.0, abs_tol=ROUNDING):
            yield problem(field, "population.total", attribute=attribute, total=round(total, 4))


def _of_register(whole: Whole) -> Iterator[Problem]:
    """Find what the register would refuse of what was filled in; what was left empty is no problem here."""
    from model_cards.drafting import Origin
    from model_cards.exports.algorithm_register import checked

    for field, raw in _register(whole.section("publication")):
        for code, params in checked(field, _as_stated(field.kind, raw), Origin.ANSWERED).problems:
            if code != "no_personal_address":
                yield Problem(field=f"publication.{field.key}", code=f"register.{code}", message=code, params=params)


def from_declaration(stated: Declaration) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Write what was stated of the last version as it is typed: for the sections on columns, limits and publication."""
    from model_cards.exports.algorithm_register import FIELDS

    columns: dict[str, Any] = {}
    if stated.model is not None:
        given, trained = stated.inputs, stated.model.training
        columns["inputs_order"] = "\n".join(given.order)
        columns["inputs_types"] = "\n".join(f"{name}: {kind.value}" for name, kind in given.types.items())
        for part in ("categories", "dummies"):
            columns[f"inputs_{part}"] = "\n".join(f"{n}: {'; '.join(v)}" for n, v in getattr(given, part).items())
        columns |= {f"trained_{n}": str(v) for n in TRAINING if (v := getattr(trained, n)) is not None}
    limits: dict[str, Any] = {}
    if stated.claims:
        limits["claims"] = {name: f"{value:g}" for name, value in stated.claims.items()}
    published = dict(stated.publication)
    differences, fria = published.pop("differences", None), published.pop("fria", None)
    if isinstance(differences, Mapping):
        limits["differences"] = {
            str(name): {q: str(text) for q, text in answers.items() if q in ANSWERS}
            for name, answers in differences.items()
            if isinstance(answers, Mapping)
        }
    publication: dict[str, Any] = {}
    if published or isinstance(fria, Mapping):
        fields = {
            field.key: _as_typed(published.pop(name))
            for field in FIELDS
            for name in reversed((field.key, *field.aliases))
            if name in published
        }
        publication = {"fields": fields, "fria": dict(fria or {}), "further": published, "seen": True}
    return {n: v for n, v in columns.items() if v}, limits, publication


def _as_typed(value: Any) -> Any:
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        pairs = ((item.get("title", ""), item.get("link", "")) for item in value if isinstance(item, Mapping))
        return "\n".join(f"{title} | {link}" if link else str(title) for title, link in pairs)
    return list(value) if isinstance(value, list | tuple) else str(value)
