"""The findings as SARIF, for systems that build software and show results beside the code."""

from __future__ import annotations

import hashlib
from typing import Any

from checks.finding import Finding, Outcome
from model_cards.dossier import Assessment
from model_cards.drafting import material_of, statement
from model_cards.material import Material
from model_cards.writing import as_json, stated

FORMAT = "sarif"
SUFFIX = ".sarif"
STANDARD = "SARIF 2.1.0 (OASIS), with errata 01"

_KINDS = {
    Outcome.FAIL: ("fail", "error"),
    Outcome.INCONCLUSIVE: ("open", "none"),
    Outcome.NOT_GATHERED: ("open", "none"),
    Outcome.PASS: ("pass", "none"),
    Outcome.MEASURED: ("informational", "none"),
    Outcome.NOT_APPLICABLE: ("notApplicable", "none"),
}
"""Kind and level of each outcome; the standard allows a level only for the kind `fail`."""


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the SARIF log.

    Args:
        lang: of `model_cards.words.languages()`.

    Returns:
        UTF-8 JSON with one run: a rule per check, a result per finding. Our own errors are notifications, not results.
        The same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    words, dossier = material.words, material.dossier
    codes = list(dict.fromkeys(f.check for f in dossier.findings))
    errors = [f for f in dossier.findings if f.outcome is Outcome.ERROR]
    declared = material.declared()
    log = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "aiact-sandbox",
                        "version": dossier.versions.get("aiact-sandbox", ""),
                        "fullDescription": {"text": statement(material)},
                        "rules": [
                            {
                                "id": code,
                                "name": code.replace(".", "_"),
                                "shortDescription": {"text": words.title(code)},
                                "fullDescription": {
                                    "text": " ".join(
                                        words(f"checks.{code}.{key}", attribute=_attributes(material, code), **declared)
                                        for key in ("says", "says_not")
                                    )
                                },
                            }
                            for code in codes
                        ],
                    }
                },
                "automationDetails": {"id": f"aiact-sandbox/{dossier.submission.digest}"},
                "language": lang,
                "invocations": [
                    {
                        "executionSuccessful": not errors,
                        "toolExecutionNotifications": [
                            {
                                "level": "error",
                                "message": {"text": words.finding_sentence(f)},
                                "associatedRule": {"id": f.check, "index": codes.index(f.check)},
                            }
                            for f in errors
                        ],
                    }
                ],
                "results": [
                    _result(material, f, codes.index(f.check))
                    for f in dossier.findings
                    if f.outcome is not Outcome.ERROR
                ],
                "properties": {
                    "system": dossier.declaration.system.name,
                    "systemVersion": dossier.declaration.system.version,
                    "attestation": list(material.attestation()),
                    "statement": statement(material),
                    "riskClass": dossier.risk.risk_class,
                    "asOf": dossier.risk.as_of.isoformat(),
                    "dossierDigest": dossier.digest,
                    "counts": dict(dossier.outcome_counts),
                },
            }
        ],
    }
    return as_json(log)


def _attributes(material: Material, check: str) -> str:
    named = [f.attribute for f in material.dossier.findings if f.check == check and f.attribute]
    return material.words.joined(tuple(dict.fromkeys(named)))


def _result(material: Material, finding: Finding, rule: int) -> dict[str, Any]:
    words = material.words
    kind, level = _KINDS[finding.outcome]
    identity = hashlib.sha256(f"{finding.check}\0{finding.attribute or ''}".encode()).hexdigest()
    return {
        "ruleId": finding.check,
        "ruleIndex": rule,
        "kind": kind,
        "level": level,
        "message": {"text": " ".join(words.finding_sentences(finding))},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": "submission.yaml"}, "region": {"startLine": 1}},
                "logicalLocations": [{"fullyQualifiedName": f"{finding.check}/{finding.attribute or 'all'}"}],
            }
        ],
        "partialFingerprints": {"finding/v1": identity},
        "properties": stated(
            {
                "outcome": finding.outcome.value,
                "outcomeInWords": words.outcome(finding.outcome),
                "attribute": finding.attribute,
                "measures": [m.model_dump(mode="json", exclude_none=True) for m in finding.measures],
                "law": [ref.model_dump(mode="json", exclude_none=True) for ref in finding.law],
            }
        ),
    }
