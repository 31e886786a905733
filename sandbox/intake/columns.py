"""Gives the columns of a table their roles: what the model is shown, what people are compared by, and the rest.

Reads typed columns that were already checked; opens no file.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from checks.asking import LARGEST
from checks.declaration import ColumnRole, ColumnType, Data, Declaration, Inputs, Route, Task
from checks.evidence import Table
from sandbox.cell.frames import As, Reason
from sandbox.intake.problems import Gathered, listed, near
from sandbox.intake.reading import Column, ColumnRefused, Head, Reading

MOST_UNBANDED = 20
"""Different values of a numeric group without bands: beyond, each value would be a group of its own."""

_REASONS = {
    Reason.NOT_A_NUMBER: "column.not_number",
    Reason.NOT_A_BOOLEAN: "column.not_boolean",
    Reason.DECIMAL_COMMA: "column.decimal_comma",
    Reason.UNREADABLE_TYPE: "column.unreadable_type",
    Reason.INFINITE: "column.infinite",
    Reason.TOO_MANY_VALUES: "column.many_values",
}
_WANTED = {
    ColumnType.NUMBER: As.NUMBER,
    ColumnType.BOOLEAN: As.BOOLEAN,
    ColumnType.CATEGORY: As.CATEGORY,
    ColumnType.TEXT: As.TEXT,
}
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")


class Roles:
    """Reads the columns of one table by their roles, and gathers what is wrong with them.

    Args:
        declaration: what the provider states.
        head: what the table is.
        reading: the open table.
        gathered: takes the problems.
        notes: takes what was done without being asked.
        apart: columns of the file that are decisions and scores, no part of the data.
    """

    def __init__(
        self,
        declaration: Declaration,
        head: Head,
        reading: Reading,
        gathered: Gathered,
        notes: list[str],
        apart: Sequence[str] = (),
    ) -> None:
        assert declaration.data is not None
        self._declaration = declaration
        self._data: Data = declaration.data
        self._inputs: Inputs = declaration.inputs
        self._head = head
        self._reading = reading
        self._gathered = gathered
        self._notes = notes
        self._apart = frozenset(apart)
        self._place = {name: i for i, name in enumerate(head.names) if name}
        self.units: pa.Array | None = None
        """The texts that the codes of units stand for, once the table is read."""

    def table(self, digest: str) -> Table | None:
        """Read all columns that have a role.

        Args:
            digest: of the submission: the seed of the row numbers.

        Returns:
            The table; None where a problem was noted.
        """
        before = len(self._gathered.problems)
        self._named_columns_are_there()
        features = self._features()
        groups = {n: self._group(n) for n in self._data.attributes if n in self._place}
        label = self._label()
        weight = self._weight()
        unit = self._unit()
        if len(self._gathered.problems) > before:
            return None
        rows = self._head.rows
        return Table(
            features=_as_table(features),
            groups=_as_table({n: g for n, g in groups.items() if g is not None}),
            label=_chunked(label),
            weight=_chunked(weight),
            unit=_chunked(unit),
            rows=rows,
            row_numbers=pa.chunked_array([pa.array(draw_row_numbers(rows, digest))]),
        )

    # ---- which columns there are

    def _named_columns_are_there(self) -> None:
        for name in self._data.columns:
            if name not in self._place and name not in self._apart:
                absent(f"data.columns.{name}", name, self._head, self._gathered)
        for part, named in (("order", self._inputs.order), ("categories", self._inputs.categories)):
            for name in named:
                if name not in self._place and name not in self._data.columns:
                    absent(f"inputs.{part}.{name}", name, self._head, self._gathered)
        for name in self._inputs.types:
            if name not in self._place and name not in self._data.columns and name not in self._inputs.order:
                absent(f"inputs.types.{name}", name, self._head, self._gathered)

    def _feature_names(self) -> list[str]:
        names = [
            name for name in self._head.names if name and name not in self._apart and self._data.role(name).is_feature
        ]
        if not self._inputs.order:
            return names
        more = [name for name in names if name not in self._inputs.order]
        if more:
            self._gathered.add("inputs.order", "inputs.order_incomplete", columns=listed(more, 10))
        return [name for name in self._inputs.order if name in names]

    def _unnamed(self) -> None:
        """Leave out a column without a name where it only counts the rows; else ask for its name."""
        if not self._data.default_role.is_feature:
            return
        for i, name in enumerate(self._head.names):
            if name:
                continue
            got = self._reading.column(i, As.AUTOMATIC)
            values = got.values if isinstance(got, Column) and pa.types.is_integer(got.values.type) else None
            if values is not None and pc.subtract(values, values[0]).equals(_range(len(values))):
                self._notes.append(f"Column {i + 1} has no name and only counts the rows; it was left out.")
            else:
                self._gathered.add("data.columns", "table.column_unnamed", place=i + 1)

    # ---- features

    def _features(self) -> dict[str, pa.Array]:
        self._unnamed()
        names = self._feature_names()
        if not names and self._declaration.route is Route.MODEL:
            self._gathered.add("data.columns", "table.no_features")
        made = {}
        for name in names:
            values = self._feature(name)
            if values is not None:
                made[name] = values
        for category, parts in self._inputs.dummies.items():
            lost = [p for p in parts if p not in names]
            if lost:
                self._gathered.add(
                    f"inputs.dummies.{category}", "inputs.dummies_absent", category=category, columns=listed(lost)
                )
        return made

    def _feature(self, name: str) -> pa.Array | None:
        stated = self._inputs.types.get(name)
        given = self._inputs.categories.get(name)
        wanted = As.CATEGORY if given is not None else _WANTED[stated] if stated is not None else As.AUTOMATIC
        got = self._ask(name, wanted, f"data.columns.{name}")
        if got is None:
            return None
        if given is not None:
            return self._in_given_order(name, got.values, given)
        if stated is ColumnType.TEXT and pa.types.is_dictionary(got.values.type):
            return got.values.cast(pa.string())
        return got.values

    def _in_given_order(self, name: str, values: pa.DictionaryArray, given: Sequence[str]) -> pa.Array | None:
        found = values.dictionary.to_pylist()
        place = {value: i for i, value in enumerate(given)}
        counts = _counts(values)
        unknown = {v: c for v, c in zip(found, counts, strict=True) if v not in place}
        if unknown:
            self._gathered.add(
                f"inputs.categories.{name}", "inputs.category_unknown", column=name, values=_with_counts(unknown)
            )
            return None
        recode = np.array([place[v] for v in found] or [0], dtype=np.int32)
        missing = ~np.asarray(values.indices.is_valid())
        codes = recode[np.asarray(values.indices.fill_null(0))] if found else np.zeros(len(values), np.int32)
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int32(), mask=missing), pa.array(list(given), pa.string())
        )

    def _ask(self, name: str, wanted: As, field: str) -> Column | None:
        got = self._reading.column(self._place[name], wanted)
        if isinstance(got, Column):
            return got
        refused(field, name, got, self._gathered)
        return None

    # ---- groups

    def _group(self, name: str) -> pa.Array | None:
        field = f"data.columns.{name}"
        if name in self._data.bands:
            got = self._ask(name, As.NUMBER, f"data.bands.{name}")
            return None if got is None else draw_bands(got.values, self._data.bands[name])
        got = self._ask(name, As.TEXT, field)
        if got is None:
            return None
        values = got.values
        if not pa.types.is_dictionary(values.type):
            some = [v for v in values.slice(0, 1000).to_pylist() if v is not None]
            if all(_NUMBER.match(v) for v in some):
                self._gathered.add(
                    field, "group.needs_bands", column=name, values=">1000", bands=propose_bands(some, name)
                )
            else:
                self._gathered.add(field, "group.many_values", column=name, most=1000)
            return None
        names = values.dictionary.to_pylist()
        if names and all(_NUMBER.match(n) for n in names):
            if len(names) > MOST_UNBANDED:
                self._gathered.add(
                    field, "group.needs_bands", column=name, values=len(names), bands=propose_bands(names, name)
                )
                return None
            return _short_numbers(values)
        return values

    # ---- label, weight, unit

    def _label(self) -> pa.Array | None:
        name = self._data.label
        if name is None or name not in self._place:
            return None
        field = f"data.columns.{name}"
        if self._data.task is Task.REGRESSION:
            got = self._ask(name, As.NUMBER, field)
            return None if got is None else within_reach(field, name, got.values, self._gathered)
        got = self._ask(name, As.TEXT, field)
        return None if got is None else match_classes(field, name, got.values, self._data.classes, self._gathered)

    def _weight(self) -> pa.Array | None:
        name = next((n for n, role in self._data.columns.items() if role is ColumnRole.WEIGHT), None)
        if name is None or name not in self._place:
            return None
        field = f"data.columns.{name}"
        got = self._ask(name, As.NUMBER, field)
        if got is None:
            return None
        values = within_reach(field, name, got.values, self._gathered)
        if values is None:
            return None
        if values.null_count:
            row = int(np.flatnonzero(np.asarray(values.is_null()))[0]) + 1
            self._gathered.add(field, "weight.missing", column=name, count=values.null_count, row=row)
            return None
        low = np.flatnonzero(np.asarray(values) <= 0)
        if len(low):
            self._gathered.add(field, "weight.not_positive", column=name, count=len(low), row=int(low[0]) + 1)
            return None
        return values

    def _unit(self) -> pa.Array | None:
        name = next((n for n, role in self._data.columns.items() if role is ColumnRole.UNIT), None)
        if name is None or name not in self._place:
            return None
        got = self._ask(name, As.TEXT, f"data.columns.{name}")
        if got is None:
            return None
        encoded = got.values if pa.types.is_dictionary(got.values.type) else got.values.dictionary_encode()
        self.units = encoded.dictionary
        codes = np.asarray(encoded.indices.fill_null(-1), dtype=np.int64).copy()
        alone = np.flatnonzero(codes < 0)
        if len(alone):
            # A row without a unit is a unit by itself: two people who are not named are not one person.
            codes[alone] = len(encoded.dictionary) + np.arange(len(alone))
            self._notes.append(f"{len(alone)} rows name no unit in {name}; each was counted as a unit of its own.")
        return pa.array(codes)


def absent(field: str, name: str, head: Head, gathered: Gathered) -> None:
    """Note that a named column is not in the file, with the nearest that is."""
    close = near(name, [n for n in head.names if n])
    if close:
        gathered.add(field, "table.column_missing_near", column=name, near=close[0])
    else:
        gathered.add(field, "table.column_missing", column=name, columns=listed((n for n in head.names if n), 30))


def refused(field: str, name: str, got: ColumnRefused, gathered: Gathered) -> None:
    """Note why a column could not be given."""
    code = _REASONS.get(got.reason, "column.unreadable_type")
    gathered.add(field, code, column=name, example=got.example, count=got.count, row=got.row)


def within_reach(field: str, name: str, values: pa.Array, gathered: Gathered) -> pa.Array | None:
    """Give numbers as float64, or note that some lie too far away for their squares to be added up."""
    numbers = values.cast(pa.float64(), safe=False)
    far = np.flatnonzero(np.abs(numbers.to_numpy(zero_copy_only=False)) > LARGEST)
    if len(far):
        gathered.add(field, "column.too_large", column=name, count=len(far), row=int(far[0]) + 1, most=f"{LARGEST:g}")
        return None
    return numbers


def match_classes(
    field: str, column: str, values: pa.Array, classes: Sequence[str], gathered: Gathered
) -> pa.Array | None:
    """Turn the texts of a label or decision column into class indices.

    Args:
        field: where the column is named.
        column: its name.
        values: (n,) dictionary of text, or text.
        classes: in the declared order.
        gathered: takes the problem where a value is none of the classes.

    Returns:
        (n,) int32, null where missing; None where there was a problem.
    """
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    found: list[str] = encoded.dictionary.to_pylist()
    place = {name: i for i, name in enumerate(classes)}
    as_number = _by_number(classes)
    as_truth = {name.lower(): i for name, i in place.items() if name.lower() in ("true", "false")}
    codes = []
    unknown: dict[str, int] = {}
    for value, count in zip(found, _counts(encoded), strict=True):
        code = place.get(value)
        if code is None and as_number and _NUMBER.match(value):
            code = as_number.get(float(value))
        if code is None:
            code = as_truth.get(value.lower())
        if code is None:
            unknown[value] = count
        codes.append(-1 if code is None else code)
    if unknown:
        parameters = {"column": column, "labels": _with_counts(unknown), "classes": listed(classes, 10)}
        if all(v.rstrip(".") in place for v in unknown):
            gathered.add(field, "label.trailing_stop", **parameters)
        elif all(v.lower() in {c.lower() for c in classes} for v in unknown):
            gathered.add(field, "label.other_case", **parameters)
        else:
            gathered.add(field, "label.undeclared", **parameters)
        return None
    missing = ~np.asarray(encoded.indices.is_valid())
    recode = np.array(codes or [0], dtype=np.int32)
    indices = np.asarray(encoded.indices.fill_null(0)) if found else np.zeros(len(encoded), np.int32)
    return pa.array(recode[indices], pa.int32(), mask=missing)


def _by_number(classes: Sequence[str]) -> dict[float, int]:
    """Let `0.0` in a column of numbers mean the class `0`, where all classes are numbers and none is doubled so."""
    if not all(_NUMBER.match(c) for c in classes):
        return {}
    made = {float(c): i for i, c in enumerate(classes)}
    return made if len(made) == len(classes) else {}


def _counts(values: pa.DictionaryArray) -> list[int]:
    codes = np.asarray(values.indices.fill_null(-1))
    return [int(c) for c in np.bincount(codes[codes >= 0], minlength=len(values.dictionary))]


def _with_counts(counts: Mapping[str, int]) -> str:
    first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return listed([f"{value!r} ({count}x)" for value, count in first], 5)


def draw_bands(values: pa.Array, bounds: Sequence[float]) -> pa.Array:
    """Turn numbers into the names of the bands they lie in.

    Args:
        values: (n,) numbers; null where missing.
        bounds: lower bounds of all bands but the first, ascending.

    Returns:
        (n,) dictionary<int32, string>, in the order of the bands. Whole numbers: `<25`, `25-39`, `>=40`; others:
        `<0.5`, `[0.5, 1)`, `>=1`.
    """
    numbers = np.asarray(values.fill_null(0), dtype=np.float64)
    missing = np.asarray(values.is_null())
    whole = bool((numbers == np.floor(numbers)).all()) and all(b == math.floor(b) for b in bounds)
    names = [f"<{bounds[0]:g}" if not whole else f"<{int(bounds[0])}"]
    for low, high in pairwise(bounds):
        if not whole:
            names.append(f"[{low:g}, {high:g})")
        elif high - low == 1:
            names.append(f"{int(low)}")
        else:
            names.append(f"{int(low)}-{int(high) - 1}")
    names.append(f">={bounds[-1]:g}" if not whole else f">={int(bounds[-1])}")
    codes = np.searchsorted(np.asarray(bounds, dtype=np.float64), numbers, side="right").astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=missing), pa.array(names, pa.string()))


def _short_numbers(values: pa.DictionaryArray) -> pa.DictionaryArray:
    """Write whole numbers as `1`, not `1.0`, where all are whole; values that mean the same number become one."""
    names = values.dictionary.to_pylist()
    numbers = [float(n) for n in names]
    if not all(n == math.floor(n) and abs(n) < 1e15 for n in numbers):
        return values
    short = [str(int(n)) for n in numbers]
    kept = sorted(set(short), key=float)
    place = {name: i for i, name in enumerate(kept)}
    recode = np.array([place[s] for s in short], dtype=np.int32)
    missing = ~np.asarray(values.indices.is_valid())
    codes = recode[np.asarray(values.indices.fill_null(0))]
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=missing), pa.array(kept, pa.string()))


def propose_bands(values: Sequence[str], name: str) -> str:
    """Propose bands: ages by custom, other numbers by thirds of their different values.

    Args:
        values: numbers as text, at least one.
        name: of the column.

    Returns:
        A list as it is written in YAML.
    """
    numbers = sorted(float(v) for v in values)
    if re.search(r"age|leeftijd", name, re.IGNORECASE) and numbers[-1] > 25:
        return "[25, 40, 65]"
    thirds = sorted({float(f"{numbers[len(numbers) * i // 3]:.3g}") for i in (1, 2)})
    return "[" + ", ".join(f"{t:g}" for t in thirds) + "]"


def draw_row_numbers(rows: int, digest: str) -> NDArray[np.int64]:
    """Draw distinct random row numbers, the same for the same submission.

    Args:
        rows: n.
        digest: of the submission, hexadecimal.

    Returns:
        (n,) int64, each in 0 to 2^62 - 1.
    """
    seed = hashlib.blake2b(f"row numbers|{digest}".encode(), digest_size=16).digest()
    rng = np.random.default_rng(int.from_bytes(seed, "little"))
    drawn = rng.integers(0, 2**62, size=rows, dtype=np.int64)
    while len(np.unique(drawn)) != rows:
        drawn = rng.integers(0, 2**62, size=rows, dtype=np.int64)
    return drawn


def _range(rows: int) -> pa.Array:
    return pa.array(np.arange(rows, dtype=np.int64))


def _chunked(values: pa.Array | None) -> pa.ChunkedArray | None:
    return None if values is None else pa.chunked_array([values])


def _as_table(columns: Mapping[str, pa.Array]) -> pa.Table:
    return pa.table(dict(columns))
