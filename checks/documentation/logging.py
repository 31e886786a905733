"""Which points of record-keeping of Articles 12 and 19 the documents hold a passage on."""

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
    law=("AIA 12", "AIA 19"),
    rejudge=Rejudge.EVIDENCE,
)
def logging(evidence: View, terms: Terms) -> Result:
    """Look in the documents for the points of record-keeping of Articles 12 and 19.

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 12 asks that events are recorded automatically, AIA 19 that the logs are kept for at least six months.
        Whether the system does so is not seen here.

    References:
        Regulation (EU) 2024/1689, Article 12(1), 12(2), 19(1).
    """
    return look_for(evidence, "logging", terms.short_words)
