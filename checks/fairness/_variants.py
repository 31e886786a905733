"""The rates that groups are compared by, as a table: what each check of a rate measures, and in which words.

A check of a rate is a file of its own; what it does is one row here, so that no two of them can drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill
from typing import Final

from checks.counting import UNIT_FACTS
from checks.evidence import Need, View
from checks.fairness._definitions import (
    ACCURACY,
    ADVERSE_SELECTION,
    FALSE_POSITIVE,
    PRECISION,
    SELECTION,
    TRUE_POSITIVE,
)
from checks.fairness._rates import (
    CLASSES,
    COUNTED_ROUTES,
    LAW,
    TO_EVERYONE,
    VISIBLE,
    Rate,
    assemble,
    compare,
    count,
    difference_of,
    headline,
    ratio_of,
    to_everyone,
    visible_gap_of,
)
from checks.finding import ROWS_TO_DECIDE, NotGathered, Rejudge, Result
from checks.policy import Terms
from checks.registry import Check, Scope, check


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What one check of a rate measures.

    Args:
        says: ends the sentence "Measure how far groups differ in ...".
        rates: those whose larger gap and smaller ratio are the headlines; their error is shared out among them.
        also: a rate whose ratio is a headline too, as `adverse_ratio`.
        told_apart: whether outcomes are told apart as favourable against the rest; else every class counts.
        scope: an attribute, or several crossed.
        note: what else must be known, a sentence.
        references: whose definition is followed.
    """

    says: str
    rates: tuple[Rate, ...]
    also: Rate | None = None
    told_apart: bool = True
    scope: Scope = Scope.ATTRIBUTE
    note: str = ""
    references: str


VARIANTS: Final[dict[str, Variant]] = {
    "accuracy_by_group": Variant(
        says="how often the decision equals the label",
        rates=(ACCURACY,),
        told_apart=False,
        references="sklearn.metrics.accuracy_score in fairlearn.metrics.MetricFrame.",
    ),
    "equal_opportunity": Variant(
        says="how often a favourable label meets a favourable decision",
        rates=(TRUE_POSITIVE,),
        references="fairlearn.metrics.true_positive_rate and equal_opportunity_difference; Hardt, Price and Srebro "
        "(2016).",
    ),
    "equalised_odds": Variant(
        says="two rates at once: of true and of false positives",
        rates=(TRUE_POSITIVE, FALSE_POSITIVE),
        note="The difference is the larger of the two gaps (not their sum or mean), the ratio the smaller of the two.",
        references='fairlearn.metrics.equalized_odds_difference and equalized_odds_ratio with agg="worst_case"; '
        "Hardt, Price and Srebro (2016).",
    ),
    "false_positive_rate": Variant(
        says="how often an unfavourable label meets a favourable decision",
        rates=(FALSE_POSITIVE,),
        references="fairlearn.metrics.false_positive_rate; MetricFrame.difference and ratio.",
    ),
    "intersections": Variant(
        says="how often they get the favourable decision, by several attributes crossed",
        rates=(SELECTION,),
        also=ADVERSE_SELECTION,
        scope=Scope.CROSSING,
        note="Each crossing is a family of its own; small groups stay visible. A gap that attributes show only "
        "together is not seen in any of them alone.",
        references="fairlearn.metrics.MetricFrame of selection_rate over several sensitive features; Crenshaw (1989), "
        "University of Chicago Legal Forum, for why.",
    ),
    "predictive_parity": Variant(
        says="how often a favourable decision is borne out by the label",
        rates=(PRECISION,),
        note="A group in which nobody gets the favourable decision has no value.",
        references="sklearn.metrics.precision_score in fairlearn.metrics.MetricFrame; Chouldechova (2017).",
    ),
    "selection_rate": Variant(
        says="how often they get the favourable decision",
        rates=(SELECTION,),
        also=ADVERSE_SELECTION,
        note="A ratio has no value where nobody at all gets that decision.",
        references="fairlearn.metrics.selection_rate, demographic_parity_difference and demographic_parity_ratio; the "
        "four-fifths ratio of 29 CFR 1607.4(D); Newcombe (1998) and Donner and Zou (2012) for the intervals.",
    ),
}
"""By name of the check."""

DOC = """\
Measure how far groups differ in {says}.

Args:
    evidence: counts of group x label x decision; {labels}{classes}
    attribute: the column that people are compared by{crossing}.
    terms: confidence, and the fewest effective rows of a group that counts.

Returns:
    `difference` (share, 0 to 1, smaller is closer together) and `ratio` (smallest over largest, 0 to 1, larger is
    closer together){adverse}, with intervals that hold for the largest gap among all groups together.
    `largest_gap_to_everyone` (share) and `smallest_ratio_to_everyone` (0 to 1) compare each group with everyone;
    `smallest_visible_gap` (share, smaller says more) is the gap that could have gone unseen between the two groups
    about which least is known; `rows_to_decide` says about how many more rows would decide what is undecided.{note}

Law:
    AIA 10(2)(f) asks to look for bias, Annex IV 2(g) and 3 for figures about groups. None sets a limit, and a
    difference alone is not unlawful discrimination, nor its absence proof that there is none.

References:
    {references}
"""


def compare_rates(name: str, variant: Variant, evidence: View, attribute: str, terms: Terms) -> Result:
    """Compare the rates of one row of `VARIANTS`; the other arguments are those of the checks that use it."""
    counted = count(evidence, attribute, labelled=any(r.labelled for r in variant.rates), told_apart=variant.told_apart)
    if isinstance(counted, NotGathered):
        return counted
    rates = [compare(counted, rate, terms, family=len(variant.rates)) for rate in variant.rates]
    also = [compare(counted, variant.also, terms)] if variant.also is not None else []
    measures = [
        headline("difference", rates, difference_of, unit="share", largest=True),
        headline("ratio", rates, ratio_of, unit="ratio", largest=False),
        *([headline("adverse_ratio", also, ratio_of, unit="ratio", largest=False)] if also else ()),
        *to_everyone(rates),
        visible_gap_of(rates, terms),
    ]
    return assemble(name, attribute, evidence, terms, counted, measures, [*rates, *also], drawn=len(rates))


def rate_check(name: str) -> Check:
    """Make the check of one row of `VARIANTS`.

    Args:
        name: of the check, which is that of its file.
    """
    variant = VARIANTS[name]

    def run(evidence: View, attribute: str, terms: Terms) -> Result:
        return compare_rates(name, variant, evidence, attribute, terms)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = _doc(variant)
    return check(
        gives=(
            "difference",
            "ratio",
            *(("adverse_ratio",) if variant.also is not None else ()),
            *TO_EVERYONE,
            VISIBLE,
            ROWS_TO_DECIDE,
        ),
        needs=(Need.CELLS,),
        may_read=UNIT_FACTS,
        scope=variant.scope,
        tasks=CLASSES,
        routes=COUNTED_ROUTES,
        law=LAW,
        rejudge=Rejudge.DOSSIER,
    )(run)


def _doc(variant: Variant) -> str:
    labelled = any(rate.labelled for rate in variant.rates)
    crossing = variant.scope is Scope.CROSSING
    text = DOC.format(
        says=variant.says,
        labels="rows without a label are left out and told." if labelled else "labels play no part.",
        classes=" Several classes: favourable against the rest." if variant.told_apart else "",
        crossing="; of attributes crossed, as in `sex × race`" if crossing else "",
        adverse=", of the favourable and, as `adverse_ratio`, of the adverse decision" if variant.also else "",
        note=f" {variant.note}" if variant.note else "",
        references=variant.references,
    )
    # Filled in, a paragraph would run beyond the width that the rest of the code keeps to.
    lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        lines.append(fill(line, 120, initial_indent="", subsequent_indent=indent) if len(line) > 120 else line)
    return "\n".join(lines)
