"""Judge a check by its code, for tests."""

from __future__ import annotations

from checks.evidence import Evidence
from checks.finding import Finding, GroupMeasures, Measure
from checks.judge import Judged, judge
from checks.policy import Policy, load
from checks.registry import Check, only_one


def find(code: str) -> Check:
    """Find one check without importing the other families."""
    import importlib

    family, _, name = code.partition(".")
    return only_one(importlib.import_module(f"checks.{family}.{name}"), family)


def judged(code: str, evidence: Evidence, policy: Policy | None = None) -> tuple[Judged, ...]:
    """Judge one check under the default policy (or another)."""
    return judge(find(code), evidence, policy or load("default"))


def finding(code: str, evidence: Evidence, attribute: str | None = None, policy: Policy | None = None) -> Finding:
    """Give one finding of a check."""
    found = [j.finding for j in judged(code, evidence, policy) if attribute is None or j.finding.attribute == attribute]
    assert len(found) == 1, [f.attribute for f in found]
    assert found[0].incident is None, "the check failed; its trace is in the log"
    return found[0]


def measure(code: str, name: str, evidence: Evidence, attribute: str | None = None) -> Measure:
    """Give one headline measure of a check."""
    given = finding(code, evidence, attribute).measure(name)
    assert given is not None, name
    return given


def group(found: Finding, name: str | None) -> GroupMeasures:
    """Give one group of a finding by its value."""
    return next(g for g in found.groups if name in g.group.values())


def of_group(found: Finding, name: str | None, measure_name: str) -> Measure:
    """Give one measure of one group."""
    return next(m for m in group(found, name).measures if m.name == measure_name)
