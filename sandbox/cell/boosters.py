"""Finds the codes that an XGBoost booster learnt for its category columns.

Runs in the model's cell. A booster stores the names of its categories in the order of its codes. Asking it with these
codes, and not with names, also works where XGBoost stored the names cut at the wrong places, as it does with names
outside ASCII.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .columns import UNKNOWN_CODE, Unanswerable
from .wire import Setup, Status


def xgboost_codes(booster: Any, setup: Setup, places: Sequence[int]) -> dict[int, list[int]]:
    """Say which code of the booster each declared category has.

    Args:
        booster: an XGBoost `Booster`.
        setup: the declared columns and categories.
        places: for each input of the booster the place of its column.

    Returns:
        For each category column that the booster treats as one, its own code of each declared category, or
        `UNKNOWN_CODE`. Where the booster stores no names, the declared codes are taken to be its own.

    Raises:
        Unanswerable: it takes a category where another type of column is given, or its names cannot be recognised.
    """
    kinds = booster.feature_types or []
    treated = [i for i, kind in zip(places, kinds, strict=False) if kind == "c"]
    if not treated:
        return {}
    stored = [names for _, names in booster.get_categories(export_to_arrow=True).to_arrow()]
    found = {}
    for at, (i, kind) in enumerate(zip(places, kinds, strict=False)):
        if kind != "c":
            continue
        if setup.columns[i].type != "category":
            raise Unanswerable(Status.INPUTS_DIFFER, f"the model takes {setup.columns[i].name!r} as a category")
        names = stored[at] if at < len(stored) else None
        found[i] = _codes(setup.columns[i].categories, names)
    return found


def _codes(declared: Sequence[str], stored: Any) -> list[int]:
    import pyarrow as pa

    if stored is None:
        return list(range(len(declared)))
    if not pa.types.is_string(stored.type):
        # Numbers: the declared names are their decimal form.
        numbers = {_short(value): code for code, value in enumerate(stored.to_pylist())}
        return [numbers.get(name, UNKNOWN_CODE) for name in declared]
    trained = stored.cast(pa.binary()).to_pylist()
    wanted = [name.encode() for name in declared]
    if trained in (wanted, _cut_by_characters(declared)):
        return list(range(len(declared)))
    place = {name: code for code, name in enumerate(trained)}
    if not all(name.isascii() for name in declared) and not set(wanted) & set(trained) == set(wanted):
        raise Unanswerable(
            Status.INPUTS_DIFFER,
            "the names of the categories cannot be recognised; state inputs.categories in the order of training",
        )
    return [place.get(name, UNKNOWN_CODE) for name in wanted]


def _short(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _cut_by_characters(names: Sequence[str]) -> list[bytes]:
    """Write names as XGBoost stores them: the bytes of all, cut by the number of characters of each."""
    whole = "".join(names).encode()
    cut, at = [], 0
    for name in names:
        cut.append(whole[at : at + len(name)])
        at += len(name)
    return cut
