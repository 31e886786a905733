"""How well scores and probabilities tell the outcome: figures that need the rows themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.counting import Codes, unit_codes
from checks.declaration import Output
from checks.evidence import Need, View
from checks.finding import Measure, Reason
from checks.policy import Terms
from checks.statistics import Floats, critical, effective_rows, in_units, mean_interval, mean_of_rows, skewness, wilson

ROW_FACTS = (Need.LABELS, Need.SCORES, Need.PROBABILITIES, Need.WEIGHTS, Need.UNITS)
"""What these figures are read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Rows with a label and a score.

    Args:
        positive: (n,) whether the label is the class that the score is of.
        score: (n,) float64.
        weight: (n,) float64.
        unit: (n,) the person or household of each row; None where each row is one of its own.
    """

    positive: NDArray[np.bool_]
    score: Floats
    weight: Floats
    unit: Codes | None = None

    def where(self, kept: NDArray[np.bool_] | Codes) -> Scored:
        """Keep some rows, by a mask or by position."""
        unit = None if self.unit is None else self.unit[kept]
        return Scored(positive=self.positive[kept], score=self.score[kept], weight=self.weight[kept], unit=unit)


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
        positive=label == data.classes.index(of),
        score=score,
        weight=weights_of(evidence, len(label)),
        unit=unit_codes(evidence),
    ).where(known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """How well scores rank rows.

    Args:
        value: the AUC, 0 to 1.
        variance: of it.
        fewest: effective rows (or units) of the rarer outcome.
    """

    value: float
    variance: float
    fewest: float

    @property
    def told_apart(self) -> bool:
        """Whether rows are told apart perfectly, one way or the other: then they show no spread."""
        return not (0.0 < self.value < 1.0 and self.variance > 0.0)

    def bounds(self, confidence: float) -> tuple[float, float]:
        """Give DeLong's interval on log odds; where there is no spread Wilson's, for so many rows of one outcome."""
        from scipy.special import expit, logit

        z = critical(confidence)
        if self.told_apart:
            low, high = wilson([self.value], [self.fewest], z)
            return float(low[0]), float(high[0])
        half = z * np.sqrt(self.variance) / (self.value * (1.0 - self.value))
        return float(expit(logit(self.value) - half)), float(expit(logit(self.value) + half))


def auc_of(rows: Scored | None, evidence: View, terms: Terms) -> Measure:
    """Measure the chance that a random row of the scored class has a higher score than a random other row.

    With more than two classes it is the mean over the classes that occur, each against all others.

    Args:
        rows: rows of two classes with their scores, each of shape (n,); None where there are more or no scores.
        evidence: holds the probabilities of more than two classes.
        terms: the confidence.

    Returns:
        A share, 0.5 for scores that tell nothing, larger is better; DeLong's interval on log odds. No value where no
        scores were given or all rows have one outcome.
    """
    if rows is not None:
        return measure_auc(ranked_of(rows), len(rows.score), terms)
    given = _stated(rows, evidence)
    if given is None:
        return _absent("auc", AUC_OF_SEVERAL, "no_scores")
    _, stated, weight, happened, unit = given
    classes = [
        Scored(positive=happened[:, c] > 0, score=stated[:, c], weight=weight, unit=unit)
        for c in range(stated.shape[1])
        if 0 < happened[:, c].sum() < len(happened)
    ]
    measure = measure_auc(averaged(classes), len(weight), terms)
    return measure.model_copy(update={"definition": AUC_OF_SEVERAL})


def averaged(classes: list[Scored]) -> Ranked | None:
    """Average AUCs of the same rows; what a row adds to each is summed before it is squared."""
    if not classes:
        return None
    value, influence = (np.mean(part, axis=0) for part in zip(*(_placed(rows) for rows in classes), strict=True))
    summed = in_units(influence, classes[0].unit)
    n = len(np.unique(classes[0].unit)) if classes[0].unit is not None else len(summed)
    variance = n / max(1.0, n - 1.0) * float((summed**2).sum())
    return Ranked(value=float(value), variance=variance, fewest=min(rarer_of(rows) for rows in classes))


def measure_auc(ranked: Ranked | None, rows: int, terms: Terms) -> Measure:
    """Make the measure of an AUC.

    Args:
        ranked: the AUC with its variance; None where all rows have the same outcome.
        rows: how many were ranked.
        terms: the confidence.
    """
    if ranked is None:
        return _absent("auc", AUC, "one_class", rows)
    low, high = ranked.bounds(terms.confidence)
    return Measure(
        name="auc",
        value=ranked.value,
        low=low,
        high=high,
        rows=rows,
        unit="share",
        definition=AUC,
        interval="wilson on the smaller class" if ranked.told_apart else "delong on log odds",
    )


AUC = "sklearn.metrics.roc_auc_score"
AUC_OF_SEVERAL = f"{AUC}(multi_class='ovr', average='macro')"


def rarer_of(rows: Scored) -> float:
    """Give the effective rows (or units) of the rarer outcome: an AUC is as certain as the smaller side lets it be."""
    return min(behind(rows.where(side)) for side in (rows.positive, ~rows.positive))


def behind(rows: Scored) -> float:
    """Give the effective number of rows, or of units where rows go together."""
    weight = in_units(rows.weight, rows.unit)
    return float(effective_rows([weight.sum()], [(weight**2).sum()])[0])


def ranked_of(rows: Scored) -> Ranked | None:
    """Give the weighted AUC and DeLong's variance, from how each row places among the other class; None for one class.

    Where rows go together, what those of one unit add is summed first, of both classes (Obuchowski 1997).
    """
    if not rows.positive.any() or rows.positive.all():
        return None
    value, influence = _placed(rows)
    if rows.unit is not None:
        units = len(np.unique(rows.unit))
        # One unit alone shows no spread: what its rows add comes to nothing but rounding.
        variance = units / (units - 1.0) * float((in_units(influence, rows.unit) ** 2).sum()) if units > 1 else 0.0
    else:
        sides = [(rows.where(side), influence[side]) for side in (rows.positive, ~rows.positive)]
        corrected = [n / max(1.0, n - 1.0) for n in (behind(side) for side, _ in sides)]
        variance = sum(more * float((of**2).sum()) for more, (_, of) in zip(corrected, sides, strict=True))
    return Ranked(value=value, variance=variance, fewest=rarer_of(rows))


def _placed(rows: Scored) -> tuple[float, Floats]:
    """Give the weighted AUC, and what each row adds to it, (n,), 0 on average."""
    value, influence = 0.5, np.zeros(len(rows.score))
    for own, other, way in ((~rows.positive, rows.positive, -1.0), (rows.positive, ~rows.positive, 1.0)):
        order = np.argsort(rows.score[other], kind="stable")
        among = rows.score[other][order]
        summed = np.concatenate([[0.0], np.cumsum(rows.weight[other][order])])
        below = summed[np.searchsorted(among, rows.score[own], side="left")]
        until = summed[np.searchsorted(among, rows.score[own], side="right")]
        place, weight = (below + until) / (2.0 * summed[-1]), rows.weight[own]
        value = float((weight * place).sum() / weight.sum())
        # A row of the scored class counts by the others below it, another row by those of the class above it.
        influence[own] = way * weight * (place - value) / weight.sum()
    return value, influence


def probability_losses(rows: Scored | None, evidence: View, terms: Terms) -> tuple[Measure, Measure]:
    """Measure log loss and Brier score of stated probabilities (binary: of `score_of`; else of every class).

    Returns:
        Log loss (0 or more) and Brier score (0 to 1, to 2 with more than two classes), both in points, smaller is
        better; means over rows with the interval of `mean_of`. No value where no probabilities were given.
    """
    names = ("sklearn.metrics.log_loss", "sklearn.metrics.brier_score_loss")
    given = _stated(rows, evidence)
    if given is None:
        return _absent("log_loss", names[0], "no_probabilities"), _absent("brier", names[1], "no_probabilities")
    own, stated, weight, known, unit = given
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
        made.append(mean_of(name, definition, "points", loss, weight, terms, unit))
    return made[0], made[1]


def _stated(rows: Scored | None, evidence: View) -> tuple[Floats, Floats, Floats, Floats, Codes | None] | None:
    """Give the probability stated for what happened (n,), all probabilities and what happened (n, c), weight, unit."""
    declaration = evidence.declaration
    if rows is not None:
        model = declaration.model
        outside = bool(len(rows.score)) and (rows.score.min() < 0.0 or rows.score.max() > 1.0)
        # A supplied score is taken for a probability only where every value can be one.
        if outside or (model is not None and model.output is not Output.PROBABILITY):
            return None
        stated = np.stack([1.0 - rows.score, rows.score], axis=1)
        happened = np.stack([~rows.positive, rows.positive], axis=1).astype(np.float64)
        return (stated * happened).sum(axis=1), stated, rows.weight, happened, rows.unit
    if not (evidence.holds(Need.PROBABILITIES) and evidence.holds(Need.LABELS)):
        return None
    stated = np.stack([floats(evidence.probabilities.column(i)) for i in range(evidence.probabilities.num_columns)], 1)
    label = floats(evidence.labels)
    known = ~(np.isnan(label) | np.isnan(stated).any(axis=1))
    stated, happened = stated[known], np.eye(stated.shape[1])[label[known].astype(np.int64)]
    unit, weight = unit_codes(evidence), weights_of(evidence, len(label))[known]
    return (stated * happened).sum(axis=1), stated, weight, happened, None if unit is None else unit[known]


def mean_of(
    name: str,
    definition: str,
    unit: str,
    each: Floats,
    weight: Floats,
    terms: Terms,
    units: Codes | None = None,
) -> Measure:
    """Measure a weighted mean over rows, with Student's interval on effective rows (or units), corrected for skewness.

    Where all rows are alike they show no spread, and nothing is said of how sure the mean is.

    Args:
        name, definition, unit: of the measure.
        each: (n,) what is averaged, in that unit.
        weight: (n,) 0 or more.
        terms: the confidence.
        units: (n,) code of the unit that each row belongs to; None where each row is one.
    """
    value, variance, n = mean_of_rows(each, weight, units)
    skew = skewness(in_units(weight * (each - value), units))
    low, high = mean_interval([value], [variance], [n], critical(terms.confidence), skew)
    certain = bool(np.isfinite(low[0])) and bool(np.ptp(each) > 0)
    return Measure(
        name=name,
        value=value,
        low=float(low[0]) if certain else None,
        high=float(high[0]) if certain else None,
        rows=len(each),
        unit=unit,
        definition=definition,
        interval="student, skewness corrected" if certain else "",
        reason=None if certain else Reason(code="one_row" if n <= 1 else "all_alike"),
    )


def _absent(name: str, definition: str, code: str, rows: int = 0) -> Measure:
    unit = "share" if name == "auc" else "points"
    return Measure(name=name, value=None, rows=rows, unit=unit, definition=definition, reason=Reason(code=code))
