"""How well answers tell who was trained on: against scikit-learn, a model made to overfit, and one that was not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from checks.declaration import Declaration, Model
from checks.evidence import Evidence, Table
from checks.finding import Outcome
from checks.registry import catalogue
from tests.make.evidence import by_model, codes, declare, floats, table
from tests.make.judged import finding, judged

Predict = Callable[[pa.Table], NDArray[np.float64]]
ROWS = 600


def people(rows: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (rows, 4))
    return x, (x[:, 0] + rng.normal(0, 2, rows) > 0).astype(np.int64)


def as_table(x: NDArray[np.float64], label: pa.ChunkedArray, unit: NDArray[np.int64] | None = None) -> Table:
    return table(
        groups={"sex": ["f", "m"] * (len(x) // 2)},
        features={f"x{i}": x[:, i] for i in range(x.shape[1])},
        label=label,
        unit=unit,
    )


def matrix(batch: pa.Table) -> NDArray[np.float64]:
    return np.stack([batch.column(n).to_numpy() for n in batch.column_names], axis=1)


def asked(predict: Predict, declaration: Declaration | None = None, **units: NDArray[np.int64]) -> Evidence:
    test, train = people(ROWS, 1), people(2 * ROWS, 2)
    given = replace(
        as_table(test[0], codes(test[1]), units.get("test")),
        training=as_table(train[0], codes(train[1]), units.get("train")),
    )
    return by_model(given, predict, declaration or declare(route="model"))


def test_a_model_that_was_made_to_overfit_gives_its_training_rows_away_and_a_plain_one_does_not() -> None:
    x, y = people(2 * ROWS, 2)
    overfit, plain = DecisionTreeClassifier(random_state=0).fit(x, y), LogisticRegression().fit(x, y)
    found = {
        name: finding("privacy.membership_inference", asked(lambda batch, m=m: m.predict_proba(matrix(batch))[:, [1]]))
        for name, m in (("overfit", overfit), ("plain", plain))
    }
    assert found["overfit"].measure("auc").low > 0.6
    assert found["overfit"].measure("advantage").low > 0.25
    assert found["plain"].measure("auc").low < 0.5 < found["plain"].measure("auc").high
    assert found["plain"].measure("advantage").low < 0 < found["plain"].measure("advantage").high
    assert {f.outcome for f in found.values()} == {Outcome.MEASURED}


def test_the_figures_are_those_of_scikit_learn() -> None:
    (x, y), (held, truth) = people(2 * ROWS, 2), people(ROWS, 1)
    model = DecisionTreeClassifier(max_depth=6, random_state=0).fit(x, y)
    evidence = asked(lambda batch: model.predict_proba(matrix(batch))[:, [1]])
    found = finding("privacy.membership_inference", evidence)

    def fit(rows: NDArray[np.float64], label: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.log(np.clip(model.predict_proba(rows)[np.arange(len(label)), label], 1e-12, 1.0))

    members, others = fit(x, y), fit(held, truth)
    target, score = np.r_[np.ones(len(members)), np.zeros(len(others))], np.r_[members, others]
    assert found.measure("auc").value == pytest.approx(roc_auc_score(target, score), abs=1e-12)
    threshold = members.mean() - 1e-12
    assert found.measure("advantage").value == pytest.approx(
        (members >= threshold).mean() - (others >= threshold).mean()
    )
    (figure,) = judged("privacy.membership_inference", evidence)[0].figures
    alarms, recognised, _ = roc_curve(target, score, drop_intermediate=False)
    for share, value in zip((0.01, 0.05, 0.1, 0.25, 0.5), figure.columns["value"], strict=True):
        assert value == pytest.approx(recognised[alarms <= share].max(), abs=1e-12)


def test_its_interval_holds_when_nothing_was_memorised() -> None:
    wrong = 0
    for seed in range(60):
        (a, y), (b, z) = people(200, 2 * seed), people(200, 2 * seed + 1)
        given = replace(as_table(a, codes(y)), training=as_table(b, codes(z)))
        evidence = by_model(given, lambda batch: 1 / (1 + np.exp(-matrix(batch)[:, [0]])), declare(route="model"))
        auc = finding("privacy.membership_inference", evidence).measure("auc")
        wrong += not auc.low <= 0.5 <= auc.high
    assert wrong <= 8


def test_a_decision_a_score_and_a_number_can_give_away_too() -> None:
    x, y = people(2 * ROWS, 2)
    tree = DecisionTreeClassifier(random_state=0).fit(x, y)
    label = declare(route="model").model_copy(update={"model": Model(file="m", output="label")})
    scored = declare(route="model").model_copy(update={"model": Model(file="m", output="score", score_of="no")})
    scored = scored.model_copy(update={"data": scored.data.model_copy(update={"threshold": 3.5})})
    by_label = finding(
        "privacy.membership_inference", asked(lambda b: tree.predict(matrix(b))[:, None].astype(float), label)
    )
    by_score = finding(
        "privacy.membership_inference", asked(lambda b: tree.predict_proba(matrix(b))[:, [0]] * 7, scored)
    )
    assert by_label.measure("auc").low > 0.6
    assert by_score.measure("auc").value == pytest.approx(by_label.measure("auc").value, abs=1e-9)
    rng = np.random.default_rng(5)
    numbers, other = (people(ROWS, s)[0] for s in (7, 8))
    price, other_price = numbers[:, 0] + rng.normal(0, 1, ROWS), other[:, 0] + rng.normal(0, 1, ROWS)
    grown = DecisionTreeRegressor(random_state=0).fit(numbers, price)
    given = replace(as_table(other, floats(other_price)), training=as_table(numbers, floats(price)))
    evidence = by_model(given, lambda b: grown.predict(matrix(b))[:, None], declare(route="model", task="regression"))
    assert finding("privacy.membership_inference", evidence).measure("auc").low > 0.9


def test_rows_that_stand_in_both_tables_are_not_taken_for_strangers_and_a_person_counts_once() -> None:
    (x, y), (held, truth) = people(2 * ROWS, 2), people(ROWS, 1)
    held[:100], truth[:100] = x[:100], y[:100]
    model = DecisionTreeClassifier(random_state=0).fit(x, y)
    given = replace(
        as_table(held, codes(truth), np.arange(ROWS) // 2),
        training=as_table(x, codes(y), 9_000 + np.arange(2 * ROWS) // 3),
    )
    declaration = declare(route="model", columns={"who": "unit"})
    found = finding(
        "privacy.membership_inference", by_model(given, lambda b: model.predict_proba(matrix(b))[:, [1]], declaration)
    )
    assert found.reason.params["others"] == (ROWS - 100) // 2
    assert found.reason.params["members"] == 2 * ROWS // 3


def test_few_rows_tell_nothing_and_no_limit_is_ever_set() -> None:
    given = replace(as_table(*_few(20, 1)), training=as_table(*_few(20, 2)))
    evidence = by_model(given, lambda b: matrix(b)[:, [0]] * 0, declare(route="model"))
    assert finding("privacy.membership_inference", evidence).outcome is Outcome.NOT_GATHERED
    (check,) = [c for c in catalogue() if c.code == "privacy.membership_inference"]
    from checks.policy import load

    assert not [code for code in load("default").limits if code.startswith(f"{check.code}.")]


def _few(rows: int, seed: int) -> tuple[NDArray[np.float64], pa.ChunkedArray]:
    x, y = people(rows, seed)
    return x, codes(y)
