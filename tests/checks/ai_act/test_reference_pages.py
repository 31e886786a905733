"""Hold the pages made from the rules to the rules, and the rules to every provision they must speak of."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from checks.ai_act import rules as law
from tests.checks.ai_act.reference_pages import PAGE, SCHEMA, law_page, provisions, schema_text

AGREED = Path(__file__).parents[4] / "shared" / "law.md"
HOW = "run `python -m tests.checks.ai_act.reference_pages`"

SCOPE = "2(1) 2(2) 2(3) 2(4) 2(5) 2(6) 2(7) 2(8) 2(9) 2(10) 2(11) 2(12) 2(13) 3(1) 3(14) 3(39) 3(40) 3(45) 3(63)"
PRACTICES = "5(1)(a) 5(1)(b) 5(1)(ba) 5(1)(bb) 5(1)(c)(i) 5(1)(c)(ii) 5(1)(d) 5(1)(e) 5(1)(f) 5(1)(g) 5(1)(h)(i) 5(1)(h)(ii) 5(1)(h)(iii) 5(1a)(a)(i) 5(1a)(a)(ii) 5(1a)(b) 5(1b) 5(2)-(7)"  # noqa: E501 - one line per part
HIGH_RISK = "6(1) 6(1a) 6(1b) 6(1c) 6(2) 6(3)(a) 6(3)(b) 6(3)(c) 6(3)(d) 6(4) 6(5) 80 43(1) 43(2) 43(3) 40 42(3)"
TRANSPARENCY = "50(1) 50(2) 50(3) 50(4) 50(5) 50(6) 50(7)"
MODELS = "51 52(1) 53(1)(a) 53(1)(b) 53(1)(c) 53(1)(d) 53(2) 54 55(1) 56 88 101"
ROLES = "3(3) 3(4) 3(5) 3(6) 3(7) 25(1)(a) 25(1)(b) 25(1)(c) 25(2) 25(3) 25(4) 22 23 24"
DEPLOYER = "26(1) 26(2) 26(4) 26(5) 26(6) 26(7) 26(8) 26(9) 26(10) 26(11) 26(12) 27 49(1) 49(2) 49(3) 49(4) 49(5) 85 86"
PROVIDER = "4 4a 9 10 11 12 13 14 15 16(b) 16(l) 17 18 19 20 21 47 48 63 72 72(3) 73 95"
SANDBOXES = "57-58 59 60 60a 111(1) 111(2) 111(3) 111(4) 113(a) 113(b) 113(c)(i) 113(c)(ii) 102-110"
PENALTIES = "99(3) 99(4) 99(5) 99(6) 99(6a) 99(8)"
ANNEXES = [
    *(f"Annex I A {n}" for n in range(2, 13)),
    *(f"Annex I B {n}" for n in range(13, 22)),
    *(f"Annex {n}" for n in ("IV", "V", "VI", "VII", "VIII A", "VIII B", "VIII C", "IX", "X", "XI", "XII", "XIII")),
]
PARTS = (SCOPE, PRACTICES, HIGH_RISK, TRANSPARENCY, MODELS, ROLES, DEPLOYER, PROVIDER, SANDBOXES, PENALTIES)
EXPECTED = [p for part in PARTS for p in part.split()] + ANNEXES


@pytest.mark.parametrize("provision", EXPECTED)
def test_every_provision_has_a_rule_that_speaks_of_it(provision: str) -> None:
    spoken_of = set()
    for spoken in provisions(law.load()):
        spoken_of |= {part.strip().removeprefix("AIA ") for part in spoken.split(",")}
    assert any(p == provision or p.startswith((f"{provision}(", f"{provision}-")) for p in spoken_of)


def stated_provisions(text: str) -> set[str]:
    """Read the provisions that parts A and B of the agreed facts give a row or a bold number of their own."""
    part_a = text[text.index("# A. Classification logic") : text.index("# B. Obligations")]
    part_b = text[text.index("# B. Obligations") : text.index("# C. Documentation")]
    sections = dict(re.findall(r"(?ms)^## (A\d+)\.? (.*?)(?=^## |\Z)", part_a))
    found = {m[1] for m in re.finditer(r"^\| (2\(\d+\)) ", sections["A1"], re.M)}
    found |= {f"5(1){m[1]}" for m in re.finditer(r"^\| \**(\([a-z]{1,2}\))", sections["A3"], re.M)}
    found |= {m[1] for m in re.finditer(r"\*\*(6\(1[abc]\))", sections["A4"])}
    section_a, section_b = re.split(r"\*\*Annex I Section B\*\*", sections["A4"])
    found |= {f"Annex I A {n}" for n in re.findall(r"[;*:~] (\d+) [a-zA-Z]", section_a.split("Section A**")[1])}
    found |= {f"Annex I B {n}" for n in re.findall(r"(?:\): |; |\*\*)(\d+) [a-z]", section_b)}
    found |= {f"Annex III {m[1]}" for m in re.finditer(r"^\| (\d\([a-e]\)|2) \|", sections["A5"], re.M)}
    found |= {m[1] for m in re.finditer(r"^\| (50\(\d\))", sections["A7"], re.M)}
    found |= {m[1] for m in re.finditer(r"\*\*(5[1-6]\(\d\)(?:\([a-d]\))?)\*\*", sections["A8"])}
    found |= {m[1] for m in re.finditer(r"^\| P-\w+ \| (\d+\w*(?:\([a-z0-9]\))*)", part_b, re.M)}
    return found - {"Annex I A 1"}  # deleted in 2026


@pytest.mark.real_data
def test_every_provision_of_the_agreed_facts_stands_in_the_table_with_its_rule() -> None:
    if not AGREED.exists():
        pytest.skip("the agreed facts on the law are not beside the checkout")
    stated = stated_provisions(AGREED.read_text(encoding="utf-8"))
    assert len(stated) >= 95, sorted(stated)
    page = PAGE.read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    in_table = {p for line in rows for p in re.findall(r"AIA ([^|\]]+)", line)}
    named = {part.strip().removeprefix("AIA ") for spoken in in_table for part in spoken.split(",")}

    def has_a_row(provision: str) -> bool:
        return any(p == provision or p.startswith((f"{provision}(", f"{provision}-", f"{provision} ")) for p in named)

    assert [p for p in sorted(stated) if not has_a_row(p)] == []


def test_every_rule_stands_in_the_table_with_its_provision_and_its_dates() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    for kind, rule in law.rule_ids(law.load()):
        if kind not in ("questions", "definitions"):
            row = next((r for r in rows if f"`{rule.id}`" in r and rule.provision.split(",")[0] in r), None)
            assert row is not None, (kind, rule.id)
            assert str(rule.applies_from or "-") in row, (kind, rule.id)


def test_the_page_on_the_law_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == law_page(law.load()), HOW


def test_the_schema_of_the_rules_is_current_and_describes_them() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), HOW
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    for version in law.versions():
        rules = law.load(version.version).model_dump(by_alias=True, mode="json")
        assert not list(Draft202012Validator(schema).iter_errors(rules))


def test_the_page_shows_what_is_contested_or_not_verified() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for duty in law.load().duties:
        if duty.contested:
            row = next(line for line in page.splitlines() if f"`{duty.id}`" in line)
            assert "contested" in row
    assert "| draft |" in page
    assert "| unverified |" in page
