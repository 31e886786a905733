"""Run one check so that it cannot stop, hide or colour another, and apply the policy to what it measured."""

from __future__ import annotations

import hashlib
import logging
import traceback
from dataclasses import dataclass

from checks.errors import EvidenceMissing
from checks.evidence import Evidence, Need
from checks.finding import (
    AppliedLimit,
    Figure,
    Finding,
    LawRef,
    Measure,
    Measured,
    NotApplicable,
    NotGathered,
    Outcome,
    Reason,
    Result,
)
from checks.policy import Limit, Policy
from checks.registry import Check, Scope

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A finding and the data of its figures."""

    finding: Finding
    figures: tuple[Figure, ...] = ()


def judge(check: Check, evidence: Evidence, policy: Policy) -> tuple[Judged, ...]:
    """Run one check on the evidence and judge what it measured.

    Args:
        check: from the catalogue.
        evidence: sealed facts.
        policy: limits and terms.

    Returns:
        One finding; for a check that compares people one per attribute, in the declared order. Never empty, never
        raises for a fault of the check: that is a finding with outcome `error` and an incident id.
    """
    fits = _does_not_fit(check, evidence)
    if fits is not None:
        return (_judged(check, None, fits, policy, evidence),)
    attributes: tuple[str | None, ...] = (None,)
    if check.scope is Scope.ATTRIBUTE:
        data = evidence.declaration.data
        attributes = data.attributes if data is not None else ()
        if not attributes:
            none = NotGathered(reason=Reason(code="no_groups"))
            return (_judged(check, None, none, policy, evidence),)
    return tuple(_judged(check, a, _run(check, a, evidence, policy), policy, evidence) for a in attributes)


def _does_not_fit(check: Check, evidence: Evidence) -> Result | None:
    if evidence.route not in check.routes:
        return NotApplicable(reason=Reason(code="route", params={"route": evidence.route.value}))
    data = evidence.declaration.data
    if check.tasks:
        if data is None:
            return NotGathered(reason=Reason(code="no_data"))
        if data.task not in check.tasks:
            return NotApplicable(reason=Reason(code="task", params={"task": data.task.value}))
    return None


def _run(check: Check, attribute: str | None, evidence: Evidence, policy: Policy) -> Result | str:
    for need in check.needs:
        if not evidence.holds(need):
            return NotGathered(reason=missing(need, evidence))
    view = evidence.only((*check.needs, *check.may_read))
    try:
        given = check.run(view, policy.terms) if attribute is None else check.run(view, attribute, policy.terms)
        if not isinstance(given, Measured | NotApplicable | NotGathered):
            raise TypeError(f"{check.code} gave a {type(given).__name__}, not a result")
    except EvidenceMissing as absent:
        return NotGathered(reason=missing(absent.need, evidence))
    except Exception:  # noqa: BLE001  # the one place in this layer where any fault of a check is caught
        # One check's fault must neither stop the others nor look like a result; the id finds the trace in the log.
        trace = traceback.format_exc()
        incident = hashlib.sha256(f"{check.code}|{attribute}|{evidence.digest}".encode()).hexdigest()[:12]
        log.error("check %s failed, incident %s\n%s", check.code, incident, trace)
        return incident
    return given


def missing(need: str, evidence: Evidence) -> Reason:
    """Say which fact is absent and why: because nobody gave it, or because the model did not answer."""
    from_model = need.startswith("answers.") or need in (
        Need.DECISIONS,
        Need.SCORES,
        Need.PROBABILITIES,
        Need.VALUES,
        Need.CELLS,
        Need.MOMENTS,
    )
    if from_model and evidence.model_fault is not None:
        return Reason(code="model_fault", params={"fault": str(evidence.model_fault.get("code"))})
    if need.startswith("answers."):
        return Reason(code="not_asked", params={"probe": need.removeprefix("answers.")})
    return Reason(code=f"no_{need.split(' ')[0]}", params={"need": need})


def _judged(check: Check, attribute: str | None, given: Result | str, policy: Policy, evidence: Evidence) -> Judged:
    law = tuple(LawRef(provision=p) for p in check.law)
    if isinstance(given, str):
        finding = Finding(
            check=check.code,
            outcome=Outcome.ERROR,
            attribute=attribute,
            reason=Reason(code="our_error", params={"incident": given}),
            rejudge=check.rejudge,
            law=law,
            incident=given,
        )
        return Judged(finding=finding)
    if isinstance(given, NotApplicable | NotGathered):
        outcome = Outcome.NOT_APPLICABLE if isinstance(given, NotApplicable) else Outcome.NOT_GATHERED
        own = evidence.declaration.limits
        # A limit that the provider set itself and that could not be measured stays visible as undecided.
        unmet = {
            name: AppliedLimit(
                at_least=own[code].at_least,
                at_most=own[code].at_most,
                origin="provider",
                source="provider",
                why=own[code].reason,
                outcome=Outcome.INCONCLUSIVE,
            )
            for name in check.gives
            if (code := f"{check.code}.{name}") in own and outcome is Outcome.NOT_GATHERED
        }
        finding = Finding(
            check=check.code,
            outcome=outcome,
            attribute=attribute,
            limit=unmet,
            reason=given.reason,
            rejudge=check.rejudge,
            law=law,
        )
        return Judged(finding=finding)
    limits: dict[str, AppliedLimit] = {}
    for measure in given.measures:
        found = policy.limit_for(f"{check.code}.{measure.name}", evidence.declaration)
        if found is None:
            continue
        limit, origin = found
        limits[measure.name] = AppliedLimit(
            at_least=limit.at_least,
            at_most=limit.at_most,
            origin=origin,
            source=limit.source,
            why=limit.why,
            outcome=hold_against(measure, limit),
        )
    outcome, reason = _worst(limits, given)
    finding = Finding(
        check=check.code,
        outcome=outcome,
        attribute=attribute,
        limit=limits,
        reason=reason,
        rejudge=check.rejudge,
        law=law,
        measures=given.measures,
        groups=given.groups,
        items=given.items,
        figures=tuple(f.name for f in given.figures),
    )
    return Judged(finding=finding, figures=given.figures)


def hold_against(measure: Measure, limit: Limit) -> Outcome:
    """Hold one measure against one limit.

    Returns:
        `pass` where the whole interval lies within the limit (bounds included), `fail` where the whole interval lies
        beyond it, else `inconclusive`; also where there is no value or no interval.
    """
    if measure.value is None or measure.low is None or measure.high is None:
        return Outcome.INCONCLUSIVE
    below = limit.at_least is not None and measure.high < limit.at_least
    above = limit.at_most is not None and measure.low > limit.at_most
    if below or above:
        return Outcome.FAIL
    over_least = limit.at_least is None or measure.low >= limit.at_least
    under_most = limit.at_most is None or measure.high <= limit.at_most
    return Outcome.PASS if over_least and under_most else Outcome.INCONCLUSIVE


def _worst(limits: dict[str, AppliedLimit], given: Measured) -> tuple[Outcome, Reason | None]:
    if not limits:
        return Outcome.MEASURED, given.reason
    outcomes = {applied.outcome for applied in limits.values()}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL, given.reason
    if Outcome.INCONCLUSIVE in outcomes:
        return Outcome.INCONCLUSIVE, given.reason
    if given.never_within is not None:
        return Outcome.INCONCLUSIVE, given.never_within
    return Outcome.PASS, given.reason
