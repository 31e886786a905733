"""Find the duties that follow from a classification: whose, under which provision, and from when."""

from __future__ import annotations

import datetime as dt

from checks.ai_act.answers import Profile, certain
from checks.ai_act.logic import FALSE, Known, Verdict, conjunction
from checks.ai_act.risk import Duty, Risk
from checks.ai_act.rules import DateVariant, DutyRule, RouteRule, Rules
from checks.declaration import Declaration

OPEN = "depends_on_unanswered"
"""Note on a duty of which an unanswered question decides whether it exists."""
OPEN_DATE = "date_depends_on_unanswered"
"""Note on a duty of which an unanswered question decides the date."""


def duties(risk: Risk, declaration: Declaration, rules: Rules, *, as_of: dt.date) -> tuple[Duty, ...]:
    """List the duties of the declaring organisation for its system.

    Args:
        risk: the classification; only whether its class is determined is read.
        declaration: answers and organisation.
        rules: the rules that the classification was made with.
        as_of: the day that `not_yet_due` is measured against.

    Returns:
        In the order of the rules. Where the class is determined, a duty that hangs on an unanswered question is
        listed with the note `depends_on_unanswered`; where it is not, only duties that are certain are listed.
        No status says that a duty is met.
    """
    known = certain(declaration.answers, Profile.of(declaration), rules)
    return follow(known, rules, as_of=as_of, is_determined=risk.risk_class != "undetermined")


def follow(known: Known, rules: Rules, *, as_of: dt.date, is_determined: bool) -> tuple[Duty, ...]:
    """List the duties that follow from facts already read; see `duties`."""
    holders = held_roles(known, rules)
    found = []
    for rule in rules.duties:
        verdict = conjunction([holders[rule.role], known.holds(rule.when)])
        if verdict.truth or (verdict.truth is None and is_determined):
            found.append(_duty(rule, known, as_of=as_of, is_open=verdict.truth is None))
    return tuple(found)


def held_roles(known: Known, rules: Rules) -> dict[str, Verdict]:
    """Tell of each role, by id, whether the organisation has it for this system."""
    return {
        role.id: FALSE if role.ends_when is not None and known.holds(role.ends_when).truth else known.holds(role.when)
        for role in rules.roles
    }


def dated(rule: DutyRule | RouteRule, known: Known) -> tuple[dt.date | None, dt.date | None, bool]:
    """Give the date of a rule for this system, the date of the text of 2024, and whether an open question may move it.

    The first variant that holds gives the date; while one is open, the date without it is given.
    """
    is_open = False
    for variant in rule.variants:
        truth = known.holds(variant.when).truth
        if truth:
            return variant.applies_from, variant.applies_from_original, is_open
        is_open = is_open or (truth is None and _differs(variant, rule))
    return rule.applies_from, rule.applies_from_original, is_open


def _differs(variant: DateVariant, rule: DutyRule | RouteRule) -> bool:
    return variant.applies_from != rule.applies_from


def _duty(rule: DutyRule, known: Known, *, as_of: dt.date, is_open: bool) -> Duty:
    applies_from, original, is_date_open = dated(rule, known)
    lifted = known.holds(rule.lifted_when).truth if rule.lifted_when is not None else False
    is_lifted = lifted is True
    notes = [n.id for n in rule.notes if known.holds(n.when).truth]
    if is_open or lifted is None:
        notes.append(OPEN)
    if is_date_open:
        notes.append(OPEN_DATE)
    if is_lifted:
        notes.append("legacy_unchanged")
    is_due = applies_from is None or applies_from <= as_of
    return Duty(
        id=rule.id,
        provision=rule.provision,
        role=rule.role,
        applies_from=applies_from,
        applies_from_original=original,
        contested=rule.contested,
        applies_from_other_reading=rule.applies_from_other_reading,
        status="not_applicable" if is_lifted else "none" if is_due else "not_yet_due",
        notes=tuple(notes),
    )
