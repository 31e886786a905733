"""Look in the evidence for what a data sheet speaks of: dates, the age of persons, and the groups that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from checks.ai_act.contradictions import Dates, Range
from checks.evidence import EVERYONE, Evidence

_DATE = r"^(19|20)[0-9]{2}-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?([T ].*)?$"
_YEAR_NAMES = re.compile(r"(^|[_\W])(year|jaar|jaartal)($|[_\W])", re.IGNORECASE)
_AGE_NAMES = re.compile(r"(^|[_\W])(age|leeftijd)($|[_\W])", re.IGNORECASE)


def dates_of(evidence: Evidence) -> tuple[Dates, ...]:
    """Find the columns that hold dates in every row that has a value, with their first and last; also columns of years.

    Args:
        evidence: sealed facts; without rows nothing is found.

    Returns:
        In the order of the columns; a date is written as far as its day.
    """
    found = []
    for name, column in _columns(evidence):
        if pa.types.is_string(column.type):
            # A column of other texts is left at its first values, before a pattern is tried on millions of them.
            if (
                len(column)
                and re.match(_DATE, column[0].as_py())
                and pc.all(pc.match_substring_regex(column, _DATE)).as_py()
            ):
                ends = pc.min_max(column).as_py()
                found.append(Dates(column=name, first=ends["min"][:10], last=ends["max"][:10]))
        elif _YEAR_NAMES.search(name) and (ends := _ends(column)) and 1900 <= ends[0] <= ends[1] <= 2100:
            found.append(Dates(column=name, first=str(int(ends[0])), last=str(int(ends[1]))))
    return tuple(found)


def ages_of(evidence: Evidence) -> tuple[Range, ...]:
    """Find the numeric columns that are named as an age, with their smallest and largest value in years.

    Args:
        evidence: sealed facts; without rows nothing is found.
    """
    found = []
    for name, column in _columns(evidence):
        if _AGE_NAMES.search(name) and (ends := _ends(column)) and 0 <= ends[0] <= ends[1] <= 130:
            found.append(Range(column=name, low=ends[0], high=ends[1]))
    return tuple(found)


def groups_of(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """Give the values of each attribute that people are compared by, sorted; from the counts, so without rows too.

    Args:
        evidence: sealed facts.
    """
    data = evidence.declaration.data
    named = data.attributes if data is not None else ()
    tables = {**evidence.moments, **evidence.cells}
    return {
        attribute: tuple(sorted({v for v in tables[attribute].column("group").to_pylist() if v is not None}))
        for attribute in named
        if attribute in tables and attribute != EVERYONE
    }


def _columns(evidence: Evidence) -> Iterator[tuple[str, pa.Array]]:
    """Yield inputs and groups by name, without missing values; of a column of codes its different values."""
    rows = evidence.rows
    if rows is None:
        return
    told: set[str] = set()
    for full in rows.column_names:
        kind, _, name = full.partition(":")
        if kind not in ("feature", "group") or name in told:
            continue
        told.add(name)
        column = rows.column(full).combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        yield name, column.drop_null()


def _ends(column: pa.Array) -> tuple[float, float] | None:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)) or not len(column):
        return None
    ends = pc.min_max(column).as_py()
    return float(ends["min"]), float(ends["max"])
