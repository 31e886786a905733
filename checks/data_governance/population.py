"""Whether the evaluation data hold people in the shares of the population that the system is meant for."""

from __future__ import annotations

import numpy as np

from checks.counting import group_codes, has_units
from checks.data_governance._counts import counts_of
from checks.data_governance._shares import ROW_FACTS, Rows
from checks.declaration import Route
from checks.evidence import Need, View
from checks.fairness._rates import figure_name
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check
from checks.statistics import Floats, critical, effective_rows, wilson


@check(
    gives=("largest_shortfall", "smallest_ratio", "absent_groups"),
    needs=(Need.POPULATION,),
    may_read=(Need.CELLS, *ROW_FACTS),
    scope=Scope.ATTRIBUTE,
    routes=(Route.MODEL, Route.PREDICTIONS, Route.COUNTS),
    law=("AIA 10(3)", "AIA 10(4)", "AIA 10(2)(f)"),
    rejudge=Rejudge.EVIDENCE,
)
def population(evidence: View, attribute: str, terms: Terms) -> Result:
    """Compare the share of each group in the data with its share in the stated population.

    Args:
        evidence: counts by group (weighted, where rows have weights), and the population as the provider states it.
        attribute: the column that people are compared by.
        terms: confidence.

    Returns:
        `largest_shortfall` (share, -1 to 1, smaller is nearer: share in the population minus share in the data, of the
        group that falls short most), `smallest_ratio` (from 0, nearer to 1 is nearer: share in the data over share in
        the population), `absent_groups` (count, exact: groups of the population without a row). Wilson's intervals,
        Bonferroni over groups, rows of one unit counting together: how far a sample of this size may differ by chance.
        Rows whose group is not stated, or is not one of the population, are left out and told.

    Law:
        AIA 10(3) asks for data sufficiently representative of the persons a system is meant for, 10(4) for the setting
        it is used in. How near is near enough, it does not say.

    References:
        Wilson (1927), JASA 22; the shares are those that the provider states, and are taken as they are.
    """
    stated = evidence.population.get(attribute)
    if not stated:
        return NotGathered(reason=Reason(code="no_population", params={"need": Need.POPULATION.value}))
    counted = counts_of(evidence, attribute)
    if counted is None:
        return NotGathered(reason=Reason(code="evidence_erased"))
    names, rows, weight, squares, _ = counted
    place = {name: i for i, name in enumerate(names)}
    groups = sorted(stated)
    at = [place.get(name) for name in groups]

    def known(column: Floats) -> Floats:
        return np.array([0.0 if i is None else column[i] for i in at], dtype=np.float64)

    total = float(known(weight).sum())
    if total <= 0:
        return NotGathered(reason=Reason(code="no_known_group", params={"groups": ", ".join(groups)}))
    share, wanted = known(weight) / total, np.array([stated[name] for name in groups], dtype=np.float64)
    effective = float(effective_rows([total], [float(known(squares).sum())])[0])
    data = evidence.declaration.data
    clustered = data is not None and has_units(data)
    z = critical(1.0 - (1.0 - terms.confidence) / len(groups))
    low, high = wilson(share, np.full(len(groups), effective), z)
    if clustered and evidence.holds(Need.UNITS) and evidence.holds(Need.GROUPS):
        low, high = _with_units(evidence, attribute, groups, terms)
        clustered = False
    behind, left_out = int(known(rows).sum()), int(rows.sum() - known(rows).sum())
    short, positive = wanted - share, wanted > 0

    def headline(name: str, bounds: tuple[float, float, float] | None, unit: str) -> Measure:
        if bounds is None:
            return Measure(name=name, value=None, rows=behind, unit=unit, reason=Reason(code="no_share"))
        value, least, most = bounds
        if clustered:
            return Measure(name=name, value=value, rows=behind, unit=unit, reason=Reason(code="units_unknown"))
        method = f"wilson, Bonferroni over {len(groups)} groups"
        return Measure(name=name, value=value, low=least, high=most, rows=behind, unit=unit, interval=method)

    ratio = None
    if positive.any():
        quotients = [c[positive] / wanted[positive] for c in (share, low, high)]
        ratio = (float(quotients[0].min()), float(quotients[1].min()), float(quotients[2].min()))
    absent = int(((known(rows) == 0) & positive).sum())
    return Measured(
        measures=(
            headline(
                "largest_shortfall",
                (float(short.max()), float((wanted - high).max()), float((wanted - low).max())),
                "share",
            ),
            headline("smallest_ratio", ratio, "ratio"),
            Measure(
                name="absent_groups",
                value=absent,
                low=absent,
                high=absent,
                rows=behind,
                unit="count",
                interval="exact",
            ),
        ),
        groups=tuple(
            GroupMeasures(
                group={attribute: name},
                rows=int(known(rows)[i]),
                too_small=bool(known(rows)[i] < terms.minimum_rows),
                measures=(
                    Measure(
                        name="group_share",
                        value=float(share[i]),
                        low=None if clustered else float(low[i]),
                        high=None if clustered else float(high[i]),
                        rows=behind,
                        unit="share",
                        interval="" if clustered else "wilson",
                        reason=Reason(code="units_unknown") if clustered else None,
                    ),
                    Measure(name="population_share", value=float(wanted[i]), rows=behind, unit="share"),
                ),
            )
            for i, name in enumerate(groups)
        ),
        figures=(
            Figure(
                name=figure_name("data_governance.population", attribute),
                kind="bars",
                columns={
                    "group": tuple(name for name in groups for _ in range(2)),
                    "source": ("data", "population") * len(groups),
                    "value": tuple(float(v) for pair in zip(share, wanted, strict=True) for v in pair),
                },
                params={"attribute": attribute, "measure": "group_share", "unit": "share", "label": "group"},
            ),
        ),
        reason=Reason(code="left_out", params={"rows": behind + left_out, "left_out": left_out}) if left_out else None,
        never_within=Reason(code="units_unknown") if clustered else None,
    )


def _with_units(evidence: View, attribute: str, groups: list[str], terms: Terms) -> tuple[Floats, Floats]:
    """Give the interval of each group's share, with rows of one person or household counting together."""
    column = evidence.groups.column(attribute)
    codes, names = group_codes(column, len(column))
    known = np.array([name in groups for name in names])[codes]
    taken = Rows.of(evidence, len(column))
    family = len(groups)
    low, high = np.zeros(family), np.ones(family)
    for i, group in enumerate(groups):
        hit = codes == names.index(group) if group in names else np.zeros(len(codes), dtype=bool)
        everyone = np.zeros(len(codes), dtype=np.int64)
        share = taken.shares("group_share", hit, terms, everyone, (None,), among=known, family=family)[0]
        low[i], high[i] = share.low or 0.0, 1.0 if share.high is None else share.high
    return low, high
