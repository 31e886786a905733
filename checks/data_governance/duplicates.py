"""How many rows are the same as another in all that the system is shown."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.counting import Codes
from checks.declaration import Route
from checks.evidence import Need, View
from checks.finding import Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.kinds import kinds_of
from checks.policy import Terms
from checks.registry import check


@check(
    gives=("duplicates", "share", "contradicting"),
    needs=(Need.FEATURES,),
    may_read=(Need.LABELS,),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 10(2)(h)", "AIA 10(3)", "AIA Annex IV 2(d)"),
    rejudge=Rejudge.EVIDENCE,
)
def duplicates(evidence: View, terms: Terms) -> Result:  # noqa: ARG001  # same signature for all
    """Count rows that repeat an earlier one in every feature.

    Args:
        evidence: the features, and labels where there are any; two missing values count as the same.
        terms: not used; all rows are counted.

    Returns:
        `duplicates` (rows beyond the first of each kind), their `share` of all rows, and `contradicting` (rows whose
        features occur with more than one label; no value without labels); smaller is better, all exact, over all rows.

    Law:
        AIA 10(3) asks for data free of errors to the best extent possible. A repeated row need not be an error: two
        people can be alike in all that was asked.

    References:
        pandas.DataFrame.duplicated(keep="first").
    """
    features = evidence.features
    rows = features.num_rows
    if not rows or not features.num_columns:
        return NotGathered(reason=Reason(code="no_rows"))
    kind = kinds_of(features)
    kinds = int(kind.max()) + 1
    repeated = rows - kinds

    def exact(name: str, value: float, unit: str) -> Measure:
        return Measure(name=name, value=value, low=value, high=value, rows=rows, unit=unit, interval="exact")

    contradicting = Measure(name="contradicting", value=None, rows=0, unit="rows", reason=Reason(code="no_labels"))
    if evidence.holds(Need.LABELS) and evidence.labels.null_count < rows:
        contradicting = exact("contradicting", _contradicting(kind, kinds, evidence.labels), "rows")
    return Measured(
        measures=(exact("duplicates", repeated, "rows"), exact("share", repeated / rows, "share"), contradicting)
    )


def _contradicting(kind: Codes, kinds: int, labels: pa.ChunkedArray) -> int:
    label = np.asarray(labels.to_numpy(zero_copy_only=False), dtype=np.float64)
    known = ~np.isnan(label)
    least, most = np.full(kinds, np.inf), np.full(kinds, -np.inf)
    np.minimum.at(least, kind[known], label[known])
    np.maximum.at(most, kind[known], label[known])
    return int((known & (least < most)[kind]).sum())
