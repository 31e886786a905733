"""What no check may do, however little the evidence says: fail, claim certainty, or put a value outside its bounds."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks.finding import Measure, Outcome
from checks.judge import judge
from checks.policy import load
from checks.registry import catalogue
from tests.make.poor import poor_evidence

MEASURING = [c for c in catalogue() if not c.code.startswith("documentation.")]


def honest(measure: Measure) -> bool:
    """Tell whether a measure has a value within its bounds, or a reason for none, and is certain only where exact."""
    if measure.value is None:
        return measure.reason is not None and measure.low is None and measure.high is None
    if measure.low is None or measure.high is None:
        return measure.low is None and measure.high is None and math.isfinite(measure.value)
    rounding = 1e-9 * max(1.0, abs(measure.value))
    holds = measure.low - rounding <= measure.value <= measure.high + rounding
    return (
        holds
        and math.isfinite(measure.high - measure.low)
        and (measure.low < measure.high) != (measure.interval == "exact")
    )


@pytest.mark.parametrize(
    ("route", "kind"),
    [("counts", "binary"), *product(("predictions", "model"), ("binary", "multiclass", "regression"))],
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_check_fails_or_is_certain_of_what_poor_evidence_cannot_show(
    route: str, kind: str, data: st.DataObject
) -> None:
    evidence = data.draw(poor_evidence(route, kind))
    with pytest.MonkeyPatch.context() as patch:
        traces: list[str] = []
        patch.setattr("checks.judge.log.error", lambda text, *more: traces.append(text % more))
        for check in MEASURING:
            for given_ in judge(check, evidence, load("default")):
                found = given_.finding
                assert found.outcome is not Outcome.ERROR, traces
                for measure in (*found.measures, *(m for g in found.groups for m in g.measures)):
                    assert honest(measure), (check.code, measure)
