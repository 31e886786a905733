"""How well scores rank the people of each group."""

from __future__ import annotations

import numpy as np

from checks.accuracy._confusion import has_units, standing
from checks.accuracy._scored import Scored, auc_of
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.fairness._rates import LAW, figure_name
from checks.fairness._scored import ROW_FACTS, grouped
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check
from checks.statistics import confidence_of, critical_of_range, effective_rows, extremes, gaps, largest_gap


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
        0.5 is chance). All rows are used, no sample.

    Law:
        AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit. Scores
        that rank alike within each group can still put one group below another.

    References:
        sklearn.metrics.roc_auc_score in each group; DeLong, DeLong and Clarke-Pearson (1988); Zou and Donner (2008).
    """
    given = grouped(evidence, attribute)
    if isinstance(given, NotGathered):
        return given
    parts = [given.of(i) for i in range(len(given.names))]
    fewest = [_rarer(part) for part in parts]
    large = np.array([n >= terms.minimum_rows for n in fewest])
    own = [auc_of(part, evidence, terms) for part in parts]
    weighted = evidence.holds(Need.WEIGHTS)
    reason, never_within = standing(evidence, terms, given.all_rows, given.unlabelled, given.unanswered)
    small = Reason(code="few_outcomes", params={"small_groups": int((~large).sum()), "minimum": terms.minimum_rows})
    return Measured(
        measures=(_difference([p for p, big in zip(parts, large, strict=True) if big], evidence, terms),),
        groups=tuple(
            GroupMeasures(
                group={attribute: name},
                rows=int(given.group_rows[i]),
                effective_rows=_effective(parts[i]) if weighted else None,
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


def _effective(part: Scored) -> float:
    return float(effective_rows([part.weight.sum()], [(part.weight**2).sum()])[0])


def _rarer(part: Scored) -> float:
    """Give the effective rows of the rarer outcome: an AUC is as certain as the smaller side lets it be."""
    sides = [part.weight[part.positive], part.weight[~part.positive]]
    return min(float(effective_rows([w.sum()], [(w**2).sum()])[0]) for w in sides)


def _difference(parts: list[Scored], evidence: View, terms: Terms) -> Measure:
    name, rows = "difference", sum(len(part.score) for part in parts)
    definition = "largest gap of sklearn.metrics.roc_auc_score between groups"
    if len(parts) < 2:
        few = Reason(code="too_few_groups", params={"groups": len(parts)})
        return Measure(name=name, value=None, rows=rows, unit="share", definition=definition, reason=few)

    def bounds(confidence: float) -> tuple[list[float], list[float], list[float]]:
        found = [auc_of(part, evidence, terms.model_copy(update={"confidence": confidence})) for part in parts]
        return [m.value or 0.0 for m in found], [m.low or 0.0 for m in found], [m.high or 0.0 for m in found]

    adjusted = bounds(confidence_of(critical_of_range(terms.confidence, len(parts))))
    value = max(adjusted[0]) - min(adjusted[0])
    if has_units(evidence):
        reason = Reason(code="units_unknown")
        return Measure(name=name, value=value, rows=rows, unit="share", definition=definition, reason=reason)
    low, high = largest_gap(*adjusted)
    ends = extremes(adjusted[0])
    plain = [np.array(column)[ends] for column in bounds(terms.confidence)]
    lower, upper = (float(m[0, 1]) for m in gaps(plain[0], plain[1], plain[2]))
    return Measure(
        name=name,
        value=value,
        low=min(low, value),
        high=min(1.0, high),
        unadjusted=(max(0.0, lower), min(1.0, upper)) if len(parts) > 2 else None,
        rows=rows,
        unit="share",
        definition=definition,
        interval=f"mover over delong, studentised range over {len(parts)} groups",
    )
