"""Tell how well the mixed rows of an explanation can be told from real ones.

A model that can tell them apart can answer real rows by one rule and an explanation's questions by another: what is
explained is then not what decides (the scaffolding attack). Assumes nothing of the model: only the rows are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from checks.explainability._shapley import Floats, Integers, is_number
from checks.finding import Measure, Reason
from checks.policy import Terms
from checks.probes.coalitions import codes_of

MOST_ROWS = 1_500
"""Mixed rows and real rows looked at, of each at most so many."""

FEWEST_ROWS = 50
TREES = 60
DEFINITION = "sklearn.metrics.roc_auc_score of a random forest that sorts mixed rows from real ones, on rows left out"


def told_apart(
    features: pa.Table, facts: Mapping[str, NDArray[Any]], seed: int, terms: Terms, names: tuple[str, ...]
) -> Measure:
    """Measure how well a random forest sorts mixed rows from real ones.

    Args:
        features: (n, f) of the data.
        facts: of the plan of `coalitions`.
        seed: of rows and trees.
        terms: the confidence of the interval.
        names: (p,) of the players.

    Returns:
        `told_apart` (area under the ROC curve, 0.5 to 1 but for chance; lower is better; Hanley and McNeil's
        interval). Without a value where there are fewer than `FEWEST_ROWS` of either kind.

    References:
        Slack, Hilgard, Jia, Singh and Lakkaraju (2020), Fooling LIME and SHAP; Hanley and McNeil (1982).
    """
    rng = np.random.default_rng([seed, len(names), 20_20])
    of, against, mask = mixtures(facts, len(names))
    n = features.num_rows
    if len(of) < 2 * FEWEST_ROWS or n < 2 * FEWEST_ROWS:
        reason = Reason(code="too_few_rows")
        return Measure(name="told_apart", value=None, rows=len(of), unit="ratio", definition=DEFINITION, reason=reason)
    x, z = facts["explained"].astype(np.int64)[of], facts["background"].astype(np.int64)[against]
    # A row of the data is learned from or judged on, never both, also where it lends its values to a mixture.
    learned = rng.random(n) < 0.5
    one_side = np.flatnonzero(learned[x] == learned[z])
    some = np.sort(rng.permutation(one_side)[:MOST_ROWS])
    x, z, mask = x[some], z[some], mask[some]
    real = np.sort(rng.permutation(n)[:MOST_ROWS])
    shown = np.empty((len(x) + len(real), features.num_columns))
    for i, column in enumerate(features.columns):
        values = _numbers(column)
        shown[: len(x), i] = np.where(mask[:, facts["player"][i]], values[x], values[z])
        shown[len(x) :, i] = values[real]
    train = np.concatenate([learned[x], learned[real]])
    mixed = np.arange(len(shown)) < len(x)
    if min(_least(mixed[train]), _least(mixed[~train])) < FEWEST_ROWS / 2:
        reason = Reason(code="too_few_rows")
        return Measure(name="told_apart", value=None, rows=len(x), unit="ratio", definition=DEFINITION, reason=reason)
    area = _area(shown.tobytes(), mixed.tobytes(), train.tobytes(), seed)
    low, high = _interval(area, int(mixed[~train].sum()), int((~mixed[~train]).sum()), terms.confidence)
    return Measure(
        name="told_apart",
        value=area,
        low=low,
        high=high,
        rows=int((~train).sum()),
        unit="ratio",
        definition=DEFINITION,
        interval="Hanley and McNeil",
    )


def settles_nothing(apart: Measure, terms: Terms) -> Reason | None:
    """Say why an explanation settles nothing: its questions may be told from real rows too well.

    Args:
        apart: from `told_apart`.
        terms: with the area from which that is so.

    Returns:
        None where the whole interval lies within the policy's area, or where nothing was asked that could be told.
    """
    limit = terms.told_apart
    if apart.value is None:
        return Reason(code="rows_not_told") if apart.rows else None
    if apart.high is not None and apart.high <= limit:
        return None
    return Reason(code="rows_told_apart", params={"told_apart": apart.value, "limit": limit})


def mixtures(facts: Mapping[str, NDArray[Any]], p: int) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Read back which mixtures were asked.

    Args:
        facts: of the plan of `coalitions`.
        p: number of players.

    Returns:
        (m,) explained row, (m,) background row, both as places in the facts, and (m, p) whether each player has the
        explained row's value; rows that are no mixture are left out.
    """
    index, order, drawn = (facts[name].astype(np.int64) for name in ("index", "order", "drawn"))
    lead = len(facts["explained"]) + len(facts["background"])
    if index.ndim == 3:
        _, first = np.unique(index, return_index=True)
        i, j, coalition = np.unravel_index(first, index.shape)
        kept = index[i, j, coalition] >= lead
        i, j, coalition = i[kept], j[kept], coalition[kept]
        return i, drawn[i, j], (coalition[:, None] >> np.arange(p)) & 1 == 1
    _, first = np.unique(index, return_index=True)
    i, j, way, step = np.unravel_index(first, index.shape)
    kept = index[i, j, way, step] >= lead
    i, j, way, step = i[kept], j[kept], way[kept], step[kept]
    path = np.where(way[:, None] == 0, order[i, j], order[i, j][:, ::-1])
    return i, drawn[i, j], np.argsort(path, axis=1) < step[:, None]


def _numbers(column: pa.ChunkedArray) -> Floats:
    """Give a column as numbers that trees can split, what is missing below all others."""
    if not is_number(column.type):
        return np.asarray(codes_of(column), dtype=np.float64)
    values = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    known = values[np.isfinite(values)]
    return np.where(np.isfinite(values), values, (known.min() if known.size else 0.0) - 1.0)


def _least(mixed: NDArray[np.bool_]) -> int:
    return int(min(mixed.sum(), (~mixed).sum()))


@lru_cache(maxsize=8)
def _area(shown_bytes: bytes, mixed_bytes: bytes, train_bytes: bytes, seed: int) -> float:
    """Fit and judge a forest; kept, since every check of an explanation asks about the same rows."""
    from sklearn.metrics import roc_auc_score
    from sklearn.tree import DecisionTreeClassifier

    mixed, train = (np.frombuffer(each, dtype=np.bool_) for each in (mixed_bytes, train_bytes))
    shown = np.frombuffer(shown_bytes, dtype=np.float64).reshape(len(mixed), -1)
    # scikit-learn's own forest hands its trees to joblib, which reads the clock: a check may not.
    rng = np.random.default_rng([seed, 60])
    learned, sides = shown[train], mixed[train]
    told = np.zeros(int((~train).sum()))
    for number in range(TREES):
        drawn = rng.integers(0, len(learned), len(learned))
        tree = DecisionTreeClassifier(max_features="sqrt", min_samples_leaf=2, random_state=number)
        tree.fit(learned[drawn], sides[drawn])
        told += tree.predict_proba(shown[~train]) @ tree.classes_.astype(np.float64)
    return float(roc_auc_score(mixed[~train], told))


def _interval(area: float, mixed: int, real: int, confidence: float) -> tuple[float, float]:
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (mixed - 1) * (one - area**2) + (real - 1) * (two - area**2)
    half = float(stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(max(spread, 0.0) / (mixed * real)))
    return max(area - half, 0.0), min(area + half, 1.0)
