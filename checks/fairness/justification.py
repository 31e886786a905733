"""The three questions about a difference between groups: the first is measured, two are for a person to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from checks.counting import UNIT_FACTS
from checks.declaration import Data, Task
from checks.evidence import Need, View
from checks.fairness._definitions import SELECTION
from checks.fairness._rates import COUNTED_ROUTES, compare, count
from checks.finding import Item, Measure, Measured, NotGathered, Reason, Rejudge, Result, Scalar
from checks.policy import Terms
from checks.registry import Scope, check

QUESTIONS: Final = ("justified", "desirable")
"""What no figure can tell: whether a difference can be justified, and whether it is desirable."""

LONGEST = 600
"""Characters of an answer that are shown."""


@check(
    gives=("answered",),
    needs=(),
    may_read=(Need.CELLS, *UNIT_FACTS),
    scope=Scope.ATTRIBUTE,
    routes=COUNTED_ROUTES,
    law=("AIA 10(2)(f)", "AIA 27(1)", "AWGB 2(1)"),
    rejudge=Rejudge.DOSSIER,
)
def justification(evidence: View, attribute: str, terms: Terms) -> Result:
    """Ask of each attribute: is there a difference, can it be justified, is it desirable.

    Args:
        evidence: counts by group, for the first question. The answers to the others are a person's, from the file that
            is named as publication, as `differences: {<attribute>: {justified: ..., desirable: ...}}`.
        attribute: the column that people are compared by.
        terms: confidence, and the fewest effective rows of a group that counts.

    Returns:
        `answered` (count, exact) once both answers are there; until then the finding is not gathered, and says which
        question is open. The first question's state is that of the interval of the difference in selection rate: it
        does not reach zero, it does, or nothing was measured.

    Law:
        Equal treatment law, in the Netherlands the AWGB, allows an indirect distinction where it is objectively
        justified by a legitimate aim and the means are appropriate and necessary; AIA 10(2)(f) and 27(1) ask to look.
        No figure answers that, and an answer is shown here without being judged.

    References:
        The order of questions is that of Dutch guidance for public bodies on discrimination by algorithms.
    """
    data = evidence.declaration.data
    assert data is not None
    given = answers_of(evidence.declaration.publication, attribute)
    items = (_measured(evidence, data, attribute, terms), *(_asked(name, given.get(name)) for name in QUESTIONS))
    open_ones = [name for name in QUESTIONS if name not in given]
    if open_ones:
        code = "both_open" if len(open_ones) > 1 else f"{open_ones[0]}_open"
        return NotGathered(reason=Reason(code=code, params={"attribute": attribute}), items=items)
    answered = len(QUESTIONS)
    return Measured(
        measures=(
            Measure(
                name="answered", value=answered, low=answered, high=answered, rows=0, unit="count", interval="exact"
            ),
        ),
        items=items,
        reason=Reason(code="not_judged"),
    )


def answers_of(publication: Mapping[str, object], attribute: str) -> Mapping[str, str]:
    """Read a person's answers about one attribute; what is empty or of another form is no answer."""
    stated = publication.get("differences")
    of_attribute = stated.get(attribute) if isinstance(stated, Mapping) else None
    if not isinstance(of_attribute, Mapping):
        return {}
    texts = {name: of_attribute.get(name) for name in QUESTIONS}
    return {name: text.strip() for name, text in texts.items() if isinstance(text, str) and text.strip()}


def _asked(name: str, answer: str | None) -> Item:
    if answer is None:
        return Item(id=name, state="open")
    shown = answer if len(answer) <= LONGEST else answer[: LONGEST - 1] + "…"
    return Item(id=name, state="answered", params={"name": shown})


def _measured(evidence: View, data: Data, attribute: str, terms: Terms) -> Item:
    """Answer the first question: by the interval of the difference in how often groups get the favourable decision."""
    unknown = Item(id="difference", state="not_measured")
    if data.task is Task.REGRESSION or not evidence.holds(Need.CELLS):
        return unknown
    counted = count(evidence, attribute, labelled=False, told_apart=True)
    if isinstance(counted, NotGathered):
        return unknown
    compared = compare(counted, SELECTION, terms)
    bounds = compared.difference
    if bounds.value is None or bounds.low is None or bounds.high is None or not compared.known:
        return unknown
    params: dict[str, Scalar] = {"difference": bounds.value, "low": bounds.low, "high": bounds.high}
    return Item(id="difference", state="seen" if bounds.low > 0 else "not_seen", params=params)
