"""Say which duties the findings are evidence for, and whether the law that a finding cites applies to the system.

Evidence for a duty is never said to meet it: a person judges that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from checks.ai_act.risk import Duty, DutyStatus, Risk
from checks.ai_act.rules import AspectRule, CoverageRule, DutyRule, OtherLawRule, Rules, load

MEASURED = frozenset({"pass", "fail", "inconclusive", "measured"})
"""Outcomes by which something was looked at, whatever was found."""


class FindingLike(Protocol):
    """What is read of a finding."""

    @property
    def check(self) -> str:
        """The code of the check, as `fairness.selection_rate`."""

    @property
    def outcome(self) -> str:
        """The outcome; a string enumeration will do."""


class Cited(BaseModel):
    """A provision that a finding cites, and whether it applies to this system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provision: str
    applies: Literal["yes", "no", "undetermined"]
    applies_from: dt.date | None


def cover(risk: Risk, findings: Sequence[FindingLike]) -> Risk:
    """Fill in, per duty, the evidence that the findings hold.

    Args:
        risk: a classification; evidence already in it is replaced.
        findings: the findings of the assessment.

    Returns:
        The same classification with `evidence` (finding codes, sorted) and `status` per duty: `evidence_found` where
        every aspect of the duty has evidence, `partial` where some has, else what it was. What was looked for in
        documents is evidence only where a passage was found, and whole only where each item has one. A duty that is
        not due yet but for which there is evidence says so by its evidence; its date stays.
    """
    rules = load(risk.rules_version)
    coverage = {c.duty: c for c in rules.coverage}
    covered = tuple(_cover(d, coverage.get(d.id), findings, risk.as_of) for d in risk.duties)
    return risk.model_copy(update={"duties": covered})


def law_of(provisions: Sequence[str], risk: Risk) -> tuple[Cited, ...]:
    """Say of each provision that a finding cites whether it applies to this system, and from when.

    Args:
        provisions: as checks write them: `AIA 10(2)(f)`, `AIA Annex IV 2(g)`, `GDPR 22`.
        risk: the classification of the system.

    Returns:
        In the order given. `yes`: a duty under the provision follows from the class, whoever has it. `undetermined`:
        the class, or what the duty hangs on, is not known, or no rule here speaks of the provision. `no`: it is
        known not to follow; then there is no date.
    """
    rules = load(risk.rules_version)
    return tuple(_cited(provision, risk, rules) for provision in provisions)


def _cover(duty: Duty, rule: CoverageRule | None, findings: Sequence[FindingLike], as_of: dt.date) -> Duty:
    if rule is None or duty.status == "not_applicable":
        return duty
    evidence: set[str] = set()
    full = 0
    for aspect in rule.aspects:
        matching = [f for f in findings if str(f.outcome) in MEASURED and _is_evidence(f, aspect)]
        if aspect.documents:
            matching = [f for f in matching if {"found", "short"} & set(_states_of(f) or ("found",))]
        evidence |= {f.check for f in matching}
        full += any(not aspect.documents or str(f.outcome) == "pass" or _is_whole(f) for f in matching)
    not_yet_due = duty.applies_from is not None and duty.applies_from > as_of
    status: DutyStatus = "not_yet_due" if not_yet_due else "none"
    if evidence:
        status = "evidence_found" if full == len(rule.aspects) else "partial"
    return duty.model_copy(update={"evidence": tuple(sorted(evidence)), "status": status})


def _states_of(finding: FindingLike) -> tuple[str, ...] | None:
    """Give the states of the items that a finding looked for; None where it holds no items."""
    items = getattr(finding, "items", None)
    return tuple(str(item.state) for item in items) if items else None


def _is_whole(finding: FindingLike) -> bool:
    """Tell whether each item that was looked for in documents has a passage that is not short."""
    return set(_states_of(finding) or ("not_found",)) == {"found"}


def _is_evidence(finding: FindingLike, aspect: AspectRule) -> bool:
    if finding.check in aspect.whole:
        return str(finding.outcome) == "pass"
    return any(fnmatchcase(finding.check, pattern) for pattern in aspect.findings)


def _cited(provision: str, risk: Risk, rules: Rules) -> Cited:
    speaking = [d for d in rules.duties if any(_is_part(provision, p) for p in _provisions_of(d))]
    if not speaking:
        return _other_law(provision, risk, rules)
    present = {d.id: d for d in risk.duties}
    said = [_applies(d, present.get(d.id), risk, rules) for d in speaking]
    for answer in ("yes", "undetermined"):
        dates = [date for a, date in said if a == answer]
        if dates:
            known = [d for d in dates if d is not None]
            return Cited(provision=provision, applies=answer, applies_from=min(known) if known else None)
    return Cited(provision=provision, applies="no", applies_from=None)


_Applies = Literal["yes", "no", "undetermined"]


def _applies(rule: DutyRule, duty: Duty | None, risk: Risk, rules: Rules) -> tuple[_Applies, dt.date | None]:
    if duty is not None:
        if duty.status == "not_applicable":
            return "no", None
        return ("undetermined" if "depends_on_unanswered" in duty.notes else "yes"), duty.applies_from
    classes = {r.risk_class for r in risk.routes if r.counts} if risk.risk_class != "undetermined" else {*risk.possible}
    if not classes & set(rule.classes):
        return "no", None
    if risk.risk_class == "undetermined":
        return "undetermined", rule.applies_from
    if rule.role in _roles_held(risk, rules):
        return "no", None
    dates = [r.applies_from for r in risk.routes if r.counts and r.risk_class in rule.classes and r.applies_from]
    follows_from_class = isinstance(rule.when, str)
    return ("yes" if follows_from_class else "undetermined"), min(dates, default=rule.applies_from)


def _roles_held(risk: Risk, rules: Rules) -> set[str]:
    """Find the roles under which duties were already looked for: what is not among them does not follow."""
    return {d.role for d in risk.duties} & {r.id for r in rules.roles}


def _other_law(provision: str, risk: Risk, rules: Rules) -> Cited:
    def speaks(law: OtherLawRule) -> bool:
        return any(_is_part(provision, p) for p in _split(law.provision))

    pointed_at = {law.id: law for law in risk.other_law}
    for law in rules.other_law:
        if speaks(law) and law.id in pointed_at:
            return Cited(provision=provision, applies="yes", applies_from=pointed_at[law.id].applies_from)
    return Cited(provision=provision, applies="undetermined", applies_from=None)


def _provisions_of(rule: DutyRule) -> Iterator[str]:
    yield from _split(rule.provision)
    yield from rule.covers


def _split(provisions: str) -> Iterator[str]:
    """Take `AIA 5(1)(ba), 5(1)(bb)` apart; words without a number after a comma belong to what precedes them."""
    first, *more = (part.strip() for part in provisions.split(","))
    yield first
    law = first.split()[0]
    for part in more:
        if part[:1].isdigit():
            yield f"{law} {part}"
        elif part[:1].isupper():
            yield part


def _is_part(cited: str, of: str) -> bool:
    """Tell whether one provision lies within the other: `AIA 10(2)` and `AIA 10`, either way round."""
    shorter, longer = sorted((cited.strip(), of), key=len)
    return longer.startswith(shorter) and (len(longer) == len(shorter) or longer[len(shorter)] in "( ,")
