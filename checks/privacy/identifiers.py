"""Columns by which one person can be found: citizen service numbers, accounts, addresses, names."""

from __future__ import annotations

from checks.declaration import Route
from checks.evidence import View
from checks.finding import GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.privacy._columns import TABLE_FACTS, Text, drawn_rows, words_of
from checks.privacy._identifying import FORMS, HOUSE_NUMBER_WORDS, NAME_WORDS, has_postcode
from checks.registry import check


@check(
    gives=("columns", "inputs"),
    needs=(),
    may_read=TABLE_FACTS,
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 10(2)(b)", "GDPR 5(1)(c)", "GDPR 87"),
    rejudge=Rejudge.EVIDENCE,
)
def identifiers(evidence: View, terms: Terms) -> Result:  # noqa: ARG001  # same signature for all
    """Look for columns whose values or name have the form of something that identifies one person.

    Args:
        evidence: inputs and groups as text, at most 20,000 rows drawn with the run's seed. A column that is declared as
            identifier never leaves intake and is not looked at.
        terms: not used.

    Returns:
        `columns` and `inputs` (counts, exact for the rows looked at; fewer are fewer to explain): columns that look
        like identifiers, and those of them that the system is shown. Per such column the share of values of each form:
        `bsn` (eleven-test), `iban` (remainder by 97), `payment_card` (Luhn), `email`, `phone`, `address` (Dutch
        postcode with house number, in one column or two), `person_name`; `by_name` where the column's name says it.

    Law:
        GDPR 5(1)(c) asks for no more data than needed, 87 lets states guard national numbers (in the Netherlands the
        UAVG), AIA 10(2)(b) asks for the origin of data. A form is a sign and no proof; nothing is refused for it.

    References:
        The eleven-test of the BSN; ISO 13616 and ISO/IEC 7064 for IBAN; ISO/IEC 7812-1, annex B, for Luhn's test.
    """
    columns, looked_at, rows = drawn_rows(evidence)
    if not columns or not looked_at:
        return NotGathered(reason=Reason(code="no_rows"))
    found = [(column, measures) for column in columns if (measures := _found(column, columns))]

    def exact(name: str, value: int) -> Measure:
        return Measure(name=name, value=value, low=value, high=value, rows=looked_at, unit="count", interval="exact")

    return Measured(
        measures=(exact("columns", len(found)), exact("inputs", sum(column.shown for column, _ in found))),
        groups=tuple(
            GroupMeasures(group={"feature": column.name}, rows=column.rows, measures=measures)
            for column, measures in found
        ),
        reason=Reason(code="looked_at", params={"looked_at": looked_at, "rows": rows, "columns": len(columns)}),
    )


def _found(column: Text, columns: list[Text]) -> tuple[Measure, ...]:
    """Give the forms that a column has, the clearest first; empty where it looks like no identifier."""
    words = set(words_of(column.name))
    made: list[Measure] = []
    for kind, (form, least) in FORMS.items():
        if kind == "person_name" and not _mostly_different(column):
            continue
        share = _share(column, [form(value) for value in column.values])
        if share >= least:
            made.append(_measure(kind, share, column.rows))
    named = [kind for kind, own in NAME_WORDS.items() if words & own]
    if named and not made:
        made.append(_measure("by_name", 1.0, column.rows))
    if not made and _share(column, [has_postcode(v) for v in column.values]) >= 0.5:
        other = [c for c in columns if set(words_of(c.name)) & HOUSE_NUMBER_WORDS and c is not column]
        if other:
            made.append(_measure("address", 1.0, column.rows))
    return tuple(sorted(made, key=lambda m: -(m.value or 0.0)))


def _mostly_different(column: Text) -> bool:
    """Tell whether values hardly repeat: categories have the form of names too, but few of them."""
    return not column.numeric and column.rows >= 5 and len(column.values) >= 0.3 * column.rows


def _share(column: Text, matches: list[bool]) -> float:
    if not column.rows:
        return 0.0
    return sum(n for n, hit in zip(column.counts, matches, strict=True) if hit) / column.rows


def _measure(name: str, share: float, rows: int) -> Measure:
    return Measure(name=name, value=share, low=share, high=share, rows=rows, unit="share", interval="exact")
