"""Turn answers about mixed rows into Shapley values, each with its sampling error.

The value explained is that of Shapley's formula for the game v(S) = average over background rows z of f(x on S, z
elsewhere): the interventional definition, the one of shap's exact explainer. Every antithetic pair of a row gives one
unbiased estimate, so the spread of a row's pairs is the error of their mean.

Two things make the error smaller without another question. What an input adds depends mostly on which background row
was drawn; a small additive function g of each input, fitted on *other* explained rows, foretells that part, and its
average over all background rows is known exactly (a control variate). And since the values of a row must add up to
its answer minus the average answer, what is left over is shared out in proportion to each value's own error variance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.declaration import Declaration, Output, Task
from checks.probes.coalitions import codes_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

KNOTS = 9
"""Knots of the piecewise linear part of a numeric input in the control variate."""

MOST_CATEGORIES = 24
"""Categories told apart in the control variate; the rarer ones count as one."""

FEWEST_TO_FIT = 10
"""Fewest explained rows on which the control variate is fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLength:
    """Values of a few of the explained rows from a longer run of its own, against the same background.

    Args:
        rows: (r,) places among the explained rows.
        values, errors: (r, p) as those of `Shapley`.
        pairs: behind each value.
    """

    rows: Integers
    values: Floats
    errors: Floats
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapley:
    """Shapley values of e explained rows over p inputs.

    Args:
        values: (e, p) in the unit of the output.
        errors: (e, p) standard error of each value from the sampling of orders and background rows; 0 where all
            coalitions of all background rows were asked.
        base: (e,) average output over the background rows.
        outputs: (e,) output of each explained row.
        pairs: estimates behind each value (antithetic pairs; background rows where all coalitions were asked).
        exact: whether all coalitions were asked.
        background_rows: rows in the background.
        at_length: the long reference; None where none was asked.
    """

    values: Floats
    errors: Floats
    base: Floats
    outputs: Floats
    pairs: int
    exact: bool
    background_rows: int
    at_length: AtLength | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What number of each answer is explained.

    Args:
        numbers: (m, c) for every asked row.
        column: (e,) which of the c numbers is explained for each explained row.
        of: the class whose probability, score or decision it is; None for a value, or for each row's own class.
        kind: `probability`, `score`, `decision`, `value`, or `own_probability` and `own_decision` for each row's own
            most probable class.
    """

    numbers: Floats
    column: Integers
    of: str | None
    kind: str


def explained_output(declaration: Declaration, values: Floats, explained: int) -> Explained:
    """Say which number is explained, and compute it for every asked row.

    Args:
        declaration: tells the output, the classes and the favourable class.
        values: (m, k) answers, the explained rows first.
        explained: how many explained rows there are.
    """
    data, model = declaration.data, declaration.model
    assert data is not None
    assert model is not None
    first = np.zeros(explained, dtype=np.int64)
    classes = data.classes
    if model.output is Output.VALUE or data.task is Task.REGRESSION:
        return Explained(numbers=values[:, :1], column=first, of=None, kind="value")
    of = data.favourable if data.favourable is not None else (classes[1] if len(classes) == 2 else None)
    if model.output in (Output.LABEL, Output.DECISION):
        if of is not None:
            chosen = (values[:, :1] == classes.index(of)).astype(np.float64)
            return Explained(numbers=chosen, column=first, of=of, kind="decision")
        each = (values[:, :1] == np.arange(len(classes))).astype(np.float64)
        own = np.argmax(each[:explained], axis=1).astype(np.int64)
        return Explained(numbers=each, column=own, of=None, kind="own_decision")
    if data.task is Task.MULTICLASS:
        if of is not None:
            at = classes.index(of)
            return Explained(numbers=values[:, at : at + 1], column=first, of=of, kind="probability")
        own = np.argmax(values[:explained], axis=1).astype(np.int64)
        return Explained(numbers=values, column=own, of=None, kind="own_probability")
    return Explained(numbers=values[:, :1], column=first, of=model.score_of, kind=model.output.value)


def shapley_values(
    numbers: Floats,
    facts: Mapping[str, NDArray[Any]],
    *,
    features: pa.Table | None = None,
    column: Integers | None = None,
) -> Shapley:
    """Compute Shapley values from the answers to the probe `coalitions`.

    Args:
        numbers: (m,) or (m, c) numbers to explain, in the plan's row order.
        facts: the plan's facts, see `checks.probes.coalitions.plan_coalitions`.
        features: the data's features (n, f); with them the control variate is used.
        column: (e,) which of the c numbers is explained for each row; the first where not given.

    Returns:
        Values that add up to output minus base for every row, to rounding.

    References:
        Shapley (1953); Castro, Gomez and Tejada (2009) for sampling orders; Mitchell, Cooper, Frank and Holmes (2022)
        for antithetic orders.
    """
    table = numbers[:, None] if numbers.ndim == 1 else numbers
    index = facts["index"].astype(np.int64)
    e, b = len(facts["explained"]), len(facts["background"])
    which = np.zeros(e, dtype=np.int64) if column is None else column
    answered = table[index, which.reshape((e,) + (1,) * (index.ndim - 1))]
    outputs = table[np.arange(e), which]
    base = table[e : e + b].mean(axis=0)[which]
    exact = index.ndim == 3
    at_length = None
    if exact:
        weights = _coalition_weights(int(index.shape[2]).bit_length() - 1)
        values = np.einsum("eks,ps->ep", answered, weights) / index.shape[1]
        errors = np.zeros_like(values)
    else:
        contributions = _contributions(answered, facts["order"].astype(np.int64))
        every = np.arange(e)
        long = facts["long"].astype(np.int64) if "long" in facts else every[:0]
        parts = [(every, facts["drawn"].astype(np.int64)), (long, facts.get("long_drawn", facts["drawn"])[: len(long)])]
        foretold = [(np.zeros((*drawn.shape, len(contributions[0, 0]))), np.zeros(())) for _, drawn in parts]
        if features is not None:
            foretold = _foretell(contributions, parts, facts, features, which)
        values, errors = _estimate(contributions, *foretold[0])
        values = _share_out(values, errors, outputs - base)
        if len(long):
            answered = table[facts["long_index"], which[long].reshape(-1, 1, 1, 1)]
            longer = _contributions(answered, facts["long_order"].astype(np.int64))
            long_values, long_errors = _estimate(longer, *foretold[1])
            at_length = AtLength(
                rows=long,
                values=_share_out(long_values, long_errors, (outputs - base)[long]),
                errors=long_errors,
                pairs=longer.shape[1],
            )
    return Shapley(
        values=values,
        errors=errors,
        base=base,
        outputs=outputs,
        pairs=index.shape[1],
        exact=exact,
        background_rows=b,
        at_length=at_length,
    )


def _contributions(answered: Floats, order: Integers) -> Floats:
    """Give what each player added in each pair, (e, k, p): the mean of an order and its reverse."""
    steps = np.diff(answered, axis=3)
    there, back = np.empty(order.shape), np.empty(order.shape)
    np.put_along_axis(there, order, steps[:, :, 0], axis=2)
    np.put_along_axis(back, order[:, :, ::-1], steps[:, :, 1], axis=2)
    return (there + back) / 2.0


def _coalition_weights(p: int) -> Floats:
    """Give Shapley's weights over all coalitions as bits, (p, 2 ** p)."""
    coalition = np.arange(2**p)
    size = np.array([int(c).bit_count() for c in coalition])
    weight = np.array([factorial(s) * factorial(p - s - 1) / factorial(p) if s < p else 0.0 for s in range(p + 1)])
    weights = np.zeros((p, 2**p))
    for player in range(p):
        without = coalition[(coalition >> player) & 1 == 0]
        weights[player, without] -= weight[size[without]]
        weights[player, without | (1 << player)] += weight[size[without]]
    return weights


def _estimate(contributions: Floats, foretold: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Average the pairs of each row, as far corrected by what was foretold as that row's own spread supports."""
    k = contributions.shape[1]
    centred = contributions - contributions.mean(axis=1, keepdims=True)
    guessed = foretold - foretold.mean(axis=1, keepdims=True)
    spread = (guessed**2).sum(axis=(1, 2))
    along = (centred * guessed).sum(axis=(1, 2))
    # A row far from any border answers alike to every mixture: there the correction would only add noise.
    trust = np.clip(np.divide(along, spread, out=np.zeros_like(along), where=spread > 0), 0.0, 1.0)
    left = contributions - trust[:, None, None] * foretold
    values = left.mean(axis=1) + trust[:, None] * expected
    errors = left.std(axis=1, ddof=1) / np.sqrt(k)
    return values, errors


def _share_out(values: Floats, errors: Floats, wanted: Floats) -> Floats:
    """Share what is left over of (output - base) among the players, in proportion to their error variances."""
    variance = errors**2
    # A row whose pairs all agree has no variances of its own; it shares as the rows do on average.
    common = variance.mean(axis=0)
    share = np.where(variance.sum(axis=1, keepdims=True) > 0, variance, common)
    total = share.sum(axis=1, keepdims=True)
    share = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
    return np.asarray(values + share * (wanted - values.sum(axis=1))[:, None])


def _foretell(
    contributions: Floats,
    parts: Sequence[tuple[Integers, Integers]],
    facts: Mapping[str, NDArray[Any]],
    features: pa.Table,
    which: Integers,
) -> list[tuple[Floats, Floats]]:
    """Foretell each contribution from the two values of its input alone.

    Args:
        contributions: (e, k, p) of all explained rows, from which is learned.
        parts: per run the places of its rows among the explained ones, (r,), and their background rows, (r, k).

    Returns:
        Per run the foretold contributions (r, k, p), and their exact mean over all background rows (r, p).
    """
    e, _, p = contributions.shape
    used = features.take(pa.array(np.concatenate([facts["explained"], facts["background"]])))
    player, half = facts["player"], np.arange(e) % 2
    made = [(np.zeros((*drawn.shape, p)), np.zeros((len(rows), p))) for rows, drawn in parts]
    for j in range(p):
        basis = _basis([used.column(int(c)) for c in np.flatnonzero(player == j)])
        own, other = basis[:e], basis[e:]
        average = other.mean(axis=0)
        first = parts[0][1]
        for number in np.unique(which):
            for side in (0, 1):
                learn = (which == number) & (half != side)
                if learn.sum() < FEWEST_TO_FIT:
                    continue
                a = (own[learn, None, :] - other[first[learn]]).reshape(-1, basis.shape[1])
                gram = a.T @ a
                ridge = 1e-6 * max(float(np.trace(gram)) / len(gram), 1e-12)
                fitted = np.linalg.solve(gram + ridge * np.eye(len(gram)), a.T @ contributions[learn, :, j].ravel())
                mine, others, usual = own @ fitted, other @ fitted, float(average @ fitted)
                for (rows, drawn), (foretold, expected) in zip(parts, made, strict=True):
                    apply = (which[rows] == number) & (half[rows] == side)
                    foretold[apply, :, j] = mine[rows[apply], None] - others[drawn[apply]]
                    expected[apply, j] = mine[rows[apply]] - usual
    return made


def _basis(columns: Sequence[pa.ChunkedArray]) -> Floats:
    """Describe the values of one input by few numbers, (rows, q): hats over quantiles, or one per category."""
    if len(columns) == 1 and is_number(columns[0].type):
        values = columns[0].cast(pa.float64()).to_numpy(zero_copy_only=False)
        absent = ~np.isfinite(values)
        known = values[~absent]
        if known.size:
            knots = np.unique(np.quantile(known, np.linspace(0.0, 1.0, KNOTS), method="nearest"))
            filled = np.where(absent, knots[0], values)
            hats = np.stack([np.interp(filled, knots, np.eye(len(knots))[i]) for i in range(len(knots))], axis=1)
            hats[absent] = 0.0
            return np.concatenate([hats, absent[:, None].astype(np.float64)], axis=1)
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        plain = codes_of(column) + 1
        _, codes = np.unique(codes * (int(plain.max(initial=0)) + 1) + plain, return_inverse=True)
    count = np.bincount(codes)
    rank = np.empty(len(count), dtype=np.int64)
    rank[np.argsort(-count, kind="stable")] = np.arange(len(count))
    return np.eye(min(len(count), MOST_CATEGORIES))[np.minimum(rank[codes], MOST_CATEGORIES - 1)]


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a column has values with an order and a distance."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def as_shap_explanation(
    shapley: Shapley, names: Sequence[str], ranks: Floats | None = None, shown: NDArray[Any] | None = None
) -> Any:
    """Give the values as a `shap.Explanation`, which shap's own plots draw.

    Args:
        shapley: values of e rows over p inputs.
        names: (p,) names of the inputs.
        ranks: (e, p) rank of each value among the data, in [0, 1]: the colour of a beeswarm.
        shown: (e, p) each value as text.
    """
    import shap

    return shap.Explanation(
        values=shapley.values,
        base_values=shapley.base,
        data=ranks,
        display_data=shown,
        feature_names=list(names),
        error_std=shapley.errors,
        output_names=None,
    )
