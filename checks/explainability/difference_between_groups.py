"""Compare between groups how far each input moves the answers, to see whether the explanation differs."""

from __future__ import annotations

import numpy as np

from checks.evidence import Need, View, answers
from checks.explainability._averages import Counted
from checks.explainability._rows import ANSWERED, COUNTED, PROBE, read
from checks.explainability._shapley import Floats
from checks.explainability._told_apart import settles_nothing, told_apart
from checks.explainability.feature_importance import DEFINITION, mean_absolute_interval
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotApplicable, NotGathered, Reason
from checks.policy import Terms
from checks.registry import Scope, check
from checks.statistics import critical, critical_of_range, finite_bounds, largest_gap

MOST_INPUTS = 5
"""Inputs whose figures are shown per group: those that differ most. The headline is about all of them."""


@check(
    gives=("difference", "groups_compared", "told_apart"),
    needs=(Need.FEATURES, Need.GROUPS, answers(PROBE)),
    may_read=(*ANSWERED, *COUNTED),
    scope=Scope.ATTRIBUTE,
    law=("AIA 13(3)(b)(v)", "AIA 10(2)(f)", "AIA 86(1)"),
    version=2,
)
def difference_between_groups(evidence: View, attribute: str, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Average the absolute Shapley values of each input per group, and give the largest gap between two groups.

    Reads:
        The answers to the probe `coalitions`, and the group of each explained row.

    Args:
        evidence: shows features, groups and answers; weights and units where there are any.
        attribute: by which people are compared.
        terms: the confidence, and the fewest effective rows of a group that is compared.

    Returns:
        `difference` (in the unit of the output, from 0; lower means more alike): the largest gap, over all inputs and
        all pairs of large enough groups, between how far an input moves the answers on average. Its interval holds for
        all inputs and pairs at once (studentised range, Bonferroni over inputs), so that picking the largest costs
        nothing. No value where fewer than two groups are large enough. `groups_compared`: an exact count. `told_apart`
        as in `feature_importance`. Per group and input `mean_abs` (t interval, adjusted; unadjusted beside it); groups
        that are too small stay visible and are not compared.

    Law:
        Art 13(3)(b)(v) asks how the system performs for the persons and groups it is meant for; a gap here is no
        finding of discrimination: people of different groups can differ in the values of an input as well as in its
        weight.

    References:
        Lundberg and Lee (2017) for the values; Hayter (1984) for groups of unequal size; Donner and Zou (2002) for
        MOVER.
    """
    reading = read(evidence)
    if isinstance(reading, NotGathered):
        return reading
    absolute, errors = np.abs(reading.shapley.values), reading.shapley.errors
    of_row = evidence.groups.column(attribute).cast("string").to_pylist()
    names = np.array([of_row[i] for i in reading.explained], dtype=object)
    found = sorted({n for n in names if n is not None}, key=str)
    every = [None, *found] if any(n is None for n in names) else found
    of_group = {name: np.array([n == name for n in names]) for name in every}
    counted = {name: reading.counted.of(chosen) for name, chosen in of_group.items()}
    large = [name for name in found if counted[name].effective >= terms.minimum_rows]
    p, comparable = absolute.shape[1], len(large) >= 2
    plain = critical(terms.confidence)
    z = critical_of_range(1.0 - (1.0 - terms.confidence) / p, max(len(large), 2))

    def figures_of(name: str | None, at: float) -> tuple[Floats, Floats, Floats]:
        chosen, how = absolute[of_group[name]], counted[name]
        return how.mean(chosen), *mean_absolute_interval(chosen, errors[of_group[name]], how, at, reading.span)

    means = {name: figures_of(name, z) for name in every}
    gaps, bounds = np.zeros(p), np.zeros((p, 2))
    if comparable:
        value, low, high = (np.stack([means[name][i] for name in large]) for i in range(3))
        gaps = np.ptp(value, axis=0)
        bounds = np.array([largest_gap(value[:, j], low[:, j], high[:, j]) for j in range(p)])
    order = np.lexsort((np.arange(p), -reading.counted.mean(absolute), -gaps))
    shown = order[:MOST_INPUTS]
    key = "feature" if attribute != "feature" else "input"
    groups, columns = [], _empty_columns()
    for j in shown:
        for name in every:
            (value_, low_, high_), (_, less, more) = means[name], figures_of(name, plain)
            how = counted[name]
            bounded = bool(np.isfinite(high_[j]) and np.isfinite(more[j]))
            measure = Measure(
                name="mean_abs",
                value=float(value_[j]),
                low=float(low_[j]) if bounded else None,
                high=float(high_[j]) if bounded else None,
                unadjusted=(float(less[j]), float(more[j])) if bounded else None,
                rows=int(of_group[name].sum()),
                unit=reading.unit,
                definition=DEFINITION,
                interval=f"{how.method}, studentised range over {len(large)} groups, Bonferroni over {p} inputs",
            )
            groups.append(_group(attribute, name, key, reading.names[j], how, measure, name not in large))
            for column, entry in zip(
                columns.values(),
                (reading.names[j], name, measure.value, measure.low, measure.high, measure.rows, name not in large),
                strict=True,
            ):
                column.append(entry)
    bars = Figure(
        name=f"explainability.difference_between_groups.{attribute}",
        kind="bars",
        columns={name: tuple(values) for name, values in columns.items()},
        params={"unit": reading.unit, "attribute": attribute, "measure": "mean_abs"},
    )
    apart = told_apart(evidence.features, evidence.answers(PROBE).facts, evidence.seed, terms, reading.names)
    compared = float(len(large))
    return Measured(
        measures=(
            _difference(gaps, bounds, order[0], reading.names, len(names), reading.unit, comparable),
            Measure(
                name="groups_compared",
                value=compared,
                low=compared,
                high=compared,
                rows=len(names),
                unit="count",
                interval="exact",
            ),
            apart,
        ),
        groups=tuple(groups),
        figures=(bars,),
        reason=reading.reason,
        settles_nothing=settles_nothing(apart, terms),
    )


def _empty_columns() -> dict[str, list[str | float | int | bool | None]]:
    return {name: [] for name in ("feature", "group", "value", "low", "high", "rows", "too_small")}


def _group(
    attribute: str, name: str | None, key: str, feature: str, how: Counted, measure: Measure, small: bool
) -> GroupMeasures:
    return GroupMeasures(
        group={attribute: name, key: feature},
        rows=measure.rows,
        effective_rows=how.effective if how.weighted or how.unit is not None else None,
        too_small=small,
        measures=(measure,),
    )


def _difference(
    gaps: Floats, bounds: Floats, first: int, names: tuple[str, ...], rows: int, unit: str, comparable: bool
) -> Measure:
    definition = f"largest gap between two groups, over all inputs, of the {DEFINITION}"
    if not comparable:
        none = Reason(code="too_few_groups")
        return Measure(name="difference", value=None, rows=rows, unit=unit, definition=definition, reason=none)
    low, high = finite_bounds(bounds[:, 0].max(), bounds[:, 1].max())
    return Measure(
        name="difference",
        value=float(gaps[first]),
        low=low,
        high=high,
        rows=rows,
        unit=unit,
        definition=definition,
        interval="" if low is None else "MOVER, studentised range over groups, Bonferroni over inputs",
        reason=Reason(code="differs_most", params={"feature": names[first]}),
    )
