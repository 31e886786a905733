"""Whether the system is shown the attribute that people are compared by."""

from __future__ import annotations

from checks.declaration import Route
from checks.evidence import Need, View
from checks.fairness._rates import LAW
from checks.finding import Measure, Measured, Reason, Rejudge, Result
from checks.policy import Terms
from checks.registry import Scope, check


@check(
    gives=("inputs",),
    needs=(),
    may_read=(Need.CELLS, Need.MOMENTS),
    scope=Scope.ATTRIBUTE,
    routes=(Route.MODEL, Route.PREDICTIONS, Route.COUNTS),
    law=LAW,
    rejudge=Rejudge.DOSSIER,
)
def protected_input(evidence: View, attribute: str, terms: Terms) -> Result:  # noqa: ARG001  # same signature for all
    """Tell whether the attribute is among the system's own inputs.

    Args:
        evidence: the declared roles of columns.
        attribute: the column that people are compared by.
        terms: not used; a declared role is exact.

    Returns:
        `inputs` (count, exact): 1 where the attribute is shown to the model, else 0; found whatever the rates say.
        On routes on which no model is run, what the provider declares is all there is to go by, and the reason says so.

    Law:
        AIA 10(2)(f) asks to look for what may lead to unlawful discrimination. Equal treatment law, not this Act, says
        when an attribute may be used.

    References:
        The role `feature+group` of the declaration.
    """
    data = evidence.declaration.data
    assert data is not None
    shown = int(data.role(attribute).is_feature)
    rows = sum(
        int(sum(table(attribute).column("rows").to_pylist()))
        for need, table in ((Need.CELLS, evidence.cells), (Need.MOMENTS, evidence.moments))
        if evidence.holds(need)
    )
    declared_only = evidence.declaration.route is not Route.MODEL
    return Measured(
        measures=(
            Measure(name="inputs", value=shown, low=shown, high=shown, rows=rows, unit="count", interval="exact"),
        ),
        reason=Reason(code="declared_only") if declared_only else None,
    )
