"""Which practices of data governance of Article 10(2) to (4) the documents hold a passage on."""

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
    law=("AIA 10(2)", "AIA 10(3)", "AIA 10(4)"),
    rejudge=Rejudge.EVIDENCE,
)
def data_governance(evidence: View, terms: Terms) -> Result:
    """Look in the documents for the practices of data governance of Article 10(2) to (4).

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 10 asks for data governance practices suited to the intended purpose where a model is trained with data.
        Whether the data are of that quality is measured, as far as it can be, by other checks.

    References:
        Regulation (EU) 2024/1689, Article 10(2)(a)-(h), 10(3), 10(4).
    """
    return look_for(evidence, "data_governance", terms.short_words)
