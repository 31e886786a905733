"""How many rows and how much weight each group of an attribute has."""

from __future__ import annotations

import numpy as np

from checks.counting import ABSENT, Cells
from checks.evidence import Need, View
from checks.statistics import Floats

Counts = tuple[tuple[str | None, ...], Floats, Floats, Floats, Floats | None]


def counts_of(evidence: View, attribute: str) -> Counts | None:
    """Give names, rows, weights, squared weights and unlabelled rows (where known) of each group."""
    if evidence.holds(Need.CELLS):
        cells = Cells.of(evidence.cells(attribute))
        rows = cells.rows_of().astype(np.float64)
        missing = cells.rows_of(cells.label == ABSENT).astype(np.float64)
        return cells.names, rows, cells.weight_of(), cells.squares_of(), missing
    if evidence.holds(Need.GROUPS) and attribute in evidence.groups.column_names:
        given = evidence.groups.column(attribute).to_pylist()
        names = tuple(sorted({n for n in given if n is not None})) + ((None,) if None in given else ())
        place = {name: i for i, name in enumerate(names)}
        code = np.array([place[name] for name in given], dtype=np.int64)
        weight = evidence.weights.to_numpy().astype(np.float64) if evidence.holds(Need.WEIGHTS) else np.ones(len(code))
        size = len(names)
        counts = np.bincount(code, minlength=size).astype(np.float64)
        sums, squares = (np.bincount(code, weights=w, minlength=size).astype(np.float64) for w in (weight, weight**2))
        return names, counts, sums, squares, None
    return None
