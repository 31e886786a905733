"""The arithmetic that checks share: intervals of rates and means, small groups, and families of comparisons.

Every interval of a comparison is built from the interval of each group by MOVER (method of variance estimates
recovery): the distance from a group's estimate to its own limits says how far that group alone can move the comparison.
So a rate of 0 or 1 in a small group keeps its real uncertainty, which a normal approximation would set to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BLOCK = 512
"""Groups whose pairs are looked at in one go: thousands of groups must not take memory by their square."""

EVERY = slice(None)

POWER = 0.8
"""Chance of being seen that a gap must have to count as visible; the usual convention in planning studies."""


USUAL = 0.95
"""Confidence at which the rows that few units are worth are worked out where the interval itself comes later."""


def critical(confidence: float) -> float:
    """Give the two-sided critical value of the standard normal.

    Args:
        confidence: in (0, 1), as in 0.95.

    Returns:
        z, as in 1.96 for 0.95.
    """
    from scipy.special import ndtri

    return float(ndtri(0.5 + confidence / 2.0))


def confidence_of(z: float) -> float:
    """Give the confidence that a two-sided critical value of the standard normal stands for."""
    from scipy.special import ndtr

    return float(2.0 * ndtr(z) - 1.0)


@lru_cache(maxsize=256)
def critical_of_range(confidence: float, groups: int) -> float:
    """Give the critical value with which the intervals of all pairs of groups hold together.

    It is the quantile of the studentised range over the square root of two, known variances: for two groups it equals
    `critical`, for more it is smaller than Bonferroni's and still enough for groups of unequal size (Hayter 1984).

    Args:
        confidence: that all pairs hold at once, in (0, 1).
        groups: number of groups compared, from 2.

    Returns:
        z, as in 3.03 for 0.95 and 8 groups.

    Example:
        >>> round(critical_of_range(0.95, 2), 2), round(critical_of_range(0.95, 8), 2)
        (1.96, 3.03)
    """
    if groups <= 2:
        return critical(confidence)
    from scipy.optimize import brentq
    from scipy.special import ndtr

    at = np.linspace(-8.5, 8.5, 2001)
    density = np.exp(-0.5 * at * at) / sqrt(2.0 * np.pi)

    def short_of(q: float) -> float:
        return float(groups * np.trapezoid(density * (ndtr(at) - ndtr(at - q)) ** (groups - 1), at) - confidence)

    return float(brentq(short_of, 0.5, 15.0, xtol=1e-10)) / sqrt(2.0)


def effective_rows(weight: ArrayLike, weight_squared: ArrayLike) -> Floats:
    """Give the number of equally weighted rows that say as much as these weighted ones (Kish).

    Args:
        weight: (k,) sums of weights.
        weight_squared: (k,) sums of squared weights.

    Returns:
        (k,) from 0 to the number of rows; 0 where there are no rows.

    Example:
        Four rows of weight 3 say as much as four rows; one row of weight 9 among three of weight 1 as 1.7 rows.

        >>> effective_rows([12.0, 12.0], [36.0, 84.0]).round(1).tolist()
        [4.0, 1.7]
    """
    total, squares = np.asarray(weight, dtype=np.float64), np.asarray(weight_squared, dtype=np.float64)
    return np.divide(total * total, squares, out=np.zeros_like(total), where=squares > 0)


def effective_rows_of_rate(rate: ArrayLike, weight: ArrayLike, squares_in: ArrayLike, squares_out: ArrayLike) -> Floats:
    """Give the number of independent, equally weighted rows with which this rate would be as uncertain.

    The smaller of Kish's number and the one that the rate's own linearised variance gives: where the weights go along
    with the outcome, Kish alone says too much. A rate of 0 or 1 shows no variance; there Kish's number stands.

    Args:
        rate: (k,) weighted share, 0 to 1.
        weight: (k,) sum of weights of the rows that the rate is a share of.
        squares_in: (k,) sum of squared weights of the rows that are counted in.
        squares_out: (k,) sum of squared weights of the other rows.

    Returns:
        (k,) from 0 to the number of rows.
    """
    p, total = np.asarray(rate, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    inside, outside = np.asarray(squares_in, dtype=np.float64), np.asarray(squares_out, dtype=np.float64)
    kish = effective_rows(total, inside + outside)
    spread = inside * (1.0 - p) ** 2 + outside * p**2
    own = np.divide(
        p * (1.0 - p) * total**2, spread, out=np.full_like(kish, np.inf), where=(spread > 0) & (p > 0) & (p < 1)
    )
    return np.minimum(kish, own)


def of_few_units(rows: ArrayLike, units: ArrayLike, z: float) -> Floats:
    """Give the fewer rows with which an interval allows for how alike rows of a unit are, known from few units only.

    Args:
        rows: (k,) independent rows that a rate seems as certain as, by the spread between units.
        units: (k,) effective number of those units.
        z: critical value of the interval; Student's with one degree of freedom per unit but one takes its place.

    Returns:
        (k,) from 0 to `rows`.

    References:
        Korn and Graubard (1998), Survey Methodology 24.

    Example:
        >>> of_few_units([100.0, 100.0], [10.0, 1000.0], critical(0.95)).round(1).tolist()
        [75.1, 99.8]
    """
    from scipy.special import ndtr, stdtrit

    freedom = np.maximum(np.asarray(units, dtype=np.float64) - 1.0, 1.0)
    return np.asarray(np.asarray(rows, dtype=np.float64) * (z / stdtrit(freedom, float(ndtr(z)))) ** 2)


def mean_of_rows(
    each: ArrayLike, weight: ArrayLike, unit: NDArray[np.int64] | None = None
) -> tuple[float, float, float]:
    """Give the weighted mean of rows, the variance of that mean, and the effective number of units behind it.

    What the rows of one unit add is summed before it is squared, so rows that go together are not taken for many.

    Args:
        each: (n,) from 1 row on.
        weight: (n,) positive.
        unit: (n,) to which person or household each row belongs, from 0; None where each row is one of its own.

    Example:
        Two people, each asked twice and answering alike both times, say as much as two answers.

        >>> one, two = mean_of_rows([1, 0], [1, 1]), mean_of_rows([1, 1, 0, 0], [1, 1, 1, 1], np.array([0, 0, 1, 1]))
        >>> one == two
        True
    """
    x, w = np.asarray(each, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    total = float(w.sum())
    value = float((w * x).sum() / total)
    influence, behind = in_units(w * (x - value), unit), in_units(w, unit)
    n = float(effective_rows([total], [float((behind**2).sum())])[0])
    return value, (n / (n - 1.0) if n > 1 else 1.0) * float((influence**2).sum()) / total**2, n


def rate_of_rows(
    hit: NDArray[np.bool_], weight: Floats, unit: NDArray[np.int64] | None = None
) -> tuple[float | None, float]:
    """Give the weighted share of rows that are hit, and the independent rows with which it would be as uncertain.

    Args:
        hit, weight, unit: (n,), as for `mean_of_rows`.

    Returns:
        The share, None where there are no rows; and the effective rows, see `effective_rows_of_rate`.
    """
    total = float(weight.sum())
    if total <= 0:
        return None, 0.0
    # Rounding must not put a sum of weights above what it is a part of.
    value = min(1.0, float(weight[hit].sum()) / total)
    squares = weight**2
    inside, outside = float(squares[hit].sum()), float(squares[~hit].sum())
    own = float(effective_rows_of_rate([value], [total], [inside], [outside])[0])
    if unit is None:
        return value, own
    _, variance, units = mean_of_rows(hit, weight, unit)
    if inside <= 0.0 or outside <= 0.0 or variance <= 0.0:
        return value, units
    alone = (inside * (1.0 - value) ** 2 + outside * value**2) / total**2
    return value, float(of_few_units(own * min(1.0, alone / variance), units, critical(USUAL)))


def in_units(each: Floats, unit: NDArray[np.int64] | None) -> Floats:
    """Add up by unit; every row is left as it is where there are no units."""
    return each if unit is None else np.bincount(unit, weights=each).astype(np.float64)


def wilson(rate: ArrayLike, rows: ArrayLike, z: float) -> tuple[Floats, Floats]:
    """Give Wilson's score interval of each share.

    Args:
        rate: (k,) share, 0 to 1; NaN where there is none.
        rows: (k,) effective rows, not necessarily whole.
        z: critical value.

    Returns:
        low, high: (k,) within [0, 1] and around the rate; [0, 1] where there are no rows.

    References:
        Wilson (1927), JASA 22; `statsmodels.stats.proportion.proportion_confint(method="wilson")`.

    Example:
        None of ten is far from certainly none.

        >>> low, high = wilson([0.0], [10], critical(0.95))
        >>> low.round(2).tolist(), high.round(2).tolist()
        ([0.0], [0.28])
    """
    p, n = np.asarray(rate, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    known = (n > 0) & ~np.isnan(p)
    n, p = np.where(known, n, 1.0), np.where(known, p, 0.0)
    centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n)
    half = z / (1.0 + z * z / n) * np.sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n))
    # Rounding must not put the estimate outside its own interval.
    low = np.where(known, np.minimum(np.clip(centre - half, 0.0, 1.0), p), 0.0)
    high = np.where(known, np.maximum(np.clip(centre + half, 0.0, 1.0), p), 1.0)
    return np.where(known & (p == 0.0), 0.0, low), np.where(known & (p == 1.0), 1.0, high)


def gaps(value: ArrayLike, low: ArrayLike, high: ArrayLike, first: slice = EVERY) -> tuple[Floats, Floats]:
    """Give the interval of the difference of every ordered pair, by MOVER (Newcombe's for shares).

    Args:
        value, low, high: (k,) estimates and their own intervals, independent of each other.
        first: which of them stand first in a pair; all of them where not given.

    Returns:
        low, high: (k, k), or as many rows as `first` takes; entry [i, j] is about value[i] - value[j].

    References:
        Newcombe (1998), Statistics in Medicine 17, method 10; Zou and Donner (2008), Statistics in Medicine 27.
    """
    v, lo, hi = (np.asarray(a, dtype=np.float64) for a in (value, low, high))
    between = v[first, None] - v[None, :]
    down, up = v - lo, hi - v
    return (
        between - np.sqrt(down[first, None] ** 2 + up[None, :] ** 2),
        between + np.sqrt(up[first, None] ** 2 + down[None, :] ** 2),
    )


def extremes(value: ArrayLike) -> NDArray[np.int64]:
    """Give the positions of the largest and the smallest value, (2,); of the first two where all are equal."""
    v = np.asarray(value, dtype=np.float64)
    most, least = int(np.argmax(v)), int(np.argmin(v))
    return np.array([0, 1] if most == least else [most, least], dtype=np.int64)


def largest_gap(value: ArrayLike, low: ArrayLike, high: ArrayLike) -> tuple[float, float]:
    """Give the interval of the largest gap between any two groups.

    Where the intervals of all pairs hold together (see `critical_of_range`), the true largest gap is at least the
    largest lower bound and at most the largest upper bound: so that picking the extremes afterwards costs nothing.

    Args:
        value, low, high: (k,) estimates and their own intervals at the family's critical value, k from 2.

    Returns:
        low, high: from 0.

    Example:
        >>> rates = np.array([0.5, 0.3])
        >>> low, high = largest_gap(rates, *wilson(rates, [200, 200], critical_of_range(0.95, 2)))
        >>> round(low, 2), round(high, 2)
        (0.1, 0.29)
    """
    bounds = [(float(lo.max()), float(hi.max())) for lo, hi in _pairs(gaps, value, low, high, alone=-np.inf)]
    return max(0.0, *(b[0] for b in bounds)), max(b[1] for b in bounds)


def ratios(value: ArrayLike, low: ArrayLike, high: ArrayLike, first: slice = EVERY) -> tuple[Floats, Floats]:
    """Give the interval of the ratio of every ordered pair of non-negative estimates, by MOVER-R.

    Args:
        value, low, high: (k,) estimates and their own intervals, none below 0, independent of each other.
        first: which of them stand first in a pair; all of them where not given.

    Returns:
        low, high: (k, k), or as many rows as `first` takes; entry [i, j] is about value[i] / value[j]; high is infinite
        where [j] can be 0.

    References:
        Donner and Zou (2012), Statistical Methods in Medical Research 21, equation for ratios of means and proportions.
    """
    v, lo, hi = (np.asarray(a, dtype=np.float64) for a in (value, low, high))
    return _quotient((v[first, None], lo[first, None], hi[first, None]), (v[None, :], lo[None, :], hi[None, :]))


def _quotient(top: tuple[Floats, Floats, Floats], bottom: tuple[Floats, Floats, Floats]) -> tuple[Floats, Floats]:
    """Give the MOVER-R interval of one estimate over another, each with its own bounds."""
    (v, lo, hi), (w, least, most) = top, bottom
    product = v * w
    top_low, top_high = lo * (2 * v - lo), hi * (2 * v - hi)
    bottom_low, bottom_high = least * (2 * w - least), most * (2 * w - most)
    # Both roots are written so that neither divides by a difference that can vanish.
    root_low = product + np.sqrt(np.maximum(product**2 - top_low * bottom_high, 0.0))
    root_high = product + np.sqrt(np.maximum(product**2 - top_high * bottom_low, 0.0))
    lower = np.divide(top_low, root_low, out=np.zeros_like(product), where=root_low > 0)
    open_above = np.broadcast_to(bottom_low > 0, product.shape)
    upper = np.divide(root_high, bottom_low, out=np.full_like(product, np.inf), where=open_above)
    return np.maximum(lower, 0.0), upper


def smallest_ratio(value: ArrayLike, low: ArrayLike, high: ArrayLike) -> tuple[float, float]:
    """Give the interval of the smallest over the largest value among groups.

    Args:
        value, low, high: (k,) estimates from 0 and their own intervals at the family's critical value, k from 2.

    Returns:
        low, high: within [0, 1], and around the ratio of the smallest to the largest estimate.

    Example:
        One percent against two percent of 20,000 people each.

        >>> rates = np.array([0.01, 0.02])
        >>> low, high = smallest_ratio(rates, *wilson(rates, [20_000, 20_000], critical_of_range(0.95, 2)))
        >>> round(low, 2), round(high, 2)
        (0.42, 0.59)
    """
    bounds = [(float(lo.min()), float(hi.min())) for lo, hi in _pairs(ratios, value, low, high, alone=np.inf)]
    return min(1.0, *(b[0] for b in bounds)), min(1.0, *(b[1] for b in bounds))


def gaps_to_everyone(
    value: tuple[ArrayLike, ArrayLike, ArrayLike], rest: tuple[ArrayLike, ArrayLike, ArrayLike], share: ArrayLike
) -> tuple[Floats, Floats]:
    """Give the interval of each group's difference to everyone, itself among them.

    A group and the others are independent; a group and everyone are not. So the difference to the others is taken, and
    scaled by their share.

    Args:
        value: estimate, low and high of each group, each (k,).
        rest: the same of all people outside that group.
        share: (k,) the group's share of everyone's weight, 0 to 1.

    Returns:
        low, high: (k,) of `value - everyone`.
    """
    (v, lo, hi), (r, rest_lo, rest_hi) = (
        tuple(np.asarray(a, dtype=np.float64) for a in three) for three in (value, rest)
    )
    others = 1.0 - np.asarray(share, dtype=np.float64)
    down, up = np.sqrt((v - lo) ** 2 + (rest_hi - r) ** 2), np.sqrt((hi - v) ** 2 + (r - rest_lo) ** 2)
    return others * (v - r - down), others * (v - r + up)


def ratios_to_everyone(
    value: tuple[ArrayLike, ArrayLike, ArrayLike], rest: tuple[ArrayLike, ArrayLike, ArrayLike], share: ArrayLike
) -> tuple[Floats, Floats]:
    """Give the interval of each group's non-negative estimate over that of everyone, itself among them.

    Args:
        value, rest, share: as for `gaps_to_everyone`; none below 0.

    Returns:
        low, high: (k,) of `value / everyone`; at most one over the group's share.
    """
    v, lo, hi = (np.asarray(a, dtype=np.float64) for a in value)
    r, rest_lo, rest_hi = (np.asarray(a, dtype=np.float64) for a in rest)
    own = np.asarray(share, dtype=np.float64)
    low, high = _quotient((v, lo, hi), (r, rest_lo, rest_hi))

    def over_everyone(quotient: Floats) -> Floats:
        # With q = value / rest, value / everyone is q / (share * q + others), which grows with q.
        finite_ones = np.where(np.isfinite(quotient), quotient, 1.0)
        return np.where(np.isfinite(quotient), finite_ones / (own * finite_ones + 1.0 - own), 1.0 / own)

    return over_everyone(low), over_everyone(high)


def furthest_from_everyone(
    value: tuple[Floats, Floats, Floats], rest: tuple[Floats, Floats, Floats], share: Floats, everyone: float
) -> tuple[tuple[float, float], tuple[float, float] | None]:
    """Give the interval of the largest distance of a group to everyone, and of the ratio to everyone furthest from 1.

    Args:
        value, rest, share: as for `gaps_to_everyone`, at the family's critical value.
        everyone: the estimate of everyone together.

    Returns:
        The interval of the distance, from 0; and that of the ratio, written as smaller over larger, 0 to 1; None where
        everyone's estimate is not above 0.
    """
    low, high = gaps_to_everyone(value, rest, share)
    least = np.where(low > 0, low, np.where(high < 0, -high, 0.0))
    away = float(least.max()), float(np.maximum(np.abs(low), np.abs(high)).max())
    if everyone <= 0.0:
        return away, None
    below, above = ratios_to_everyone(value, rest, share)
    turned = np.divide(1.0, above, out=np.zeros_like(above), where=np.isfinite(above) & (above > 0))
    smallest = np.minimum(below, turned)
    largest = np.where(
        (below <= 1.0) & (above >= 1.0),
        1.0,
        np.minimum(above, np.divide(1.0, below, out=np.ones_like(below), where=below > 0)),
    )
    return away, (float(smallest.min()), float(largest.min()))


def _pairs(
    bounds: Callable[[Floats, Floats, Floats, slice], tuple[Floats, Floats]],
    value: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    alone: float,
) -> Iterator[tuple[Floats, Floats]]:
    """Yield the bounds of all pairs in blocks, with `alone` where a group would be paired with itself."""
    v, lo, hi = (np.asarray(a, dtype=np.float64) for a in (value, low, high))
    for start in range(0, len(v), BLOCK):
        block = slice(start, start + BLOCK)
        lower, upper = bounds(v, lo, hi, block)
        own = np.arange(start, start + len(lower))
        lower[own - start, own] = upper[own - start, own] = alone
        yield lower, upper


def weighted_sum(value: ArrayLike, low: ArrayLike, high: ArrayLike, factor: ArrayLike) -> tuple[float, float]:
    """Give the interval of a sum of independent estimates, each times a factor, by MOVER.

    Args:
        value, low, high, factor: (k,).

    Returns:
        low, high of `sum(factor * value)`.
    """
    v, lo, hi, c = (np.asarray(a, dtype=np.float64) for a in (value, low, high, factor))
    down, up = np.where(c >= 0, v - lo, hi - v), np.where(c >= 0, hi - v, v - lo)
    total = float(np.sum(c * v))
    return total - float(np.sqrt(np.sum((c * down) ** 2))), total + float(np.sqrt(np.sum((c * up) ** 2)))


def paired_difference(gained: float, lost: float, rows: float, z: float) -> tuple[float, float]:
    """Give the interval of the difference of two shares of the same rows.

    Args:
        gained: share of rows that count for the first alone.
        lost: share of rows that count for the second alone.
        rows: effective rows.
        z: critical value.

    Returns:
        low, high of `gained - lost`, within [-1, 1].

    References:
        MOVER with the correlation of two shares of one multinomial: Zou (2007), Psychological Methods 12.
    """
    (low_a, low_b), (high_a, high_b) = wilson([gained, lost], [rows, rows], z)
    spread = sqrt(gained * (1 - gained) * lost * (1 - lost))
    correlation = -gained * lost / spread if spread > 0 else 0.0
    down_a, up_a, down_b, up_b = gained - low_a, high_a - gained, lost - low_b, high_b - lost
    down = sqrt(max(0.0, down_a**2 + up_b**2 - 2 * correlation * down_a * up_b))
    up = sqrt(max(0.0, up_a**2 + down_b**2 - 2 * correlation * up_a * down_b))
    return max(-1.0, gained - lost - down), min(1.0, gained - lost + up)


def skewness(influence: Floats) -> Floats:
    """Give the skewness of a mean: what rows (or units) add to it, (m, ...), to the third over its variance to 3/2.

    Returns:
        (...): about that of the rows over the root of their number; 0 where nothing varies.
    """
    squares, cubes = (influence**2).sum(axis=0), (influence**3).sum(axis=0)
    return np.asarray(np.divide(cubes, squares**1.5, out=np.zeros_like(cubes), where=squares > 0))


def mean_interval(
    mean: ArrayLike, variance: ArrayLike, rows: ArrayLike, z: float, skew: ArrayLike = 0.0
) -> tuple[Floats, Floats]:
    """Give Student's interval of each mean, at the confidence that `z` stands for, with Hall's correction for skewness.

    Args:
        mean: (k,) weighted means.
        variance: (k,) variance of each mean (not of the rows).
        rows: (k,) effective rows; degrees of freedom are one less.
        z: critical value of the normal for the wanted confidence.
        skew: (k,) skewness of each mean, see `skewness`; where it is 0 the interval is Student's.

    Returns:
        low, high: (k,); infinite where there are fewer than two effective rows.

    References:
        Hall (1992), On the removal of skewness by transformation, JRSS B 54.
    """
    from scipy.special import ndtr, stdtrit

    m, var, n, a = (np.asarray(each, dtype=np.float64) for each in (mean, variance, rows, skew))
    t: Floats = np.asarray(stdtrit(np.where(n > 1.0, n - 1.0, 1.0), float(ndtr(z))), dtype=np.float64)
    leans = np.abs(a) > 1e-9
    a = np.where(leans, a, 1.0)

    def turned(quantile: Floats) -> Floats:
        cubed = 3.0 / a * (np.cbrt(1.0 + a * (quantile - a / 6.0)) - 1.0)
        return np.where(leans, cubed, quantile)

    spread = np.sqrt(np.maximum(var, 0.0))
    known = n > 1.0
    return np.where(known, m - turned(t) * spread, -np.inf), np.where(known, m - turned(-t) * spread, np.inf)


def alike_interval(value: ArrayLike, rows: float, within: tuple[float, float], z: float) -> tuple[Floats, Floats]:
    """Bound the mean of rows of which all that were seen are alike: a spread that is not seen is not none.

    Up to Wilson's upper bound of none, rows that were not seen may differ, and then lie anywhere within the range.

    Args:
        value: (k,) what all rows show, within the range.
        rows: effective rows seen.
        within: the range; infinite where it is not known, and then so are the bounds.
        z: critical value.

    Returns:
        low, high: (k,).

    References:
        Hanley and Lippman-Hand (1983), JAMA 249: if nothing goes wrong, is everything all right?

    Example:
        >>> low, high = alike_interval([0.0], 100, (0.0, 1.0), critical(0.95))
        >>> low.round(3).tolist(), high.round(3).tolist()
        ([0.0], [0.037])
    """
    v = np.asarray(value, dtype=np.float64)
    unseen = float(wilson([0.0], [rows], z)[1][0])
    return v - unseen * (v - within[0]), v + unseen * (within[1] - v)


def sum_of_distances(gap: ArrayLike, covariance: ArrayLike, share: ArrayLike, confidence: float) -> tuple[float, float]:
    """Give an interval of a sum of absolute gaps, each times its share, that holds also where all gaps are nothing.

    The estimates lie within an ellipsoid of the true gaps with the wanted confidence; within it, the sum cannot move
    further than its radius (Cauchy and Schwarz). So the upward bias of absolute values never makes it too narrow.

    Args:
        gap: (k,) estimated gaps, about normal.
        covariance: (k, k), or (k,) variances where they are independent.
        share: (k,) factors from 0.
        confidence: in (0, 1).

    Returns:
        low, high: from 0, around the estimated sum.
    """
    from scipy.special import chdtri

    g, v, s = (np.asarray(a, dtype=np.float64) for a in (gap, covariance, share))
    total = float((s * np.abs(g)).sum())
    # The signs of the gaps are not known, so those count that move the sum most.
    most = float((s * s * v).sum()) if v.ndim == 1 else float(s @ np.abs(v) @ s)
    radius = sqrt(float(chdtri(max(1, len(g)), 1.0 - confidence)) * most)
    return max(0.0, total - radius), total + radius


def visible_gap(rate: float, rows: ArrayLike, z: float) -> float:
    """Give the gap that could have gone unseen between the two groups about which least is known.

    Args:
        rate: the share among everyone, 0 to 1.
        rows: (k,) effective rows of the groups compared, k from 2.
        z: critical value of the family.

    Returns:
        The smallest true gap between those two groups that these rows would show as different from none with a chance
        of `POWER`; a share from 0 to 1. Smaller is better.
    """
    from scipy.special import ndtri

    fewest = np.sort(np.asarray(rows, dtype=np.float64))[:2]
    # One row of each outcome more: a rate of 0 among those seen does not make every gap visible.
    p = (rate * fewest.sum() + 1.0) / (fewest.sum() + 2.0)
    return float(min(1.0, (z + ndtri(POWER)) * sqrt(p * (1 - p) * float((1.0 / fewest).sum()))))


def finite_bounds(low: Any, high: Any) -> tuple[float | None, float | None]:
    """Give both bounds of an interval, or None for both where one of them is NaN or infinite."""
    return (float(low), float(high)) if np.isfinite(low) and np.isfinite(high) else (None, None)


def finite(number: Any) -> float | None:
    """Give a number as float, or None where it is NaN or infinite: an unknown is never a number."""
    return float(number) if number is not None and np.isfinite(number) else None
