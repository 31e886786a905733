"""Evidence that says little: few rows, one class, one group, constant or missing answers, skewed weights, one unit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from numpy.typing import NDArray

from checks.evidence import Evidence, Table
from tests.make.evidence import by_counts, by_model, by_predictions, codes, declare, floats, table

CLASSES = {"binary": ("no", "yes"), "multiclass": ("no", "maybe", "yes"), "regression": ("none", "needed")}
CLAIMS = {"accuracy": 0.9, "mae": 1.0, "auc": 0.8}
MISSING = st.sampled_from([0.0, 0.0, 0.3, 1.0])


@st.composite
def poor_evidence(draw: st.DrawFn, route: str, kind: str) -> Evidence:
    """Draw evidence with few rows and all that can be missing or alike.

    Args:
        route: `model`, `predictions` or `counts`.
        kind: `binary`, `multiclass` or `regression`; counts are binary.
    """
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    stated = draw(st.sampled_from([None, {"sex": {"g0": 0.5, "g1": 0.5}, "race": {"g0": 1.0}}]))
    if route == "counts":
        cell = st.tuples(
            st.sampled_from(["g0", "g1", None]), *[st.sampled_from([0, 1, None])] * 2, st.sampled_from([0, 1, 3, 50])
        )
        return by_counts(draw(st.lists(cell, min_size=1, max_size=8)), population=stated)
    n = draw(st.sampled_from([1, 2, 3, 5, 20, 40, 80]))
    data = {"sampling": draw(st.sampled_from(["all", "all", "accepted_only"]))}
    if route == "predictions":
        return by_predictions(
            groups=_groups(draw, rng, n),
            decision=_labels(draw, rng, n, kind),
            label=_labels(draw, rng, n, kind),
            score=_scores(draw, rng, n) if kind == "binary" else None,
            features=_features(draw, rng, n),
            weight=_weights(draw, rng, n),
            unit=_units(draw, n),
            population=stated,
            task=kind,
            favourable=None if kind == "regression" else "yes",
            classes=CLASSES[kind],
            claims=CLAIMS,
            data=data,
        )
    unit = _units(draw, n)
    given = replace(
        _table(draw, rng, n, kind, unit),
        weight=None if (weight := _weights(draw, rng, n)) is None else floats(weight),
    )
    if draw(st.booleans()):
        training, holdout = (
            _table(draw, rng, m, kind, None if unit is None else np.arange(m) % n)
            for m in (draw(st.sampled_from([1, 2, 30, 100])), draw(st.sampled_from([1, 2, 30])))
        )
        given = replace(given, training=training, holdout=holdout)
    roles = {"w": "weight"} if given.weight is not None else {}
    roles |= {"u": "unit"} if unit is not None else {}
    declaration = declare(
        route="model",
        task=kind,
        classes=CLASSES[kind],
        groups=("sex", "race"),
        columns=roles,
        claims=CLAIMS,
        data=data,
    )
    return by_model(given, _Model(draw, rng, kind), declaration, population=stated)


class _Model:
    """Answers in one of many ways that leave little to measure."""

    def __init__(self, draw: st.DrawFn, rng: np.random.Generator, kind: str) -> None:
        ways = ["same", "none", "all", "by amount", "by row", "missing", "some missing"]
        self.way = draw(st.sampled_from([*ways, "huge"] if kind == "regression" else ways))
        self.kind, self.rng = kind, rng

    def __call__(self, shown: pa.Table) -> NDArray[np.float64]:
        m = shown.num_rows
        amount = np.nan_to_num(shown.column("amount").to_numpy(zero_copy_only=False).astype(np.float64))
        score = 1.0 / (1.0 + np.exp(-np.clip(amount, -30, 30)))
        fixed = {"same": 0.5, "none": 0.0, "all": 1.0, "missing": np.nan}
        if self.way in fixed:
            score = np.full(m, fixed[self.way])
        elif self.way == "by row":
            score = self.rng.random(m)
        elif self.way == "some missing":
            score = np.where(shown.column("count").to_numpy() % 2 == 0, np.nan, score)
        elif self.way == "huge":
            score = score * 1e300
        return np.stack([score / 2, 1 - score, score / 2], axis=1) if self.kind == "multiclass" else score[:, None]


def _table(draw: st.DrawFn, rng: np.random.Generator, n: int, kind: str, unit: NDArray[np.int64] | None) -> Table:
    label = _labels(draw, rng, n, kind)
    return table(
        groups=_groups(draw, rng, n),
        label=draw(st.sampled_from([None, *[floats(label) if kind == "regression" else codes(label)] * 9])),
        features=_features(draw, rng, n),
        unit=unit,
    )


def _features(draw: st.DrawFn, rng: np.random.Generator, n: int) -> dict[str, pa.Array]:
    amount = {
        "normal": rng.normal(0, 1, n),
        "constant": np.ones(n),
        "missing": np.full(n, np.nan),
        "heavy": rng.standard_cauchy(n),
        "huge": rng.normal(0, 1e150, n),
        "some missing": np.where(rng.random(n) < 0.4, np.nan, rng.normal(0, 1, n)),
    }
    kinds = rng.integers(0, draw(st.sampled_from([1, 2, 3, n])), n)
    named = [None if gone else f"k{k}" for gone, k in zip(rng.random(n) < 0.1, kinds, strict=True)]
    return {
        "amount": pa.array(amount[draw(st.sampled_from(sorted(amount)))], type=pa.float64(), from_pandas=True),
        "count": pa.array(rng.integers(0, draw(st.sampled_from([1, 2, 6, 100_000])), n), type=pa.int64()),
        "owner": pa.array(rng.integers(0, draw(st.sampled_from([1, 2])), n).astype(bool)),
        "kind": pa.array(named, type=pa.string()).dictionary_encode(),
    }


def _groups(draw: st.DrawFn, rng: np.random.Generator, n: int) -> dict[str, list[str | None]]:
    return {
        name: [
            None if gone else f"g{code}"
            for gone, code in zip(
                rng.random(n) < draw(MISSING), rng.integers(0, draw(st.sampled_from([1, 2, most])), n), strict=True
            )
        ]
        for name, most in (("sex", 2), ("race", max(4, n)))
    }


def _labels(draw: st.DrawFn, rng: np.random.Generator, n: int, kind: str) -> NDArray[Any]:
    """Give classes (-1 where missing) or numbers (NaN where missing): spread, all alike, or with heavy tails."""
    gone, way = rng.random(n) < draw(MISSING), draw(st.sampled_from(["spread", "spread", "alike", "heavy"]))
    if kind == "regression":
        numbers = {"spread": rng.normal(0, 1, n), "alike": np.ones(n), "heavy": 1e6 * rng.standard_cauchy(n)}
        return np.where(gone, np.nan, numbers[way])
    last = len(CLASSES[kind]) - 1
    classes = {"spread": rng.integers(0, last + 1, n), "alike": np.zeros(n), "heavy": np.full(n, last)}
    return np.where(gone, -1, classes[way])


def _scores(draw: st.DrawFn, rng: np.random.Generator, n: int) -> NDArray[np.float64] | None:
    scores = {
        "none": None,
        "spread": rng.random(n),
        "constant": np.full(n, 0.5),
        "missing": np.full(n, np.nan),
        "no probabilities": rng.normal(0, 1e6, n),
        "some missing": np.where(rng.random(n) < 0.5, np.nan, rng.random(n)),
        "certain": rng.integers(0, 2, n).astype(np.float64),
    }
    return scores[draw(st.sampled_from(sorted(scores)))]


def _weights(draw: st.DrawFn, rng: np.random.Generator, n: int) -> NDArray[np.float64] | None:
    weights = {
        "none": None,
        "skewed": rng.lognormal(0, 1.5, n),
        "one row counts": np.r_[1e9, np.ones(n - 1)],
        "tiny": np.full(n, 1e-12),
    }
    return weights[draw(st.sampled_from(sorted(weights)))]


def _units(draw: st.DrawFn, n: int) -> NDArray[np.int64] | None:
    units = {"none": None, "one": np.zeros(n, dtype=np.int64), "pairs": np.arange(n) // 2, "each": np.arange(n)}
    return units[draw(st.sampled_from(sorted(units)))]
