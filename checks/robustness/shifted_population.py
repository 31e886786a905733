"""What becomes of right and of favourable decisions where the mix of groups is another one than in the data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from checks.accuracy._confusion import UNITS_UNKNOWN
from checks.counting import UNIT_FACTS, Mask
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.fairness._definitions import ACCURACY, SELECTION
from checks.fairness._rates import Comparison, Counted, compare, count, never_within_of
from checks.finding import Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check
from checks.statistics import Floats, weighted_sum


@check(
    gives=("accuracy_there", "accuracy_change", "selection_there", "selection_change"),
    needs=(Need.CELLS,),
    may_read=(*UNIT_FACTS, Need.POPULATION),
    scope=Scope.ATTRIBUTE,
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL, Route.PREDICTIONS, Route.COUNTS),
    law=("AIA 15(4)", "AIA 10(4)", "AIA Annex IV 2(g)"),
    rejudge=Rejudge.EVIDENCE,
)
def shifted_population(evidence: View, attribute: str, terms: Terms) -> Result:
    """Work out accuracy and selection rate for a population with another mix of groups.

    Args:
        evidence: counts of group x label x decision; the population as the provider states it. Where none is stated,
            the mix is one in which every group that is large enough occurs equally often.
        attribute: the column whose mix is shifted.
        terms: confidence, and the fewest effective rows of a group that counts; smaller groups are left out.

    Returns:
        `accuracy_there` and `selection_there` (share, 0 to 1): what is expected there if each group is decided about as
        here. `accuracy_change` and `selection_change` (share, -1 to 1; nearer 0 hangs less on the mix): the same less
        what is measured over these groups here. MOVER intervals over Wilson's of each group. What hangs on labels is
        left out where there are none.

    Law:
        Art 15(4) asks for resilience, 10(4) for the setting that a system is used in. Other people can also differ
        from these within each group; of that, this says nothing.

    References:
        Post-stratification (Holt and Smith 1979, JRSS A 142); Zou and Donner (2008) for the intervals.
    """
    measures: list[Measure] = []
    never_within: Reason | None = None
    for name, rate in (("selection", SELECTION), ("accuracy", ACCURACY)):
        counted = count(evidence, attribute, labelled=rate.labelled, told_apart=not rate.labelled)
        if isinstance(counted, NotGathered):
            absent = counted
            continue
        compared = compare(counted, rate, terms)
        absent = NotGathered(reason=Reason(code="too_few_groups", params={"groups": int(compared.large.sum())}))
        wanted = _mix(evidence, attribute, counted, compared.large)
        if wanted is not None:
            measures += _shifted(name, compared, counted, wanted)
            never_within = never_within or never_within_of(evidence, terms, counted, rate.labelled)
    if not measures:
        return absent
    stated = _stated(evidence, attribute)
    return Measured(
        measures=tuple(measures),
        reason=never_within or Reason(code="to_stated" if stated else "to_even"),
        never_within=never_within,
    )


def _stated(evidence: View, attribute: str) -> Mapping[str, float]:
    return evidence.population.get(attribute, {}) if evidence.holds(Need.POPULATION) else {}


def _mix(evidence: View, attribute: str, counted: Counted, large: Mask) -> Floats | None:
    """Give the share of each group in the other population, (g,), 0 for groups left out; None for fewer than two."""
    stated, names = _stated(evidence, attribute), counted.cells.names
    even = {name: 1.0 for name in names if name is not None}
    wanted = np.array([(stated or even).get(name, 0.0) if name is not None else 0.0 for name in names]) * large
    return wanted / wanted.sum() if np.count_nonzero(wanted) >= 2 else None


def _shifted(name: str, compared: Comparison, counted: Counted, wanted: Floats) -> tuple[Measure, Measure]:
    kept = wanted > 0
    here = counted.cells.weight_of(compared.rate.among(counted.cells)) * kept
    v, low, high = compared.value[kept], compared.low[kept], compared.high[kept]
    there, now = wanted[kept], (here / here.sum())[kept]

    def measure(what: str, factor: Floats, floor: float) -> Measure:
        value = float((factor * v).sum())
        least, most = weighted_sum(v, low, high, factor)
        certain = compared.known
        return Measure(
            name=f"{name}_{what}",
            value=value,
            low=min(value, max(floor, least)) if certain else None,
            high=max(value, min(1.0, most)) if certain else None,
            rows=int(compared.rows[kept].sum()),
            unit="share",
            definition=f"{compared.rate.definition}, post-stratified",
            interval=("mover over wilson" if factor.any() else "exact") if certain else "",
            reason=None if certain else UNITS_UNKNOWN,
        )

    return measure("there", there, 0.0), measure("change", there - now, -1.0)
