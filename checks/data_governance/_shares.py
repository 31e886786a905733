"""Shares of rows, overall and by group, as certain as their weights and units (people, households) let them be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from checks.counting import Cells, Codes, Mask, Units, group_codes, unit_codes
from checks.evidence import Need, View
from checks.finding import GroupMeasures, Measure, Reason
from checks.policy import Terms
from checks.statistics import Floats, critical, effective_rows_of_rate, of_few_units, wilson

ROW_FACTS = (Need.GROUPS, Need.WEIGHTS, Need.UNITS)
"""Facts that shares of rows read, where they are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows that shares are taken of.

    Args:
        weight: (n,) from above 0.
        unit: (n,) number of the person or household; each row its own where there are none.
    """

    weight: Floats
    unit: Codes

    @classmethod
    def of(cls, evidence: View, rows: int) -> Rows:
        """Read weights and units; the check must declare `ROW_FACTS`."""
        weight = np.ones(rows)
        if evidence.holds(Need.WEIGHTS):
            weight = np.asarray(evidence.weights.to_numpy(), dtype=np.float64)
        unit = unit_codes(evidence)
        return cls(weight=weight, unit=np.arange(rows) if unit is None else unit)

    def share(self, name: str, hit: Mask, terms: Terms, *, among: Mask | None = None, definition: str = "") -> Measure:
        """Measure which share of the weight is hit, with Wilson's interval on the effective number of units."""
        everyone = np.zeros(len(hit), dtype=np.int64)
        return self.shares(name, hit, terms, everyone, (None,), among=among, definition=definition)[0]

    def shares(
        self,
        name: str,
        hit: Mask,
        terms: Terms,
        group: Codes,
        names: tuple[str | None, ...],
        *,
        among: Mask | None = None,
        definition: str = "",
        family: int = 1,
    ) -> list[Measure]:
        """Measure a share in each group.

        Args:
            name: of the measures.
            hit: (n,) rows counted in.
            terms: confidence.
            group: (n,) position in `names`.
            names: of the g groups.
            among: (n,) rows that it is a share of; all of them where not given.
            definition: of the measure.
            family: comparisons that the intervals hold for together (Bonferroni).
        """
        among = np.ones(len(hit), dtype=bool) if among is None else among
        one = np.ones(len(hit), dtype=np.int64)
        cells = Cells(
            names=names,
            group=group,
            label=one,
            decision=one,
            rows=one,
            weight=self.weight,
            weight_squared=self.weight**2,
        )
        total, rows = cells.weight_of(among), cells.rows_of(among)
        value = np.divide(cells.weight_of(among & hit), total, out=np.full(len(names), np.nan), where=total > 0)
        value, z = np.clip(value, 0.0, 1.0), critical(1.0 - (1.0 - terms.confidence) / family)
        if len(np.unique(self.unit)) < len(self.unit):
            units, effective = Units(rows=cells, unit=self.unit).effective_rows(among, hit & among, value)
            effective = of_few_units(effective, units, z)
        else:
            squares = cells.squares_of(among & hit), cells.squares_of(among & ~hit)
            effective = effective_rows_of_rate(np.nan_to_num(value), total, *squares)
        low, high = wilson(value, effective, z)
        method = "wilson" if family == 1 else f"wilson, Bonferroni over {family}"
        return [
            Measure(
                name=name,
                value=float(value[i]),
                low=float(low[i]),
                high=float(high[i]),
                rows=int(rows[i]),
                unit="share",
                definition=definition,
                interval=method,
            )
            if total[i] > 0
            else Measure(name=name, value=None, rows=0, unit="share", reason=Reason(code="no_rows_of_it"))
            for i in range(len(names))
        ]

    def by_attribute(self, evidence: View, name: str, hit: Mask, terms: Terms) -> dict[str, list[GroupMeasures]]:
        """Measure a share in each group of each attribute; each attribute is a family of its own."""
        if not evidence.holds(Need.GROUPS):
            return {}
        made = {}
        for attribute in evidence.groups.column_names:
            codes, names = group_codes(evidence.groups.column(attribute), len(hit))
            shares = self.shares(name, hit, terms, codes, tuple(names), family=max(1, len(names)))
            made[attribute] = [
                GroupMeasures(
                    group={attribute: group},
                    rows=m.rows,
                    too_small=m.rows < terms.minimum_rows,
                    measures=(m,),
                )
                for group, m in zip(names, shares, strict=True)
            ]
        return made
