"""Read the answers of a declaration as facts that rules can be evaluated against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Literal

from pydantic import BaseModel, ConfigDict

from checks import resources
from checks.ai_act.logic import UNKNOWN, Facts, Whichever
from checks.ai_act.rules import FOLDER, Rules, former_questions
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


def in_present_words(answers: Mapping[str, Answer], rules: Rules) -> dict[str, Answer]:
    """Put answers to the questions of an earlier form into those that ask the same now; others stay as they are.

    Args:
        answers: per question id an option id, or several.
        rules: the law of one version.
    """
    kept: dict[str, Answer] = dict(answers)
    moved: dict[str, set[str]] = {}
    speaks_of = {f.now for f in former_questions() if f.question in answers}
    for former in (f for f in former_questions() if f.now in speaks_of):
        kept.pop(former.question, None)
        given = options_given(answers.get(former.question, ()))
        if not given and any(_gave(answers, atom) for atom in former.asked_when):
            given = frozenset({UNKNOWN})
        called = [former.options.get(option, option) for option in given]
        moved.setdefault(former.now, set()).update(option for option in called if option is not None)
    for now, options in moved.items():
        if now not in answers and options and now in rules.asked:
            kept[now] = _together(options, rules, now)
    for question in rules.questions:
        given_now = options_given(kept.get(question.id, ()))
        if any(o.formerly in given_now for o in question.options):
            kept[question.id] = tuple(o.id for o in question.options if {o.id, o.formerly} & given_now)
    return kept


def _together(options: set[str], rules: Rules, now: str) -> Answer:
    """Make one answer of several: of a question that takes one, the first option given, if none is in doubt."""
    question = rules.question(now)
    order = {o.id: i for i, o in enumerate(question.options)}
    given = sorted(options, key=lambda o: (order.get(o, len(order)), o))
    if question.kind == "multi":
        return tuple(o for o in given if o != "none") or ("none",)
    return UNKNOWN if UNKNOWN in options and order.get(given[0]) != 0 else given[0]


def _gave(answers: Mapping[str, Answer], atom: str) -> bool:
    question, _, option = atom.partition("=")
    return option in options_given(answers.get(question, ()))


def read_answers(answers: Mapping[str, Answer], rules: Rules) -> dict[str, frozenset[str]]:
    """Read answers so that what cannot be understood counts as not known, never as `no`.

    Args:
        answers: per question id an option id, or several. Unknown question ids are left out.
    """
    read = {}
    answers = in_present_words(answers, rules)
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
    for question_id, answer in in_present_words(answers, rules).items():
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


def ways(
    answers: Mapping[str, Answer], profile: Profile, rules: Rules, *, disregard: frozenset[str] = frozenset()
) -> tuple[tuple[Mapping[str, str], Facts], ...]:
    """Follow each way that the open questions to fork at can go: what is assumed on it, and the facts with that.

    The questions to fork at are fixed by the rules, so an answer less can only add ways. One way, with nothing
    assumed, where none of them is open.
    """
    known = facts(answers, profile, rules, disregard=disregard)
    open_now = (q for q in rules.questions if q.fork and known.gate(q.id).truth is not False)
    # What is known of an answer of several already leaves one way only.
    forks = [q for q in open_now if not known.is_settled(q.id) and not known.chosen(q.id)]
    if not forks:
        return (({}, known),)
    found = []
    for way in product(*(q.fork for q in forks)):
        assumed = {q.id: option for q, option in zip(forks, way, strict=True)}
        found.append((assumed, facts({**answers, **assumed}, profile, rules, disregard=disregard)))
    return tuple(found)


def certain(
    answers: Mapping[str, Answer], profile: Profile, rules: Rules, *, disregard: frozenset[str] = frozenset()
) -> Whichever:
    """Put answers, profile and rules together for telling what is certain, whichever way open questions go."""
    return Whichever(
        known=facts(answers, profile, rules, disregard=disregard),
        ways=tuple(on_it for _, on_it in ways(answers, profile, rules, disregard=disregard)),
    )


def _shown(given: Iterable[str]) -> str:
    return ", ".join(sorted(given))
