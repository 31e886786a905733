"""The rates of this family, each as fairlearn or scikit-learn defines it and as a share of count cells."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from checks.counting import Cells, Mask
from checks.fairness._rates import ADVERSE, FAVOURABLE, Rate


def _fairlearn(name: str, **fixed: Any) -> Callable[[], Callable[..., float]]:
    def get() -> Callable[..., float]:
        import fairlearn.metrics as metrics

        return partial(getattr(metrics, name), **fixed)

    return get


def _scikit_learn(name: str, **fixed: Any) -> Callable[[], Callable[..., float]]:
    def get() -> Callable[..., float]:
        import sklearn.metrics as metrics

        return partial(getattr(metrics, name), **fixed)

    return get


def _all(cells: Cells) -> Mask:
    return np.ones(len(cells.rows), dtype=np.bool_)


def _decided_for(cells: Cells) -> Mask:
    return np.equal(cells.decision, FAVOURABLE)


SELECTION = Rate(
    name="selection_rate",
    definition="fairlearn.metrics.selection_rate",
    metric=_fairlearn("selection_rate", pos_label=FAVOURABLE),
    among=_all,
    counts=_decided_for,
    labelled=False,
)
"""Share of all people who get the favourable decision."""

ADVERSE_SELECTION = Rate(
    name="adverse_rate",
    definition="fairlearn.metrics.selection_rate of the adverse outcome",
    metric=_fairlearn("selection_rate", pos_label=ADVERSE),
    among=_all,
    counts=lambda cells: cells.decision == ADVERSE,
    labelled=False,
)
"""Share of all people who do not get it."""

TRUE_POSITIVE = Rate(
    name="true_positive_rate",
    definition="fairlearn.metrics.true_positive_rate",
    metric=_fairlearn("true_positive_rate", pos_label=FAVOURABLE),
    among=lambda cells: cells.label == FAVOURABLE,
    counts=_decided_for,
    labelled=True,
)
"""Share of people whose label is favourable who get the favourable decision."""

FALSE_POSITIVE = Rate(
    name="false_positive_rate",
    definition="fairlearn.metrics.false_positive_rate",
    metric=_fairlearn("false_positive_rate", pos_label=FAVOURABLE),
    among=lambda cells: cells.label == ADVERSE,
    counts=_decided_for,
    labelled=True,
)
"""Share of people whose label is not favourable who get the favourable decision."""

PRECISION = Rate(
    name="precision",
    definition="sklearn.metrics.precision_score",
    metric=_scikit_learn("precision_score", pos_label=FAVOURABLE, zero_division=0),
    among=_decided_for,
    counts=lambda cells: cells.label == FAVOURABLE,
    labelled=True,
)
"""Share of people who get the favourable decision whose label is favourable."""

ACCURACY = Rate(
    name="accuracy",
    definition="sklearn.metrics.accuracy_score",
    metric=_scikit_learn("accuracy_score"),
    among=_all,
    counts=lambda cells: cells.decision == cells.label,
    labelled=True,
)
"""Share of people whose decision is their label."""
