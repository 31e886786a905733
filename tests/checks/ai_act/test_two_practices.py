"""Two practices of one group share a question: each is answered on a line of its own, as if it were asked alone."""

from __future__ import annotations

import datetime as dt
from itertools import chain, combinations, product
from typing import Any

import pytest

from checks.ai_act import rules as law
from checks.ai_act.answers import in_present_words
from checks.ai_act.classify import classify
from checks.ai_act.risk import Risk
from checks.ai_act.rules import RiskClass
from tests.checks.ai_act.answered import case_named, declare

RULES = law.load()
NOW = dt.date(2026, 12, 2)
GROUPS = {
    "behaviour_effect": ("manipulation", "vulnerability"),
    "content_design": ("intimate_imagery", "abuse_material"),
}
FORMER = {
    "behaviour_effect": ("manipulation_effect", "vulnerability_effect"),
    "content_design": ("imagery_design", "abuse_design"),
}


def found(answers: dict[str, Any], as_of: dt.date = NOW) -> Risk:
    case = case_named("AC-12")
    return classify(declare(case, {**case["answers"], **answers}), RULES, as_of=as_of)


def bans(risk: Risk) -> set[str]:
    return {r.rule for r in risk.routes if r.rule.startswith("ban_")}


def possible(risk: Risk) -> set[RiskClass]:
    return set(risk.possible) or {risk.risk_class}


def lines_of(question: str, practice: str) -> tuple[str, ...]:
    """Name the options that are offered to who ticked one practice only."""
    asked = RULES.question(question)
    return tuple(o.id for o in asked.options if o.offered_when in (None, f"practices={practice}"))


def some(options: tuple[str, ...]) -> list[tuple[str, ...]]:
    return list(chain.from_iterable(combinations(options, size) for size in (1, 2)))


@pytest.mark.parametrize("question", GROUPS)
@pytest.mark.parametrize("as_of", [NOW, NOW - dt.timedelta(days=1)])
def test_two_practices_together_give_what_each_gives_alone(question: str, as_of: dt.date) -> None:
    first, second = GROUPS[question]
    alone = {
        (p, given): found({"practices": [p], question: list(given)}, as_of)
        for p in (first, second)
        for given in some(lines_of(question, p))
    }
    for (_, one), (_, other) in product([k for k in alone if k[0] == first], [k for k in alone if k[0] == second]):
        # "I do not know" is one answer to both: it leaves both open, as where each was answered so.
        if ("unknown" in one) != ("unknown" in other):
            continue
        together = found({"practices": [first, second], question: sorted({*one, *other})}, as_of)
        apart = (alone[first, one], alone[second, other])
        assert bans(together) == bans(apart[0]) | bans(apart[1]), (one, other)
        if "prohibited" in {r.risk_class for r in apart}:
            assert together.risk_class == "prohibited", (one, other)
        else:
            assert possible(together) == possible(apart[0]) | possible(apart[1]), (one, other)


@pytest.mark.parametrize("question", GROUPS)
def test_what_is_known_of_one_practice_counts_though_the_other_is_not_known(question: str) -> None:
    for practice, other in (GROUPS[question], GROUPS[question][::-1]):
        banned = next(o for o in lines_of(question, practice) if o not in lines_of(question, other))
        risk = found({"practices": [practice, other], question: [banned, "unknown"]})
        assert risk.risk_class == "prohibited"
        assert bans(risk) == {f"ban_{practice}"}


@pytest.mark.parametrize("question", GROUPS)
def test_answers_to_the_two_questions_of_an_earlier_form_keep_each_its_own_practice(question: str) -> None:
    practices = GROUPS[question]
    for bad, good in (practices, practices[::-1]):
        former = dict(zip(practices, FORMER[question], strict=True))
        worst = {"behaviour_effect": ("harm", "no_harm"), "content_design": ("foreseeable", "safeguards")}[question]
        earlier = {"practices": list(practices), former[bad]: worst[0], former[good]: worst[1]}
        assert bans(found(earlier)) == {f"ban_{bad}"}


@pytest.mark.parametrize("option", ["intended", "foreseeable", "used_for_it"])
def test_one_answer_for_both_from_an_earlier_form_still_says_it_of_both(option: str) -> None:
    both = {"practices": ["intimate_imagery", "abuse_material"], "content_design": option}
    assert bans(found(both)) == {"ban_intimate_imagery", "ban_abuse_material"}
    assert bans(found({**both, "practices": ["abuse_material"]})) == {"ban_abuse_material"}
    assert set(in_present_words({"behaviour_effect": "harm"}, RULES)["behaviour_effect"]) == {
        "harm_hidden",
        "harm_weak",
    }
