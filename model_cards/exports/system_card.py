"""The system as a system card of the Dutch reporting standard, with its model card and assessment card, as YAML.

The standard is work in progress and asks for few fields; `docs/reference/system_card.schema.json` is our own reading of
its list of fields, and every card is held against it.
"""

from __future__ import annotations

import re
from typing import Any

from checks.declaration import Task
from checks.finding import Finding, Measure
from model_cards.dossier import Assessment
from model_cards.drafting import (
    HIGH_RISK,
    Origin,
    answer,
    as_text,
    figures_of,
    items_of,
    material_of,
    published,
    register_category,
    sentences,
    statement,
)
from model_cards.material import Material
from model_cards.writing import as_yaml, stated

FORMAT = "system_card"
SUFFIX = ".yaml"
STANDARD = "MinBZK algorithm reporting standard 0.1a14 (system, model and assessment card)"

VERSION = "0.1a14"

ROLES = {
    "provider": "aanbieder",
    "deployer": "gebruiksverantwoordelijke",
    "importer": "importeur",
    "distributor": "distributeur",
}
"""Roles as the standard names them; it has no word for the other two."""

REQUIREMENTS = {
    "4": "01",
    "5": "00",
    "6(4)": "02",
    "16(l)": "19",
    "26(7)": "24",
    "26(8)": "25",
    "53(1)(c)": "39",
    "9": "03",
    "10": "05",
    "11": "06",
    "12": "07",
    "13": "08",
    "14": "09",
    "15": "10",
    "17": "11",
    "18": "12",
    "19": "13",
    "43": "14",
    "47": "15",
    "48": "16",
    "49": "17",
    "20": "18",
    "27": "27",
    "50": "28",
    "72": "34",
    "73": "35",
    "86": "26",
}
"""Number of a requirement of the Algoritmekader by the article of the Act that it rests on."""

LISTS = {
    "interaction_details": "annex_iv.1b",
    "version_requirements": "annex_iv.1c",
    "deployment_variants": "annex_iv.1d",
    "hardware_requirements": "annex_iv.1e",
    "product_markings": "annex_iv.1f",
}
"""Fields of the standard that mirror an item of Annex IV."""


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the system card, with model card and assessment card inside.

    Args:
        lang: of `model_cards.words.languages()`; the values of the standard's own lists are Dutch in either.

    Returns:
        UTF-8 YAML; the same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    words = material.words
    heading = (words("exports.system_card.heading"), statement(material), *material.attestation())
    return as_yaml(card(material), heading)


def card(material: Material) -> dict[str, Any]:
    """Give the system card as JSON types; what nobody gave is left out, and its label says `empty`."""
    words, dossier = material.words, material.dossier
    declaration, risk = dossier.declaration, dossier.risk
    system = declaration.system
    fields = {
        "status": published(declaration, "status"),
        "begin_date": published(declaration, "begin_date"),
        "end_date": published(declaration, "end_date"),
        "goal_and_impact": published(declaration, "goal", "goal_and_impact"),
        "considerations": published(declaration, "proportionality", "considerations"),
        "risk_management": published(declaration, "risks", "risk_management"),
        "human_intervention": published(declaration, "human_intervention"),
        "used_data": published(declaration, "source_data", "used_data"),
        "technical_design": published(declaration, "methods_and_models", "technical_design"),
    }
    origins = {name: Origin.ANSWERED if value else Origin.EMPTY for name, value in fields.items()}
    if not fields["goal_and_impact"]:
        fields["goal_and_impact"], origins["goal_and_impact"] = system.intended_purpose, Origin.ANSWERED
    offered = {
        "risk_management": sentences(material, "fairness", "robustness", limited_only=True),
        "used_data": sentences(material, "data_governance"),
        "technical_design": tuple(
            figures_of(material, f) for f in dossier.findings if f.check == "cybersecurity.model_file"
        ),
    }
    for name, said in offered.items():
        if not fields[name] and said:
            fields[name] = f"{words('exports.draft.offered')} {' '.join(said)}"
            origins[name] = Origin.MEASURED
    basis = published(declaration, "lawful_basis", "legal_base")
    given = {
        "schema_version": VERSION,
        "provenance": _provenance(material),
        "name": system.name,
        "owners": [{"organization": system.provider.name, "email": _mail(system.provider.contact)}],
        "description": system.description or system.intended_purpose,
        "ai_act_profile": _profile(material),
        "requirements": _requirements(material),
        "labels": _labels(material, origins),
        **fields,
        "legal_base": [{"name": basis}] if basis else [],
        "external_providers": [{"name": name} for name in [published(declaration, "provider", "supplier")] if name],
        "references": [
            {"name": words.other_law(law.id), "link": law.source_url} for law in risk.other_law if law.source_url
        ],
        **_lists(material),
        "models": [model_card(material)] if declaration.data is not None else [],
        "assessments": [assessment_card(material)],
    }
    return stated(given)  # type: ignore[no-any-return]


def _provenance(material: Material) -> dict[str, Any]:
    run, dossier = material.assessment.run, material.dossier
    training = dossier.declaration.model.training if dossier.declaration.model else None
    return {
        "git_commit_hash": training.commit if training else None,
        "timestamp": run.ended if run is not None else f"{dossier.risk.as_of.isoformat()}T00:00:00+00:00",
        "uri": f"urn:sha256:{dossier.digest}",
        "author": f"aiact-sandbox {dossier.versions.get('aiact-sandbox', '')}".strip(),
    }


def _mail(contact: str | None) -> str | None:
    return contact if contact and re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", contact) else None


def _profile(material: Material) -> dict[str, Any]:
    dossier = material.dossier
    risk, declaration = dossier.risk, dossier.declaration
    given: dict[str, Any] = {
        "type": _kind(material),
        "role": [ROLES[r] for r in declaration.system.roles if r in ROLES],
    }
    opened = answer(declaration, "open_source")
    if opened and opened[0] in ("yes", "no"):
        given["open_source"] = "open-source" if opened[0] == "yes" else "geen open-source"
    if risk.risk_class in HIGH_RISK:
        given["risk_group"] = "hoog-risico AI"
    elif risk.risk_class in ("prohibited", "prohibited_unless_exception_proven"):
        given["risk_group"] = "verboden AI"
    elif risk.risk_class == "out_of_scope":
        given["risk_group"] = "uitzondering van toepassing"
    elif risk.risk_class in ("annex_iii_derogated", "transparency", "minimal"):
        given["risk_group"] = "geen hoog-risico AI"
    if any(overlay.startswith("gpai") for overlay in risk.overlays):
        given["systemic_risk"] = "systeemrisico" if "gpai_systemic" in risk.overlays else "geen systeemrisico"
    if any(overlay.startswith("art50") for overlay in risk.overlays):
        given["transparency_obligations"] = "transparantieverplichting"
    elif risk.risk_class not in ("undetermined", "out_of_scope", "not_ai_system"):
        given["transparency_obligations"] = "geen transparantieverplichting"
    words = material.words
    path = [
        {"question": words.question(step.question), "answer": _said(material, step.question, step.answer)}
        for step in risk.path
    ]
    given["decision_tree"] = {"version": f"aiact-sandbox {risk.rules_version}", "path": path}
    return given


def _said(material: Material, question: str, given: str) -> str:
    return material.words.joined([material.words.answer(question, option) for option in re.split(r",\s*", given)])


def _kind(material: Material) -> str:
    if material.dossier.risk.risk_class != "not_ai_system":
        return "AI-systeem"
    category, _ = register_category(material)
    return "niet-impactvol algoritme" if category == "Overige algoritmes" else "impactvol algoritme"


def _requirements(material: Material) -> list[dict[str, Any]]:
    found: dict[str, str] = {}
    for duty in material.dossier.risk.duties:
        article = re.sub(r"^AIA ", "", duty.provision).split(",")[0].strip()
        number = REQUIREMENTS.get(article) or REQUIREMENTS.get(re.split(r"[(\-]", article)[0])
        if number:
            found.setdefault(f"urn:nl:ak:ver:aia-{number}", duty.status)
    return [{"urn": urn, "state": state} for urn, state in sorted(found.items())]


def _labels(material: Material, origins: dict[str, Origin]) -> list[dict[str, str]]:
    words, dossier = material.words, material.dossier
    category, reason = register_category(material)
    given = {
        "draft": words("exports.draft.is_a_draft"),
        "statement": statement(material),
        "attestation": " ".join(material.attestation()),
        "system-version": dossier.declaration.system.version,
        "risk-class": dossier.risk.risk_class,
        "dossier-sha256": dossier.digest,
        "outcomes": words("outcomes.counts.line", **dossier.outcome_counts),
    }
    if dossier.declaration.system.public_body:
        given["algorithm-register-category"] = category or words(f"exports.algorithm_register.reasons.{reason}")
    given |= {f"origin/{name}": origin.value for name, origin in origins.items()}
    return [{"name": name, "value": value} for name, value in given.items()]


def _lists(material: Material) -> dict[str, Any]:
    items = items_of(material, "documentation.annex_iv")

    def passage(item: str) -> str:
        found = items.get(item)
        return as_text(found.params.get("passage")) if found and found.state in ("found", "short") else ""

    lists: dict[str, Any] = {name: [text] if (text := passage(item)) else [] for name, item in LISTS.items()}
    interface = passage("annex_iv.1g")
    return {**lists, "user_interface": [{"description": interface}] if interface else []}


def model_card(material: Material) -> dict[str, Any]:
    """Give the model card: one result with its metrics, groups as labels, and weights of features as a bar plot."""
    words, dossier = material.words, material.dossier
    declaration = dossier.declaration
    data, system = declaration.data, declaration.system
    assert data is not None
    file = data.file or next((given.file for given in (declaration.predictions, declaration.counts) if given), "")
    regression = data.task is Task.REGRESSION
    result = {
        "task": [
            {
                "task_type": "tabular-regression" if regression else "tabular-classification",
                "task_name": data.task.value,
            }
        ],
        "datasets": [
            {
                "type": "evaluation",
                "name": file,
                "features": list(dossier.submission.columns),
                "revision": dossier.submission.files.get(file, ""),
            }
        ],
        "metrics": [m for f in dossier.findings for m in _metrics(material, f)],
        "measurements": {"bar_plots": _bars(material)},
    }
    threshold = [] if data.threshold is None else [{"name": "threshold", "dtype": "float", "value": data.threshold}]
    artifacts = []
    if declaration.model is not None:
        artifacts = [{"uri": declaration.model.file, "content-type": "application/octet-stream"}]
    return {
        "provenance": _provenance(material),
        "name": system.name,
        "language": list(system.languages),
        "license": {"license_name": system.licence or words("outcomes.words.not_stated")},
        "tags": ["ai-act", f"risk-class-{dossier.risk.risk_class.replace('_', '-')}"],
        "owners": [{"organization": system.provider.name}],
        "model-index": [
            {
                "name": system.name,
                "model": declaration.model.file if declaration.model else words("exports.system_card.no_model"),
                "artifacts": artifacts,
                "parameters": threshold,
                "results": [result],
            }
        ],
    }


def _metrics(material: Material, finding: Finding) -> list[dict[str, Any]]:
    def one(m: Measure, labels: dict[str, str | None]) -> dict[str, Any]:
        bounds = (("low", m.low), ("high", m.high), ("rows", m.rows))
        return {
            "type": f"{finding.check}.{m.name}",
            "name": material.words.measure_name(finding.check, m.name),
            "dtype": "float",
            "value": m.value,
            "labels": [
                *(
                    {
                        "name": name,
                        "type": "group" if name != "feature" else "feature",
                        "dtype": "string",
                        "value": material.words.scalar(value),
                    }
                    for name, value in labels.items()
                ),
                *(
                    {"name": name, "type": "interval" if name != "rows" else "count", "dtype": "float", "value": bound}
                    for name, bound in bounds
                    if bound is not None
                ),
            ],
        }

    by = {"attribute": finding.attribute} if finding.attribute else {}
    whole = [one(m, dict(by)) for m in finding.measures if m.value is not None]
    groups = [one(m, dict(g.group)) for g in finding.groups for m in g.measures if m.value is not None]
    return whole + groups


def _bars(material: Material) -> list[dict[str, Any]]:
    explained = material.dossier.explanation
    if explained is None or not explained.global_:
        return []
    bars = [{"name": g.feature, "value": g.mean_abs} for g in explained.global_]
    return [{"type": "shap", "name": material.words.title("explainability.feature_importance"), "results": bars}]


def assessment_card(material: Material) -> dict[str, Any]:
    """Give the assessment card: each finding as a question with what was found, in words."""
    words, dossier = material.words, material.dossier
    run = material.assessment.run
    stamp = run.ended if run is not None else None
    return {
        "provenance": _provenance(material),
        "name": words("exports.system_card.assessment", system=dossier.declaration.system.name),
        "urn": f"urn:sha256:{dossier.digest}",
        "date": (stamp or dossier.risk.as_of.isoformat())[:10],
        "contents": [
            {
                "question": words.finding_title(finding),
                "urn": f"urn:aiact-sandbox:check:{finding.check}",
                "answer": " ".join(words.finding_sentences(finding)),
                "remarks": figures_of(material, finding),
                "authors": [{"name": "aiact-sandbox"}],
                "timestamp": stamp,
            }
            for finding in dossier.findings
        ]
        or [{"question": words("card.section.findings"), "answer": words("card.finding.none")}],
    }
