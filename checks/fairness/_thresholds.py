"""What would follow from other thresholds: decisions worked out again from scores, in counts of scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checks.accuracy._scored import floats, weights_of
from checks.counting import Codes, group_codes
from checks.declaration import Output, Task
from checks.evidence import Need, View
from checks.finding import NotGathered, Reason
from checks.policy import Terms
from checks.statistics import Floats, effective_rows

FACTS = (Need.SCORES, Need.GROUPS, Need.LABELS, Need.WEIGHTS)
"""What these calculations read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Rows with a score, and what the declared threshold makes of them.

    Args:
        favoured: (n,) how much a row's score speaks for the favourable class: the score, or its opposite.
        good: (n,) whether the label is favourable; None where there are no labels.
        labelled: (n,) whether there is one.
        weight: (n,).
        group: (n,) position in `names`.
        large: (g,) whether a group has enough effective rows.
        cut: from this `favoured` on the decision is favourable now.
        turned: whether `favoured` is the opposite of the score: low scores are good for a person.
    """

    favoured: Floats
    good: NDArray[np.bool_] | None
    labelled: NDArray[np.bool_]
    weight: Floats
    group: Codes
    names: tuple[str | None, ...]
    large: NDArray[np.bool_]
    cut: float
    turned: bool

    def shares(self, chosen: NDArray[np.bool_]) -> Floats:
        """Give the share of each group that is chosen, (g,); NaN where a group has no row."""
        size = len(self.names)
        total = np.bincount(self.group, weights=self.weight, minlength=size)
        inside = np.bincount(self.group, weights=self.weight * chosen, minlength=size)
        shares: Floats = np.divide(inside, total, out=np.full(size, np.nan), where=total > 0)
        return shares

    def overall(self, chosen: NDArray[np.bool_]) -> float:
        """Give the share of all that is chosen."""
        return float((self.weight * chosen).sum() / self.weight.sum())

    def accuracy(self, chosen: NDArray[np.bool_]) -> float | None:
        """Give the share of labelled rows that are decided as their label; None without labels."""
        if self.good is None or not self.labelled.any():
            return None
        known = self.labelled
        return float((self.weight[known] * (chosen == self.good)[known]).sum() / self.weight[known].sum())

    def score(self, favoured: float) -> float:
        """Give the score that a value of `favoured` stands for."""
        return -favoured if self.turned else favoured


def scores_of(evidence: View, attribute: str, terms: Terms) -> Scores | NotGathered:
    """Read scores by group, where a threshold turns them into decisions."""
    declaration = evidence.declaration
    data, of = declaration.data, declaration.score_of
    assert data is not None
    assert data.task is Task.BINARY
    if of is None or not evidence.holds(Need.SCORES):
        return NotGathered(reason=Reason(code="no_scores", params={"need": Need.SCORES.value}))
    if data.favourable is None:
        return NotGathered(reason=Reason(code="no_favourable", params={"classes": ", ".join(data.classes)}))
    if data.threshold is None and declaration.model is not None and declaration.model.output is Output.SCORE:
        return NotGathered(reason=Reason(code="no_threshold"))
    threshold = 0.5 if data.threshold is None else data.threshold
    score, groups = floats(evidence.scores), evidence.groups
    if attribute not in groups.column_names or np.isnan(score).all():
        return NotGathered(reason=Reason(code="no_rows"))
    known = ~np.isnan(score)
    code, names = group_codes(groups.column(attribute), len(score))
    weight = weights_of(evidence, len(score))[known]
    label = floats(evidence.labels)[known] if evidence.holds(Need.LABELS) else None
    turned = of != data.favourable
    size = len(names)
    effective = effective_rows(
        np.bincount(code[known], weights=weight, minlength=size),
        np.bincount(code[known], weights=weight**2, minlength=size),
    )
    large = effective >= terms.minimum_rows
    if large.sum() < 2:
        return NotGathered(reason=Reason(code="too_few_groups", params={"groups": int(large.sum())}))
    return Scores(
        favoured=-score[known] if turned else score[known],
        good=None if label is None else label == data.classes.index(data.favourable),
        labelled=np.zeros(len(weight), dtype=np.bool_) if label is None else ~np.isnan(label),
        weight=weight,
        group=code[known],
        names=tuple(names),
        large=large,
        # The class of the score is decided from the threshold on; so low scores are good below it, not at it.
        cut=float(np.nextafter(-threshold, np.inf)) if turned else threshold,
        turned=turned,
    )
