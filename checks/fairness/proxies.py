"""How well the system's inputs tell the group a person is of, without being told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from checks.counting import group_codes, unit_codes
from checks.declaration import Route
from checks.evidence import Need, View
from checks.fairness._rates import LAW, figure_name
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check
from checks.telling import FOLDS, Column, alone, coded, dealt, ranked, together

SAMPLE = 4_000
"""Rows that are looked at, at most; drawn with the run's seed."""

SEVERAL = 6
"""Groups whose rows are told from all others, at most: the largest ones."""

_DEFINITION = f"AUC of one group against all others, {FOLDS}-fold cross-validated"


@check(
    gives=("all_inputs", "strongest_input"),
    needs=(Need.FEATURES, Need.GROUPS),
    may_read=(Need.UNITS,),
    scope=Scope.ATTRIBUTE,
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=LAW,
    rejudge=Rejudge.EVIDENCE,
)
def proxies(evidence: View, attribute: str, terms: Terms) -> Result:
    """Measure how well each input alone, and all together, tell which group a person is of.

    Args:
        evidence: inputs and groups, at most 4,000 rows drawn with the run's seed, not weighted; and units where there
            are any, whose rows are never both learned from and asked about. An input that is the attribute itself is
            left out; another check tells of it.
        attribute: the column that people are compared by.
        terms: confidence, and the fewest rows of a group that counts.

    Returns:
        `all_inputs` and `strongest_input` (0 to 1; 0.5 tells nothing, 1 tells the group of everyone): the AUC of the
        group that is told best, by a forest on all inputs, and by one input alone; each asked about rows that it was
        not fitted on. DeLong's intervals, Bonferroni over groups and inputs. Per input `tells`. A forest of this size
        may miss what another model would find: the figure is a lower guess of what the inputs hold.

    Law:
        AIA 10(2)(f) asks to look for what may lead to indirect discrimination. An input that tells a group is not
        therefore forbidden; whether its use can be justified is for people to judge.

    References:
        Feldman and others (2015), KDD, for telling the attribute from the inputs as a measure of what they give away;
        DeLong, DeLong and Clarke-Pearson (1988); sklearn.tree.DecisionTreeClassifier.
    """
    names = [n for n in evidence.features.column_names if n != attribute]
    groups = evidence.groups
    if not names or attribute not in groups.column_names:
        return NotGathered(reason=Reason(code="no_inputs"))
    code, labels = group_codes(groups.column(attribute), groups.num_rows)
    stated = np.flatnonzero(np.array([labels[c] is not None for c in code], dtype=np.bool_))
    rng = np.random.default_rng([evidence.seed, int(hashlib.sha256(attribute.encode()).hexdigest()[:8], 16)])
    rows = np.sort(rng.choice(stated, SAMPLE, replace=False)) if len(stated) > SAMPLE else stated
    sizes = np.bincount(code[rows], minlength=len(labels))
    large = [int(g) for g in np.argsort(-sizes, kind="stable") if sizes[g] >= max(terms.minimum_rows, FOLDS)]
    if not large or len(rows) - sizes[large[0]] < max(terms.minimum_rows, FOLDS):
        return NotGathered(reason=Reason(code="too_few_groups", params={"groups": len(large)}))
    large = [g for g in large if len(rows) - sizes[g] >= FOLDS][:SEVERAL]
    # With two groups, telling one from the other is telling the other from the one.
    targets = [code[rows] == g for g in (large[:1] if np.count_nonzero(sizes) == 2 else large)]
    columns = [coded(name, evidence.features.column(name), rows) for name in names]
    unit = unit_codes(evidence)
    # A person with rows in two folds would be known from one when asked about in the other.
    fold = dealt(len(rows), rng, None if unit is None else np.unique(unit[rows], return_inverse=True)[1])
    if len(np.unique(fold)) < FOLDS:
        return NotGathered(reason=Reason(code="too_few_units"))
    each = [_tells(column, targets, fold, terms, len(columns)) for column in columns]
    found = [
        ranked(target, together(columns, target, fold, rng), 1.0 - (1.0 - terms.confidence) / len(targets))
        for target in targets
    ]
    order = sorted(range(len(columns)), key=lambda i: (-(each[i].value or 0.0), i))
    return Measured(
        measures=(
            _measure("all_inputs", found, len(rows), f"Bonferroni over {len(targets)}"),
            _strongest(each),
        ),
        groups=tuple(GroupMeasures(group={"feature": names[i]}, rows=len(rows), measures=(each[i],)) for i in order),
        figures=(
            Figure(
                name=figure_name("fairness.proxies", attribute),
                kind="bars",
                columns={
                    "feature": tuple(names[i] for i in order),
                    "value": tuple(each[i].value for i in order),
                    "low": tuple(each[i].low for i in order),
                    "high": tuple(each[i].high for i in order),
                    "rows": tuple(len(rows) for _ in order),
                },
                params={"measure": "tells", "unit": "ratio", "label": "feature", "attribute": attribute},
            ),
        ),
        reason=Reason(
            code="sampled",
            params={"sample": len(rows), "rows": groups.num_rows, "strongest": names[order[0]], "groups": len(large)},
        ),
    )


def _tells(column: Column, targets: Sequence[np.ndarray], fold: np.ndarray, terms: Terms, columns: int) -> Measure:
    confidence = 1.0 - (1.0 - terms.confidence) / (len(targets) * columns)
    found = [ranked(target, alone(column, target, fold), confidence) for target in targets]
    return _measure("tells", found, len(fold), f"Bonferroni over {len(targets) * columns}")


def _measure(name: str, found: Sequence[tuple[float, float, float]], rows: int, family: str) -> Measure:
    """Give the best told group; the true best is at least the largest lower bound and at most the largest upper one."""
    return Measure(
        name=name,
        value=max(f[0] for f in found),
        low=max(f[1] for f in found),
        high=max(f[2] for f in found),
        rows=rows,
        unit="ratio",
        definition=_DEFINITION,
        interval=f"delong, {family}",
    )


def _strongest(each: Sequence[Measure]) -> Measure:
    best = max(each, key=lambda m: m.value or 0.0)
    return best.model_copy(
        update={
            "name": "strongest_input",
            "low": max(m.low or 0.0 for m in each),
            "high": max(m.high or 0.0 for m in each),
        }
    )
