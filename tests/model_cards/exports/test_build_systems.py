"""SARIF and JUnit: what build systems count is what was measured, and silence is never a success."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema.validators import validator_for
from lxml import etree

from checks.finding import Outcome
from model_cards.dossier import Assessment
from model_cards.exports import junit, sarif
from tests.conftest import ON_CI
from tests.make.assessments import assessment, measured_by_all_checks
from tests.make.drafts import HOSTILE

SCHEMA = Path(__file__).parents[3] / "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"
ROUTES = ("model", "predictions", "counts", "documents")
GIVEN = ("model", "predictions", "counts", "documents", "hostile", "all checks")
KINDS = {"notApplicable", "pass", "fail", "review", "open", "informational"}


@cache
def made(which: str) -> Assessment:
    if which == "all checks":
        return measured_by_all_checks(rows=300)
    return assessment(hostile=HOSTILE) if which == "hostile" else assessment(route=which)


def run_of(given: Assessment, lang: str = "en") -> dict[str, Any]:
    log = json.loads(sarif.render(given, lang))
    assert log["version"] == "2.1.0"
    run: dict[str, Any] = log["runs"][0]
    return run


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("lang", ["en", "nl"])
def test_sarif_holds_to_its_standard(route: str, lang: str) -> None:
    run = run_of(assessment(route=route), lang)
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert result["kind"] in KINDS
        # The standard allows a level other than `none` only where the kind is `fail`.
        assert (result["level"] == "none") == (result["kind"] != "fail")
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "submission.yaml"


@pytest.mark.skipif(
    not ON_CI and not SCHEMA.is_file(), reason="the schema of SARIF is not installed (npm: @microsoft/jest-sarif)"
)
@pytest.mark.parametrize("which", GIVEN)
@pytest.mark.parametrize("lang", ["en", "nl"])
def test_sarif_is_valid_by_the_published_schema(which: str, lang: str) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert "2.1.0" in schema["title"]
    validator = validator_for(schema)(schema)
    log = json.loads(sarif.render(made(which), lang))
    assert [f"{list(e.path)}: {e.message}" for e in validator.iter_errors(log)] == []
    del log["runs"][0]["tool"]["driver"]["name"]
    assert not validator.is_valid(log)


@pytest.mark.parametrize("which", GIVEN)
@pytest.mark.parametrize("lang", ["en", "nl"])
def test_junit_holds_nothing_but_what_build_systems_agree_on(which: str, lang: str) -> None:
    schema = etree.XMLSchema(etree.parse(Path(__file__).with_name("junit.xsd")))
    schema.assertValid(etree.fromstring(junit.render(made(which), lang)))


def test_each_finding_is_a_result_and_our_error_is_a_notification() -> None:
    given = assessment()
    run = run_of(given)
    outcomes = [f.outcome for f in given.dossier.findings]
    assert len(run["results"]) == len([o for o in outcomes if o is not Outcome.ERROR])
    assert [r["kind"] for r in run["results"]].count("fail") == outcomes.count(Outcome.FAIL)
    assert run["invocations"][0]["executionSuccessful"] is False
    assert "Our error" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_what_is_undecided_or_not_gathered_is_open() -> None:
    kinds = {r["properties"]["outcome"]: r["kind"] for r in run_of(assessment())["results"]}
    assert kinds["inconclusive"] == kinds["not_gathered"] == "open"
    assert kinds["measured"] == "informational"


def test_a_finding_keeps_its_fingerprint_from_run_to_run() -> None:
    first, again = (run_of(assessment(run=run))["results"] for run in (True, False))
    prints = [r["partialFingerprints"]["finding/v1"] for r in first]
    assert prints == [r["partialFingerprints"]["finding/v1"] for r in again]
    places = {r["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] for r in first}
    assert len(set(prints)) == len(places)


@pytest.mark.parametrize("given", [assessment(hostile=HOSTILE), assessment(route="documents")])
def test_junit_is_xml_whose_counts_are_those_of_its_cases(given: Assessment) -> None:
    root = ElementTree.fromstring(junit.render(given, "en"))
    assert root.tag == "testsuites"
    for suite in (root, *root.iter("testsuite")):
        cases = list(suite.iter("testcase"))
        assert int(suite.attrib["tests"]) == len(cases)
        for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            if kind == "skipped" and suite is root:
                assert kind not in suite.attrib
                continue
            assert int(suite.attrib[kind]) == sum(case.find(tag) is not None for case in cases)
    assert len(list(root.iter("testcase"))) == len(given.dossier.findings)


def test_only_what_lies_within_a_limit_is_a_plain_case() -> None:
    given = made("all checks")
    root = ElementTree.fromstring(junit.render(given, "nl"))
    plain = [c for c in root.iter("testcase") if all(c.find(t) is None for t in ("failure", "error", "skipped"))]
    within = [f.check for f in given.dossier.findings if f.outcome is Outcome.PASS]
    assert sorted(c.attrib["classname"] for c in plain) == sorted(within)
    assert all(s.attrib["message"] for s in root.iter("skipped"))
