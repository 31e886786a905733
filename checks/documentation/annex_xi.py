"""Which items of the documentation of a general-purpose model of Annex XI the documents hold a passage on."""

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
    law=("AIA 53(1)(a)", "AIA Annex XI"),
    rejudge=Rejudge.EVIDENCE,
)
def annex_xi(evidence: View, terms: Terms) -> Result:
    """Look in the documents for the items of Annex XI, Section 1.

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 53(1)(a) asks the provider of a general-purpose model for this documentation; an open model without systemic
        risk is exempt. Section 2, for models with systemic risk, is a check of its own.

    References:
        Regulation (EU) 2024/1689, Annex XI, Section 1.
    """
    return look_for(evidence, "annex_xi", terms.short_words)
