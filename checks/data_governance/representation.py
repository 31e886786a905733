"""How many people of each group the evaluation data hold."""

from __future__ import annotations

import numpy as np

from checks.data_governance._counts import counts_of
from checks.declaration import Route
from checks.evidence import Need, View
from checks.fairness._rates import figure_name
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check
from checks.statistics import effective_rows


@check(
    gives=("groups", "small_groups", "smallest_share", "not_stated"),
    needs=(),
    may_read=(Need.CELLS, Need.GROUPS, Need.WEIGHTS),
    scope=Scope.ATTRIBUTE,
    routes=(Route.MODEL, Route.PREDICTIONS, Route.COUNTS),
    law=("AIA 10(2)(e)", "AIA 10(2)(h)", "AIA 10(3)", "AIA Annex IV 2(d)"),
    rejudge=Rejudge.DOSSIER,
)
def representation(evidence: View, attribute: str, terms: Terms) -> Result:
    """Count the people of each group, and say which groups are too small to say anything of.

    Args:
        evidence: counts by group, or the groups of the rows where nothing was counted.
        attribute: the column that people are compared by.
        terms: the fewest effective rows of a group of which something is said.

    Returns:
        `groups` and `small_groups` (counts), `smallest_share` (share of weight of the smallest group, 0 to 1) and
        `not_stated` (share of rows without a value); exact, over all rows. Rows, share and flag per group.

    Law:
        AIA 10(3) asks for data that are sufficiently representative of the people a system is meant for. Whether these
        shares are, only a comparison with that population can tell.

    References:
        Counts of rows; effective rows after Kish (1965).
    """
    counted = counts_of(evidence, attribute)
    if counted is None:
        # A predicted number and a model without answers leave no counts of everyone in the dossier.
        return NotGathered(reason=Reason(code="evidence_erased"))
    if not counted[1].sum():
        return NotGathered(reason=Reason(code="no_rows"))
    names, rows, weight, squares, unlabelled = counted
    total, everyone = float(weight.sum()), int(rows.sum())
    shares = weight / total
    effective = effective_rows(weight, squares)
    small = effective < terms.minimum_rows
    weighted = not np.array_equal(weight, rows)
    absent = float(sum(n for name, n in zip(names, rows, strict=True) if name is None)) / everyone

    def exact(name: str, value: float, unit: str, behind: int = everyone) -> Measure:
        return Measure(name=name, value=value, low=value, high=value, rows=behind, unit=unit, interval="exact")

    def of_group(i: int) -> tuple[Measure, ...]:
        behind = int(rows[i])
        given = [exact("group_share", float(shares[i]), "share", behind)]
        if unlabelled is not None:
            given.append(exact("unlabelled", float(unlabelled[i]) / behind if behind else 0.0, "share", behind))
        return tuple(given)

    return Measured(
        measures=(
            exact("groups", sum(name is not None for name in names), "count"),
            exact("small_groups", int(small.sum()), "count"),
            exact("smallest_share", float(shares.min()), "share"),
            exact("not_stated", absent, "share"),
        ),
        groups=tuple(
            GroupMeasures(
                group={attribute: name},
                rows=int(rows[i]),
                effective_rows=float(effective[i]) if weighted else None,
                too_small=bool(small[i]),
                measures=of_group(i),
            )
            for i, name in enumerate(names)
        ),
        figures=(
            Figure(
                name=figure_name("data_governance.representation", attribute),
                kind="bars",
                columns={
                    "group": names,
                    "value": tuple(float(s) for s in shares),
                    "rows": tuple(int(n) for n in rows),
                    "too_small": tuple(small.tolist()),
                },
                params={"attribute": attribute, "measure": "group_share", "unit": "share", "label": "group"},
            ),
        ),
        reason=Reason(code="small_groups", params={"small_groups": int(small.sum()), "minimum": terms.minimum_rows})
        if small.any()
        else None,
    )
