"""Inputs that give the label away alone: copies of it, or things that are only known once it is."""

from __future__ import annotations

import numpy as np

from checks.accuracy._scored import floats
from checks.counting import labels_for_some, unit_codes
from checks.declaration import Data, Route, Task
from checks.evidence import Need, View
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import check
from checks.statistics import Floats
from checks.telling import FOLDS, Column, alone, coded, dealt, ranked

SAMPLE = 20_000
"""Rows that are looked at, at most; drawn with the run's seed."""

GIVES_AWAY = 0.99
"""AUC from which an input is said to give the label away: hardly any input that is known beforehand reaches it."""

_DEFINITION = f"AUC of one class against the others, from one input, {FOLDS}-fold cross-validated"


@check(
    gives=("columns", "strongest"),
    needs=(Need.FEATURES, Need.LABELS),
    may_read=(Need.UNITS,),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 10(2)(g)", "AIA 10(3)", "AIA 15(1)"),
    rejudge=Rejudge.EVIDENCE,
)
def leakage_columns(evidence: View, terms: Terms) -> Result:
    """Look for inputs that equal the label, determine it, or tell it almost without error, each alone.

    Args:
        evidence: inputs and labels, at most 20,000 labelled rows drawn with the run's seed, one of each unit, not
            weighted. A number that is predicted is told as above or below its median.
        terms: confidence.

    Returns:
        `columns` (count, exact for the rows looked at; 0 where none is suspect): inputs with an AUC of 0.99 or more.
        `strongest` (0 to 1; 0.5 tells nothing, 1 tells every label): the AUC of the input that tells most, DeLong's
        interval, Bonferroni over inputs and classes. Per input `tells`.

    Law:
        AIA 10(2)(g) asks to detect and prevent what distorts data, 10(3) for data free of errors as far as possible. An
        input that tells the label need not be a leak: it may simply be a strong input. A person must look.

    References:
        Kaufman, Rosset, Perlich and Stitelman (2012), ACM TKDD 6(4), for leakage; DeLong and others (1988).
    """
    data = evidence.declaration.data
    assert data is not None
    features, label = evidence.features, floats(evidence.labels)
    names = features.column_names
    known = np.flatnonzero(~np.isnan(label))
    if not names or len(known) < max(terms.minimum_rows, FOLDS):
        code = "no_labels" if not len(known) else "too_few_rows"
        return NotGathered(reason=Reason(code=code, params={"need": Need.LABELS.value}))
    rng = np.random.default_rng([evidence.seed, 0x1EA4])
    if (unit := unit_codes(evidence)) is not None:
        # Rows of one person are no evidence of one another: of each, one is drawn.
        drawn = rng.permutation(known)
        known = np.sort(drawn[np.unique(unit[drawn], return_index=True)[1]])
    rows = np.sort(rng.choice(known, SAMPLE, replace=False)) if len(known) > SAMPLE else known
    targets = _targets(data, label[rows])
    if not targets:
        return NotGathered(reason=Reason(code="one_label"))
    fold = dealt(len(rows), rng)
    family = len(targets) * len(names)
    confidence = 1.0 - (1.0 - terms.confidence) / family
    each = [_tells(coded(n, features.column(n), rows), targets, fold, confidence, family) for n in names]
    suspect = sum((m.value or 0.0) >= GIVES_AWAY for m in each)
    order = sorted(range(len(names)), key=lambda i: (-(each[i].value or 0.0), i))
    best = each[order[0]]
    never_within = labels_for_some(data, len(label), len(label) - len(known), terms.few_unlabelled)
    sampled = Reason(code="sampled", params={"sample": len(rows), "rows": len(label), "strongest": names[order[0]]})
    return Measured(
        measures=(
            Measure(
                name="columns",
                value=suspect,
                low=suspect,
                high=suspect,
                rows=len(rows),
                unit="count",
                interval="exact",
            ),
            best.model_copy(
                update={
                    "name": "strongest",
                    "low": max(m.low or 0.0 for m in each),
                    "high": max(m.high or 0.0 for m in each),
                }
            ),
        ),
        groups=tuple(GroupMeasures(group={"feature": names[i]}, rows=len(rows), measures=(each[i],)) for i in order),
        figures=(
            Figure(
                name="data_governance.leakage_columns",
                kind="bars",
                columns={
                    "feature": tuple(names[i] for i in order),
                    "value": tuple(each[i].value for i in order),
                    "low": tuple(each[i].low for i in order),
                    "high": tuple(each[i].high for i in order),
                    "rows": tuple(len(rows) for _ in order),
                },
                params={"measure": "tells", "unit": "ratio", "label": "feature"},
            ),
        ),
        reason=never_within or sampled,
        never_within=never_within,
    )


def _targets(data: Data, label: Floats) -> list[np.ndarray]:
    """Give for each class which rows have it; of two classes one, of a number those above its median."""
    if data.task is Task.REGRESSION:
        above = label > float(np.median(label))
        given = [above]
    else:
        classes = (1,) if data.task is Task.BINARY else range(len(data.classes))
        given = [label == c for c in classes]
    return [t for t in given if FOLDS <= int(t.sum()) <= len(t) - FOLDS]


def _tells(column: Column, targets: list[np.ndarray], fold: np.ndarray, confidence: float, family: int) -> Measure:
    found = [ranked(target, alone(column, target, fold), confidence) for target in targets]
    return Measure(
        name="tells",
        value=max(f[0] for f in found),
        low=max(f[1] for f in found),
        high=max(f[2] for f in found),
        rows=len(fold),
        unit="ratio",
        definition=_DEFINITION,
        interval=f"delong, Bonferroni over {family}",
    )
