"""Compare the error of a predicted number between the groups of an attribute, or of two attributes crossed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from checks.counting import Mask, labels_for_some
from checks.declaration import ColumnRole
from checks.evidence import Need, View
from checks.fairness._rates import drawn_name, figure_name, members
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Result
from checks.policy import Terms
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


def compare_errors(check: str, evidence: View, attribute: str, terms: Terms) -> Result:
    """Compare mean and absolute error; the other arguments are those of the checks that use it.

    Args:
        check: name of the check.
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
    data = evidence.declaration.data
    assert data is not None
    groups = [members(data, attribute, name) for name in names]
    drawn = tuple(drawn_name(group) for group in groups)
    weighted = not np.array_equal(weight, rows)
    z = critical(terms.confidence)
    shown = [(errors, *errors.interval(z, np.ones(len(names), dtype=bool))) for errors in (mean_error, absolute)]
    small = int((~absolute.large).sum())
    everyone, unlabelled, unanswered = _counts(evidence)
    never_within = _never_within(evidence, terms, clustered, everyone, unlabelled)
    return Measured(
        measures=(
            _headline("mean_error_difference", mean_error, terms, clustered, ratio=False),
            _headline("absolute_error_difference", absolute, terms, clustered, ratio=False),
            _headline("absolute_error_ratio", absolute, terms, clustered, ratio=True),
        ),
        groups=tuple(
            GroupMeasures(
                group=group,
                rows=int(rows[i]),
                effective_rows=float(effective[i]) if weighted else None,
                too_small=not bool(absolute.large[i]),
                measures=tuple(_of_group(e, i, low[i], high[i], clustered) for e, low, high in shown),
            )
            for i, group in enumerate(groups)
        ),
        figures=tuple(
            _figure(figure_name(f"fairness.{check}.{e.name}", attribute), attribute, drawn, e, low, high, clustered)
            for e, low, high in shown
        ),
        reason=never_within or _left_out(everyone, unlabelled, unanswered, small, terms),
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


def _counts(evidence: View) -> tuple[int, int, int]:
    """Count all rows, those without a label, and labelled ones without an answer."""
    table = evidence.moments()
    # Evidence that was sealed before these were counted does not have the columns.
    names = [n for n in ("rows", "unlabelled", "unanswered") if n in table.column_names]
    counts = {name: int(_floats(table, name).sum()) for name in names}
    unlabelled, unanswered = counts.get("unlabelled", 0), counts.get("unanswered", 0)
    return counts["rows"] + unlabelled + unanswered, unlabelled, unanswered


def _never_within(evidence: View, terms: Terms, clustered: bool, rows: int, unlabelled: int) -> Reason | None:
    data = evidence.declaration.data
    assert data is not None
    return labels_for_some(data, rows, unlabelled, terms.few_unlabelled) or (
        Reason(code="units_unknown") if clustered else None
    )


def _left_out(rows: int, unlabelled: int, unanswered: int, small: int, terms: Terms) -> Reason | None:
    if not (unlabelled or unanswered or small):
        return None
    return Reason(
        code="left_out",
        params={
            "rows": rows,
            "unlabelled": unlabelled,
            "unanswered": unanswered,
            "small_groups": small,
            "minimum": terms.minimum_rows,
        },
    )
