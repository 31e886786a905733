"""Asks an object with scikit-learn's methods: what skops and pickle files hold.

Runs in the model's cell.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import answers
from .boosters import xgboost_codes
from .columns import Columns, Unanswerable, category_places, places_by_name, trained_values
from .wire import Setup, Status

if TYPE_CHECKING:
    import numpy as np


class Estimator:
    """A fitted estimator, asked for what the set-up states.

    Args:
        fitted: has `predict`, and `predict_proba` or `decision_function` where those are asked.
        setup: what is asked.

    Raises:
        Unanswerable: it was fitted on other columns, or gives no probabilities where they are asked.
    """

    def __init__(self, fitted: Any, setup: Setup) -> None:
        self._fitted = fitted
        self._setup = setup
        if not callable(getattr(fitted, "predict", None)):
            raise Unanswerable(Status.NOT_SUPPORTED, "the object in the file has no method predict")
        if setup.output == "probability" and not callable(getattr(fitted, "predict_proba", None)):
            raise Unanswerable(Status.NO_PROBABILITY, "the model has no method predict_proba")
        names = getattr(fitted, "feature_names_in_", None)
        self._places = places_by_name(
            setup.columns,
            None if names is None else [str(name) for name in names],
            getattr(fitted, "n_features_in_", None),
        )
        self._named = names is not None
        self._library = type(fitted).__module__.partition(".")[0]
        self._codes = xgboost_codes(fitted.get_booster(), setup, self._places) if self._library == "xgboost" else {}
        self._categorical = self._category_values()

    def _category_values(self) -> dict[int, Sequence[Any] | None]:
        # LightGBM's own estimators take pandas categories, not strings.
        at = category_places(self._setup.columns, self._places)
        if self._library == "lightgbm":
            trained = getattr(self._fitted.booster_, "pandas_categorical", None) or []
            if len(trained) == len(at):
                return {
                    i: trained_values(self._setup.columns[i].categories, t) for i, t in zip(at, trained, strict=True)
                }
        return {}

    def predict(self, columns: Columns) -> np.ndarray:
        """Ask for one batch, shape (n, k)."""
        setup = self._setup
        numeric = all(columns.columns[i].type in ("number", "whole", "boolean") for i in self._places)
        given: Any
        if self._library == "xgboost":
            given = columns.matrix(self._places, self._codes)
        elif numeric and not self._named:
            given = columns.matrix(self._places)
        else:
            given = columns.frame(self._places, self._categorical)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if setup.output == "probability":
                return answers.probability(self._fitted.predict_proba(given), setup, self._own())
            if setup.output == "score":
                return self._score(given)
            raw = self._fitted.predict(given)
        return answers.value(raw) if setup.output == "value" else answers.labels(raw, setup)

    def _own(self) -> list[Any]:
        own = getattr(self._fitted, "classes_", None)
        if own is None:
            raise Unanswerable(Status.NO_PROBABILITY, "the model does not say which classes it knows")
        return list(own)

    def _score(self, given: Any) -> np.ndarray:
        for method in ("decision_function", "predict_proba"):
            ask = getattr(self._fitted, method, None)
            if callable(ask):
                own = self._own() if hasattr(self._fitted, "classes_") else None
                return answers.score(ask(given), self._setup, own)
        return answers.value(self._fitted.predict(given))
