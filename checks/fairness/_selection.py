"""Compare who gets the favourable decision, between the groups of an attribute or of two attributes crossed."""

from __future__ import annotations

from checks.evidence import View
from checks.fairness._definitions import ADVERSE_SELECTION, SELECTION
from checks.fairness._rates import (
    Comparison,
    assemble,
    compare,
    count,
    difference_of,
    headline,
    ratio_of,
    to_everyone,
)
from checks.finding import Measure, NotGathered, Reason, Result
from checks.policy import Terms
from checks.statistics import critical_of_range, visible_gap


def compare_selection(check: str, evidence: View, attribute: str, terms: Terms) -> Result:
    """Compare the favourable and the adverse decision; the arguments are those of the checks that use it."""
    counted = count(evidence, attribute, labelled=False, told_apart=True)
    if isinstance(counted, NotGathered):
        return counted
    chosen = compare(counted, SELECTION, terms)
    adverse = compare(counted, ADVERSE_SELECTION, terms)
    measures = [
        headline("difference", [chosen], difference_of, unit="share", largest=True),
        headline("ratio", [chosen], ratio_of, unit="ratio", largest=False),
        headline("adverse_ratio", [adverse], ratio_of, unit="ratio", largest=False),
        *to_everyone([chosen]),
        _smallest_visible_gap(chosen, terms),
    ]
    return assemble(check, attribute, evidence, terms, counted, measures, [chosen, adverse])


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
