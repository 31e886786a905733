"""Of the people whose label is favourable, how many of each group get the favourable decision."""

from __future__ import annotations

from checks.evidence import Need, View
from checks.fairness._definitions import TRUE_POSITIVE
from checks.fairness._rates import (
    CLASSES,
    COUNTED_ROUTES,
    LAW,
    TO_EVERYONE,
    UNIT_FACTS,
    assemble,
    compare,
    count,
    difference_of,
    headline,
    ratio_of,
    to_everyone,
)
from checks.finding import ROWS_TO_DECIDE, NotGathered, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check


@check(
    gives=("difference", "ratio", *TO_EVERYONE, ROWS_TO_DECIDE),
    needs=(Need.CELLS,),
    may_read=UNIT_FACTS,
    scope=Scope.ATTRIBUTE,
    tasks=CLASSES,
    routes=COUNTED_ROUTES,
    law=LAW,
    rejudge=Rejudge.DOSSIER,
)
def equal_opportunity(evidence: View, attribute: str, terms: Terms) -> Result:
    """Measure how far groups differ in how often a favourable label meets a favourable decision.

    Args:
        evidence: counts of group x label x decision; rows without a label are left out and told. Several classes:
            favourable against the rest.
        attribute: the column that people are compared by.
        terms: confidence, and the fewest effective rows of a group that counts.

    Returns:
        `difference` (share, 0 to 1, smaller is closer together) and `ratio` (smallest over largest, 0 to 1, larger is
        closer together), with intervals that hold for the largest gap among all groups together.
        `largest_gap_to_everyone` (share) and `smallest_ratio_to_everyone` (0 to 1) compare each group with everyone;
        `rows_to_decide` says about how many more rows would decide what is undecided.

    Law:
        AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit, and a
        difference alone is not unlawful discrimination, nor its absence proof that there is none.

    References:
        fairlearn.metrics.true_positive_rate and equal_opportunity_difference; Hardt, Price and Srebro (2016).
    """
    counted = count(evidence, attribute, labelled=True, told_apart=True)
    if isinstance(counted, NotGathered):
        return counted
    rate = compare(counted, TRUE_POSITIVE, terms)
    measures = [
        headline("difference", [rate], difference_of, unit="share", largest=True),
        headline("ratio", [rate], ratio_of, unit="ratio", largest=False),
        *to_everyone([rate]),
    ]
    return assemble("equal_opportunity", attribute, evidence, terms, counted, measures, [rate])
