"""What the gap between groups becomes where the system is not told one of its inputs."""

from __future__ import annotations

import numpy as np

from checks.counting import Codes, group_codes
from checks.declaration import Route, Task
from checks.evidence import Need, View, answers
from checks.fairness._rates import LAW, figure_name
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Result
from checks.policy import Terms
from checks.probes.coalitions import players_of
from checks.registry import Scope, check
from checks.robustness._flips import Flips, flips, share
from checks.statistics import Floats, critical_of_range, largest_gap, rate_of_rows, wilson


@check(
    gives=("difference_now", "smallest_difference"),
    needs=(Need.DECISIONS, Need.FEATURES, Need.GROUPS, answers("neutral")),
    may_read=(Need.UNITS, Need.WEIGHTS),
    scope=Scope.ATTRIBUTE,
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL,),
    law=LAW,
)
def inputs_left_out(evidence: View, attribute: str, terms: Terms) -> Result:
    """Measure the gap in favourable decisions with each input set to what is usual, the same for everyone.

    Reads:
        The answers to the probe `neutral`, the first decisions, groups, weights and units.

    Args:
        evidence: see above. The model is asked as it is; trained without the input it may lean on others instead.
        attribute: the column that people are compared by.
        terms: confidence, and the fewest effective rows of a group that counts.

    Returns:
        `difference_now` (share, 0 to 1, smaller is closer together) over the rows asked as they are, and
        `smallest_difference` with the one input neutral that leaves the smallest gap. Per input `difference` and
        `flip_rate` (share of decisions that change). MOVER intervals over Wilson's, that hold for the largest gap among
        all groups, Bonferroni over inputs.

    Law:
        AIA 10(2)(g) asks for measures against bias. A change that is the same for everyone treats no one by group. What
        it costs in right decisions, and whether the input is needed for the purpose, is for people to judge.

    References:
        Datta, Sen and Zick (2016), IEEE Security and Privacy, for setting one input apart from the others;
        fairlearn.metrics.demographic_parity_difference.
    """
    data = evidence.declaration.data
    assert data is not None
    if data.favourable is None:
        return NotGathered(reason=Reason(code="no_favourable", params={"classes": ", ".join(data.classes)}))
    again = evidence.answers("neutral")
    found = flips(evidence, again)
    if isinstance(found, NotGathered) or attribute not in evidence.groups.column_names:
        return found if isinstance(found, NotGathered) else NotGathered(reason=Reason(code="no_rows"))
    code, names = group_codes(evidence.groups.column(attribute), evidence.groups.num_rows)
    weight = evidence.weights.to_numpy() if evidence.holds(Need.WEIGHTS) else np.ones(evidence.groups.num_rows)
    good = data.classes.index(data.favourable)
    inputs = [name for name, _ in players_of(evidence.features.column_names, evidence.declaration)]
    asked = again.facts["player"][found.place]
    players = np.unique(asked)

    def gap(of: Flips, chosen: Codes | Floats, name: str, family: int) -> Measure:
        return _gap(name, of, chosen == good, code[of.row], len(names), weight[of.row], terms, family)

    parts = {int(i): found.where(asked == i) for i in players}
    each = {i: gap(part, part.after, "difference", len(parts)) for i, part in parts.items()}
    first = next(iter(parts.values()))
    now = gap(first, first.before, "difference_now", 1)
    measured = {i: m for i, m in each.items() if m.value is not None}
    if not measured or now.value is None:
        return NotGathered(reason=now.reason or Reason(code="no_rows"))
    order = sorted(each, key=lambda i: (each[i].value if each[i].value is not None else 2.0, i))
    best = each[order[0]]
    lows, highs = [m.low or 0.0 for m in measured.values()], [m.high or 1.0 for m in measured.values()]
    smallest = best.model_copy(update={"name": "smallest_difference", "low": min(lows), "high": min(highs)})
    return Measured(
        measures=(now, smallest),
        groups=tuple(
            GroupMeasures(
                group={"feature": inputs[i]},
                rows=len(parts[i].row),
                measures=(
                    each[i],
                    share("flip_rate", parts[i].flipped, terms, family=len(parts), unit=parts[i].unit),
                ),
            )
            for i in order
        ),
        figures=(
            Figure(
                name=figure_name("fairness.inputs_left_out", attribute),
                kind="bars",
                columns={
                    "feature": tuple(inputs[i] for i in order),
                    "value": tuple(each[i].value for i in order),
                    "low": tuple(each[i].low for i in order),
                    "high": tuple(each[i].high for i in order),
                    "rows": tuple(each[i].rows for i in order),
                },
                params={"measure": "difference", "unit": "share", "label": "feature", "attribute": attribute},
            ),
        ),
        reason=Reason(
            code="neutral", params={"rows": len(first.row), "columns": len(parts), "feature": inputs[order[0]]}
        ),
    )


def _gap(
    name: str,
    of: Flips,
    chosen: np.ndarray,
    group: Codes,
    groups: int,
    weight: Floats,
    terms: Terms,
    family: int,
) -> Measure:
    """Measure the largest gap between groups that are large enough, in the share of rows chosen."""
    rates, effective = [], []
    for i in range(groups):
        mine = group == i
        unit = None if of.unit is None else of.unit[mine]
        whole = rate_of_rows(np.ones(int(mine.sum()), dtype=np.bool_), weight[mine], unit)[1]
        if whole >= terms.minimum_rows:
            rate, n = rate_of_rows(chosen[mine], weight[mine], unit)
            assert rate is not None
            rates.append(rate)
            effective.append(n)
    bare = Measure(name=name, value=None, rows=len(of.row), unit="share")
    if len(rates) < 2:
        return bare.model_copy(update={"reason": Reason(code="too_few_groups", params={"groups": len(rates)})})
    confidence = 1.0 - (1.0 - terms.confidence) / family
    low, high = largest_gap(rates, *wilson(rates, effective, critical_of_range(confidence, len(rates))))
    told = f", Bonferroni over {family} inputs" if family > 1 else ""
    return bare.model_copy(
        update={
            "value": max(rates) - min(rates),
            "low": low,
            "high": high,
            "definition": "fairlearn.metrics.demographic_parity_difference",
            "interval": f"newcombe over wilson, studentised range over {len(rates)} groups{told}",
        }
    )
