"""Give a system the class that its answers indicate, and say why; what the answers leave open stays open.

Nothing here knows an article: which class is tested when, and on which ground, is in the rule files. A class is
given only if no answer that is still missing could change it. Leaving out an answer can therefore only add possible
classes, and the order of answering never matters: the result is a function of the set of answers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from checks.ai_act.answers import Profile, certain, facts, ways
from checks.ai_act.duties import dated, follow
from checks.ai_act.logic import PROFILE, UNKNOWN, Facts, Known, Whichever, disjunction
from checks.ai_act.risk import Basis, OtherLaw, PathStep, Risk, Route
from checks.ai_act.rules import Confidence, NoteRule, Question, RiskClass, RouteRule, Rules
from checks.declaration import Answer, Declaration

_WEAKER: dict[Confidence, Basis] = {
    "draft": "draft",
    "contested": "contested",
    "secondary": "guidance",
    "background": "guidance",
    "unverified": "guidance",
}
_BY_WEAKNESS: tuple[Basis, ...] = ("contested", "draft", "guidance")


def classify(declaration: Declaration, rules: Rules, *, as_of: dt.date) -> Risk:
    """Classify a system as it is meant to be used, from the provider's answers.

    Args:
        declaration: its `answers` by question id; of the system, `roles`, `public_body`, and the provider's size
            and country. Other fields are not read: a class never follows from an upload.
        rules: the law of one version, from `checks.ai_act.rules.load`.
        as_of: the day that the clock stands at. A practice that is prohibited only from a later day does not give the
            class before it, and stands among the routes with `counts` false.

    Returns:
        The class of the heaviest route, all routes that hold, overlays, the path, other law to check and the
        duties; `undetermined` with the possible classes and the questions that would decide where answers are
        missing. It is an indication, not legal advice.
    """
    profile = Profile.of(declaration)
    whichever = certain(declaration.answers, profile, rules)
    known = whichever.known
    possible, undecided_by = _possible(declaration.answers, profile, rules, as_of)
    risk_class: RiskClass = possible[0] if len(possible) == 1 else "undetermined"
    is_determined = len(possible) == 1
    return Risk(
        risk_class=risk_class,
        routes=tuple(
            _route(r, whichever, declaration.answers, profile, rules, is_counted=_counts(r, whichever, as_of))
            for r in _by_weight(rules)
            if whichever.holds(r.when).truth and (r.risk_class != "minimal" or risk_class == "minimal")
        ),
        overlays=tuple(o.id for o in rules.overlays if whichever.holds(o.when).truth),
        possible=() if is_determined else possible,
        undecided_by=() if is_determined else _in_order(undecided_by, rules),
        path=tuple(_path(known, rules)),
        other_law=tuple(
            OtherLaw(
                id=law.id,
                provision=law.provision,
                applies_from=law.applies_from,
                confidence=law.confidence,
                verified_on=law.verified_on,
                source_url=law.source_url,
            )
            for law in rules.other_law
            if whichever.holds(law.when).truth
        ),
        duties=follow(whichever, rules, as_of=as_of, is_determined=is_determined),
        rules_version=rules.version,
        as_of=as_of,
    )


def next_questions(answers: Mapping[str, Answer], profile: Profile, rules: Rules, *, as_of: dt.date) -> tuple[str, ...]:
    """List the questions to put now: unanswered, and made to matter by the answers so far.

    Args:
        answers: the answers so far; a question answered `unknown` is not put again. What it leads to is put
            all the same if it takes one answer; which of many areas applies is left to a person.
        profile: what is known of the organisation.
        rules: the law of one version.
        as_of: the day of asking. A question about rules that do not apply yet is asked all the same: it decides what
            will follow.

    Returns:
        Question ids in the order of the questionnaire; ask the first, then call again. Empty when all is answered.
    """
    del as_of  # the questionnaire is the same on every day; the parameter keeps callers right when a rule needs it
    known = facts(answers, profile, rules)
    asked = []
    for question in rules.questions:
        if known.is_answered(question.id):
            continue
        gate = known.gate(question.id)
        if gate.truth or (gate.truth is None and all(known.is_left_open(q) for q in gate.open)):
            asked.append(question.id)
    return tuple(asked)


def questionnaire(rules: Rules) -> tuple[Question, ...]:
    """Give all questions with options and the condition under which each is asked, in the order of asking."""
    return rules.questions


def notes(declaration: Declaration, rules: Rules) -> tuple[NoteRule, ...]:
    """List the provisions that change nothing in the class or the duties, but speak to this system."""
    known = facts(declaration.answers, Profile.of(declaration), rules)
    return tuple(n for n in rules.notes if n.when is not None and known.holds(n.when).truth)


def _counts(rule: RouteRule, known: Known, as_of: dt.date) -> bool:
    applies_from, _, _ = dated(rule, known)
    return not rule.counts_from_date or applies_from is None or applies_from <= as_of


def _possible(
    answers: Mapping[str, Answer], profile: Profile, rules: Rules, as_of: dt.date
) -> tuple[tuple[RiskClass, ...], frozenset[str]]:
    """Find the classes that the answers leave possible, in order of weight, and the questions that keep them open.

    Where a question on which all others hang is open, each way it can go is followed on its own: otherwise a system
    that is either out of scope or high-risk would seem possibly minimal. Such a question decides if its ways lead to
    different classes.
    """
    found: set[RiskClass] = set()
    undecided_by: set[str] = set()
    by_assumption: dict[str, dict[str, set[RiskClass]]] = {}
    for assumed, on_this_way in ways(answers, profile, rules):
        classes, still_open = _walk(rules, on_this_way, as_of)
        found |= set(classes)
        undecided_by |= still_open
        for question, option in assumed.items():
            by_assumption.setdefault(question, {}).setdefault(option, set()).update(classes)
    for question, reached in by_assumption.items():
        if any(classes != found for classes in reached.values()):
            undecided_by.add(question)
    order = dict.fromkeys(s.risk_class for s in rules.order)
    return tuple(c for c in order if c in found), frozenset(undecided_by)


def _walk(rules: Rules, known: Facts, as_of: dt.date) -> tuple[tuple[RiskClass, ...], frozenset[str]]:
    """Test the classes in order; collect what is possible until one is certain."""
    by_id = {r.id: r for r in rules.routes}
    possible: list[RiskClass] = []
    undecided_by: frozenset[str] = frozenset()
    for step in rules.order:
        grounds = [by_id[r] for r in step.routes if r in by_id]
        verdict = disjunction([known.holds(r.when) for r in grounds if _counts(r, known, as_of)])
        if verdict.truth is not False:
            possible.append(step.risk_class)
        if verdict.truth:
            break
        undecided_by |= verdict.open
        if step.ends_when is not None and known.holds(step.ends_when).truth:
            break
    return tuple(possible), undecided_by


def _by_weight(rules: Rules) -> Iterator[RouteRule]:
    by_id = {r.id: r for r in rules.routes}
    for step in rules.order:
        for route in (*step.routes, *step.beside):
            if route in by_id:
                yield by_id[route]


def _route(
    rule: RouteRule,
    known: Whichever,
    answers: Mapping[str, Answer],
    profile: Profile,
    rules: Rules,
    *,
    is_counted: bool,
) -> Route:
    applies_from, original, _ = dated(rule, known)
    return Route(
        rule=rule.id,
        risk_class=rule.risk_class,
        provision=rule.provision,
        applies_from=applies_from,
        applies_from_original=original,
        contested=rule.contested,
        basis=_basis(rule, known.known, answers, profile, rules),
        counts=is_counted,
    )


def _basis(rule: RouteRule, known: Facts, answers: Mapping[str, Answer], profile: Profile, rules: Rules) -> Basis:
    """Find the weakest thing that a route cannot do without.

    A class that is left over rests on every option that kept a heavier one away; another route only on what would
    make it fall if that were disregarded.
    """
    weak = _weak_options(known, rules)
    own = _WEAKER.get(rule.confidence)
    rests_on = {own} if own is not None else set()
    if rule.residual:
        rests_on |= set(weak.values())
    else:
        for basis in set(weak.values()) - rests_on:
            dropped = frozenset(atom for atom, b in weak.items() if b == basis)
            if not certain(answers, profile, rules, disregard=dropped).holds(rule.when).truth:
                rests_on.add(basis)
    return next((b for b in _BY_WEAKNESS if b in rests_on), "text")


def _weak_options(known: Facts, rules: Rules) -> dict[str, Basis]:
    """Find the options chosen that rest on less than the legal text."""
    weak: dict[str, Basis] = {}
    for question in rules.questions:
        if question.block == "people" or known.gate(question.id).truth is False:
            continue
        for option in question.options:
            if option.confidence in _WEAKER and option.id in known.chosen(question.id):
                weak[f"{question.id}={option.id}"] = _WEAKER[option.confidence]
    return weak


def _path(known: Facts, rules: Rules) -> Iterator[PathStep]:
    for question in rules.questions:
        if known.gate(question.id).truth is False or not known.is_answered(question.id):
            continue
        chosen = known.chosen(question.id)
        for option in question.options:
            if option.id in chosen:
                yield _step(question, option.id, option.provision, option.confidence)
        if not known.is_settled(question.id):
            yield _step(question, UNKNOWN, None, None)


def _step(question: Question, answer: str, provision: str | None, confidence: Confidence | None) -> PathStep:
    return PathStep(
        question=question.id,
        answer=answer,
        provision=provision or question.provision,
        confidence=confidence or question.confidence,
    )


def _in_order(questions: frozenset[str], rules: Rules) -> tuple[str, ...]:
    return tuple(q.id for q in rules.questions if q.id in questions) + tuple(
        sorted(q for q in questions if q.startswith(PROFILE))
    )
