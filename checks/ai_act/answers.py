"""Read the answers of a declaration as facts that rules can be evaluated against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from checks import resources
from checks.ai_act.logic import UNKNOWN, Facts
from checks.ai_act.rules import FOLDER, Rules
from checks.declaration import Answer, Declaration, Role, Size

UNION: frozenset[str] = frozenset(resources.read(f"{FOLDER}/versions.yaml")["union"])
"""Countries in which an organisation is established in the Union."""
UNSURE: frozenset[str] = frozenset(resources.read(f"{FOLDER}/versions.yaml")["not_decided"])
"""Countries of which it is not decided here whether they count as the Union."""


class Profile(BaseModel):
    """What the submission says of the organisation, beside the questionnaire."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: tuple[Role, ...] = (Role.PROVIDER,)
    public_body: bool = False
    size: Size | None = None
    country: str | None = None

    @classmethod
    def of(cls, declaration: Declaration) -> Profile:
        """Take the profile from a declaration."""
        system = declaration.system
        return cls(
            roles=system.roles,
            public_body=system.public_body,
            size=system.provider.size,
            country=system.provider.country,
        )

    def facts(self) -> dict[str, frozenset[str]]:
        """Give the values that hold, per key; what was not stated is left out."""
        known = {
            "role": frozenset(r.value for r in self.roles),
            "public_body": frozenset({"yes" if self.public_body else "no"}),
        }
        if self.size is not None:
            known["size"] = frozenset({self.size.value})
        if self.country is not None and self.country not in UNSURE:
            known["union"] = frozenset({"yes" if self.country in UNION else "no"})
        return known


class AnswerProblem(BaseModel):
    """What is wrong with one answer.

    `code`: `no_such_question`, `no_such_option`, `several_options` (a question that takes one), `none_and_more`
    (`none` beside another option).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    answer: str
    code: Literal["no_such_question", "no_such_option", "several_options", "none_and_more"]
    allowed: tuple[str, ...] = ()


def options_given(answer: Answer) -> frozenset[str]:
    """Read one answer as a set of option ids."""
    return frozenset({answer} if isinstance(answer, str) else answer) - {""}


def read_answers(answers: Mapping[str, Answer], rules: Rules) -> dict[str, frozenset[str]]:
    """Read answers so that what cannot be understood counts as not known, never as `no`.

    Args:
        answers: per question id an option id, or several. Unknown question ids are left out.
    """
    read = {}
    for question in rules.questions:
        given = options_given(answers.get(question.id, ()))
        if question.kind == "single" and len(given) > 1:
            given = frozenset({UNKNOWN})
        elif "none" in given and len(given) > 1:
            given = (given - {"none"}) | {UNKNOWN}
        if given:
            read[question.id] = given
    return read


def check_answers(answers: Mapping[str, Answer], rules: Rules) -> tuple[AnswerProblem, ...]:
    """Name every answer that the questionnaire does not allow; empty when all are in order."""
    found = []
    questions = {q.id: q for q in rules.questions}
    for question_id, answer in answers.items():
        given = options_given(answer)
        question = questions.get(question_id)
        if question is None:
            found.append(AnswerProblem(question=question_id, answer=_shown(given), code="no_such_question"))
            continue
        allowed = tuple(o.id for o in question.options)
        found += [
            AnswerProblem(question=question_id, answer=option, code="no_such_option", allowed=allowed)
            for option in sorted(given - set(allowed))
        ]
        if question.kind == "single" and len(given) > 1:
            found.append(AnswerProblem(question=question_id, answer=_shown(given), code="several_options"))
        elif question.kind == "multi" and "none" in given and len(given) > 1:
            found.append(AnswerProblem(question=question_id, answer=_shown(given), code="none_and_more"))
    return tuple(found)


def facts(
    answers: Mapping[str, Answer], profile: Profile, rules: Rules, *, disregard: frozenset[str] = frozenset()
) -> Facts:
    """Put answers, profile and rules together for evaluation."""
    return Facts(rules.asked, rules.named, read_answers(answers, rules), profile.facts(), disregard)


def _shown(given: Iterable[str]) -> str:
    return ", ".join(sorted(given))
