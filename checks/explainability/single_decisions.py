"""Show what moved single answers, chosen by a stated rule: building blocks for an explanation, not one themselves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from checks.declaration import Task
from checks.evidence import Need, View, answers
from checks.explainability._rows import ANSWERED, COUNTED, PROBE, Reading, floats, read, shown_values
from checks.explainability._shapley import Integers
from checks.explainability._told_apart import settles_nothing, told_apart
from checks.finding import Figure, Item, Measure, Measured, NotApplicable, NotGathered, Scalar
from checks.policy import Terms
from checks.registry import check
from checks.sealing import default_threshold

MOST_GROUPS = 6
"""Groups of one attribute for which a decision is shown."""

MOST_DECISIONS = 16

FIRST_INPUTS = 3
"""Inputs named in the sentence about a decision."""


@check(
    gives=("decisions_shown", "told_apart"),
    needs=(Need.FEATURES, answers(PROBE)),
    may_read=(*ANSWERED, *COUNTED, Need.LABELS, Need.GROUPS),
    law=("AIA 13(3)(b)(iv)", "AIA 13(3)(b)(vii)", "AIA 86(1)"),
    version=2,
)
def single_decisions(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:
    """Choose a few of the explained rows by a rule, and give what moved each answer.

    The rule, each time among the rows not chosen yet: the highest answer, the lowest, the one nearest the threshold,
    the wrong decision furthest from it (labels known), and for each group the answer nearest the group's median.

    Reads:
        The answers to the probe `coalitions`; labels and groups where there are any.

    Args:
        evidence: see above.
        terms: from which area on mixed rows are told too well from real ones.

    Returns:
        `told_apart` as in `feature_importance`: above the policy's area these decisions settle nothing.
        `decisions_shown` (an exact count); per decision one item (its rule, answer, base and the inputs that moved it
        most; no values of the row) and one row-level figure (all inputs with their values and shares).

    Law:
        Art 86 gives a person a right to clear and meaningful explanations of the role of the system in a decision
        and of its main elements. It asks the deployer, about that person; these figures are a building block.

    References:
        Lundberg and Lee (2017) for the values; the rule of choice is this project's own.
    """
    reading = read(evidence)
    if isinstance(reading, NotGathered):
        return reading
    items: list[Item] = []
    figures: list[Figure] = []
    chosen: set[int] = set()
    for rule, attribute, group, ranked in _rules(evidence, reading):
        free = [int(r) for r in ranked if int(r) not in chosen]
        if not free or len(figures) == MOST_DECISIONS:
            continue
        chosen.add(free[0])
        number = len(figures) + 1
        figure = _figure(reading, free[0], f"explainability.single_decisions.{number}", rule, attribute, group)
        figures.append(figure)
        items.append(_item(figure, number, rule))
    count = float(len(figures))
    shown = Measure(
        name="decisions_shown",
        value=count,
        low=count,
        high=count,
        rows=len(reading.explained),
        unit="count",
        interval="exact",
    )
    apart = told_apart(evidence.features, evidence.answers(PROBE).facts, evidence.seed, terms, reading.names)
    return Measured(
        measures=(shown, apart),
        items=tuple(items),
        figures=tuple(figures),
        reason=reading.reason,
        settles_nothing=settles_nothing(apart, terms),
    )


def _rules(evidence: View, reading: Reading) -> Iterator[tuple[str, str | None, str | None, Integers]]:
    """Yield each rule with the explained rows that fit it, the best first."""
    outputs = reading.shapley.outputs
    rows = np.arange(len(outputs))
    yield "highest", None, None, np.lexsort((rows, -outputs))
    yield "lowest", None, None, np.lexsort((rows, outputs))
    data = evidence.declaration.data
    assert data is not None
    scored = data.task is Task.BINARY and reading.what.kind in ("probability", "score")
    threshold = default_threshold(evidence.declaration) if scored else None
    if threshold is not None:
        yield "nearest_threshold", None, None, np.lexsort((rows, np.abs(outputs - threshold)))
    wrong = _wrong(evidence, reading, threshold)
    if wrong is not None:
        yield "wrong", None, None, wrong
    if evidence.holds(Need.GROUPS):
        for attribute in evidence.groups.column_names:
            of_row = evidence.groups.column(attribute).cast("string").to_pylist()
            names = [of_row[i] for i in reading.explained]
            counted = sorted({n for n in names if n is not None}, key=lambda n: (-names.count(n), n))
            for group in counted[:MOST_GROUPS]:
                of_group = np.array([i for i, n in enumerate(names) if n == group])
                middle = np.median(outputs[of_group])
                order = np.lexsort((of_group, np.abs(outputs[of_group] - middle)))
                yield "group", attribute, group, of_group[order]


def _wrong(evidence: View, reading: Reading, threshold: float | None) -> Integers | None:
    """Rank the explained rows whose answer differs from the label, the clearest first; None where not known."""
    if not evidence.holds(Need.LABELS):
        return None
    label = floats(evidence.labels)[reading.explained]
    outputs = reading.shapley.outputs
    if reading.what.kind == "value":
        far = np.abs(outputs - label)
    elif evidence.holds(Need.DECISIONS):
        decided = floats(evidence.decisions)[reading.explained]
        differs = np.isfinite(label) & np.isfinite(decided) & (label != decided)
        middle = threshold if threshold is not None else reading.shapley.base
        far = np.where(differs, np.abs(outputs - middle), np.nan)
    else:
        return None
    known = np.flatnonzero(np.isfinite(far))
    return np.asarray(known[np.lexsort((known, -far[known]))])


def _figure(reading: Reading, row: int, name: str, rule: str, attribute: str | None, group: str | None) -> Figure:
    values, errors = reading.shapley.values[row], reading.shapley.errors[row]
    order = np.lexsort((np.arange(len(values)), -np.abs(values)))
    shown = shown_values(reading, row)
    params: dict[str, Scalar] = {
        "rule": rule,
        "unit": reading.unit,
        "kind": reading.what.kind,
        "of": reading.what.of,
        "base_value": float(reading.shapley.base[row]),
        "output": float(reading.shapley.outputs[row]),
    }
    if attribute is not None:
        params |= {"attribute": attribute, "group": group}
    return Figure(
        name=name,
        kind="decision",
        columns={
            "feature": tuple(reading.names[i] for i in order),
            "value": tuple(shown[i] for i in order),
            "contribution": tuple(values[order].tolist()),
            "error": tuple(errors[order].tolist()),
        },
        params=params,
        row_level=True,
    )


def _item(figure: Figure, number: int, rule: str) -> Item:
    params: dict[str, Scalar] = {
        "number": number,
        "figure": figure.name,
        "output": figure.params["output"],
        "base": figure.params["base_value"],
        "of": figure.params["of"],
    }
    for key in ("attribute", "group"):
        if key in figure.params:
            params[key] = figure.params[key]
    moved = [
        (name, phi)
        for name, phi in zip(figure.columns["feature"], figure.columns["contribution"], strict=True)
        if isinstance(phi, float) and phi != 0.0
    ][:FIRST_INPUTS]
    for i, (name, phi) in enumerate(moved, start=1):
        params[f"input_{i}"] = name
        params[f"moved_{i}"] = phi
    return Item(id=f"decision.{rule}", state="shown", params=params)
