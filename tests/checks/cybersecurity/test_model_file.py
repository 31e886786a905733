"""What the check of the model file makes of a scan report, also of one whose words come from a hostile file."""

from __future__ import annotations

import datetime as dt
from typing import Any

from checks.declaration import Declaration
from checks.finding import Finding, Outcome
from checks.judge import judge
from checks.policy import Limit, Policy, Terms
from checks.registry import catalogue
from checks.sealing import seal
from tests.make.evidence import declare

POLICY = Policy(
    name="test",
    version="1",
    recorded=dt.date(2026, 1, 1),
    about="test",
    terms=Terms(confidence=0.95, minimum_rows=30, suppress_below=10, short_words=5, families="per_attribute"),
    limits={"cybersecurity.model_file.suspicious_parts": Limit(at_most=0, source="test", why="test")},
)


def found(scan: dict[str, Any], *, allow_code: bool = False, route: str = "model") -> Finding:
    declaration = declare(route=route)
    if declaration.model is not None:
        model = declaration.model.model_copy(update={"allow_code": allow_code})
        declaration = Declaration.model_validate({**declaration.model_dump(mode="json"), "model": model.model_dump()})
    check = next(c for c in catalogue() if c.code == "cybersecurity.model_file")
    return judge(check, seal(declaration, submission_digest="0", scan=scan), POLICY)[0].finding


def test_nothing_suspicious_is_a_count_of_zero_and_the_types_are_listed() -> None:
    finding = found({"format": "skops", "loading": "data_only", "types": ["a.B", "c.D"], "suspicious": [], "notes": []})
    assert finding.outcome is Outcome.PASS
    assert finding.reason is not None
    assert finding.reason.code == "scanned_data_only"
    assert [(i.id, i.params["name"]) for i in finding.items] == [("type", "a.B"), ("type", "c.D")]


def test_each_suspicious_part_is_named_and_counted_once() -> None:
    scan = {
        "format": "pickle",
        "loading": "can_execute_code",
        "types": ["os.system", "numpy.ndarray"],
        "suspicious": ["os.system", "os.system", "builtins.eval"],
        "notes": ["two streams"],
    }
    finding = found(scan, allow_code=True)
    assert finding.outcome is Outcome.FAIL
    assert finding.measures[0].value == 2.0
    assert [i.params["name"] for i in finding.items if i.id == "suspicious"] == ["builtins.eval", "os.system"]
    assert [i.params["name"] for i in finding.items if i.id == "type"] == ["numpy.ndarray"]
    assert finding.reason is not None
    assert finding.reason.code == "scanned_can_execute"


def test_a_format_that_executes_code_without_consent_says_so() -> None:
    finding = found({"format": "pickle", "loading": "can_execute_code", "types": [], "suspicious": [], "notes": []})
    assert finding.reason is not None
    assert finding.reason.code == "scanned_no_consent"


def test_an_unknown_way_of_loading_counts_as_executing() -> None:
    finding = found({"format": None, "types": [], "suspicious": []})
    assert finding.reason is not None
    assert finding.reason.code == "scanned_no_consent"
    assert finding.reason.params["format"] == "unknown"


def test_a_hostile_scan_cannot_make_a_finding_long_or_break_it() -> None:
    scan = {"loading": 7, "types": ["\ud800" + "x" * 10_000] * 3 + list(range(10_000)), "suspicious": "one word"}
    finding = found(scan)
    assert finding.outcome is Outcome.FAIL
    assert finding.measures[0].value == 1.0
    assert len(finding.items) < 600
    assert all(len(str(i.params["name"])) <= 200 for i in finding.items)
    assert finding.model_dump_json()


def test_without_a_model_it_does_not_apply_and_without_a_scan_nothing_is_gathered() -> None:
    assert found({"loading": "data_only"}, route="predictions").outcome is Outcome.NOT_APPLICABLE
    assert found({}).outcome is Outcome.NOT_GATHERED
