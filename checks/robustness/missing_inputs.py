"""Measure how many decisions flip when one input of a row is missing, and for which input."""

from __future__ import annotations

import numpy as np

from checks.declaration import Route, Task
from checks.evidence import Need, View, answers
from checks.finding import Measured, NotApplicable, NotGathered, Reason
from checks.policy import Terms
from checks.registry import check
from checks.robustness._flips import flips, for_whom, moved


@check(
    gives=("flipped", "mean_change"),
    needs=(Need.FEATURES, answers("missing")),
    may_read=(Need.DECISIONS, Need.VALUES, Need.GROUPS, Need.UNITS),
    tasks=(Task.BINARY, Task.MULTICLASS, Task.REGRESSION),
    routes=(Route.MODEL,),
    law=("AIA 15(4)", "AIA Annex IV 2(g)"),
    version=2,
)
def missing_inputs(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Compare the decisions about rows with one input left empty with the first decisions.

    Reads:
        The answers to the probe `missing`, the first decisions, and the names of the inputs.

    Args:
        evidence: see above.
        terms: the confidence of the intervals, and the fewest rows from which something is said.

    Returns:
        `flipped` (share, 0 to 1; lower is better; Wilson's interval) over all rows, the inputs weighing about alike.
        Per input, and per group of people, `flip_rate`, its interval adjusted over the inputs, or over the groups of
        the one attribute. Of predicted numbers `mean_change` instead (in the unit of the label, from 0; lower is
        better; Student's interval).

    Law:
        Art 15(4) asks for resilience to errors, faults and inconsistencies. It names no share of missing inputs that
        a system must stand.

    References:
        The flip rate is this project's own; Wilson (1927) for its interval.
    """
    again = evidence.answers("missing")
    found = flips(evidence, again)
    if isinstance(found, NotGathered):
        return found
    column = again.facts["column"][found.place]
    groups, figures = for_whom("robustness.missing_inputs", evidence, found, terms, column)
    return Measured(
        measures=(moved("flipped", found, terms),),
        groups=groups,
        figures=figures,
        reason=Reason(code="left_out", params={"rows": len(found.row), "columns": len(np.unique(column))}),
    )
