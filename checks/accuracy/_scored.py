"""How well scores and probabilities tell the outcome: figures that need the rows themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.accuracy._confusion import UNITS_UNKNOWN, has_units
from checks.declaration import Output
from checks.evidence import Need, View
from checks.finding import Measure, Reason
from checks.policy import Terms
from checks.statistics import Floats, critical, effective_rows, mean_interval, wilson

ROW_FACTS = (Need.LABELS, Need.SCORES, Need.PROBABILITIES, Need.WEIGHTS)
"""What these figures are read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Rows with a label and a score.

    Args:
        positive: (n,) whether the label is the class that the score is of.
        score: (n,) float64.
        weight: (n,) float64.
    """

    positive: NDArray[np.bool_]
    score: Floats
    weight: Floats


def floats(column: pa.ChunkedArray) -> Floats:
    """Give a column as float64, NaN where it is null."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def weights_of(evidence: View, rows: int) -> Floats:
    """Give the weights, 1 where there are none."""
    return floats(evidence.weights) if evidence.holds(Need.WEIGHTS) else np.ones(rows)


def scored(evidence: View) -> Scored | None:
    """Read the rows that have a label and a score; None where there are no scores at all."""
    of, data = evidence.declaration.score_of, evidence.declaration.data
    if of is None or data is None or not (evidence.holds(Need.SCORES) and evidence.holds(Need.LABELS)):
        return None
    label, score = floats(evidence.labels), floats(evidence.scores)
    known = ~(np.isnan(label) | np.isnan(score))
    return Scored(
        positive=label[known] == data.classes.index(of),
        score=score[known],
        weight=weights_of(evidence, len(label))[known],
    )


def auc_of(rows: Scored | None, evidence: View, terms: Terms) -> Measure:
    """Measure the chance that a random row of the scored class has a higher score than a random other row."""
    definition = "sklearn.metrics.roc_auc_score"
    if rows is None:
        return _absent("auc", definition, "no_scores")
    if not rows.positive.any() or rows.positive.all():
        return _absent("auc", definition, "one_class", len(rows.score))
    from scipy.special import expit, logit
    from sklearn.metrics import roc_auc_score

    value = float(roc_auc_score(rows.positive, rows.score, sample_weight=rows.weight))
    variance = _delong(rows)
    z = critical(terms.confidence)
    if 0.0 < value < 1.0 and variance > 0.0:
        half = z * np.sqrt(variance) / (value * (1.0 - value))
        low, high, method = float(expit(logit(value) - half)), float(expit(logit(value) + half)), "delong on log odds"
    else:
        # Told apart perfectly, the rows show no spread; the smaller class says how far that can be relied on.
        sides = [rows.weight[rows.positive], rows.weight[~rows.positive]]
        fewest = min(float(effective_rows([w.sum()], [(w**2).sum()])[0]) for w in sides)
        lows, highs = wilson([value], [fewest], z)
        low, high, method = float(lows[0]), float(highs[0]), "wilson on the smaller class"
    return _certain(
        Measure(
            name="auc",
            value=value,
            low=low,
            high=high,
            rows=len(rows.score),
            unit="share",
            definition=definition,
            interval=method,
        ),
        evidence,
    )


def _delong(rows: Scored) -> float:
    """Give the variance of the weighted AUC from how each row places among the other class."""
    total = 0.0
    for own, other in ((rows.positive, ~rows.positive), (~rows.positive, rows.positive)):
        order = np.argsort(rows.score[other], kind="stable")
        among = rows.score[other][order]
        summed = np.concatenate([[0.0], np.cumsum(rows.weight[other][order])])
        below = summed[np.searchsorted(among, rows.score[own], side="left")]
        until = summed[np.searchsorted(among, rows.score[own], side="right")]
        place = (below + until) / (2.0 * summed[-1])
        weight = rows.weight[own]
        mean = float((weight * place).sum() / weight.sum())
        n = float(effective_rows([weight.sum()], [(weight**2).sum()])[0])
        inflate = n / (n - 1.0) if n > 1 else 1.0
        total += inflate * float((weight**2 * (place - mean) ** 2).sum() / weight.sum() ** 2)
    return total


def probability_losses(rows: Scored | None, evidence: View, terms: Terms) -> tuple[Measure, Measure]:
    """Measure log loss and Brier score of stated probabilities (binary: of `score_of`; else of every class)."""
    names = ("sklearn.metrics.log_loss", "sklearn.metrics.brier_score_loss")
    given = _stated(rows, evidence)
    if given is None:
        return _absent("log_loss", names[0], "no_probabilities"), _absent("brier", names[1], "no_probabilities")
    own, stated, weight, known = given
    if not len(weight):
        return _absent("log_loss", names[0], "no_rows"), _absent("brier", names[1], "no_rows")
    # The smallest distance of a float64 from 0, as scikit-learn clips: a certain and wrong answer stays finite.
    tiny = float(np.finfo(np.float64).eps)
    losses = (
        -np.log(np.clip(own, tiny, 1.0)),
        ((stated - known) ** 2).sum(axis=1) / (2.0 if rows is not None else 1.0),
    )
    made = []
    for name, definition, loss in zip(("log_loss", "brier"), names, losses, strict=True):
        made.append(_certain(mean_of(name, definition, "points", loss, weight, terms), evidence))
    return made[0], made[1]


def _stated(rows: Scored | None, evidence: View) -> tuple[Floats, Floats, Floats, Floats] | None:
    """Give the probability stated for what happened (n,), all probabilities and what happened (n, c), weights (n,)."""
    declaration = evidence.declaration
    if rows is not None:
        model = declaration.model
        outside = bool(len(rows.score)) and (rows.score.min() < 0.0 or rows.score.max() > 1.0)
        # A supplied score is taken for a probability only where every value can be one.
        if outside or (model is not None and model.output is not Output.PROBABILITY):
            return None
        stated = np.stack([1.0 - rows.score, rows.score], axis=1)
        happened = np.stack([~rows.positive, rows.positive], axis=1).astype(np.float64)
        return (stated * happened).sum(axis=1), stated, rows.weight, happened
    if not (evidence.holds(Need.PROBABILITIES) and evidence.holds(Need.LABELS)):
        return None
    stated = np.stack([floats(evidence.probabilities.column(i)) for i in range(evidence.probabilities.num_columns)], 1)
    label = floats(evidence.labels)
    known = ~(np.isnan(label) | np.isnan(stated).any(axis=1))
    stated, happened = stated[known], np.eye(stated.shape[1])[label[known].astype(np.int64)]
    return (stated * happened).sum(axis=1), stated, weights_of(evidence, len(label))[known], happened


def mean_of(name: str, definition: str, unit: str, each: Floats, weight: Floats, terms: Terms) -> Measure:
    """Measure a weighted mean over rows, with Student's interval on effective rows."""
    total = float(weight.sum())
    value = float((weight * each).sum() / total)
    n = float(effective_rows([total], [float((weight**2).sum())])[0])
    inflate = n / (n - 1.0) if n > 1 else 1.0
    variance = inflate * float((weight**2 * (each - value) ** 2).sum()) / total**2
    low, high = mean_interval([value], [variance], [n], critical(terms.confidence))
    certain = bool(np.isfinite(low[0]))
    return Measure(
        name=name,
        value=value,
        low=float(low[0]) if certain else None,
        high=float(high[0]) if certain else None,
        rows=len(each),
        unit=unit,
        definition=definition,
        interval="student" if certain else "",
        reason=None if certain else Reason(code="one_row"),
    )


def _absent(name: str, definition: str, code: str, rows: int = 0) -> Measure:
    unit = "share" if name == "auc" else "points"
    return Measure(name=name, value=None, rows=rows, unit=unit, definition=definition, reason=Reason(code=code))


def _certain(measure: Measure, evidence: View) -> Measure:
    if not has_units(evidence):
        return measure
    return measure.model_copy(update={"low": None, "high": None, "interval": "", "reason": UNITS_UNKNOWN})
