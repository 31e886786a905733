"""How many questions a person answers: the longest way over all answers there are, and what most people need."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from checks.ai_act import rules as law
from checks.ai_act.answers import Profile, facts, in_present_words
from checks.ai_act.classify import next_questions
from checks.declaration import Role
from sandbox.starting import SECTORS
from tests.checks.ai_act.answered import TODAY, declare, read_cases
from tests.checks.ai_act.test_cases import AGREED

RULES = law.load()
VERSIONS = tuple(law.load(v.version) for v in law.versions())
EVERY_ROLE = Profile(roles=tuple(Role), public_body=True, country="NL")
LONGEST = 40
NONE_OR_UNKNOWN = ("none", "unknown")


def asked_of(answers: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    """Answer one question after another with what is offered, and give the answers to those that were put."""
    given: dict[str, Any] = {}
    while questions := next_questions(given, profile, RULES, as_of=TODAY):
        question, known = questions[0], facts(given, profile, RULES)
        wanted = answers.get(question, "unknown")
        offered = [o for o in ([wanted] if isinstance(wanted, str) else wanted) if known.offers(question, o).truth]
        given[question] = (offered[0] if isinstance(wanted, str) else offered) if offered else "unknown"
    return given


def put(answers: Mapping[str, Any], rules: law.Rules) -> set[str]:
    """Tell which questions are put on the way of these answers, at once instead of one by one."""
    known = facts(answers, EVERY_ROLE, rules)
    gates = {q.id: known.gate(q.id) for q in rules.questions}
    return {q for q, g in gates.items() if g.truth or (g.truth is None and all(map(known.is_left_open, g.open)))}


def any_answer(question: law.Question, chance: random.Random) -> Any:
    """Draw an answer, much ticked as often as little."""
    options = [o.id for o in question.options]
    if question.kind == "single":
        return chance.choice(options)
    several = [o for o in options if o not in NONE_OR_UNKNOWN]
    ways = (
        ["none"],
        ["unknown"],
        several,
        [*several, "unknown"],
        chance.sample(several, chance.randint(1, len(several))),
    )
    return chance.choice(ways)


def climb(rules: law.Rules, seed: int, steps: int) -> int:
    """Change answers at random and keep what makes the way longer, like one who wants to be asked much."""
    chance = random.Random(seed)
    answers = {q.id: any_answer(q, chance) for q in rules.questions}
    longest = len(put(answers, rules))
    for _ in range(steps):
        changed = dict(answers)
        for question in chance.sample(rules.questions, chance.randint(1, 3)):
            changed[question.id] = any_answer(question, chance)
        if (length := len(put(changed, rules))) >= longest:
            answers, longest = changed, length
    return longest


@pytest.mark.parametrize("rules", VERSIONS, ids=[r.version for r in VERSIONS])
def test_no_way_through_the_questionnaire_has_more_than_forty_questions(rules: law.Rules) -> None:
    # No question is put twice, so all of them together bound every way; the climber shows it is about tight.
    assert len(rules.questions) <= LONGEST
    assert LONGEST - 6 <= max(climb(rules, seed, 400) for seed in range(2)) <= LONGEST


def test_counting_at_once_is_the_same_as_asking_one_by_one() -> None:
    chance = random.Random(7)
    for _ in range(12):
        answers = {q.id: any_answer(q, chance) for q in RULES.questions}
        given = asked_of(answers, EVERY_ROLE)
        assert set(given) == put(given, RULES)


def test_the_worked_cases_take_nineteen_questions_at_most_and_most_fewer_than_fifteen() -> None:
    lengths = [len(asked_of(case["answers"], Profile.of(declare(case)))) for case in read_cases()[1]]
    assert max(lengths) <= 19
    assert statistics.median(lengths) < 15
    assert sum(n < 15 for n in lengths) > len(lengths) * 0.6


@pytest.mark.real_data
def test_most_of_the_agreed_cases_take_fewer_than_fifteen_questions() -> None:
    if not AGREED.exists():
        pytest.skip("the agreed sample of cases is not beside the checkout")
    agreed = {case["id"] for case in yaml.safe_load(AGREED.read_text(encoding="utf-8"))}
    lengths = [
        len(asked_of(case["answers"], Profile.of(declare(case)))) for case in read_cases()[1] if case["id"] in agreed
    ]
    assert len(lengths) == len(agreed)
    assert sum(n < 15 for n in lengths) > len(lengths) / 2


def lengths_of_sectors() -> dict[str, int]:
    found = {}
    for name, words in SECTORS.items():
        profile = Profile(roles=words.roles, public_body=words.public_body, size=words.size, country=words.country)
        found[name] = len(asked_of(words.answers, profile))
    return found


def test_a_usual_system_of_each_sector_takes_fewer_than_fifteen_questions() -> None:
    lengths = lengths_of_sectors()
    assert max(lengths.values()) < 15, lengths


def test_answers_to_an_earlier_form_keep_their_meaning() -> None:
    earlier = {
        "areas": ["credit", "insurance"],
        "credit_use": ["persons"],
        "insurance_use": ["none"],
        "large_scale_system": "no",
    }
    assert in_present_words(earlier, RULES) == {"areas": ["credit", "insurance"], "services_use": ("credit_persons",)}
    assert in_present_words(
        {"gpai": "yes", "gpai_systemic": "no", "gpai_open": "no", "gpai_placed": "later"}, RULES
    ) == {
        "gpai": "yes",
        "gpai_kind": ("none",),
    }
    assert in_present_words({"areas": ["justice"], "justice_use": ["none"]}, RULES)["democracy_use"] == ("none",)


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        ({"identification_exception": "victims", "identification_conditions": "all_met"}, "victims"),
        ({"identification_exception": "victims", "identification_conditions": "not_all_met"}, "not_all_met"),
        ({"identification_exception": "victims"}, "unknown"),
        ({"identification_exception": "none"}, "none"),
    ],
)
def test_an_exception_of_an_earlier_form_still_needs_its_conditions(earlier: dict[str, str], now: str) -> None:
    assert in_present_words(earlier, RULES)["identification_ground"] == now


def test_what_an_earlier_form_left_out_stays_open_and_is_not_no() -> None:
    earlier = {"areas": ["credit", "benefits"], "credit_use": ["companies_only"]}
    assert "unknown" in in_present_words(earlier, RULES)["services_use"]
    earlier = {"practices": ["manipulation", "vulnerability"], "manipulation_effect": "no_harm"}
    assert in_present_words(earlier, RULES)["behaviour_effect"] == ("no_harm", "unknown")


def test_an_option_that_is_not_offered_means_nothing() -> None:
    for answers in ({"areas": ["credit"], "services_use": ["entitlement"]}, {"areas": ["credit"]}):
        known = facts({"exclusion": "none", "how_it_works": "learned", **answers}, EVERY_ROLE, RULES)
        assert known.holds("services_use=entitlement").truth is False
        assert known.holds("services_use=credit_persons").truth is None
        assert not known.is_settled("services_use")
