"""Measure whether another copy of the model, asked less and in another order, gives the same answers.

Assumes that the second copy ran in a cell of its own that was asked nothing before. A model that counts or remembers
what it was asked, or that tells a test by the number of questions, is seen here where it answers differently.
"""

from __future__ import annotations

from checks.declaration import Route
from checks.evidence import View, answers
from checks.finding import Measured, NotApplicable, NotGathered
from checks.policy import Terms
from checks.registry import check
from checks.robustness._again import ANSWERS, compare, measured


@check(
    gives=("differing_rows", "largest_change"),
    needs=(answers("second_cell"),),
    may_read=ANSWERS,
    routes=(Route.MODEL,),
    law=("AIA 15(5)", "AIA 15(4)", "AIA Annex IV 2(g)"),
)
def consistent_answers(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:  # noqa: ARG001  # one signature for all checks
    """Compare the answers of a second copy of the model with the first answers to the same rows.

    Reads:
        The answers to the probe `second_cell` and the system's first answers.

    Args:
        evidence: see above.
        terms: not used: every row asked again is looked at, so the counts are exact.

    Returns:
        `differing_rows` (exact; lower is better): rows whose two answers differ beyond rounding. `largest_change`
        (exact, in the unit of the output; lower is better).

    Law:
        Art 15(5) asks for resilience against attempts to alter a system's use, outputs or performance; Art 15(4) for
        resilience to inconsistencies. Neither asks that two copies of a system answer alike; one that does not has to
        say why.

    References:
        A count; the tolerance is that of IEEE 754 single precision, rounded up to a millionth.
    """
    compared = compare(evidence, evidence.answers("second_cell"))
    return compared if isinstance(compared, NotGathered) else measured(compared)
