"""Measure whether the same row, asked twice, gets the same answer."""

from __future__ import annotations

from checks.declaration import Route
from checks.evidence import View, answers
from checks.finding import Measured, NotApplicable, NotGathered
from checks.policy import Terms
from checks.registry import check
from checks.robustness._again import ANSWERS, compare, measured


@check(
    gives=("differing_rows", "largest_change"),
    needs=(answers("repeated"),),
    may_read=ANSWERS,
    routes=(Route.MODEL,),
    law=("AIA 15(4)", "AIA Annex IV 2(g)"),
)
def repeated_answers(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:  # noqa: ARG001  # one signature for all checks
    """Compare the answers to rows that were asked a second time, mixed among all other questions.

    Reads:
        The answers to the probe `repeated` and the system's first answers.

    Args:
        evidence: see above.
        terms: not used: every row asked twice is looked at, so the counts are exact.

    Returns:
        `differing_rows` (exact; lower is better): rows whose two answers differ beyond rounding. `largest_change`
        (exact, in the unit of the output; lower is better).

    Law:
        Art 15(4) asks for resilience to errors, faults and inconsistencies. It does not ask that a system be
        deterministic; one that is not has to say so, and why.

    References:
        A count; the tolerance is that of IEEE 754 single precision, rounded up to a millionth.
    """
    compared = compare(evidence, evidence.answers("repeated"))
    return compared if isinstance(compared, NotGathered) else measured(compared)
