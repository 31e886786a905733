"""Hold the pages made from the rules to the rules, and the rules to every provision they must speak of."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from checks.ai_act import rules as law
from tests.checks.ai_act.reference_pages import PAGE, SCHEMA, law_page, provisions, schema_text

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
