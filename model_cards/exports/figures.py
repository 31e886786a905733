"""The measures and the data of all figures in one zip, each as CSV and as Parquet.

Names and values come from the provider and may be hostile: a text that a spreadsheet would run as a formula is defused,
and numbers stay numbers. Figures of single rows stand apart, in `row_level/`, and never belong in a public package.
"""

from __future__ import annotations

from typing import Any

from checks.finding import Figure, Finding, Measure
from model_cards.dossier import Assessment
from model_cards.drafting import group_name, material_of, statement
from model_cards.material import Material, file_name
from model_cards.words import visible
from model_cards.writing import as_csv, parquet, zipped

FORMAT = "figures"
SUFFIX = ".zip"
STANDARD = "CSV by RFC 4180 (UTF-8, comma, a header line) and Apache Parquet 2.6, in a zip"

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
"""Columns of the measures; `group` is empty where the measure is of the finding as a whole."""


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the zip.

    Args:
        lang: of `model_cards.words.languages()`; of the explanations, not of the column names.

    Returns:
        A zip with `about.txt`, the measures and every figure, each as `.csv` and `.parquet`; the same assessment gives
        the same bytes. Texts in Parquet are as they were given: no program takes them for formulas.
    """
    material = material_of(assessment, lang)
    rows = [row for f in material.dossier.findings for row in _rows(material, f)]
    columns = {name: tuple(row[i] for row in rows) for i, name in enumerate(COLUMNS)}
    measures = Figure(name="measures", kind="table", columns=columns)
    files = {"about.txt": _about(material)}
    for figure in (measures, *assessment.figures):
        folder = "" if figure is measures else "row_level/" if figure.row_level else "figures/"
        name = f"{folder}{file_name(figure.name)}"
        files[f"{name}.csv"] = as_csv(tuple(figure.columns), list(zip(*figure.columns.values(), strict=True)))
        files[f"{name}.parquet"] = parquet(figure)
    return zipped(files)


def _about(material: Material) -> bytes:
    words, dossier = material.words, material.dossier
    lines = [
        f"{dossier.declaration.system.name} {dossier.declaration.system.version}",
        *material.attestation(),
        statement(material),
        words("exports.figures.about"),
        words("exports.figures.defused"),
        words("exports.figures.row_level"),
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
    empty = (None,) * (len(COLUMNS) - 4)
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
