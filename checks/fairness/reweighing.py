"""The weights with which a model would be trained as if labels did not go along with the group."""

from __future__ import annotations

import numpy as np

from checks.counting import ABSENT, Cells, labels_for_some
from checks.evidence import Need, View
from checks.fairness._rates import CLASSES, COUNTED_ROUTES
from checks.finding import GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check
from checks.statistics import Floats


@check(
    gives=("largest_weight", "smallest_weight"),
    needs=(Need.CELLS,),
    scope=Scope.ATTRIBUTE,
    tasks=CLASSES,
    routes=COUNTED_ROUTES,
    law=("AIA 10(2)(f)", "AIA 10(2)(g)"),
    rejudge=Rejudge.DOSSIER,
)
def reweighing(evidence: View, attribute: str, terms: Terms) -> Result:
    """Work out the weight of each group and label that makes labels occur equally often in all groups.

    Args:
        evidence: counts of group x label of these data; decisions play no part. The same sum over the training data
            gives the weights to train with.
        attribute: the column that people are compared by.
        terms: the fewest effective rows of a group that counts for the headlines.

    Returns:
        `largest_weight` and `smallest_weight` (ratio, from 0, nearer to 1 is less to mend), exact for these counts: how
        often a group and label would have to occur, over how often they do. Per group `weight` of each label; no value
        where a group never has it.

    Law:
        AIA 10(2)(g) asks for measures against bias. Weights in training leave the group out of decisions; whether
        labels should occur equally often in all groups, no figure says.

    References:
        Kamiran and Calders (2012), Knowledge and Information Systems 33, reweighing.
    """
    data = evidence.declaration.data
    assert data is not None
    cells = Cells.of(evidence.cells(attribute))
    known = cells.label != ABSENT
    if not known.any():
        return NotGathered(reason=Reason(code="no_labels", params={"need": Need.LABELS.value}))
    labelled = cells.where(known)
    effective, classes = labelled.effective_rows_of(), len(data.classes)
    table = np.zeros((len(cells.names), classes), dtype=np.float64)
    np.add.at(table, (labelled.group, labelled.label), labelled.weight)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    weight = np.divide(expected, table, out=np.full_like(table, np.nan), where=table > 0)
    large = effective >= terms.minimum_rows
    shown, rows = weight[large][~np.isnan(weight[large])], int(labelled.rows.sum())

    def headline(name: str, value: float | None) -> Measure:
        few = Reason(code="too_few_groups", params={"groups": int(large.sum())}) if value is None else None
        exact = "" if value is None else "exact"
        return Measure(
            name=name, value=value, low=value, high=value, rows=rows, unit="ratio", interval=exact, reason=few
        )

    total = int(cells.rows.sum())
    never_within = labels_for_some(data, total, total - rows, terms.few_unlabelled)
    compared = large.sum() >= 2 and len(shown) > 0
    return Measured(
        measures=(
            headline("largest_weight", float(shown.max()) if compared else None),
            headline("smallest_weight", float(shown.min()) if compared else None),
        ),
        groups=tuple(
            GroupMeasures(
                group={attribute: name},
                rows=int(cells.rows_of()[i]),
                effective_rows=float(effective[i]) if cells.weighted else None,
                too_small=not bool(large[i]),
                measures=_of_group(weight[i], int(labelled.rows_of()[i]), data.classes),
            )
            for i, name in enumerate(cells.names)
        ),
        reason=never_within or Reason(code="of_these_data"),
        never_within=never_within,
    )


def _of_group(weight: Floats, rows: int, classes: tuple[str, ...]) -> tuple[Measure, ...]:
    made = []
    for name, value in zip(classes, weight.tolist(), strict=True):
        known = not np.isnan(value)
        made.append(
            Measure(
                name=f"weight[{name}]",
                value=value if known else None,
                low=value if known else None,
                high=value if known else None,
                rows=rows,
                unit="ratio",
                interval="exact" if known else "",
                reason=None if known else Reason(code="never_occurs"),
            )
        )
    return tuple(made)
