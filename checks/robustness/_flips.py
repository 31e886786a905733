"""Tell which decisions flip, or how far numbers move, when a row is asked again with something changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.accuracy._scored import floats, mean_of
from checks.counting import unit_codes
from checks.declaration import Declaration, Output, Task
from checks.evidence import Answers, Need, View
from checks.fairness._rates import figure_name
from checks.finding import Figure, GroupMeasures, Measure, NotGathered, Reason, Scalar
from checks.policy import Terms
from checks.sealing import decide
from checks.statistics import critical, rate_of_rows, wilson

DEFINITION = "rows whose decision changed over rows asked again, each row counted once"

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """What became of the answers about the rows that were asked again.

    Args:
        row: (m,) positions in the data.
        before, after: (m,) class index, or predicted value.
        place: (m,) where each stands among the rows that the probe asked.
        unit: (m,) the person or household of each; None where each row is one of its own.
        numbers: whether these are predicted values.
    """

    row: Integers
    before: Integers | Floats
    after: Integers | Floats
    place: Integers
    unit: Integers | None = None
    numbers: bool = False

    def where(self, kept: NDArray[np.bool_] | Integers) -> Flips:
        """Keep some rows, by a mask or by their positions here."""
        unit = None if self.unit is None else self.unit[kept]
        return Flips(
            row=self.row[kept],
            before=self.before[kept],
            after=self.after[kept],
            place=self.place[kept],
            unit=unit,
            numbers=self.numbers,
        )

    @property
    def flipped(self) -> NDArray[np.bool_]:
        """Whether each decision changed, (m,)."""
        return np.asarray(self.before != self.after)


def decisions_of(declaration: Declaration, values: NDArray[np.float64]) -> Integers | None:
    """Turn answers into decisions as for the first answers: (m,) class index, -1 where there is none.

    Returns:
        None where no threshold is known, so that there are no decisions.
    """
    data, model = declaration.data, declaration.model
    assert data is not None
    assert model is not None
    absent = np.isnan(values).any(axis=1)
    if model.output in (Output.LABEL, Output.DECISION):
        return np.where(absent, -1, np.nan_to_num(values[:, 0], nan=-1.0)).astype(np.int64)
    if data.task is Task.MULTICLASS:
        return np.where(absent, -1, np.argmax(np.nan_to_num(values, nan=-1.0), axis=1)).astype(np.int64)
    decided = decide(declaration, values[:, 0])
    return None if decided is None else decided.astype(np.int64)


def flips(evidence: View, again: Answers) -> Flips | NotGathered:
    """Hold the answers about changed rows against the answers about the same rows unchanged.

    Args:
        evidence: shows decisions (or values, where numbers are predicted), and may show units.
        again: with the fact `row`.
    """
    data, row = evidence.declaration.data, again.facts["row"].astype(np.int64)
    numbers = data is not None and data.task is Task.REGRESSION
    before: Integers | Floats
    after: Integers | Floats | None
    if numbers:
        before, after = floats(evidence.values)[row], again.values[:, 0]
        known = np.flatnonzero(np.isfinite(before) & np.isfinite(after))
    else:
        after = decisions_of(evidence.declaration, again.values)
        if after is None:
            return NotGathered(reason=Reason(code="no_decisions"))
        before = evidence.decisions.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)[row]
        known = np.flatnonzero((before >= 0) & (after >= 0))
    if not known.size:
        return NotGathered(reason=Reason(code="no_decisions"))
    unit = unit_codes(evidence)
    every = Flips(
        row=row,
        before=before,
        after=after,
        place=np.arange(len(row)),
        unit=None if unit is None else unit[row],
        numbers=numbers,
    )
    return every.where(known)


def share(
    name: str,
    hit: NDArray[np.bool_],
    terms: Terms,
    family: int = 1,
    unit: Integers | None = None,
    definition: str = DEFINITION,
) -> Measure:
    """Measure a share of rows with Wilson's interval, rows of one person or household counting together.

    Args:
        name: of the measure.
        hit: (m,) whether each row counts in.
        family: number of shares that are looked at together; the interval is Bonferroni's for so many.
        unit: (m,) the person or household of each row; None where each row is one of its own.
        definition: of the measure.
    """
    m = len(hit)
    if m == 0:
        nothing = Reason(code="no_decisions")
        return Measure(name=name, value=None, rows=0, unit="share", definition=definition, reason=nothing)
    value, effective = rate_of_rows(hit, np.ones(m), unit)
    assert value is not None
    rate = np.array([value])

    def bounds(confidence: float) -> tuple[float, float]:
        low, high = wilson(rate, np.array([effective]), critical(confidence))
        return float(low[0]), float(high[0])

    low, high = bounds(1.0 - (1.0 - terms.confidence) / family)
    return Measure(
        name=name,
        value=float(rate[0]),
        low=low,
        high=high,
        unadjusted=bounds(terms.confidence) if family > 1 else None,
        rows=m,
        unit="share",
        definition=definition,
        interval="wilson" if family == 1 else f"wilson, Bonferroni over {family} groups",
    )


def moved(name: str, found: Flips, terms: Terms, family: int = 1) -> Measure:
    """Measure the share of decisions that flip; of numbers `mean_change`, how far they move on average.

    Args:
        name: of the share.
        family: as for `share`.
    """
    if not found.numbers:
        return share(name, found.flipped, terms, family, found.unit)
    definition = "mean absolute gap between the answer to the row as it is and to the row changed"
    away, one = np.abs(found.after - found.before).astype(np.float64), np.ones(len(found.row))
    adjusted = terms.model_copy(update={"confidence": 1.0 - (1.0 - terms.confidence) / family})
    measure, plain = (mean_of("mean_change", definition, "label", away, one, t, found.unit) for t in (adjusted, terms))
    if family == 1 or measure.low is None or plain.low is None or plain.high is None:
        return measure
    told = f"{measure.interval}, Bonferroni over {family} groups"
    return measure.model_copy(update={"unadjusted": (plain.low, plain.high), "interval": told})


def for_whom(
    check: str, evidence: View, found: Flips, terms: Terms, column: Integers | None = None
) -> tuple[tuple[GroupMeasures, ...], tuple[Figure, ...]]:
    """Give what `moved` gives of each input that was changed and of each group of every attribute, and draw both.

    Args:
        check: its code.
        evidence: shows groups, where there are any, and the inputs where `column` is given.
        column: (m,) which input each answer is about; None where it is not about one.
    """
    parts: list[tuple[str | None, list[GroupMeasures]]] = []
    if column is not None:
        parts.append((None, by_input(evidence.features.column_names, column, found, terms)))
    if evidence.holds(Need.GROUPS):
        for attribute in evidence.groups.column_names:
            parts.append((attribute, by_group(attribute, evidence.groups.column(attribute), found, terms)))
    return tuple(g for _, made in parts for g in made), tuple(_drawn(check, *part) for part in parts if part[1])


def _drawn(check: str, attribute: str | None, made: Sequence[GroupMeasures]) -> Figure:
    """Draw the first measure of each group of an attribute; of each input where there is no attribute."""
    measures = [g.measures[0] for g in made]
    params: dict[str, Scalar] = {"measure": measures[0].name, "unit": measures[0].unit}
    return Figure(
        name=check if attribute is None else figure_name(check, attribute),
        kind="bars" if attribute is None else "group_rates",
        columns={
            "feature" if attribute is None else "group": tuple(next(iter(g.group.values())) for g in made),
            "rows": tuple(m.rows for m in measures),
            "value": tuple(m.value for m in measures),
            "low": tuple(m.low for m in measures),
            "high": tuple(m.high for m in measures),
            "too_small": tuple(g.too_small for g in made),
        },
        params=params | ({} if attribute is None else {"attribute": attribute}),
    )


def by_input(names: Sequence[str], column: Integers, found: Flips, terms: Terms) -> list[GroupMeasures]:
    """Give what `moved` gives of each input that was changed, in the order of the inputs.

    Args:
        names: of all inputs.
        column: (m,) which input each answer is about.
    """
    changed = np.unique(column)
    made = []
    for i in changed:
        here = found.where(column == i)
        made.append(
            GroupMeasures(
                group={"feature": names[int(i)]},
                rows=len(here.row),
                too_small=len(here.row) < terms.minimum_rows,
                measures=(moved("flip_rate", here, terms, len(changed)),),
            )
        )
    return made


def by_group(
    attribute: str, of_row: pa.ChunkedArray, found: Flips, terms: Terms, name: str = "flip_rate"
) -> list[GroupMeasures]:
    """Give what `moved` gives of each group of an attribute, groups in the order of their names.

    Args:
        attribute: name of the column.
        of_row: (n,) group of every row of the data, as text; null is a group of its own, last.
    """
    names = of_row.cast(pa.string()).take(pa.array(found.row)).to_pylist()
    groups = sorted({n for n in names if n is not None}) + ([None] if None in names else [])
    made = []
    for group in groups:
        inside = np.array([n == group for n in names])
        here = found.where(inside)
        made.append(
            GroupMeasures(
                group={attribute: group},
                rows=len(here.row),
                too_small=len(here.row) < terms.minimum_rows,
                measures=(moved(name, here, terms, len(groups)),),
            )
        )
    return made
