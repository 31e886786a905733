"""How well the system's scores tell the outcome, whatever threshold turns them into decisions."""

from __future__ import annotations

from checks.accuracy._confusion import standing
from checks.accuracy._scored import ROW_FACTS, auc_of, probability_losses, scored
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.finding import Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import check


@check(
    gives=("auc", "log_loss", "brier"),
    needs=(Need.LABELS,),
    may_read=ROW_FACTS,
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 15(1)", "AIA 15(3)", "AIA Annex IV 2(g)", "AIA Annex IV 3"),
    rejudge=Rejudge.EVIDENCE,
    version=2,
)
def scores(evidence: View, terms: Terms) -> Result:
    """Measure how well scores rank people, and how far stated probabilities are off.

    Args:
        evidence: labels, scores of `score_of` (binary) or probabilities of every class, weights where there are any.
        terms: confidence.

    Returns:
        `auc` (share, 0 to 1, larger is better, 0.5 is chance; with more than two classes the mean of each against all
        others; DeLong's interval on log odds), `log_loss` and `brier` (from 0, smaller is better; Student's interval of
        a mean over rows). No value where answers are decisions only, or scores that are no probabilities.

    Law:
        AIA 15(1) and 15(3) ask for an appropriate level of accuracy and to declare it; they name no measure.

    References:
        sklearn.metrics.roc_auc_score, log_loss, brier_score_loss; DeLong, DeLong and Clarke-Pearson (1988).
    """
    rows = scored(evidence)
    if rows is None and not evidence.holds(Need.PROBABILITIES):
        return NotGathered(reason=Reason(code="no_scores", params={"need": Need.SCORES.value}))
    if rows is not None and not len(rows.score):
        return NotGathered(reason=Reason(code="no_labels", params={"need": Need.LABELS.value}))
    labels = evidence.labels
    unlabelled = int(labels.null_count)
    answers = evidence.scores if rows is not None else evidence.probabilities.column(0)
    reason, never_within = standing(evidence, terms, len(labels), unlabelled, int(answers.null_count))
    return Measured(
        measures=(auc_of(rows, evidence, terms), *probability_losses(rows, evidence, terms)),
        reason=reason,
        never_within=never_within,
    )
