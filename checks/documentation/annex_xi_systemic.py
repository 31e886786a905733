"""Which items of Annex XI on models with systemic risk the documents hold a passage on."""

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
    law=("AIA 53(1)(a)", "AIA 55(1)", "AIA Annex XI"),
    rejudge=Rejudge.EVIDENCE,
)
def annex_xi_systemic(evidence: View, terms: Terms) -> Result:
    """Look in the documents for the items of Annex XI, Section 2.

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 53(1)(a) asks the provider of a general-purpose model with systemic risk for this documentation, beside
        that of Section 1; AIA 55(1)(a) asks for the evaluation and the adversarial testing that it describes.

    References:
        Regulation (EU) 2024/1689, Annex XI, Section 2.
    """
    return look_for(evidence, "annex_xi_systemic", terms.short_words)
