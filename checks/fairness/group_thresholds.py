"""What thresholds per group would have to be for groups to be chosen equally often: a calculation, and no advice."""

from __future__ import annotations

import numpy as np

from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.fairness._thresholds import FACTS, Scores, scores_of
from checks.finding import GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check
from checks.statistics import Floats


@check(
    gives=("thresholds", "difference_left", "accuracy_change"),
    needs=(Need.SCORES, Need.GROUPS),
    may_read=FACTS,
    scope=Scope.ATTRIBUTE,
    tasks=(Task.BINARY,),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 10(2)(g)", "AWGB 1(1)", "AWGB 2(3)"),
    rejudge=Rejudge.EVIDENCE,
    public=False,
)
def group_thresholds(evidence: View, attribute: str, terms: Terms) -> Result:
    """Work out the thresholds with which each group would be chosen as often as everyone is now.

    Calculation only. Applying different thresholds by group treats people differently on a protected ground; get legal
    advice first. It never stands in a public document.

    Args:
        evidence: scores, groups, labels and weights. All rows are used.
        attribute: the column that people are compared by.
        terms: the fewest effective rows of a group that gets a threshold of its own here.

    Returns:
        `thresholds` (count, exact: how many different ones it would take), `difference_left` (share, 0 to 1: the gap
        that ties in the scores leave), `accuracy_change` (share, -1 to 1, larger is better: right decisions then minus
        now; left out without labels). Without intervals: they are worked out on the same rows. Per group `threshold`
        and its share chosen now and then. No decision is drawn by lot, so ties can leave a gap.

    Law:
        Different thresholds are direct distinction on the ground of the group, which equal treatment law forbids but
        for named exceptions (in the Netherlands AWGB 1(1) and 2(3)). AIA 10(2)(g) does not lift that.

    References:
        Hardt, Price and Srebro (2016); fairlearn.postprocessing.ThresholdOptimizer(constraints="demographic_parity"),
        which also draws lots.
    """
    scores = scores_of(evidence, attribute, terms)
    if isinstance(scores, NotGathered):
        return scores
    now = scores.favoured >= scores.cut
    wanted = scores.overall(now)
    cuts = np.full(len(scores.names), scores.cut)
    for group in np.flatnonzero(scores.large):
        cuts[group] = _cut(scores, int(group), wanted)
    then = scores.favoured >= cuts[scores.group]
    shares_now, shares = scores.shares(now), scores.shares(then)
    rows = int(scores.large[scores.group].sum())
    different = len(np.unique(cuts[scores.large]))
    before, after = scores.accuracy(now), scores.accuracy(then)
    measures = [
        Measure(
            name="thresholds",
            value=different,
            low=different,
            high=different,
            rows=rows,
            unit="count",
            interval="exact",
        ),
        Measure(
            name="difference_left",
            value=float(np.ptp(shares[scores.large])),
            rows=rows,
            unit="share",
        ),
    ]
    if before is not None and after is not None:
        measures.append(
            Measure(name="accuracy_change", value=after - before, rows=int(scores.labelled.sum()), unit="share")
        )
    return Measured(
        measures=tuple(measures),
        groups=tuple(
            GroupMeasures(
                group={attribute: name},
                rows=int((scores.group == i).sum()),
                too_small=not bool(scores.large[i]),
                measures=_of_group(scores, i, cuts, shares_now, shares),
            )
            for i, name in enumerate(scores.names)
        ),
        reason=Reason(code="calculation_only"),
    )


def _cut(scores: Scores, group: int, wanted: float) -> float:
    """Give the highest cut from which at least as large a share of the group is chosen, or the next nearer one."""
    mine = scores.group == group
    value, at = np.unique(-scores.favoured[mine], return_inverse=True)
    reached = np.cumsum(np.bincount(at, weights=scores.weight[mine])) / scores.weight[mine].sum()
    nearest = int(np.argmin(np.abs(reached - wanted)))
    if wanted < float(reached[0]) / 2.0:
        # Choosing no one is nearer than choosing the first who tie.
        return float(np.nextafter(-value[0], np.inf))
    return float(-value[nearest])


def _of_group(scores: Scores, i: int, cuts: Floats, now: Floats, then: Floats) -> tuple[Measure, ...]:
    rows = int((scores.group == i).sum())
    if not rows:
        return ()
    return (
        Measure(name="threshold", value=scores.score(float(cuts[i])), rows=rows, unit="points"),
        Measure(name="chosen_now", value=float(now[i]), rows=rows, unit="share"),
        Measure(name="chosen_then", value=float(then[i]), rows=rows, unit="share"),
    )
