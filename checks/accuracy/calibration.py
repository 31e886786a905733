"""Whether stated probabilities are what happens, over everyone."""

from __future__ import annotations

import numpy as np

from checks.accuracy._calibration import BINS, binned, expected_gap, mean_gap
from checks.accuracy._confusion import standing
from checks.accuracy._scored import ROW_FACTS, Scored, floats, scored, weights_of
from checks.counting import unit_codes
from checks.declaration import Output, Route, Task
from checks.evidence import Need, View
from checks.finding import Figure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import check
from checks.statistics import critical, wilson


@check(
    gives=("mean_gap", "expected_gap"),
    needs=(Need.LABELS,),
    may_read=ROW_FACTS,
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 15(1)", "AIA 15(3)", "AIA Annex IV 2(g)", "AIA Annex IV 3"),
    rejudge=Rejudge.EVIDENCE,
)
def calibration(evidence: View, terms: Terms) -> Result:
    """Compare stated probabilities with what happened.

    Args:
        evidence: labels, probabilities of `score_of` (binary) or of every class, weights and units. All rows are used.
            Of several classes the one held most likely counts: how sure the system is, and how often it is right.
        terms: confidence.

    Returns:
        `mean_gap` (share, -1 to 1, nearer 0 is nearer what happened; above 0 the probabilities are too low; Student's
        interval) and `expected_gap` (share, 0 to 1, smaller is nearer: the expected calibration error in ten bins of
        equal width; an interval from an ellipsoid over the bins, that holds also where there is no gap).

    Law:
        AIA 15(1) and 15(3) ask for an appropriate level of accuracy and to declare it; they name no measure.

    References:
        Naeini, Cooper and Hauskrecht (2015), AAAI; sklearn.calibration.calibration_curve for the bins.
    """
    rows = _stated(evidence)
    if rows is None:
        code = "no_probabilities" if evidence.holds(Need.PROBABILITIES) or evidence.holds(Need.SCORES) else "no_scores"
        return NotGathered(reason=Reason(code=code, params={"need": Need.PROBABILITIES.value}))
    labels = evidence.labels
    if not len(rows.score):
        return NotGathered(reason=Reason(code="no_labels", params={"need": Need.LABELS.value}))
    answers = evidence.scores if evidence.holds(Need.SCORES) else evidence.probabilities.column(0)
    reason, never_within = standing(evidence, terms, len(labels), labels.null_count, answers.null_count)
    bins = binned(rows)
    low, high = wilson(bins.happened, bins.effective, critical(terms.confidence))
    return Measured(
        measures=(mean_gap(rows, terms.confidence), expected_gap("expected_gap", rows, terms.confidence)),
        figures=(
            Figure(
                name="accuracy.calibration",
                kind="calibration",
                columns={
                    "group": tuple(None for _ in bins.place),
                    "bin_low": tuple((bins.place / BINS).tolist()),
                    "bin_high": tuple(((bins.place + 1) / BINS).tolist()),
                    "score": tuple(bins.stated.tolist()),
                    "value": tuple(bins.happened.tolist()),
                    "low": tuple(low.tolist()),
                    "high": tuple(high.tolist()),
                    "rows": tuple(bins.rows.tolist()),
                },
                params={"measure": "happened", "unit": "share", "bins": BINS},
            ),
        ),
        reason=reason,
        never_within=never_within,
    )


def _stated(evidence: View) -> Scored | None:
    """Read what was held likely and whether it happened; None where no answer is a probability."""
    declaration = evidence.declaration
    rows = scored(evidence)
    if rows is not None:
        outside = bool(len(rows.score)) and (rows.score.min() < 0.0 or rows.score.max() > 1.0)
        model = declaration.model
        return None if outside or (model is not None and model.output is not Output.PROBABILITY) else rows
    if not evidence.holds(Need.PROBABILITIES):
        return None
    stated = np.stack([floats(c) for c in evidence.probabilities.columns], axis=1)
    label = floats(evidence.labels)
    known = ~(np.isnan(label) | np.isnan(stated).any(axis=1))
    most = np.argmax(np.nan_to_num(stated, nan=-1.0), axis=1)
    return Scored(
        positive=label == most,
        score=stated[np.arange(len(label)), most],
        weight=weights_of(evidence, len(label)),
        unit=unit_codes(evidence),
    ).where(known)
