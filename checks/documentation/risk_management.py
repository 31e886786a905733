"""Which points of the risk management of Article 9 the documents hold a passage on."""

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
    law=("AIA 9(2)", "AIA 9(5)", "AIA 9(8)", "AIA 9(9)"),
    rejudge=Rejudge.EVIDENCE,
)
def risk_management(evidence: View, terms: Terms) -> Result:
    """Look in the documents for the points of risk management of Article 9.

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 9 asks the provider of a high-risk system for a risk management system through the lifecycle, with tests
        against metrics and thresholds defined beforehand. That something is written says nothing of how well it
        is done.

    References:
        Regulation (EU) 2024/1689, Article 9(2)(a)-(d), 9(5), 9(8), 9(9).
    """
    return look_for(evidence, "risk_management", terms.short_words)
