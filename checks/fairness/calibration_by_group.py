"""Whether a stated probability means the same in each group."""

from __future__ import annotations

import numpy as np

from checks.accuracy._calibration import BINS, EXPECTED, binned, expected_gap, mean_gap, mean_gap_bounds
from checks.accuracy._confusion import standing
from checks.accuracy._scored import Scored, behind
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
    extremes,
    gaps,
    largest_gap,
    wilson,
)


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
    parts = given.parts()
    large = np.array([behind(part) >= terms.minimum_rows for part in parts])
    own = [_of_group(part, terms) for part in parts]
    compared = [part for part, big in zip(parts, large, strict=True) if big]
    told = evidence.holds(Need.WEIGHTS) or given.rows.unit is not None
    reason, never_within = standing(evidence, terms, given.all_rows, given.unlabelled, given.unanswered)
    small = Reason(code="small", params={"small_groups": int((~large).sum()), "minimum": terms.minimum_rows})
    return Measured(
        measures=(
            _difference(compared, terms),
            _largest(compared, terms),
        ),
        groups=tuple(
            GroupMeasures(
                group={attribute: name},
                rows=int(given.group_rows[i]),
                effective_rows=behind(parts[i]) if told else None,
                too_small=not bool(large[i]),
                measures=own[i],
            )
            for i, name in enumerate(given.names)
        ),
        figures=(_figure(given, parts, attribute, terms),),
        reason=never_within or (small if not large.all() else reason),
        never_within=never_within,
    )


def _of_group(part: Scored, terms: Terms) -> tuple[Measure, Measure]:
    if not len(part.score):
        none = Reason(code="denominator_zero")
        return (
            Measure(name="mean_gap", value=None, rows=0, unit="share", reason=none),
            Measure(name="expected_gap", value=None, rows=0, unit="share", reason=none),
        )
    return mean_gap(part, terms.confidence), expected_gap("expected_gap", part, terms.confidence)


def _difference(parts: list[Scored], terms: Terms) -> Measure:
    name, rows = "mean_gap_difference", sum(len(part.score) for part in parts)
    definition = "largest gap between groups in the mean of label minus probability"
    if len(parts) < 2:
        few = Reason(code="too_few_groups", params={"groups": len(parts)})
        return Measure(name=name, value=None, rows=rows, unit="share", definition=definition, reason=few)

    def bounds(z: float) -> tuple[Floats, ...]:
        found = [mean_gap_bounds(part, confidence_of(z)) for part in parts]
        return tuple(np.array(column, dtype=np.float64) for column in zip(*found, strict=True))

    value, low, high = bounds(critical_of_range(terms.confidence, len(parts)))
    ends = extremes(value)
    plain = [column[ends] for column in bounds(critical(terms.confidence))]
    least, most = largest_gap(value, low, high)
    lower, upper = (float(m[0, 1]) for m in gaps(plain[0], plain[1], plain[2]))
    return Measure(
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


def _largest(parts: list[Scored], terms: Terms) -> Measure:
    name, rows = "largest_expected_gap", sum(len(part.score) for part in parts)
    if not parts:
        few = Reason(code="too_few_groups", params={"groups": 0})
        return Measure(name=name, value=None, rows=rows, unit="share", definition=EXPECTED, reason=few)
    confidence = 1.0 - (1.0 - terms.confidence) / len(parts)
    found = [expected_gap(name, part, confidence) for part in parts]
    measure = max(found, key=lambda m: m.value or 0.0).model_copy(update={"rows": rows})
    return measure.model_copy(
        update={
            "low": max(m.low or 0.0 for m in found),
            "high": max(m.high or 0.0 for m in found),
            "interval": f"{measure.interval}, Bonferroni over {len(parts)} groups",
        }
    )


def _figure(given: Grouped, parts: list[Scored], attribute: str, terms: Terms) -> Figure:
    columns: dict[str, list[Scalar]] = {
        name: [] for name in ("group", "bin_low", "bin_high", "score", "value", "low", "high", "rows")
    }
    for name, part in zip(given.names, parts, strict=True):
        if not len(part.score):
            continue
        bins = binned(part)
        low, high = wilson(bins.happened, bins.effective, critical(terms.confidence))
        for i, place in enumerate(bins.place.tolist()):
            columns["group"].append(name)
            columns["bin_low"].append(place / BINS)
            columns["bin_high"].append((place + 1) / BINS)
            columns["score"].append(float(bins.stated[i]))
            columns["value"].append(float(bins.happened[i]))
            columns["low"].append(float(low[i]))
            columns["high"].append(float(high[i]))
            columns["rows"].append(int(bins.rows[i]))
    return Figure(
        name=figure_name("fairness.calibration_by_group", attribute),
        kind="calibration",
        columns={name: tuple(column) for name, column in columns.items()},
        params={"attribute": attribute, "measure": "happened", "unit": "share", "bins": BINS},
    )
