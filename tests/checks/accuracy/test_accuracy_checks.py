"""What checks of accuracy must do beside giving scikit-learn's figures."""

from __future__ import annotations

import numpy as np
import pytest

from checks.evidence import Evidence
from checks.finding import Outcome
from tests.make.evidence import by_counts, by_predictions
from tests.make.judged import finding, measure


def right(share: float, n: int = 20_000, **more: object) -> Evidence:
    """Decisions of which a share is right."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, n)
    decision = np.where(np.arange(n) < share * n, label, 1 - label)
    return by_predictions(
        groups={"sex": rng.choice(["F", "M"], n)},
        decision=decision,
        label=label,
        **more,  # type: ignore[arg-type]
    )


def test_a_system_worse_than_a_constant_is_beyond_the_limit() -> None:
    found = finding("accuracy.majority_class", right(0.4))
    assert found.outcome is Outcome.FAIL
    assert found.limit["gain"].outcome is Outcome.FAIL
    assert finding("accuracy.majority_class", right(0.9)).outcome is Outcome.PASS


def test_an_overstated_claim_is_beyond_a_true_one_within_and_a_strange_one_said() -> None:
    found = finding(
        "accuracy.claims", right(0.8, claims={"accuracy": 0.9, "f1": 0.8, "wonder": 1.0, "auc": 0.9, "F1": 0.9})
    )
    accuracy = found.measure("accuracy")
    assert accuracy is not None
    assert accuracy.value == pytest.approx(0.1)
    assert found.limit["accuracy"].outcome is Outcome.FAIL
    assert found.limit["f1"].outcome is Outcome.PASS
    assert found.limit["auc"].outcome is Outcome.INCONCLUSIVE
    assert {item.id: item.state for item in found.items} == {
        "accuracy": "compared",
        "f1": "compared",
        "wonder": "unknown",
        "auc": "not_measured",
        "F1": "repeated",
    }


def test_a_claim_of_a_small_error_is_turned_around() -> None:
    rng = np.random.default_rng(2)
    label = rng.normal(0, 1, 500)
    evidence = by_predictions(
        groups={"g": ["a"] * 500},
        decision=label + 2.0,
        label=label,
        task="regression",
        favourable=None,
        claims={"MAE": 0.5},
    )
    assert measure("accuracy.claims", "mae", evidence).value == pytest.approx(1.5)
    assert finding("accuracy.regression", evidence).limit["r2"].outcome is Outcome.FAIL


def test_modest_claims_are_compared_without_claims_nothing_is() -> None:
    assert finding("accuracy.claims", right(0.8)).outcome is Outcome.NOT_GATHERED
    modest = finding("accuracy.claims", right(0.8, claims={"accuracy": 0.7}))
    assert modest.outcome is Outcome.PASS
    counted = by_counts([("F", 1, 1, 80), ("F", 1, 0, 20), ("M", 0, 0, 90)], claims={"accuracy": 0.5})
    assert measure("accuracy.claims", "accuracy", counted).value == pytest.approx(0.5 - 170 / 190)


def test_labels_of_some_people_only_are_told_and_never_within() -> None:
    found = finding("accuracy.majority_class", right(0.9, data={"sampling": "flagged_only"}))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reason is not None
    assert found.reason.code == "labels_flagged_only"


def test_missing_labels_and_answers_are_counted_apart() -> None:
    evidence = by_predictions(
        groups={"g": ["a"] * 100},
        decision=[1] * 50 + [-1] * 10 + [0] * 40,
        label=[1] * 96 + [-1] * 4,
    )
    found = finding("accuracy.overall", evidence)
    assert found.reason is not None
    assert found.reason.params == {"rows": 100, "unlabelled": 4, "unanswered": 10}
    accuracy = found.measure("accuracy")
    assert accuracy is not None
    assert accuracy.rows == 86
    assert accuracy.value == pytest.approx(50 / 86)


def test_the_favourable_class_has_no_figures_where_none_is_declared() -> None:
    found = finding("accuracy.overall", right(0.9, 500, favourable=None))
    values = {m.name: m.value for m in found.measures}
    assert values["precision"] is None
    assert values["accuracy"] == pytest.approx(0.9)


def test_perfect_scores_are_not_certain() -> None:
    evidence = by_predictions(groups={"g": ["a"] * 40}, decision=[0, 1] * 20, label=[0, 1] * 20, score=[0.1, 0.9] * 20)
    auc = measure("accuracy.scores", "auc", evidence)
    assert auc.value == 1.0
    assert auc.low is not None
    assert auc.low < 0.9


def test_scores_outside_0_to_1_are_no_probabilities() -> None:
    evidence = by_predictions(groups={"g": ["a"] * 40}, decision=[0, 1] * 20, label=[0, 1] * 20, score=[-3.0, 5.0] * 20)
    found = finding("accuracy.scores", evidence)
    brier, auc = found.measure("brier"), found.measure("auc")
    assert brier is not None
    assert auc is not None
    assert brier.value is None
    assert auc.value == 1.0


def test_labels_of_one_class_leave_nothing_to_tell_apart() -> None:
    evidence = by_predictions(groups={"g": ["a"] * 40}, decision=[0, 1] * 20, label=[1] * 40, score=[0.2, 0.9] * 20)
    auc = measure("accuracy.scores", "auc", evidence)
    assert auc.value is None
    assert auc.reason is not None
    assert auc.reason.code == "one_class"


def test_equal_labels_have_no_r_squared() -> None:
    evidence = by_predictions(
        groups={"g": ["a"] * 40}, decision=[1.0, 2.0] * 20, label=[1.5] * 40, task="regression", favourable=None
    )
    assert measure("accuracy.regression", "r2", evidence).value is None
    assert measure("accuracy.regression", "mae", evidence).value == pytest.approx(0.5)
