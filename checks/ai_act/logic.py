"""Evaluate conditions over answers that may be missing, in three-valued logic: true, false, or not known.

A condition is written in the rule files as a string or as one of `all`, `any`, `none` with a list of conditions:

- `question=option`: that option was chosen. A question that is not asked (its own condition is false) has none, and an
  option that is not offered is not chosen.
- `profile.role=provider`, `profile.public_body=yes`, `profile.size=small`, `profile.union=yes`: what the submission
  says of the organisation.
- `@name`: a definition of `definitions.yaml`.

Taking an answer away can only turn true or false into not known, never one into the other. What rests on this
(`classify`) may therefore say of an incomplete questionnaire which classes are still possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, model_validator

UNKNOWN = "unknown"
PROFILE = "profile."


class Combination(BaseModel):
    """Conditions taken together: exactly one of the three lists is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    all: tuple[Condition, ...] | None = None
    any: tuple[Condition, ...] | None = None
    none: tuple[Condition, ...] | None = None

    @model_validator(mode="after")
    def _one_list(self) -> Combination:
        if sum(part is not None for part in (self.all, self.any, self.none)) != 1:
            raise ValueError("give exactly one of all, any and none")
        return self


Condition = str | Combination
Combination.model_rebuild()


class Verdict(NamedTuple):
    """Whether a condition holds, and if that is not known, which questions keep it open."""

    truth: bool | None
    open: frozenset[str]


TRUE = Verdict(True, frozenset())
FALSE = Verdict(False, frozenset())


def negate(verdict: Verdict) -> Verdict:
    """Turn true into false and the reverse; what is not known stays so."""
    return verdict if verdict.truth is None else (FALSE if verdict.truth else TRUE)


def conjunction(verdicts: Sequence[Verdict]) -> Verdict:
    """Combine by `and`: one false decides, whatever is not known."""
    if any(v.truth is False for v in verdicts):
        return FALSE
    still_open = [v.open for v in verdicts if v.truth is None]
    return Verdict(None, frozenset().union(*still_open)) if still_open else TRUE


def disjunction(verdicts: Sequence[Verdict]) -> Verdict:
    """Combine by `or`: one true decides, whatever is not known."""
    return negate(conjunction([negate(v) for v in verdicts]))


def atoms(condition: Condition) -> tuple[str, ...]:
    """List the strings in a condition, in order, with repeats."""
    if isinstance(condition, str):
        return (condition,)
    parts = condition.all or condition.any or condition.none or ()
    return tuple(atom for part in parts for atom in atoms(part))


class Known(Protocol):
    """Tells of a condition whether it holds."""

    def holds(self, condition: Condition | None) -> Verdict:
        """Evaluate a condition; none at all holds always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What evaluation must know of one question.

    `offered`: the options that are offered only where a condition holds.
    """

    asked_when: Condition | None
    options: frozenset[str]
    offered: Mapping[str, Condition] = field(default_factory=dict)
    is_multi: bool = False


class Facts:
    """Answers and profile against one set of rules; every definition and gate is evaluated once.

    Args:
        questions: per question id, when it is asked and its option ids.
        definitions: per name, its condition.
        answers: per question id, the chosen option ids. A question that is absent, empty, or holds `unknown` or an
            option that does not exist, is (in that part) not known.
        profile: per key without `profile.`, the values that hold; a key that is absent is not known.
        disregard: `question=option` atoms to be taken as false even where chosen: for finding out what a result
            rests on.
    """

    def __init__(
        self,
        questions: Mapping[str, Asked],
        definitions: Mapping[str, Condition],
        answers: Mapping[str, frozenset[str]],
        profile: Mapping[str, frozenset[str]],
        disregard: frozenset[str] = frozenset(),
    ) -> None:
        self._questions = questions
        self._definitions = definitions
        self._answers = answers
        self._profile = profile
        self._disregard = disregard
        self._known: dict[str, Verdict] = {}

    def holds(self, condition: Condition | None) -> Verdict:
        """Evaluate a condition; none at all holds always."""
        if condition is None:
            return TRUE
        if isinstance(condition, str):
            return self._once(condition, self._atom)
        if condition.all is not None:
            return conjunction([self.holds(c) for c in condition.all])
        if condition.any is not None:
            return disjunction([self.holds(c) for c in condition.any])
        return negate(disjunction([self.holds(c) for c in condition.none or ()]))

    def gate(self, question: str) -> Verdict:
        """Tell whether a question is asked."""
        return self._once(f"?{question}", lambda _: self.holds(self._questions[question].asked_when))

    def offers(self, question: str, option: str) -> Verdict:
        """Tell whether an option is offered where its question is asked."""
        return self.holds(self._questions[question].offered.get(option))

    def chosen(self, question: str) -> frozenset[str]:
        """List the options given on a question, without `unknown`, what does not exist and what is not offered."""
        given = (self._answers.get(question, frozenset()) & self._questions[question].options) - {UNKNOWN}
        return frozenset(o for o in given if self.offers(question, o).truth is not False)

    def is_settled(self, question: str) -> bool:
        """Tell whether the answer leaves nothing open: one option at least that is certain to be offered."""
        given = self._answers.get(question, frozenset())
        if UNKNOWN in given or not given <= self._questions[question].options:
            return False
        return any(self.offers(question, o).truth for o in given)

    def is_answered(self, question: str) -> bool:
        """Tell whether anything was answered, `unknown` and what does not exist included."""
        given = self._answers.get(question, frozenset())
        return bool(self.chosen(question) or given - (self._questions[question].options - {UNKNOWN}))

    def _once(self, key: str, evaluate: Callable[[str], Verdict]) -> Verdict:
        if key not in self._known:
            self._known[key] = evaluate(key)
        return self._known[key]

    def _atom(self, atom: str) -> Verdict:
        if atom.startswith("@"):
            definition = self._definitions.get(atom[1:])
            return FALSE if definition is None else self.holds(definition)
        subject, _, value = atom.partition("=")
        if subject.startswith(PROFILE):
            values = self._profile.get(subject.removeprefix(PROFILE))
            if values is None:
                return Verdict(None, frozenset({subject}))
            return TRUE if value in values else FALSE
        if subject not in self._questions or value not in self._questions[subject].options:
            return FALSE
        if atom in self._disregard:
            return FALSE
        gate = conjunction([self.gate(subject), self.offers(subject, value)])
        if gate.truth is False:
            return FALSE
        if value in self.chosen(subject):
            return gate
        if self.is_settled(subject):
            return FALSE
        if gate.truth or all(self.is_left_open(q) for q in gate.open):
            return Verdict(None, gate.open | {subject})
        return Verdict(None, gate.open)

    def is_left_open(self, question: str) -> bool:
        """Tell whether asking on makes sense though this question is open.

        It does where one answer of a few was not known. Where somebody does not know which of many areas a system is
        in, asking all about each of them does not help: that question itself is for a person to settle.
        """
        if question.startswith(PROFILE):
            return True
        return self.is_answered(question) and not self._questions[question].is_multi


@dataclass(frozen=True, slots=True, kw_only=True)
class Whichever:
    """What holds whichever way an open question goes: that it profiles or not, the system may be high-risk either way.

    `known`: as answered. `ways`: the same with each answer that the open questions could have.
    """

    known: Facts
    ways: tuple[Facts, ...]

    def holds(self, condition: Condition | None) -> Verdict:
        """Evaluate a condition as answered; where that leaves it open, it holds if it holds on every way."""
        verdict = self.known.holds(condition)
        if verdict.truth is not None or len(self.ways) < 2:
            return verdict
        found = {way.holds(condition).truth for way in self.ways}
        return TRUE if found == {True} else FALSE if found == {False} else verdict
