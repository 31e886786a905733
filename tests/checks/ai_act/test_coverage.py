"""Hold the cover of duties by findings, and whether a cited law applies."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pytest

from checks.ai_act import rules as law
from checks.ai_act.classify import classify
from checks.ai_act.coverage import cover, law_of
from checks.ai_act.risk import Duty, Risk
from checks.finding import Finding, Item
from tests.checks.ai_act.answered import TODAY, case_named, declare


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The least a finding says."""

    check: str
    outcome: str


def _risk(case_id: str, **answers: Any) -> Risk:
    case = case_named(case_id)
    return classify(declare(case, {**case["answers"], **answers}), law.load(), as_of=TODAY)


def _duty(risk: Risk, provision: str) -> Duty:
    return next(d for d in risk.duties if d.provision == provision)


def _covered(*findings: tuple[str, str]) -> Risk:
    return cover(_risk("III-5b"), [Found(check=c, outcome=o) for c, o in findings])


def test_a_duty_with_evidence_for_every_aspect_says_so_and_with_some_partly() -> None:
    some = _covered(("accuracy.accuracy", "pass"))
    assert _duty(some, "AIA 15").status == "partial"
    assert _duty(some, "AIA 15").evidence == ("accuracy.accuracy",)
    every = _covered(
        ("accuracy.accuracy", "pass"), ("robustness.nudged", "fail"), ("cybersecurity.scan", "inconclusive")
    )
    assert _duty(every, "AIA 15").status == "evidence_found"


def test_a_failed_measurement_is_evidence_too_for_it_was_looked_at() -> None:
    assert "fairness.selection_rate" in _duty(_covered(("fairness.selection_rate", "fail")), "AIA 10").evidence


@pytest.mark.parametrize("outcome", ["not_gathered", "not_applicable", "error"])
def test_what_was_not_looked_at_is_no_evidence(outcome: str) -> None:
    assert _duty(_covered(("fairness.selection_rate", outcome)), "AIA 10").status == "not_yet_due"


def test_a_document_that_lacks_something_is_partial_evidence() -> None:
    assert _duty(_covered(("documentation.annex_iv", "fail")), "AIA 11").status == "partial"
    assert _duty(_covered(("documentation.annex_iv", "pass")), "AIA 11").status == "evidence_found"


def test_a_part_of_a_larger_document_counts_only_where_all_of_it_was_found() -> None:
    assert _duty(_covered(("documentation.annex_iv", "pass")), "AIA 72").status == "evidence_found"
    assert _duty(_covered(("documentation.annex_iv", "inconclusive")), "AIA 72").status == "not_yet_due"


def test_covering_twice_is_covering_once_and_a_duty_without_a_table_stays() -> None:
    findings = [Found(check="accuracy.accuracy", outcome="pass")]
    once = cover(_risk("III-5b"), findings)
    assert cover(once, findings) == once
    assert cover(once, []) == _risk("III-5b")
    assert _duty(once, "AIA 21") == _duty(_risk("III-5b"), "AIA 21")


def test_a_duty_that_does_not_apply_takes_no_evidence() -> None:
    risk = cover(_risk("L-private"), [Found(check="accuracy.accuracy", outcome="pass")])
    assert _duty(risk, "AIA 15").status == "not_applicable"
    assert not _duty(risk, "AIA 15").evidence


@pytest.mark.parametrize(
    ("case_id", "provision", "applies", "applies_from"),
    [
        ("III-5b", "AIA 10(2)(f)", "yes", dt.date(2027, 12, 2)),
        ("III-5b", "AIA Annex IV 2(g)", "yes", dt.date(2027, 12, 2)),
        ("III-5b", "AIA 50(1)", "no", None),
        ("III-5b", "AIA 27(1)", "yes", dt.date(2027, 12, 2)),
        ("III-5b", "GDPR 22", "yes", dt.date(2018, 5, 25)),
        ("III-5b", "Directive (EU) 2023/2225", "yes", dt.date(2026, 11, 20)),
        ("I-a", "AIA 10(2)(f)", "yes", dt.date(2028, 8, 2)),
        ("I-a", "AIA 86", "no", None),
        ("AC-12", "AIA 10(2)(f)", "no", None),
        ("AC-12", "AIA 4", "yes", dt.date(2025, 2, 2)),
        ("AC-04c", "AIA 4", "no", None),
        ("AC-01b", "AIA 6(4)", "yes", dt.date(2027, 12, 2)),
        ("AC-01b", "AIA 15(1)", "no", None),
        ("U-area", "AIA 10(2)(f)", "undetermined", dt.date(2027, 12, 2)),
        ("U-licence", "AIA 10(2)(f)", "no", None),
        ("R-deployer", "AIA 10(2)(f)", "yes", dt.date(2027, 12, 2)),
        ("R-importer", "AIA 27", "undetermined", dt.date(2027, 12, 2)),
        ("L-private", "AIA 10(2)(f)", "no", None),
        ("L-public", "AIA 10(2)(f)", "yes", dt.date(2030, 8, 2)),
        ("I-b", "AIA 10(2)(f)", "no", None),
        ("AC-12", "AIA 5(1)(f)", "no", None),
        ("AC-01d", "AIA 5(1)(f)", "yes", dt.date(2025, 2, 2)),
        ("III-5b", "AIA 999", "undetermined", None),
    ],
)
def test_a_cited_provision_says_whether_it_applies_and_since_when(
    case_id: str, provision: str, applies: str, applies_from: dt.date | None
) -> None:
    (cited,) = law_of([provision], _risk(case_id))
    assert (cited.applies, cited.applies_from) == (applies, applies_from)


def test_the_answer_keeps_the_order_of_what_was_asked() -> None:
    asked = ["AIA 15(1)", "GDPR 35", "AIA 10(3)"]
    assert [c.provision for c in law_of(asked, _risk("AC-09"))] == asked


def test_article_4a_is_not_article_4_and_article_50_not_article_5() -> None:
    minimal = _risk("AC-12")
    assert law_of(["AIA 4a"], minimal)[0].applies == "no"
    assert law_of(["AIA 5"], _risk("AC-04"))[0].applies == "no"


def _looked_for(check: str, *states: str) -> Finding:
    items = tuple(Item(id=f"x.{i}", state=state) for i, state in enumerate(states))
    return Finding(check=check, outcome="measured", rejudge="evidence", items=items)


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (("not_found", "placeholder"), "not_yet_due"),
        (("short", "not_found"), "partial"),
        (("found", "short"), "partial"),
        (("found", "found"), "evidence_found"),
    ],
)
def test_documents_are_evidence_only_as_far_as_passages_were_found(states: tuple[str, ...], status: str) -> None:
    covered = cover(_risk("III-5b"), [_looked_for("documentation.logging", *states)])
    assert _duty(covered, "AIA 12").status == status


def test_every_finding_that_is_evidence_for_a_duty_is_one_that_a_check_gives() -> None:
    from fnmatch import fnmatchcase

    from checks.registry import catalogue

    codes = [c.code for c in catalogue()]
    for rule in law.load().coverage:
        for aspect in rule.aspects:
            for pattern in (*aspect.findings, *aspect.whole):
                assert any(fnmatchcase(code, pattern) for code in codes), pattern
