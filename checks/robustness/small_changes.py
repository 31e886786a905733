"""Measure how many decisions flip (of numbers: how far they move) when a row moves a little, and for whom."""

from __future__ import annotations

from checks.declaration import Route, Task
from checks.evidence import Need, View, answers
from checks.finding import Measured, NotApplicable, NotGathered, Reason, Scalar
from checks.policy import Terms
from checks.probes.nudged import STEP
from checks.registry import check
from checks.robustness._flips import flips, for_whom, moved


@check(
    gives=("flipped", "mean_change"),
    needs=(answers("nudged"),),
    may_read=(Need.DECISIONS, Need.VALUES, Need.GROUPS, Need.UNITS),
    tasks=(Task.BINARY, Task.MULTICLASS, Task.REGRESSION),
    routes=(Route.MODEL,),
    law=("AIA 15(4)", "AIA Annex IV 2(g)"),
    version=2,
)
def small_changes(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Compare the decisions about rows whose numbers were moved a little with the first decisions.

    Reads:
        The answers to the probe `nudged`, the first decisions, and groups where there are any.

    Args:
        evidence: see above.
        terms: the confidence of the intervals, and the fewest rows of a group.

    Returns:
        `flipped` (share, 0 to 1; lower is better; Wilson's interval). Per group `flip_rate`, its interval adjusted
        over the groups of the one attribute. Of predicted numbers `mean_change` instead, also per group (in the unit of
        the label, from 0; lower is better; Student's interval).

    Law:
        Art 15(4) asks for resilience to errors, faults and inconsistencies in the environment. It names no size of
        change and no share.

    References:
        The flip rate is this project's own; Wilson (1927) for its interval.
    """
    again = evidence.answers("nudged")
    found = flips(evidence, again)
    if isinstance(found, NotGathered):
        return found
    groups, figures = for_whom("robustness.small_changes", evidence, found, terms)
    params: dict[str, Scalar] = {"rows": len(found.row), "columns": int(again.facts["moved"].sum()), "step": STEP}
    return Measured(
        measures=(moved("flipped", found, terms),),
        groups=groups,
        figures=figures,
        reason=Reason(code="nudged_by", params=params),
    )
