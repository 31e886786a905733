"""The checks of explainability: what is explained, which decisions are shown, and what is never given away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from checks.declaration import Declaration
from checks.evidence import Answers, Evidence, Table
from checks.finding import Outcome
from checks.judge import Judged, judge
from checks.policy import Limit, Policy, Terms
from checks.registry import catalogue
from tests.make.evidence import by_model, codes, declare, floats, table

Predict = Callable[[pa.Table], NDArray[np.float64]]

POLICY = Policy(
    name="test",
    version="1",
    recorded=dt.date(2026, 1, 1),
    about="test",
    terms=Terms(confidence=0.95, minimum_rows=30, suppress_below=10, short_words=5, families="per_attribute"),
    limits={"explainability.feature_importance.additivity_error": Limit(at_most=1e-6, source="arithmetic", why="test")},
)


def people(rows: int = 500) -> Table:
    rng = np.random.default_rng(8)
    job = [["cook", "smith", "judge"][i] for i in rng.integers(0, 3, rows)]
    features = {
        "age": rng.integers(18, 80, rows).astype(float),
        "debt": rng.exponential(10.0, rows),
        "job": job,
        "idle": rng.normal(size=rows),
        "more": rng.normal(size=rows),
    }
    return table(
        features=features,
        groups={"region": [["north", "south", "far"][min(i, 2)] for i in rng.integers(0, 12, rows) // 5]},
        label=codes(rng.integers(0, 2, rows)),
    )


def chance(batch: pa.Table) -> NDArray[np.float64]:
    age, debt = batch.column("age").to_numpy(), batch.column("debt").to_numpy()
    judge_ = np.array([j == "judge" for j in batch.column("job").cast(pa.string()).to_pylist()])
    return np.asarray(1.0 / (1.0 + np.exp(-((age - 50.0) / 15.0 - debt / 20.0 + judge_ * 1.0))))[:, None]


def run(name: str, evidence: Evidence) -> Judged:
    return judge(next(c for c in catalogue() if c.code == f"explainability.{name}"), evidence, POLICY)[0]


def sealed(predict: Predict = chance, declaration: Declaration | None = None, **more: Any) -> Evidence:
    return by_model(people(), predict, declaration or declare(route="model", groups=("region",)), **more)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return sealed()


def test_importance_is_sorted_and_each_input_has_an_interval_around_it(evidence: Evidence) -> None:
    finding = run("feature_importance", evidence).finding
    assert finding.outcome is Outcome.PASS
    assert finding.groups[0].group["feature"] == "age"
    assert {g.group["feature"] for g in finding.groups[1:3]} == {"debt", "job"}
    means = [g.measures[0] for g in finding.groups]
    assert [m.value for m in means] == sorted((m.value or 0.0 for m in means), reverse=True)
    for measure in means:
        assert measure.low is not None
        assert measure.high is not None
        assert measure.value is not None
        assert 0.0 <= measure.low <= measure.value <= measure.high
    unused = {g.group["feature"]: g.measures[0].value for g in finding.groups[3:]}
    assert unused == {"idle": 0.0, "more": 0.0}


def test_direction_is_told_where_an_input_has_an_order_and_moves_something(evidence: Evidence) -> None:
    finding = run("feature_importance", evidence).finding
    directions = {g.group["feature"]: m.value for g in finding.groups for m in g.measures if m.name == "direction"}
    assert directions.keys() == {"age", "debt"}
    assert (directions["age"] or 0.0) > 0.95
    assert (directions["debt"] or 0.0) < -0.95


def test_the_interval_of_an_input_holds_its_importance_over_all_rows() -> None:
    """The mean over all 500 rows is the truth; intervals from 200 sampled ones must hold it nearly always."""
    from checks.explainability._shapley import shapley_values
    from checks.probes.coalitions import plan_coalitions, players_of

    given = people()
    everyone = plan_coalitions(
        given.features,
        players_of(given.features.column_names, declare(route="model")),
        np.random.default_rng(0),
        budget_rows=400_000,
        explained_rows=500,
    )
    assert everyone is not None
    long = shapley_values(chance(everyone.rows)[:, 0], everyone.facts, features=given.features)
    truth = dict(zip(given.features.column_names, np.abs(long.values).mean(axis=0), strict=True))
    held = total = 0
    for seed in range(12):
        finding = run("feature_importance", sealed(seed=seed)).finding
        for group in finding.groups:
            measure, name = group.measures[0], group.group["feature"]
            if name not in ("age", "debt", "job"):
                continue
            assert measure.low is not None
            assert measure.high is not None
            total += 1
            held += measure.low <= truth[name] <= measure.high
    assert total == 36
    assert held >= 32


def test_the_sums_are_checked_against_the_answers_that_decided(evidence: Evidence) -> None:
    exact = run("feature_importance", evidence).finding.measure("additivity_error")
    assert exact is not None
    assert exact.value is not None
    assert exact.value < 1e-12
    rng = np.random.default_rng(0)
    moody = sealed(lambda b: np.clip(chance(b) + rng.normal(scale=0.05, size=(b.num_rows, 1)), 0.0, 1.0))
    finding = run("feature_importance", moody).finding
    # The model answered the same rows otherwise the second time, so what is explained is not what was decided.
    assert finding.outcome is Outcome.FAIL


def test_the_sampling_error_is_stated_and_is_none_where_nothing_moves() -> None:
    error = run("feature_importance", sealed()).finding.measure("sampling_error")
    assert error is not None
    assert error.value is not None
    assert error.low is not None
    assert error.high is not None
    assert 0.0 < error.low < error.value < error.high < 0.5
    constant = run("feature_importance", sealed(lambda b: np.full((b.num_rows, 1), 0.4))).finding
    nothing = constant.measure("sampling_error")
    assert nothing is not None
    assert nothing.value is None
    assert nothing.reason is not None
    assert nothing.reason.code == "nothing_moves"


def test_what_is_explained_is_named(evidence: Evidence) -> None:
    reason = run("feature_importance", evidence).finding.reason
    assert reason is not None
    assert reason.code == "explains_probability_sampled"
    assert reason.params["of"] == "yes"
    assert reason.params["explained"] == 200
    assert reason.params["background"] == 500


def stated(**model: Any) -> Declaration:
    base = declare(route="model", groups=("region",)).model_dump(mode="json")
    return Declaration.model_validate({**base, "model": {"file": "m.skops", **model}})


def test_a_label_is_explained_as_the_favourable_decision_or_not() -> None:
    labelled = sealed(lambda b: (chance(b) > 0.5).astype(float), stated(output="label"))
    finding = run("feature_importance", labelled).finding
    assert finding.reason is not None
    assert finding.reason.code == "explains_decision_sampled"
    assert finding.reason.params["of"] == "yes"
    assert finding.outcome is Outcome.PASS


def test_of_many_classes_each_row_is_explained_by_its_own_unless_one_is_favourable() -> None:
    def three(batch: pa.Table) -> NDArray[np.float64]:
        p = chance(batch)[:, 0]
        return np.stack([p * p, 2 * p * (1 - p), (1 - p) ** 2], axis=1)

    for favourable, code in ((None, "explains_own_probability_sampled"), ("b", "explains_probability_sampled")):
        declared = declare(
            route="model", task="multiclass", classes=("a", "b", "c"), favourable=favourable, groups=("region",)
        )
        judged = run("feature_importance", sealed(three, declared))
        assert judged.finding.reason is not None
        assert judged.finding.reason.code == code
        gap = judged.finding.measure("additivity_error")
        assert gap is not None
        assert gap.value is not None
        assert gap.value < 1e-9
        assert run("single_decisions", sealed(three, declared)).finding.items


def test_a_regression_is_explained_in_the_unit_of_its_label() -> None:
    given = replace(people(), label=floats(np.random.default_rng(0).normal(size=500)))
    declared = declare(route="model", task="regression", groups=("region",))
    evidence = by_model(given, lambda b: 1e5 * chance(b), declared)
    finding = run("feature_importance", evidence).finding
    assert finding.groups[0].measures[0].unit == "label"
    assert finding.outcome is Outcome.PASS
    shown = run("single_decisions", evidence)
    assert "decision.wrong" in {i.id for i in shown.finding.items}


def test_single_decisions_follow_the_rule_and_none_is_shown_twice(evidence: Evidence) -> None:
    judged = run("single_decisions", evidence)
    given = evidence.asked["coalitions"]
    outputs = np.sort(given.values[: len(given.facts["explained"]), 0])
    by_rule = {i.id: i.params for i in judged.finding.items if i.id != "decision.group"}
    assert by_rule["decision.highest"]["output"] == outputs[-1]
    assert by_rule["decision.lowest"]["output"] == outputs[0]
    assert abs(float(str(by_rule["decision.nearest_threshold"]["output"])) - 0.5) == np.abs(outputs - 0.5).min()
    assert "decision.wrong" in by_rule
    groups = [i.params["group"] for i in judged.finding.items if i.id == "decision.group"]
    assert sorted(map(str, groups)) == ["far", "north", "south"]
    names = [f.name for f in judged.figures]
    assert len(set(names)) == len(names) == judged.finding.measures[0].value


def test_a_decision_adds_up_from_the_average_to_its_answer(evidence: Evidence) -> None:
    for figure in run("single_decisions", evidence).figures:
        shares = np.array(figure.columns["contribution"], dtype=float)
        total = float(figure.params["base_value"] or 0.0) + shares.sum()  # type: ignore[arg-type]
        assert total == pytest.approx(figure.params["output"], abs=1e-9)
        assert (np.diff(np.abs(shares)) <= 0).all()


def test_values_of_single_rows_stay_in_figures_that_never_leave(evidence: Evidence) -> None:
    for name in ("single_decisions", "feature_importance"):
        judged = run(name, evidence)
        ages = {f"{v:.6g}" for v in evidence.rows.column("feature:debt").to_pylist()} if evidence.rows else set()
        text = judged.finding.model_dump_json()
        assert not [a for a in ages if f'"{a}"' in text]
        for figure in judged.figures:
            assert figure.row_level == (figure.kind in ("decision", "beeswarm"))


def test_dummies_are_shown_as_the_column_that_is_on() -> None:
    rng = np.random.default_rng(1)
    on = rng.integers(0, 2, 200)
    given = table(
        features={"x": rng.normal(size=200), "red": (on == 0).astype(float), "blue": (on == 1).astype(float)},
        groups={"region": ["n"] * 200},
        label=codes(on),
    )
    base = declare(route="model", groups=("region",)).model_dump(mode="json")
    declared = Declaration.model_validate({**base, "inputs": {"dummies": {"colour": ["red", "blue"]}}})
    judged = run(
        "single_decisions", by_model(given, lambda b: b.column("blue").to_numpy()[:, None] * 0.5 + 0.2, declared)
    )
    first = judged.figures[0]
    assert first.columns["feature"] == ("colour", "x")
    assert first.columns["value"][0] == "blue"


def test_a_mixed_row_without_an_answer_leaves_nothing_explained(evidence: Evidence) -> None:
    given = evidence.asked["coalitions"]
    values = given.values.copy()
    values[-1] = np.nan
    holed = replace(evidence, asked={**evidence.asked, "coalitions": Answers(values=values, facts=given.facts)})
    for name in ("feature_importance", "single_decisions"):
        finding = run(name, holed).finding
        assert finding.outcome is Outcome.NOT_GATHERED
        assert finding.reason is not None
        assert finding.reason.code == "answers_incomplete"


def test_columns_of_every_type_with_missing_values_are_explained() -> None:
    rng = np.random.default_rng(3)
    size = [None if r < 0.1 else float(r) for r in rng.random(200)]
    given = table(
        features={
            "size": size,
            "count": rng.integers(0, 60, 200),
            "home": rng.random(200) < 0.5,
            "job": [["a", "b", None][i] for i in rng.integers(0, 3, 200)],
        },
        groups={"region": ["n"] * 200},
        label=codes(rng.integers(0, 2, 200)),
    )

    def model(batch: pa.Table) -> NDArray[np.float64]:
        size_ = batch.column("size").to_numpy(zero_copy_only=False).astype(float)
        home = batch.column("home").to_numpy(zero_copy_only=False).astype(float)
        job = np.array([j == "a" for j in batch.column("job").cast(pa.string()).to_pylist()])
        count = batch.column("count").to_numpy()
        return np.asarray(np.nan_to_num(size_, nan=0.3) * 0.4 + home * 0.2 + job * 0.1 + count / 300.0)[:, None]

    sealed_ = by_model(given, model, declare(route="model", groups=("region",)))
    finding = run("feature_importance", sealed_).finding
    assert finding.outcome is Outcome.PASS
    assert all((g.measures[0].value or 0.0) > 0.0 for g in finding.groups)
    shown = [figure.columns for figure in run("single_decisions", sealed_).figures]
    values = {type(v) for c in shown for n, v in zip(c["feature"], c["value"], strict=True) if n == "home"}
    assert values == {bool}
