"""How often people get the favourable decision by two attributes at once, as in women of one origin."""

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
    scope=Scope.PAIR,
    tasks=CLASSES,
    routes=COUNTED_ROUTES,
    law=LAW,
    rejudge=Rejudge.DOSSIER,
)
def intersections(evidence: View, attribute: str, terms: Terms) -> Result:
    """Measure how far groups of two attributes crossed differ in how often they get the favourable decision.

    Args:
        evidence: counts of group x label x decision of the pair; labels play no part.
        attribute: name of the pair, as in `sex × race`.
        terms: confidence, and the fewest effective rows of a group that counts; small groups stay visible.

    Returns:
        `difference` (share, 0 to 1, smaller is closer together), `ratio` and `adverse_ratio` (smallest rate over
        largest, 0 to 1, larger is closer together), `largest_gap_to_everyone` (share) and `smallest_ratio_to_everyone`
        (0 to 1), `smallest_visible_gap` (share, smaller says more). Intervals hold for the largest gap among all groups
        of this pair together; each pair is a family of its own. `rows_to_decide` says about how many more rows would
        decide what is undecided.

    Law:
        AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit. A gap that
        two attributes show only together is not seen in either alone.

    References:
        fairlearn.metrics.MetricFrame of selection_rate over two sensitive features; Crenshaw (1989), University of
        Chicago Legal Forum, for why; Newcombe (1998) and Donner and Zou (2012) for the intervals.
    """
    return compare_selection("intersections", evidence, attribute, terms)
