"""Which items of the technical documentation of Annex IV the documents hold a passage on."""

from __future__ import annotations

from checks.documentation._reading import look
from checks.evidence import Need, View
from checks.finding import Rejudge, Result
from checks.policy import Terms
from checks.registry import check


@check(
    gives=("found", "short", "placeholder", "not_found"),
    needs=(Need.DOCUMENTS,),
    law=("AIA 11(1)", "AIA Annex IV"),
    rejudge=Rejudge.EVIDENCE,
)
def annex_iv(evidence: View, terms: Terms) -> Result:
    """Look in the documents for each item of Annex IV, by headings and keywords in English and Dutch.

    Args:
        evidence: the documents as text.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` (also: nothing but the item's own words, or the same text under many
        headings) or `not_found`, with the passage; and the number of items in each state (count, exact; more `found`
        says more was written, not that it is adequate).

    Law:
        AIA 11(1) asks the provider of a high-risk system for the documentation of Annex IV before placing it on the
        market. Smaller providers may give it in a simplified form. Whether a passage is adequate is not judged here.

    References:
        Regulation (EU) 2024/1689, Annex IV, points 1(a) to 9.
    """
    return look(evidence.documents, "annex_iv", terms.short_words)
