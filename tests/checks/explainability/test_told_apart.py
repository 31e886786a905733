"""Models that know when they are explained: the scaffolding attack, and what is said where it could be."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from checks.asking import rng_for
from checks.evidence import Evidence, Table
from checks.explainability._told_apart import mixtures, told_apart
from checks.finding import Finding, Outcome
from checks.judge import judge
from checks.policy import load
from checks.probes.coalitions import plan_coalitions
from checks.registry import catalogue
from tests.make.evidence import by_model, codes, declare, table

POLICY = load("default")
NAMES = tuple(f"x{i}" for i in range(7))


def people(seed: int, *, together: float, rows: int = 1_500) -> Table:
    """Seven measurements of one thing and a group; `together` is how much of each measurement is the thing itself."""
    rng = np.random.default_rng(seed)
    thing = rng.normal(size=(rows, 1))
    shown = together * thing + np.sqrt(1 - together**2) * rng.normal(size=(rows, len(NAMES)))
    features = {name: shown[:, i] for i, name in enumerate(NAMES)}
    features["group"] = rng.integers(0, 2, rows).astype(float)
    return table(features=features, groups={"town": ["a"] * rows}, label=codes(rng.integers(0, 2, rows)))


def matrix(rows: pa.Table) -> NDArray[np.float64]:
    return np.stack([c.to_numpy(zero_copy_only=False) for c in rows.columns], axis=1)


def by_group(rows: pa.Table) -> NDArray[np.float64]:
    """Decides by the group and by nothing else."""
    return np.asarray(matrix(rows)[:, -1:])


class Scaffold:
    """Decides by the group, and answers rows that it takes for questions of an explanation by a harmless input."""

    def __init__(self, together: float) -> None:
        from sklearn.ensemble import RandomForestClassifier

        own = people(5, together=together)
        plan = plan_coalitions(own.features, [(c, (c,)) for c in own.features.column_names], rng_for(9, "attack"))
        assert plan is not None
        mixed = matrix(plan.rows)[len(plan.facts["explained"]) + len(plan.facts["background"]) :]
        mixed = mixed[np.random.default_rng(1).permutation(len(mixed))[:6_000]]
        real = matrix(own.features)
        self.forest = RandomForestClassifier(60, min_samples_leaf=2, random_state=1, class_weight="balanced")
        self.forest.fit(np.concatenate([mixed, real]), np.arange(len(mixed) + len(real)) < len(mixed))

    def __call__(self, rows: pa.Table) -> NDArray[np.float64]:
        asked = matrix(rows)
        harmless = (asked[:, 0] > 0).astype(float)
        return np.where(self.forest.predict(asked), harmless, asked[:, -1])[:, None]


@cache
def explained(together: float, attack: bool) -> Finding:
    evidence: Evidence = by_model(
        people(1, together=together),
        Scaffold(together) if attack else by_group,
        declare(route="model", groups=("town",)),
    )
    check = next(c for c in catalogue() if c.code == "explainability.feature_importance")
    return judge(check, evidence, POLICY)[0].finding


def weight(finding: Finding, name: str) -> float:
    return next(g.measures[0].value or 0.0 for g in finding.groups if g.group["feature"] == name)


def area(finding: Finding) -> float:
    measure = next(m for m in finding.measures if m.name == "told_apart")
    assert measure.value is not None
    assert measure.low is not None
    assert measure.high is not None
    assert measure.low <= measure.value <= measure.high
    return measure.value


def test_an_honest_model_that_decides_by_the_group_is_explained_by_the_group_alone() -> None:
    finding = explained(0.0, False)
    assert finding.outcome is Outcome.PASS
    assert weight(finding, "group") > 0.4
    assert max(weight(finding, name) for name in NAMES) == 0.0
    assert 0.4 < area(finding) < 0.6


def test_the_scaffolding_attack_hides_the_group_and_the_explanation_then_settles_nothing() -> None:
    honest, attacked = explained(0.999, False), explained(0.999, True)
    assert weight(honest, "group") > 0.4
    assert max(weight(honest, name) for name in NAMES) == 0.0
    assert weight(attacked, "group") < 0.7 * weight(honest, "group")
    assert weight(attacked, "x0") > 0.1
    assert area(attacked) > POLICY.terms.told_apart
    assert attacked.outcome is Outcome.INCONCLUSIVE
    assert attacked.reason is not None
    assert attacked.reason.code == "rows_told_apart"


def test_where_mixed_rows_look_real_the_attack_gains_nothing() -> None:
    """Unrelated inputs: the forest knows no question when it sees one, so it gives itself away on real rows as well."""
    attacked = explained(0.0, True)
    assert area(attacked) < 0.6
    given = people(1, together=0.0)
    answered = Scaffold(0.0)(given.features)
    assert float((answered != by_group(given.features)).mean()) > 0.1


@pytest.mark.parametrize(("columns", "exact"), [(3, True), (8, False)])
def test_the_mixtures_read_back_are_those_that_were_asked(columns: int, exact: bool) -> None:
    rng = np.random.default_rng(3)
    features = pa.table({f"c{i}": rng.integers(0, 4, 300).astype(float) for i in range(columns)})
    plan = plan_coalitions(features, [(c, (c,)) for c in features.column_names], rng, explained_rows=40, long_rows=0)
    assert plan is not None
    assert (plan.facts["index"].ndim == 3) is exact
    of, against, mask = mixtures(plan.facts, columns)
    lead = len(plan.facts["explained"]) + len(plan.facts["background"])
    known = matrix(features)
    x, z = known[plan.facts["explained"][of]], known[plan.facts["background"][against]]
    read = {tuple(row) for row in np.where(mask, x, z)}
    assert len(of) == plan.rows.num_rows - lead
    assert read == {tuple(row) for row in matrix(plan.rows)[lead:]}


def test_few_rows_tell_nothing() -> None:
    given = people(2, together=0.5, rows=60)
    plan = plan_coalitions(given.features, [(c, (c,)) for c in given.features.column_names], rng_for(1, "x"))
    assert plan is not None
    measure = told_apart(given.features, plan.facts, 1, POLICY.terms, (*NAMES, "group"))
    assert measure.value is None
    assert measure.reason is not None
    assert measure.reason.code == "too_few_rows"
