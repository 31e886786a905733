"""Each fact on documentation, the public sector and standards is used, or it is said why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from checks import resources
from checks.ai_act import rules as law
from model_cards.exports.algorithm_register import FIELDS, THEMES
from model_cards.exports.annex_viii import ITEMS, RESTRICTED
from tests.checks.ai_act.reference_pages import PAGE
from tests.checks.ai_act.test_reference_pages import AGREED

ROOT = Path(__file__).parents[3]
FACTS = ROOT / "docs" / "reference" / "facts_of_law.md"


def agreed(part: str) -> str:
    """Give one numbered part of the agreed facts."""
    if not AGREED.exists():
        pytest.skip("the agreed facts on the law are not beside the checkout")
    found = re.search(rf"(?ms)^## {part}\.? .*?(?=^## |^# |\Z)", AGREED.read_text(encoding="utf-8"))
    assert found is not None
    return found[0]


def items() -> set[str]:
    """Name the provision of every item that documents are searched for."""
    files = {**resources.read("documentation/items.yaml"), **resources.read("documentation/parts.yaml")}
    parts = [p.get("items", p) for p in files.values() if isinstance(p, dict)]
    spoken = [i["provision"] for part in parts for i in part.values() if isinstance(i, dict)]
    return {p.strip().removeprefix("AIA ") for s in spoken for p in s.split(",")}


def test_every_file_and_rule_that_the_page_names_is_there() -> None:
    page = FACTS.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:checks|model_cards|docs)/[\w/.]+)`", page):
        assert (ROOT / path).exists(), path
    rules = law.load()
    known = {rule.id for _, rule in law.rule_ids(rules)} | {n.id for d in rules.duties for n in d.notes}
    parts = {*resources.read("documentation/items.yaml"), *resources.read("documentation/parts.yaml")}
    elsewhere = {"citizen_effect", "lars", "publication_dt"}
    for name in re.findall(r"`([a-z][a-z0-9]*_[a-z0-9_]+)`", page):
        assert name in known | parts | elsewhere, name


@pytest.mark.real_data
def test_every_part_of_the_agreed_facts_has_its_row() -> None:
    if not AGREED.exists():
        pytest.skip("the agreed facts on the law are not beside the checkout")
    stated = re.findall(r"(?m)^## ([CDE]\d)\.? ", AGREED.read_text(encoding="utf-8"))
    assert len(stated) >= 20
    rows = [line for line in FACTS.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert [part for part in stated if not any(r.startswith(f"| {part} ") for r in rows)] == []


@pytest.mark.real_data
def test_every_point_of_the_documentation_has_its_item() -> None:
    annex_iv = {m[1] for m in re.finditer(r"\*\*(\d[a-h])\*\*", agreed("C1"))}
    assert len(annex_iv) == 16
    wanted = {f"Annex IV {n[0]}({n[1]})" for n in annex_iv} | {f"Annex IV {n}" for n in range(3, 10)}
    wanted |= {f"13(3)({x})" for x in "acdef"}
    wanted |= {f"13(3)(b)({x})" for x in re.findall(r"\((i{1,3}|iv|vi{0,2})\)", agreed("C2"))}
    wanted |= {f"10(2)({x})" for x in "abcdefgh"} | {"10(3)", "10(4)", "12(1)", "15(3)", "15(4)", "15(5)"}
    wanted |= (
        {f"12(2)({x})" for x in "abc"} | {f"14(4)({x})" for x in "abcde"} | {f"17(1)({x})" for x in "abcdefghijklm"}
    )
    wanted |= {f"Annex V {n}" for n in range(1, 9)} | {f"27(1)({x})" for x in "abcdef"}
    wanted |= {f"Annex XI {p}" for p in [*(f"1({x})" for x in "abcdef"), *(f"2({x})" for x in "abcde")]}
    wanted |= {f"Annex XII {p}" for p in [*(f"1({x})" for x in "abcdefgh"), *(f"2({x})" for x in "abc")]}
    assert sorted(wanted - items()) == []


@pytest.mark.real_data
def test_the_registration_data_are_those_of_annex_viii() -> None:
    text = agreed("C6")
    a, b, c = (re.search(rf"(?s)\*\*{s} \(.*?\n", text)[0] for s in "ABC")  # type: ignore[index]
    assert ITEMS["a"] == tuple(dict.fromkeys(re.findall(r"(?:: |; )(\d+) ", a)))
    deleted = set(re.findall(r"~~(\d)", b))
    assert deleted == {"7", "9"}
    assert set(ITEMS["b"]) == set(re.findall(r"(?:: |; )(\d) ", b)) - deleted
    assert ITEMS["c"] == tuple(re.findall(r"(?:: |; )(\d) ", c))
    # "A 1-10 without 6, 8, 9; B 1-5, 8; C 1-3" is what the restricted part of the database holds.
    assert {s: tuple(i for i in ITEMS[s] if i not in RESTRICTED[s]) for s in ITEMS} == {
        "a": ("1", "2", "3", "4", "5", "7", "10"),
        "b": ("1", "2", "3", "4", "5", "8"),
        "c": ("1", "2", "3"),
    }


@pytest.mark.real_data
def test_the_fields_of_the_algorithm_register_are_those_of_its_api() -> None:
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in agreed("D2").splitlines() if line.startswith("| ")]
    stated = {}
    for key, _, kind, required, shown, _ in (
        r for r in rows if len(r) == 6 and r[0] not in ("API key", "lars, publication_dt")
    ):
        for name in key.replace("[]", "").split(" / "):
            most = re.search(r"\b(\d{3,4})\b", kind)
            stated[name] = (int(most[1]) if most else None, "yes" in required, shown.split()[0] if shown else "")
    ours = {f.key: f for f in FIELDS}
    assert set(stated) == set(ours)
    for name, (longest, is_required, how_shown) in stated.items():
        field = ours[name]
        assert field.required is is_required, name
        if longest is not None and field.kind != "links":
            assert field.most == longest, name
        if how_shown in ("ja", "verplicht", "nee") and field.group != "hidden" and field.kind != "links":
            assert field.asked is (how_shown != "nee"), name
    assert "; ".join(THEMES) in agreed("D2")


@pytest.mark.real_data
def test_sub_points_of_the_agreed_facts_stand_in_the_table_of_the_law() -> None:
    table = PAGE.read_text(encoding="utf-8")
    wanted = {f"5(1)(h)({x})" for x in ("i", "ii", "iii")} | {"5(1)(c)(i)", "5(1)(c)(ii)"}
    wanted |= {f"6(3)({x})" for x in "abcd"} | {f"25(1)({x})" for x in "abc"} | {f"53(1)({x})" for x in "abcd"}
    text = agreed("A9") + agreed("A10") + agreed("B7")
    wanted |= {f"25({n})" for n in re.findall(r"\*\*25\((\d)\)", text)}
    for article in ("26", "49"):
        line = re.search(rf"\*\*{article}\*\*.*", text)
        assert line is not None
        wanted |= {f"{article}({n})" for n in re.findall(r"(?:: |; )\((\d+)\)", line[0])}
    wanted |= {f"27({n})" for n in re.findall(r"\b27\((\d)\)", text)} - {"27(1)"}
    wanted |= {f"99({n})" for n in re.findall(r"\b99\((\d+a?)\)", text)}
    named = set(re.findall(r"(\d+(?:\([0-9a-z]+\))+)", table))
    assert sorted(w for w in wanted if not any(n == w or n.startswith(f"{w}(") for n in named)) == []
