"""Accuracy figures against scikit-learn, and their intervals against simulation and bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as skm

from checks.evidence import Evidence
from tests.make.evidence import by_predictions
from tests.make.judged import finding, measure

N = 4000


def drawn(*, weighted: bool) -> tuple[dict[str, Any], Evidence]:
    rng = np.random.default_rng(6)
    score = rng.beta(2, 3, N)
    label = (rng.random(N) < score).astype(int)
    weight = rng.lognormal(0, 0.5, N) if weighted else None
    decision = (score >= 0.5).astype(int)
    given = {"label": label, "decision": decision, "score": score, "weight": weight}
    return given, by_predictions(
        groups={"sex": rng.choice(["F", "M"], N)}, label=label, decision=decision, score=score, weight=weight
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_figures_of_decisions_are_scikit_learns(weighted: bool) -> None:
    given, evidence = drawn(weighted=weighted)
    y, d, w = given["label"], given["decision"], given["weight"]
    expected = {
        "accuracy": skm.accuracy_score(y, d, sample_weight=w),
        "balanced_accuracy": skm.balanced_accuracy_score(y, d, sample_weight=w),
        "precision": skm.precision_score(y, d, sample_weight=w),
        "recall": skm.recall_score(y, d, sample_weight=w),
        "f1": skm.f1_score(y, d, sample_weight=w),
    }
    for name, value in expected.items():
        m = measure("accuracy.overall", name, evidence)
        assert m.value == pytest.approx(value, abs=1e-12)
        assert m.low is not None
        assert m.high is not None
        assert 0 <= m.low < value < m.high <= 1


@pytest.mark.parametrize("weighted", [False, True])
def test_figures_of_scores_are_scikit_learns(weighted: bool) -> None:
    given, evidence = drawn(weighted=weighted)
    y, p, w = given["label"], given["score"], given["weight"]
    expected = {
        "auc": skm.roc_auc_score(y, p, sample_weight=w),
        "log_loss": skm.log_loss(y, p, sample_weight=w),
        "brier": skm.brier_score_loss(y, p, sample_weight=w),
    }
    for name, value in expected.items():
        m = measure("accuracy.scores", name, evidence)
        assert m.value == pytest.approx(value, abs=1e-12)
        assert m.low is not None
        assert m.high is not None
        assert m.low < value < m.high


def test_several_classes_are_scored_as_scikit_learn_does() -> None:
    from tests.make.evidence import by_model, codes, declare, table

    rng = np.random.default_rng(8)
    x = rng.dirichlet([1.0, 2.0, 3.0], 600)
    label = np.array([rng.choice(3, p=row) for row in x])
    declaration = declare(route="model", task="multiclass", classes=("x", "y", "z"), favourable="z", groups=("g",))
    given = table(
        groups={"g": rng.choice(["a", "b"], 600)},
        label=codes(label),
        features={"p0": x[:, 0], "p1": x[:, 1], "p2": x[:, 2]},
    )
    evidence = by_model(given, lambda t: np.stack([c.to_numpy() for c in t.columns], axis=1), declaration)
    assert measure("accuracy.scores", "log_loss", evidence).value == pytest.approx(skm.log_loss(label, x))
    assert measure("accuracy.scores", "brier", evidence).value == pytest.approx(skm.brier_score_loss(label, x))
    decision = x.argmax(axis=1)
    assert measure("accuracy.overall", "balanced_accuracy", evidence).value == pytest.approx(
        skm.balanced_accuracy_score(label, decision)
    )
    assert measure("accuracy.overall", "f1", evidence).value == pytest.approx(skm.f1_score(label == 2, decision == 2))
    for check, name, expected in (
        ("accuracy.scores", "auc", skm.roc_auc_score(label, x, multi_class="ovr", average="macro")),
        ("accuracy.overall", "f1_macro", skm.f1_score(label, decision, average="macro")),
    ):
        m = measure(check, name, evidence)
        assert m.value == pytest.approx(expected)
        assert m.low is not None
        assert m.high is not None
        assert m.low < expected < m.high


def several(seed: int, people: int, rows: int = 1) -> tuple[Any, ...]:
    """Draw probabilities of three classes and labels that they tell; rows of one person are alike."""
    rng = np.random.default_rng(seed)
    tells = rng.normal(size=(people, 3))
    stated = np.repeat(np.exp(tells) / np.exp(tells).sum(axis=1, keepdims=True), rows, axis=0)
    luck = np.repeat(rng.gumbel(size=(people, 3)), rows, axis=0)
    return stated, (np.log(stated) + luck).argmax(axis=1), np.repeat(np.arange(people), rows)


@pytest.mark.parametrize("rows", [1, 3])
def test_95_percent_is_95_percent_for_the_figures_of_several_classes(rows: int) -> None:
    from checks.accuracy._confusion import Confusion
    from checks.accuracy._scored import Scored, averaged
    from checks.accuracy.overall import f1_macro_of
    from checks.counting import Cells, Units
    from checks.policy import load

    many, drawn_labels, _ = several(1, 200_000)
    true_auc = skm.roc_auc_score(drawn_labels, many, multi_class="ovr", average="macro")
    true_f1 = skm.f1_score(drawn_labels, many.argmax(axis=1), average="macro")
    held, draws = np.zeros(2), 400
    for seed in range(2, 2 + draws):
        stated, label, unit = several(seed, 150, rows)
        one, clustered = np.ones(len(label)), unit if rows > 1 else None
        ranked = averaged(
            [Scored(positive=label == c, score=stated[:, c], weight=one, unit=clustered) for c in range(3)]
        )
        assert ranked is not None
        low, high = ranked.bounds(0.95)
        held[0] += low <= true_auc <= high
        each = Cells(
            names=(None,),
            group=np.zeros(len(label), dtype=np.int64),
            label=label,
            decision=stated.argmax(axis=1),
            rows=one.astype(np.int64),
            weight=one,
            weight_squared=one,
        )
        confusion = Confusion(
            cells=each,
            rows=len(label),
            unlabelled=0,
            unanswered=0,
            units=Units(rows=each, unit=unit) if rows > 1 else None,
            place=np.arange(len(label)),
            hidden=False,
        )
        found = f1_macro_of(confusion, load("default").terms)
        assert found.low is not None
        assert found.high is not None
        held[1] += found.low <= true_f1 <= found.high
    # Three standard errors of 400 draws below 95 %.
    assert held.min() / draws >= 0.917, held / draws


@pytest.mark.parametrize("weighted", [False, True])
def test_figures_of_numbers_are_scikit_learns(weighted: bool) -> None:
    rng = np.random.default_rng(9)
    label = rng.gamma(2.0, 2.0, N)
    value = label + rng.normal(0, 1, N)
    weight = rng.lognormal(0, 0.5, N) if weighted else None
    evidence = by_predictions(
        groups={"g": ["a"] * N}, label=label, decision=value, weight=weight, task="regression", favourable=None
    )
    expected = {
        "mae": skm.mean_absolute_error(label, value, sample_weight=weight),
        "rmse": skm.root_mean_squared_error(label, value, sample_weight=weight),
        "r2": skm.r2_score(label, value, sample_weight=weight),
    }
    for name, wanted in expected.items():
        m = measure("accuracy.regression", name, evidence)
        assert m.value == pytest.approx(wanted, abs=1e-12)
        assert m.low is not None
        assert m.high is not None
        assert m.low < wanted < m.high


@pytest.mark.parametrize("name", ["auc", "brier", "log_loss"])
def test_95_percent_is_95_percent_for_scores(name: str) -> None:
    from checks.accuracy._scored import Scored, mean_of, measure_auc, ranked_of
    from checks.policy import load

    terms = load("default").terms
    rng = np.random.default_rng(10)
    many = rng.beta(2, 3, 400_000)
    told = rng.random(400_000) < many
    loss = {"brier": (many - told) ** 2, "log_loss": -np.log(np.where(told, many, 1 - many))}
    true = skm.roc_auc_score(told, many) if name == "auc" else loss[name].mean()
    held = 0
    draws = 600
    for _ in range(draws):
        score = rng.beta(2, 3, 250)
        positive = rng.random(250) < score
        if name == "auc":
            m = measure_auc(ranked_of(Scored(positive=positive, score=score, weight=np.ones(250))), 250, terms)
        else:
            each = (score - positive) ** 2 if name == "brier" else -np.log(np.where(positive, score, 1 - score))
            m = mean_of(name, "", "points", each, np.ones(250), terms)
        assert m.low is not None
        assert m.high is not None
        held += m.low <= true <= m.high
    # Four standard errors of 600 draws below 95 %.
    assert held / draws >= 0.915


def test_95_percent_is_95_percent_for_r_squared() -> None:
    from checks.accuracy._regressed import Regressed, errors_of
    from checks.policy import load

    terms = load("default").terms
    rng = np.random.default_rng(12)
    held = {"mae": 0, "rmse": 0, "r2": 0}
    true = {"mae": np.sqrt(2 / np.pi), "rmse": 1.0, "r2": 1 - 1 / 4}
    draws = 600
    for _ in range(draws):
        label = rng.normal(0, 2, 250)
        value = label + rng.normal(0, 1, 250)
        rows = Regressed(label=label, value=value, weight=np.ones(250), unit=None, rows=250, unlabelled=0, unanswered=0)
        for m in errors_of(rows, terms):
            assert m.low is not None
            assert m.high is not None
            held[m.name] += m.low <= true[m.name] <= m.high
    assert min(held.values()) / draws >= 0.915, held


def test_a_constant_answer_gains_nothing_over_itself() -> None:
    rng = np.random.default_rng(13)
    label = (rng.random(2000) < 0.2).astype(int)
    evidence = by_predictions(groups={"g": ["a"] * 2000}, label=label, decision=np.zeros(2000, dtype=int))
    found = finding("accuracy.majority_class", evidence)
    gain, chosen = found.measure("gain"), found.measure("classes_chosen")
    assert gain is not None
    assert chosen is not None
    assert gain.value == 0.0
    assert gain.low is not None
    assert gain.low < 0.0
    assert chosen.value == 1
    assert found.outcome.value == "fail"


def test_the_gain_is_the_dummy_classifiers_distance() -> None:
    from sklearn.dummy import DummyClassifier

    given, evidence = drawn(weighted=True)
    y, d, w = given["label"], given["decision"], given["weight"]
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((N, 1)), y, sample_weight=w)
    constant = dummy.score(np.zeros((N, 1)), y, sample_weight=w)
    accuracy = skm.accuracy_score(y, d, sample_weight=w)
    assert measure("accuracy.majority_class", "constant_accuracy", evidence).value == pytest.approx(constant)
    assert measure("accuracy.majority_class", "gain", evidence).value == pytest.approx(accuracy - constant)
