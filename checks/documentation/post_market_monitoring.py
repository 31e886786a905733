"""Which points of post-market monitoring of Articles 72 and 73 the documents hold a passage on."""

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
    law=("AIA 72", "AIA 73"),
    rejudge=Rejudge.EVIDENCE,
)
def post_market_monitoring(evidence: View, terms: Terms) -> Result:
    """Look in the documents for the points of post-market monitoring of Articles 72 and 73.

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 72 asks the provider for a monitoring system based on a plan, AIA 73 for the reporting of serious incidents.
        From when this applies is contested; the duty shows both readings.

    References:
        Regulation (EU) 2024/1689, Article 72(1)-(3), 73.
    """
    return look_for(evidence, "post_market_monitoring", terms.short_words)
