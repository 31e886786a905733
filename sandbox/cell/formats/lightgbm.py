"""LightGBM's own text files: trees and settings, no code."""

# ruff: noqa: TID252 - this folder is copied into a cell under another package name
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import answers
from ..columns import Columns, Unanswerable, category_places, places_by_name, trained_values
from ..wire import Setup, Status
from . import Loaded, report

if TYPE_CHECKING:
    import numpy as np

LOADING = "data_only"
NEEDS = ("lightgbm",)

_PROBABILITIES = ("binary", "multiclass", "multiclassova", "cross_entropy")


def sniff(path: Path) -> bool:
    """Tell whether this begins as LightGBM writes its models."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(64).replace(b"\r\n", b"\n")
    return head.startswith(b"tree\nversion=")


def scan(path: Path) -> dict[str, Any]:
    """Say that the file holds data; its content is read by LightGBM in the cell."""
    objective = _objective(path)
    return report("lightgbm", LOADING, types={f"objective:{objective}"} if objective else None)


def _objective(path: Path) -> str:
    with path.open("r", encoding="utf-8", errors="replace") as file:
        for _ in range(40):
            line = file.readline(10_000_000)
            if line.startswith("objective="):
                return line.removeprefix("objective=").split()[0] if line.strip() != "objective=" else ""
            if line.startswith("Tree=0"):
                break
    return ""


class _Booster:
    def __init__(self, booster: Any, objective: str, setup: Setup) -> None:
        self._booster = booster
        self._setup = setup
        self._places = places_by_name(setup.columns, booster.feature_name())
        trained = booster.pandas_categorical or []
        at = category_places(setup.columns, self._places)
        if trained and len(trained) != len(at):
            raise Unanswerable(Status.INPUTS_DIFFER, "the model takes another number of category columns")
        self._categorical: dict[int, Any] = {
            i: trained_values(setup.columns[i].categories, values) for i, values in zip(at, trained, strict=False)
        }
        if setup.output in ("label", "decision") and not objective:
            raise Unanswerable(
                Status.NO_PROBABILITY, "an objective of its own: what its numbers say of classes is open"
            )
        if setup.output == "probability" and objective not in _PROBABILITIES:
            raise Unanswerable(Status.NO_PROBABILITY, f"the objective {objective} gives no probabilities")

    def predict(self, columns: Columns) -> np.ndarray:
        given = columns.frame(self._places, self._categorical) if self._categorical else columns.matrix(self._places)
        raw = self._booster.predict(given)
        return answers.of_booster(raw, self._setup)


def load(path: Path, setup: Setup) -> Loaded:
    """Load the booster.

    The file names no classes: the raw probability or score is that of the second declared class, and class i is the
    i-th declared class.

    Raises:
        Unanswerable: it was trained on other columns, or its objective gives no probabilities where they are asked.
    """
    from lightgbm import Booster

    return _Booster(Booster(model_file=str(path)), _objective(path), setup)
