"""The system as an ML-BOM: model, evaluation data, what measured it, figures per group and fairness assessments.

The library writes the bill of materials; it knows no model card yet, so that part is added to its JSON, and the tests
hold the whole against the standard's own schema, by the library's validator.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

from checks.declaration import Task
from checks.finding import Finding, Measure
from model_cards.dossier import Assessment
from model_cards.drafting import (
    group_name,
    material_of,
    published,
    register_category,
    sentences,
    statement,
    with_result,
    without_result,
)
from model_cards.material import Material
from model_cards.words import visible
from model_cards.writing import as_json, stated

FORMAT = "cyclonedx"
SUFFIX = ".cdx.json"
STANDARD = "CycloneDX 1.6 ML-BOM (ECMA-424), JSON"

OF_ALL = "all"
"""The slice of a metric that is of everyone."""

_NAMESPACE = uuid.UUID("6f1e0d5c-9f0e-5c0a-8b57-0a1d6f7e2c11")


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the bill of materials.

    Args:
        lang: of `model_cards.words.languages()`.

    Returns:
        UTF-8 JSON that follows the schema of CycloneDX 1.6; the same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    bill = _bill(material)
    component = bill["metadata"]["component"]
    if component["type"] == "machine-learning-model":
        # The standard allows a model card on this type alone.
        component["modelCard"] = _model_card(material)
    for inner in bill.get("components", []):
        if inner["bom-ref"] == "evaluation-data":
            inner["data"] = [_data(material)]
    return as_json(bill)


def _bill(material: Material) -> dict[str, Any]:
    # The library is slow to import and not needed for other documents.
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.contact import OrganizationalEntity
    from cyclonedx.model.license import DisjunctiveLicense
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.output.json import JsonV1Dot6

    dossier = material.dossier
    declaration, risk = dossier.declaration, dossier.risk
    system = declaration.system

    def hashes(file: str | None) -> list[HashType]:
        digest = dossier.submission.files.get(file or "")
        return [HashType(alg=HashAlgorithm.SHA_256, content=digest)] if digest else []

    provider = OrganizationalEntity(name=visible(system.provider.name))
    category, _ = register_category(material)
    properties = {
        "statement": statement(material),
        "attestation": " ".join(material.attestation()),
        "language": material.words.lang,
        "risk_class": risk.risk_class,
        "risk_class_in_words": material.words.class_name(risk.risk_class),
        "rules_version": risk.rules_version,
        "as_of": risk.as_of.isoformat(),
        "route": dossier.submission.route.value,
        "policy": f"{dossier.policy.name} {dossier.policy.version}",
        "dossier_sha256": dossier.digest,
        "submission_sha256": dossier.submission.digest,
        **{f"findings_{key}": str(count) for key, count in dossier.outcome_counts.items()},
        **({"algorithm_register_category": category} if system.public_body and category else {}),
    }
    component = Component(
        bom_ref="system",
        name=visible(system.name),
        version=visible(system.version),
        type=ComponentType.MACHINE_LEARNING_MODEL if declaration.data is not None else ComponentType.APPLICATION,
        description=visible(system.intended_purpose),
        supplier=provider,
        publisher=visible(system.provider.name),
        licenses=[DisjunctiveLicense(name=visible(system.licence))] if system.licence else None,
        hashes=hashes(declaration.model.file if declaration.model else None),
        properties=[Property(name=f"aiact-sandbox:{k}", value=visible(v)) for k, v in properties.items()],
    )
    parts = []
    file = _data_file(material)
    if file is not None:
        parts.append(
            Component(bom_ref="evaluation-data", name=visible(file), type=ComponentType.DATA, hashes=hashes(file))
        )
    tools = [
        Component(
            bom_ref=f"tool-{name}",
            name=name,
            version=version,
            type=ComponentType.APPLICATION if name == "aiact-sandbox" else ComponentType.LIBRARY,
        )
        for name, version in sorted(dossier.versions.items())
    ]
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, f"{dossier.digest}:{material.words.lang}"),
        components=parts,
        metadata=BomMetaData(
            component=component,
            supplier=provider,
            tools=ToolRepository(components=tools),
            timestamp=dt.datetime(risk.as_of.year, risk.as_of.month, risk.as_of.day, tzinfo=dt.UTC),
        ),
    )
    bom.register_dependency(component, parts)
    given: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    return given


def _data_file(material: Material) -> str | None:
    declaration = material.dossier.declaration
    if declaration.data is not None and declaration.data.file:
        return declaration.data.file
    named = declaration.predictions or declaration.counts
    return named.file if named is not None else None


def _data(material: Material) -> dict[str, Any]:
    words, declaration = material.words, material.dossier.declaration
    assert declaration.data is not None
    groups = [words("exports.cyclonedx.sensitive", attribute=name) for name in declaration.data.attributes]
    return stated(  # type: ignore[no-any-return]
        {
            "type": "dataset",
            "name": _data_file(material),
            "description": " ".join(sentences(material, "data_governance")),
            "sensitiveData": groups,
            "governance": {"owners": [{"organization": {"name": declaration.system.provider.name}}]},
        }
    )


def _model_card(material: Material) -> dict[str, Any]:
    words, dossier = material.words, material.dossier
    declaration = dossier.declaration
    data, model = declaration.data, declaration.model
    assert data is not None
    limitations = [
        f"{words.finding_title(f)}: {words.says_not(f, **material.declared())}"
        for f in with_result(material, "fairness", "accuracy", "robustness", "explainability")
    ]
    missing = [
        words.finding_sentence(f) for f in without_result(material, *dict.fromkeys(f.family for f in dossier.findings))
    ]
    output = {
        "format": "; ".join(
            [model.output.value if model else "decision", *(data.classes if data.task is not Task.REGRESSION else ())]
        )
    }
    architecture = [str(t) for t in dossier.scan.get("types", []) if isinstance(t, str)]
    return stated(  # type: ignore[no-any-return]
        {
            "bom-ref": "model-card",
            "modelParameters": {
                "task": "regression" if data.task is Task.REGRESSION else f"{data.task.value} classification",
                "architectureFamily": str(dossier.scan.get("format", "")),
                "modelArchitecture": ", ".join(architecture[:5]),
                "datasets": [{"ref": "evaluation-data"}] if _data_file(material) else [],
                "inputs": [{"format": name} for name in _inputs(material)],
                "outputs": [output],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [m for f in dossier.findings for m in _metrics(material, f)],
            },
            "considerations": {
                "users": [published(declaration, "users")],
                "useCases": [declaration.system.intended_purpose],
                "technicalLimitations": [statement(material), *material.attestation(), *limitations, *missing],
                "ethicalConsiderations": [
                    {
                        "name": " ".join(words.finding_sentences(f, f.outcome, short=True)),
                        "mitigationStrategy": _mitigation(material),
                    }
                    for f in with_result(material, "fairness", "privacy")
                    if f.outcome == "fail"
                ],
                "fairnessAssessments": [
                    a for f in with_result(material, "fairness") for a in _assessments(material, f)
                ],
            },
            "properties": [
                {
                    "name": f"aiact-sandbox:outcome/{f.check}{f'/{f.attribute}' if f.attribute else ''}",
                    "value": f.outcome,
                }
                for f in dossier.findings
            ],
        }
    )


def _inputs(material: Material) -> list[str]:
    data = material.dossier.declaration.data
    return [name for name in material.dossier.submission.columns if data is None or data.role(name).is_feature]


def _metrics(material: Material, finding: Finding) -> list[dict[str, Any]]:
    """Give each measure with a value, of everyone and of each group, with its interval."""
    whole = OF_ALL if finding.attribute is None else f"{OF_ALL}, by {finding.attribute}"
    given = [_metric(finding, m, whole) for m in finding.measures if m.value is not None]
    given += [
        _metric(finding, m, group_name(material.words, group))
        for group in finding.groups
        for m in group.measures
        if m.value is not None
    ]
    return given


def _metric(finding: Finding, m: Measure, of: str) -> dict[str, Any]:
    interval = None
    if m.low is not None and m.high is not None:
        interval = {"lowerBound": repr(m.low), "upperBound": repr(m.high)}
    return {
        "type": f"{finding.check}.{m.name}",
        "value": repr(m.value),
        "slice": of,
        "confidenceInterval": interval,
    }


def _assessments(material: Material, finding: Finding) -> list[dict[str, Any]]:
    """Say for each group what was measured; whether it is a harm is for a person to say."""
    words = material.words
    rows = []
    for group in finding.groups:
        said = [
            f"{words.measure_name(finding.check, m.name)} {words.value(m)}"
            for m in group.measures
            if m.value is not None
        ]
        if said:
            small = f" {words('exports.cyclonedx.too_small')}" if group.too_small else ""
            rows.append(
                {
                    "groupAtRisk": group_name(words, group),
                    "harms": words(
                        "exports.cyclonedx.assessed",
                        title=words.finding_title(finding),
                        figures="; ".join(said),
                        rows=group.rows,
                        outcome=words.outcome(finding.outcome),
                    )
                    + small,
                    "mitigationStrategy": _mitigation(material),
                }
            )
    return rows


def _mitigation(material: Material) -> str:
    given = published(material.dossier.declaration, "risks", "risk_management")
    return given or material.words("exports.cyclonedx.no_mitigation")
