"""How many values are missing in each column that the system is shown."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from checks.declaration import Route
from checks.evidence import Need, View
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import check


@check(
    gives=("share", "columns_with_missing", "worst_column"),
    needs=(Need.FEATURES,),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 10(2)(h)", "AIA 10(3)", "AIA Annex IV 2(d)"),
    rejudge=Rejudge.EVIDENCE,
)
def missing_values(evidence: View, terms: Terms) -> Result:  # noqa: ARG001  # same signature for all
    """Count missing values in the columns that the system is shown.

    Args:
        evidence: the features; null and NaN are missing, as are the markers the declaration names.
        terms: not used; all rows are counted.

    Returns:
        `share` of all values that are missing, `columns_with_missing` (count) and `worst_column` (largest share missing
        in one column); smaller is more complete; all exact, over all rows. One group of measures per column.

    Law:
        AIA 10(3) asks for data that are complete to the best extent possible, 10(2)(h) to name gaps. It does not say
        how many gaps are too many.

    References:
        Counts of nulls.
    """
    features = evidence.features
    rows, names = features.num_rows, features.column_names
    if not rows or not names:
        return NotGathered(reason=Reason(code="no_rows"))
    missing = [_missing(features.column(name)) for name in names]
    shares = [count / rows for count in missing]
    order = sorted(range(len(names)), key=lambda i: (-missing[i], i))

    def exact(name: str, value: float, unit: str, behind: int) -> Measure:
        return Measure(name=name, value=value, low=value, high=value, rows=behind, unit=unit, interval="exact")

    return Measured(
        measures=(
            exact("share", sum(missing) / (rows * len(names)), "share", rows),
            exact("columns_with_missing", sum(count > 0 for count in missing), "count", rows),
            exact("worst_column", max(shares), "share", rows),
        ),
        groups=tuple(
            GroupMeasures(
                group={"feature": names[i]}, rows=rows, measures=(exact("column_share", shares[i], "share", rows),)
            )
            for i in order
        ),
        figures=(
            Figure(
                name="data_governance.missing_values",
                kind="bars",
                columns={
                    "feature": tuple(names[i] for i in order),
                    "value": tuple(shares[i] for i in order),
                    "rows": tuple(rows for _ in order),
                },
                params={"measure": "column_share", "unit": "share", "label": "feature"},
            ),
        ),
    )


def _missing(column: pa.ChunkedArray) -> int:
    count = int(column.null_count)
    if pa.types.is_floating(column.type):
        count += int(pc.sum(pc.is_nan(column)).as_py() or 0)
    return count
