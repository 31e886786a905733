"""How many people share each combination of what others may know of them."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import pyarrow as pa

from checks.declaration import ColumnRole, Route
from checks.evidence import Need, View
from checks.finding import Figure, Measure, Measured, NotGathered, Reason, Rejudge, Result, Scalar
from checks.kinds import kinds_of
from checks.policy import Terms
from checks.privacy._columns import words_of
from checks.registry import check

KINDS = (1, 2, 5, 10, 20, 50)
"""Fewest people alike of each bar that is drawn."""

FEW = 5
"""Below this many people alike, statistical offices commonly do not publish."""

KNOWN_TO_OTHERS = (
    ("age", "leeftijd", "birth", "geboorte", "geboren", "dob"),
    ("sex", "gender", "geslacht"),
    (
        "postcode",
        "postal",
        "zip",
        "city",
        "town",
        "stad",
        "woonplaats",
        "gemeente",
        "municipality",
        "region",
        "regio",
        "wijk",
        "buurt",
    ),
    ("country", "land", "nationality", "nationaliteit", "herkomst", "native", "ethnicity", "race"),
    ("marital", "relationship", "burgerlijke", "gezin", "household", "kinderen", "children", "dependents", "people"),
    ("education", "opleiding", "occupation", "beroep", "job", "employer", "workclass", "sector"),
)
"""Words of column names that speak of what neighbours, colleagues or public sources may know of a person."""


@check(
    gives=("smallest", "unique", "below_five"),
    needs=(),
    may_read=(Need.FEATURES, Need.GROUPS, Need.UNITS),
    routes=(Route.MODEL, Route.PREDICTIONS),
    law=("AIA 4a", "GDPR 5(1)(c)", "GDPR 4"),
    rejudge=Rejudge.EVIDENCE,
)
def k_anonymity(evidence: View, terms: Terms) -> Result:  # noqa: ARG001  # same signature for all
    """Count how many people of the uploaded table are alike in their quasi-identifiers.

    Args:
        evidence: the groups people are compared by, and inputs whose names speak of what others may know (age, sex,
            place, origin, household, education, work): a stated guess. All rows are used. With units, people are units.
        terms: not used.

    Returns:
        `smallest` (count: the k of k-anonymity, larger is harder to single out), `unique` and `below_five` (shares of
        people who are alone in their combination, or with fewer than five; smaller is better); exact for this table.

    Law:
        GDPR 4 names whoever can be singled out identifiable; 5(1)(c) asks for no more data than needed; AIA 4a asks
        for protection of special categories. None names a k. A table of a sample says less of how unique people are in
        the population.

    References:
        Sweeney (2002), International Journal on Uncertainty, Fuzziness and Knowledge-based Systems 10(5).
    """
    chosen = _quasi_identifiers(evidence)
    if chosen is None or not chosen.num_rows:
        return NotGathered(reason=Reason(code="no_quasi_identifiers"))
    kind = kinds_of(chosen)
    data = evidence.declaration.data
    if data is not None and ColumnRole.UNIT in data.columns.values() and evidence.holds(Need.UNITS):
        # One person with several rows alike is still alone.
        unit = np.unique(evidence.units.to_numpy(zero_copy_only=False), return_inverse=True)[1]
        pairs = np.unique(np.stack([kind, unit], axis=1), axis=0)
        kind = pairs[:, 0]
    sizes = np.bincount(kind)
    sizes = sizes[sizes > 0]
    people = int(sizes.sum())

    def exact(name: str, value: float, unit: str) -> Measure:
        return Measure(name=name, value=value, low=value, high=value, rows=people, unit=unit, interval="exact")

    # Each person stands in a combination of so many; a bar is the people whose combination has as many as it says.
    people_in = np.bincount(np.searchsorted(KINDS, sizes, side="right") - 1, weights=sizes, minlength=len(KINDS))
    figure = Figure(
        name="privacy.k_anonymity",
        kind="bars",
        columns={
            "alike": tuple(
                f"{least}+" if most is None else str(least) if most == least + 1 else f"{least}–{most - 1}"
                for least, most in zip_longest(KINDS, KINDS[1:])
            ),
            "value": tuple((people_in / people).tolist()),
            "rows": tuple(int(n) for n in people_in),
        },
        params={"measure": "alike", "unit": "share", "label": "alike"},
    )
    params: dict[str, Scalar] = {"columns": ", ".join(chosen.column_names), "people": people, "kinds": len(sizes)}
    return Measured(
        measures=(
            exact("smallest", int(sizes.min()), "count"),
            exact("unique", int((sizes == 1).sum()) / people, "share"),
            exact("below_five", int(sizes[sizes < FEW].sum()) / people, "share"),
        ),
        figures=(figure,),
        reason=Reason(code="quasi_identifiers", params=params),
    )


def _quasi_identifiers(evidence: View) -> pa.Table | None:
    """Take the groups, and inputs guessed by name; an input that is also a group is taken as it was uploaded."""
    columns: dict[str, pa.ChunkedArray] = {}
    if evidence.holds(Need.GROUPS):
        columns |= dict(zip(evidence.groups.column_names, evidence.groups.columns, strict=True))
    if evidence.holds(Need.FEATURES):
        features, known = evidence.features, {word for words in KNOWN_TO_OTHERS for word in words}
        for name in features.column_names:
            if name in columns or set(words_of(name)) & known:
                columns[name] = features.column(name)
    return pa.table(columns) if columns else None
