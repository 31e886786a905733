"""XGBoost's own files, JSON or UBJSON: trees and settings, no code."""

# ruff: noqa: TID252 - this folder is copied into a cell under another package name
from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import answers
from ..boosters import xgboost_codes
from ..columns import Columns, Unanswerable, places_by_name
from ..wire import Setup, Status
from . import Loaded, report

if TYPE_CHECKING:
    import numpy as np

LOADING = "data_only"
NEEDS = ("xgboost", "xgboost-cpu")


def sniff(path: Path) -> bool:
    """Tell whether this is an object whose first key is XGBoost's `learner`."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(256)
    text = head.lstrip()
    return text.startswith(b"{") and (
        text[1:].lstrip().startswith(b'"learner"') or head.startswith(b"{L\0\0\0\0\0\0\0\x07learner")
    )


def scan(path: Path) -> dict[str, Any]:
    """Say that the file holds data; its content is read by XGBoost in the cell."""
    with path.open("rb") as file:
        written = "json" if file.read(2).lstrip()[1:] != b"L" else "ubjson"
    return report("xgboost", LOADING, notes=[f"written_as_{written}"])


class _Booster:
    def __init__(self, booster: Any, setup: Setup) -> None:
        import numpy as np

        self._booster = booster
        self._setup = setup
        self._places = places_by_name(setup.columns, booster.feature_names, booster.num_features())
        self._codes = xgboost_codes(booster, setup, self._places)
        objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
        self._gives_classes = objective == "multi:softmax"
        self._limit = np.float32(0.0 if objective == "binary:logitraw" else 0.5)
        best = booster.attr("best_iteration")
        self._range = (0, int(best) + 1) if best is not None else (0, 0)
        if setup.output == "probability" and objective not in ("binary:logistic", "multi:softprob", "reg:logistic"):
            raise Unanswerable(Status.NO_PROBABILITY, f"the objective {objective} gives no probabilities")

    def predict(self, columns: Columns) -> np.ndarray:
        given = columns.matrix(self._places, self._codes)
        raw = self._booster.inplace_predict(given, iteration_range=self._range, validate_features=False)
        return answers.of_booster(raw, self._setup, limit=self._limit, classes=self._gives_classes)


def load(path: Path, setup: Setup) -> Loaded:
    """Load the booster.

    The file names no classes: the raw probability or score is that of the second declared class, and class i is the
    i-th declared class.

    Raises:
        Unanswerable: it was trained on other columns, or its objective gives no probabilities where they are asked.
    """
    from xgboost import Booster

    booster = Booster()
    booster.load_model(path)
    return _Booster(booster, setup)
