"""Average over explained rows as they count: with their weights, and with the rows of one person as one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checks.explainability._shapley import Floats, Integers
from checks.statistics import alike_interval, effective_rows, mean_interval, skewness

ROUNDING = 1e-12
"""Below this, of the largest value where that is above 1, numbers differ by rounding alone."""

ANYWHERE = (-np.inf, np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How some rows count.

    Args:
        weight: (e,) positive; all 1 where rows have none.
        unit: (e,) number of the person or household of each row; None where every row is its own.
        weighted: whether the weights were given.
    """

    weight: Floats
    unit: Integers | None
    weighted: bool

    def of(self, chosen: NDArray[np.bool_]) -> Counted:
        """Give how the chosen rows count, (e,) bool."""
        unit = None if self.unit is None else np.unique(self.unit[chosen], return_inverse=True)[1]
        return Counted(weight=self.weight[chosen], unit=unit, weighted=self.weighted)

    @property
    def effective(self) -> float:
        """Number of equally weighted people who say as much as these rows."""
        weight = self.weight if self.unit is None else np.bincount(self.unit, weights=self.weight)
        return float(effective_rows(weight.sum(), (weight**2).sum()))

    @property
    def method(self) -> str:
        """How an interval of a mean is made, in a few words."""
        over = "rows" if self.unit is None else "units"
        return f"t over {over}, skewness corrected" + (", weighted" if self.weighted else "")

    def mean(self, values: Floats) -> Floats:
        """Average values, (e, ...), over the rows."""
        return np.asarray(np.tensordot(self.weight / self.weight.sum(), values, axes=1))

    def influence(self, values: Floats) -> Floats:
        """Give what each person adds to each mean of (e, p), less the mean's share of it, (people, p)."""
        residual = (self.weight / self.weight.sum())[:, None] * (values - self.mean(values))
        if self.unit is None:
            return np.asarray(residual)
        summed = np.zeros((int(self.unit.max(initial=-1)) + 1, values.shape[1]))
        np.add.at(summed, self.unit, residual)
        return summed

    def variance(self, values: Floats) -> Floats:
        """Give the variance of each mean of (e, p), (p,), by linearisation over people."""
        residual = self.influence(values)
        m = len(residual)
        return np.asarray((residual**2).sum(axis=0) * (m / (m - 1) if m > 1 else 1.0))

    def interval(self, values: Floats, z: float, within: tuple[float, float] = ANYWHERE) -> tuple[Floats, Floats]:
        """Give Student's interval of each mean, corrected for skewness, at the confidence that `z` stands for.

        Args:
            values: (e, p).
            z: critical value.
            within: the range of a mean; where all rows are alike it says how far others may lie, see `alike_interval`.

        Returns:
            low, high: (p,); infinite where nothing bounds them.
        """
        mean, rows = self.mean(values), np.full(values.shape[1], self.effective)
        low, high = mean_interval(mean, self.variance(values), rows, z, skewness(self.influence(values)))
        alike = (np.ptp(values, axis=0) <= rounding(values)) & np.isfinite(high)
        least, most = alike_interval(mean, self.effective, within, z)
        low, high = (
            np.where(alike, least, np.maximum(low, within[0])),
            np.where(alike, most, np.minimum(high, within[1])),
        )
        # A few rows that say more than the range allows must not put the mean outside its own interval.
        return np.minimum(low, mean), np.maximum(high, mean)

    def bootstrapped(self, rounds: int, rng: np.random.Generator) -> Floats:
        """Draw weights of rows, (rounds, e), as a Bayesian bootstrap over people: no row is ever quite left out.

        References:
            Rubin (1981), Annals of Statistics 9.
        """
        people = len(self.weight) if self.unit is None else int(self.unit.max(initial=-1)) + 1
        drawn = rng.standard_exponential((rounds, people))
        return np.asarray((drawn if self.unit is None else drawn[:, self.unit]) * self.weight)


def rounding(values: Floats) -> float:
    """Give the size of a difference between values, (...), from one up, that is rounding alone."""
    return ROUNDING * max(1.0, float(np.abs(values).max()))
