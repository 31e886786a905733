"""A draft of the fundamental rights impact assessment of Art 27, with who owes one and where the IAMA asks the same."""

from __future__ import annotations

from model_cards.dossier import Assessment
from model_cards.drafting import (
    Blank,
    Content,
    Part,
    answer,
    answer_sentence,
    answered,
    draft,
    figures_of,
    groups_table,
    items_of,
    material_of,
    measured,
    passage,
    published,
    sentences,
    with_result,
    without_result,
)
from model_cards.exports import html
from model_cards.material import Material

FORMAT = "fria"
SUFFIX = ".html"
STANDARD = "Regulation (EU) 2024/1689, Art 27(1)(a)-(f); cross references to the parts of the IAMA (2021)"

POINTS = {
    "a": ("processes",),
    "b": ("period", "frequency"),
    "c": ("affected",),
    "d": ("harms",),
    "e": ("oversight",),
    "f": ("measures", "governance", "complaints"),
}
"""What each point asks, as the publication file may answer it under `fria`."""


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the draft.

    Args:
        lang: of `model_cards.words.languages()`.

    Returns:
        UTF-8 HTML; the same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    words = material.words
    parts = [
        Part(
            id=f"point-{point}",
            title=words(f"exports.{FORMAT}.points.{point}.title"),
            intro=(words(f"exports.{FORMAT}.points.{point}.iama"),),
            blanks=tuple(
                Blank(
                    title=words(f"exports.{FORMAT}.points.{point}.fields.{key}"),
                    contents=_contents(material, key),
                )
                for key in keys
            ),
            blocks=groups_table(material, with_result(material, "fairness"), words(f"exports.{FORMAT}.by_group"))
            if point == "d"
            else (),
        )
        for point, keys in POINTS.items()
    ]
    notes = [words(f"exports.{FORMAT}.owed.{who_owes(material)}"), words(f"exports.{FORMAT}.who")]
    duty = next((d for d in material.dossier.risk.duties if d.id == "deployer_27"), None)
    if duty is not None:
        notes.append(words(f"exports.{FORMAT}.from", date=words.date(duty.applies_from)))
    notes.append(words(f"exports.{FORMAT}.template"))
    return html.render(assessment, lang, card=draft(material, FORMAT, parts, notes=notes))


def who_owes(material: Material) -> str:
    """Say who owes the assessment by the answers: `you`, `your_deployers`, `open` or `nobody_found`."""
    risk, system = material.dossier.risk, material.dossier.declaration.system
    if any(duty.id == "deployer_27" for duty in risk.duties):
        return "you"
    if risk.risk_class == "undetermined":
        return "open"
    if risk.risk_class == "high_risk_annex_iii" and "deployer" not in system.roles:
        return "your_deployers"
    return "nobody_found"


def _contents(material: Material, key: str) -> tuple[Content, ...]:
    declaration = material.dossier.declaration
    system, data = declaration.system, declaration.data
    stated = answered(published(declaration, key, part="fria"), f"publication: fria.{key}")
    annex = items_of(material, "documentation.annex_iv")
    manual = items_of(material, "documentation.instructions_for_use")
    match key:
        case "processes":
            return (
                stated
                + answered(system.intended_purpose, "system.intended_purpose")
                + passage(material, annex.get("annex_iv.1a"), "documentation.annex_iv")
                + passage(material, manual.get("instructions_for_use.b_i"), "documentation.instructions_for_use")
            )
        case "affected":
            asked = [
                q for q in ("users", "citizen_effect", "personal_data", "persons_decision") if answer(declaration, q)
            ]
            contents = stated + answered([answer_sentence(material, q) for q in asked], "answers")
            if data is not None and data.attributes:
                compared = material.words(f"exports.{FORMAT}.compared", attributes=", ".join(data.attributes))
                contents += measured((compared, *sentences(material, "data_governance.representation")))
            return contents
        case "harms":
            said = sentences(material, "fairness", limited_only=True) or tuple(
                figures_of(material, f) for f in with_result(material, "fairness")
            )
            missing = tuple(material.words.finding_sentence(f) for f in without_result(material, "fairness"))
            return (
                stated
                + measured((*said, *missing))
                + passage(material, annex.get("annex_iv.3"), "documentation.annex_iv")
                + passage(material, manual.get("instructions_for_use.b_iii"), "documentation.instructions_for_use")
            )
        case "oversight":
            return (
                stated
                + answered(published(declaration, "human_intervention"), "publication: human_intervention")
                + passage(material, annex.get("annex_iv.2e"), "documentation.annex_iv")
                + passage(material, manual.get("instructions_for_use.d"), "documentation.instructions_for_use")
            )
        case "measures":
            return stated + answered(published(declaration, "risks", "risk_management"), "publication: risks")
        case _:
            return stated
