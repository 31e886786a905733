"""How many questions a person answers: the numbers that are promised, and an upper bound where much is ticked."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest

from checks.ai_act import rules as law
from checks.ai_act.answers import Profile, facts
from checks.ai_act.classify import next_questions
from checks.declaration import Role
from sandbox.starting import SECTORS
from tests.checks.ai_act.answered import TODAY, declare, read_cases

RULES = law.load()
EVERY_ROLE = Profile(roles=(Role.PROVIDER, Role.DEPLOYER), public_body=True)
LONGEST = 40


def asked_of(answers: Mapping[str, Any], profile: Profile) -> list[str]:
    """Answer one question after another, and list those that were put."""
    given: dict[str, Any] = {}
    while questions := next_questions(given, profile, RULES, as_of=TODAY):
        given[questions[0]] = answers.get(questions[0], "unknown")
    return list(given)


def options(question: str) -> list[str]:
    return [o.id for o in RULES.question(question).options if o.id not in ("none", "unknown")]


def could_be_asked(practices: tuple[str, ...], areas: tuple[str, ...]) -> int:
    """Count the questions that no other answer can keep away: more than any single person is asked."""
    base = {"exclusion": "none", "how_it_works": "learned", "practices": practices, "areas": areas}
    known = facts(base, EVERY_ROLE, RULES)
    return sum(known.gate(q.id).truth is not False for q in RULES.questions)


def test_the_worked_cases_take_nineteen_questions_at_most_and_fourteen_in_the_middle() -> None:
    lengths = [len(asked_of(case["answers"], Profile.of(declare(case)))) for case in read_cases()[1]]
    assert max(lengths) <= 19
    assert statistics.median(lengths) <= 14
    assert sum(n < 15 for n in lengths) > len(lengths) / 2


@pytest.mark.parametrize("sector", SECTORS)
def test_a_usual_system_of_a_sector_takes_at_most_sixteen_questions(sector: str) -> None:
    words = SECTORS[sector]
    profile = Profile(roles=words.roles, public_body=words.public_body, size=words.size, country=words.country)
    assert len(asked_of(words.answers, profile)) <= 16


def test_three_practices_and_three_areas_at_once_stay_below_forty() -> None:
    areas = tuple(options("areas")[:3])
    worst = max(combinations(options("practices"), 3), key=lambda three: could_be_asked(three, areas))
    lengths = [could_be_asked(worst, three) for three in combinations(options("areas"), 3)]
    assert max(lengths) <= LONGEST


def test_only_who_ticks_more_than_anyone_would_is_asked_more() -> None:
    everything = could_be_asked(tuple(options("practices")), tuple(options("areas")))
    assert LONGEST < everything <= len(RULES.questions)
