"""Reads decisions and scores that a provider supplies instead of a model."""

from __future__ import annotations

import pyarrow as pa

from checks.declaration import Data, Predictions, Task
from checks.sealing import Recorded
from sandbox.cell.frames import As
from sandbox.intake.columns import absent, match_classes, refused, within_reach
from sandbox.intake.problems import Gathered
from sandbox.intake.reading import Column, Head, Reading


def read_recorded(predictions: Predictions, data: Data, head: Head, reading: Reading, gathered: Gathered) -> Recorded:
    """Read the decision and score columns; a row may lack either.

    Args:
        predictions: which columns.
        data: the task and its classes.
        head: what the table is.
        reading: the open table.
        gathered: takes the problems.

    Returns:
        What was read; a column with a problem is absent.
    """
    place = {name: i for i, name in enumerate(head.names) if name}
    made: dict[str, pa.ChunkedArray | None] = {"decision": None, "score": None}
    for part in made:
        name = getattr(predictions, part)
        field = f"predictions.{part}"
        if name is None:
            continue
        if name not in place:
            absent(field, name, head, gathered)
            continue
        is_class = part == "decision" and data.task is not Task.REGRESSION
        got = reading.column(place[name], As.TEXT if is_class else As.NUMBER)
        if not isinstance(got, Column):
            refused(field, name, got, gathered)
            continue
        values = (
            match_classes(field, name, got.values, data.classes, gathered)
            if is_class
            else within_reach(field, name, got.values, gathered)
        )
        if values is None:
            continue
        if values.null_count == len(values):
            gathered.add(field, "predictions.all_missing", column=name)
        made[part] = pa.chunked_array([values])
    return Recorded(decision=made["decision"], score=made["score"])
