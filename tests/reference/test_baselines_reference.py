"""The one-input rule and the inverse against scikit-learn and against what is known of drawn data."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

from checks.evidence import Evidence
from checks.finding import Outcome
from tests.make.evidence import by_counts, by_predictions
from tests.make.judged import finding, measure


def drawn(n: int = 3000) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    label = rng.integers(0, 2, n)
    return {
        "label": label,
        "strong": label + rng.normal(0, 0.8, n),
        "weak": label + rng.normal(0, 3, n),
        "noise": rng.normal(0, 1, n),
    }


def evidence_of(given: dict[str, np.ndarray], decision: np.ndarray, **more: object) -> object:
    n = len(decision)
    return by_predictions(
        groups={"sex": ["F", "M"] * (n // 2)},
        decision=decision,
        label=given["label"],
        features={name: given[name] for name in ("strong", "weak", "noise")},
        **more,
    )


def test_the_rule_on_one_input_is_about_as_good_as_scikit_learns_tree_on_it() -> None:
    given = drawn()
    found = finding("accuracy.single_feature_rule", evidence_of(given, given["label"]))
    tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    reference = cross_val_score(tree, given["strong"].reshape(-1, 1), given["label"], cv=5).mean()
    assert found.reason.params["feature"] == "strong"
    assert found.measure("rule_accuracy").value == pytest.approx(reference, abs=0.02)
    assert found.measure("gain").value == pytest.approx(1.0 - found.measure("rule_accuracy").value)
    assert found.outcome is Outcome.PASS


def test_a_system_that_does_worse_than_one_input_lies_beyond_the_limit() -> None:
    given = drawn()
    found = finding("accuracy.single_feature_rule", evidence_of(given, (given["weak"] > 0.5).astype(int)))
    assert found.measure("gain").high < 0
    assert found.outcome is Outcome.FAIL


def of_numbers(noise: float) -> Evidence:
    rng = np.random.default_rng(6)
    n = 2000
    x, z = rng.normal(0, 2, n), rng.normal(0, 1, n)
    label = x + z
    return by_predictions(
        groups={"g": ["a", "b"] * (n // 2)},
        label=label,
        decision=label + rng.normal(0, noise, n),
        features={"x": x, "z": z, "row": np.arange(n).astype(str)},
        task="regression",
        favourable=None,
    )


def test_a_system_of_numbers_is_held_against_the_best_rule_on_one_input() -> None:
    found = finding("accuracy.single_feature_rule", of_numbers(0.1))
    assert found.reason.params["feature"] == "x"
    # What is left once x is known is z, whose mean absolute error is the root of 2 over pi; bands are a little worse.
    assert found.measure("rule_error").value == pytest.approx(np.sqrt(2 / np.pi), abs=0.08)
    assert found.measure("error_gain").low > 0
    assert found.outcome is Outcome.PASS
    worse = finding("accuracy.single_feature_rule", of_numbers(3.0))
    assert worse.measure("error_gain").high < 0
    assert worse.outcome is Outcome.FAIL


def test_an_input_that_numbers_the_rows_makes_no_good_rule() -> None:
    given = drawn(400)
    names = [f"id{i}" for i in range(400)]
    evidence = by_predictions(
        groups={"sex": ["F", "M"] * 200},
        decision=given["label"],
        label=given["label"],
        features={"id": names, "strong": given["strong"]},
    )
    assert finding("accuracy.single_feature_rule", evidence).reason.params["feature"] == "strong"


def test_informedness_is_twice_balanced_accuracy_minus_one_and_auc_is_scikit_learns() -> None:
    rng = np.random.default_rng(9)
    given = drawn()
    score = 1 / (1 + np.exp(-given["weak"]))
    decision = (score > 0.6).astype(int)
    weight = rng.lognormal(0, 0.5, len(score))
    evidence = evidence_of(given, decision, score=score, weight=weight)
    expected = 2 * balanced_accuracy_score(given["label"], decision, sample_weight=weight) - 1
    assert measure("accuracy.inverse", "informedness", evidence).value == pytest.approx(expected)
    auc = roc_auc_score(given["label"], score, sample_weight=weight)
    assert measure("accuracy.inverse", "auc", evidence).value == pytest.approx(auc)
    assert finding("accuracy.inverse", evidence).outcome is Outcome.PASS


def test_turned_answers_lie_beyond_the_limit_and_a_constant_is_undecided() -> None:
    given = drawn()
    turned = finding(
        "accuracy.inverse", evidence_of(given, (given["strong"] < 0.5).astype(int), score=1 - given["label"] * 0.5)
    )
    assert turned.outcome is Outcome.FAIL
    assert turned.measure("informedness").high < 0
    assert turned.measure("auc").high < 0.5
    constant = finding("accuracy.inverse", by_counts([("F", 1, 1, 300), ("F", 0, 1, 200)]))
    assert constant.measure("informedness").value == 0.0
    assert constant.outcome is Outcome.INCONCLUSIVE


def test_decisions_alone_have_no_score_to_turn_around() -> None:
    found = finding("accuracy.inverse", by_counts([("F", 1, 1, 300), ("F", 0, 0, 200)]))
    assert found.measure("auc") is None
    assert found.outcome is Outcome.PASS
