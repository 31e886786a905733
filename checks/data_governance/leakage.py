"""How many rows of the evaluation data stand in the training data as well, and whether that is more than chance."""

from __future__ import annotations

from math import sqrt

import numpy as np

from checks.counting import has_units
from checks.data_governance._shares import ROW_FACTS, Rows
from checks.declaration import Route
from checks.evidence import Need, TrainingFacts, View
from checks.fairness._rates import figure_name
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import check
from checks.statistics import critical, wilson

PARTS = 10
"""Parts of the evaluation rows, for the jackknife; the training rows were dealt into parts when they were read."""

_ALIKE = "rows whose inputs all equal those of at least one training row"
_BEYOND = (
    "share of rows alike to at least one training row, less the share of training rows alike to another one of them, "
    "each row counted once"
)


@check(
    gives=("share", "same_label", "near", "beyond_chance", "known_units"),
    needs=(Need.TRAINING, Need.FEATURES),
    may_read=ROW_FACTS,
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 10(3)", "AIA 15(1)", "AIA Annex IV 2(g)"),
    rejudge=Rejudge.EVIDENCE,
)
def leakage(evidence: View, terms: Terms) -> Result:
    """Count the evaluation rows that the model may have been trained on.

    Args:
        evidence: for each evaluation row how many training rows are alike; weights, units and groups where there are
            any.
        terms: confidence.

    Returns:
        `share` (0 to 1, smaller is better; Wilson's interval on effective rows, units kept together): evaluation rows
        whose inputs all equal a training row's; also by group. `same_label`: of the rows with a label, those where the
        label is the same too. `near`: the same once numbers are rounded to the coarser precision of the two tables, and
        case and blanks of texts do not count. `beyond_chance` (share, -1 to 1, near 0 is better; jackknife over parts
        of both tables, Student's interval): the share of rows alike to a training row, less the share of training rows
        that are alike to another: as often would a row of somebody new be, were both tables drawn from the same people.
        Training data that were multiplied make it look smaller.
        `known_units` (0 to 1, exact): people or households of the evaluation data with rows in the training data too.

    Law:
        AIA 10(3) asks for data free of errors as far as possible, 15(1) for an appropriate level of accuracy: rows that
        were trained on overstate it. Two people can be alike in all that was asked; the Act names no number.

    References:
        Counts as by pandas.merge; leaving one row out as an estimate of what a new one would find, and the jackknife of
        a statistic of two samples: Efron and Stein (1981), Annals of Statistics 9(3).
    """
    facts, rows, data = evidence.training, evidence.features.num_rows, evidence.declaration.data
    if not rows or not evidence.features.num_columns:
        return NotGathered(reason=Reason(code="no_rows"))
    taken = Rows.of(evidence, rows)
    alike = facts.alike.sum(axis=1)
    known = facts.alike_label >= 0
    shared = alike > 0
    by_attribute = taken.by_attribute(evidence, "group_shared", shared, terms)
    measures = (
        taken.share("share", shared, terms, definition=_ALIKE),
        taken.share("same_label", facts.alike_label > 0, terms, among=known)
        if known.any()
        else Measure(name="same_label", value=None, rows=0, unit="share", reason=Reason(code="no_labels")),
        taken.share("near", facts.near > 0, terms),
        _beyond_chance(evidence, facts, taken, terms),
        *([_known_units(facts, taken)] if data is not None and has_units(data) else []),
    )
    return Measured(
        measures=measures,
        groups=tuple(g for found in by_attribute.values() for g in found),
        figures=tuple(_figure(attribute, found) for attribute, found in by_attribute.items()),
        reason=Reason(code="compared", params={"rows": rows, "training": facts.rows, "shared": int(shared.sum())}),
    )


def _known_units(facts: TrainingFacts, taken: Rows) -> Measure:
    if (facts.known_unit < 0).all():
        reason = Reason(code="units_not_in_both")
        return Measure(name="known_units", value=None, rows=0, unit="share", reason=reason)
    of_unit = np.zeros(int(taken.unit.max()) + 1, dtype=bool)
    of_unit[taken.unit[facts.known_unit > 0]] = True
    share = float(of_unit.mean())
    return Measure(
        name="known_units", value=share, low=share, high=share, rows=len(taken.unit), unit="share", interval="exact"
    )


def _beyond_chance(evidence: View, facts: TrainingFacts, taken: Rows, terms: Terms) -> Measure:
    from scipy.special import stdtrit

    shared, unit = facts.alike.sum(axis=1) > 0, taken.unit
    rows, parts = len(unit), facts.alike.shape[1]
    part = np.random.default_rng([evidence.seed, 0x1EAC]).permutation(int(unit.max()) + 1)[unit] % PARTS
    if min(rows, facts.rows) < terms.minimum_rows or len(np.unique(part)) < 2:
        reason = Reason(code="too_few_rows" if min(rows, facts.rows) < terms.minimum_rows else "too_few_units")
        return Measure(name="beyond_chance", value=None, rows=rows, unit="share", reason=reason)
    value = float(shared.mean() - facts.twins[0])
    # A part of the training rows that is left out is left out of both terms: they vary together.
    left = facts.alike.sum(axis=1)[:, None] - facts.alike
    trained = (left > 0).mean(axis=0) - facts.twins[1:]
    own = np.array([shared[part != p].mean() for p in np.unique(part)]) - facts.twins[0]
    variance = sum((len(v) - 1) / len(v) * float(((v - v.mean()) ** 2).sum()) for v in (trained, own))
    # Where all rows are shared, or none, nothing varies; that none is does not show that none would be.
    units = float(len(np.unique(unit)))
    unseen = float(wilson([0.0], [units], critical(terms.confidence))[1][0])
    half = max(float(stdtrit(min(parts, PARTS) - 1, 0.5 + terms.confidence / 2)) * sqrt(variance), unseen)
    return Measure(
        name="beyond_chance",
        value=value,
        low=max(-1.0, value - half),
        high=min(1.0, value + half),
        rows=rows,
        unit="share",
        definition=_BEYOND,
        interval=f"student, jackknife over {PARTS} parts of each table; at least wilson's of none",
    )


def _figure(attribute: str, found: list[GroupMeasures]) -> Figure:
    shares = [g.measures[0] for g in found]
    return Figure(
        name=figure_name("data_governance.leakage", attribute),
        kind="bars",
        columns={
            "group": tuple(g.group[attribute] for g in found),
            "value": tuple(m.value for m in shares),
            "low": tuple(m.low for m in shares),
            "high": tuple(m.high for m in shares),
            "rows": tuple(m.rows for m in shares),
        },
        params={"attribute": attribute, "measure": "group_shared", "unit": "share", "label": "group"},
    )
