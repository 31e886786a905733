"""The findings as JUnit XML, for systems that build software and count test cases.

Only a finding within its limit is a plain test case: what is undecided, was only measured or could not be gathered is
skipped with its reason, so that no build system counts silence as success.
"""

from __future__ import annotations

from checks.finding import Finding, Outcome
from model_cards.dossier import Assessment
from model_cards.drafting import figures_of, material_of, statement
from model_cards.material import Material
from model_cards.writing import xml_text

FORMAT = "junit"
SUFFIX = ".xml"
STANDARD = "JUnit XML as build systems read it (testsuites, testsuite, testcase); there is no formal standard"


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the JUnit report.

    Args:
        lang: of `model_cards.words.languages()`.

    Returns:
        UTF-8 XML: a suite per family, a case per finding; beyond a limit is a failure, our own fault an error, and all
        that is not within a limit is skipped. The same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    dossier = material.dossier
    families = list(dict.fromkeys(f.family for f in dossier.findings))
    said = {
        "system": dossier.declaration.system.name,
        "version": dossier.declaration.system.version,
        "statement": statement(material),
        "attestation": " ".join(material.attestation()),
        "risk_class": dossier.risk.risk_class,
        "as_of": dossier.risk.as_of.isoformat(),
        "dossier_digest": dossier.digest,
    }
    properties = "".join(f'      <property name="{key}" value="{xml_text(text)}"/>\n' for key, text in said.items())
    suites = "".join(
        _suite(material, family, [f for f in dossier.findings if f.family == family], properties) for family in families
    )
    name = xml_text(f"{dossier.declaration.system.name} {dossier.declaration.system.version}")
    counts = _counts(list(dossier.findings))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="{name}" {counts}>\n{suites}</testsuites>\n'.encode()
    )


def _counts(findings: list[Finding]) -> str:
    failures = sum(f.outcome is Outcome.FAIL for f in findings)
    errors = sum(f.outcome is Outcome.ERROR for f in findings)
    return f'tests="{len(findings)}" failures="{failures}" errors="{errors}" time="0"'


def _suite(material: Material, family: str, findings: list[Finding], properties: str) -> str:
    cases = "".join(_case(material, finding) for finding in findings)
    # The element around all suites has no such count in any of the schemas that are about.
    skipped = sum(f.outcome not in (Outcome.FAIL, Outcome.ERROR, Outcome.PASS) for f in findings)
    return (
        f'  <testsuite name="{xml_text(family)}" {_counts(findings)} skipped="{skipped}">\n'
        f"    <properties>\n{properties}    </properties>\n{cases}  </testsuite>\n"
    )


def _case(material: Material, finding: Finding) -> str:
    words = material.words
    said = xml_text(" ".join(words.finding_sentences(finding)))
    outcome = xml_text(words.outcome(finding.outcome))
    match finding.outcome:
        case Outcome.FAIL:
            inner = f'<failure type="{finding.outcome.value}" message="{outcome}">{said}</failure>'
        case Outcome.ERROR:
            inner = f'<error type="{finding.outcome.value}" message="{outcome}">{said}</error>'
        case Outcome.PASS:
            inner = ""
        case _:
            inner = f'<skipped message="{said}"/>'
    figures = figures_of(material, finding)
    out = f"\n      <system-out>{xml_text(figures)}</system-out>" if figures else ""
    head = (
        f'    <testcase classname="{xml_text(finding.check)}" name="{xml_text(words.finding_title(finding))}" time="0">'
    )
    return f"{head}\n      {inner}{out}\n    </testcase>\n"
