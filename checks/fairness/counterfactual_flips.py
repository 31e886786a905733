"""Measure how many decisions flip when only a person's group is changed, where the group is an input of the model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.declaration import Route, Task
from checks.evidence import Need, View, answers
from checks.fairness._rates import figure_name
from checks.finding import Figure, GroupMeasures, Measured, NotApplicable, NotGathered, Reason
from checks.policy import Terms
from checks.registry import Scope, check
from checks.robustness._flips import flips, share


@check(
    gives=("flipped",),
    needs=(Need.DECISIONS, Need.FEATURES, Need.GROUPS),
    may_read=(answers("swapped_group"), Need.UNITS),
    scope=Scope.ATTRIBUTE,
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL,),
    law=("AIA 10(2)(f)", "AIA 15(4)", "AIA Annex IV 2(g)"),
)
def counterfactual_flips(evidence: View, attribute: str, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Compare the decisions about rows whose group was swapped with the first decisions.

    Reads:
        The answers to the probe `swapped_group`, the first decisions, groups, and the names of the inputs.

    Args:
        evidence: see above.
        attribute: by which people are compared.
        terms: the confidence of the intervals, and the fewest rows of a group.

    Returns:
        `flipped` (share, 0 to 1; lower is better; Wilson's interval). Per group that people were in before the swap
        `flip_rate`, and where a favourable class is named `gained` (share that gets it only after the swap) and `lost`
        (share that gets it only before), intervals adjusted over the groups.

    Law:
        Art 10(2)(f) asks to examine for possible biases. A flip shows that the group itself decides; no flip does not
        show that other inputs do not stand in for it. Whether a difference is justified is another question.

    References:
        The flip test of a single input; not the counterfactuals of Kusner and others (2017), which need a causal model.
    """
    data = evidence.declaration.data
    assert data is not None
    if attribute not in evidence.features.column_names:
        return NotApplicable(reason=Reason(code="not_an_input", params={"attribute": attribute}))
    again = evidence.answers("swapped_group")
    found = flips(evidence, again)
    if isinstance(found, NotGathered):
        return found
    mine = np.flatnonzero(again.facts["attribute"][found.place] == data.attributes.index(attribute))
    if not mine.size:
        return NotGathered(reason=Reason(code="nothing_to_swap", params={"attribute": attribute}))
    here = found.where(mine)
    names = evidence.groups.column(attribute).cast(pa.string()).take(pa.array(here.row)).to_pylist()
    good = data.classes.index(data.favourable) if data.favourable is not None else None
    groups = []
    known = sorted({n for n in names if n is not None}) + ([None] if None in names else [])
    for group in known:
        inside = np.array([n == group for n in names])
        some = here.where(inside)
        before, after = some.before, some.after
        measures = [share("flip_rate", before != after, terms, len(known), some.unit)]
        if good is not None:
            measures.append(share("gained", (before != good) & (after == good), terms, len(known), some.unit))
            measures.append(share("lost", (before == good) & (after != good), terms, len(known), some.unit))
        groups.append(
            GroupMeasures(
                group={attribute: group},
                rows=int(inside.sum()),
                too_small=int(inside.sum()) < terms.minimum_rows,
                measures=tuple(measures),
            )
        )
    rates = [g.measures[0] for g in groups]
    figure = Figure(
        name=figure_name("fairness.counterfactual_flips", attribute),
        kind="group_rates",
        columns={
            "group": tuple(known),
            "rows": tuple(m.rows for m in rates),
            "value": tuple(m.value for m in rates),
            "low": tuple(m.low for m in rates),
            "high": tuple(m.high for m in rates),
            "too_small": tuple(g.too_small for g in groups),
        },
        params={"attribute": attribute, "measure": "flip_rate", "unit": "share"},
    )
    return Measured(
        measures=(share("flipped", here.flipped, terms, unit=here.unit),),
        groups=tuple(groups),
        figures=(figure,),
        reason=Reason(code="swapped", params={"rows": len(here.row), "attribute": attribute}),
    )
