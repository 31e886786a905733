"""Measure whether the system is right less often once the rows differ from those submitted by next to nothing.

Assumes that the labels never entered the model's cell. Whoever supplies the model and the data can store the answers in
the model; a lookup of whole rows is lost by a change smaller than the data can tell, what was learned is not.
"""

from __future__ import annotations

import numpy as np

from checks.declaration import Route, Task
from checks.evidence import Need, View, answers
from checks.finding import Measure, Measured, NotApplicable, NotGathered, Reason
from checks.policy import Terms
from checks.registry import check
from checks.robustness._flips import flips, share
from checks.statistics import critical, paired_difference

DEFINITION = "share of rows right as submitted, less the share of the same rows right after the change"
RIGHT = "rows whose decision is the label over rows with a label, each row counted once"


@check(
    gives=("accuracy_lost", "accuracy_submitted", "accuracy_changed"),
    needs=(Need.LABELS, Need.DECISIONS, answers("within_precision")),
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL,),
    law=("AIA 15(5)", "AIA 15(3)", "AIA Annex IV 2(g)"),
)
def memorised_answers(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Compare how often the same rows are decided rightly as submitted, and moved by less than their precision.

    Reads:
        The answers to the probe `within_precision`, the first decisions, and labels.

    Args:
        evidence: see above.
        terms: the confidence of the interval.

    Returns:
        `accuracy_lost` (share, -1 to 1; near 0 is better; interval of a paired difference): accuracy as submitted
        less accuracy after the change, over the same rows. `accuracy_submitted` and `accuracy_changed` (share, 0 to
        1; higher is better; Wilson's intervals) over those rows.

    Law:
        Art 15(5) asks for resilience against attempts to alter a system's performance; Art 15(3) for the declared
        accuracy. An accuracy that was stored rather than learned is that of no other person's case.

    References:
        The comparison is this project's own; MOVER for a paired difference: Zou (2007).
    """
    found = flips(evidence, evidence.answers("within_precision"))
    if isinstance(found, NotGathered):
        return found
    label = evidence.labels.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)[found.row]
    known = label >= 0
    if not known.any():
        return NotGathered(reason=Reason(code="no_labelled_rows"))
    before, after = (decided[known] == label[known] for decided in (found.before, found.after))
    rows = int(known.sum())
    lost, gained = float((before & ~after).mean()), float((after & ~before).mean())
    low, high = paired_difference(lost, gained, rows, critical(terms.confidence))
    moved = int(evidence.answers("within_precision").facts["moved"].sum())
    return Measured(
        measures=(
            Measure(
                name="accuracy_lost",
                value=lost - gained,
                low=low,
                high=high,
                rows=rows,
                unit="share",
                definition=DEFINITION,
                interval="MOVER for paired shares",
            ),
            share("accuracy_submitted", before, terms, definition=RIGHT),
            share("accuracy_changed", after, terms, definition=RIGHT),
        ),
        reason=Reason(code="moved_within_precision", params={"rows": rows, "columns": moved}),
    )
