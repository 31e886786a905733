"""What another threshold, the same for everyone, would do to the difference between groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.fairness._rates import LAW, figure_name
from checks.fairness._thresholds import FACTS, Scores, scores_of
from checks.finding import Figure, GroupMeasures, Item, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check

TRIED: Final = tuple(i / 20 for i in range(1, 20, 2))
"""Shares of people who would get the favourable decision at the thresholds that are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """What one threshold would do."""

    threshold: float
    chosen: float
    difference: float
    ratio: float | None
    accuracy: float | None


@check(
    gives=("difference_now", "smallest_difference"),
    needs=(Need.SCORES, Need.GROUPS),
    may_read=FACTS,
    scope=Scope.ATTRIBUTE,
    tasks=(Task.BINARY,),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=LAW,
    rejudge=Rejudge.EVIDENCE,
)
def remedies(evidence: View, attribute: str, terms: Terms) -> Result:
    """Work out what other thresholds, the same for everyone, would do to the gap in favourable decisions.

    Args:
        evidence: scores, groups, labels and weights. All rows are used.
        attribute: the column that people are compared by.
        terms: the fewest effective rows of a group that counts, and how much another threshold may change.

    Returns:
        `difference_now` and `smallest_difference` (share, 0 to 1, smaller is closer together; without interval, for
        they are worked out afterwards on the same rows): the gap at the declared threshold, and the smallest of those
        tried that are about as accurate (or, without labels, choose about as many). Per threshold tried: `chosen`,
        `difference`, `ratio`, `accuracy`. Items name what else leaves groups out of decisions: inputs left out, and
        weights in training.

    Law:
        AIA 10(2)(g) asks for measures against bias. A threshold for everyone treats no one by group; whether it is
        right for the purpose, no figure says.

    References:
        Corbett-Davies and others (2017), KDD, for the cost of thresholds; Kamiran and Calders (2012), Knowledge and
        Information Systems 33, for weights in training.
    """
    scores = scores_of(evidence, attribute, terms)
    if isinstance(scores, NotGathered):
        return scores
    now = _try(scores, scores.cut)
    order = np.argsort(-scores.favoured, kind="stable")
    reached = np.cumsum(scores.weight[order]) / scores.weight.sum()
    at = [min(int(np.searchsorted(reached, share)), len(order) - 1) for share in TRIED]
    cuts = sorted({float(scores.favoured[order[i]]) for i in at} | {scores.cut})
    tried = [_try(scores, cut) for cut in cuts]
    best = min((t for t in tried if _comparable(t, now, terms)), key=lambda t: t.difference)
    rows = int(scores.large[scores.group].sum())

    def bare(name: str, value: float | None, unit: str, behind: int) -> Measure:
        reason = Reason(code="nobody") if value is None else None
        return Measure(name=name, value=value, rows=behind, unit=unit, reason=reason)

    return Measured(
        measures=(
            bare("difference_now", now.difference, "share", rows),
            bare("smallest_difference", best.difference, "share", rows),
        ),
        groups=tuple(
            GroupMeasures(
                group={"threshold": f"{t.threshold:.4g}"},
                rows=len(scores.weight),
                measures=(
                    bare("chosen", t.chosen, "share", len(scores.weight)),
                    bare("difference", t.difference, "share", rows),
                    bare("ratio", t.ratio, "ratio", rows),
                    *([bare("accuracy", t.accuracy, "share", int(scores.labelled.sum()))] if t.accuracy else ()),
                ),
            )
            for t in tried
        ),
        items=(
            Item(id="one_threshold", state="worked_out"),
            Item(id="inputs_left_out", state="for_the_provider"),
            Item(id="weights_in_training", state="for_the_provider"),
        ),
        figures=(
            Figure(
                name=figure_name("fairness.remedies", attribute),
                kind="thresholds",
                columns={
                    "threshold": tuple(t.threshold for t in tried),
                    "value": tuple(t.difference for t in tried),
                    "chosen": tuple(t.chosen for t in tried),
                    "accuracy": tuple(t.accuracy for t in tried),
                    "rows": tuple(rows for _ in tried),
                },
                params={"attribute": attribute, "measure": "difference", "unit": "share", "now": now.threshold},
            ),
        ),
        reason=Reason(
            code="worked_out_afterwards",
            params={"now": float(f"{now.threshold:.4g}"), "best": float(f"{best.threshold:.4g}"), "tried": len(tried)},
        ),
    )


def _try(scores: Scores, cut: float) -> _Tried:
    chosen = scores.favoured >= cut
    shares = scores.shares(chosen)[scores.large]
    most, least = float(shares.max()), float(shares.min())
    return _Tried(
        threshold=scores.score(cut),
        chosen=scores.overall(chosen),
        difference=most - least,
        ratio=least / most if most > 0 else None,
        accuracy=scores.accuracy(chosen),
    )


def _comparable(tried: _Tried, now: _Tried, terms: Terms) -> bool:
    if tried.accuracy is not None and now.accuracy is not None:
        return tried.accuracy >= now.accuracy - terms.as_accurate
    return abs(tried.chosen - now.chosen) <= terms.as_many
