"""What the provider says the system reaches, beside what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from checks.accuracy._confusion import Confusion, confuse, standing
from checks.accuracy._regressed import ROW_FACTS as REGRESSION_FACTS
from checks.accuracy._regressed import errors_of, regressed
from checks.accuracy._scored import ROW_FACTS, auc_of, probability_losses, scored
from checks.accuracy.overall import accuracy_of, balanced_accuracy_of, favourable_of
from checks.counting import UNIT_FACTS
from checks.declaration import Route, Task
from checks.evidence import Need, View
from checks.finding import Item, Measure, Measured, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import check

KNOWN = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "auc",
    "log_loss",
    "brier",
    "mae",
    "rmse",
    "r2",
)
"""Names of measures that a claim can be held against."""

SMALLER_IS_BETTER = ("log_loss", "brier", "mae", "rmse")
"""Measures of which a small figure is the flattering one."""


@check(
    gives=KNOWN,
    needs=(Need.CLAIMS,),
    may_read=(Need.CELLS, *dict.fromkeys((*UNIT_FACTS, *ROW_FACTS, *REGRESSION_FACTS))),
    tasks=(Task.BINARY, Task.MULTICLASS, Task.REGRESSION),
    routes=(Route.MODEL, Route.PREDICTIONS, Route.COUNTS),
    law=("AIA 15(3)", "AIA 13(3)(b)(ii)", "AIA Annex IV 3"),
    rejudge=Rejudge.EVIDENCE,
    version=2,
)
def claims(evidence: View, terms: Terms) -> Result:
    """Compare each figure that the provider claims with the one measured here.

    Args:
        evidence: the claims by name; counts, scores and values as far as they are there.
        terms: confidence.

    Returns:
        Per claim a measure of its name: by how much the claim flatters the system (claimed minus measured, or measured
        minus claimed where smaller is better; in the measure's unit, at most 0 is as good as claimed or better, larger
        is worse). Its interval comes from that of the measured figure; the claim itself is taken as exact. An item per
        claim: `compared`, `not_measured`, `repeated` (the same measure claimed twice) or `unknown`
        (a name that this check does not know).

    Law:
        AIA 15(3) asks to declare accuracy and its measures in the instructions for use. The claim may be about other
        data than these: a difference is a question to the provider, not proof of a false statement.

    References:
        The definitions of `accuracy.overall`, `accuracy.scores` and `accuracy.regression`.
    """
    measured = {m.name: m for m in _all_measured(evidence, terms)}
    measures: list[Measure] = []
    items: list[Item] = []
    for name, claimed in evidence.claims.items():
        known = name.lower().replace(" ", "_").replace("-", "_")
        found = measured.get(known)
        if known in {m.name for m in measures}:
            items.append(Item(id=name, state="repeated", params={"claimed": claimed}))
        elif known not in KNOWN:
            items.append(Item(id=name, state="unknown", params={"claimed": claimed, "known": ", ".join(KNOWN)}))
        elif found is None or found.value is None:
            items.append(Item(id=known, state="not_measured", params={"claimed": claimed}))
            why = found.reason if found is not None and found.reason is not None else Reason(code="not_measured")
            measures.append(Measure(name=known, value=None, rows=0, unit=_unit(known), reason=why))
        else:
            items.append(Item(id=known, state="compared", params={"claimed": claimed, "measured": found.value}))
            measures.append(_shortfall(found, claimed))
    rows, unlabelled, unanswered = _counts(evidence)
    reason, never_within = standing(evidence, terms, rows, unlabelled, unanswered)
    return Measured(
        measures=tuple(measures),
        items=tuple(items),
        reason=reason,
        never_within=never_within,
    )


def _counts(evidence: View) -> tuple[int, int, int]:
    confusion = confuse(evidence) if evidence.holds(Need.CELLS) else None
    if isinstance(confusion, Confusion):
        return confusion.rows, confusion.unlabelled, confusion.unanswered
    rows = regressed(evidence)
    return (rows.rows, rows.unlabelled, rows.unanswered) if rows is not None else (0, 0, 0)


def _all_measured(evidence: View, terms: Terms) -> Iterable[Measure]:
    data = evidence.declaration.data
    assert data is not None
    if data.task is Task.REGRESSION:
        rows = regressed(evidence)
        if rows is not None and len(rows.label):
            yield from errors_of(rows, terms)
        return
    if evidence.holds(Need.CELLS):
        confusion = confuse(evidence)
        if isinstance(confusion, Confusion):
            favourable = data.classes.index(data.favourable) if data.favourable is not None else None
            yield accuracy_of(confusion, terms)
            yield balanced_accuracy_of(confusion, terms)
            yield from favourable_of(confusion, favourable, terms)
    given = scored(evidence)
    if given is not None and not len(given.score):
        return
    yield auc_of(given, evidence, terms)
    yield from probability_losses(given, evidence, terms)


def _shortfall(found: Measure, claimed: float) -> Measure:
    assert found.value is not None
    ends = None if found.low is None or found.high is None else (found.low, found.high)
    turned: Callable[[float], float] = (
        (lambda v: v - claimed) if found.name in SMALLER_IS_BETTER else (lambda v: claimed - v)
    )
    bounds = None if ends is None else sorted(turned(v) for v in ends)
    return Measure(
        name=found.name,
        value=turned(found.value),
        low=None if bounds is None else bounds[0],
        high=None if bounds is None else bounds[1],
        rows=found.rows,
        unit=found.unit,
        definition=f"by how much the claim flatters, against {found.definition}",
        interval=found.interval,
        reason=found.reason,
    )


def _unit(name: str) -> str:
    if name in ("mae", "rmse"):
        return "label"
    return {"log_loss": "points", "brier": "points", "r2": "ratio"}.get(name, "share")
