"""Run one check so that it cannot stop, hide or colour another, and apply the policy to what it measured."""

from __future__ import annotations

import hashlib
import logging
import traceback
from dataclasses import dataclass
from math import ceil

from checks.declaration import CROSSED, TIMES
from checks.errors import EvidenceMissing
from checks.evidence import Evidence, Need
from checks.finding import (
    ROWS_TO_DECIDE,
    AppliedLimit,
    Figure,
    Finding,
    GroupMeasures,
    LawRef,
    Measure,
    Measured,
    NotApplicable,
    NotGathered,
    Outcome,
    Reason,
    Result,
    Scalar,
)
from checks.policy import Limit, Policy
from checks.registry import Check, Scope

log = logging.getLogger(__name__)

LARGEST_GROWTH = 100.0
"""Up to how many times narrower an interval may have to become before no number of rows is named."""

MOST_ROWS = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A finding and the data of its figures."""

    finding: Finding
    figures: tuple[Figure, ...] = ()


def judge(check: Check, evidence: Evidence, policy: Policy, *, rules_version: str | None = None) -> tuple[Judged, ...]:
    """Run one check on the evidence and judge what it measured.

    Args:
        check: from the catalogue.
        evidence: sealed facts.
        policy: limits and terms.
        rules_version: of the law that says which documents are looked for, as in `Rules.version`; None for the law as
            it stands.

    Returns:
        One finding; for a check that compares people one per attribute (or crossing of them), in the declared order.
        Never empty, never raises for a fault of the check: that is a finding with outcome `error` and an incident id.
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
    if check.scope is Scope.CROSSING:
        attributes = _crossings(evidence, policy)
        if not attributes:
            none_to_cross = NotApplicable(reason=Reason(code="no_pairs"))
            return (_judged(check, None, none_to_cross, policy, evidence),)
    return tuple(
        _judged(check, a, _run(check, a, evidence, policy, rules_version), policy, evidence) for a in attributes
    )


def _crossings(evidence: Evidence, policy: Policy) -> tuple[str, ...]:
    """List the crossings that the policy takes, in the order they were counted in; as declared where nothing was."""
    data = evidence.declaration.data
    if data is None:
        return ()
    counted: dict[str, tuple[str, ...]] = {
        name: parts for name in (*evidence.cells, *evidence.moments) if (parts := data.crossing(name)) is not None
    }
    if not counted:
        counted = {name: parts for size in CROSSED for name, parts in data.crossings(size).items()}
    most = {2: policy.terms.pairs, 3: policy.terms.triples}
    return tuple(n for size in CROSSED for n in [n for n, p in counted.items() if len(p) == size][: most[size]])


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


def _run(
    check: Check, attribute: str | None, evidence: Evidence, policy: Policy, rules_version: str | None
) -> Result | str:
    for need in check.needs:
        if not evidence.holds(need):
            return NotGathered(reason=missing(need, evidence))
    view = evidence.only((*check.needs, *check.may_read), rules_version)
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
    fault = evidence.model_fault
    # A question that was asked apart fails alone: what another one would have answered was never asked for.
    alone = fault is not None and fault.get("question") not in (None, need.removeprefix("answers."))
    if from_model and fault is not None and not alone:
        return Reason(code="model_fault", params={"fault": str(fault.get("code"))})
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
            items=given.items if isinstance(given, NotGathered) else (),
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
    more = rows_to_decide(given, limits) if outcome is Outcome.INCONCLUSIVE and ROWS_TO_DECIDE in check.gives else None
    finding = Finding(
        check=check.code,
        outcome=outcome,
        attribute=attribute,
        limit=limits,
        reason=reason,
        rejudge=check.rejudge,
        law=law,
        measures=given.measures if more is None else (*given.measures, more),
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


def rows_to_decide(given: Measured, limits: dict[str, AppliedLimit]) -> Measure | None:
    """Say about how many more rows, and of which group, would decide what is undecided, if figures stay as they are.

    Intervals shrink with the root of the rows. Where more rows of the less certain of the two groups that make the gap
    are enough, it is that group's rows; else those of both.

    Args:
        given: what was measured; each headline names in its definition the definition of the groups' rates.
        limits: as applied.

    Returns:
        `rows_to_decide` (rows, an estimate without an interval); None where no limit is straddled by an interval.
    """
    wanted: list[tuple[int, Measure]] = []
    for measure in given.measures:
        limit = limits.get(measure.name)
        if limit is None or limit.outcome is not Outcome.INCONCLUSIVE or measure.value is None or measure.low is None:
            continue
        ends = _ends(measure, given.groups)
        if ends is None:
            continue
        assert measure.high is not None
        bounds = [b for b in (limit.at_least, limit.at_most) if b is not None and measure.low <= b <= measure.high]
        for bound in bounds:
            wanted.append(_rows_for(measure, bound, ends))
    return max(wanted, key=lambda w: w[0])[1] if wanted else None


_End = tuple[GroupMeasures, Measure]


def _ends(measure: Measure, groups: tuple[GroupMeasures, ...]) -> tuple[_End, _End] | None:
    """Give the two large groups between which the gap (or ratio) lies, the less certain one first."""
    rates: dict[str, list[_End]] = {}
    for group in groups:
        for rate in group.measures:
            if rate.definition and rate.definition in measure.definition and not group.too_small:
                rates.setdefault(rate.name, []).append((group, rate))
    found: list[tuple[float, _End, _End]] = []
    for of_rate in rates.values():
        known = [(g, r) for g, r in of_rate if r.value is not None and r.low is not None]
        if len(known) >= 2:
            # Of groups with the same rate the least certain counts, so that the names of groups change nothing.
            low = min(known, key=lambda end: (end[1].value or 0.0, -_width(end[1]), end[0].rows))
            high = max(
                (k for k in known if k is not low), key=lambda end: (end[1].value or 0.0, _width(end[1]), -end[0].rows)
            )
            found.append(((high[1].value or 0.0) - (low[1].value or 0.0), low, high))
    if not found:
        return None
    _, low, high = max(found, key=lambda f: f[0])
    first, second = sorted((low, high), key=lambda end: (-_width(end[1]), end[0].rows))
    return first, second


def _width(rate: Measure) -> float:
    return (rate.high or 0.0) - (rate.low or 0.0)


def _rows_for(measure: Measure, bound: float, ends: tuple[_End, _End]) -> tuple[int, Measure]:
    assert measure.value is not None
    assert measure.low is not None
    assert measure.high is not None
    (group, rate), (other, other_rate) = ends
    distance = abs(measure.value - bound)
    reach = measure.value - measure.low if measure.value > bound else measure.high - measure.value
    params: dict[str, Scalar] = {"group": _named(group), "other": _named(other), "measure": measure.name}
    base = Measure(name=ROWS_TO_DECIDE, value=None, rows=measure.rows, unit="rows")
    if distance <= 0 or reach / distance > LARGEST_GROWTH:
        return MOST_ROWS, base.model_copy(update={"reason": Reason(code="too_near_the_limit", params=params)})
    own, others = _width(rate) ** 2, _width(other_rate) ** 2
    needed, part = (distance / reach) ** 2, own / (own + others) if own > 0 else 0.5
    if needed > 1.0 - part and part / (needed - 1.0 + part) <= LARGEST_GROWTH**2:
        rows, code = group.rows * (part / (needed - 1.0 + part) - 1.0), "more_rows"
    else:
        rows, code = (group.rows + other.rows) * (1.0 / needed - 1.0), "more_rows_of_both"
    number = _rounded_up(rows)
    reason = Reason(code=code, params={**params, "number": number})
    return number, base.model_copy(update={"value": float(number), "reason": reason})


def _rounded_up(rows: float) -> int:
    """Give a number of rows with two digits that say something, never fewer than asked and never fewer than one."""
    whole = max(1, ceil(rows))
    step: int = 10 ** max(0, len(str(whole)) - 2)
    return -(-whole // step) * step


def _named(group: GroupMeasures) -> str:
    return TIMES.join("–" if value is None else value for value in group.group.values())


def _worst(limits: dict[str, AppliedLimit], given: Measured) -> tuple[Outcome, Reason | None]:
    outcomes = {applied.outcome for applied in limits.values()}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL, given.reason
    if given.settles_nothing is not None:
        return Outcome.INCONCLUSIVE, given.settles_nothing
    if not limits:
        return Outcome.MEASURED, given.reason
    if Outcome.INCONCLUSIVE in outcomes:
        return Outcome.INCONCLUSIVE, given.reason
    if given.never_within is not None:
        return Outcome.INCONCLUSIVE, given.never_within
    return Outcome.PASS, given.reason
