"""Whether the system is right more often than one that gives everybody the same answer."""

from __future__ import annotations

import numpy as np

from checks.accuracy._confusion import Confusion, confuse, standing
from checks.counting import UNIT_FACTS
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.finding import Measure, Measured, NotGathered, Rejudge, Result
from checks.policy import Terms
from checks.registry import check
from checks.statistics import critical, paired_difference


@check(
    gives=("gain", "constant_accuracy", "classes_chosen"),
    needs=(Need.CELLS,),
    may_read=UNIT_FACTS,
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL, Route.PREDICTIONS, Route.COUNTS),
    law=("AIA 15(1)", "AIA 15(3)", "AIA Annex IV 3"),
    rejudge=Rejudge.DOSSIER,
)
def majority_class(evidence: View, terms: Terms) -> Result:
    """Compare the system's accuracy with that of always giving the most frequent label.

    Args:
        evidence: counts of label x decision; rows without label or answer are left out and told.
        terms: confidence.

    Returns:
        `gain` (share, -1 to 1, larger is better; below 0 the system is worse than a constant answer; interval for two
        shares of the same rows), `constant_accuracy` (share of the most frequent label, exact for these rows) and
        `classes_chosen` (count, exact: how many different answers the system gave).

    Law:
        AIA 15(1) asks for an appropriate level of accuracy; it does not say what level that is.

    References:
        sklearn.dummy.DummyClassifier(strategy="most_frequent"); MOVER for paired shares, Zou (2007).
    """
    confusion = confuse(evidence)
    if isinstance(confusion, NotGathered):
        return confusion
    rows, constant = int(confusion.cells.rows.sum()), _most_frequent(confusion)
    share, _, _ = confusion.weigh(confusion.cells.label == constant, confusion.cells.rows > 0)
    chosen = len(np.unique(confusion.cells.decision))
    reason, never_within = standing(evidence, terms, confusion.rows, confusion.unlabelled, confusion.unanswered)
    return Measured(
        measures=(
            gain_of(confusion, constant, terms),
            Measure(
                name="constant_accuracy",
                value=share,
                low=share,
                high=share,
                rows=rows,
                unit="share",
                definition="sklearn.dummy.DummyClassifier(strategy='most_frequent')",
                interval="exact",
            ),
            Measure(
                name="classes_chosen", value=chosen, low=chosen, high=chosen, rows=rows, unit="count", interval="exact"
            ),
        ),
        reason=reason,
        never_within=never_within,
    )


def gain_of(confusion: Confusion, constant: int, terms: Terms) -> Measure:
    """Measure how much more often decisions are right than one constant answer."""
    cells = confusion.cells
    everyone = cells.rows > 0
    right, alike = cells.label == cells.decision, cells.label == constant
    gained, rows, effective = confusion.weigh(right & ~alike, everyone)
    lost, _, effective_lost = confusion.weigh(~right & alike, everyone)
    assert gained is not None
    assert lost is not None
    # Both shares are of all rows; what the rows (or units) are worth in all bounds what each says.
    whole = confusion.weigh(everyone, everyone)[2]
    n = min(whole, effective, effective_lost, confusion.effective_of_difference(right & ~alike, ~right & alike))
    low, high = paired_difference(gained, lost, n, critical(terms.confidence))
    return confusion.certain(
        Measure(
            name="gain",
            value=gained - lost,
            low=low,
            high=high,
            rows=rows,
            unit="share",
            definition="accuracy minus the share of the most frequent label",
            interval="mover over wilson, paired",
        )
    )


def _most_frequent(confusion: Confusion) -> int:
    return int(np.argmax(np.bincount(confusion.cells.label, weights=confusion.cells.weight)))
