"""What the data sheets of evaluation and training data state, and which fields are empty or only a placeholder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checks.documentation._reading import counted, is_placeholder, quoted
from checks.evidence import View
from checks.finding import Item, Measured, NotApplicable, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import check

FIELDS = (
    *("origin", "collection", "purpose", "period", "population", "licence", "personal_data", "lawful_basis"),
    *("cleaning", "known_gaps"),
)
"""The fields of a data sheet, in the order in which they are asked."""

FEWEST_WORDS: Mapping[str, int] = {"origin": 2, "collection": 3, "purpose": 3, "population": 3, "cleaning": 2}
"""Words below which a field of prose is called short; other fields may be one word."""


@check(
    gives=("found", "short", "placeholder", "not_found"),
    needs=(),
    law=("AIA 10(2)", "AIA Annex IV 2(d)"),
    rejudge=Rejudge.DOSSIER,
)
def datasheet(evidence: View, terms: Terms) -> Result:
    """Look which fields of the data sheets are filled in.

    Args:
        evidence: the declaration alone; a lawful basis is asked only where the sheet or the answers do not say that
            there are no personal data. The sheet of the training data is what stands under `training`; it is looked at
            where training data or that part were handed in.
        terms: not read; whether a field is short does not depend on the policy.

    Returns:
        Per field `found`, `short`, `placeholder` or `not_found`, with what it says; and the number of fields in each
        state (count, exact; more `found` says that more is stated, not that it is true).

    Law:
        AIA 10(2) asks for practices concerning the origin, collection, preparation and gaps of data sets; Annex IV 2(d)
        for data sheets where relevant. Neither names these fields.

    References:
        Gebru and others, Datasheets for Datasets, 2021, for the questions behind the fields.
    """
    del terms
    declaration = evidence.declaration
    if declaration.data is None:
        return NotApplicable(reason=Reason(code="no_data"))
    sheet = declaration.datasheet
    said = declaration.answers.get("personal_data")
    items = _items("", sheet, said)
    of_training = sheet.get("training")
    if declaration.data.training is not None or of_training is not None:
        items += _items("training_", of_training if isinstance(of_training, Mapping) else {}, said)
    return Measured(
        measures=counted(items, "checks.documentation.datasheet"),
        items=items,
        reason=Reason(code="truth_not_judged", params={"items": len(items)}),
    )


def _items(of: str, sheet: Mapping[str, Any], answered: Any) -> tuple[Item, ...]:
    without_persons = "no" in (str(sheet.get("personal_data", "")), answered)
    return tuple(
        _item(name, of, sheet.get(name)) for name in FIELDS if not (name == "lawful_basis" and without_persons)
    )


def _item(name: str, of: str, stated: Any) -> Item:
    text = "" if stated is None else quoted(str(stated))
    if not text:
        return Item(id=f"datasheet.{of}{name}", state="not_found")
    state = "placeholder" if is_placeholder(text) else "found"
    if state == "found" and len(text.split()) < FEWEST_WORDS.get(name, 1):
        state = "short"
    return Item(id=f"datasheet.{of}{name}", state=state, params={"document": "datasheet", "passage": text})
