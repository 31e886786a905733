"""Measure whether the model answered every row."""

from __future__ import annotations

import numpy as np

from checks.declaration import Route
from checks.evidence import Need, View
from checks.finding import Measure, Measured, NotApplicable, NotGathered, Reason, Scalar
from checks.policy import Terms
from checks.registry import check
from checks.robustness._again import ANSWERS, first_answers


@check(
    gives=("unanswered_rows",),
    needs=(Need.MODEL_FAULT, Need.FEATURES),
    may_read=ANSWERS,
    routes=(Route.MODEL,),
    law=("AIA 15(4)", "AIA Annex IV 2(g)"),
)
def answered(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:  # noqa: ARG001  # one signature for all checks
    """Count the rows that the model gave no usable answer to.

    Reads:
        Why the model gave no answers, if it did not, and the first answers.

    Args:
        evidence: see above.
        terms: not used: all rows are looked at, so the count is exact.

    Returns:
        `unanswered_rows` (exact; lower is better). Where the model crashed, hung or broke the protocol, nothing it
        said before is used, so every row counts as unanswered; the reason is the fault, as `fault_<code>`.

    Law:
        Art 15(4) asks for resilience to errors and faults. It does not say how often a system must answer.

    References:
        A count; no statistic is followed.
    """
    rows = evidence.features.num_rows
    fault = evidence.model_fault
    if fault is not None and fault.get("rows_answered") is not True:
        params: dict[str, Scalar] = {k: v for k, v in fault.items() if isinstance(v, str | int | float | bool)}
        # A fault's own params may hold text of the model's making: its length is not ours to trust.
        code = str(fault.get("code"))
        # The resolver's words are bounded where they come in; a reason takes that much room to be read.
        most = 600 if code == "environment_failed" else 200
        params = {k[:40]: v[:most] if isinstance(v, str) else v for k, v in list(params.items())[:12]}
        known = code if code in FAULTS else "unknown"
        reason = Reason(code=f"fault_{known}", params=params)
        return _measured(rows, rows, reason)
    first = first_answers(evidence)
    if first is None:
        return NotGathered(reason=Reason(code="no_first_answers"))
    absent = int(np.isnan(first[0]).any(axis=1).sum())
    if fault is not None:
        return _measured(absent, rows, Reason(code="other_questions_unanswered", params={"unanswered": absent}))
    return _measured(absent, rows, Reason(code="some_unanswered", params={"unanswered": absent}) if absent else None)


FAULTS = (
    "crashed",
    "timed_out",
    "out_of_memory",
    "cpu_limit",
    "output_limit",
    "protocol",
    "load_failed",
    "environment_failed",
    "not_finite",
    "wrong_shape",
    "undeclared_label",
)
"""Codes of a model's faults that there are words for."""


def _measured(unanswered: int, rows: int, reason: Reason | None) -> Measured:
    count = float(unanswered)
    measure = Measure(
        name="unanswered_rows",
        value=count,
        low=count,
        high=count,
        rows=rows,
        unit="rows",
        definition="rows of the data without a usable answer",
        interval="exact",
    )
    return Measured(measures=(measure,), reason=reason)
