"""Whether the system would do better if every answer were turned around."""

from __future__ import annotations

import numpy as np

from checks.accuracy._confusion import Confusion, confuse, standing
from checks.accuracy._scored import auc_of, scored
from checks.counting import UNIT_FACTS
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.finding import Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import check
from checks.statistics import critical, gaps, wilson


@check(
    gives=("informedness", "auc"),
    needs=(Need.CELLS,),
    may_read=(*UNIT_FACTS, Need.SCORES),
    tasks=(Task.BINARY,),
    routes=(Route.MODEL, Route.PREDICTIONS, Route.COUNTS),
    law=("AIA 15(1)", "AIA 15(3)", "AIA Annex IV 3"),
    rejudge=Rejudge.EVIDENCE,
)
def inverse(evidence: View, terms: Terms) -> Result:
    """Tell whether decisions, and scores, go against the labels: then their inverse would do better.

    Args:
        evidence: counts of label x decision; labels and scores of rows, where there are any.
        terms: confidence.

    Returns:
        `informedness` (-1 to 1, larger is better; 0 is guessing, below 0 the inverse does better): how much more often
        the second class is given to those who have it than to those who have not; Newcombe's interval. `auc` (0 to 1,
        larger is better; below 0.5 the inverse ranks better; DeLong's interval on log odds), where there are scores.

    Law:
        AIA 15(1) asks for an appropriate level of accuracy. A system worse than its inverse most often has its classes,
        or the polarity of its score, mixed up somewhere.

    References:
        Youden (1950), Cancer 3, for informedness; sklearn.metrics.roc_auc_score.
    """
    confusion = confuse(evidence)
    if isinstance(confusion, NotGathered):
        return confusion
    reason, never_within = standing(evidence, terms, confusion.rows, confusion.unlabelled, confusion.unanswered)
    given = evidence.holds(Need.LABELS) and evidence.holds(Need.SCORES)
    ranked = scored(evidence) if given else None
    return Measured(
        # Where there are only decisions, a score is not missing: there is none to turn around.
        measures=(_informedness(confusion, terms), *((auc_of(ranked, evidence, terms),) if ranked is not None else ())),
        reason=reason,
        never_within=never_within,
    )


def _informedness(confusion: Confusion, terms: Terms) -> Measure:
    cells = confusion.cells
    second = cells.decision == 1
    sides = [confusion.weigh(second, cells.label == label) for label in (1, 0)]
    definition = "true positive rate minus false positive rate"
    values = [value for value, _, _ in sides if value is not None]
    if len(values) < 2:
        none = Reason(code="one_label")
        return Measure(name="informedness", value=None, rows=0, unit="ratio", definition=definition, reason=none)
    low, high = wilson(values, [n for _, _, n in sides], critical(terms.confidence))
    lower, upper = (float(m[0, 1]) for m in gaps(np.array(values), low, high))
    return confusion.certain(
        Measure(
            name="informedness",
            value=values[0] - values[1],
            low=lower,
            high=upper,
            rows=sum(rows for _, rows, _ in sides),
            unit="ratio",
            definition=definition,
            interval="newcombe over wilson",
        )
    )
