"""How far predicted numbers are off in each group, and in which direction."""

from __future__ import annotations

from checks.counting import UNIT_FACTS
from checks.declaration import Task
from checks.evidence import Need, View
from checks.fairness._number_errors import GIVES, compare_errors
from checks.fairness._rates import COUNTED_ROUTES, LAW
from checks.finding import Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check


@check(
    gives=GIVES,
    needs=(Need.MOMENTS,),
    may_read=UNIT_FACTS,
    scope=Scope.ATTRIBUTE,
    tasks=(Task.REGRESSION,),
    routes=COUNTED_ROUTES,
    law=LAW,
    rejudge=Rejudge.DOSSIER,
)
def regression_error(evidence: View, attribute: str, terms: Terms) -> Result:
    """Measure how far groups differ in the error of a predicted number.

    Args:
        evidence: sums of weights and of (predicted minus true) by group, over rows that have both.
        attribute: the column that people are compared by.
        terms: confidence, and the fewest effective rows of a group that counts.

    Returns:
        `mean_error_difference` and `absolute_error_difference` (in the unit of the label, from 0, smaller is closer
        together), `absolute_error_ratio` (smallest mean absolute error over largest, 0 to 1, larger is closer
        together), with Student and MOVER intervals that hold for the largest gap among all groups together.
        `mean_error_to_everyone`, `absolute_error_to_everyone` and `absolute_error_ratio_to_everyone` compare each group
        with everyone; `smallest_visible_gap` (unit of the label, smaller says more) is the gap in the mean error that
        could have gone unseen. Where all errors of a large group are alike, there is no spread, and no interval.
        `rows_to_decide` says about how many more rows would decide what is undecided.

    Law:
        AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit, and a
        difference alone is not unlawful discrimination, nor its absence proof that there is none.

    References:
        fairlearn.metrics.MetricFrame of the mean of errors and of sklearn.metrics.mean_absolute_error.
    """
    return compare_errors("regression_error", evidence, attribute, terms)
