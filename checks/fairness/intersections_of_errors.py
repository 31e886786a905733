"""How often decisions follow the labels by several attributes at once."""

from __future__ import annotations

from checks.counting import UNIT_FACTS
from checks.evidence import Need, View
from checks.fairness._definitions import ACCURACY, FALSE_POSITIVE, TRUE_POSITIVE
from checks.fairness._rates import (
    CLASSES,
    COUNTED_ROUTES,
    LAW,
    assemble,
    compare,
    count,
    difference_of,
    headline,
)
from checks.finding import ROWS_TO_DECIDE, NotGathered, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check


@check(
    gives=("true_positive_difference", "false_positive_difference", "accuracy_difference", ROWS_TO_DECIDE),
    needs=(Need.CELLS,),
    may_read=UNIT_FACTS,
    scope=Scope.CROSSING,
    tasks=CLASSES,
    routes=COUNTED_ROUTES,
    law=LAW,
    rejudge=Rejudge.DOSSIER,
)
def intersections_of_errors(evidence: View, attribute: str, terms: Terms) -> Result:
    """Measure how far groups of two or three attributes crossed differ in how decisions follow their labels.

    Args:
        evidence: counts of group x label x decision of the crossing; rows without a label are left out and told.
            Several classes: favourable against the rest.
        attribute: name of the crossing, as in `sex × race`.
        terms: confidence, and the fewest effective rows of a group that counts; small groups stay visible.

    Returns:
        `true_positive_difference`, `false_positive_difference` and `accuracy_difference` (share, 0 to 1, smaller is
        closer together): largest gap in favourable decisions among favourable labels, in those among other labels, and
        in right decisions. Each has an interval that holds for the largest gap among all groups of this crossing.
        `rows_to_decide` says about how many more rows would decide what is undecided.

    Law:
        AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit. A gap that
        attributes show only together is not seen in any of them alone.

    References:
        fairlearn.metrics.MetricFrame of true_positive_rate, false_positive_rate and sklearn's accuracy_score over
        several sensitive features.
    """
    counted = count(evidence, attribute, labelled=True, told_apart=True)
    if isinstance(counted, NotGathered):
        return counted
    # Whether an answer is the right one is asked of all classes, not of the favourable against the rest.
    every_class = count(evidence, attribute, labelled=True, told_apart=False)
    assert not isinstance(every_class, NotGathered)
    rates = [compare(counted, rate, terms) for rate in (TRUE_POSITIVE, FALSE_POSITIVE)]
    rates.append(compare(every_class, ACCURACY, terms))
    named = ("true_positive_difference", "false_positive_difference", "accuracy_difference")
    measures = [
        headline(name, [rate], difference_of, unit="share", largest=True)
        for name, rate in zip(named, rates, strict=True)
    ]
    return assemble("intersections_of_errors", attribute, evidence, terms, counted, measures, rates)
