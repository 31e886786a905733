"""A pack for the technical documentation in the order of Annex IV: what was found, what was measured, what is missing.

What was measured is offered as a draft for items 2(g), 3 and 4; whether any of it is adequate is not judged.
"""

from __future__ import annotations

from checks.finding import Finding
from model_cards.card import Block, Cell, Column, Table, Tone, line
from model_cards.dossier import Assessment
from model_cards.drafting import (
    Blank,
    Content,
    Part,
    answered,
    as_text,
    draft,
    figures_of,
    groups_table,
    items_of,
    material_of,
    measured,
    measures_table,
    passage,
    published,
    sentences,
    with_result,
    without_result,
)
from model_cards.exports import html
from model_cards.material import Material

FORMAT = "annex_iv_pack"
SUFFIX = ".html"
STANDARD = "Regulation (EU) 2024/1689, Annex IV (technical documentation, Art 11)"

CHECK = "documentation.annex_iv"

OFFERED = {"annex_iv.2g", "annex_iv.3", "annex_iv.4"}
"""Items that a measurement can be offered for as a draft."""


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the pack.

    Args:
        lang: of `model_cards.words.languages()`.

    Returns:
        UTF-8 HTML; the same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    words = material.words
    items = tuple(f"annex_iv.{key}" for key in words.many("documentation.items.annex_iv"))
    parts = [_overview(material, items), *(_point(material, point, items) for point in "123456789")]
    notes = [words(f"exports.{FORMAT}.not_judged")]
    if material.dossier.declaration.system.provider.size in ("micro", "small", "medium", "small_mid_cap"):
        notes.append(words(f"exports.{FORMAT}.simplified"))
    return html.render(assessment, lang, card=draft(material, FORMAT, parts, notes=notes))


def _overview(material: Material, items: tuple[str, ...]) -> Part:
    """Say of each item at a glance what there is, the missing ones first."""
    words = material.words
    found = items_of(material, CHECK)
    rows = []
    for item in items:
        contents = _contents(material, item)
        state = found[item].state if item in found else "not_found"
        origins = words.joined([words(f"exports.origins.{c.origin}") for c in contents])
        rows.append(
            (
                bool(contents),
                (
                    Cell(line=line(words.item(item, CHECK))),
                    Cell(
                        line=line(words.state(state, CHECK) if found else words(f"exports.{FORMAT}.no_documents")),
                        tone=Tone.PLAIN if state == "found" else Tone.MISSING,
                    ),
                    Cell(line=line(origins or words("exports.origins.empty"))),
                ),
            )
        )
    columns = (("field", 7), ("state", 3), ("content", 4))
    table = Table(
        caption=words(f"exports.{FORMAT}.overview"),
        columns=tuple(Column(title=words(f"exports.draft.{key}"), width=width) for key, width in columns),
        rows=tuple(row for _, row in sorted(rows, key=lambda pair: pair[0])),
    )
    return Part(
        id="overview",
        title=words(f"exports.{FORMAT}.overview"),
        intro=(words(f"exports.{FORMAT}.intro"),),
        blocks=(table,),
    )


def _point(material: Material, point: str, items: tuple[str, ...]) -> Part:
    words = material.words
    of_point = [item for item in items if item.removeprefix("annex_iv.")[0] == point]
    blocks: list[Block] = []
    if point == "2":
        blocks += measures_table(
            material,
            with_result(material, "accuracy", "fairness", "robustness", "cybersecurity", "privacy"),
            words(f"exports.{FORMAT}.offered_measures"),
        )
    if point == "3":
        blocks += groups_table(
            material, with_result(material, "accuracy", "fairness"), words(f"exports.{FORMAT}.offered_groups")
        )
    return Part(
        id=f"point-{point}",
        title=words(f"exports.{FORMAT}.points.{point}"),
        blanks=tuple(
            Blank(
                title=words.item(item, CHECK),
                contents=_contents(material, item),
                note=_not_found(material, item),
            )
            for item in of_point
        ),
        blocks=tuple(blocks),
    )


def _not_found(material: Material, item: str) -> str:
    given = items_of(material, CHECK).get(item)
    return material.words.state(given.state, CHECK) if given and given.state == "placeholder" else ""


def _contents(material: Material, item: str) -> tuple[Content, ...]:
    """Give what each source holds for an item: the documents first, then what was answered, then what was measured."""
    dossier = material.dossier
    system = dossier.declaration.system
    contents = passage(material, items_of(material, CHECK).get(item), CHECK)
    key = item.removeprefix("annex_iv.")
    contents += answered(published(dossier.declaration, key, part="annex_iv"), f"publication: annex_iv.{key}")
    if key == "1a":
        name = f"{system.name} {system.version}, {system.provider.name}. {system.intended_purpose}"
        contents += answered(name, "system")
    if key == "2d":
        contents += answered(_datasheet(material), "data.datasheet")
        contents += measured(sentences(material, "data_governance"))
    if key == "2h":
        contents += measured(sentences(material, "cybersecurity", "privacy"))
    if item in OFFERED:
        contents += measured(_offered(material, key))
    return contents


def _datasheet(material: Material) -> tuple[str, ...]:
    sheet = material.dossier.declaration.datasheet
    return tuple(f"{key}: {as_text(value).rstrip('.')}." for key, value in sheet.items() if as_text(value))


def _offered(material: Material, key: str) -> tuple[str, ...]:
    words, dossier = material.words, material.dossier
    if key == "4":
        measures = with_result(material, "accuracy", "fairness")
        said = tuple(
            f"{words.finding_title(f)}: {words.says(f, **material.declared())}" for f in _one_of_each(measures)
        )
    elif key == "3":
        said = tuple(figures_of(material, f) for f in with_result(material, "accuracy", "robustness"))
        said += sentences(material, "fairness", limited_only=True)
        if said:
            missing = without_result(material, "accuracy", "fairness", "robustness")
            said += tuple(words.finding_sentence(f) for f in missing)
    else:
        measures = with_result(material, "accuracy", "fairness", "robustness")
        said = (
            words(
                f"exports.{FORMAT}.tested",
                policy=f"{dossier.policy.name} {dossier.policy.version}",
                digest=dossier.submission.evidence_digest,
                date=words.date(dossier.risk.as_of),
            ),
            *sentences(material, "accuracy", "fairness", "robustness", limited_only=True),
            words(f"exports.{FORMAT}.unsigned"),
        )
        if not measures:
            return ()
    return (words("exports.draft.offered"), *said) if said else ()


def _one_of_each(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple({f.check: f for f in findings}.values())
