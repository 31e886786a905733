"""Measure how the answers go along with the values of one input: partial dependence and accumulated local effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from checks.evidence import Need, View, answers
from checks.explainability._averages import Counted, rounding
from checks.explainability._rows import COUNTED, PROBE, UNITS, as_text, counted, span_of
from checks.explainability._shapley import Floats, explained_output
from checks.explainability._told_apart import settles_nothing, told_apart
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotApplicable, NotGathered, Reason, Scalar
from checks.policy import Terms
from checks.probes.coalitions import players_of
from checks.probes.effects import numbers_of
from checks.registry import check
from checks.statistics import critical, finite, finite_bounds, wilson

ASKED = "effects"

ROUNDS = 200

FEWEST_IN_BIN = 5
"""Rows between two neighbouring edges of accumulated effects, at least; of fewer a bootstrap says too little."""

MOST_DRAWN = 3
"""Inputs whose effects are drawn: those with the widest."""

DEFINITIONS = {
    "partial_dependence": "range of sklearn.inspection.partial_dependence, method brute, over the values asked",
    "accumulated": "range of the accumulated local effects of Apley and Zhu over the values asked",
}


@check(
    gives=("rows_asked", "inputs_asked", "told_apart"),
    needs=(Need.FEATURES, answers(PROBE), answers(ASKED)),
    may_read=COUNTED,
    law=("AIA 13(3)(b)(iv)", "AIA 13(3)(b)(vii)", "AIA Annex IV 2(b)"),
    version=2,
)
def effects(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Follow the average answer along the values of each input.

    Reads:
        The answers to the probe `effects`: some rows with each of a few values of one input, all else as it is. Those
        to `coalitions`, to tell whether mixed rows can be told from real ones.

    Args:
        evidence: shows features and answers; weights and units where there are any.
        terms: the confidence of the intervals.

    Returns:
        `rows_asked`, `inputs_asked` (exact counts). `told_apart` as in `feature_importance`. Per input the width, from
        its lowest point to its highest, of `partial_dependence` (the average answer if all had a value) and, for
        numbers, of `accumulated` (local effects: only rows near a value say what it does, so that no row gets a value
        far from its own). Both in the unit of the output, from 0; wider means that more hangs on the input. Intervals
        from a Bayesian bootstrap over rows (or units), held along the whole curve at once. Figures: both curves, less
        their average, of the widest inputs.

    Law:
        Annex IV 2(b) and Art 13(3)(b) ask for information on how the system works; not for these curves.

    References:
        Friedman (2001), Annals of Statistics 29; Apley and Zhu (2020), JRSS B 82; Montiel Olea and
        Plagborg-Moller (2019) for bands that hold along a curve.
    """
    given = evidence.answers(ASKED)
    if not np.isfinite(given.values).all():
        return NotGathered(reason=Reason(code="answers_incomplete"))
    row, of = given.facts["row"].astype(np.int64), given.facts["player"].astype(np.int64)
    players, r = players_of(evidence.features.column_names, evidence.declaration), len(row)
    what = explained_output(evidence.declaration, given.values, r)
    unit, how, span = UNITS[what.kind], counted(evidence, row), span_of(what)
    answered = what.numbers[r:].reshape(len(of), r, -1)[:, np.arange(r), what.column]
    drawn = how.bootstrapped(ROUNDS, np.random.default_rng([evidence.seed, r, 20_20]))
    own, donors = evidence.features.take(pa.array(row)), evidence.features.take(pa.array(given.facts["donor"]))
    curves: list[tuple[int, str, tuple[Scalar, ...], _Curve]] = []
    for j in np.unique(of):
        columns = players[j][1]
        chosen = np.flatnonzero(of == j)
        shown = tuple(_shown(donors, columns, int(g)) for g in chosen)
        curves.append(
            (int(j), "partial_dependence", shown, _curve(answered[chosen], how, drawn, terms.confidence, span))
        )
        values, edges = numbers_of(own, columns), numbers_of(donors.take(pa.array(chosen)), columns)
        if values is not None and edges is not None and len(edges) > 1:
            kept = filled(values, edges)
            local = (values, edges[kept])
            curve = _curve(answered[chosen[kept]], how, drawn, terms.confidence, span, local)
            curves.append((int(j), "accumulated", tuple(shown[i] for i in kept), curve))
    widest = {j: max(c.width for n, _, _, c in curves if n == j) for j, *_ in curves}
    order = sorted(widest, key=lambda j: -widest[j])
    groups = tuple(
        GroupMeasures(
            group={"feature": players[j][0]},
            rows=r,
            measures=tuple(_width(way, curve, unit, r, how) for n, way, _, curve in curves if n == j),
        )
        for j in order
    )
    figures = tuple(
        Figure(
            name=f"explainability.effects.{place}.{way}",
            kind="effect",
            columns={
                "at": shown,
                "value": tuple(curve.at.tolist()),
                "low": tuple(finite(v) for v in curve.low),
                "high": tuple(finite(v) for v in curve.high),
            },
            params={"unit": unit, "attribute": players[j][0], "measure": way},
            # The values asked are those of single rows, the lowest and the highest among them.
            row_level=True,
        )
        for place, wanted in enumerate(order[:MOST_DRAWN], start=1)
        for j, way, shown, curve in curves
        if j == wanted
    )
    names = tuple(name for name, _ in players)
    apart = told_apart(evidence.features, evidence.answers(PROBE).facts, evidence.seed, terms, names)
    counts = (("rows_asked", float(len(given.values)), "rows"), ("inputs_asked", float(len(order)), "count"))
    return Measured(
        measures=(
            *(
                Measure(name=name, value=value, low=value, high=value, rows=r, unit=counted_in, interval="exact")
                for name, value, counted_in in counts
            ),
            apart,
        ),
        groups=groups,
        figures=figures,
        reason=Reason(code="effects_of", params={"asked": len(order), "inputs": len(players), "rows": r}),
        settles_nothing=settles_nothing(apart, terms),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curve:
    """A curve over g values less its average, with a band that holds along all of it."""

    at: Floats
    low: Floats
    high: Floats

    @property
    def width(self) -> float:
        return float(np.ptp(self.at))


def _curve(
    answered: Floats,
    how: Counted,
    drawn: Floats,
    confidence: float,
    span: float,
    local: tuple[Floats, Floats] | None = None,
) -> _Curve:
    """Draw a curve; `local` has the rows' own values and the edges of accumulated effects."""
    weights = np.concatenate([how.weight[None, :], drawn])
    if local is None:
        every = partial_dependence(answered, weights)
        every -= every.mean(axis=1, keepdims=True)
    else:
        every = accumulated(answered, *local, weights)
    at, again = every[0], every[1:]
    spread = again.std(axis=0)
    away = np.divide(np.abs(again - at), spread, out=np.zeros_like(again), where=spread > 0)
    half = np.quantile(away.max(axis=1), confidence) * spread
    if how.effective < 2.0:
        half = np.full_like(spread, np.inf)
    elif (spread <= rounding(answered)).all():
        # The curves of all rows are alike; of rows not seen some may run anywhere else.
        half = np.full_like(spread, span * float(wilson([0.0], [how.effective], critical(confidence))[1][0]))
    return _Curve(at=at, low=at - half, high=at + half)


def partial_dependence(answered: Floats, weights: Floats) -> Floats:
    """Average the answers over rows at each value asked.

    Args:
        answered: (g, r) answers.
        weights: (b, r) weights of the rows, b times.

    Returns:
        (b, g).
    """
    return np.asarray(weights @ answered.T / weights.sum(axis=1, keepdims=True))


def filled(values: Floats, edges: Floats) -> list[int]:
    """Choose edges with `FEWEST_IN_BIN` rows at least in every bin: above one edge, up to the next.

    Rows at the lowest edge are in the first bin, as in `accumulated`.

    Args:
        values: (r,) the rows' own values; NaN where missing.
        edges: (g,) rising, from 2.

    Returns:
        Positions, rising; the two ends alone where the rows are too few for more.
    """
    below = (values[None, :] <= edges[:, None]).sum(axis=1)
    below[0] = 0
    kept, last = [0], len(edges) - 1
    for i in range(1, last):
        if min(below[i] - below[kept[-1]], below[last] - below[i]) >= FEWEST_IN_BIN:
            kept.append(i)
    return [*kept, last]


def accumulated(answered: Floats, values: Floats, edges: Floats, weights: Floats) -> Floats:
    """Add up, from value to value, what the answers about the rows in between change by.

    Args:
        answered: (g, r) answers about each row with each of the edges as its value.
        values: (r,) the rows' own values; NaN where missing, which leaves a row out.
        edges: (g,) rising; the values lie within them, and some in every bin (edges[k], edges[k + 1]], of which the
            first holds its lower edge as well.
        weights: (b, r) weights of the rows, b times.

    Returns:
        (b, g) effects, less their average over the rows.

    References:
        Apley and Zhu (2020), JRSS B 82, equations 15 and 16.
    """
    known = np.isfinite(values)
    place = np.clip(np.searchsorted(edges, values[known], side="left") - 1, 0, len(edges) - 2)
    each = np.arange(int(known.sum()))
    inside = answered[:, known]
    change = inside[place + 1, each] - inside[place, each]
    within = np.eye(len(edges) - 1)[place]
    mass = weights[:, known] @ within
    steps = weights[:, known] @ (within * change[:, None]) / mass
    reached = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(steps, axis=1)], axis=1)
    middle = (reached[:, 1:] + reached[:, :-1]) / 2.0
    return np.asarray(reached - ((middle * mass).sum(axis=1) / mass.sum(axis=1))[:, None])


def _width(way: str, curve: _Curve, unit: str, rows: int, how: Counted) -> Measure:
    low, high = finite_bounds(max(0.0, float(curve.low.max() - curve.high.min())), curve.high.max() - curve.low.min())
    return Measure(
        name=way,
        value=curve.width,
        low=low,
        high=high,
        rows=rows,
        unit=unit,
        definition=DEFINITIONS[way],
        interval=f"Bayesian bootstrap over {'rows' if how.unit is None else 'units'}, sup-t along the curve",
    )


def _shown(donors: pa.Table, columns: tuple[str, ...], at: int) -> Scalar:
    values = [donors.column(c)[at].as_py() for c in columns]
    if len(columns) == 1:
        return as_text(values[0])
    return ", ".join(c for c, v in zip(columns, values, strict=True) if v not in (None, 0, False)) or None
