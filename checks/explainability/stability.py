"""Measure whether explanations stay the same under another background, and when the rows are nudged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import stats

from checks.evidence import Answers, Need, View, answers
from checks.explainability._averages import Counted
from checks.explainability._rows import COUNTED, PROBE, UNITS, counted, span_of
from checks.explainability._shapley import Explained, Floats, Shapley, explained_output, shapley_values
from checks.explainability._told_apart import settles_nothing, told_apart
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotApplicable, NotGathered, Reason
from checks.policy import Terms
from checks.probes.coalitions import players_of
from checks.registry import check
from checks.statistics import critical, finite_bounds

AGAIN = "explained_again"

FEWEST_INPUTS = 3
"""Inputs below which a rank correlation says nothing."""


@check(
    gives=("background_rank", "background_change", "chance_alone", "nudge_rank", "nudge_change", "told_apart"),
    needs=(Need.FEATURES, answers(PROBE), answers(AGAIN)),
    may_read=COUNTED,
    law=("AIA 13(3)(b)(iv)", "AIA 13(3)(b)(vii)", "AIA 15(4)"),
    version=2,
)
def stability(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Compare the Shapley values of the same rows under two backgrounds, and before and after a nudge.

    Reads:
        The answers to the probe `explained_again`: two backgrounds drawn apart for the same rows, and the same rows
        with every number moved a little. Those to `coalitions`, to tell whether mixed rows can be told from real ones.

    Args:
        evidence: shows features and answers; weights and units where there are any.
        terms: the confidence of the intervals.

    Returns:
        `background_rank` and `nudge_rank` (Spearman's rank correlation over the inputs of a row, averaged over rows; -1
        to 1, higher is steadier; t interval). `background_change` and `nudge_change` (in the unit of the output, from
        0; lower is steadier): the mean absolute change of the value of the input that changes most, with an interval
        that holds for all inputs at once (Bonferroni). `chance_alone` (same unit): the change of that input to be
        expected from the sampling of orders and rows alone, were both backgrounds the same; it is within
        `background_change`. No value where there is none: fewer than three inputs, or nothing that can be nudged.
        Per input both changes (t interval at the confidence of one).

    Law:
        Art 15(4) asks for consistent performance; it says nothing of explanations. An explanation that turns with the
        background is a weak base for the information that Art 13(3)(b) asks for.

    References:
        Alvarez-Melis and Jaakkola (2018), On the robustness of interpretability methods; the measures are this
        project's own.
    """
    given = evidence.answers(AGAIN)
    if not np.isfinite(given.values).all():
        return NotGathered(reason=Reason(code="answers_incomplete"))
    players = players_of(evidence.features.column_names, evidence.declaration)
    names = tuple(name for name, _ in players)
    how = counted(evidence, given.facts["row"].astype(np.int64))
    first, what = _part(evidence, given, "first", with_features=True)
    second, _ = _part(evidence, given, "second", with_features=True, what=what)
    unit = UNITS[what.kind]
    moved = np.abs(second.values - first.values)
    most = int(np.argmax(how.mean(moved)))
    chance = np.sqrt(2.0 / np.pi) * np.sqrt(first.errors**2 + second.errors**2)[:, [most]]
    # Two values of one input lie at most this far apart.
    apart_at_most = 2.0 * span_of(what)
    measures = [
        _rank("background_rank", first.values, second.values, how, terms),
        _change("background_change", moved, how, terms, unit, names, apart_at_most),
        _mean("chance_alone", chance, how, critical(terms.confidence), unit, apart_at_most).model_copy(
            update={"definition": "mean of a half-normal of both standard errors together"}
            | ({"low": 0.0, "high": 0.0, "interval": "exact"} if first.exact and second.exact else {})
        ),
    ]
    changes = {"background_change": moved}
    if "nudged_index" in given.facts:
        # Both were asked with the same background rows and orders: without the control variate chance cancels best.
        plain, _ = _part(evidence, given, "first", with_features=False, what=what)
        nudged, _ = _part(evidence, given, "nudged", with_features=False, what=what)
        changes["nudge_change"] = np.abs(nudged.values - plain.values)
        measures += [
            _rank("nudge_rank", plain.values, nudged.values, how, terms),
            _change("nudge_change", changes["nudge_change"], how, terms, unit, names, apart_at_most),
        ]
    else:
        none = Reason(code="nothing_to_nudge")
        measures += [
            Measure(name=name, value=None, rows=len(moved), unit=of, reason=none)
            for name, of in (("nudge_rank", "ratio"), ("nudge_change", unit))
        ]
    order = np.lexsort((np.arange(len(names)), -how.mean(moved)))
    z = critical(terms.confidence)
    groups = tuple(
        GroupMeasures(
            group={"feature": names[j]},
            rows=len(moved),
            measures=tuple(
                _mean(name, change[:, [j]], how, z, unit, apart_at_most) for name, change in changes.items()
            ),
        )
        for j in order
    )
    figures = tuple(
        Figure(
            name=f"explainability.stability.{name}",
            kind="bars",
            columns={
                "feature": tuple(names[j] for j in order),
                **{
                    side: tuple(getattr(measure, side) for group in groups for measure in group.measures[i : i + 1])
                    for side in ("value", "low", "high", "rows")
                },
            },
            params={"unit": unit, "measure": name},
        )
        for i, name in enumerate(changes)
    )
    apart = told_apart(evidence.features, evidence.answers(PROBE).facts, evidence.seed, terms, names)
    return Measured(
        measures=(*measures, apart),
        groups=groups,
        figures=figures,
        reason=Reason(
            code="explained_again",
            params={"rows": len(moved), "first": first.background_rows, "second": second.background_rows},
        ),
        settles_nothing=settles_nothing(apart, terms),
    )


def _part(
    evidence: View, given: Answers, part: str, *, with_features: bool, what: Explained | None = None
) -> tuple[Shapley, Explained]:
    """Compute the values of one of the explanations; what is explained of each row is what the first one explains."""
    facts = {n.removeprefix(f"{part}_"): v for n, v in given.facts.items() if n.startswith(f"{part}_")}
    facts["player"] = given.facts["player"]
    at = ("first", "second", "nudged").index(part)
    begin, end = given.facts["begin"][at : at + 2]
    explained = explained_output(evidence.declaration, given.values[begin:end], len(facts["explained"]))
    if what is not None:
        explained = replace(explained, column=what.column)
    features = evidence.features if with_features else None
    return shapley_values(explained.numbers, facts, features=features, column=explained.column), explained


def _rank(name: str, before: Floats, after: Floats, how: Counted, terms: Terms) -> Measure:
    definition = "mean over rows of scipy.stats.spearmanr over inputs"
    moves = (np.ptp(before, axis=1) > 1e-12) & (np.ptp(after, axis=1) > 1e-12)
    rows = int(moves.sum())
    few = before.shape[1] < FEWEST_INPUTS
    if few or rows < 2:
        none = Reason(code="too_few_inputs" if few else "nothing_moves")
        return Measure(name=name, value=None, rows=rows, unit="ratio", definition=definition, reason=none)
    ranks = [stats.rankdata(np.round(v[moves], 12), axis=1) for v in (before, after)]
    x, y = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    each = (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    of_rows = how.of(moves)
    (low,), (high,) = of_rows.interval(each[:, None], critical(terms.confidence), (-1.0, 1.0))
    least, most = finite_bounds(low, high)
    if least is not None and most is not None:
        least, most = max(least, -1.0), min(most, 1.0)
    return Measure(
        name=name,
        value=float(of_rows.mean(each)),
        low=least,
        high=most,
        rows=rows,
        unit="ratio",
        definition=definition,
        interval=of_rows.method,
    )


def _change(
    name: str, moved: Floats, how: Counted, terms: Terms, unit: str, names: tuple[str, ...], at_most: float
) -> Measure:
    p = moved.shape[1]
    low, high = how.interval(moved, critical(1.0 - (1.0 - terms.confidence) / p), (0.0, at_most))
    most = int(np.argmax(how.mean(moved)))
    bounds = finite_bounds(max(float(low.max()), 0.0), high.max())
    return Measure(
        name=name,
        value=float(how.mean(moved)[most]),
        low=bounds[0],
        high=bounds[1],
        rows=len(moved),
        unit=unit,
        definition="largest mean absolute change of the Shapley value of an input",
        interval=f"{how.method}, Bonferroni over {p} inputs",
        reason=Reason(code="changes_most", params={"feature": names[most]}),
    )


def _mean(name: str, change: Floats, how: Counted, z: float, unit: str, at_most: float) -> Measure:
    (low,), (high,) = how.interval(change, z, (0.0, at_most))
    bounds = finite_bounds(max(float(low), 0.0), high)
    return Measure(
        name=name,
        value=float(how.mean(change)[0]),
        low=bounds[0],
        high=bounds[1],
        rows=len(change),
        unit=unit,
        definition="mean absolute change of the Shapley value",
        interval=how.method,
    )
