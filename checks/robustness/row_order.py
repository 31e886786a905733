"""Measure whether an answer hangs on the order of the rows, or on how many are asked at once."""

from __future__ import annotations

from checks.declaration import Route
from checks.evidence import View, answers
from checks.finding import Measured, NotApplicable, NotGathered
from checks.policy import Terms
from checks.registry import check
from checks.robustness._again import ANSWERS, compare, measured


@check(
    gives=("differing_rows", "largest_change"),
    needs=(answers("another_order"),),
    may_read=ANSWERS,
    routes=(Route.MODEL,),
    law=("AIA 15(4)", "AIA Annex IV 2(g)"),
)
def row_order(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:  # noqa: ARG001  # one signature for all checks
    """Compare the answers to rows that were asked again in another order and in small batches.

    Reads:
        The answers to the probe `another_order` and the system's first answers.

    Args:
        evidence: see above.
        terms: not used: every row asked again is looked at, so the counts are exact.

    Returns:
        `differing_rows` (exact; lower is better): rows whose answer changed beyond rounding. `largest_change` (exact,
        in the unit of the output; lower is better).

    Law:
        Art 15(4) asks for resilience to errors, faults and inconsistencies. An answer about one person that depends
        on who else is asked about is such an inconsistency; the article does not name it.

    References:
        A count; the tolerance is that of IEEE 754 single precision, rounded up to a millionth.
    """
    compared = compare(evidence, evidence.answers("another_order"))
    return compared if isinstance(compared, NotGathered) else measured(compared)
