"""Make one more document from a stored dossier: any export there is, without the model and without the evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.finding import Figure
from model_cards.dossier import Assessment, Dossier
from model_cards.exports import exports
from model_cards.material import file_name
from model_cards.words import languages
from sandbox.errors import Problem, Refused
from sandbox.judge_again import read_dossier
from sandbox.whole import replace

FIGURE_KEY = b"figure"
"""Key in a figure's Parquet metadata under which its kind and parameters may stand, as JSON."""

DRAWN = ("markdown", "html", "pdf")
"""Exports that show drawings, which need a figure's kind and parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFormat:
    """One format there is.

    Args:
        name: as given to `--format`.
        standard: the standard it follows, with its version.
        suffix: what its file's name ends in.
    """

    name: str
    standard: str
    suffix: str


def formats() -> tuple[ExportFormat, ...]:
    """List the formats there are, by name."""
    return tuple(ExportFormat(name=e.FORMAT, standard=e.STANDARD, suffix=e.SUFFIX) for e in exports().values())


def export(
    dossier_folder: Path,
    format: str,  # noqa: A002  # the option's name
    *,
    lang: str,
    out: Path | None,
    public: Callable[[Assessment], Assessment] | None = None,
) -> Path:
    """Make one document from a dossier.

    Args:
        dossier_folder: of a dossier, as written by `assess`.
        format: one of `formats()`.
        lang: of `model_cards.words.languages()`.
        out: the file to write, or an existing folder to write it in under its usual name; None takes the current
            folder. A file of that name is replaced. Not the dossier itself: what is added to it later is no part of
            what its list of hashes and its signature cover, and `verify` says so.
        public: leaves out what may not be public, as `sandbox.publishing.publish` does; None for the whole.

    Returns:
        The file written; the same dossier gives the same bytes.

    Raises:
        Refused: the folder holds no dossier, or there is no such format or language.
        OSError: the file cannot be written.
    """
    chosen = exports().get(format)
    if chosen is None:
        known = ", ".join(exports())
        raise Refused(
            Problem(field="format", code="export.unknown", message=f"there is no export {format!r}; there are: {known}")
        )
    if lang not in languages():
        known = ", ".join(languages())
        raise Refused(
            Problem(field="lang", code="export.language", message=f"there are no words in {lang!r}; there are: {known}")
        )
    assessment, complete = read_assessment(dossier_folder)
    if public is not None:
        assessment = public(assessment)
    target = out or Path()
    if target.is_dir():
        target = target / f"{dossier_folder.resolve().name}.{format}.{lang}{chosen.SUFFIX}"
    made = dossier_folder / f"model_card.{lang}{chosen.SUFFIX}"
    if public is None and format in DRAWN and not complete and made.is_file():
        # The figures' files do not say how they are drawn, so the document made with the dossier is the better one.
        content = made.read_bytes()
    else:
        content = chosen.render(assessment, lang)
    _write(target, content)
    return target


def read_assessment(dossier_folder: Path) -> tuple[Assessment, bool]:
    """Read a dossier with its run and the data of its figures.

    Returns:
        The assessment, and whether every figure could be read with its kind and parameters. A figure without its file
        is left out; one whose file says no kind is a plain table.

    Raises:
        Refused: the folder holds no dossier, or a figure's file cannot be read.
    """
    dossier, run = read_dossier(dossier_folder)
    read = [_figure(dossier_folder, dossier, name) for name in dossier.figures]
    figures = tuple(figure for figure in read if figure is not None)
    complete = len(figures) == len(dossier.figures) and all(f.kind != "table" for f in figures)
    return Assessment(dossier=dossier, run=run, figures=figures), complete


def _figure(folder: Path, dossier: Dossier, name: str) -> Figure | None:
    path = folder / "figures" / f"{file_name(name)}.parquet"
    if not path.is_file():
        return None
    # Arrow is slow to import and not needed for a dossier without figures.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        known: dict[str, Any] = json.loads((table.schema.metadata or {}).get(FIGURE_KEY, b"{}"))
        return Figure(
            name=name,
            kind=known.get("kind", "table"),
            columns={n: tuple(table.column(n).to_pylist()) for n in table.column_names},
            params=known.get("params", {}),
            # A file without the mark: only figures of checks that compare groups are known to show no single rows.
            row_level=known.get("row_level", _shows_rows(dossier, name)),
        )
    except (pa.ArrowException, OSError, ValueError, AttributeError) as wrong:
        message = f"{path.name} is no figure that can be read; make the dossier anew"
        raise Refused(Problem(field=f"figures/{path.name}", code="dossier.unreadable", message=message)) from wrong


def _shows_rows(dossier: Dossier, name: str) -> bool:
    """Whether a figure without a mark may show single rows: unless it is the figure of a check that compares groups."""
    owner = next((f for f in dossier.findings if name in f.figures), None)
    return owner is None or owner.family not in ("fairness", "accuracy", "data_governance", "robustness")


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    replace(target, content)
