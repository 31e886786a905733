"""How far stated probabilities are from what happened: on average, and in bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checks.accuracy._scored import Scored
from checks.finding import Measure
from checks.statistics import Floats, critical, effective_rows, mean_interval, mean_of_rows, sum_of_distances

BINS = 10
"""Bins of equal width from 0 to 1; the last one holds 1 itself."""

EXPECTED = f"expected calibration error, {BINS} bins of equal width"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Bins that hold rows, all (b,): their place, mean probability and share of the outcome.

    Args:
        covariance: (b, b) of the shares of the outcome.
        share: of all weight.
        effective: effective rows.
    """

    place: NDArray[np.int64]
    stated: Floats
    happened: Floats
    covariance: Floats
    share: Floats
    effective: Floats
    rows: NDArray[np.int64]


def binned(part: Scored) -> Bins:
    """Put rows into `BINS` bins of equal width by their probability; bins without a row are left out."""
    at = np.minimum((part.score * BINS).astype(np.int64), BINS - 1)
    place, at = np.unique(at, return_inverse=True)

    def total(each: Floats) -> Floats:
        return np.bincount(at, weights=each, minlength=len(place)).astype(np.float64)

    w = total(part.weight)
    happened = np.minimum(1.0, total(part.weight * part.positive) / w)
    # (u, b): what the rows of one unit add to each bin; without units the bins are independent of each other.
    behind = total(part.weight**2) if part.unit is None else (_by_unit(part, at, part.weight, len(place)) ** 2).sum(0)
    n = effective_rows(w, behind)
    # Two of each outcome are added, so that a bin in which all came out alike keeps its uncertainty.
    smoothed = (happened * n + 2.0) / (n + 4.0)
    covariance = np.diag(smoothed * (1.0 - smoothed) / n)
    if part.unit is not None:
        added = _by_unit(part, at, part.weight * (part.positive - happened[at]), len(place)) / w
        together = added.T @ added
        covariance = np.where(np.eye(len(place), dtype=bool), np.maximum(covariance, together), together)
    return Bins(
        place=place,
        stated=total(part.weight * part.score) / w,
        happened=happened,
        covariance=covariance,
        share=w / w.sum(),
        effective=n,
        rows=np.bincount(at, minlength=len(place)),
    )


def _by_unit(part: Scored, at: NDArray[np.int64], each: Floats, bins: int) -> Floats:
    """Add up by unit and bin, (u, b)."""
    assert part.unit is not None
    units, place = np.unique(part.unit, return_inverse=True)
    added = np.bincount(place * bins + at, weights=each, minlength=len(units) * bins)
    return added.astype(np.float64).reshape(len(units), bins)


def mean_gap_bounds(part: Scored, confidence: float) -> tuple[float, float, float]:
    """Give the mean of label minus probability, and Student's interval of it.

    The interval reaches at least as far as rows of another kind could move the mean that may be there unseen: where all
    rows are alike they show no spread, and still are not all people.
    """
    z = critical(confidence)
    value, variance, n = mean_of_rows(part.positive - part.score, part.weight, part.unit)
    low, high = mean_interval([value], [variance], [n], z)
    unseen = z * z / (n + z * z)
    return value, max(-1.0, min(float(low[0]), value - unseen)), min(1.0, max(float(high[0]), value + unseen))


def mean_gap(part: Scored, confidence: float) -> Measure:
    """Measure the mean of label minus probability; above 0 the probabilities are too low."""
    value, low, high = mean_gap_bounds(part, confidence)
    return Measure(
        name="mean_gap",
        value=value,
        low=low,
        high=high,
        rows=len(part.score),
        unit="share",
        definition="mean of label minus probability",
        interval="student, never narrower than wilson's of none",
    )


def expected_gap(name: str, part: Scored, confidence: float) -> Measure:
    """Measure the expected calibration error: the mean distance, over bins, of what was stated to what happened."""
    bins = binned(part)
    gap = bins.happened - bins.stated
    low, high = sum_of_distances(gap, bins.covariance, bins.share, confidence)
    value = float((bins.share * np.abs(gap)).sum())
    return Measure(
        name=name,
        value=value,
        low=low,
        high=max(value, min(1.0, high)),
        rows=len(part.score),
        unit="share",
        definition=EXPECTED,
        interval="chi-square ellipsoid over the bins",
    )
