"""How far the columns of the evaluation data lie from those of the training data."""

from __future__ import annotations

from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checks.declaration import Route
from checks.evidence import Need, View
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import check

_KS = "largest gap between the shares at or below a value (Kolmogorov-Smirnov), missing values below all others"
_TV = "half the sum of the gaps between the shares of each category (total variation), missing a category of its own"


@check(
    gives=("largest", "columns", "label"),
    needs=(Need.TRAINING,),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 10(3)", "AIA 10(4)", "AIA 15(4)"),
    rejudge=Rejudge.EVIDENCE,
)
def drift(evidence: View, terms: Terms) -> Result:
    """Measure for each column how differently its values are spread in training and evaluation data.

    Args:
        evidence: bins of the inputs, groups and label of both tables, as shares of weight, and the effective number of
            rows of each, units (people, households) kept together.
        terms: confidence.

    Returns:
        Per column a distance (0 to 1; 0 the same spread, 1 nothing in common; smaller is nearer): `ks` for numbers,
        `total_variation` for categories. `largest`: that of the input or group furthest apart. `label`: that of the
        label. `columns` (count, exact): inputs and groups that differ beyond chance. Intervals hold for all columns
        together (Bonferroni): the bound of Dvoretzky, Kiefer and Wolfowitz for numbers, of chi-square for categories;
        both are wider than they need be, never narrower, where rows are weighted or come in units.

    Law:
        AIA 10(3) and 10(4) ask for data with the properties of the persons and the setting a system is meant for, 15(4)
        for resilience. A difference may be meant: a test on other years or places. No number is named.

    References:
        Massart (1990), Annals of Probability 18(3), for the constant of the bound; scipy.stats.ks_2samp; the ellipsoid
        of multinomial shares by Pearson's chi-square, with the inequality of Cauchy and Schwarz.
    """
    bins = evidence.training.columns.to_pandas()
    if not len(bins):
        return NotGathered(reason=Reason(code="no_columns"))
    parts = [(role, name, part) for (role, name), part in bins.groupby(["role", "column"], sort=False)]
    family = len(parts)
    found = [(role, name, _distance(part, terms.confidence, family)) for role, name, part in parts]
    shown = [(name, m) for role, name, m in found if role != "label"]
    labels = [m for role, _, m in found if role == "label"]
    order = sorted(shown, key=lambda pair: (-(pair[1].value or 0.0), pair[0]))
    rows = order[0][1].rows if order else 0
    none = Reason(code="no_columns")
    apart = sum((m.low or 0.0) > 0 for _, m in shown)
    measures = (
        order[0][1].model_copy(
            update={
                "name": "largest",
                "low": max(m.low or 0.0 for _, m in shown),
                "high": max(m.high or 0.0 for _, m in shown),
                "unadjusted": None,
            }
        )
        if order
        else Measure(name="largest", value=None, rows=0, unit="share", reason=none),
        Measure(name="columns", value=apart, low=apart, high=apart, rows=rows, unit="count", interval="exact")
        if order
        else Measure(name="columns", value=None, rows=0, unit="count", reason=none),
        labels[0].model_copy(update={"name": "label"})
        if labels
        else Measure(name="label", value=None, rows=0, unit="share", reason=Reason(code="no_labels")),
    )
    return Measured(
        measures=measures,
        groups=tuple(GroupMeasures(group={"feature": name}, rows=m.rows, measures=(m,)) for name, m in order),
        figures=(
            Figure(
                name="data_governance.drift",
                kind="bars",
                columns={
                    "feature": tuple(name for name, _ in order),
                    "value": tuple(m.value for _, m in order),
                    "low": tuple(m.low for _, m in order),
                    "high": tuple(m.high for _, m in order),
                    "rows": tuple(m.rows for _, m in order),
                },
                params={"measure": "distance", "unit": "share", "label": "feature"},
            ),
        )
        if order
        else (),
        reason=Reason(
            code="compared_columns",
            params={"columns": family, "training": evidence.training.rows, "furthest": order[0][0] if order else "-"},
        ),
    )


def _distance(part: Any, confidence: float, family: int) -> Measure:
    def column(name: str) -> NDArray[np.float64]:
        return np.asarray(part[name], dtype=np.float64)

    gap = column("evaluation") - column("training")
    rows, others = float(column("evaluation_rows")[0]), float(column("training_rows")[0])
    is_number = str(part["kind"].iloc[0]) == "number"
    used = int(((column("evaluation") + column("training")) > 0).sum())
    value = float(np.abs(np.cumsum(gap)).max()) if is_number else float(np.abs(gap).sum()) / 2
    value = min(1.0, value)

    def bounds(alpha: float) -> tuple[float, float]:
        from scipy.special import chdtri

        if is_number:
            reach = sum(sqrt(log(4.0 / alpha) / (2.0 * n)) for n in (rows, others))
        else:
            reach = sqrt(float(chdtri(max(1, used - 1), alpha)) * (1.0 / rows + 1.0 / others)) / 2
        return max(0.0, value - reach), min(1.0, value + reach)

    low, high = bounds((1.0 - confidence) / family)
    method = "DKW" if is_number else "chi-square"
    return Measure(
        name="ks" if is_number else "total_variation",
        value=value,
        low=low,
        high=high,
        unadjusted=bounds(1.0 - confidence),
        rows=round(rows),
        unit="share",
        definition=_KS if is_number else _TV,
        interval=f"{method}, Bonferroni over {family} columns",
    )
