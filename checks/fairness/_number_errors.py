"""Compare the error of a predicted number between the groups of an attribute, or of several crossed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
import pyarrow as pa

from checks.accuracy._confusion import UNITS_UNKNOWN
from checks.accuracy._scored import floats
from checks.counting import UNIT_FACTS, Mask, Spread, Units, has_units, labels_for_some, units_of
from checks.declaration import Task
from checks.evidence import Need, View
from checks.fairness._rates import COUNTED_ROUTES, LAW, VISIBLE, drawn_name, figure_name, members
from checks.finding import (
    ROWS_TO_DECIDE,
    Figure,
    GroupMeasures,
    Measure,
    Measured,
    NotGathered,
    Reason,
    Rejudge,
    Result,
)
from checks.policy import Terms
from checks.registry import Check, Scope, check
from checks.statistics import (
    POWER,
    Floats,
    critical,
    critical_of_range,
    effective_rows,
    extremes,
    finite,
    furthest_from_everyone,
    gaps,
    largest_gap,
    mean_interval,
    ratios,
    smallest_ratio,
)

GIVES = (
    "mean_error_difference",
    "absolute_error_difference",
    "absolute_error_ratio",
    "mean_error_to_everyone",
    "absolute_error_to_everyone",
    "absolute_error_ratio_to_everyone",
    VISIBLE,
    ROWS_TO_DECIDE,
)
"""Headline measures of the checks that `number_check` makes."""

DOC = """Measure how far groups{crossed} differ in the error of a predicted number.

    Args:
        evidence: sums of weights and of (predicted minus true) by group, over rows that have both.
        attribute: the column that people are compared by{name}.
        terms: confidence, and the fewest effective rows of a group that counts.

    Returns:
        `mean_error_difference` and `absolute_error_difference` (in the unit of the label, from 0, smaller is closer
        together), `absolute_error_ratio` (smallest mean absolute error over largest, 0 to 1, larger is closer
        together), with Student and MOVER intervals that hold for the largest gap among all these groups together.
        `mean_error_to_everyone`, `absolute_error_to_everyone` and `absolute_error_ratio_to_everyone` compare each group
        with everyone; `smallest_visible_gap` (unit of the label, smaller says more) is the gap in the mean error that
        could have gone unseen. Where all errors of a large group are alike, there is no spread, and no interval.
        `rows_to_decide` says about how many more rows would decide what is undecided.

    Law:
        AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit, and a
        difference alone is not unlawful discrimination, nor its absence proof that there is none.

    References:
        fairlearn.metrics.MetricFrame of the mean of errors and of sklearn.metrics.mean_absolute_error.
    """

_KINDS = (
    ("mean_error", "mean of predicted minus true", "error"),
    ("absolute_error", "sklearn.metrics.mean_absolute_error", "absolute_error"),
)
"""Name, definition and the sum that it is the mean of."""

_ALL = "(method='to_overall')"


def number_check(name: str, scope: Scope) -> Check:
    """Make a check of predicted numbers by group.

    Args:
        name: of the check, which is that of its file.
        scope: attribute, or crossing of several.
    """

    def run(evidence: View, attribute: str, terms: Terms) -> Result:
        return compare_errors(name, evidence, attribute, terms)

    crossing = scope is Scope.CROSSING
    run.__name__ = run.__qualname__ = name
    run.__doc__ = DOC.format(
        crossed=" of attributes crossed" if crossing else "", name=", crossed as in `sex × race`" if crossing else ""
    )
    return check(
        gives=GIVES,
        needs=(Need.MOMENTS,),
        may_read=UNIT_FACTS,
        scope=scope,
        tasks=(Task.REGRESSION,),
        routes=COUNTED_ROUTES,
        law=LAW,
        rejudge=Rejudge.DOSSIER,
    )(run)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mean:
    """Means with the variance of each and the effective rows behind it, all (g,)."""

    value: Floats
    variance: Floats
    effective: Floats

    def interval(self, z: float, kept: Mask, *, positive: bool = False) -> tuple[Floats, Floats, Floats]:
        low, high = mean_interval(self.value[kept], self.variance[kept], self.effective[kept], z)
        return self.value[kept], np.maximum(low, 0.0) if positive else low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errors:
    """Mean of one kind of error by group, and of all people outside each group.

    Args:
        of_group, of_rest: see `_Mean`.
        everyone: the mean over all groups, small ones among them.
        share: (g,) of all weight.
        rows: (g,) rows behind.
        large: (g,) whether the group counts for the headline.
        without: why nothing has an interval: rows go together unseen, or all of a large group's errors are alike.
    """

    name: str
    definition: str
    of_group: _Mean
    of_rest: _Mean
    everyone: float
    share: Floats
    rows: Floats
    large: Mask
    without: Reason | None


def compare_errors(check: str, evidence: View, attribute: str, terms: Terms) -> Result:
    """Compare mean and absolute error; the other arguments are those of the checks that use it.

    Args:
        check: name of the check.
    """
    table = evidence.moments(attribute)
    names: tuple[str | None, ...] = tuple(table.column("group").to_pylist())
    rows = _column(table, "rows")
    data = evidence.declaration.data
    assert data is not None
    if not rows.sum():
        return NotGathered(reason=Reason(code="no_labels", params={"need": Need.LABELS.value}))
    units = units_of(evidence, attribute, names, labelled=True)
    hidden = units is None and has_units(data)
    kinds = [_kind(kind, table, evidence, units, terms, hidden=hidden) for kind in _KINDS]
    mean_error, absolute = kinds
    groups = [members(data, attribute, name) for name in names]
    told = units is not None or not np.array_equal(_column(table, "weight"), rows)
    small = int((~absolute.large).sum())
    everyone, unlabelled, unanswered = _counts(evidence)
    never_within = labels_for_some(data, everyone, unlabelled, terms.few_unlabelled) or (
        UNITS_UNKNOWN if hidden else None
    )
    z = critical(terms.confidence)
    shown = [(e, *e.of_group.interval(z, np.ones(len(names), dtype=bool))[1:]) for e in kinds]
    return Measured(
        measures=(
            _between("mean_error_difference", mean_error, terms, ratio=False),
            _between("absolute_error_difference", absolute, terms, ratio=False),
            _between("absolute_error_ratio", absolute, terms, ratio=True),
            _to_everyone("mean_error_to_everyone", mean_error, terms, ratio=False),
            _to_everyone("absolute_error_to_everyone", absolute, terms, ratio=False),
            _to_everyone("absolute_error_ratio_to_everyone", absolute, terms, ratio=True),
            _visible(mean_error, terms),
        ),
        groups=tuple(
            GroupMeasures(
                group=group,
                rows=int(rows[i]),
                effective_rows=float(absolute.of_group.effective[i]) if told else None,
                too_small=not bool(absolute.large[i]),
                measures=tuple(_of_group(e, i, low[i], high[i], hidden=hidden) for e, low, high in shown),
            )
            for i, group in enumerate(groups)
        ),
        figures=tuple(
            _figure(check, attribute, tuple(drawn_name(g) for g in groups), e, low, high, hidden=hidden)
            for e, low, high in shown
        ),
        reason=never_within or _left_out(everyone, unlabelled, unanswered, small, terms),
        never_within=never_within,
    )


def _column(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)


def _kind(
    kind: tuple[str, str, str], table: pa.Table, evidence: View, units: Units | None, terms: Terms, *, hidden: bool
) -> _Errors:
    name, definition, total = kind
    weight, squares, rows = (_column(table, n) for n in ("weight", "weight_squared", "rows"))
    sums = _column(table, total)
    linear, square = _column(table, f"weighted2_{total}"), _column(table, "weighted2_error_squared")

    def mean(of: Callable[[Floats], Floats], spread: Callable[[Floats], Spread] | None) -> _Mean:
        behind = of(weight)
        value = np.divide(of(sums), behind, out=np.full_like(behind, np.nan), where=behind > 0)
        known = np.nan_to_num(value)
        if spread is None:
            effective = effective_rows(behind, of(squares))
            # sum of w^2 (e - mean)^2, spelled out over the sums that are kept; |e|^2 and e^2 are the same.
            squared = np.maximum(of(square) - 2 * known * of(linear) + known**2 * of(squares), 0.0)
            squared *= np.divide(effective, effective - 1, out=np.ones_like(behind), where=effective > 1)
            # What is left of sums that cancel is rounding, not spread.
            squared[squared <= 1e-12 * of(square)] = 0.0
        else:
            summed = spread(known)
            effective, squared = summed.kish, summed.corrected
        variance = np.divide(squared, behind**2, out=np.zeros_like(behind), where=behind > 0)
        return _Mean(value=value, variance=variance, effective=effective)

    of_units = of_rest = None
    if units is not None:
        error = floats(evidence.values) - floats(evidence.labels)
        known, each = ~np.isnan(error), np.nan_to_num(np.abs(error) if total == "absolute_error" else error)

        def of_units(value: Floats) -> Spread:
            return units.spread(known, each, value)

        def of_rest(value: Floats) -> Spread:
            return units.spread_of_rest(known, each, value)

    of_group = mean(lambda column: column, of_units)
    large = (of_group.effective >= terms.minimum_rows) & ~np.isnan(of_group.value)
    alike = bool((of_group.variance[large] <= 0).any())
    return _Errors(
        name=name,
        definition=definition,
        of_group=of_group,
        of_rest=mean(lambda column: column.sum() - column, of_rest),
        everyone=float(sums.sum() / weight.sum()),
        share=weight / weight.sum(),
        rows=rows,
        large=large,
        without=UNITS_UNKNOWN if hidden else Reason(code="all_alike") if alike else None,
    )


def _between(name: str, errors: _Errors, terms: Terms, *, ratio: bool) -> Measure:
    """Measure the largest gap (or smallest ratio) between any two large groups."""
    large, groups = errors.large, int(errors.large.sum())
    bare = _bare(name, errors, ratio=ratio)
    if groups < 2:
        return bare.model_copy(update={"reason": Reason(code="too_few_groups", params={"groups": groups})})
    v = errors.of_group.value[large]
    ends = extremes(v)
    most, least = v[ends]
    value = float(most - least) if not ratio else float(least / most) if most > 0 else None
    if value is None or errors.without is not None:
        reason = Reason(code="no_error") if value is None else errors.without
        return bare.model_copy(update={"value": value, "reason": reason})
    adjusted, plain = (
        errors.of_group.interval(z, large, positive=ratio)
        for z in (critical_of_range(terms.confidence, groups), critical(terms.confidence))
    )
    low, high = (smallest_ratio if ratio else largest_gap)(*adjusted)
    at = (1, 0) if ratio else (0, 1)
    value_of, lower, upper = (column[ends] for column in plain)
    own = [float(m[at]) for m in (ratios if ratio else gaps)(value_of, lower, upper)]
    unadjusted = (own[0], min(1.0, own[1])) if ratio else (max(0.0, own[0]), own[1])
    return bare.model_copy(
        update={
            "value": value,
            "low": low,
            "high": high,
            "unadjusted": unadjusted if groups > 2 else None,
            "interval": f"{'mover-r' if ratio else 'mover'} over student, studentised range over {groups} groups",
        }
    )


def _to_everyone(name: str, errors: _Errors, terms: Terms, *, ratio: bool) -> Measure:
    """Measure the group that is furthest from everyone, small groups among them."""
    large, groups = errors.large, int(errors.large.sum())
    bare = _bare(name, errors, ratio=ratio, of_all=True)
    if groups < 2:
        return bare.model_copy(update={"reason": Reason(code="too_few_groups", params={"groups": groups})})
    v, everyone = errors.of_group.value[large], errors.everyone
    if ratio and everyone <= 0:
        return bare.model_copy(update={"reason": Reason(code="no_error")})
    over = v / everyone if ratio else v - everyone
    value = (
        float(np.minimum(over, np.divide(1.0, over, out=np.zeros_like(over), where=over > 0)).min())
        if ratio
        else float(np.abs(over).max())
    )
    if errors.without is not None:
        return bare.model_copy(update={"value": value, "reason": errors.without})
    # With two groups both say the same of one gap, so nothing is shared out among them.
    compared = groups if groups > 2 or len(large) > 2 else 1

    def bounds(z: float) -> tuple[float, float]:
        mine, others = (m.interval(z, large, positive=ratio) for m in (errors.of_group, errors.of_rest))
        gap, quotient = furthest_from_everyone(mine, others, errors.share[large], everyone if ratio else 0.0)
        found = quotient if ratio else gap
        assert found is not None
        return min(value, found[0]), max(value, found[1])

    low, high = bounds(critical(1.0 - (1.0 - terms.confidence) / compared))
    return bare.model_copy(
        update={
            "value": value,
            "low": low,
            "high": high,
            "unadjusted": bounds(critical(terms.confidence)) if compared > 1 else None,
            "interval": f"{'mover-r' if ratio else 'mover'} over student, Bonferroni over {groups} groups",
        }
    )


def _bare(name: str, errors: _Errors, *, ratio: bool, of_all: bool = False) -> Measure:
    what = f"fairlearn.metrics.MetricFrame.{'ratio' if ratio else 'difference'}{_ALL if of_all else ''}"
    return Measure(
        name=name,
        value=None,
        rows=int(errors.rows[errors.large].sum()),
        unit="ratio" if ratio else "label",
        definition=f"{what} of {errors.definition}",
    )


def _visible(errors: _Errors, terms: Terms) -> Measure:
    """Measure the gap in the mean error that could have gone unseen between the two groups least is known about."""
    from scipy.special import ndtri

    groups = int(errors.large.sum())
    bare = Measure(name=VISIBLE, value=None, rows=int(errors.rows[errors.large].sum()), unit="label")
    if groups < 2 or errors.without is not None:
        reason = errors.without or Reason(code="too_few_groups", params={"groups": groups})
        return bare.model_copy(update={"reason": reason})
    least_known = np.sort(errors.of_group.variance[errors.large])[-2:]
    gap = float((critical_of_range(terms.confidence, groups) + ndtri(POWER)) * sqrt(least_known.sum()))
    return bare.model_copy(update={"value": gap, "reason": Reason(code="error_unseen", params={"gap": gap})})


def _of_group(errors: _Errors, i: int, low: float, high: float, *, hidden: bool) -> Measure:
    value = finite(errors.of_group.value[i])
    certain = value is not None and not hidden and bool(np.isfinite(low)) and bool(errors.of_group.variance[i] > 0)
    reason = None
    if value is None:
        reason = Reason(code="denominator_zero")
    elif not certain:
        reason = UNITS_UNKNOWN if hidden else Reason(code="all_alike")
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
    check: str,
    attribute: str,
    names: tuple[str | None, ...],
    errors: _Errors,
    low: Floats,
    high: Floats,
    *,
    hidden: bool,
) -> Figure:
    certain = ~hidden & (errors.of_group.variance > 0)
    return Figure(
        name=figure_name(f"fairness.{check}.{errors.name}", attribute),
        kind="group_rates",
        columns={
            "group": names,
            "rows": tuple(int(n) for n in errors.rows),
            "value": tuple(finite(v) for v in errors.of_group.value),
            "low": tuple(finite(v) for v in np.where(certain, low, np.nan)),
            "high": tuple(finite(v) for v in np.where(certain, high, np.nan)),
            "too_small": tuple(not large for large in errors.large.tolist()),
        },
        params={"attribute": attribute, "measure": errors.name, "unit": "label"},
    )


def _counts(evidence: View) -> tuple[int, int, int]:
    """Count all rows, those without a label, and labelled ones without an answer."""
    table = evidence.moments()
    # Evidence that was sealed before these were counted does not have the columns.
    names = [n for n in ("rows", "unlabelled", "unanswered") if n in table.column_names]
    counts = {name: int(_column(table, name).sum()) for name in names}
    unlabelled, unanswered = counts.get("unlabelled", 0), counts.get("unanswered", 0)
    return counts["rows"] + unlabelled + unanswered, unlabelled, unanswered


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
