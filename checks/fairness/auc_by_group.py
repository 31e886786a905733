"""How well scores rank the people of each group."""

from __future__ import annotations

import numpy as np

from checks.accuracy._confusion import standing
from checks.accuracy._scored import Ranked, behind, measure_auc, ranked_of
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.fairness._rates import LAW, figure_name
from checks.fairness._scored import ROW_FACTS, grouped
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check
from checks.statistics import Floats, confidence_of, critical_of_range, extremes, gaps, largest_gap


@check(
    gives=("difference",),
    needs=(Need.LABELS, Need.GROUPS),
    may_read=ROW_FACTS,
    scope=Scope.ATTRIBUTE,
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=LAW,
    rejudge=Rejudge.EVIDENCE,
)
def auc_by_group(evidence: View, attribute: str, terms: Terms) -> Result:
    """Measure how far groups differ in how well scores rank their people.

    Args:
        evidence: labels, groups, scores (several classes: the probability of the favourable one), weights.
        attribute: the column that people are compared by.
        terms: confidence, and the fewest effective rows of the rarer outcome in a group that counts.

    Returns:
        `difference` (share, 0 to 1, smaller is closer together): largest gap in AUC, with a MOVER interval over
        DeLong's that holds for the largest gap among all groups together. Per group `auc` (0 to 1, larger ranks better,
        0.5 is chance). Rows of one unit count together. All rows are used, no sample.

    Law:
        AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit. Scores
        that rank alike within each group can still put one group below another.

    References:
        sklearn.metrics.roc_auc_score in each group; DeLong, DeLong and Clarke-Pearson (1988); Obuchowski
        (1997), Biometrics 53, for units; Zou and Donner (2008).
    """
    given = grouped(evidence, attribute)
    if isinstance(given, NotGathered):
        return given
    parts = given.parts()
    ranked = [ranked_of(part) for part in parts]
    large = np.array([r is not None and r.fewest >= terms.minimum_rows for r in ranked])
    own = [measure_auc(r, len(part.score), terms) for r, part in zip(ranked, parts, strict=True)]
    told = evidence.holds(Need.WEIGHTS) or given.rows.unit is not None
    reason, never_within = standing(evidence, terms, given.all_rows, given.unlabelled, given.unanswered)
    small = Reason(code="few_outcomes", params={"small_groups": int((~large).sum()), "minimum": terms.minimum_rows})
    return Measured(
        measures=(
            _difference(
                [r for r, big in zip(ranked, large, strict=True) if r is not None and big],
                sum(len(part.score) for part, big in zip(parts, large, strict=True) if big),
                terms,
            ),
        ),
        groups=tuple(
            GroupMeasures(
                group={attribute: name},
                rows=int(given.group_rows[i]),
                effective_rows=behind(parts[i]) if told else None,
                too_small=not bool(large[i]),
                measures=(own[i],),
            )
            for i, name in enumerate(given.names)
        ),
        figures=(
            Figure(
                name=figure_name("fairness.auc_by_group", attribute),
                kind="group_rates",
                columns={
                    "group": given.names,
                    "rows": tuple(m.rows for m in own),
                    "value": tuple(m.value for m in own),
                    "low": tuple(m.low for m in own),
                    "high": tuple(m.high for m in own),
                    "too_small": tuple(not big for big in large.tolist()),
                },
                params={"attribute": attribute, "measure": "auc", "unit": "share"},
            ),
        ),
        reason=never_within or (small if not large.all() else reason),
        never_within=never_within,
    )


def _difference(ranked: list[Ranked], rows: int, terms: Terms) -> Measure:
    name, definition = "difference", "largest gap of sklearn.metrics.roc_auc_score between groups"
    if len(ranked) < 2:
        few = Reason(code="too_few_groups", params={"groups": len(ranked)})
        return Measure(name=name, value=None, rows=rows, unit="share", definition=definition, reason=few)

    def bounds(confidence: float) -> tuple[Floats, Floats, Floats]:
        found = [r.bounds(confidence) for r in ranked]
        return np.array([r.value for r in ranked]), np.array([f[0] for f in found]), np.array([f[1] for f in found])

    adjusted = bounds(confidence_of(critical_of_range(terms.confidence, len(ranked))))
    value = float(np.ptp(adjusted[0]))
    low, high = largest_gap(*adjusted)
    ends = extremes(adjusted[0])
    plain = [column[ends] for column in bounds(terms.confidence)]
    lower, upper = (float(m[0, 1]) for m in gaps(plain[0], plain[1], plain[2]))
    return Measure(
        name=name,
        value=value,
        low=min(low, value),
        high=min(1.0, high),
        unadjusted=(max(0.0, lower), min(1.0, upper)) if len(ranked) > 2 else None,
        rows=rows,
        unit="share",
        definition=definition,
        interval=f"mover over delong, studentised range over {len(ranked)} groups",
    )
