"""Hold the words of the law part: every rule has its words in each language, and both languages have the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from checks.ai_act import risk as said
from checks.ai_act import rules as law
from checks.ai_act.answers import AnswerProblem
from checks.ai_act.duties import OPEN, OPEN_DATE

LOCALE = Path(__file__).parents[3] / "model_cards" / "locale"
LANGUAGES = ("en", "nl")
RULES = law.load()
FORBIDDEN = re.compile(r"\b(fair|safe|passed|compliant|eerlijk|veilig bevonden|geslaagd)\b", re.IGNORECASE)


def _read(language: str, name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((LOCALE / language / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


def _keys(content: Any, at: str = "") -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _keys(value, f"{at}.{key}")
    else:
        yield at


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for value in content.values():
            yield from _texts(value)
    elif isinstance(content, list):
        yield from content
    else:
        yield content


@pytest.mark.parametrize("name", ["questions", "law"])
def test_both_languages_have_the_same_words_to_say(name: str) -> None:
    english, dutch = (list(_keys(_read(language, name))) for language in LANGUAGES)
    assert english == dutch


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_question_has_text_explanation_examples_and_a_label_for_each_option(language: str) -> None:
    content = _read(language, "questions")
    words = content["questions"]
    assert list(words) == [q.id for q in RULES.questions]
    assert set(content["blocks"]) == {q.block for q in RULES.questions}
    for question in RULES.questions:
        own = words[question.id]
        assert own["text"].endswith("?")
        assert len(own["explanation"]) > 40
        assert len(own["examples"]) >= 2
        options = {o.id for o in question.options}
        assert set(own.get("options", {})) <= options
        for option in options:
            assert own.get("options", {}).get(option) or content["common"].get(option), (question.id, option)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_has_its_words_and_no_words_are_left_over(language: str) -> None:
    words = _read(language, "law")
    original = law.load("32024R1689.1")
    for kind in ("routes", "overlays", "duties", "roles", "other_law", "notes", "timetable"):
        ids = {r.id for rules in (RULES, original) for r in getattr(rules, kind)}
        assert set(words[kind]) == ids, kind
    assert set(words["classes"]) == set(get_args(law.RiskClass))
    assert set(words["confidence"]) == set(get_args(law.Confidence))
    assert set(words["basis"]) == set(get_args(said.Basis))
    assert set(words["statuses"]) == set(get_args(said.DutyStatus))
    assert set(words["duty_notes"]) == {n.id for d in RULES.duties for n in d.notes} | {
        OPEN,
        OPEN_DATE,
        "legacy_unchanged",
    }
    assert set(words["aspects"]) == {a.id for c in RULES.coverage for a in c.aspects}
    assert set(words["answer_problems"]) == set(get_args(AnswerProblem.model_fields["code"].annotation))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["questions", "law"])
def test_no_text_calls_a_system_what_nobody_may_call_it(language: str, name: str) -> None:
    assert not [t for t in _texts(_read(language, name)) if FORBIDDEN.search(t)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_questions_are_put_in_short_sentences(language: str) -> None:
    for question, words in _read(language, "questions")["questions"].items():
        assert len(words["text"].split()) <= 30, question
        for sentence in re.split(r"(?<=[.;:?]) ", words["explanation"]):
            assert len(sentence.split()) <= 36, (question, sentence)
