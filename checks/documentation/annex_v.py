"""Which items of the EU declaration of conformity of Annex V the documents hold a passage on."""

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
    law=("AIA 47", "AIA Annex V"),
    rejudge=Rejudge.EVIDENCE,
)
def annex_v(evidence: View, terms: Terms) -> Result:
    """Look in the documents for the items of the EU declaration of conformity of Annex V.

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 47 asks the provider of a high-risk system for a declaration with the content of Annex V. That its items are
        found does not make a declaration true.

    References:
        Regulation (EU) 2024/1689, Annex V, points 1 to 8.
    """
    return look_for(evidence, "annex_v", terms.short_words)
