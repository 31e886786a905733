"""Hold the rule files to what every rule must carry, and the loader to refusing what lacks it."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from checks import resources
from checks.ai_act import rules as law
from checks.ai_act.classify import classify, notes
from tests.checks.ai_act.answered import TODAY, case_named, declare, read_cases

ORIGINAL = "32024R1689.1"


@pytest.fixture
def spoiled(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[Any], None]], list[str]]:
    """Spoil one rule file in memory and give what `problems` says of it."""

    def spoil(name: str, change: Callable[[Any], None]) -> list[str]:
        content = copy.deepcopy(resources.read(f"{law.FOLDER}/{name}.yaml"))
        change(content)
        real = resources.read
        monkeypatch.setattr(
            law.resources, "read", lambda path: content if path == f"{law.FOLDER}/{name}.yaml" else real(path)
        )
        law._load.cache_clear()
        try:
            return law.problems()
        finally:
            monkeypatch.undo()
            law._load.cache_clear()

    return spoil


def test_the_rule_files_are_in_order() -> None:
    assert law.problems() == []


@pytest.mark.parametrize("field", law.CITATION)
def test_a_rule_without_its_citation_is_refused(
    field: str, spoiled: Callable[[str, Callable[[Any], None]], list[str]]
) -> None:
    def change(content: Any) -> None:
        rule = content["notes"][0]
        content["notes"][0] = {
            **content["defaults"],
            **resources.read(f"{law.FOLDER}/dates.yaml")["regimes"]["general"],
        }
        content["notes"][0] |= rule
        content["notes"][0].pop("dates", None)
        content["defaults"] = {}
        del content["notes"][1:]
        content["notes"][0].pop(field)

    assert any(f"`{field}` is missing" in p for p in spoiled("notes", change))


def test_a_link_that_is_not_eur_lex_is_refused_for_european_law(
    spoiled: Callable[[str, Callable[[Any], None]], list[str]],
) -> None:
    def change(content: Any) -> None:
        content["notes"][0]["source_url"] = "https://example.org/act"

    assert any("EUR-Lex" in p for p in spoiled("notes", change))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("routes", lambda c: c["routes"][0].update(when="@no_such_notion"), "does not exist"),
        ("routes", lambda c: c["routes"][0].update(when="exclusion=no_such_option"), "does not exist"),
        ("routes", lambda c: c["routes"].append(dict(c["routes"][0])), "used twice"),
        ("routes", lambda c: c["order"].pop(0), "must stand in the order once"),
        ("routes", lambda c: c["routes"][0].update(confidence="certain"), "confidence"),
        ("routes", lambda c: c["routes"][0].update(colour="red"), "colour"),
        ("questions", lambda c: c["blocks"][0]["questions"][0]["options"].remove("unknown"), "not among the options"),
        ("questions", lambda c: c["blocks"][0]["questions"][0].update(asked_when="gpai=yes"), "comes no earlier"),
        ("questions", lambda c: c["blocks"][2]["questions"][0].update(fork=["no_such_option"]), "`fork`"),
        ("duties", lambda c: c["duties"][0].update(role="nobody"), "role `nobody` does not exist"),
        ("coverage", lambda c: c["coverage"][0].update(duty="no_such_duty"), "duty `no_such_duty` does not exist"),
        ("notes", lambda c: c.update(opinions=[{}]), "is not a kind of rule"),
    ],
)
def test_an_incoherent_rule_file_is_named(
    name: str,
    change: Callable[[Any], None],
    said: str,
    spoiled: Callable[[str, Callable[[Any], None]], list[str]],
) -> None:
    assert any(said in p for p in spoiled(name, change))


def test_a_condition_takes_exactly_one_of_all_any_and_none() -> None:
    with pytest.raises(ValidationError):
        law.Combination.model_validate({"all": ["a=b"], "any": ["a=b"]})


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(law.UnknownRules):
        law.load("1999.1")


def test_every_point_of_annex_iii_and_article_5_has_its_route() -> None:
    provisions = {r.provision for r in law.load().routes}
    points = (
        "1(a) 1(b) 1(c) 2 3(a) 3(b) 3(c) 3(d) 4(a) 4(b) 5(a) 5(b) 5(c) 5(d) "
        "6(a) 6(b) 6(c) 6(d) 6(e) 7(a) 7(b) 7(c) 7(d) 8(a) 8(b)"
    )
    assert len(points.split()) == 25
    assert {f"AIA Annex III {p}" for p in points.split()} <= provisions
    bans = "(a) (b) (ba) (bb) (c)(i) (c)(ii) (d) (e) (f) (g) (h)"
    assert {f"AIA 5(1){p}" for p in bans.split()} <= provisions


@pytest.mark.parametrize("section", ["A", "B"])
def test_every_act_of_annex_i_leads_to_its_section(section: str) -> None:
    case = case_named("I-a")
    acts = [
        o
        for o in law.load().question("product_acts").options
        if (o.provision or "").startswith(f"AIA Annex I {section}")
    ]
    assert len(acts) == (11 if section == "A" else 9)
    for act in acts:
        risk = classify(declare(case, {**case["answers"], "product_acts": [act.id]}), law.load(), as_of=TODAY)
        assert risk.risk_class == f"high_risk_annex_i_{section.lower()}"


def test_the_change_of_july_2026_moves_dates_and_adds_two_practices() -> None:
    case = case_named("III-5b")
    new = classify(declare(case), law.load(), as_of=TODAY)
    old = classify(declare(case), law.load(ORIGINAL), as_of=TODAY)
    assert old.risk_class == new.risk_class
    assert new.routes[0].applies_from == dt.date(2027, 12, 2)
    assert old.routes[0].applies_from == new.routes[0].applies_from_original == dt.date(2026, 8, 2)
    assert {d.provision: d.status for d in new.duties}["AIA 9"] == "not_yet_due"
    assert {d.provision: d.status for d in old.duties}["AIA 9"] == "none"
    assert not any(d.contested for d in old.duties)
    assert old.rules_version == ORIGINAL
    undress = case_named("AC-14b")
    later = dt.date(2027, 1, 1)
    assert classify(declare(undress), law.load(), as_of=later).risk_class == "prohibited"
    assert classify(declare(undress), law.load(ORIGINAL), as_of=later).risk_class == "transparency"


def test_machinery_was_in_section_a_before_it_moved_to_section_b() -> None:
    declaration = declare(case_named("I-b"))
    assert classify(declaration, law.load(ORIGINAL), as_of=TODAY).risk_class == "high_risk_annex_i_a"
    assert classify(declaration, law.load(), as_of=TODAY).risk_class == "high_risk_annex_i_b"


@pytest.mark.parametrize("case", read_cases()[1], ids=[c["id"] for c in read_cases()[1]])
def test_every_case_can_be_classified_under_the_text_of_2024(case: dict[str, Any]) -> None:
    risk = classify(declare(case), law.load(ORIGINAL), as_of=TODAY)
    assert risk.risk_class != "undetermined" or case["class"] == "undetermined"


def test_old_rules_link_to_the_old_text_and_new_rules_to_the_new() -> None:
    for version, celex in ((None, "CELEX:02024R1689-20260727"), (ORIGINAL, "CELEX:32024R1689#")):
        links = {r.source_url for _, r in law.rule_ids(law.load(version)) if r.provision.startswith("AIA 5(1)(a)")}
        assert links
        assert all(celex in link and link.endswith("#art_5") for link in links)


def test_notes_speak_to_the_system_they_are_about() -> None:
    ids = {n.id for n in notes(declare(case_named("AC-01b")), law.load())}
    assert {"note_open_source_derogated", "note_chapeau_dispute", "note_testing_before_market"} & ids >= {
        "note_open_source_derogated",
        "note_chapeau_dispute",
    }
    assert "penalty_prohibited" not in ids
