"""Hold the three-valued logic that the classification rests on to its truth tables."""

from __future__ import annotations

from itertools import product

import pytest

from checks.ai_act.logic import FALSE, TRUE, Asked, Combination, Condition, Facts, Verdict, conjunction, disjunction

OPEN = Verdict(None, frozenset({"q"}))
QUESTIONS = {
    "q": Asked(asked_when=None, options=frozenset({"a", "b", "unknown"})),
    "next": Asked(asked_when="q=a", options=frozenset({"x", "y", "unknown"})),
    "many": Asked(asked_when=None, options=frozenset({"a", "b", "none", "unknown"}), is_multi=True),
    "under_many": Asked(asked_when="many=a", options=frozenset({"x", "unknown"})),
}


def _holds(condition: Condition, **answers: str) -> Verdict:
    given = {q: frozenset(a.split("+")) for q, a in answers.items()}
    return Facts(QUESTIONS, {"notion": "q=a"}, given, {"role": frozenset({"provider"})}).holds(condition)


@pytest.mark.parametrize(("left", "right"), list(product([TRUE, FALSE, OPEN], repeat=2)))
def test_one_false_decides_and_and_one_true_decides_or(left: Verdict, right: Verdict) -> None:
    both = {left.truth, right.truth}
    assert conjunction([left, right]).truth is (False if False in both else None if None in both else True)
    assert disjunction([left, right]).truth is (True if True in both else None if None in both else False)


def test_what_is_open_names_its_question_and_what_is_decided_names_none() -> None:
    assert conjunction([TRUE, OPEN]).open == {"q"}
    assert conjunction([FALSE, OPEN]).open == frozenset()
    assert disjunction([TRUE, OPEN]).open == frozenset()


def test_an_answer_holds_only_if_its_question_is_asked() -> None:
    assert _holds("next=x", q="a", next="x").truth is True
    assert _holds("next=x", q="b", next="x").truth is False
    assert _holds("next=x", next="x") == Verdict(None, frozenset({"q"}))
    assert _holds("next=x", q="a") == Verdict(None, frozenset({"next"}))
    assert _holds("next=x", q="unknown") == Verdict(None, frozenset({"q", "next"}))
    assert _holds("under_many=x", many="unknown") == Verdict(None, frozenset({"many"}))


def test_chosen_options_hold_beside_unknown_and_the_others_stay_open() -> None:
    assert _holds("many=a", many="a+unknown").truth is True
    assert _holds("many=b", many="a+unknown").truth is None
    assert _holds("many=b", many="a").truth is False


def test_definitions_profiles_and_what_does_not_exist() -> None:
    assert _holds("@notion", q="a").truth is True
    assert _holds("@no_such_notion").truth is False
    assert _holds("profile.role=provider").truth is True
    assert _holds("profile.role=deployer").truth is False
    assert _holds("profile.size=small") == Verdict(None, frozenset({"profile.size"}))
    assert _holds(Combination(none=("q=a",)), q="b").truth is True
    assert _holds(Combination(none=())).truth is True
    assert _holds(Combination(any=())).truth is False
