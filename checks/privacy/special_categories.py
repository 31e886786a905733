"""Columns that speak of race, health, belief and the other special categories, told apart from sex and age."""

from __future__ import annotations

from checks.declaration import Route
from checks.evidence import View
from checks.finding import GroupMeasures, Measure, Measured, NotGathered, Reason, Rejudge, Result
from checks.policy import Terms
from checks.privacy._columns import TABLE_FACTS, Text, drawn_rows
from checks.privacy._special import CRIMINAL, NOT_SPECIAL, category_by_name, category_by_values
from checks.registry import check


@check(
    gives=("columns", "inputs", "criminal_columns", "sex_and_age_columns"),
    needs=(),
    may_read=TABLE_FACTS,
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 4a", "GDPR 9(1)", "GDPR 10"),
    rejudge=Rejudge.EVIDENCE,
)
def special_categories(evidence: View, terms: Terms) -> Result:  # noqa: ARG001  # same signature for all
    """Look for columns that speak of a special category of personal data, by their name and their values.

    Args:
        evidence: inputs and groups as text, at most 20,000 rows drawn with the run's seed.
        terms: not used.

    Returns:
        `columns` and `inputs` (counts, exact for the rows looked at; fewer are fewer to explain): columns of a special
        category, and those of them that the system is shown. `criminal_columns` and `sex_and_age_columns` (counts) are
        no special categories and stand apart. Per column a measure named after its category: the share of its values
        that speak of it, or 1 where its name does.

    Law:
        GDPR 9(1) forbids processing special categories unless an exception of 9(2) applies; 10 guards criminal
        convictions; AIA 4a allows them under conditions to detect and correct bias in high-risk systems. Sex and age
        are in neither list; equal treatment law speaks of them. A word is a sign and no proof.

    References:
        GDPR 9(1) and 10 for the categories; word lists in Dutch and English of this check's own.
    """
    columns, looked_at, rows = drawn_rows(evidence)
    if not columns or not looked_at:
        return NotGathered(reason=Reason(code="no_rows"))
    found = [(column, *spoken) for column in columns if (spoken := _category(column)) is not None]
    special = [column for column, category, _ in found if category not in (CRIMINAL, NOT_SPECIAL)]

    def exact(name: str, value: int) -> Measure:
        return Measure(name=name, value=value, low=value, high=value, rows=looked_at, unit="count", interval="exact")

    return Measured(
        measures=(
            exact("columns", len(special)),
            exact("inputs", sum(column.shown for column in special)),
            exact("criminal_columns", sum(category == CRIMINAL for _, category, _ in found)),
            exact("sex_and_age_columns", sum(category == NOT_SPECIAL for _, category, _ in found)),
        ),
        groups=tuple(
            GroupMeasures(
                group={"feature": column.name},
                rows=column.rows,
                measures=(
                    Measure(
                        name=category,
                        value=share,
                        low=share,
                        high=share,
                        rows=column.rows,
                        unit="share",
                        interval="exact",
                    ),
                ),
            )
            for column, category, share in found
        ),
        reason=Reason(code="looked_at", params={"looked_at": looked_at, "rows": rows, "columns": len(columns)}),
    )


def _category(column: Text) -> tuple[str, float] | None:
    by_name = category_by_name(column.name)
    return (by_name, 1.0) if by_name is not None else category_by_values(column)
