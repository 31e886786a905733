"""Which parts of the assessment of Article 6(4) the documents hold a passage on."""

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
    law=("AIA 6(4)",),
    rejudge=Rejudge.EVIDENCE,
)
def annex_iii_derogation(evidence: View, terms: Terms) -> Result:
    """Look in the documents for the parts of the assessment that a use of Annex III is no high risk.

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 6(4) asks a provider that relies on 6(3) to document its assessment before placing on the market. Its parts
        follow draft guidelines of May 2026, which bind nobody.

    References:
        Regulation (EU) 2024/1689, Article 6(3), 6(4).
    """
    return look_for(evidence, "annex_iii_derogation", terms.short_words)
