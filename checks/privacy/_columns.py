"""Columns of the uploaded table as text, with how often each value occurs: what is looked through for personal data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from checks.evidence import Need, View

SAMPLE = 20_000
"""Rows whose values are looked through, at most; drawn with the run's seed."""

LONGEST = 2_000
"""Characters of one value that are looked through."""

TABLE_FACTS = (Need.FEATURES, Need.GROUPS)
"""What these checks read, where it is there. A column declared as identifier never leaves intake, so it is not seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One column as text.

    Args:
        name: of the column.
        shown: whether the system is shown it.
        values: (d,) different values, without those that are missing.
        counts: (d,) rows of each.
        numeric: whether the column holds numbers.
    """

    name: str
    shown: bool
    values: tuple[str, ...]
    counts: tuple[int, ...]
    numeric: bool

    @property
    def rows(self) -> int:
        """Rows that have a value."""
        return sum(self.counts)


def drawn_rows(evidence: View) -> tuple[list[Text], int, int]:
    """Read inputs and groups as text.

    Returns:
        The columns (an input that is also a group once), the rows looked at, and the rows there are.
    """
    tables = [(True, evidence.features)] if evidence.holds(Need.FEATURES) else []
    tables += [(False, evidence.groups)] if evidence.holds(Need.GROUPS) else []
    size = tables[0][1].num_rows if tables else 0
    rows = np.arange(size)
    if size > SAMPLE:
        rows = np.sort(np.random.default_rng([evidence.seed, 0x9D1]).choice(size, SAMPLE, replace=False))
    found: dict[str, Text] = {}
    for shown, table in tables:
        for name in table.column_names:
            if name not in found:
                found[name] = _text(name, shown, table.column(name).take(pa.array(rows)))
    return list(found.values()), len(rows), size


def _text(name: str, shown: bool, column: pa.ChunkedArray) -> Text:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if pa.types.is_floating(column.type):
        numbers = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
        known = numbers[np.isfinite(numbers)]
        # A whole number that was read as a fraction is still that number; other fractions identify nobody by form.
        whole = known[(known == np.floor(known)) & (np.abs(known) < 2**53)]
        different, times = np.unique(whole.astype(np.int64), return_counts=True)
        return Text(
            name=name,
            shown=shown,
            values=tuple(str(v) for v in different.tolist()),
            counts=tuple(times.tolist()),
            numeric=True,
        )
    counted = column.cast(pa.string()).drop_null().value_counts()
    return Text(
        name=name,
        shown=shown,
        # A form is looked for in the beginning of a value: long texts are hostile or no column of a table.
        values=tuple(value[:LONGEST] for value in counted.field("values").to_pylist()),
        counts=tuple(counted.field("counts").to_pylist()),
        numeric=numeric,
    )


def words_of(name: str) -> Iterator[str]:
    """Give the words of a column name in lower case: `AchternaamKind_2` gives achternaam, kind."""
    for word in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])", name):
        yield word.lower()
