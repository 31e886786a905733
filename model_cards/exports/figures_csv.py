"""The measures and the data of all figures as CSV files in one zip.

Names and values come from the provider and may be hostile: a text that a spreadsheet would run as a formula is defused,
and numbers stay numbers. Figures of single rows stand apart, in `row_level/`, and never belong in a public package.
"""

from __future__ import annotations

from typing import Any

from checks.finding import Finding, Measure
from model_cards.dossier import Assessment
from model_cards.drafting import group_name, material_of, statement
from model_cards.material import Material, file_name
from model_cards.words import visible
from model_cards.writing import as_csv, zipped

FORMAT = "figures_csv"
SUFFIX = ".zip"
STANDARD = "CSV by RFC 4180 (UTF-8, comma, a header line), in a zip"

COLUMNS = (
    "check",
    "attribute",
    "group",
    "measure",
    "value",
    "low",
    "high",
    "unadjusted_low",
    "unadjusted_high",
    "rows",
    "unit",
    "interval",
    "definition",
    "at_least",
    "at_most",
    "limit_origin",
    "outcome",
    "reason",
)
"""Columns of `measures.csv`; `group` is empty where the measure is of the finding as a whole."""


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the zip.

    Args:
        lang: of `model_cards.words.languages()`; of the explanations, not of the column names.

    Returns:
        A zip with `about.txt`, `measures.csv`, and a file per figure; the same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    files = {
        "about.txt": _about(material),
        "measures.csv": as_csv(COLUMNS, [row for f in material.dossier.findings for row in _rows(material, f)]),
    }
    for figure in assessment.figures:
        folder = "row_level" if figure.row_level else "figures"
        rows = list(zip(*figure.columns.values(), strict=True))
        files[f"{folder}/{file_name(figure.name)}.csv"] = as_csv(tuple(figure.columns), rows)
    return zipped(files)


def _about(material: Material) -> bytes:
    words, dossier = material.words, material.dossier
    lines = [
        f"{dossier.declaration.system.name} {dossier.declaration.system.version}",
        *material.attestation(),
        statement(material),
        words("exports.figures_csv.about"),
        words("exports.figures_csv.defused"),
        words("exports.figures_csv.row_level"),
        f"{words('card.facts.digest')}: {dossier.digest}",
    ]
    return "".join(f"{visible(said)}\n" for said in lines).encode()


def _rows(material: Material, finding: Finding) -> list[tuple[Any, ...]]:
    rows = [_row(material, finding, m, "") for m in finding.measures]
    rows += [
        _row(material, finding, m, group_name(material.words, group))
        for group in finding.groups
        for m in group.measures
    ]
    if rows:
        return rows
    # A finding without a figure has its line too: what was not measured is not left out.
    reason = material.reason(finding.reason, finding.check)
    empty = ("",) * (len(COLUMNS) - 4)
    return [(finding.check, finding.attribute or "", *empty, finding.outcome.value, reason)]


def _row(material: Material, finding: Finding, m: Measure, group: str) -> tuple[Any, ...]:
    applied = finding.limit.get(m.name) if not group else None
    unadjusted = m.unadjusted or (None, None)
    return (
        finding.check,
        finding.attribute or "",
        group,
        m.name,
        m.value,
        m.low,
        m.high,
        *unadjusted,
        m.rows,
        m.unit,
        m.interval,
        m.definition,
        applied.at_least if applied else None,
        applied.at_most if applied else None,
        applied.origin if applied else "",
        applied.outcome.value if applied else ("" if group else finding.outcome.value),
        material.reason(m.reason, finding.check),
    )
