"""Lay the duties of a dossier out as a matrix: a row per duty, a column per role, filtered by role and date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from checks.ai_act.risk import Duty


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One duty and what there is of it, by role; the rules may have it under another id for each role."""

    title: str
    provision: str
    by_role: Mapping[str, Duty]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The duties that were asked for.

    Args:
        roles: all roles of the dossier, in its order.
        shown: the roles that have a column.
        rows: the earliest first; a duty without a known date last.
        left_out: how many duties the filter hides.
    """

    roles: Sequence[str]
    shown: Sequence[str]
    rows: Sequence[Row]
    left_out: int


def matrix(
    duties: Sequence[Duty], title_of: Callable[[str], str], *, role: str = "", by: dt.date | None = None
) -> Matrix:
    """Lay duties out.

    Args:
        title_of: names a duty by its id.
        role: only duties of this role; empty for all.
        by: only duties that apply from this day or before, and those whose day is not known; None for all.
    """
    roles = list(dict.fromkeys(d.role for d in duties))
    kept = [
        d
        for d in duties
        if (not role or d.role == role) and (by is None or d.applies_from is None or d.applies_from <= by)
    ]
    found: dict[tuple[str, str], dict[str, Duty]] = {}
    for duty in sorted(kept, key=lambda d: d.applies_from or dt.date.max):
        found.setdefault((title_of(duty.id), duty.provision), {})[duty.role] = duty
    return Matrix(
        roles=roles,
        shown=[r for r in roles if any(d.role == r for d in kept)],
        rows=[Row(title=title, provision=where, by_role=by_role) for (title, where), by_role in found.items()],
        left_out=len(duties) - len(kept),
    )
