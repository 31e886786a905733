"""How often the system's decisions are right, over everyone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from checks.accuracy._confusion import Confusion, confuse, standing
from checks.accuracy._scored import Ranked
from checks.counting import UNIT_FACTS, Mask
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.finding import Figure, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import check
from checks.statistics import critical, weighted_sum, wilson


@check(
    gives=("accuracy", "balanced_accuracy", "f1_macro", "precision", "recall", "f1"),
    needs=(Need.CELLS,),
    may_read=UNIT_FACTS,
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL, Route.PREDICTIONS, Route.COUNTS),
    law=("AIA 15(1)", "AIA 15(3)", "AIA 13(3)(b)(ii)", "AIA Annex IV 2(g)", "AIA Annex IV 3"),
    rejudge=Rejudge.DOSSIER,
)
def overall(evidence: View, terms: Terms) -> Result:
    """Measure how often decisions equal labels, and how well the favourable class is told.

    Args:
        evidence: counts of label x decision; rows without label or answer are left out and told.
        terms: confidence.

    Returns:
        `accuracy`, `balanced_accuracy` (mean recall of the classes that occur), `f1_macro` (mean F1 of the classes that
        occur among labels or decisions), `precision`, `recall` and `f1` of the favourable class (no value where no
        favourable class is declared); shares from 0 to 1, larger is better. Intervals: Wilson; MOVER for the mean of
        recalls; linearised, on log odds, for the mean of F1; of f1 from Wilson's of the Jaccard share it is a function
        of.

    Law:
        AIA 15(1) and 15(3) ask for an appropriate level of accuracy and to declare it; what level is appropriate they
        do not say.

    References:
        sklearn.metrics accuracy_score, balanced_accuracy_score, precision_score, recall_score, f1_score.
    """
    confusion = confuse(evidence)
    if isinstance(confusion, NotGathered):
        return confusion
    data = evidence.declaration.data
    assert data is not None
    favourable = data.classes.index(data.favourable) if data.favourable is not None and data.classes else None
    reason, never_within = standing(evidence, terms, confusion.rows, confusion.unlabelled, confusion.unanswered)
    return Measured(
        measures=(
            accuracy_of(confusion, terms),
            balanced_accuracy_of(confusion, terms),
            f1_macro_of(confusion, terms),
            *favourable_of(confusion, favourable, terms),
        ),
        figures=(_figure(confusion, data.classes, terms),),
        reason=reason,
        never_within=never_within,
    )


def _figure(confusion: Confusion, classes: Sequence[str], terms: Terms) -> Figure:
    """Draw the confusion matrix: of each label that occurs, the share that gets each decision that occurs."""
    cells = confusion.cells
    drawn = [
        (
            classes[label],
            classes[decision],
            confusion.share("decided", cells.decision == decision, of, terms.confidence, ""),
        )
        for label in np.unique(cells.label)
        for of in [cells.label == label]
        for decision in np.unique(cells.decision)
    ]
    return Figure(
        name="accuracy.overall",
        kind="bars",
        columns={
            "label": tuple(label for label, _, _ in drawn),
            "decision": tuple(decision for _, decision, _ in drawn),
            "rows": tuple(m.rows for _, _, m in drawn),
            "value": tuple(m.value for _, _, m in drawn),
            "low": tuple(m.low for _, _, m in drawn),
            "high": tuple(m.high for _, _, m in drawn),
        },
        params={"measure": "decided", "unit": "share"},
    )


def accuracy_of(confusion: Confusion, terms: Terms) -> Measure:
    """Measure the share of right decisions."""
    cells = confusion.cells
    right = cells.label == cells.decision
    return confusion.share("accuracy", right, cells.rows > 0, terms.confidence, "sklearn.metrics.accuracy_score")


def balanced_accuracy_of(confusion: Confusion, terms: Terms) -> Measure:
    """Measure the mean recall over the classes that occur among the labels."""
    cells = confusion.cells
    recalls, effective = [], []
    for label in np.unique(cells.label):
        share, _, n = confusion.weigh(cells.decision == label, cells.label == label)
        if share is not None:
            recalls.append(share)
            effective.append(n)
    low, high = wilson(recalls, effective, critical(terms.confidence))
    equal = np.full(len(recalls), 1.0 / len(recalls))
    bounds = weighted_sum(recalls, low, high, equal)
    return confusion.certain(
        Measure(
            name="balanced_accuracy",
            value=float(np.mean(recalls)),
            low=max(0.0, bounds[0]),
            high=min(1.0, bounds[1]),
            rows=int(cells.rows.sum()),
            unit="share",
            definition="sklearn.metrics.balanced_accuracy_score",
            interval="mover over wilson",
        )
    )


def f1_macro_of(confusion: Confusion, terms: Terms) -> Measure:
    """Measure the mean F1 over the classes that occur among labels or decisions.

    Each F1 is a ratio of sums over rows, so that what a row adds to their mean is known to first order.
    """
    cells, each = confusion.cells, []
    influence = np.zeros(len(cells.weight))
    for of in np.unique(np.concatenate([cells.label, cells.decision])):
        meant, said = cells.label == of, cells.decision == of
        both, either = 2.0 * (meant & said), meant.astype(np.float64) + said
        whole = float((cells.weight * either).sum())
        each.append(float((cells.weight * both).sum()) / whole)
        influence += (both - each[-1] * either) / whole
    value = float(np.mean(each))
    ranked = Ranked(
        value=value, variance=confusion.variance_of_sum(influence / len(each)), fewest=confusion.fewest_of_a_label()
    )
    low, high = ranked.bounds(terms.confidence)
    return confusion.certain(
        Measure(
            name="f1_macro",
            value=value,
            low=low,
            high=high,
            rows=int(cells.rows.sum()),
            unit="share",
            definition="sklearn.metrics.f1_score(average='macro')",
            interval="wilson on the smallest class" if ranked.told_apart else "linearised, on log odds",
        )
    )


def favourable_of(confusion: Confusion, favourable: int | None, terms: Terms) -> tuple[Measure, Measure, Measure]:
    """Measure precision, recall and F1 of the favourable class."""
    names = {"precision": "precision_score", "recall": "recall_score", "f1": "f1_score"}
    if favourable is None:
        absent = [Measure(name=n, value=None, rows=0, unit="share", reason=Reason(code="no_favourable")) for n in names]
        return absent[0], absent[1], absent[2]
    cells = confusion.cells
    meant: Mask = cells.label == favourable
    said: Mask = cells.decision == favourable
    precision = confusion.share("precision", meant, said, terms.confidence, "sklearn.metrics.precision_score")
    recall = confusion.share("recall", said, meant, terms.confidence, "sklearn.metrics.recall_score")
    jaccard = confusion.share("f1", meant & said, meant | said, terms.confidence, "sklearn.metrics.f1_score")
    # F1 = 2J / (1 + J) grows with the Jaccard share J, so J's bounds give those of F1.
    moved = {n: None if (j := getattr(jaccard, n)) is None else 2 * j / (1 + j) for n in ("value", "low", "high")}
    method = "wilson of the Jaccard share" if jaccard.low is not None else ""
    return precision, recall, jaccard.model_copy(update={**moved, "interval": method})
