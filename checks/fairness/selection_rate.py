"""How often each group gets the favourable decision, whatever the labels say."""

from __future__ import annotations

from checks.evidence import Need, View
from checks.fairness._rates import CLASSES, COUNTED_ROUTES, LAW, TO_EVERYONE, UNIT_FACTS
from checks.fairness._selection import compare_selection
from checks.finding import ROWS_TO_DECIDE, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check


@check(
    gives=("difference", "ratio", "adverse_ratio", *TO_EVERYONE, "smallest_visible_gap", ROWS_TO_DECIDE),
    needs=(Need.CELLS,),
    may_read=UNIT_FACTS,
    scope=Scope.ATTRIBUTE,
    tasks=CLASSES,
    routes=COUNTED_ROUTES,
    law=LAW,
    rejudge=Rejudge.DOSSIER,
)
def selection_rate(evidence: View, attribute: str, terms: Terms) -> Result:
    """Measure how far groups differ in how often they get the favourable decision.

    Args:
        evidence: counts of group x label x decision; labels play no part. Several classes: favourable against the rest.
        attribute: the column that people are compared by.
        terms: confidence, and the fewest effective rows of a group that counts.

    Returns:
        `difference` (share, 0 to 1, smaller is closer together), `ratio` and `adverse_ratio` (smallest rate over
        largest, 0 to 1, larger is closer together; of the favourable and of the adverse decision),
        `smallest_visible_gap` (share, smaller says more). Intervals hold for the largest gap among all groups together.
        A ratio has no value where nobody at all gets that decision.
        `largest_gap_to_everyone` (share) and `smallest_ratio_to_everyone` (0 to 1) compare each group with everyone;
        `rows_to_decide` says about how many more rows would decide what is undecided.

    Law:
        AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit, and a
        difference alone is not unlawful discrimination, nor its absence proof that there is none.

    References:
        fairlearn.metrics.selection_rate, demographic_parity_difference and demographic_parity_ratio; the four-fifths
        ratio of 29 CFR 1607.4(D); Newcombe (1998) and Donner and Zou (2012) for the intervals.
    """
    return compare_selection("selection_rate", evidence, attribute, terms)
