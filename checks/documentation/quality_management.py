"""Which aspects of the quality management system of Article 17(1) the documents hold a passage on."""

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
    law=("AIA 17(1)",),
    rejudge=Rejudge.EVIDENCE,
)
def quality_management(evidence: View, terms: Terms) -> Result:
    """Look in the documents for the aspects of a quality management system of Article 17(1).

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 17(1) lists what a provider of a high-risk system writes down as policies, procedures and instructions, in
        proportion to its size; very small ones may do so in a simplified way.

    References:
        Regulation (EU) 2024/1689, Article 17(1)(a)-(m).
    """
    return look_for(evidence, "quality_management", terms.short_words)
