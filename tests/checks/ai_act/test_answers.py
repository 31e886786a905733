"""Hold the reading of answers: what the questionnaire does not allow is named, and never taken for a no."""

from __future__ import annotations

from checks.ai_act import rules as law
from checks.ai_act.answers import check_answers

RULES = law.load()


def test_every_problem_with_answers_is_named_with_what_would_be_right() -> None:
    found = check_answers(
        {
            "areas": ("none", "credit"),
            "how_it_works": ("learned", "rules_only"),
            "gpai": "perhaps",
            "colour": "red",
            "interacts": "no",
        },
        RULES,
    )
    assert {(p.question, p.code) for p in found} == {
        ("areas", "none_and_more"),
        ("how_it_works", "several_options"),
        ("gpai", "no_such_option"),
        ("colour", "no_such_question"),
    }
    assert next(p for p in found if p.question == "gpai").allowed == ("no", "yes", "unknown")


def test_answers_in_order_have_no_problems() -> None:
    assert check_answers({"areas": ("credit", "unknown"), "gpai": "unknown", "practices": "none"}, RULES) == ()
