"""Measure how many decisions flip when one input of a row has a value that the data never hold, and for whom."""

from __future__ import annotations

import numpy as np

from checks.declaration import Route, Task
from checks.evidence import Need, View, answers
from checks.finding import Measure, Measured, NotApplicable, NotGathered, Reason
from checks.policy import Terms
from checks.probes.never_seen import CATEGORY, NUMBER
from checks.registry import check
from checks.robustness._flips import DEFINITION, flips, for_whom, moved, share


@check(
    gives=("flipped", "mean_change", "flipped_out_of_range", "flipped_unseen_category"),
    needs=(Need.FEATURES,),
    may_read=(Need.DECISIONS, Need.VALUES, answers("never_seen"), Need.MODEL_FAULT, Need.GROUPS, Need.UNITS),
    tasks=(Task.BINARY, Task.MULTICLASS, Task.REGRESSION),
    routes=(Route.MODEL,),
    law=("AIA 15(4)", "AIA Annex IV 2(g)"),
    version=2,
)
def never_seen(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Compare the decisions about rows with a value that no row has with the first decisions.

    Reads:
        The answers to the probe `never_seen`, the first decisions, the names of the inputs, and groups.

    Args:
        evidence: see above.
        terms: the confidence of the intervals, and the fewest rows from which something is said.

    Returns:
        `flipped` (share, 0 to 1; lower hangs less on such values; Wilson's interval) over all rows asked, and the same
        for numbers beyond their range and for categories of another name, each where there are any. Per input, and per
        group of people, `flip_rate`, its interval adjusted over the inputs, or over the groups of the one attribute.
        Of predicted numbers `mean_change` instead (in the unit of the label, from 0; Student's interval).
        A model that fails on such a value gives no decisions, so `flipped` has no value, and the reason is its fault.

    Law:
        Art 15(4) asks for resilience to errors, faults and inconsistencies. It does not say what a system must do with
        a value that it does not know; to decide as if nothing were the matter need not be better than to flip.

    References:
        The flip rate is this project's own; Wilson (1927) for its interval.
    """
    if not evidence.holds(answers("never_seen")):
        fault = evidence.model_fault
        if fault is None or fault.get("question") != "never_seen":
            return NotGathered(reason=Reason(code="not_asked", params={"probe": "never_seen"}))
        fails = Reason(code="fails", params={"fault": str(fault.get("code"))})
        data = evidence.declaration.data
        numbers = data is not None and data.task is Task.REGRESSION
        name, unit = ("mean_change", "label") if numbers else ("flipped", "share")
        none = Measure(name=name, value=None, rows=0, unit=unit, definition=DEFINITION, reason=fails)
        return Measured(measures=(none,), reason=fails)
    again = evidence.answers("never_seen")
    found = flips(evidence, again)
    if isinstance(found, NotGathered):
        return found
    column, kind = again.facts["column"][found.place], again.facts["kind"][found.place]
    measures = [moved("flipped", found, terms)]
    for name, of in (("flipped_out_of_range", NUMBER), ("flipped_unseen_category", CATEGORY)):
        here = found.where(kind == of)
        if len(here.row) and not found.numbers:
            measures.append(share(name, here.flipped, terms, unit=here.unit))
    groups, figures = for_whom("robustness.never_seen", evidence, found, terms, column)
    return Measured(
        measures=tuple(measures),
        groups=groups,
        figures=figures,
        reason=Reason(code="made_up", params={"rows": len(found.row), "columns": len(np.unique(column))}),
    )
