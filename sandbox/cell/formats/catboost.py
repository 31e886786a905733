"""CatBoost's own binary files: trees and settings, no code."""

# ruff: noqa: TID252 - this folder is copied into a cell under another package name
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import answers
from ..columns import Columns, Unanswerable, places_by_name
from ..wire import Setup, Status
from . import Loaded, report

if TYPE_CHECKING:
    import numpy as np

LOADING = "data_only"
NEEDS = ("catboost",)

_KINDS = {"probability": "Probability", "label": "Class", "decision": "Class"}


def sniff(path: Path) -> bool:
    """Tell whether this begins with CatBoost's mark."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"CBM1"


def scan(path: Path) -> dict[str, Any]:
    """Say that the file holds data; its content is read by CatBoost in the cell."""
    del path
    return report("catboost", LOADING)


class _Trees:
    def __init__(self, model: Any, setup: Setup) -> None:
        self._model = model
        self._setup = setup
        names = [str(name) for name in model.feature_names_]
        unnamed = names == [str(i) for i in range(len(names))]
        self._places = places_by_name(setup.columns, None if unnamed else names, len(names))
        self._classes = list(model.classes_)
        if model.get_text_feature_indices() or model.get_embedding_feature_indices():
            raise Unanswerable(Status.NOT_SUPPORTED, "a model over texts or embeddings")
        self._categories = set(model.get_cat_feature_indices())
        for at in self._categories:
            if setup.columns[self._places[at]].type == "number":
                raise Unanswerable(Status.INPUTS_DIFFER, "the model takes a category where a number is given")
        if setup.output == "probability" and not self._classes:
            raise Unanswerable(Status.NO_PROBABILITY, "the model knows no classes")

    def predict(self, columns: Columns) -> np.ndarray:
        setup = self._setup
        given: Any = columns.matrix(self._places) if not self._categories else self._frame(columns)
        raw = self._model.predict(given, prediction_type=_KINDS.get(setup.output, "RawFormulaVal"), thread_count=1)
        if setup.output == "probability":
            return answers.probability(raw, setup, self._classes)
        if setup.output == "score":
            return answers.score(raw, setup, self._classes or None)
        return answers.value(raw) if setup.output == "value" else answers.labels(raw, setup)

    def _frame(self, columns: Columns) -> Any:
        import pandas as pd

        # CatBoost takes a category as a text, and one that is missing as the text that it was trained with.
        return pd.DataFrame(
            {
                at: columns.texts(i, "nan") if at in self._categories else columns.numbers(i)
                for at, i in enumerate(self._places)
            }
        )


def load(path: Path, setup: Setup) -> Loaded:
    """Load the trees.

    Raises:
        Unanswerable: it was trained on other columns, on texts, or knows no classes where probabilities are asked.
    """
    from catboost import CatBoost

    return _Trees(CatBoost().load_model(str(path)), setup)
