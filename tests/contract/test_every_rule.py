"""Hold every rule of the law, present and future, to what a rule must carry."""

from __future__ import annotations

import datetime as dt

import pytest

from checks import resources
from checks.ai_act import rules as law
from checks.ai_act.rules import Cited

EVERY_RULE = [
    pytest.param(rule, id=f"{version.key}-{kind}-{rule.id}")
    for version in law.versions()
    for kind, rule in law.rule_ids(law.load(version.version))
]


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_a_rule_is_dated_cited_and_linked(rule: Cited) -> None:
    assert rule.provision
    assert rule.text_version
    assert rule.verified_on <= dt.date(2030, 1, 1)
    assert rule.source_url.startswith("https://")
    if rule.provision.startswith("AIA"):
        assert rule.source_url.startswith("https://eur-lex.europa.eu/")
        assert rule.applies_from is not None
        assert rule.applies_from_original is not None or rule.changed_by is not None
    if rule.applies_from != rule.applies_from_original and rule.applies_from_original is not None:
        assert rule.changed_by is not None


@pytest.mark.parametrize("name", resources.names(law.FOLDER))
def test_a_rule_file_says_in_its_first_line_what_it_is_for(name: str) -> None:
    from importlib import resources as files

    text = files.files("checks").joinpath("ai_act", "rules", f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")


def test_no_rule_file_has_a_problem() -> None:
    assert law.problems() == []
