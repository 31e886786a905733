"""Ask rows again as a person of another group, where the group is one of the model's own inputs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.asking import Plan, probe
from checks.declaration import Declaration, Task
from checks.evidence import Table
from checks.probes.coalitions import codes_of

SWAPPED_ROWS = 1_000
"""Rows asked for each attribute."""

MOST_VALUES = 50
"""Distinct values above which an attribute is a quantity rather than a group: it is not swapped."""


@probe(tasks=(Task.BINARY, Task.MULTICLASS))
def swapped_group(table: Table, declaration: Declaration, rng: np.random.Generator) -> Plan | None:
    """Plan a second question for up to `SWAPPED_ROWS` rows per attribute, with another person's value of it.

    The other value is drawn evenly among the values that the attribute has in the data; all other inputs stay.

    Returns:
        A plan with the facts `row` (m,), positions of the rows asked, and `attribute` (m,), the number of the
        attribute in `declaration.data.attributes`; None where no attribute is an input, or none has two values.
    """
    data = declaration.data
    if data is None or not table.rows:
        return None
    parts, row_parts, attribute_parts = [], [], []
    for number, attribute in enumerate(data.attributes):
        if attribute not in table.features.column_names:
            continue
        codes = codes_of(table.features.column(attribute))
        values, first = np.unique(codes, return_index=True)
        values, first = values[values >= 0], first[values >= 0]
        if not 2 <= len(values) <= MOST_VALUES:
            continue
        chosen = np.sort(rng.permutation(np.flatnonzero(codes >= 0))[:SWAPPED_ROWS]).astype(np.int64)
        own = np.searchsorted(values, codes[chosen])
        other = (own + rng.integers(1, len(values), size=len(chosen))) % len(values)
        at = table.features.column_names.index(attribute)
        rows = table.features.take(pa.array(chosen))
        swapped = table.features.column(attribute).take(pa.array(first[other].astype(np.int64)))
        parts.append(rows.set_column(at, rows.schema.field(at), swapped))
        row_parts.append(chosen)
        attribute_parts.append(np.full(len(chosen), number, dtype=np.int64))
    if not parts:
        return None
    return Plan(
        rows=pa.concat_tables(parts),
        facts={"row": np.concatenate(row_parts), "attribute": np.concatenate(attribute_parts)},
    )
