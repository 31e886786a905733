"""Scores and labels with the group of each row: what calibration and ranking per group are read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checks.accuracy._scored import Scored, floats, weights_of
from checks.counting import Codes, group_codes, unit_codes
from checks.declaration import Output, Task
from checks.evidence import Need, View
from checks.finding import NotGathered, Reason

ROW_FACTS = (Need.SCORES, Need.PROBABILITIES, Need.WEIGHTS, Need.UNITS)
"""What is read beside labels and groups, where it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """Rows that have a label and a score, with their group.

    Args:
        rows: label, score and weight of each, (n,).
        group: (n,) position in `names`.
        names: groups; None was not stated.
        group_rows: (g,) all rows of each group.
        all_rows, unlabelled, unanswered: rows in all, without label, without score.
        probability: whether each score is a probability.
    """

    rows: Scored
    group: Codes
    names: tuple[str | None, ...]
    group_rows: Codes
    all_rows: int
    unlabelled: int
    unanswered: int
    probability: bool

    def parts(self) -> list[Scored]:
        """Give the rows of each group; sorted once, for there can be thousands of groups."""
        order = np.argsort(self.group, kind="stable")
        ends = np.cumsum(np.bincount(self.group, minlength=len(self.names)))
        return [self.rows.where(order[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def grouped(evidence: View, attribute: str) -> Grouped | NotGathered:
    """Read scores (binary: of `score_of`; several classes: the probability of the favourable one) by group."""
    data = evidence.declaration.data
    assert data is not None
    if data.task is Task.BINARY:
        of = evidence.declaration.score_of
        if of is None or not evidence.holds(Need.SCORES):
            return NotGathered(reason=Reason(code="no_scores", params={"need": Need.SCORES.value}))
        score = floats(evidence.scores)
    else:
        of = data.favourable
        if of is None:
            return NotGathered(reason=Reason(code="no_favourable", params={"classes": ", ".join(data.classes)}))
        if not evidence.holds(Need.PROBABILITIES):
            return NotGathered(reason=Reason(code="no_probabilities", params={"need": Need.PROBABILITIES.value}))
        score = floats(evidence.probabilities.column(str(data.classes.index(of))))
    if attribute not in evidence.groups.column_names:
        return NotGathered(reason=Reason(code="no_rows"))
    label, size = floats(evidence.labels), len(score)
    code, names = group_codes(evidence.groups.column(attribute), size)
    known: NDArray[np.bool_] = ~(np.isnan(label) | np.isnan(score))
    if not known.any():
        code_of_none = "no_labels" if np.isnan(label).all() else "no_scores"
        return NotGathered(reason=Reason(code=code_of_none, params={"need": Need.LABELS.value}))
    rows = Scored(
        positive=label == data.classes.index(of),
        score=score,
        weight=weights_of(evidence, size),
        unit=unit_codes(evidence),
    ).where(known)
    model = evidence.declaration.model
    within = bool(rows.score.min() >= 0.0 and rows.score.max() <= 1.0)
    return Grouped(
        rows=rows,
        group=code[known],
        names=tuple(names),
        group_rows=np.bincount(code, minlength=len(names)).astype(np.int64),
        all_rows=size,
        unlabelled=int(np.isnan(label).sum()),
        unanswered=int(np.isnan(score).sum()),
        # A supplied score is taken for a probability only where every value can be one.
        probability=within and (model is None or model.output is Output.PROBABILITY),
    )
