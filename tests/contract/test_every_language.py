"""What must be true of the words of every language, present and future."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from checks import policy, resources
from checks.ai_act.rules import load
from checks.documentation._reading import STATES, items_of, parts
from checks.documentation.datasheet import FIELDS
from checks.evidence import Need
from checks.finding import Outcome
from checks.registry import catalogue
from checks.robustness.answered import FAULTS
from model_cards.dossier import Assessment
from model_cards.exports import markdown
from model_cards.words import Words, languages, texts
from sandbox.isolation.interface import Ending, Limits
from tests.make.assessments import measured_by_all_checks

ROOT = Path(__file__).resolve().parents[2]
SLOT = re.compile(r"\{([a-z_0-9]+)\}")
VERDICTS = {
    "en": "fair|safe|compliant|passed|unfair|unsafe",
    "nl": "fair|safe|compliant|passed|eerlijk|oneerlijk|veilig|onveilig|conform|geslaagd",
}
BASE = "en"
OWN_KEYS = {"policies"}
"""Files whose keys are the English texts themselves: English needs none."""

each_language = pytest.mark.parametrize("lang", languages())
others = pytest.mark.parametrize("lang", [lang for lang in languages() if lang != BASE])


def leaves(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from leaves(value, (*path, str(key)))
    elif isinstance(found, list):
        for i, value in enumerate(found):
            yield from leaves(value, (*path, str(i)))
    else:
        yield path, str(found)


def words_of(lang: str) -> dict[tuple[str, ...], str]:
    # Examples may be of another number in another language; what is said with them is compared above them.
    return {p: t for p, t in leaves(texts(lang)) if p[0] not in OWN_KEYS and "examples" not in p}


@others
def test_every_language_has_the_same_keys(lang: str) -> None:
    here, base = set(words_of(lang)), set(words_of(BASE))
    assert {"/".join(p) for p in base - here} == set(), "missing"
    assert {"/".join(p) for p in here - base} == set(), "not in English"


@others
def test_every_text_has_the_same_slots(lang: str) -> None:
    here, base = words_of(lang), words_of(BASE)
    differing = {
        "/".join(p): (SLOT.findall(base[p]), SLOT.findall(here[p]))
        for p in base.keys() & here.keys()
        if set(SLOT.findall(base[p])) != set(SLOT.findall(here[p]))
    }
    assert differing == {}


@each_language
def test_no_text_is_empty_or_a_yes_that_became_a_truth_value(lang: str) -> None:
    assert {"/".join(p) for p, text in words_of(lang).items() if not text.strip()} == set()
    assert {"/".join(p) for p, text in leaves(texts(lang)) if text in ("True", "False")} == set()
    assert {"/".join(p) for p, _ in leaves(texts(lang)) if {"True", "False"} & set(p)} == set()


@each_language
def test_no_text_gives_a_verdict(lang: str) -> None:
    verdict = re.compile(rf"(?<![\w-])({VERDICTS[lang]})(?![\w-])", re.IGNORECASE)
    assert {"/".join(p): t for p, t in leaves(texts(lang)) if verdict.search(t)} == {}


@each_language
def test_every_check_has_a_title_its_measures_and_what_it_says_and_does_not_say(lang: str) -> None:
    words, missing = Words(lang), []
    for check in catalogue():
        wanted = [f"checks.{check.code}.{key}" for key in ("title", "says", "says_not")]
        missing += [key for key in wanted if words.find(key) is None]
        missing += [f"{check.code}.{name}" for name in check.gives if words.measure_name(check.code, name)[0] == "["]
    assert missing == []


def codes_given() -> Iterator[tuple[str, str]]:
    """Yield (family, code) of every reason that the code of checks spells out."""
    for path in sorted((ROOT / "checks").rglob("*.py")):
        family = path.parent.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Reason"):
                continue
            for keyword in node.keywords:
                if keyword.arg != "code":
                    continue
                # A code put together from parts is not spelt out; its cases are held to their words by its own tests.
                pieces = {
                    id(piece)
                    for joined in ast.walk(keyword.value)
                    if isinstance(joined, ast.JoinedStr)
                    for piece in ast.walk(joined)
                }
                for part in ast.walk(keyword.value):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in pieces:
                        yield family, part.value


@each_language
def test_every_reason_that_a_check_can_give_has_words(lang: str) -> None:
    words = Words(lang)
    missing = []
    for family, code in codes_given():
        families = words.many("checks") if family == "checks" else [family]
        own = [
            key
            for name in families
            for key in words.many(f"checks.{name}")
            if words.find(f"checks.{name}.{key}.reasons.{code}")
        ]
        if words.find(f"reasons.{code}") is None and not own:
            missing.append(f"{family}: {code}")
    assert sorted(set(missing)) == []


@each_language
def test_every_need_and_outcome_has_words(lang: str) -> None:
    words = Words(lang)
    needs = [n for n in Need if n not in (Need.GROUPS, Need.MODEL_FAULT)]
    assert [n for n in needs if words.find(f"reasons.no_{n}") is None] == []
    assert [o for o in Outcome if words.outcome(o).startswith("[")] == []


@each_language
def test_every_limit_ending_and_fault_of_a_cell_has_words(lang: str) -> None:
    words = Words(lang)
    assert [f.name for f in fields(Limits) if words.find(f"card.isolation.limit_names.{f.name}") is None] == []
    assert [e for e in Ending if words.find(f"card.isolation.endings.{e}") is None] == []
    assert [f for f in FAULTS if words.find(f"reasons.values.fault.{f}") is None] == []


@each_language
def test_every_attempt_of_the_receipt_has_a_name(lang: str) -> None:
    source = (ROOT / "sandbox" / "isolation" / "prove.py").read_text(encoding="utf-8")
    probes = set(re.findall(r'probe="([a-z_0-9]+)"', source)) | set(re.findall(r'"(network_[a-z0-9]+)"', source))
    probes |= set(re.findall(r'_refusal\(tried, "([a-z_]+)"', source))
    assert len(probes) > 15
    assert sorted(p for p in probes if Words(lang).find(f"card.isolation.probe_names.{p}") is None) == []


@each_language
def test_every_item_of_documentation_has_words(lang: str) -> None:
    words = Words(lang)
    items = [i.id for part in parts() for i in items_of(part)]
    items += [f"datasheet.{name}" for name in FIELDS]
    assert len(items) > 100
    assert [i for i in items if words.item(i, f"documentation.{i.partition('.')[0]}").startswith("[")] == []
    assert [s for s in STATES if words.find(f"documentation.states.{s}") is None] == []


@each_language
def test_the_law_has_its_words(lang: str) -> None:
    words, rules = Words(lang), load()
    missing = [c.risk_class for c in rules.order if words.class_name(c.risk_class).startswith("[")]
    missing += [o.id for o in rules.overlays if words.overlay(o.id).startswith("[")]
    for duty in rules.duties:
        missing += [duty.id for said in (words.duty(duty.id), words.duty_text(duty.id)) if said.startswith("[")]
        missing += [n.id for n in duty.notes if words.duty_note(n.id).startswith("[")]
    missing += [law.id for law in rules.other_law if words.other_law(law.id).startswith("[")]
    for question in rules.questions:
        missing += [question.id] if words.question(question.id).startswith("[") else []
        missing += [
            f"{question.id}={option.id}"
            for option in question.options
            if words.answer(question.id, option.id).startswith("[")
        ]
    assert missing == []


@others
def test_every_text_of_a_policy_is_translated(lang: str) -> None:
    words = Words(lang)
    given = {
        text.strip()
        for name in resources.names("policies")
        for limit in policy.load(name).limits.values()
        for text in (limit.source, limit.why)
    }
    assert sorted(t for t in given if t not in words.many("policies")) == []


@each_language
def test_the_fixed_statement_is_in_the_card_and_on_the_terminal_alike(lang: str) -> None:
    words = Words(lang)
    assert "2024/1689" in words("card.statement.text")
    if lang == "nl":
        assert "testsandbox" in words("card.statement.text")
        # The law's own word for the other thing may stand where the law is told, and nowhere else.
        ours = [(p, t) for p, t in leaves(texts(lang)) if p[0] != "law"]
        assert [p for p, t in ours if "testomgeving voor regelgeving" in t.casefold()] == []


@pytest.fixture(scope="module")
def measured() -> Assessment:
    """An assessment by the whole catalogue."""
    return measured_by_all_checks()


@each_language
def test_what_the_whole_catalogue_finds_is_told_without_a_missing_word(measured: Assessment, lang: str) -> None:
    said = markdown.render(measured, lang).decode().replace("\\", "")
    assert sorted(set(re.findall(r"\[[a-z_]+\.[a-z_0-9.]+\]", said))) == []
    assert sorted(set(re.findall(r"(?<!\$)\{[a-z_]+\}", said))) == []


@each_language
def test_every_finding_can_be_told_in_a_sentence(measured: Assessment, lang: str) -> None:
    words = Words(lang)
    for finding in measured.dossier.findings:
        said = words.finding_sentence(finding)
        assert said.startswith(words.title(finding.check))
        assert said.rstrip().endswith((".", "?"))
