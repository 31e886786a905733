"""The three counts that every summary shows: what is counted, and what is counted once."""

from __future__ import annotations

from checks.finding import AppliedLimit, Finding, Outcome, Reason, Rejudge, count_outcomes


def finding(check: str, outcome: Outcome, *, limited: bool, code: str | None = None) -> Finding:
    limit = {"m": AppliedLimit(at_most=1.0, origin="policy", outcome=outcome)} if limited else {}
    reason = Reason(code=code) if code else None
    return Finding(check=check, outcome=outcome, limit=limit, reason=reason, rejudge=Rejudge.EVIDENCE)


def test_findings_with_a_limit_are_counted_one_by_one_and_those_without_are_not() -> None:
    found = (
        finding("a.one", Outcome.PASS, limited=True),
        finding("a.two", Outcome.FAIL, limited=True),
        finding("a.three", Outcome.INCONCLUSIVE, limited=True),
        finding("a.four", Outcome.NOT_GATHERED, limited=True),
        finding("a.five", Outcome.NOT_GATHERED, limited=False),
        finding("a.six", Outcome.MEASURED, limited=False),
        finding("a.seven", Outcome.ERROR, limited=False),
    )
    assert count_outcomes(found) == {"beyond": 1, "undecided": 2, "within": 1, "errors": 1}


def test_what_settles_nothing_for_one_reason_is_one_undecided_matter() -> None:
    alike = [finding(f"explainability.{n}", Outcome.INCONCLUSIVE, limited=False, code="told") for n in "abcdef"]
    assert count_outcomes(alike)["undecided"] == 1
    limited = finding("explainability.g", Outcome.INCONCLUSIVE, limited=True, code="told")
    other = finding("explainability.h", Outcome.INCONCLUSIVE, limited=False, code="few")
    assert count_outcomes([*alike, limited, other])["undecided"] == 3
