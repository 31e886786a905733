"""Which points of accuracy, robustness and cybersecurity of Article 15 the documents hold a passage on."""

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
    law=("AIA 15(3)", "AIA 15(4)", "AIA 15(5)"),
    rejudge=Rejudge.EVIDENCE,
)
def accuracy_declaration(evidence: View, terms: Terms) -> Result:
    """Look in the documents for what Article 15 asks to be declared and described.

    Args:
        evidence: the documents as text, and the answers, which say whether the duty can follow.
        terms: the fewest words of a passage that is not called short.

    Returns:
        Per item `found`, `short`, `placeholder` or `not_found`, with the passage; and the number of items in each state
        (count, exact; more `found` says more was written, not that it is adequate). Not applicable where the answers
        settle that the duty does not follow.

    Law:
        AIA 15(3) asks that levels of accuracy and their metrics are declared in the instructions. It sets no level
        itself; what was measured stands in other findings.

    References:
        Regulation (EU) 2024/1689, Article 15(3), 15(4), 15(5).
    """
    return look_for(evidence, "accuracy_declaration", terms.short_words)
