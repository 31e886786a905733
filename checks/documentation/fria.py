"""Which parts of the fundamental rights impact assessment of Article 27(1) the documents hold a passage on."""

from __future__ import annotations

from checks.documentation._reading import look_for
from checks.evidence import Need, View
from checks.finding import Rejudge, Result
from checks.policy import Terms
from checks.registry import check


@check(
    gives=("found", "short", "placeholder", "not_found"),
    needs=(),
    may_read=(Need.DOCUMENTS,),
    law=("AIA 27(1)",),
    rejudge=Rejudge.EVIDENCE,
)
def fria(evidence: View, terms: Terms) -> Result:
    """Look in the documents for the parts of a fundamental rights impact assessment.

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 27(1) asks certain deployers for an assessment before first use. Who owes it follows from the answers; a
        template of the Commission was not seen.

    References:
        Regulation (EU) 2024/1689, Article 27(1)(a)-(f).
    """
    return look_for(evidence, "fria", terms.short_words)
