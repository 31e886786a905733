"""Reads the tables beside the evaluation data: training data, a reviewer's holdout, and the stated population.

Training data and holdout are read as the evaluation data were: the same columns, types, bands and classes. What is
wrong with them is told under the field that names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isclose

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from checks.declaration import ColumnRole, Data, Declaration
from checks.evidence import Table
from sandbox.cell.frames import As
from sandbox.intake.columns import Roles, absent, draw_row_numbers, refused
from sandbox.intake.problems import Gathered, listed
from sandbox.intake.reading import Column, Head, Reading

POPULATION_COLUMNS = ("attribute", "group", "share")
ROUNDING = 0.01
"""How far the stated shares of an attribute may be from adding up to 1: they may be rounded."""


class Further(Roles):
    """Reads a further table with rows of the same kind as the evaluation data.

    Args:
        declaration: what the provider states.
        first: the evaluation data.
        units: the texts that the codes of their units stand for; None where there are none.
        head, reading, gathered, notes: as for `Roles`.
        field: where the table is named, for the words of problems.
    """

    def __init__(
        self,
        declaration: Declaration,
        first: Table,
        units: pa.Array | None,
        head: Head,
        reading: Reading,
        gathered: Gathered,
        notes: list[str],
        field: str,
    ) -> None:
        super().__init__(declaration, head, reading, Gathered(), notes)
        self._first = first
        self._known_units = units
        self._told = gathered
        self._field = field

    def table(self, digest: str = "", *, must_have_label: bool = False) -> Table | None:
        """Read the columns that the evaluation data have; all inputs must be there.

        Args:
            digest: seed of the row numbers.
            must_have_label: whether a table without the label is of no use.

        Returns:
            The table; None where a problem was noted.
        """
        features = {}
        for name in self._first.features.column_names:
            if name in self._place:
                features[name] = self._like(name, self._first.features.schema.field(name).type)
            else:
                absent(self._field, name, self._head, self._gathered)
        groups = {n: self._group(n) for n in self._first.groups.column_names if n in self._place}
        label, weight, unit = self._label(), self._weight(), self._unit()
        if must_have_label and self._data.label is not None and self._data.label not in self._place:
            absent(self._field, self._data.label, self._head, self._gathered)
        elif must_have_label and self._data.label is None:
            self._gathered.add(self._field, "holdout.no_label")
        self._told.extend([replace(p, field=self._field) for p in self._gathered.problems])
        if self._gathered.problems:
            return None
        return Table(
            features=pa.table({n: pa.chunked_array([v]) for n, v in features.items()}),
            groups=pa.table({n: pa.chunked_array([g]) for n, g in groups.items()}),
            label=None if label is None else pa.chunked_array([label]),
            weight=None if weight is None else pa.chunked_array([weight]),
            unit=None if unit is None else pa.chunked_array([unit]),
            rows=self._head.rows,
            row_numbers=pa.chunked_array([pa.array(draw_row_numbers(self._head.rows, digest))]),
        )

    def _like(self, name: str, kind: pa.DataType) -> pa.Array | None:
        wanted = As.TEXT
        if pa.types.is_boolean(kind):
            wanted = As.BOOLEAN
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            wanted = As.NUMBER
        got = self._ask(name, wanted, self._field)
        return None if got is None else got.values

    def _unit(self) -> pa.Array | None:
        """Give units the codes that they have in the evaluation data; others, and rows without one, codes beyond."""
        name = next((n for n, role in self._data.columns.items() if role is ColumnRole.UNIT), None)
        if name is None or name not in self._place or self._known_units is None:
            return None
        got = self._ask(name, As.TEXT, self._field)
        if got is None:
            return None
        encoded = got.values if pa.types.is_dictionary(got.values.type) else got.values.dictionary_encode()
        known = pc.index_in(encoded.dictionary, value_set=self._known_units)
        code = np.asarray(known.fill_null(-1), dtype=np.int64)
        beyond = len(self._known_units) + self._first.rows
        code = np.where(code < 0, beyond + np.arange(len(code)), code)
        at = np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)
        alone = beyond + len(code) + np.arange(len(at))
        return pa.array(np.where(at < 0, alone, code[at] if len(code) else alone))


def read_population(data: Data, head: Head, reading: Reading, gathered: Gathered) -> Mapping[str, dict[str, float]]:
    """Read whom a system is meant for: one row per attribute and group, with the group's share.

    Args:
        data: whose attributes can be stated.
        head, reading, gathered: the open table.

    Returns:
        Shares by attribute and group, of each attribute adding up to 1; empty where a problem was noted.
    """
    field, before = "data.population", len(gathered.problems)
    read = {}
    for name, wanted in zip(POPULATION_COLUMNS, (As.TEXT, As.TEXT, As.NUMBER), strict=True):
        if name not in head.names:
            absent(field, name, head, gathered)
            continue
        got = reading.column(head.names.index(name), wanted)
        if isinstance(got, Column):
            read[name] = got.values.to_pylist()
        else:
            refused(field, name, got, gathered)
    if len(gathered.problems) > before:
        return {}
    found: dict[str, dict[str, float]] = {}
    for row, (attribute, group, share) in enumerate(zip(*(read[n] for n in POPULATION_COLUMNS), strict=True), start=1):
        if attribute is None or group is None or share is None or share < 0:
            gathered.add(field, "population.row", row=row)
        elif attribute not in data.attributes:
            gathered.add(field, "population.attribute", attribute=attribute, known=listed(data.attributes, 10))
        elif group in found.setdefault(attribute, {}):
            gathered.add(field, "population.twice", attribute=attribute, group=group)
        else:
            found[attribute][group] = float(share)
    for attribute, shares in found.items():
        total = sum(shares.values())
        if len(gathered.problems) == before and not isclose(total, 1.0, abs_tol=ROUNDING):
            gathered.add(field, "population.total", attribute=attribute, total=round(total, 4))
    if len(gathered.problems) > before:
        return {}
    return {a: {g: s / sum(shares.values()) for g, s in shares.items()} for a, shares in found.items()}
