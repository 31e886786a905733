"""Name the inputs that go together, and measure how far they move the answers as one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy import stats
from scipy.sparse.csgraph import connected_components

from checks.evidence import Need, View, answers
from checks.explainability._rows import ANSWERED, COUNTED, PROBE, Reading, read
from checks.explainability._shapley import Floats, Integers, is_number
from checks.explainability._told_apart import settles_nothing, told_apart
from checks.explainability.feature_importance import DEFINITION, mean_absolute_interval
from checks.finding import Figure, GroupMeasures, Measure, Measured, NotApplicable, NotGathered, Reason
from checks.policy import Terms
from checks.probes.coalitions import codes_of_players
from checks.registry import check
from checks.statistics import critical

MOST_ROWS = 5_000
"""Rows from which it is told which inputs go together, drawn from all rows."""

BANDS = 10
"""Bands of about equal numbers of rows that a number is cut into beside a category."""

MOST_CATEGORIES = 50
"""Categories told apart; the rarer ones count as one."""

ROUNDS = 200

TOGETHER = " + "

ASSOCIATION = "absolute rank correlation of two numbers (scipy.stats.spearmanr); bias-corrected Cramer's V otherwise"


@check(
    gives=("inputs_grouped", "largest_association", "told_apart"),
    needs=(Need.FEATURES, answers(PROBE)),
    may_read=(*ANSWERED, *COUNTED),
    law=("AIA 13(3)(b)(iv)", "AIA Annex IV 2(b)"),
    version=2,
)
def inputs_together(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Group the inputs that go together, and average the absolute value of each group's Shapley values added up.

    Reads:
        The features of up to `MOST_ROWS` rows and the answers to the probe `coalitions`. Nothing more is asked: by
        additivity the values of several inputs added up are their joint share of an answer.

    Args:
        evidence: shows features and answers; weights and units where there are any.
        terms: from which association on inputs go together, and the confidence.

    Returns:
        `inputs_grouped` (an exact count of inputs that go with another). `largest_association` (ratio, 0 to 1; lower is
        easier to read; percentile bootstrap interval of that pair). `told_apart` as in `feature_importance`. Per group
        (and per input that stands alone) `mean_abs` of its values added up (in the unit of the output; interval as in
        `feature_importance`, with at most the error that the values added up can have) and, for groups, the
        `association` of its strongest pair (interval as that of the largest). An input is in a group where its
        association with at least one member is at least the policy's.

    Law:
        Annex IV 2(b) asks for the rationale of design choices; it does not ask that inputs be unrelated.

    References:
        Bergsma (2013), Journal of the Korean Statistical Society 42, for the correction of Cramer's V; Dormann and
        others (2013), Ecography 36, for the limit.
    """
    reading = read(evidence)
    if isinstance(reading, NotGathered):
        return reading
    features, p = evidence.features, len(reading.names)
    rng = np.random.default_rng([evidence.seed, p, 20_13])
    rows = np.sort(rng.permutation(features.num_rows)[:MOST_ROWS])
    numbers, codes = _described(features.take(pa.array(rows)), reading)
    strength = _associations(numbers, codes)
    linked = strength >= terms.together
    _, cluster = connected_components(linked, directed=False)
    members = [np.flatnonzero(cluster == c) for c in range(cluster.max() + 1)]
    joint = np.stack([reading.shapley.values[:, m].sum(axis=1) for m in members], axis=1)
    # Values of one row share their questions, so their errors go together in a way that is not known: at most this.
    errors = np.stack([reading.shapley.errors[:, m].sum(axis=1) for m in members], axis=1)
    absolute, e = np.abs(joint), len(joint)
    mean = reading.counted.mean(absolute)
    low, high = mean_absolute_interval(absolute, errors, reading.counted, critical(terms.confidence), reading.span)
    order = np.lexsort((np.arange(len(members)), -mean))
    named = [TOGETHER.join(reading.names[j] for j in m) for m in members]
    groups = []
    for c in order:
        of_group = [
            Measure(
                name="mean_abs",
                value=float(mean[c]),
                low=float(low[c]) if np.isfinite(high[c]) else None,
                high=float(high[c]) if np.isfinite(high[c]) else None,
                rows=e,
                unit=reading.unit,
                definition=DEFINITION.replace("value", "values added up"),
                interval=reading.counted.method,
            )
        ]
        if len(members[c]) > 1:
            inside = strength[np.ix_(members[c], members[c])]
            i, j = (int(members[c][k]) for k in np.unravel_index(int(np.argmax(inside)), inside.shape))
            of_group.append(_association("association", (i, j), numbers, codes, terms.confidence, rng))
        groups.append(GroupMeasures(group={"feature": named[c]}, rows=e, measures=tuple(of_group)))
    figure = Figure(
        name="explainability.inputs_together.importance",
        kind="importance",
        columns={
            "feature": tuple(named[c] for c in order),
            "mean_abs": tuple(mean[order].tolist()),
            "low": tuple(float(v) if np.isfinite(v) else None for v in low[order]),
            "high": tuple(float(v) if np.isfinite(v) else None for v in high[order]),
        },
        params={"unit": reading.unit, "kind": reading.what.kind, "of": reading.what.of},
    )
    grouped = float(sum(len(m) for m in members if len(m) > 1))
    apart = told_apart(features, evidence.answers(PROBE).facts, evidence.seed, terms, reading.names)
    return Measured(
        measures=(
            Measure(
                name="inputs_grouped",
                value=grouped,
                low=grouped,
                high=grouped,
                rows=len(rows),
                unit="count",
                interval="exact",
                reason=Reason(code="together_from", params={"limit": terms.together}),
            ),
            _largest(strength, numbers, codes, reading.names, terms.confidence, rng),
            apart,
        ),
        groups=tuple(groups),
        figures=(figure,),
        reason=reading.reason,
        settles_nothing=settles_nothing(apart, terms),
    )


def _association(
    name: str,
    pair: tuple[int, int],
    numbers: dict[int, Floats],
    codes: Integers,
    confidence: float,
    rng: np.random.Generator,
) -> Measure:
    """Measure the association of two inputs, with a percentile bootstrap interval over rows."""
    n, value = len(codes), _of_pair(*pair, numbers, codes, slice(None))
    again = [_of_pair(*pair, numbers, codes, rng.integers(0, n, n)) for _ in range(ROUNDS)]
    low, high = np.quantile(again, [0.5 - confidence / 2.0, 0.5 + confidence / 2.0])
    # Draws from rows that all say the same show no spread, and bound nothing.
    bounded = bool(low < high)
    return Measure(
        name=name,
        value=value,
        low=min(float(low), value) if bounded else None,
        high=max(float(high), value) if bounded else None,
        rows=n,
        unit="ratio",
        definition=ASSOCIATION,
        interval="percentile bootstrap over rows" if bounded else "",
    )


def _described(used: pa.Table, reading: Reading) -> tuple[dict[int, Floats], Integers]:
    """Give the ranks of inputs that are numbers, and every input as bands or categories, (n, p)."""
    players = list(zip(reading.names, reading.columns, strict=True))
    codes = codes_of_players(used.unify_dictionaries().combine_chunks(), players)
    numbers: dict[int, Floats] = {}
    for j, columns in enumerate(reading.columns):
        column = used.column(columns[0])
        if len(columns) == 1 and is_number(column.type) and not pa.types.is_boolean(column.type):
            values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            known = np.isfinite(values)
            if known.any():
                numbers[j] = stats.rankdata(np.where(known, values, np.median(values[known])))
                edges = np.unique(np.quantile(values[known], np.linspace(0.0, 1.0, BANDS + 1)[1:-1]))
                codes[:, j] = np.where(known, 1 + np.searchsorted(edges, values, side="right"), 0)
        count = np.bincount(codes[:, j])
        place = np.empty(len(count), dtype=np.int64)
        place[np.argsort(-count, kind="stable")] = np.arange(len(count))
        codes[:, j] = np.minimum(place[codes[:, j]], MOST_CATEGORIES - 1)
    return numbers, codes


def _associations(numbers: dict[int, Floats], codes: Integers) -> Floats:
    """Give the association of every pair of inputs, (p, p), 0 with itself."""
    p = codes.shape[1]
    strength = np.zeros((p, p))
    for i in range(p):
        for j in range(i):
            strength[i, j] = strength[j, i] = _of_pair(i, j, numbers, codes, slice(None))
    return strength


def _of_pair(i: int, j: int, numbers: dict[int, Floats], codes: Integers, rows: slice | Integers) -> float:
    if i in numbers and j in numbers:
        x, y = numbers[i][rows], numbers[j][rows]
        spread = x.std() * y.std()
        if spread > 0:
            return float(min(abs(((x - x.mean()) * (y - y.mean())).mean()) / spread, 1.0))
    return cramers_v(codes[rows, i], codes[rows, j])


def cramers_v(first: Integers, second: Integers) -> float:
    """Give Cramer's V of two columns of codes from 0, (n,), corrected for its bias; 0 to 1.

    References:
        Bergsma (2013), Journal of the Korean Statistical Society 42.

    Example:
        >>> cramers_v(np.array([0, 0, 1, 1] * 50), np.array([0, 1, 0, 1] * 50))
        0.0
    """
    n, width = len(first), int(second.max(initial=0)) + 1
    table = np.bincount(first * width + second, minlength=(int(first.max(initial=0)) + 1) * width)
    table = table.reshape(-1, width).astype(np.float64)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    r, c = table.shape
    if min(r, c) < 2 or n < 2:
        return 0.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / n
    phi = float(((table - expected) ** 2 / expected).sum()) / n
    phi = max(0.0, phi - (r - 1) * (c - 1) / (n - 1))
    r, c = r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)
    return float(min(1.0, np.sqrt(phi / max(min(r, c) - 1.0, 1e-12))))


def _largest(
    strength: Floats,
    numbers: dict[int, Floats],
    codes: Integers,
    names: tuple[str, ...],
    confidence: float,
    rng: np.random.Generator,
) -> Measure:
    n = len(codes)
    if np.count_nonzero(np.ptp(codes, axis=0)) < 2:
        none = Reason(code="one_input")
        return Measure(
            name="largest_association", value=None, rows=n, unit="ratio", definition=ASSOCIATION, reason=none
        )
    i, j = sorted(int(k) for k in np.unravel_index(int(np.argmax(strength)), strength.shape))
    measure = _association("largest_association", (i, j), numbers, codes, confidence, rng)
    reason = Reason(code="strongest_pair", params={"first": names[i], "second": names[j]})
    return measure.model_copy(update={"reason": reason})
