"""Inputs that equal or determine the label or a group, or that number the rows: seen in the data, before any answer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.counting import Codes, group_codes
from checks.declaration import Route
from checks.evidence import Need, View
from checks.finding import GroupMeasures, Measure, Measured, NotGathered, Reason, Result
from checks.kinds import kinds_of
from checks.policy import Terms
from checks.registry import check

REPEATED = 0.5
"""Share of rows whose value must occur more than once before a column can be said to determine anything."""

DIFFERENT = 0.95
"""Share of rows with a value of their own from which a column of texts or whole numbers is said to number the rows."""


@check(
    gives=("label_inputs", "group_inputs", "identifier_inputs"),
    needs=(Need.FEATURES,),
    may_read=(Need.LABELS, Need.GROUPS),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 10(2)(g)", "AIA 10(3)", "AIA 15(5)"),
    first=True,
)
def determining_inputs(evidence: View, terms: Terms) -> Result:
    """Look for inputs of which each value goes with one label or one group alone, and for those that number the rows.

    Args:
        evidence: inputs, labels and groups; no answer of the system plays a part. All rows are looked at.
        terms: the fewest rows from which something is said.

    Returns:
        Counts (exact; 0 is better). `label_inputs`: inputs that determine the label: whatever value occurs twice always
        has the same one, and at least half of the rows have such a value. `group_inputs`: the same of an attribute that
        people are compared by and that the system is not shown. Neither has a value where too few labels (groups) are
        known, or all are the same. `identifier_inputs`: texts or whole numbers of which at least 95 % of the rows have
        one of their own. Per such input the share of rows that shows it.

    Law:
        AIA 10(2)(g) asks to detect what distorts data, 15(5) for resilience against those who would alter how a system
        is seen to perform: a row that can be known again can be looked up. An input may determine a label by right.

    References:
        A functional dependency, as of relational databases: Armstrong (1974), over values that repeat.
    """
    features = evidence.features
    rows, names = features.num_rows, features.column_names
    if rows < terms.minimum_rows or not names:
        return NotGathered(reason=Reason(code="too_few_rows"))
    targets: list[tuple[str, Codes]] = []
    if evidence.holds(Need.LABELS):
        label = evidence.labels.to_numpy(zero_copy_only=False).astype(np.float64)
        targets.append(
            ("label_inputs", np.where(np.isnan(label), -1, np.unique(label, return_inverse=True)[1]).astype(np.int64))
        )
    for attribute in evidence.groups.column_names if evidence.holds(Need.GROUPS) else ():
        if attribute not in names:
            codes, known = group_codes(evidence.groups.column(attribute), rows)
            targets.append(
                ("group_inputs", np.where(codes == known.index(None), -1, codes) if None in known else codes)
            )
    targets = [(what, target) for what, target in targets if _can_be_determined(target, terms)]
    found: list[tuple[str, Measure]] = []
    for name in names:
        column = features.column(name)
        kind = kinds_of(pa.table({name: column}))
        if (own := _numbers_the_rows(column, kind)) is not None:
            found.append((name, _exact("identifier_inputs", own, rows)))
        told: dict[str, float] = {}
        for what, target in targets:
            share = _determined(kind, target)
            if share is not None:
                told[what] = max(share, told.get(what, 0.0))
        found += [(name, _exact(what, share, rows)) for what, share in told.items()]

    told_of = {what for what, _ in targets} | {"identifier_inputs"}

    def count(what: str) -> Measure:
        if what not in told_of:
            return Measure(name=what, value=None, rows=rows, unit="count", reason=Reason(code=f"no_{what}"))
        number = len({name for name, m in found if m.name == what})
        return Measure(name=what, value=number, low=number, high=number, rows=rows, unit="count", interval="exact")

    by_input: dict[str, list[Measure]] = {}
    for name, measure in found:
        by_input.setdefault(name, []).append(measure)
    return Measured(
        measures=tuple(count(what) for what in ("label_inputs", "group_inputs", "identifier_inputs")),
        groups=tuple(
            GroupMeasures(group={"feature": name}, rows=rows, measures=tuple(m)) for name, m in by_input.items()
        ),
        reason=Reason(code="looked_at", params={"rows": rows, "columns": len(names), "targets": len(targets)}),
    )


def _exact(name: str, share: float, rows: int) -> Measure:
    return Measure(name=name, value=share, low=share, high=share, rows=rows, unit="share", interval="exact")


def _can_be_determined(target: Codes, terms: Terms) -> bool:
    known = target[target >= 0]
    return len(known) >= terms.minimum_rows and len(np.unique(known)) > 1


def _numbers_the_rows(column: pa.ChunkedArray, kind: Codes) -> float | None:
    """Give the share of rows with a value of their own; None where they are few, or fractions that differ by nature."""
    if pa.types.is_floating(column.type):
        numbers = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
        numbers = numbers[~np.isnan(numbers)]
        if not len(numbers) or bool((numbers != np.round(numbers)).any()):
            return None
    share = float((np.bincount(kind) == 1).sum()) / len(kind)
    return share if share >= DIFFERENT else None


def _determined(kind: Codes, target: Codes) -> float | None:
    """Give the share of rows whose value repeats, where each such value has one target; None where it does not hold."""
    known = target >= 0
    size = int(kind.max()) + 1
    rows = np.bincount(kind[known], minlength=size)
    repeated = rows[kind] > 1
    share = float((repeated & known).sum()) / int(known.sum())
    least, most = np.full(size, target.max() + 1), np.full(size, -1)
    np.minimum.at(least, kind[known], target[known])
    np.maximum.at(most, kind[known], target[known])
    return share if share >= REPEATED and bool((least == most)[rows > 1].all()) else None
