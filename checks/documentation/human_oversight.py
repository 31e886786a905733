"""Which points of human oversight of Articles 14 and 26(2) the documents hold a passage on."""

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
    law=("AIA 14", "AIA 26(2)"),
    rejudge=Rejudge.EVIDENCE,
)
def human_oversight(evidence: View, terms: Terms) -> Result:
    """Look in the documents for the points of human oversight of Articles 14 and 26(2).

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 14 asks that people can oversee the system, AIA 26(2) that the deployer assigns people who can. Whether
        oversight works in practice is not seen here.

    References:
        Regulation (EU) 2024/1689, Article 14(3), 14(4)(a)-(e), 26(2).
    """
    return look_for(evidence, "human_oversight", terms.short_words)
