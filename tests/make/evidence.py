"""Builders of evidence from plain arrays, through the same sealing that a real assessment uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.asking import ask, plan_all, probes_for
from checks.declaration import Declaration
from checks.evidence import Document, Evidence, Table
from checks.sealing import Recorded, seal

SYSTEM = {
    "name": "Example",
    "version": "1",
    "provider": {"name": "Example BV", "contact": "ai@example.org", "country": "NL", "size": "small"},
    "intended_purpose": "Decides on an example.",
}


def declare(
    *,
    route: str = "predictions",
    task: str = "binary",
    classes: Sequence[str] = ("no", "yes"),
    favourable: str | None = "yes",
    groups: Sequence[str] = ("sex",),
    columns: Mapping[str, str] | None = None,
    data: Mapping[str, Any] | None = None,
    score: bool = False,
    **more: Any,
) -> Declaration:
    """Declare an example system.

    Args:
        route: `model`, `predictions`, `counts` or `documents`.
        groups: names of columns that people are compared by.
        columns: further roles by column name.
        data: further fields of `data`.
        score: on the predictions route, whether scores come beside decisions.
        more: further fields of the declaration.
    """
    given: dict[str, Any] = {"system": SYSTEM, **more}
    if route != "documents":
        roles = {"default": "feature", "label": "label", **dict.fromkeys(groups, "group"), **(columns or {})}
        given["data"] = {"file": "data.csv", "task": task, "columns": roles, **(data or {})}
        if task != "regression":
            given["data"] |= {"classes": list(classes), "favourable": favourable}
    of = classes[-1]
    if route == "model":
        output = "value" if task == "regression" else "probability"
        given["model"] = {"file": "m.skops", "output": output} | ({} if task == "regression" else {"score_of": of})
    elif route == "predictions":
        scored = {"score": "p", "score_of": of} if score else {}
        given["predictions"] = {"file": "p.csv", "decision": "d", **scored}
    elif route == "counts":
        given["counts"] = {"file": "c.csv"}
    return Declaration.model_validate(given)


def codes(values: Sequence[int | None] | NDArray[Any]) -> pa.ChunkedArray:
    """Make class indices; None and negative numbers are absent."""
    return pa.chunked_array([pa.array([None if v is None or v < 0 else int(v) for v in values], type=pa.int32())])


def floats(values: Sequence[float | None] | NDArray[Any]) -> pa.ChunkedArray:
    """Make numbers; NaN is absent."""
    return pa.chunked_array([pa.array(values, type=pa.float64(), from_pandas=True)])


def table(
    *,
    groups: Mapping[str, Sequence[str | None] | NDArray[Any]],
    label: pa.ChunkedArray | None = None,
    features: Mapping[str, Any] | None = None,
    weight: Sequence[float] | NDArray[Any] | None = None,
    unit: Sequence[int] | NDArray[Any] | None = None,
    rows: int | None = None,
) -> Table:
    """Make a table as intake would read it."""
    shown = pa.table({n: pa.chunked_array([pa.array(v)]) for n, v in (features or {}).items()})
    compared = pa.table({n: pa.chunked_array([pa.array(v, type=pa.string())]) for n, v in groups.items()})
    size = rows if rows is not None else max(compared.num_rows, shown.num_rows)
    return Table(
        features=shown,
        groups=compared,
        label=label,
        weight=None if weight is None else floats(weight),
        unit=None if unit is None else pa.chunked_array([pa.array(unit, type=pa.int64())]),
        rows=size,
        row_numbers=pa.chunked_array([pa.array(np.arange(size)[::-1].copy(), type=pa.int64())]),
    )


def by_predictions(
    *,
    groups: Mapping[str, Sequence[str | None] | NDArray[Any]],
    decision: Sequence[Any] | NDArray[Any] | None,
    label: Sequence[Any] | NDArray[Any] | None = None,
    score: Sequence[Any] | NDArray[Any] | None = None,
    features: Mapping[str, Any] | None = None,
    weight: Sequence[float] | NDArray[Any] | None = None,
    unit: Sequence[int] | NDArray[Any] | None = None,
    declaration: Declaration | None = None,
    documents: tuple[Document, ...] = (),
    population: Mapping[str, Mapping[str, float]] | None = None,
    **declared: Any,
) -> Evidence:
    """Seal decisions (and scores) that were supplied with rows.

    Args:
        decision, label: class indices (None or negative: absent), or numbers for a regression task.
        declared: arguments of `declare`, where no declaration is given.
    """
    columns = dict(declared.pop("columns", None) or {})
    if weight is not None:
        columns["w"] = "weight"
    if unit is not None:
        columns["u"] = "unit"
    if declaration is None:
        declaration = declare(groups=tuple(groups), columns=columns, score=score is not None, **declared)
    assert declaration.data is not None
    turn = floats if declaration.data.task.value == "regression" else codes
    made = table(
        groups=groups,
        label=None if label is None else turn(label),
        features=features,
        weight=weight,
        unit=unit,
        rows=next((len(v) for v in (decision, score) if v is not None), None),
    )
    recorded = Recorded(
        decision=None if decision is None else turn(decision), score=None if score is None else floats(score)
    )
    return seal(
        declaration,
        submission_digest="0" * 64,
        table=made,
        recorded=recorded,
        population=population,
        documents=documents,
    )


def by_counts(
    rows: Sequence[tuple[Any, ...]],
    *,
    attributes: Sequence[str] = ("sex",),
    population: Mapping[str, Mapping[str, float]] | None = None,
    **declared: Any,
) -> Evidence:
    """Seal supplied counts.

    Args:
        rows: (value of each attribute ..., label index or None, decision index or None, rows).
    """
    columns = list(zip(*rows, strict=True)) if rows else [()] * (len(attributes) + 3)
    made = {n: pa.array(columns[i], type=pa.string()) for i, n in enumerate(attributes)}
    count = [int(c) for c in columns[-1]]
    made |= {
        "label": pa.array(columns[-3], type=pa.int32()),
        "decision": pa.array(columns[-2], type=pa.int32()),
        "rows": pa.array(count, type=pa.int64()),
        "weight": pa.array([float(c) for c in count], type=pa.float64()),
        "weight_squared": pa.array([float(c) for c in count], type=pa.float64()),
    }
    declaration = declare(route="counts", groups=tuple(attributes), **declared)
    return seal(declaration, submission_digest="0" * 64, counts=pa.table(made), population=population)


def by_model(
    given: Table,
    predict: Callable[[pa.Table], NDArray[np.float64]],
    declaration: Declaration,
    *,
    documents: tuple[Document, ...] = (),
    seed: int = 0,
    **sealed: Any,
) -> Evidence:
    """Ask a predicting function every probe that fits, and seal its answers.

    Args:
        predict: features (m, f) to answers (m, k).
        sealed: further arguments of `seal`.
    """
    plans = plan_all(probes_for(declaration), given, declaration, seed)
    answers = ask(plans, predict, key=b"tests")
    return seal(
        declaration,
        submission_digest="0" * 64,
        table=given,
        asked=answers,
        documents=documents,
        seed=seed,
        **sealed,
    )
