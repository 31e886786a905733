"""Evidence of every kind, for what must be true of every check: each route and task, full, poor and empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.evidence import Document, Evidence, Table
from checks.sealing import seal
from tests.make.evidence import by_counts, by_model, by_predictions, codes, declare, floats, table

ROWS = 120
DOCUMENTS = (
    Document(
        name="technical_documentation.md",
        text="# Intended purpose\n\nThe system estimates an example. It is meant for a test.\n\n# Limits\n\nTBD\n",
        digest="1" * 64,
    ),
)
SCAN = {"state": "scanned", "format": "skops", "unknown_types": [], "executes_code": False}
CLAIMS = {"accuracy": 0.9, "mae": 1.0, "wonder": 3.0}


def _features(rows: int) -> dict[str, pa.Array]:
    rng = np.random.default_rng(5)
    kinds = np.array(["low", "middle", "high"], dtype=object)[rng.integers(0, 3, rows)]
    return {
        "amount": pa.array(rng.normal(0, 1, rows), mask=np.arange(rows) % 17 == 3),
        "count": pa.array(rng.integers(0, 6, rows), type=pa.int64()),
        "owner": pa.array(rng.integers(0, 2, rows).astype(bool)),
        "kind": pa.array(kinds.tolist(), type=pa.string()).dictionary_encode(),
    }


def _groups(rows: int) -> dict[str, list[str | None]]:
    rng = np.random.default_rng(6)
    race = [None if i % 29 == 0 else str(rng.choice(["a", "b", "c"])) for i in range(rows)]
    return {"sex": [str(v) for v in rng.choice(["F", "M"], rows)], "race": race}


def _score(shown: pa.Table) -> NDArray[np.float64]:
    amount = np.nan_to_num(shown.column("amount").to_numpy(zero_copy_only=False).astype(float))
    return 1.0 / (1.0 + np.exp(-(amount + 0.3 * shown.column("count").to_numpy() - 0.8)))


def _given(kind: str, rows: int, **more: object) -> Table:
    rng = np.random.default_rng(7)
    label = floats(rng.normal(3, 1, rows)) if kind == "regression" else codes(rng.integers(0, _CLASSES[kind], rows))
    return table(groups=_groups(rows), label=label, features=_features(rows), **more)  # type: ignore[arg-type]


_CLASSES = {"binary": 2, "multiclass": 3}


def _by_model(kind: str, rows: int = ROWS, *, more: bool = False, units: int | None = None) -> Evidence:
    answers: dict[str, Callable[[pa.Table], NDArray[np.float64]]] = {
        "binary": lambda shown: _score(shown).reshape(-1, 1),
        "multiclass": lambda shown: np.stack([_score(shown) / 2, 1 - _score(shown), _score(shown) / 2], axis=1),
        "regression": lambda shown: 3 * _score(shown).reshape(-1, 1),
    }
    names = ("no", "yes") if kind == "binary" else ("no", "maybe", "yes")
    columns = {"w": "weight"} | ({} if units is None else {"u": "unit"})
    declaration = declare(
        route="model", task=kind, classes=names, groups=("sex", "race"), columns=columns, claims=CLAIMS
    )
    rng = np.random.default_rng(8)

    def of_units(n: int) -> NDArray[np.int64] | None:
        return None if units is None else np.arange(n) % units

    given = _given(kind, rows, weight=rng.lognormal(0, 0.4, rows), unit=of_units(rows))
    if more:
        training = _given(kind, 2 * rows, unit=of_units(2 * rows))
        given = replace(given, training=training, holdout=_given(kind, rows // 2 + 1))
    return by_model(given, answers[kind], declaration, documents=DOCUMENTS, scan=SCAN)


def _failed() -> Evidence:
    declaration = declare(route="model", groups=("sex", "race"))
    return seal(
        declaration,
        submission_digest="0" * 64,
        table=_given("binary", ROWS),
        scan=SCAN,
        model_fault={"code": "crashed", "detail": "exit 139"},
    )


def _predictions(rows: int = ROWS, **more: object) -> Evidence:
    rng = np.random.default_rng(9)
    given: dict[str, object] = {
        "groups": _groups(rows),
        "decision": rng.integers(0, 2, rows),
        "label": rng.integers(0, 2, rows),
        "score": rng.random(rows),
        "features": _features(rows),
        "claims": CLAIMS,
        **more,
    }
    return by_predictions(**given)  # type: ignore[arg-type]


_COUNTS = [("F", 1, 1, 40), ("F", 0, 1, 30), ("M", 1, 0, 20), ("M", None, 1, 10), (None, 0, None, 5)]

MADE: dict[str, Callable[[], Evidence]] = {
    "model, two classes": lambda: _by_model("binary"),
    "model, three classes": lambda: _by_model("multiclass"),
    "model, a number": lambda: _by_model("regression"),
    "model with training data and a holdout": lambda: _by_model("binary", more=True),
    "model of a number, with training data and a holdout": lambda: _by_model("regression", more=True),
    "model with three classes, training data and a holdout": lambda: _by_model("multiclass", more=True),
    "model of one row, with training data and a holdout": lambda: _by_model("binary", 1, more=True),
    "model whose rows are all of one person": lambda: _by_model("binary", more=True, units=1),
    "model of a number whose rows are all of one person": lambda: _by_model("regression", more=True, units=1),
    "model that crashed": _failed,
    "predictions": _predictions,
    "predictions with a stated population": lambda: _predictions(
        population={"sex": {"F": 0.5, "M": 0.49, "X": 0.01}, "race": {"z": 1.0}}
    ),
    "predictions without labels": lambda: _predictions(label=None),
    "predictions with every label missing": lambda: _predictions(label=[-1] * ROWS),
    "predictions with every answer missing": lambda: _predictions(decision=[-1] * ROWS, score=[float("nan")] * ROWS),
    "predictions of one group": lambda: _predictions(groups={"sex": ["F"] * ROWS}),
    "predictions of groups never stated": lambda: _predictions(groups={"sex": [None] * ROWS}),
    "predictions without groups": lambda: _predictions(groups={}),
    "predictions of accepted people only": lambda: _predictions(data={"sampling": "accepted_only"}),
    "predictions with units": lambda: _predictions(unit=np.arange(ROWS) // 3),
    "predictions of one class": lambda: _predictions(decision=[1] * ROWS, label=[1] * ROWS),
    "predictions without a favourable class": lambda: _predictions(favourable=None),
    "predictions of a number": lambda: _predictions(
        decision=np.linspace(0, 1, ROWS), label=np.linspace(0, 2, ROWS), score=None, task="regression", favourable=None
    ),
    "one row": lambda: _predictions(1),
    "no rows": lambda: _predictions(0),
    "counts": lambda: by_counts(_COUNTS),
    "counts with units": lambda: by_counts(_COUNTS, columns={"household": "unit"}),
    "no counts": lambda: by_counts([]),
    "documents": lambda: seal(declare(route="documents"), submission_digest="0" * 64, documents=DOCUMENTS),
    "documents that are not there": lambda: seal(declare(route="documents"), submission_digest="0" * 64),
}
"""A builder by the name of each kind."""


@cache
def make(kind: str) -> Evidence:
    """Make one kind of evidence; once per process."""
    return MADE[kind]()
