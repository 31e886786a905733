"""How often each group gets the favourable decision, whatever the labels say."""

from __future__ import annotations

from checks.evidence import Need, View
from checks.fairness._definitions import ADVERSE_SELECTION, SELECTION
from checks.fairness._rates import (
    CLASSES,
    COUNTED_ROUTES,
    LAW,
    UNIT_FACTS,
    Comparison,
    assemble,
    compare,
    count,
    difference_of,
    headline,
    ratio_of,
)
from checks.finding import Measure, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check
from checks.statistics import critical_of_range, visible_gap


@check(
    gives=("difference", "ratio", "adverse_ratio", "smallest_visible_gap"),
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

    Law:
        AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit, and a
        difference alone is not unlawful discrimination, nor its absence proof that there is none.

    References:
        fairlearn.metrics.selection_rate, demographic_parity_difference and demographic_parity_ratio; the four-fifths
        ratio of 29 CFR 1607.4(D); Newcombe (1998) and Donner and Zou (2012) for the intervals.
    """
    counted = count(evidence, attribute, labelled=False, told_apart=True)
    if isinstance(counted, NotGathered):
        return counted
    chosen = compare(counted, SELECTION, terms)
    adverse = compare(counted, ADVERSE_SELECTION, terms)
    measures = [
        headline("difference", [chosen], difference_of, unit="share", largest=True),
        headline("ratio", [chosen], ratio_of, unit="ratio", largest=False),
        headline("adverse_ratio", [adverse], ratio_of, unit="ratio", largest=False),
        _smallest_visible_gap(chosen, terms),
    ]
    return assemble("selection_rate", attribute, evidence, terms, counted, measures, [chosen, adverse])


def _smallest_visible_gap(chosen: Comparison, terms: Terms) -> Measure:
    groups, rows = int(chosen.large.sum()), int(chosen.rows[chosen.large].sum())
    reason = None if groups >= 2 else Reason(code="too_few_groups", params={"groups": groups})
    if groups >= 2 and not chosen.known:
        reason = Reason(code="units_unknown")
    value = None
    if reason is None:
        n = chosen.effective[chosen.large]
        overall = float((chosen.value[chosen.large] * n).sum() / n.sum())
        value = visible_gap(overall, n, critical_of_range(terms.confidence, groups))
    return Measure(name="smallest_visible_gap", value=value, rows=rows, unit="share", reason=reason)
