"""Measure whether the system does worse once the rows are not quite, or not at all, those that were submitted.

Assumes that the labels never entered the model's cell. Whoever supplies the model and the data can store the answers in
the model; a lookup of whole rows is lost by a change smaller than the data can tell, and rows that only a reviewer has
cannot have been stored at all. What was learned is kept in both cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checks.counting import unit_codes
from checks.data_governance._shares import Rows
from checks.declaration import Route, Task
from checks.evidence import Answers, Need, View, answers
from checks.finding import Figure, Measure, Measured, NotApplicable, NotGathered, Reason, Scalar
from checks.policy import Terms
from checks.registry import check
from checks.robustness._flips import decisions_of, flips, share
from checks.statistics import (
    Floats,
    alike_interval,
    critical,
    finite_bounds,
    gaps,
    mean_interval,
    paired_difference,
    ratios,
    skewness,
)

DEFINITION = "share of rows right as submitted, less the share of the same rows right after the change"
RIGHT = "rows whose decision is the label over rows with a label, each row counted once"
HELD = "share of all submitted rows right, less the share of the holdout right"
ERROR = "mean absolute error over rows with a label, each row counted once"

_PRECISION, _HOLDOUT = "within_precision", "holdout"


@check(
    gives=(
        "accuracy_lost",
        "accuracy_submitted",
        "accuracy_changed",
        "holdout_lost",
        "accuracy_all",
        "accuracy_holdout",
        "error_gained",
        "error_ratio",
        "error_submitted",
        "error_changed",
        "holdout_error_ratio",
        "error_all",
        "error_holdout",
    ),
    needs=(Need.LABELS,),
    may_read=(Need.DECISIONS, Need.VALUES, Need.UNITS, Need.WEIGHTS, answers(_PRECISION), answers(_HOLDOUT)),
    routes=(Route.MODEL,),
    law=("AIA 15(5)", "AIA 15(3)", "AIA Annex IV 2(g)"),
    version=2,
)
def memorised_answers(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Compare how well the system does on the rows as submitted, moved by less than their precision, and held out.

    Reads:
        The answers to the probes `within_precision` and `holdout`, the first answers, labels and units.

    Args:
        evidence: see above; the holdout is there where a reviewer added one.
        terms: the confidence of the interval.

    Returns:
        Classes: `accuracy_lost` (share, -1 to 1; near 0 is better; interval of a paired difference): accuracy as
        submitted less accuracy after the change, over the same rows; `accuracy_submitted` and `accuracy_changed` over
        those rows. `holdout_lost` (share, -1 to 1; near 0 is better; Newcombe's interval): accuracy on all submitted
        rows (`accuracy_all`) less that on the holdout (`accuracy_holdout`); Wilson's intervals, units kept together.
        Numbers, in the unit of the label: `error_gained` (near 0 is better; Student's interval of the mean difference),
        `error_submitted`, `error_changed`, and the ratio of these two (`error_ratio`, from 0, near 1 is better; on the
        logarithm, rows paired); `holdout_error_ratio` (from 0, near 1 is better; MOVER): mean absolute error
        on all submitted rows (`error_all`) over that on the holdout (`error_holdout`).

    Law:
        Art 15(5) asks for resilience against attempts to alter a system's performance; Art 15(3) for the declared
        accuracy. An accuracy that was stored rather than learned is that of no other person's case.

    References:
        The comparison is this project's own; MOVER for a paired difference: Zou (2007); Newcombe (1998), method 10, for
        independent shares; Donner and Zou (2012) for a ratio of means.
    """
    data = evidence.declaration.data
    numbers = data is not None and data.task is Task.REGRESSION
    changed = evidence.answers(_PRECISION) if evidence.holds(answers(_PRECISION)) else None
    held = evidence.answers(_HOLDOUT) if evidence.holds(answers(_HOLDOUT)) else None
    if changed is None and held is None:
        return NotGathered(reason=Reason(code="not_asked", params={"probe": _PRECISION}))
    if not evidence.holds(Need.VALUES if numbers else Need.DECISIONS):
        return NotGathered(reason=Reason(code="no_decisions"))
    measures: list[Measure] = []
    params: dict[str, Scalar] = {"rows": 0, "columns": 0}
    if changed is not None:
        own = _moved_errors(evidence, changed, terms) if numbers else _moved_decisions(evidence, changed, terms)
        if isinstance(own, NotGathered) and held is None:
            return own
        if not isinstance(own, NotGathered):
            measures += own
            params = {"rows": own[0].rows, "columns": int(changed.facts["moved"].sum())}
    figures: tuple[Figure, ...] = ()
    if held is not None:
        compared = _held_errors(evidence, held, terms) if numbers else _held_decisions(evidence, held, terms)
        if isinstance(compared, NotGathered):
            return compared
        measures += compared
        figures = (_figure(measures),)
        params |= {"held": compared[-1].rows, "left_out": int(held.facts["left_out"][0])}
    code = "moved_within_precision" if held is None else "held_against_a_holdout"
    return Measured(measures=tuple(measures), figures=figures, reason=Reason(code=code, params=params))


def _moved_decisions(evidence: View, changed: Answers, terms: Terms) -> list[Measure] | NotGathered:
    found = flips(evidence, changed)
    if isinstance(found, NotGathered):
        return found
    label = evidence.labels.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)[found.row]
    known = label >= 0
    if not known.any():
        return NotGathered(reason=Reason(code="no_labelled_rows"))
    before, after = (decided[known] == label[known] for decided in (found.before, found.after))
    lost, gained = float((before & ~after).mean()), float((after & ~before).mean())
    low, high = paired_difference(lost, gained, int(known.sum()), critical(terms.confidence))
    return [
        Measure(
            name="accuracy_lost",
            value=lost - gained,
            low=low,
            high=high,
            rows=int(known.sum()),
            unit="share",
            definition=DEFINITION,
            interval="MOVER for paired shares",
        ),
        share("accuracy_submitted", before, terms, definition=RIGHT),
        share("accuracy_changed", after, terms, definition=RIGHT),
    ]


def _held_decisions(evidence: View, held: Answers, terms: Terms) -> list[Measure] | NotGathered:
    decided = decisions_of(evidence.declaration, held.values)
    label = evidence.labels.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    first = evidence.decisions.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    if decided is None:
        return NotGathered(reason=Reason(code="no_decisions"))
    their_label = np.nan_to_num(held.facts["label"], nan=-1.0).astype(np.int64)
    known, theirs_known = (label >= 0) & (first >= 0), (their_label >= 0) & (decided >= 0)
    if not known.any() or not theirs_known.any():
        return NotGathered(reason=Reason(code="no_labelled_rows"))
    unit = unit_codes(evidence)
    submitted = Rows(weight=np.ones(len(label)), unit=np.arange(len(label)) if unit is None else unit)
    reviewer = Rows(weight=np.ones(len(decided)), unit=np.unique(held.facts["unit"], return_inverse=True)[1])
    both = [
        submitted.share("accuracy_all", first == label, terms, among=known, definition=RIGHT),
        reviewer.share("accuracy_holdout", decided == their_label, terms, among=theirs_known, definition=RIGHT),
    ]
    value = np.array([m.value for m in both], dtype=np.float64)
    low, high = gaps(value, [m.low or 0.0 for m in both], [1.0 if m.high is None else m.high for m in both])
    lost = Measure(
        name="holdout_lost",
        value=float(value[0] - value[1]),
        low=float(low[0, 1]),
        high=float(high[0, 1]),
        rows=sum(m.rows for m in both),
        unit="share",
        definition=HELD,
        interval="newcombe",
    )
    return [lost, *both]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mean:
    """A mean of numbers that come in units: its value, bounds and rows."""

    value: float
    low: float
    high: float
    rows: int

    @classmethod
    def of(cls, numbers: Floats, unit: NDArray[np.int64], terms: Terms) -> _Mean:
        codes = np.unique(unit, return_inverse=True)[1]
        units = int(codes.max()) + 1
        value = float(numbers.mean())
        influence = np.bincount(codes, weights=numbers - value) / len(numbers)
        variance = float((influence**2).sum()) * units / max(1, units - 1)
        low, high = mean_interval([value], [variance], [float(units)], critical(terms.confidence), skewness(influence))
        return cls(value=value, low=float(low[0]), high=float(high[0]), rows=len(numbers))

    def measure(self, name: str, definition: str, *, least: float | None = None) -> Measure:
        # Errors that are all alike show no spread, and bound nothing.
        bounded = bool(np.isfinite([self.low, self.high]).all()) and self.low < self.high
        low = self.low if least is None else max(least, self.low)
        return Measure(
            name=name,
            value=self.value,
            low=low if bounded else None,
            high=self.high if bounded else None,
            rows=self.rows,
            unit="label",
            definition=definition,
            interval="student, skewness corrected" if bounded else "",
        )


def _units(evidence: View, rows: int) -> NDArray[np.int64]:
    unit = unit_codes(evidence)
    return np.arange(rows) if unit is None else unit


def _errors(evidence: View) -> Floats:
    value, label = (
        np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
        for column in (evidence.values, evidence.labels)
    )
    return np.asarray(np.abs(value - label), dtype=np.float64)


def _moved_errors(evidence: View, changed: Answers, terms: Terms) -> list[Measure] | NotGathered:
    row = changed.facts["row"].astype(np.int64)
    label = np.asarray(evidence.labels.to_numpy(zero_copy_only=False), dtype=np.float64)[row]
    before, after = _errors(evidence)[row], np.abs(changed.values[:, 0] - label)
    known = ~(np.isnan(before) | np.isnan(after))
    if not known.any():
        return NotGathered(reason=Reason(code="no_labelled_rows"))
    unit = _units(evidence, evidence.labels.length())[row][known]
    before, after = before[known], after[known]
    return [
        _Mean.of(after - before, unit, terms).measure("error_gained", f"{ERROR}, after the change less as submitted"),
        _paired_ratio(before, after, unit, terms),
        _Mean.of(before, unit, terms).measure("error_submitted", ERROR, least=0.0),
        _Mean.of(after, unit, terms).measure("error_changed", ERROR, least=0.0),
    ]


def _paired_ratio(before: Floats, after: Floats, unit: NDArray[np.int64], terms: Terms) -> Measure:
    definition = f"{ERROR}: as submitted over after the change, the same rows"
    first, second, rows = float(before.mean()), float(after.mean()), len(before)
    if second == 0:
        reason = Reason(code="no_error_to_compare_with")
        return Measure(name="error_ratio", value=None, rows=rows, unit="ratio", definition=definition, reason=reason)
    value, how = first / second, "delta method on the logarithm, rows paired"
    if first > 0:
        spread = _Mean.of(before / first - after / second, unit, terms)
        # Where every error stays in the same proportion there is no spread, and nothing is bounded.
        bounded = spread.low < spread.high
        low, high = finite_bounds(*(value * np.exp([spread.low, spread.high]))) if bounded else (None, None)
    else:
        # That no error was seen does not show that there is none: other rows may have the largest that was seen.
        changed, units, how = _Mean.of(after, unit, terms), float(len(np.unique(unit))), "MOVER, none seen"
        unseen = float(alike_interval([0.0], units, (0.0, float(after.max())), critical(terms.confidence))[1][0])
        least, most = ratios([0.0, second], [0.0, max(0.0, changed.low)], [unseen, changed.high])
        low, high = finite_bounds(least[0, 1], most[0, 1])
    return Measure(
        name="error_ratio",
        value=value,
        low=low,
        high=high,
        rows=rows,
        unit="ratio",
        definition=definition,
        interval="" if low is None else how,
    )


def _held_errors(evidence: View, held: Answers, terms: Terms) -> list[Measure] | NotGathered:
    mine, theirs = _errors(evidence), np.abs(held.values[:, 0] - held.facts["label"])
    known, theirs_known = ~np.isnan(mine), ~np.isnan(theirs)
    if not known.any() or not theirs_known.any():
        return NotGathered(reason=Reason(code="no_labelled_rows"))
    all_rows = _Mean.of(mine[known], _units(evidence, len(mine))[known], terms)
    holdout = _Mean.of(theirs[theirs_known], held.facts["unit"][theirs_known], terms)
    reason = Reason(code="no_error_to_compare_with")
    ratio = Measure(name="holdout_error_ratio", value=None, rows=all_rows.rows, unit="ratio", reason=reason)
    if holdout.value > 0:
        both = (all_rows, holdout)
        bounds: tuple[float | None, float | None] = (None, None)
        if all(np.isfinite((m.low, m.high)).all() for m in both):
            low, high = ratios([m.value for m in both], [max(0.0, m.low) for m in both], [m.high for m in both])
            bounds = finite_bounds(low[0, 1], high[0, 1])
        bounded = bounds[0] is not None
        ratio = Measure(
            name="holdout_error_ratio",
            value=all_rows.value / holdout.value,
            low=bounds[0],
            high=bounds[1],
            rows=all_rows.rows + holdout.rows,
            unit="ratio",
            definition=f"{ERROR}: of all submitted rows over that of the holdout",
            interval="MOVER" if bounded else "",
        )
    return [
        ratio,
        all_rows.measure("error_all", ERROR, least=0.0),
        holdout.measure("error_holdout", ERROR, least=0.0),
    ]


def _figure(measures: list[Measure]) -> Figure:
    kept = [m for m in measures if m.name.rpartition("_")[2] in ("all", "submitted", "changed", "holdout")]
    return Figure(
        name="cybersecurity.memorised_answers",
        kind="bars",
        columns={
            "measure": tuple(m.name for m in kept),
            "value": tuple(m.value for m in kept),
            "low": tuple(m.low for m in kept),
            "high": tuple(m.high for m in kept),
            "rows": tuple(m.rows for m in kept),
        },
        params={"measure": kept[0].name, "unit": kept[0].unit, "label": "measure"},
    )
