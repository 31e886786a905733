"""Reads a table of counts: how many rows there are of each group, label and decision."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.declaration import ColumnRole, Data
from sandbox.cell.frames import As
from sandbox.intake.columns import absent, match_classes, refused
from sandbox.intake.problems import Gathered, listed
from sandbox.intake.reading import Column, Head, Reading

FIELD = "counts.file"
OWN = ("label", "decision", "rows", "weight", "weight_squared")


def read_counts(data: Data, head: Head, reading: Reading, gathered: Gathered) -> pa.Table | None:
    """Read counts and see that each is a whole number that is not negative.

    Args:
        data: classes, and which columns people are compared by.
        head: what the table is.
        reading: the open table.
        gathered: takes the problems.

    Returns:
        Columns by attribute name (string), `label` and `decision` (int32, null: unknown), `rows` (int64), `weight` and
        `weight_squared` (float64); None where a problem was noted.
    """
    before = len(gathered.problems)
    place = {name: i for i, name in enumerate(head.names) if name}
    for name in ("decision", "rows"):
        if name not in place:
            absent(FIELD, name, head, gathered)
    attributes = [n for n in data.attributes if n not in OWN]
    for name in data.columns:
        if name not in place and data.role(name) is not ColumnRole.LABEL:
            absent(f"data.columns.{name}", name, head, gathered)
    if not attributes:
        others = [n for n in place if n not in OWN]
        gathered.add("data.columns", "counts.no_groups", columns=listed(others) or "-")
    stray = [n for n in place if n not in OWN and n not in data.columns]
    if stray and attributes:
        gathered.add(FIELD, "counts.stray_column", columns=listed(stray))
    if ("weight" in place) != ("weight_squared" in place):
        lacking = "weight_squared" if "weight" in place else "weight"
        gathered.add(FIELD, "counts.weight_pair", column=lacking)

    def ask(name: str, wanted: As, field: str) -> pa.Array | None:
        got = reading.column(place[name], wanted)
        if isinstance(got, Column):
            return got.values
        refused(field, name, got, gathered)
        return None

    columns: dict[str, pa.Array | None] = {}
    for name in attributes:
        if name in place:
            values = ask(name, As.TEXT, f"data.columns.{name}")
            columns[name] = None if values is None else values.cast(pa.string())
    for name in ("label", "decision"):
        if name in place:
            values = ask(name, As.TEXT, FIELD)
            columns[name] = None if values is None else match_classes(FIELD, name, values, data.classes, gathered)
    columns.setdefault("label", pa.nulls(head.rows, pa.int32()))
    rows = _whole(ask("rows", As.NUMBER, FIELD), gathered) if "rows" in place else None
    columns["rows"] = None if rows is None else pa.array(rows)
    for name in ("weight", "weight_squared"):
        if name in place:
            columns[name] = _positive(ask(name, As.NUMBER, FIELD), name, gathered)
        else:
            columns[name] = None if rows is None else pa.array(rows.astype(np.float64))
    if rows is not None and not rows.any():
        gathered.add(FIELD, "counts.all_zero")
    if len(gathered.problems) > before or any(c is None for c in columns.values()):
        return None
    return pa.table(columns)


def _whole(values: pa.Array | None, gathered: Gathered) -> NDArray[np.int64] | None:
    if values is None:
        return None
    if values.null_count:
        row = int(np.flatnonzero(np.asarray(values.is_null()))[0]) + 1
        gathered.add(FIELD, "counts.missing", column="rows", row=row)
        return None
    numbers = np.asarray(values)
    bad = np.flatnonzero((numbers < 0) | (numbers != np.floor(numbers)) | (numbers > 2**53))
    if len(bad):
        given = f"{float(numbers[bad[0]]):g}"
        gathered.add(FIELD, "counts.not_whole", column="rows", row=int(bad[0]) + 1, given=given)
        return None
    return numbers.astype(np.int64)


def _positive(values: pa.Array | None, name: str, gathered: Gathered) -> pa.Array | None:
    if values is None:
        return None
    if values.null_count:
        row = int(np.flatnonzero(np.asarray(values.is_null()))[0]) + 1
        gathered.add(FIELD, "counts.missing", column=name, row=row)
        return None
    numbers = values.cast(pa.float64(), safe=False)
    bad = np.flatnonzero(np.asarray(numbers) < 0)
    if len(bad):
        given = f"{float(np.asarray(numbers)[bad[0]]):g}"
        gathered.add(FIELD, "counts.negative", column=name, row=int(bad[0]) + 1, given=given)
        return None
    return numbers
