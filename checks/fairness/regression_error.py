"""How far predicted numbers are off in each group, and in which direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from checks.counting import Mask, labels_for_some
from checks.declaration import ColumnRole, Task
from checks.evidence import Need, View
from checks.fairness._rates import COUNTED_ROUTES, LAW, figure_name
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check
from checks.statistics import (
    Floats,
    critical,
    critical_of_range,
    effective_rows,
    extremes,
    finite,
    gaps,
    largest_gap,
    mean_interval,
    ratios,
    smallest_ratio,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errors:
    """Mean of one kind of error by group, with what its certainty comes from; all (g,)."""

    name: str
    definition: str
    value: Floats
    variance: Floats
    effective: Floats
    rows: Floats
    large: Mask

    def interval(self, z: float, kept: Mask) -> tuple[Floats, Floats]:
        return mean_interval(self.value[kept], self.variance[kept], self.effective[kept], z)


@check(
    gives=("mean_error_difference", "absolute_error_difference", "absolute_error_ratio"),
    needs=(Need.MOMENTS,),
    may_read=(Need.LABELS,),
    scope=Scope.ATTRIBUTE,
    tasks=(Task.REGRESSION,),
    routes=COUNTED_ROUTES,
    law=LAW,
    rejudge=Rejudge.DOSSIER,
)
def regression_error(evidence: View, attribute: str, terms: Terms) -> Result:
    """Measure how far groups differ in the error of a predicted number.

    Args:
        evidence: sums of weights and of (predicted minus true) by group, over rows that have both.
        attribute: the column that people are compared by.
        terms: confidence, and the fewest effective rows of a group that counts.

    Returns:
        `mean_error_difference` and `absolute_error_difference` (in the unit of the label, from 0, smaller is closer
        together), `absolute_error_ratio` (smallest mean absolute error over largest, 0 to 1, larger is closer
        together), with Student and MOVER intervals that hold for the largest gap among all groups together.

    Law:
        AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit, and a
        difference alone is not unlawful discrimination, nor its absence proof that there is none.

    References:
        fairlearn.metrics.MetricFrame of the mean of errors and of sklearn.metrics.mean_absolute_error.
    """
    table = evidence.moments(attribute)
    names: tuple[str | None, ...] = tuple(table.column("group").to_pylist())
    rows = _floats(table, "rows")
    if not rows.sum():
        return NotGathered(reason=Reason(code="no_labels", params={"need": Need.LABELS.value}))
    weight, squares = _floats(table, "weight"), _floats(table, "weight_squared")
    effective = effective_rows(weight, squares)
    clustered = _clustered(evidence)

    def kind(name: str, definition: str, total: str) -> _Errors:
        value = np.divide(_floats(table, total), weight, out=np.full_like(weight, np.nan), where=weight > 0)
        mean = np.nan_to_num(value)
        # sum of w^2 (e - mean)^2, spelled out over the sums that are kept; |e|^2 and e^2 are the same.
        spread = _floats(table, "weighted2_error_squared") - 2 * mean * _floats(table, f"weighted2_{total}")
        spread = np.maximum(spread + mean**2 * squares, 0.0)
        variance = np.divide(spread, weight**2, out=np.zeros_like(weight), where=weight > 0)
        variance *= np.divide(effective, effective - 1, out=np.ones_like(weight), where=effective > 1)
        large = (effective >= terms.minimum_rows) & ~np.isnan(value)
        return _Errors(
            name=name,
            definition=definition,
            value=value,
            variance=variance,
            effective=effective,
            rows=rows,
            large=large,
        )

    mean_error = kind("mean_error", "mean of predicted minus true", "error")
    absolute = kind("absolute_error", "sklearn.metrics.mean_absolute_error", "absolute_error")
    weighted = not np.array_equal(weight, rows)
    z = critical(terms.confidence)
    shown = [(errors, *errors.interval(z, np.ones(len(names), dtype=bool))) for errors in (mean_error, absolute)]
    small = int((~absolute.large).sum())
    everyone, unlabelled = _unlabelled(evidence)
    never_within = _never_within(evidence, clustered, everyone, unlabelled)
    return Measured(
        measures=(
            _headline("mean_error_difference", mean_error, terms, clustered, ratio=False),
            _headline("absolute_error_difference", absolute, terms, clustered, ratio=False),
            _headline("absolute_error_ratio", absolute, terms, clustered, ratio=True),
        ),
        groups=tuple(
            GroupMeasures(
                group={attribute: name},
                rows=int(rows[i]),
                effective_rows=float(effective[i]) if weighted else None,
                too_small=not bool(absolute.large[i]),
                measures=tuple(_of_group(e, i, low[i], high[i], clustered) for e, low, high in shown),
            )
            for i, name in enumerate(names)
        ),
        figures=tuple(
            _figure(
                figure_name(f"fairness.regression_error.{e.name}", attribute), attribute, names, e, low, high, clustered
            )
            for e, low, high in shown
        ),
        reason=never_within or _left_out(everyone, unlabelled, int(rows.sum()), small, terms),
        never_within=never_within,
    )


def _floats(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)


def _clustered(evidence: View) -> bool:
    data = evidence.declaration.data
    return data is not None and ColumnRole.UNIT in data.columns.values()


def _headline(name: str, errors: _Errors, terms: Terms, clustered: bool, *, ratio: bool) -> Measure:
    large, groups = errors.large, int(errors.large.sum())
    unit = "ratio" if ratio else "label"
    rows = int(errors.rows[large].sum())
    if groups < 2:
        reason = Reason(code="too_few_groups", params={"groups": groups})
        return Measure(name=name, value=None, rows=rows, unit=unit, reason=reason)
    v = errors.value[large]
    ends = extremes(v)
    most, least = v[ends]
    value = float(most - least) if not ratio else float(least / most) if most > 0 else None
    definition = f"fairlearn.metrics.MetricFrame.{'ratio' if ratio else 'difference'} of {errors.definition}"
    if value is None or clustered:
        reason = Reason(code="units_unknown" if clustered else "no_error")
        return Measure(name=name, value=value, rows=rows, unit=unit, definition=definition, reason=reason)

    def bounds(z: float) -> tuple[Floats, Floats]:
        low, high = errors.interval(z, large)
        return (np.maximum(low, 0.0), high) if ratio else (low, high)

    adjusted, plain = bounds(critical_of_range(terms.confidence, groups)), bounds(critical(terms.confidence))
    pairs: Callable[..., tuple[Floats, Floats]] = ratios if ratio else gaps
    over = smallest_ratio if ratio else largest_gap
    low, high = over(v, *adjusted)
    at = (1, 0) if ratio else (0, 1)
    own = tuple(float(m[at]) for m in pairs(v[ends], *(bound[ends] for bound in plain)))
    unadjusted = (own[0], min(1.0, own[1])) if ratio else (max(0.0, own[0]), own[1])
    return Measure(
        name=name,
        value=value,
        low=low,
        high=high,
        unadjusted=unadjusted if groups > 2 else None,
        rows=rows,
        unit=unit,
        definition=definition,
        interval=f"{'mover-r' if ratio else 'mover'} over student, studentised range over {groups} groups",
    )


def _of_group(errors: _Errors, i: int, low: float, high: float, clustered: bool) -> Measure:
    value = finite(errors.value[i])
    certain = value is not None and not clustered and bool(np.isfinite(low))
    reason = Reason(code="denominator_zero") if value is None else Reason(code="units_unknown") if clustered else None
    return Measure(
        name=errors.name,
        value=value,
        low=float(low) if certain else None,
        high=float(high) if certain else None,
        rows=int(errors.rows[i]),
        unit="label",
        definition=errors.definition,
        interval="student" if certain else "",
        reason=reason,
    )


def _figure(
    name: str,
    attribute: str,
    names: tuple[str | None, ...],
    errors: _Errors,
    low: Floats,
    high: Floats,
    clustered: bool,
) -> Figure:
    return Figure(
        name=name,
        kind="group_rates",
        columns={
            "group": names,
            "rows": tuple(int(n) for n in errors.rows),
            "value": tuple(finite(v) for v in errors.value),
            "low": tuple(None if clustered else finite(v) for v in low),
            "high": tuple(None if clustered else finite(v) for v in high),
            "too_small": tuple(not large for large in errors.large.tolist()),
        },
        params={"attribute": attribute, "measure": errors.name, "unit": "label"},
    )


def _unlabelled(evidence: View) -> tuple[int, int]:
    """Count all rows and those without a label; (0, 0) where the rows are not here: sums hold labelled rows alone."""
    if not evidence.holds(Need.LABELS):
        return 0, 0
    return len(evidence.labels), int(evidence.labels.null_count)


def _never_within(evidence: View, clustered: bool, rows: int, unlabelled: int) -> Reason | None:
    data = evidence.declaration.data
    assert data is not None
    return labels_for_some(data, rows, unlabelled) or (Reason(code="units_unknown") if clustered else None)


def _left_out(rows: int, unlabelled: int, used: int, small: int, terms: Terms) -> Reason | None:
    unanswered = max(0, rows - unlabelled - used)
    if not (unlabelled or unanswered or small):
        return None
    return Reason(
        code="left_out",
        params={
            "rows": max(rows, used),
            "unlabelled": unlabelled,
            "unanswered": unanswered,
            "small_groups": small,
            "minimum": terms.minimum_rows,
        },
    )
