"""Whether a stated probability means the same in each group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from checks.accuracy._confusion import has_units, standing
from checks.accuracy._scored import Scored, mean_of
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.fairness._rates import LAW, figure_name
from checks.fairness._scored import ROW_FACTS, Grouped, grouped
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result, Scalar
from checks.policy import Terms
from checks.registry import Scope, check
from checks.statistics import (
    Floats,
    confidence_of,
    critical,
    critical_of_range,
    effective_rows,
    extremes,
    gaps,
    largest_gap,
    sum_of_distances,
    wilson,
)

BINS = 10
"""Bins of equal width from 0 to 1; the last one holds 1 itself."""

_EXPECTED = f"expected calibration error, {BINS} bins of equal width"


@check(
    gives=("mean_gap_difference", "largest_expected_gap"),
    needs=(Need.LABELS, Need.GROUPS),
    may_read=ROW_FACTS,
    scope=Scope.ATTRIBUTE,
    tasks=(Task.BINARY, Task.MULTICLASS),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=LAW,
    rejudge=Rejudge.EVIDENCE,
)
def calibration_by_group(evidence: View, attribute: str, terms: Terms) -> Result:
    """Compare stated probabilities with what happened, in each group.

    Args:
        evidence: labels, groups, probabilities (several classes: of the favourable one), weights. All rows are used.
        attribute: the column that people are compared by.
        terms: confidence, and the fewest effective rows of a group that counts.

    Returns:
        `mean_gap_difference` (share, from 0, smaller is closer together): largest gap between groups in the mean of
        label minus probability; MOVER over Student's intervals, for the largest gap among all groups together.
        `largest_expected_gap` (share, 0 to 1, smaller is nearer what happened): the largest expected calibration error
        of a group in ten bins of equal width; an interval from an ellipsoid over the bins, that holds also where there
        is no gap, Bonferroni over groups. Per group `mean_gap` (signed) and `expected_gap`.

    Law:
        AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit. Where
        groups differ in how often the outcome occurs, equal calibration and equal error rates cannot both be reached.

    References:
        Naeini, Cooper and Hauskrecht (2015), AAAI, for the expected calibration error; Kleinberg, Mullainathan and
        Raghavan (2016) for what cannot be had together.
    """
    given = grouped(evidence, attribute)
    if isinstance(given, NotGathered):
        return given
    if not given.probability:
        return NotGathered(reason=Reason(code="scores_only"))
    parts = [given.of(i) for i in range(len(given.names))]
    large = np.array([_effective(part) >= terms.minimum_rows for part in parts])
    uncertain = has_units(evidence)
    own = [_of_group(part, terms, uncertain=uncertain) for part in parts]
    compared = [part for part, big in zip(parts, large, strict=True) if big]
    weighted = evidence.holds(Need.WEIGHTS)
    reason, never_within = standing(evidence, terms, given.all_rows, given.unlabelled, given.unanswered)
    small = Reason(code="small", params={"small_groups": int((~large).sum()), "minimum": terms.minimum_rows})
    return Measured(
        measures=(
            _difference(compared, terms, uncertain=uncertain),
            _largest(compared, terms, uncertain=uncertain),
        ),
        groups=tuple(
            GroupMeasures(
                group={attribute: name},
                rows=int(given.group_rows[i]),
                effective_rows=_effective(parts[i]) if weighted else None,
                too_small=not bool(large[i]),
                measures=own[i],
            )
            for i, name in enumerate(given.names)
        ),
        figures=(_figure(given, parts, attribute, terms, uncertain=uncertain),),
        reason=never_within or (small if not large.all() else reason),
        never_within=never_within,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bins:
    """Bins that hold rows, all (b,): their place, mean probability, share of the outcome and its variance."""

    place: np.ndarray
    stated: Floats
    happened: Floats
    variance: Floats
    share: Floats
    effective: Floats
    rows: np.ndarray


def _binned(part: Scored) -> _Bins:
    at = np.minimum((part.score * BINS).astype(np.int64), BINS - 1)

    def total(each: Floats) -> Floats:
        return np.bincount(at, weights=each, minlength=BINS).astype(np.float64)

    weight, rows = total(part.weight), np.bincount(at, minlength=BINS)
    kept = np.flatnonzero(weight > 0)
    w = weight[kept]
    stated = total(part.weight * part.score)[kept] / w
    happened = np.minimum(1.0, total(part.weight * part.positive)[kept] / w)
    n = effective_rows(w, total(part.weight**2)[kept])
    # Two of each outcome are added, so that a bin in which all came out alike keeps its uncertainty.
    smoothed = (happened * n + 2.0) / (n + 4.0)
    return _Bins(
        place=kept,
        stated=stated,
        happened=happened,
        variance=smoothed * (1.0 - smoothed) / n,
        share=w / w.sum(),
        effective=n,
        rows=rows[kept],
    )


def _effective(part: Scored) -> float:
    return float(effective_rows([part.weight.sum()], [(part.weight**2).sum()])[0])


def _of_group(part: Scored, terms: Terms, *, uncertain: bool) -> tuple[Measure, Measure]:
    if not len(part.score):
        none = Reason(code="denominator_zero")
        return (
            Measure(name="mean_gap", value=None, rows=0, unit="share", reason=none),
            Measure(name="expected_gap", value=None, rows=0, unit="share", reason=none),
        )
    gap = mean_of("mean_gap", "mean of label minus probability", "share", _gap(part), part.weight, terms)
    return _bare(gap, uncertain=uncertain), _expected("expected_gap", part, terms.confidence, uncertain=uncertain)


def _gap(part: Scored) -> Floats:
    return part.positive.astype(np.float64) - part.score


def _expected(name: str, part: Scored, confidence: float, *, uncertain: bool) -> Measure:
    bins = _binned(part)
    gap = bins.happened - bins.stated
    low, high = sum_of_distances(gap, bins.variance, bins.share, confidence)
    value = float((bins.share * np.abs(gap)).sum())
    measure = Measure(
        name=name,
        value=value,
        low=low,
        high=max(value, min(1.0, high)),
        rows=len(part.score),
        unit="share",
        definition=_EXPECTED,
        interval="chi-square ellipsoid over the bins",
    )
    return _bare(measure, uncertain=uncertain)


def _bare(measure: Measure, *, uncertain: bool) -> Measure:
    if not uncertain:
        return measure
    return measure.model_copy(
        update={"low": None, "high": None, "interval": "", "reason": Reason(code="units_unknown")}
    )


def _difference(parts: list[Scored], terms: Terms, *, uncertain: bool) -> Measure:
    name, rows = "mean_gap_difference", sum(len(part.score) for part in parts)
    definition = "largest gap between groups in the mean of label minus probability"
    if len(parts) < 2:
        few = Reason(code="too_few_groups", params={"groups": len(parts)})
        return Measure(name=name, value=None, rows=rows, unit="share", definition=definition, reason=few)

    def bounds(z: float) -> tuple[Floats, Floats, Floats]:
        chosen = terms.model_copy(update={"confidence": confidence_of(z)})
        found = [mean_of("mean_gap", "", "share", _gap(part), part.weight, chosen) for part in parts]
        return (
            np.array([m.value for m in found], dtype=np.float64),
            np.array([m.low for m in found], dtype=np.float64),
            np.array([m.high for m in found], dtype=np.float64),
        )

    value, low, high = bounds(critical_of_range(terms.confidence, len(parts)))
    ends = extremes(value)
    plain = [column[ends] for column in bounds(critical(terms.confidence))]
    least, most = largest_gap(value, low, high)
    lower, upper = (float(m[0, 1]) for m in gaps(plain[0], plain[1], plain[2]))
    measure = Measure(
        name=name,
        value=float(value.max() - value.min()),
        low=least,
        high=most,
        unadjusted=(max(0.0, lower), upper) if len(parts) > 2 else None,
        rows=rows,
        unit="share",
        definition=definition,
        interval=f"mover over student, studentised range over {len(parts)} groups",
    )
    return _bare(measure, uncertain=uncertain).model_copy(update={"unadjusted": None}) if uncertain else measure


def _largest(parts: list[Scored], terms: Terms, *, uncertain: bool) -> Measure:
    name, rows = "largest_expected_gap", sum(len(part.score) for part in parts)
    if not parts:
        few = Reason(code="too_few_groups", params={"groups": 0})
        return Measure(name=name, value=None, rows=rows, unit="share", definition=_EXPECTED, reason=few)
    confidence = 1.0 - (1.0 - terms.confidence) / len(parts)
    found = [_expected(name, part, confidence, uncertain=uncertain) for part in parts]
    measure = max(found, key=lambda m: m.value or 0.0).model_copy(update={"rows": rows})
    if uncertain:
        return measure
    return measure.model_copy(
        update={
            "low": max(m.low or 0.0 for m in found),
            "high": max(m.high or 0.0 for m in found),
            "interval": f"{measure.interval}, Bonferroni over {len(parts)} groups",
        }
    )


def _figure(given: Grouped, parts: list[Scored], attribute: str, terms: Terms, *, uncertain: bool) -> Figure:
    columns: dict[str, list[Scalar]] = {
        name: [] for name in ("group", "bin_low", "bin_high", "score", "value", "low", "high", "rows")
    }
    for name, part in zip(given.names, parts, strict=True):
        if not len(part.score):
            continue
        bins = _binned(part)
        low, high = wilson(bins.happened, bins.effective, critical(terms.confidence))
        for i, place in enumerate(bins.place.tolist()):
            columns["group"].append(name)
            columns["bin_low"].append(place / BINS)
            columns["bin_high"].append((place + 1) / BINS)
            columns["score"].append(float(bins.stated[i]))
            columns["value"].append(float(bins.happened[i]))
            columns["low"].append(None if uncertain else float(low[i]))
            columns["high"].append(None if uncertain else float(high[i]))
            columns["rows"].append(int(bins.rows[i]))
    return Figure(
        name=figure_name("fairness.calibration_by_group", attribute),
        kind="calibration",
        columns={name: tuple(column) for name, column in columns.items()},
        params={"attribute": attribute, "measure": "happened", "unit": "share", "bins": BINS},
    )
