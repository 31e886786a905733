"""How far predicted numbers are off, and whether they beat always answering the mean."""

from __future__ import annotations

import numpy as np

from checks.accuracy._confusion import standing
from checks.accuracy._regressed import ROW_FACTS, errors_of, regressed
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.finding import Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import check


@check(
    gives=("mae", "rmse", "r2", "constant_rmse"),
    needs=(Need.LABELS, Need.VALUES),
    may_read=ROW_FACTS,
    tasks=(Task.REGRESSION,),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 15(1)", "AIA 15(3)", "AIA Annex IV 2(g)", "AIA Annex IV 3"),
    rejudge=Rejudge.EVIDENCE,
    version=2,
)
def regression(evidence: View, terms: Terms) -> Result:
    """Measure the errors of predicted numbers.

    Args:
        evidence: labels, predicted values, weights where there are any; rows without either are left out and told.
        terms: confidence.

    Returns:
        `mae` and `rmse` (in the unit of the label, from 0, smaller is better; Student's interval), `r2` (ratio, at most
        1, larger is better; below 0 the system is worse than always answering the mean label; linearised interval) and
        `constant_rmse` (the error of that constant answer, exact for these rows).

    Law:
        AIA 15(1) and 15(3) ask for an appropriate level of accuracy and to declare it; they name no measure.

    References:
        sklearn.metrics mean_absolute_error, root_mean_squared_error, r2_score.
    """
    rows = regressed(evidence)
    if rows is None or not len(rows.label):
        return NotGathered(reason=Reason(code="no_labels", params={"need": Need.LABELS.value}))
    mean = np.average(rows.label, weights=rows.weight)
    constant = float(np.sqrt(np.average((rows.label - mean) ** 2, weights=rows.weight)))
    reason, never_within = standing(evidence, terms, rows.rows, rows.unlabelled, rows.unanswered)
    return Measured(
        measures=(
            *errors_of(rows, terms),
            Measure(
                name="constant_rmse",
                value=constant,
                low=constant,
                high=constant,
                rows=len(rows.label),
                unit="label",
                definition="root mean squared error of the mean label",
                interval="exact",
            ),
        ),
        reason=reason,
        never_within=never_within,
    )
