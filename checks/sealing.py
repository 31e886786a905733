"""Turn what was read and answered into evidence: decisions from answers, counts from rows, one digest over all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from checks.asking import BASELINE
from checks.counting import group_codes
from checks.declaration import CROSSED, Data, Declaration, Output, Task
from checks.evidence import (
    CELL_COLUMNS,
    EVERYONE,
    MOMENT_COLUMNS,
    Answers,
    Document,
    Evidence,
    Table,
    crossed,
    digest_of,
)
from checks.training import reduce_training

MOST_CROSSINGS = {2: 28, 3: 10}
"""Crossings of two and of three attributes that are counted at most: those of the first eight, the first five."""

MOST_TO_CROSS = 4_000_000
"""Combinations of several attributes' groups, of which most need not occur, up to which a crossing is looked at."""

MOST_CROSSED_GROUPS = 2_000
"""A crossing with more groups than this is not counted: nearly all would be too small to say anything of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Decisions and scores that the provider supplied instead of a model.

    Args:
        decision: (n,) int32 class index (classification) or float64 (regression); null where there is none.
        score: (n,) float64 score of `declaration.score_of`.
    """

    decision: pa.ChunkedArray | None = None
    score: pa.ChunkedArray | None = None


def seal(
    declaration: Declaration,
    *,
    submission_digest: str,
    table: Table | None = None,
    asked: Mapping[str, Answers] | None = None,
    recorded: Recorded | None = None,
    counts: pa.Table | None = None,
    population: Mapping[str, Mapping[str, float]] | None = None,
    documents: tuple[Document, ...] = (),
    scan: Mapping[str, Any] | None = None,
    model_fault: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Evidence:
    """Seal the facts of one assessment. Reads no clock and no meter: equal facts give an equal digest.

    Args:
        declaration: what the provider states.
        submission_digest: SHA-256 of the submission.
        table: the evaluation data, where there are rows, with the training data where they are given.
        asked: the model's answers by probe.
        recorded: supplied decisions and scores, on the predictions route.
        counts: on the counts route: columns of attribute names (string), `label` and `decision` (int32), `rows`
            (int64), `weight` and `weight_squared` (float64).
        population, documents, scan, model_fault, seed: see `Evidence`.
    """
    asked = asked or {}
    rows = None
    cells: dict[str, pa.Table] = {}
    moments: dict[str, pa.Table] = {}
    data = declaration.data
    if table is not None and data is not None:
        columns: dict[str, pa.ChunkedArray] = {"row": table.row_numbers}
        columns |= {f"feature:{n}": table.features.column(n) for n in table.features.column_names}
        columns |= {f"group:{n}": table.groups.column(n) for n in table.groups.column_names}
        for name, column in (("label", table.label), ("weight", table.weight), ("unit", table.unit)):
            if column is not None:
                columns[name] = column
        if BASELINE in asked:
            columns |= _from_answers(declaration, data, asked[BASELINE].values)
        if recorded is not None:
            columns |= _from_record(declaration, data, recorded)
        rows = pa.table(columns)
        if "decision" in columns or "value" in columns:
            if data.task is Task.REGRESSION:
                moments = _all_moments(rows, data)
            else:
                cells = _all_cells(rows, data)
    if counts is not None and data is not None:
        cells = cells_from_counts(counts, data)
    evidence = Evidence(
        declaration=declaration,
        submission_digest=submission_digest,
        rows=rows,
        asked={name: a for name, a in asked.items() if name != BASELINE},
        cells=cells,
        moments=moments,
        population={a: dict(groups) for a, groups in (population or {}).items()},
        training=reduce_training(table, data, seed) if table is not None and data is not None else None,
        documents=documents,
        scan=dict(scan or {}),
        model_fault=dict(model_fault) if model_fault else None,
        seed=seed,
    )
    return replace(evidence, digest=digest_of(evidence))


def default_threshold(declaration: Declaration) -> float | None:
    """Give the threshold from which a score decides for `score_of`; 0.5 for a probability where none is stated.

    Returns:
        None where the answers are a score without a stated threshold: then there are no decisions.
    """
    data = declaration.data
    if data is None:
        return None
    if data.threshold is not None:
        return data.threshold
    if declaration.model is not None and declaration.model.output is Output.SCORE:
        return None
    return 0.5


def decide(declaration: Declaration, score: NDArray[np.float64]) -> NDArray[np.int32] | None:
    """Turn scores of a binary task into decisions: `score_of` where the score reaches the threshold.

    Args:
        score: (n,) float64; NaN where there is none.

    Returns:
        (n,) int32 class index, -1 where there is no score; None where no threshold is known.
    """
    data, threshold = declaration.data, default_threshold(declaration)
    if data is None or threshold is None or declaration.score_of is None:
        return None
    of = data.classes.index(declaration.score_of)
    decided = np.where(score >= threshold, of, 1 - of).astype(np.int32)
    decided[np.isnan(score)] = -1
    return decided


def _from_answers(declaration: Declaration, data: Data, values: NDArray[np.float64]) -> dict[str, pa.ChunkedArray]:
    assert declaration.model is not None
    match declaration.model.output:
        case Output.VALUE:
            return {"value": _floats(values[:, 0])}
        case Output.LABEL | Output.DECISION:
            return {"decision": _codes(values[:, 0])}
        case _ if data.task is Task.MULTICLASS:
            best = np.where(np.isnan(values).any(axis=1), -1, np.nanargmax(np.nan_to_num(values, nan=-1.0), axis=1))
            given = {f"probability:{i}": _floats(values[:, i]) for i in range(values.shape[1])}
            return given | {"decision": _codes(best.astype(np.float64))}
        case _:
            score = values[:, 0]
            decided = decide(declaration, score)
            given = {"score": _floats(score)}
            return given if decided is None else given | {"decision": _codes(decided.astype(np.float64))}


def _from_record(declaration: Declaration, data: Data, recorded: Recorded) -> dict[str, pa.ChunkedArray]:
    given: dict[str, pa.ChunkedArray] = {}
    if recorded.score is not None:
        given["score"] = recorded.score
        if recorded.decision is None:
            decided = decide(declaration, recorded.score.to_numpy(zero_copy_only=False).astype(np.float64))
            if decided is not None:
                given["decision"] = _codes(decided.astype(np.float64))
    if recorded.decision is not None:
        given["value" if data.task is Task.REGRESSION else "decision"] = recorded.decision
    return given


def _floats(values: NDArray[np.float64]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, from_pandas=True)])


def _codes(values: NDArray[np.float64]) -> pa.ChunkedArray:
    absent = np.isnan(values) | (values < 0)
    return pa.chunked_array([pa.array(np.where(absent, 0, values).astype(np.int32), mask=absent)])


def _all_groups(rows: pa.Table, data: Data) -> Iterator[tuple[str, NDArray[np.int64], list[str | None]]]:
    """Yield each attribute and crossing with the group (n,) of each row and the groups' names; first everyone."""
    yield EVERYONE, *group_codes(None, rows.num_rows)
    named = [n.removeprefix("group:") for n in rows.column_names if n.startswith("group:")]
    single = {n: group_codes(rows.column(f"group:{n}"), rows.num_rows) for n in named}
    yield from ((n, *coded) for n, coded in single.items())
    for name, parts in _crossings_of(data):
        sizes = [len(single[part][1]) for part in parts if part in single]
        if len(sizes) < len(parts) or prod(sizes) > MOST_TO_CROSS:
            continue
        joined = single[parts[0]][0]
        for part, size in zip(parts[1:], sizes[1:], strict=True):
            joined = joined * size + single[part][0]
        # Counting finds the groups that occur in one pass; sorting all rows would take ten times as long.
        kept = np.flatnonzero(np.bincount(joined, minlength=prod(sizes)))
        if len(kept) > MOST_CROSSED_GROUPS:
            continue
        at = np.stack(np.unravel_index(kept, sizes), axis=1).tolist()
        named = [crossed(*(single[p][1][i] for p, i in zip(parts, places, strict=True))) for places in at]
        order = sorted(range(len(named)), key=lambda i: named[i])
        rank = np.zeros(prod(sizes), dtype=np.int64)
        rank[kept[order]] = np.arange(len(order))
        yield name, rank[joined], [named[i] for i in order]


def _crossings_of(data: Data) -> list[tuple[str, tuple[str, ...]]]:
    return [c for size in CROSSED for c in list(data.crossings(size).items())[: MOST_CROSSINGS[size]]]


def _all_cells(rows: pa.Table, data: Data) -> dict[str, pa.Table]:
    n, classes = rows.num_rows, len(data.classes)
    label = _with_absent(rows.column("label"), classes) if "label" in rows.column_names else np.full(n, classes)
    decision = _with_absent(rows.column("decision"), classes)
    weight = rows.column("weight").to_numpy() if "weight" in rows.column_names else None
    made = {}
    for attribute, codes, names in _all_groups(rows, data):
        side = classes + 1
        flat = (codes * side + label) * side + decision
        size = len(names) * side * side
        count = np.bincount(flat, minlength=size)
        total = count.astype(np.float64) if weight is None else np.bincount(flat, weights=weight, minlength=size)
        squared = total if weight is None else np.bincount(flat, weights=weight * weight, minlength=size)
        kept = np.flatnonzero(count)
        made[attribute] = _cell_table(
            [names[i // (side * side)] for i in kept],
            _absent_as_null((kept // side) % side, classes),
            _absent_as_null(kept % side, classes),
            count[kept],
            total[kept],
            squared[kept],
        )
    return made


def _cell_table(
    group: list[str | None],
    label: pa.Array,
    decision: pa.Array,
    count: NDArray[Any],
    weight: NDArray[Any],
    squared: NDArray[Any],
) -> pa.Table:
    columns = [
        pa.array(group, type=pa.string()),
        label,
        decision,
        pa.array(count, type=pa.int64()),
        pa.array(weight, type=pa.float64()),
        pa.array(squared, type=pa.float64()),
    ]
    return pa.table(columns, names=list(CELL_COLUMNS))


def _with_absent(column: pa.ChunkedArray, classes: int) -> NDArray[np.int64]:
    return np.asarray(column.fill_null(classes).to_numpy(zero_copy_only=False), dtype=np.int64)


def _absent_as_null(codes: NDArray[np.int64], classes: int) -> pa.Array:
    return pa.array(codes.astype(np.int32), mask=codes == classes)


def cells_from_counts(counts: pa.Table, data: Data) -> dict[str, pa.Table]:
    """Add up supplied counts per attribute and crossing of attributes, and over everyone.

    Args:
        counts: see `seal`.
        data: whose attributes people are compared by.
    """
    groups = {EVERYONE: pa.nulls(counts.num_rows, pa.string())}
    groups |= {attribute: counts.column(attribute) for attribute in data.attributes}
    for name, parts in _crossings_of(data):
        columns = (counts.column(attribute).to_pylist() for attribute in parts)
        joined = [crossed(*values) for values in zip(*columns, strict=True)]
        if len(set(joined)) <= MOST_CROSSED_GROUPS:
            groups[name] = pa.array(joined, type=pa.string())
    made = {}
    for attribute, group in groups.items():
        keyed = counts.select(["label", "decision", "rows", "weight", "weight_squared"]).append_column("group", group)
        added = keyed.group_by(["group", "label", "decision"], use_threads=False).aggregate(
            [("rows", "sum"), ("weight", "sum"), ("weight_squared", "sum")]
        )
        added = added.filter(pc.greater(added.column("rows_sum"), 0)).sort_by(
            [("group", "ascending"), ("label", "ascending"), ("decision", "ascending")]
        )
        made[attribute] = _cell_table(
            added.column("group").to_pylist(),
            added.column("label").combine_chunks().cast(pa.int32()),
            added.column("decision").combine_chunks().cast(pa.int32()),
            added.column("rows_sum").to_numpy(),
            added.column("weight_sum").to_numpy(),
            added.column("weight_squared_sum").to_numpy(),
        )
    return made


def _all_moments(rows: pa.Table, data: Data) -> dict[str, pa.Table]:
    if "label" not in rows.column_names:
        return {}
    label = rows.column("label").to_numpy(zero_copy_only=False).astype(np.float64)
    value = rows.column("value").to_numpy(zero_copy_only=False).astype(np.float64)
    absent = {"unlabelled": np.isnan(label), "unanswered": ~np.isnan(label) & np.isnan(value)}
    known = ~(absent["unlabelled"] | absent["unanswered"])
    weight = rows.column("weight").to_numpy()[known] if "weight" in rows.column_names else np.ones(int(known.sum()))
    label, value = label[known], value[known]
    error = value - label
    terms = {
        "weight": weight,
        "weight_squared": weight**2,
        "label": weight * label,
        "value": weight * value,
        "error": weight * error,
        "error_squared": weight * error**2,
        "absolute_error": weight * np.abs(error),
        "weighted2_error": weight**2 * error,
        "weighted2_error_squared": weight**2 * error**2,
        "weighted2_absolute_error": weight**2 * np.abs(error),
    }
    made = {}
    for attribute, every, names in _all_groups(rows, data):
        codes = every[known]
        columns: dict[str, Any] = {
            "group": pa.array(names, type=pa.string()),
            "rows": pa.array(np.bincount(codes, minlength=len(names)), type=pa.int64()),
        }
        columns |= {n: pa.array(np.bincount(codes, weights=t, minlength=len(names))) for n, t in terms.items()}
        columns |= {n: np.bincount(every, weights=a, minlength=len(names)) for n, a in absent.items()}
        made[attribute] = pa.table(columns).select(list(MOMENT_COLUMNS))
    return made
