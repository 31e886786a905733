"""What must be true of every set of limits, present and future."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import checks
from checks import resources
from checks.policy import Policy, Terms, load
from checks.registry import catalogue

every_policy = pytest.mark.parametrize(
    "policy", [load(name) for name in resources.names("policies")], ids=lambda p: p.name
)


@every_policy
def test_every_limit_is_on_a_measure_that_some_check_gives(policy: Policy) -> None:
    given = {f"{check.code}.{name}" for check in catalogue() for name in check.gives}
    assert set(policy.limits) <= given


@every_policy
def test_every_limit_has_a_bound_a_source_and_a_reason(policy: Policy) -> None:
    for code, limit in policy.limits.items():
        assert limit.at_least is not None or limit.at_most is not None, code
        if limit.at_least is not None and limit.at_most is not None:
            assert limit.at_least <= limit.at_most, code
        assert len(limit.source.split()) >= 2, code
        assert len(limit.why.split()) >= 6, code


@every_policy
def test_a_policy_never_says_that_a_limit_is_law(policy: Policy) -> None:
    assert "not law" in policy.about
    for code, limit in policy.limits.items():
        assert "requires" not in f"{limit.source} {limit.why}", code
        for provision in ("2024/1689", "Art ", "Article "):
            assert provision not in limit.source, code


@every_policy
def test_a_policy_says_how_comparisons_are_adjusted_and_from_which_rows_something_is_said(policy: Policy) -> None:
    assert policy.terms.families == "per_attribute"
    assert 0.5 < policy.terms.confidence < 1
    assert policy.terms.minimum_rows >= policy.terms.suppress_below


@every_policy
def test_every_number_of_the_terms_has_a_source_and_a_reason(policy: Policy) -> None:
    assert set(policy.grounds) == set(Terms.model_fields)
    for name, grounds in policy.grounds.items():
        assert len(grounds.source.split()) >= 2, name
        assert len(grounds.why.split()) >= 6, name


def test_both_ratios_of_the_selection_rate_are_judged() -> None:
    limits = load("default").limits
    assert limits["fairness.selection_rate.ratio"].at_least == 0.8
    assert limits["fairness.selection_rate.adverse_ratio"].at_least == 0.8


def test_an_unknown_policy_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(FileNotFoundError, match="default"):
        load("nothing")


@every_policy
def test_what_a_policy_says_is_said_in_dutch_too(policy: Policy) -> None:
    words = Path(checks.__file__).parents[1] / "model_cards" / "locale" / "nl" / "policies.yaml"
    told = yaml.safe_load(words.read_text(encoding="utf-8"))
    told_of = (*policy.limits.values(), *policy.grounds.values())
    said = {text for given in told_of for text in (given.source, given.why)}
    assert said <= set(told)
