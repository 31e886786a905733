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

from checks.counting import ABSENT, Cells, Mask, Units, has_units, labels_for_some, units_of
from checks.declaration import TIMES, Data, Route, Task
from checks.evidence import Need, View, apart
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Result, Scalar
from checks.policy import Terms
from checks.statistics import (
    Floats,
    critical,
    critical_of_range,
    effective_rows_of_rate,
    extremes,
    finite,
    furthest_from_everyone,
    gaps,
    largest_gap,
    of_few_units,
    ratios,
    smallest_ratio,
    visible_gap,
    wilson,
)

COUNTED_ROUTES = (Route.MODEL, Route.PREDICTIONS, Route.COUNTS)
"""Routes on which there are counts."""

CLASSES = (Task.BINARY, Task.MULTICLASS)
"""Tasks whose answers are classes."""

LAW = ("AIA 10(2)(f)", "AIA 13(3)(b)(v)", "AIA Annex IV 2(g)", "AIA Annex IV 3")
"""Provisions that a comparison of groups is evidence for."""

MOST_FRAMED = 200
"""Groups that `MetricFrame` is asked about, at most: it calls its metric for each of them, which takes minutes for
thousands; beyond, the same weighted shares are taken from the cells at once."""

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
    rows = units_of(evidence, attribute, cells.names, labelled=labelled)
    units = None
    if rows is not None:
        of_rows, kept = _set_aside(rows.rows, labelled, favourable)
        units = Units(rows=of_rows, unit=rows.unit[kept])
    return Counted(
        cells=counted,
        group_rows=cells.rows_of(),
        unlabelled=cells.rows_of(cells.label == ABSENT),
        unanswered=int(cells.rows[cells.decision == ABSENT].sum()),
        units=units,
        units_unknown=units is None and has_units(data),
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
    units = None
    if counted.units is not None:
        of_rows = counted.units.rows
        units, clustered = counted.units.effective_rows(rate.among(of_rows), rate.counts(of_rows), value)
        kish, effective = np.minimum(kish, units), clustered
    large = (kish >= terms.minimum_rows) & ~np.isnan(value)
    low, high = scored(value, effective, units, critical(terms.confidence))
    difference = ratio = gap_to_everyone = ratio_to_everyone = Bounds(value=None)
    if large.sum() >= 2:
        if not np.array_equal(large, weight > 0):
            _, gap, quotient = _measured(cells.where(among), rate, large)
        v, n = value[large], effective[large]
        confidence = 1.0 - (1.0 - terms.confidence) / family
        adjusted = scored(v, n, None if units is None else units[large], critical_of_range(confidence, len(v)))
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
            counted, rate, terms, (among, inside), value, effective, units, large, family
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


def scored(rate: Floats, rows: Floats, units: Floats | None, z: float) -> tuple[Floats, Floats]:
    """Give Wilson's interval of each rate, (k,) and (k,).

    Args:
        rate: (k,).
        rows: (k,) effective rows.
        units: (k,) effective number of units; None where each row is one of its own.
        z: critical value.
    """
    return wilson(rate, rows if units is None else of_few_units(rows, units, z), z)


def _to_everyone(
    counted: Counted,
    rate: Rate,
    terms: Terms,
    chosen: tuple[Mask, Mask],
    value: Floats,
    effective: Floats,
    units: Floats | None,
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
    of_group = of_rest = None
    if counted.units is not None and units is not None:
        of_rows, of_group = counted.units.rows, units[at]
        of_rest, rows = counted.units.effective_rows_of_rest(rate.among(of_rows), rate.counts(of_rows), rest, at)
    v, n, share = value[at], effective[at], own / total
    everyone = float(hits.sum()) / total
    gap = float(np.abs(v - everyone).max())
    # With two groups both say the same of one gap, so nothing is shared out among them.
    compared = len(at) if len(at) > 2 or len(value) > 2 else 1

    def bounds(z: float) -> tuple[tuple[float, float], tuple[float, float] | None]:
        of_each, of_others = scored(v, n, of_group, z), scored(rest, rows, of_rest, z)
        return furthest_from_everyone((v, *of_each), (rest, *of_others), share, everyone)

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
    if np.count_nonzero(kept.weight_of()) > MOST_FRAMED:
        inside, whole = kept.weight_of(rate.counts(kept)), kept.weight_of()
        value = np.divide(np.minimum(inside, whole), whole, out=value, where=whole > 0)
        most, least = float(np.nanmax(value)), float(np.nanmin(value))
        return value, most - least, least / most if most > 0 else None
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


def visible_gap_of(comparisons: Sequence[Comparison], terms: Terms) -> Measure:
    """Make the measure of the gap that could have gone unseen; of several rates the larger one."""
    groups = min(int(c.large.sum()) for c in comparisons)
    rows = max(int(c.rows[c.large].sum()) for c in comparisons)
    if groups < 2 or not all(c.known for c in comparisons):
        code = "too_few_groups" if groups < 2 else "units_unknown"
        reason = Reason(code=code, params={"groups": groups})
        return Measure(name=VISIBLE, value=None, rows=rows, unit="share", reason=reason)

    def of_one(comparison: Comparison) -> float:
        n = comparison.effective[comparison.large]
        overall = float((comparison.value[comparison.large] * n).sum() / n.sum())
        confidence = 1.0 - (1.0 - terms.confidence) / len(comparisons)
        return visible_gap(overall, n, critical_of_range(confidence, len(n)))

    gap = max(of_one(c) for c in comparisons)
    return Measure(
        name=VISIBLE,
        value=gap,
        rows=rows,
        unit="share",
        reason=Reason(code="gap_unseen", params={"percent": round(100.0 * gap, 1)}),
    )


VISIBLE = "smallest_visible_gap"
"""What `visible_gap_of` gives."""

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
    drawn: int = 1,
) -> Result:
    """Put measures, groups, figure and reasons together.

    Args:
        check: name of the check.
        comparisons: those shown per group.
        drawn: how many of them, the first ones, are drawn.
    """
    labelled = any(c.rate.labelled for c in comparisons)
    never_within = never_within_of(evidence, terms, counted, labelled)
    data = evidence.declaration.data
    assert data is not None
    groups = [members(data, attribute, name) for name in counted.cells.names]
    return Measured(
        measures=tuple(measures),
        groups=tuple(_groups(groups, counted, comparisons, labelled)),
        figures=tuple(
            _figure(f"{check}.{shown.rate.name}" if drawn > 1 else check, attribute, groups, shown)
            for shown in comparisons[:drawn]
        ),
        # A finding without limits, or beyond one, shows the reason alone: so it says what holds for some people.
        reason=never_within or _left_out(terms, counted, comparisons, labelled),
        never_within=never_within,
    )


def members(data: Data, attribute: str, name: str | None) -> dict[str, str | None]:
    """Give a group of a count table as attribute to value; that of a crossing has several."""
    parts = data.crossing(attribute)
    return {attribute: name} if parts is None or name is None else dict(zip(parts, apart(name), strict=True))


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
    """Name a group in a figure; of a crossing, all its values, and a dash for one that was not stated."""
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


def never_within_of(evidence: View, terms: Terms, counted: Counted, labelled: bool) -> Reason | None:
    """Say why a finding may not be called within its limit: labels of some people only, or units that are not seen."""
    data = evidence.declaration.data
    assert data is not None
    rows, unlabelled = int(counted.group_rows.sum()), int(counted.unlabelled.sum())
    if labelled:
        partial = labels_for_some(data, rows, unlabelled, terms.few_unlabelled)
        if partial is not None:
            return partial
    return Reason(code="units_unknown") if counted.units_unknown else None
