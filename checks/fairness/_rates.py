"""Compare a rate between groups: fairlearn's `MetricFrame` gives the figures, the project's statistics their certainty.

A check of this family names its rates and its headline measures; everything else is the same for all of them: which
rows count, which groups are large enough, what is left out and said, and how sure the largest gap is. The largest
gap is over all groups that are large enough, also the one that did not state the attribute.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checks.counting import ABSENT, Cells, Mask, labels_for_some
from checks.declaration import TIMES, ColumnRole, Data, Route, Task
from checks.evidence import Need, View, apart, crossed
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Result, Scalar
from checks.policy import Terms
from checks.statistics import (
    Floats,
    critical,
    critical_of_range,
    effective_rows_of_rate,
    extremes,
    finite,
    gaps,
    gaps_to_everyone,
    largest_gap,
    ratios,
    ratios_to_everyone,
    smallest_ratio,
    wilson,
)

COUNTED_ROUTES = (Route.MODEL, Route.PREDICTIONS, Route.COUNTS)
"""Routes on which there are counts."""

CLASSES = (Task.BINARY, Task.MULTICLASS)
"""Tasks whose answers are classes."""

UNIT_FACTS = (Need.UNITS, Need.GROUPS, Need.DECISIONS, Need.LABELS, Need.WEIGHTS)
"""What is read, where it is there, to see how rows of one person or household go together."""

LAW = ("AIA 10(2)(f)", "AIA 13(3)(b)(v)", "AIA Annex IV 2(g)", "AIA Annex IV 3")
"""Provisions that a comparison of groups is evidence for."""

FAVOURABLE, ADVERSE = 1, 0
"""Codes of labels and decisions once they are told apart as the declared favourable class against the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One rate that groups are compared by.

    Args:
        name: measure name of the rate of one group.
        definition: dotted name of the function that defines it.
        metric: gives that function; it takes (y_true, y_pred, sample_weight). Called late.
        among: the cells that the rate is a share of.
        counts: the cells, of those, that are counted in.
        labelled: whether it needs labels.
    """

    name: str
    definition: str
    metric: Callable[[], Callable[..., float]]
    among: Callable[[Cells], Mask]
    counts: Callable[[Cells], Mask]
    labelled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """An estimate over all large groups and its intervals; None where it has none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    unadjusted: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One rate by group, and what the groups that are large enough say together.

    Args:
        value, low, high: (g,) rates and their own intervals; NaN where there is no value.
        rows: (g,) rows that each rate is a share of.
        kish: (g,) effective rows of those.
        effective: (g,) effective rows that the intervals stand on.
        large: (g,) whether the group counts for the headline.
        difference, ratio: largest gap, and smallest over largest rate.
        gap_to_everyone, ratio_to_everyone: largest gap of a group to everyone, and the ratio furthest below or above 1,
            always written as smaller over larger.
        known: False where rows go together in a way that is not known: then nothing has an interval.
    """

    rate: Rate
    value: Floats
    low: Floats
    high: Floats
    rows: np.ndarray[Any, np.dtype[np.int64]]
    kish: Floats
    effective: Floats
    large: Mask
    difference: Bounds
    ratio: Bounds
    gap_to_everyone: Bounds
    ratio_to_everyone: Bounds
    known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The counts of one attribute, ready to compare, and what must be said beside them.

    Args:
        cells: the cells that count; codes are `FAVOURABLE` and `ADVERSE` where outcomes are told apart.
        group_rows: (g,) all rows of each group, also those left out.
        unlabelled: (g,) rows of each group without a label.
        unanswered: rows without an answer.
        units: how rows of one unit go together; None where each row is a unit of its own.
        units_unknown: whether there are units, but no rows to see them in.
    """

    cells: Cells
    group_rows: np.ndarray[Any, np.dtype[np.int64]]
    unlabelled: np.ndarray[Any, np.dtype[np.int64]]
    unanswered: int
    units: Units | None = None
    units_unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """The rows themselves, as cells of one row each, with the unit that each belongs to."""

    rows: Cells
    unit: np.ndarray[Any, np.dtype[np.int64]]

    def effective_rows(self, rate: Rate, value: Floats) -> tuple[Floats, Floats]:
        """Give the effective number of units of each group, and the independent rows its rate is as certain as, (g,).

        Residuals are added up within a unit before they are squared (linearised, as for a cluster sample); never more
        than the number of units. A unit with rows in two groups counts in both as if they were apart, which makes a
        gap look less certain, never more, where its rows are alike.
        """
        among = rate.among(self.rows)
        rows = self.rows.where(among)
        groups, weight = len(rows.names), rows.weight
        pair, at = np.unique(rows.group * (int(self.unit.max(initial=0)) + 1) + self.unit[among], return_inverse=True)
        group_of_pair = pair // (int(self.unit.max(initial=0)) + 1)
        known = np.nan_to_num(value)
        residual = weight * (rate.counts(rows).astype(np.float64) - known[rows.group])
        in_unit = np.bincount(at, weights=residual, minlength=len(pair))
        units = np.bincount(group_of_pair, minlength=groups).astype(np.float64)
        total = np.bincount(rows.group, weights=weight, minlength=groups)
        sums = np.bincount(at, weights=weight, minlength=len(pair))
        spread = np.bincount(group_of_pair, weights=in_unit**2, minlength=groups)
        spread *= np.divide(units, units - 1.0, out=np.ones(groups), where=units > 1)
        squares = np.bincount(group_of_pair, weights=sums**2, minlength=groups)
        kish = np.divide(total**2, squares, out=np.zeros(groups), where=squares > 0)
        own = np.divide(known * (1 - known) * total**2, spread, out=np.full(groups, np.inf), where=spread > 0)
        return np.minimum(kish, units), np.minimum(np.minimum(kish, own), units)

    def effective_rows_of_rest(self, rate: Rate, rest: Floats, groups: NDArray[np.int64]) -> Floats:
        """Give the independent rows that the rate of all people outside each of these groups is as certain as, (k,)."""
        made = np.empty(len(groups))
        for i, (group, value) in enumerate(zip(groups, rest, strict=True)):
            outside = np.where(self.rows.group == group, 0, 1).astype(np.int64)
            parted = replace(self, rows=replace(self.rows, names=("inside", "outside"), group=outside))
            made[i] = parted.effective_rows(rate, np.array([0.0, value]))[1][1]
        return made


def count(evidence: View, attribute: str, *, labelled: bool, told_apart: bool) -> Counted | NotGathered:
    """Read the counts of an attribute and set aside what cannot count.

    Args:
        labelled: whether rows without a label are left out.
        told_apart: whether outcomes are told apart as favourable against the rest.

    Returns:
        The counts, or what to supply.
    """
    data = evidence.declaration.data
    assert data is not None
    favourable: int | None = None
    if told_apart:
        if data.favourable is None or not data.classes:
            return NotGathered(reason=Reason(code="no_favourable", params={"classes": ", ".join(data.classes)}))
        favourable = data.classes.index(data.favourable)
    cells = Cells.of(evidence.cells(attribute))
    if not cells.rows.sum():
        return NotGathered(reason=Reason(code="no_rows"))
    if labelled and not (cells.label != ABSENT).any():
        return NotGathered(reason=Reason(code="no_labels", params={"need": Need.LABELS.value}))
    counted, _ = _set_aside(cells, labelled, favourable)
    units, unknown = _units(evidence, data, attribute, cells.names, labelled, favourable)
    return Counted(
        cells=counted,
        group_rows=cells.rows_of(),
        unlabelled=cells.rows_of(cells.label == ABSENT),
        unanswered=int(cells.rows[cells.decision == ABSENT].sum()),
        units=units,
        units_unknown=unknown,
    )


def _set_aside(cells: Cells, labelled: bool, favourable: int | None) -> tuple[Cells, Mask]:
    kept = cells.decision != ABSENT
    if labelled:
        kept &= cells.label != ABSENT
    counted = cells.where(kept)
    if favourable is not None:
        told = [np.where(codes == ABSENT, ABSENT, codes == favourable) for codes in (counted.label, counted.decision)]
        counted = replace(counted, label=told[0].astype(np.int64), decision=told[1].astype(np.int64))
    return counted, kept


def _units(
    evidence: View,
    data: Data,
    attribute: str,
    names: tuple[str | None, ...],
    labelled: bool,
    favourable: int | None,
) -> tuple[Units | None, bool]:
    if ColumnRole.UNIT not in data.columns.values():
        return None, False
    if not (evidence.holds(Need.UNITS) and evidence.holds(Need.GROUPS) and evidence.holds(Need.DECISIONS)):
        return None, True
    groups, pair = evidence.groups, data.pair(attribute)
    if not set(pair or (attribute,)) <= set(groups.column_names) or (labelled and not evidence.holds(Need.LABELS)):
        return None, True
    if pair is None:
        named: list[str | None] = groups.column(attribute).to_pylist()
    else:
        named = [crossed(*both) for both in zip(*(groups.column(a).to_pylist() for a in pair), strict=True)]
    place = {name: i for i, name in enumerate(names)}
    group = np.array([place[name] for name in named], dtype=np.int64)
    size = len(group)
    decision = evidence.decisions.fill_null(ABSENT).to_numpy(zero_copy_only=False).astype(np.int64)
    label = np.full(size, ABSENT, dtype=np.int64)
    if evidence.holds(Need.LABELS):
        label = evidence.labels.fill_null(ABSENT).to_numpy(zero_copy_only=False).astype(np.int64)
    weight = evidence.weights.to_numpy().astype(np.float64) if evidence.holds(Need.WEIGHTS) else np.ones(size)
    rows = Cells(
        names=names,
        group=group,
        label=label,
        decision=decision,
        rows=np.ones(size, dtype=np.int64),
        weight=weight,
        weight_squared=weight**2,
    )
    counted, kept = _set_aside(rows, labelled, favourable)
    unit = np.unique(evidence.units.to_numpy(zero_copy_only=False), return_inverse=True)[1].astype(np.int64)
    return Units(rows=counted, unit=unit[kept]), False


def compare(counted: Counted, rate: Rate, terms: Terms, *, family: int = 1) -> Comparison:
    """Compare one rate between the groups.

    Args:
        family: how many rates are judged together as one measure; their error is shared out among them.
    """
    cells = counted.cells
    among = rate.among(cells)
    inside = among & rate.counts(cells)
    weight = cells.weight_of(among)
    value, gap, quotient = _measured(cells.where(among), rate, weight > 0)
    kish = cells.effective_rows_of(among)
    effective = effective_rows_of_rate(
        np.nan_to_num(value), weight, cells.squares_of(inside), cells.squares_of(among & ~inside)
    )
    if counted.units is not None:
        units, clustered = counted.units.effective_rows(rate, value)
        kish, effective = np.minimum(kish, units), np.minimum(effective, clustered)
    large = (kish >= terms.minimum_rows) & ~np.isnan(value)
    low, high = wilson(value, effective, critical(terms.confidence))
    difference = ratio = gap_to_everyone = ratio_to_everyone = Bounds(value=None)
    if large.sum() >= 2:
        if not np.array_equal(large, weight > 0):
            _, gap, quotient = _measured(cells.where(among), rate, large)
        v, n = value[large], effective[large]
        confidence = 1.0 - (1.0 - terms.confidence) / family
        adjusted = wilson(v, n, critical_of_range(confidence, len(v)))
        apart = family > 1 or len(v) > 2
        ends = extremes(v)
        plain = (v[ends], low[large][ends], high[large][ends])
        gap_low, gap_high = (float(m[0, 1]) for m in gaps(*plain))
        ratio_low, ratio_high = (float(m[1, 0]) for m in ratios(*plain))
        least_gap, most_gap = largest_gap(v, *adjusted)
        difference = Bounds(
            value=gap,
            low=least_gap,
            high=most_gap,
            unadjusted=(max(0.0, gap_low), gap_high) if apart else None,
        )
        if quotient is not None:
            bounds = smallest_ratio(v, *adjusted)
            ratio = Bounds(
                value=quotient,
                low=bounds[0],
                high=bounds[1],
                unadjusted=(min(1.0, ratio_low), min(1.0, ratio_high)) if apart else None,
            )
        gap_to_everyone, ratio_to_everyone = _to_everyone(
            counted, rate, terms, (among, inside), value, effective, large, family
        )
    return Comparison(
        rate=rate,
        value=value,
        low=low,
        high=high,
        rows=cells.rows_of(among),
        kish=kish,
        effective=effective,
        large=large,
        difference=difference,
        ratio=ratio,
        gap_to_everyone=gap_to_everyone,
        ratio_to_everyone=ratio_to_everyone,
        known=not counted.units_unknown,
    )


def _to_everyone(
    counted: Counted,
    rate: Rate,
    terms: Terms,
    chosen: tuple[Mask, Mask],
    value: Floats,
    effective: Floats,
    large: Mask,
    family: int,
) -> tuple[Bounds, Bounds]:
    """Compare each large group with everyone who is counted, small groups among them; give gap and ratio."""
    cells, (among, inside) = counted.cells, chosen
    weight, hits = cells.weight_of(among), cells.weight_of(inside)
    squares_in, squares_out = cells.squares_of(inside), cells.squares_of(among & ~inside)
    at = np.flatnonzero(large)
    own, total = weight[at], float(weight.sum())
    rest = np.clip((hits.sum() - hits[at]) / (total - own), 0.0, 1.0)
    rows = effective_rows_of_rate(
        rest, total - own, squares_in.sum() - squares_in[at], squares_out.sum() - squares_out[at]
    )
    if counted.units is not None:
        rows = np.minimum(rows, counted.units.effective_rows_of_rest(rate, rest, at))
    v, n, share = value[at], effective[at], own / total
    everyone = float(hits.sum()) / total
    gap = float(np.abs(v - everyone).max())
    # With two groups both say the same of one gap, so nothing is shared out among them.
    compared = len(at) if len(at) > 2 or len(value) > 2 else 1

    def bounds(z: float) -> tuple[tuple[float, float], tuple[float, float] | None]:
        mine, others = (v, *wilson(v, n, z)), (rest, *wilson(rest, rows, z))
        low, high = gaps_to_everyone(mine, others, share)
        least = np.where(low > 0, low, np.where(high < 0, -high, 0.0))
        away = float(least.max()), float(np.maximum(np.abs(low), np.abs(high)).max())
        if everyone <= 0.0:
            return away, None
        below, above = ratios_to_everyone(mine, others, share)
        turned = np.divide(1.0, above, out=np.zeros_like(above), where=np.isfinite(above) & (above > 0))
        smallest = np.minimum(below, turned)
        largest = np.where(
            (below <= 1.0) & (above >= 1.0),
            1.0,
            np.minimum(above, np.divide(1.0, below, out=np.ones_like(below), where=below > 0)),
        )
        return away, (float(smallest.min()), float(largest.min()))

    adjusted = bounds(critical(1.0 - (1.0 - terms.confidence) / (family * compared)))
    plain = bounds(critical(terms.confidence)) if family * compared > 1 else None
    to_gap = Bounds(
        value=gap, low=min(gap, adjusted[0][0]), high=adjusted[0][1], unadjusted=plain[0] if plain else None
    )
    if adjusted[1] is None:
        return to_gap, Bounds(value=None)
    over = v / everyone
    quotient = float(np.minimum(over, np.divide(1.0, over, out=np.zeros_like(over), where=over > 0)).min())
    return to_gap, Bounds(
        value=quotient,
        low=min(quotient, adjusted[1][0]),
        high=max(quotient, adjusted[1][1]),
        unadjusted=plain[1] if plain else None,
    )


def _measured(cells: Cells, rate: Rate, groups: Mask) -> tuple[Floats, float | None, float | None]:
    """Let fairlearn measure a rate on weighted cells: by group (NaN for groups not asked), difference and ratio."""
    value = np.full(len(cells.names), np.nan)
    kept = cells.where(groups[cells.group] & (cells.weight > 0))
    if not len(kept.group):
        return value, None, None
    # Cells are few, so their bytes are a small key: several checks ask for the same rate of the same cells.
    key = (kept.group.tobytes(), kept.label.tobytes(), kept.decision.tobytes(), kept.weight.tobytes())
    place, found, gap, quotient = framed(rate, *key)
    value[list(place)] = found
    return value, gap, quotient


@lru_cache(maxsize=256)
def framed(
    rate: Rate, group: bytes, label: bytes, decision: bytes, weight: bytes
) -> tuple[tuple[int, ...], tuple[float, ...], float | None, float | None]:
    """Give fairlearn's figures of one rate: groups by position, their rates, largest difference, smallest ratio.

    Args:
        group, label, decision: int64 arrays as bytes; groups by position, not by name, for a group that was not stated
            has no name, and two names must never fall together.
        weight: float64 array as bytes.
    """
    import pandas as pd
    from fairlearn.metrics import MetricFrame

    frame = MetricFrame(
        metrics={rate.name: rate.metric()},
        y_true=np.frombuffer(label, dtype=np.int64),
        y_pred=np.frombuffer(decision, dtype=np.int64),
        sensitive_features=pd.Series(np.frombuffer(group, dtype=np.int64)),
        sample_params={rate.name: {"sample_weight": np.frombuffer(weight, dtype=np.float64)}},
    )
    by_group = frame.by_group[rate.name]
    return (
        tuple(int(place) for place in by_group.index),
        tuple(float(found) for found in by_group),
        finite(frame.difference()[rate.name]),
        finite(frame.ratio()[rate.name]),
    )


def headline(
    name: str,
    comparisons: Sequence[Comparison],
    take: Callable[[Comparison], Bounds],
    *,
    unit: str,
    largest: bool,
    to_everyone: bool = False,
) -> Measure:
    """Make a headline measure from one comparison, or from the largest (smallest) of several.

    Args:
        take: which bounds of a comparison, as in its difference.
        largest: whether the largest counts (differences), or the smallest (ratios).
        to_everyone: whether groups are compared with everyone instead of with each other.
    """
    pick = max if largest else min
    bounds = [take(c) for c in comparisons]
    rows = max(int(c.rows[c.large].sum()) for c in comparisons)
    groups = max(int(c.large.sum()) for c in comparisons)
    definition = f"fairlearn.metrics.MetricFrame.{'difference' if largest else 'ratio'} of " + ", ".join(
        dict.fromkeys(c.rate.definition for c in comparisons)
    )
    values = [b.value for b in bounds if b.value is not None]
    if to_everyone:
        definition = definition.replace(" of ", "(method='to_overall') of ", 1)
    few = [c for c in comparisons if c.large.sum() < 2]
    if few or len(values) < len(bounds):
        code = "too_few_groups" if few else "nobody"
        params: dict[str, Scalar] = {"groups": int((few or comparisons)[0].large.sum())}
        return Measure(
            name=name, value=None, rows=rows, unit=unit, definition=definition, reason=Reason(code=code, params=params)
        )
    if not all(c.known for c in comparisons):
        reason = Reason(code="units_unknown")
        return Measure(name=name, value=pick(values), rows=rows, unit=unit, definition=definition, reason=reason)
    plain = [b.unadjusted for b in bounds if b.unadjusted is not None]
    family = f", {len(comparisons)} rates" if len(comparisons) > 1 else ""
    method = f"{'newcombe' if largest else 'mover-r'} over wilson"
    return Measure(
        name=name,
        value=pick(values),
        low=pick(b.low for b in bounds if b.low is not None),
        high=pick(b.high for b in bounds if b.high is not None),
        unadjusted=(pick(p[0] for p in plain), pick(p[1] for p in plain)) if plain else None,
        rows=rows,
        unit=unit,
        definition=definition,
        interval=f"{method}, {'Bonferroni' if to_everyone else 'studentised range'} over {groups} groups{family}",
    )


def to_everyone(comparisons: Sequence[Comparison]) -> list[Measure]:
    """Make the two headline measures that compare each group with everyone."""
    return [
        headline(
            "largest_gap_to_everyone",
            comparisons,
            lambda c: c.gap_to_everyone,
            unit="share",
            largest=True,
            to_everyone=True,
        ),
        headline(
            "smallest_ratio_to_everyone",
            comparisons,
            lambda c: c.ratio_to_everyone,
            unit="ratio",
            largest=False,
            to_everyone=True,
        ),
    ]


TO_EVERYONE = ("largest_gap_to_everyone", "smallest_ratio_to_everyone")
"""What `to_everyone` gives."""


def difference_of(comparison: Comparison) -> Bounds:
    """Give the largest gap."""
    return comparison.difference


def ratio_of(comparison: Comparison) -> Bounds:
    """Give the smallest rate over the largest."""
    return comparison.ratio


def assemble(
    check: str,
    attribute: str,
    evidence: View,
    terms: Terms,
    counted: Counted,
    measures: Sequence[Measure],
    comparisons: Sequence[Comparison],
    *,
    figure: bool = True,
) -> Result:
    """Put measures, groups, figure and reasons together.

    Args:
        check: name of the check.
        comparisons: those shown per group; the first is drawn.
        figure: whether to draw it.
    """
    labelled = any(c.rate.labelled for c in comparisons)
    never_within = _never_within(evidence, terms, counted, labelled)
    data = evidence.declaration.data
    assert data is not None
    groups = [members(data, attribute, name) for name in counted.cells.names]
    return Measured(
        measures=tuple(measures),
        groups=tuple(_groups(groups, counted, comparisons, labelled)),
        figures=(_figure(check, attribute, groups, comparisons[0]),) if figure else (),
        # A finding without limits, or beyond one, shows the reason alone: so it says what holds for some people.
        reason=never_within or _left_out(terms, counted, comparisons, labelled),
        never_within=never_within,
    )


def members(data: Data, attribute: str, name: str | None) -> dict[str, str | None]:
    """Give a group of a count table as attribute to value; that of a pair has two."""
    pair = data.pair(attribute)
    return {attribute: name} if pair is None or name is None else dict(zip(pair, apart(name), strict=True))


def _groups(
    groups: Sequence[dict[str, str | None]], counted: Counted, comparisons: Sequence[Comparison], labelled: bool
) -> list[GroupMeasures]:
    told = counted.cells.weighted or counted.units is not None
    made = []
    for i, group in enumerate(groups):
        rows = int(counted.group_rows[i])
        measures = [_of_group(c, i) for c in comparisons]
        if labelled:
            share = int(counted.unlabelled[i]) / rows if rows else 0.0
            measures.append(
                Measure(
                    name="unlabelled", value=share, low=share, high=share, rows=rows, unit="share", interval="exact"
                )
            )
        made.append(
            GroupMeasures(
                group=group,
                rows=rows,
                effective_rows=float(min(c.kish[i] for c in comparisons)) if told else None,
                too_small=not all(c.large[i] for c in comparisons),
                measures=tuple(measures),
            )
        )
    return made


def _of_group(comparison: Comparison, i: int) -> Measure:
    value = finite(comparison.value[i])
    reason = None
    if value is None:
        reason = Reason(code="denominator_zero")
    elif not comparison.known:
        reason = Reason(code="units_unknown")
    certain = value is not None and comparison.known
    return Measure(
        name=comparison.rate.name,
        value=value,
        low=float(comparison.low[i]) if certain else None,
        high=float(comparison.high[i]) if certain else None,
        rows=int(comparison.rows[i]),
        unit="share",
        definition=comparison.rate.definition,
        interval="wilson" if certain else "",
        reason=reason,
    )


def drawn_name(group: Mapping[str, str | None]) -> str | None:
    """Name a group in a figure; of a pair, both values, and a dash for one that was not stated."""
    if len(group) == 1:
        return next(iter(group.values()))
    return TIMES.join("–" if value is None else value for value in group.values())


def _figure(check: str, attribute: str, groups: Sequence[dict[str, str | None]], shown: Comparison) -> Figure:
    bounds = [(finite(v), finite(lo), finite(hi)) for v, lo, hi in zip(shown.value, shown.low, shown.high, strict=True)]
    drawn = [b if b[0] is not None and shown.known else (b[0], None, None) for b in bounds]
    return Figure(
        name=figure_name(f"fairness.{check}", attribute),
        kind="group_rates",
        columns={
            "group": tuple(drawn_name(group) for group in groups),
            "rows": tuple(int(n) for n in shown.rows),
            "value": tuple(b[0] for b in drawn),
            "low": tuple(b[1] for b in drawn),
            "high": tuple(b[2] for b in drawn),
            "too_small": tuple(not large for large in shown.large.tolist()),
        },
        params={"attribute": attribute, "measure": shown.rate.name, "unit": "share"},
    )


def figure_name(code: str, attribute: str) -> str:
    """Name a figure after its check and attribute, so that the name can be a file name and stays unique."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", attribute)
    if plain != attribute:
        plain += "_" + hashlib.sha256(attribute.encode()).hexdigest()[:6]
    return f"{code}.{plain}"


def _left_out(terms: Terms, counted: Counted, comparisons: Sequence[Comparison], labelled: bool) -> Reason | None:
    unlabelled = int(counted.unlabelled.sum()) if labelled else 0
    small = int(sum(not all(c.large[i] for c in comparisons) for i in range(len(counted.cells.names))))
    if not (unlabelled or counted.unanswered or small):
        return None
    return Reason(
        code="left_out",
        params={
            "rows": int(counted.group_rows.sum()),
            "unlabelled": unlabelled,
            "unanswered": counted.unanswered,
            "small_groups": small,
            "minimum": terms.minimum_rows,
        },
    )


def _never_within(evidence: View, terms: Terms, counted: Counted, labelled: bool) -> Reason | None:
    data = evidence.declaration.data
    assert data is not None
    rows, unlabelled = int(counted.group_rows.sum()), int(counted.unlabelled.sum())
    if labelled:
        partial = labels_for_some(data, rows, unlabelled, terms.few_unlabelled)
        if partial is not None:
            return partial
    return Reason(code="units_unknown") if counted.units_unknown else None
