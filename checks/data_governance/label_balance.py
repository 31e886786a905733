"""How often each label occurs, over everyone and in each group."""

from __future__ import annotations

import numpy as np

from checks.counting import ABSENT, UNIT_FACTS, Cells, Units, has_units, labels_for_some, units_of
from checks.declaration import Route, Task
from checks.evidence import EVERYONE, Need, View
from checks.fairness._rates import figure_name
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result, Scalar
from checks.policy import Terms
from checks.registry import check
from checks.statistics import critical, effective_rows_of_rate, rate_of_rows, wilson

_UNITS_UNKNOWN = Reason(code="units_unknown")


@check(
    gives=("smallest_class", "largest_class", "unlabelled"),
    needs=(Need.CELLS,),
    may_read=UNIT_FACTS,
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL, Route.PREDICTIONS, Route.COUNTS),
    law=("AIA 10(2)(e)", "AIA 10(2)(f)", "AIA 10(3)", "AIA Annex IV 2(d)"),
    rejudge=Rejudge.DOSSIER,
)
def label_balance(evidence: View, terms: Terms) -> Result:
    """Measure how often each label occurs, over everyone and in each group of every attribute.

    Args:
        evidence: counts of group x label x decision; answers play no part.
        terms: confidence, and the fewest effective rows of a group that counts.

    Returns:
        `smallest_class` and `largest_class` (share of labelled rows that the rarest and the most frequent declared
        class has; Wilson's interval, rows of one unit counting together, none where they cannot be seen) and
        `unlabelled` (share of rows without label, exact); per group the share of every class. No direction is better in
        itself: the balance should be that of the people the system is meant for.

    Law:
        AIA 10(2)(f) asks to examine data for bias, 10(3) for suitable statistical properties, also for groups. It does
        not ask that labels occur equally often.

    References:
        Shares of class labels; Wilson (1927) for the intervals.
    """
    data = evidence.declaration.data
    assert data is not None
    everyone = Cells.of(evidence.cells())
    rows = int(everyone.rows.sum())
    if not rows:
        return NotGathered(reason=Reason(code="no_rows"))
    if not (everyone.label != ABSENT).any():
        return NotGathered(reason=Reason(code="no_labels", params={"need": Need.LABELS.value}))
    units = units_of(evidence, EVERYONE, (None,), labelled=True)
    hidden = units is None and has_units(data)
    shares = [_share(everyone, 0, label, terms, units, hidden=hidden) for label in range(len(data.classes))]
    by_size = sorted((m for m in shares if m.value is not None), key=lambda m: m.value or 0.0)
    missing = int(everyone.rows[everyone.label == ABSENT].sum())
    unlabelled = missing / rows
    never_within = labels_for_some(data, rows, missing, terms.few_unlabelled) or (_UNITS_UNKNOWN if hidden else None)
    groups, figures = [], [_figure("everyone", None, data.classes, [(None, shares)])]
    for attribute in data.attributes:
        cells = Cells.of(evidence.cells(attribute))
        known = cells.effective_rows_of(cells.label != ABSENT)
        units = units_of(evidence, attribute, cells.names, labelled=True)
        if units is not None:
            behind = units.rows.label != ABSENT
            known = np.minimum(known, units.spread(behind, behind, np.ones(len(cells.names))).kish)
        drawn = []
        for i, name in enumerate(cells.names):
            own = [_share(cells, i, label, terms, units, hidden=hidden) for label in range(len(data.classes))]
            named = [m.model_copy(update={"name": f"class[{c}]"}) for m, c in zip(own, data.classes, strict=True)]
            groups.append(
                GroupMeasures(
                    group={attribute: name},
                    rows=int(cells.rows_of()[i]),
                    effective_rows=float(known[i]) if cells.weighted or units is not None else None,
                    too_small=bool(known[i] < terms.minimum_rows),
                    measures=tuple(named),
                )
            )
            drawn.append((name, own))
        figures.append(_figure(attribute, attribute, data.classes, drawn))
    return Measured(
        measures=(
            by_size[0].model_copy(update={"name": "smallest_class"}),
            by_size[-1].model_copy(update={"name": "largest_class"}),
            Measure(
                name="unlabelled",
                value=unlabelled,
                low=unlabelled,
                high=unlabelled,
                rows=rows,
                unit="share",
                interval="exact",
            ),
        ),
        groups=tuple(groups),
        figures=tuple(figures),
        reason=never_within,
        never_within=never_within,
    )


def _share(cells: Cells, group: int, label: int, terms: Terms, units: Units | None, *, hidden: bool) -> Measure:
    known = (cells.group == group) & (cells.label != ABSENT)
    inside = known & (cells.label == label)
    total, rows = float(cells.weight[known].sum()), int(cells.rows[known].sum())
    if total <= 0:
        return Measure(name="class", value=None, rows=0, unit="share", reason=Reason(code="denominator_zero"))
    value = min(1.0, float(cells.weight[inside].sum()) / total)
    squares = cells.weight_squared
    effective = effective_rows_of_rate(
        [value], [total], [float(squares[inside].sum())], [float(squares[known & ~inside].sum())]
    )
    if units is not None:
        behind = np.flatnonzero((units.rows.group == group) & (units.rows.label != ABSENT))
        hit = units.rows.label[behind] == label
        effective = np.array([rate_of_rows(hit, units.rows.weight[behind], units.unit[behind])[1]])
    low, high = wilson([value], effective, critical(terms.confidence))
    return Measure(
        name="class",
        value=value,
        low=None if hidden else float(low[0]),
        high=None if hidden else float(high[0]),
        rows=rows,
        unit="share",
        interval="" if hidden else "wilson",
        reason=_UNITS_UNKNOWN if hidden else None,
    )


def _figure(
    name: str, attribute: str | None, classes: tuple[str, ...], drawn: list[tuple[str | None, list[Measure]]]
) -> Figure:
    flat = [(group, c, m) for group, measures in drawn for c, m in zip(classes, measures, strict=True)]
    columns: dict[str, tuple[Scalar, ...]] = {
        "class": tuple(c for _, c, _ in flat),
        "value": tuple(m.value for *_, m in flat),
        "low": tuple(m.low for *_, m in flat),
        "high": tuple(m.high for *_, m in flat),
        "rows": tuple(m.rows for *_, m in flat),
    }
    params: dict[str, Scalar] = {"measure": "class", "unit": "share", "label": "class"}
    if attribute is not None:
        columns = {"group": tuple(group for group, _, _ in flat), **columns}
        params |= {"attribute": attribute}
    code = "data_governance.label_balance"
    return Figure(
        name=figure_name(code, name) if attribute is not None else code, kind="bars", columns=columns, params=params
    )
