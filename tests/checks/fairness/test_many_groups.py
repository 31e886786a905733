"""Thousands of groups are compared in one go, and come out as they would one by one."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, selection_rate, true_positive_rate
from sklearn.metrics import precision_score

from checks.fairness import _rates
from tests.make.evidence import by_predictions
from tests.make.judged import finding, of_group


@pytest.mark.parametrize(
    ("check", "name", "metric"),
    [
        ("selection_rate", "selection_rate", selection_rate),
        ("equal_opportunity", "true_positive_rate", true_positive_rate),
        ("predictive_parity", "precision", precision_score),
    ],
)
def test_many_groups_are_measured_as_fairlearn_measures_them(check: str, name: str, metric: object) -> None:
    rng = np.random.default_rng(9)
    groups = _rates.MOST_FRAMED + 20
    group = np.repeat(np.arange(groups), 90).astype(str)
    label, decision = rng.integers(0, 2, len(group)), rng.integers(0, 2, len(group))
    weight = rng.lognormal(0, 0.4, len(group))
    evidence = by_predictions(groups={"g": group}, decision=decision, label=label, weight=weight)
    frame = MetricFrame(
        metrics=metric,
        y_true=label,
        y_pred=decision,
        sensitive_features=group,
        sample_params={"sample_weight": weight},
    )
    found = finding(f"fairness.{check}", evidence)
    large = [g.group["g"] for g in found.groups if not g.too_small]
    assert len(large) > _rates.MOST_FRAMED
    for one in large[::17]:
        assert of_group(found, one, name).value == pytest.approx(frame.by_group[one])
    kept = frame.by_group[large]
    for headline, value in (("difference", kept.max() - kept.min()), ("ratio", kept.min() / kept.max())):
        given = found.measure(headline)
        assert given is not None
        assert given.value == pytest.approx(value)
