"""Which items of the instructions for use of Article 13(3) the documents hold a passage on."""

from __future__ import annotations

from checks.documentation._reading import instructions_among, look
from checks.evidence import Need, View
from checks.finding import Rejudge, Result
from checks.policy import Terms
from checks.registry import check


@check(
    gives=("found", "short", "placeholder", "not_found"),
    needs=(Need.DOCUMENTS,),
    law=("AIA 13(3)",),
    rejudge=Rejudge.EVIDENCE,
)
def instructions_for_use(evidence: View, terms: Terms) -> Result:
    """Look in the documents for each item of Article 13(3), by headings and keywords in English and Dutch.

    Args:
        evidence: the documents as text; where some call themselves instructions for use, those alone are searched.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` (also: nothing but the item's own words, or the same text under many
        headings) or `not_found`, with the passage; and the number of items in each state (count, exact; more `found`
        says more was written, not that it is adequate).

    Law:
        AIA 13(3) lists what the instructions for use of a high-risk system contain, where applicable. It asks that
        they be concise, complete, correct and clear (13(2)); that is not judged here.

    References:
        Regulation (EU) 2024/1689, Article 13(3)(a) to (f).
    """
    return look(instructions_among(evidence.documents), "instructions_for_use", terms.short_words)
