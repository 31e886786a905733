"""Registration data of Annex VIII, the sections that fit class and roles, as a draft for the EU database."""

from __future__ import annotations

from model_cards.dossier import Assessment
from model_cards.drafting import (
    Blank,
    Content,
    Part,
    answer_sentence,
    answered,
    draft,
    figures_of,
    items_of,
    material_of,
    measured,
    passage,
    published,
)
from model_cards.exports import html
from model_cards.material import Material

FORMAT = "annex_viii"
SUFFIX = ".html"
STANDARD = "Regulation (EU) 2024/1689, Annex VIII sections A, B and C, as amended by Regulation (EU) 2026/1744"

ITEMS = {
    "a": tuple(str(n) for n in range(1, 14)),
    "b": ("1", "2", "3", "4", "5", "6", "8"),
    "c": ("1", "2", "3", "4", "5"),
}
"""Items by section; B.7 and B.9 were deleted in 2026."""

NATIONAL = "provider_49_5"
"""Duty to register at national level, for critical infrastructure."""

SECTIONS = {"provider_49_1": "a", NATIONAL: "a", "provider_49_2": "b", "deployer_49_3": "c"}
"""Section that each duty of Art 49 asks for; which duties there are is for the rules of law to say."""

RESTRICTING = "restricted_section"
"""Remark beside a duty: the entry goes to the part of the database that is not public."""

RESTRICTED = {"a": ("6", "8", "9", "11", "12", "13"), "b": ("6",), "c": ("4", "5")}
"""Items that are left out for law enforcement, migration, asylum and border control (Art 49(4))."""


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the draft.

    Args:
        lang: of `model_cards.words.languages()`.

    Returns:
        UTF-8 HTML; the same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    words = material.words
    chosen = sections_for(material)
    restricted = _is_restricted(material)
    notes = [words(f"exports.{FORMAT}.{'owed' if chosen else 'not_owed'}")]
    if restricted:
        notes.append(words(f"exports.{FORMAT}.restricted"))
    parts = [
        Part(
            id=f"section-{section}",
            title=words(f"exports.{FORMAT}.sections.{section}.title"),
            intro=_intro(material, section),
            blanks=tuple(
                Blank(
                    title=words(f"exports.{FORMAT}.sections.{section}.items.{item}"),
                    contents=_contents(material, section, item),
                    note=words(f"exports.{FORMAT}.left_out")
                    if restricted and item in RESTRICTED[section]
                    else (words.find(f"exports.{FORMAT}.notes.{section}{item}") or ""),
                )
                for item in ITEMS[section]
            ),
        )
        # Where none is owed or the class is open, all are shown: the reader sees what would be asked.
        for section in (chosen or tuple(ITEMS))
    ]
    return html.render(assessment, lang, card=draft(material, FORMAT, parts, notes=notes))


def sections_for(material: Material) -> tuple[str, ...]:
    """Name the sections that the duties of this system ask for: A or B of its provider, C of a public deployer."""
    owed = {SECTIONS[duty.id] for duty in material.dossier.risk.duties if duty.id in SECTIONS}
    return tuple(section for section in ITEMS if section in owed)


def _intro(material: Material, section: str) -> tuple[str, ...]:
    """Say who registers, and from when by the answers."""
    words = material.words
    said = [words(f"exports.{FORMAT}.sections.{section}.who")]
    for duty in material.dossier.risk.duties:
        if SECTIONS.get(duty.id) != section:
            continue
        said.append(words(f"exports.{FORMAT}.from", date=words.date(duty.applies_from)))
        if duty.contested and duty.applies_from_other_reading is not None:
            said.append(words(f"exports.{FORMAT}.other", date=words.date(duty.applies_from_other_reading)))
        if duty.id == NATIONAL:
            said.append(words(f"exports.{FORMAT}.national"))
    return tuple(said)


def _is_restricted(material: Material) -> bool:
    return any(RESTRICTING in duty.notes for duty in material.dossier.risk.duties if duty.id in SECTIONS)


def _contents(material: Material, section: str, item: str) -> tuple[Content, ...]:
    dossier = material.dossier
    declaration = dossier.declaration
    system = declaration.system
    annex = items_of(material, "documentation.annex_iv")

    def stated(*keys: str) -> tuple[Content, ...]:
        return answered(published(declaration, *keys, part="annex_viii"), f"publication: annex_viii.{keys[0]}")

    who = (system.provider.name, system.provider.contact or "", system.provider.country or "")
    known: dict[str, tuple[Content, ...]] = {}
    if section in ("a", "b"):
        known = {
            "1": answered(" · ".join(part for part in who if part), "system.provider"),
            "2": stated("submitter"),
            "3": stated("authorised_representative"),
            "4": stated("trade_name") or answered(f"{system.name} {system.version}", "system.name"),
            "5": answered(system.intended_purpose, "system.intended_purpose")
            + passage(material, annex.get("annex_iv.1a"), "documentation.annex_iv"),
        }
    if section == "a":
        known |= {
            "6": stated("data_and_logic")
            + measured(_inputs_and_logic(material))
            + passage(material, annex.get("annex_iv.2b"), "documentation.annex_iv"),
            "7": stated("status") or answered(published(declaration, "status"), "publication: status"),
            "8": stated("certificate"),
            "9": stated("certificate_copy"),
            "10": stated("member_states"),
            "11": stated("declaration_of_conformity")
            + passage(material, annex.get("annex_iv.8"), "documentation.annex_iv"),
            "12": stated("instructions") + passage(material, annex.get("annex_iv.1h"), "documentation.annex_iv"),
            "13": stated("url"),
        }
    if section == "b":
        known |= {
            "6": stated("condition") or answered(answer_sentence(material, "derogation"), "answers: derogation"),
            "8": stated("status") or answered(published(declaration, "status"), "publication: status"),
        }
    if section == "c":
        known = {
            "1": stated("deployer")
            or (answered(" · ".join(part for part in who if part), "system.provider") if system.public_body else ()),
            "2": stated("submitter"),
            "3": stated("provider_entry_url"),
            "4": stated("fria_summary"),
            "5": stated("dpia_summary"),
        }
    return known[item]


def _inputs_and_logic(material: Material) -> tuple[str, ...]:
    words, dossier = material.words, material.dossier
    said = []
    data = dossier.declaration.data
    inputs = [name for name in dossier.submission.columns if data is None or data.role(name).is_feature]
    if inputs:
        said.append(words(f"exports.{FORMAT}.inputs", inputs=", ".join(inputs)))
    form = dossier.scan.get("format")
    if isinstance(form, str) and form:
        said.append(words(f"exports.{FORMAT}.form", format=form))
    said += [figures_of(material, f) for f in dossier.findings if f.check == "accuracy.overall" and f.measures]
    return tuple(said)
