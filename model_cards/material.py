"""What the parts of a card are made from: one assessment, the words of one language, and its plots, drawn once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from checks.declaration import Route
from checks.finding import Figure, Finding, Outcome, Reason, Scalar
from model_cards.card import Cell, Column, Line, Picture, Table, Tone, line
from model_cards.dossier import Assessment, Dossier
from model_cards.words import Words

log = logging.getLogger(__name__)

ROWS_SHOWN = 40
"""Rows of a figure's table that a document shows; the complete data are beside it as Parquet."""

LONG_TABLE = 12
"""Rows of a figure's table above which paper shows the plot alone; the data are beside the document."""

TONES: Mapping[Outcome, Tone] = {
    Outcome.FAIL: Tone.BEYOND,
    Outcome.INCONCLUSIVE: Tone.UNDECIDED,
    Outcome.PASS: Tone.WITHIN,
    Outcome.MEASURED: Tone.QUIET,
    Outcome.NOT_GATHERED: Tone.MISSING,
    Outcome.NOT_APPLICABLE: Tone.QUIET,
    Outcome.ERROR: Tone.ERROR,
}
"""How each outcome is set off."""

WITHOUT_RESULT = (Outcome.ERROR, Outcome.NOT_GATHERED, Outcome.NOT_APPLICABLE)
"""Outcomes that come without a figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One assessment in one language.

    Args:
        assessment: dossier, run and the data of its figures.
        words: the language.
        drawings: SVG by figure name, as drawn so far.
    """

    assessment: Assessment
    words: Words
    drawings: dict[str, str] = field(default_factory=dict)

    @property
    def dossier(self) -> Dossier:
        """The dossier."""
        return self.assessment.dossier

    def figure(self, name: str) -> Figure | None:
        """Give the data of a figure, or None where they are not at hand."""
        return next((f for f in self.assessment.figures if f.name == name), None)

    def anchor(self, finding: Finding) -> str:
        """Give the section id of a finding: from its check, and its place among the attributes."""
        same = [f for f in self.dossier.findings if f.check == finding.check]
        slug = finding.check.replace(".", "-").replace("_", "-")
        return slug if len(same) == 1 else f"{slug}-{same.index(finding) + 1}"

    def declared(self) -> dict[str, Scalar]:
        """Give what the words of checks may name of the declaration."""
        declaration = self.dossier.declaration
        data = declaration.data
        unstated = self.words("outcomes.words.not_stated")
        return {
            "favourable": (data.favourable if data else None) or unstated,
            "adverse": declaration.adverse or unstated,
            "score_of": declaration.score_of or unstated,
            "label": (data.label if data else None) or unstated,
        }

    def fault(self) -> str | None:
        """Say what the model did not answer and why, or None where it answered everything."""
        fault = self.dossier.model_fault
        if fault is None:
            return None
        known = str(fault.get("code", "unknown"))
        why = self.words.find(f"reasons.values.fault.{known}") or known
        # Its answers to the rows themselves are all there; only what was made up of them was too much for it.
        which = "question_fault" if fault.get("rows_answered") else "model_fault"
        return self.words(f"card.attested.{which}", fault=why)

    def attestation(self) -> tuple[str, ...]:
        """Say whether it is a public package, who attests it and how: the first lines of everything that leaves."""
        words, run = self.words, self.assessment.run
        said = words(f"card.attested.{run.attested_by if run is not None else 'nobody'}")
        if run is not None and run.who:
            said = f"{said} {words('card.attested.by', who=run.who)}"
        sentences = [*self._publication(), said]
        match self.dossier.submission.route:
            case Route.MODEL:
                # Only the receipt shows that a cell ran; without one nothing may be said of it.
                if run is not None and run.receipt is not None:
                    sentences.append(words("card.attested.model"))
            case Route.PREDICTIONS | Route.COUNTS:
                sentences.append(words("card.attested.not_run"))
            case Route.DOCUMENTS:
                sentences.append(words("card.attested.documents"))
        fault = self.fault()
        if fault is not None:
            sentences.append(fault)
        return tuple(sentences)

    def _publication(self) -> tuple[str, ...]:
        words, public = self.words, self.dossier.publication
        if public is None:
            return ()
        said = words("card.public.package", below=public.suppress_below)
        if public.noise is None:
            return (said,)
        noise = public.noise.model_dump(exclude={"mechanism"})
        return said, words("card.public.noise", **{k: words.decimal(v) for k, v in noise.items()})

    def drawing(self, figure: Figure) -> str:
        """Draw a figure, once; an empty text where no drawing of its kind is known, which the document then says."""
        if figure.name not in self.drawings:
            self.drawings[figure.name] = _draw(figure, self.words)
        return self.drawings[figure.name]

    def pictures(self, finding: Finding) -> tuple[Picture, ...]:
        """Make the pictures of a finding, each with its figures as a table."""
        found = (self.figure(name) for name in finding.figures)
        title = self.words.finding_title(finding)
        return tuple(
            self.picture(figure, title, repeated=bool(finding.groups) or _is_long(figure))
            for figure in found
            if figure is not None
        )

    def picture(self, figure: Figure, title: str, *, repeated: bool = False) -> Picture:
        """Make the picture of one figure."""
        kind = self.words.find(f"outcomes.figures.{figure.kind}") or figure.kind
        from model_cards.plots import in_words

        # Of several curves each must say which it is.
        caption = in_words(figure, self.words)[0] if figure.kind == "effect" else f"{title}: {kind}"
        svg = self.drawing(figure)
        return Picture(
            name=figure.name,
            caption=caption,
            # Without a drawing there is only the table, which speaks for itself.
            alternative=self._alternative(figure, caption) if svg else "",
            svg=svg,
            figures=self.table_of(figure, caption),
            repeated=repeated,
        )

    def table_of(self, figure: Figure, caption: str) -> Table:
        """Set out a figure's data as a table, cut to what a reader can use."""
        # Of everyone together there is no group to name.
        names = [n for n, column in figure.columns.items() if n != "group" or any(v is not None for v in column)]
        rows = list(zip(*(figure.columns[name] for name in names), strict=True))
        note: Line = ()
        if len(rows) > ROWS_SHOWN:
            note = line(
                self.words("card.finding.columns_cut", shown=ROWS_SHOWN, all=len(rows), name=file_name(figure.name))
            )
        return Table(
            caption=caption,
            columns=tuple(
                Column(title=self.column_name(name), number=_is_numeric(figure.columns[name])) for name in names
            ),
            rows=tuple(
                tuple(Cell(line=line(self._cell(figure, name, value))) for name, value in zip(names, row, strict=True))
                for row in rows[:ROWS_SHOWN]
            ),
            note=note,
        )

    def column_name(self, name: str) -> str:
        """Name a column of a figure; one without words keeps its own name."""
        return self.words.find(f"outcomes.columns.{name}") or name.replace("_", " ").capitalize()

    def _cell(self, figure: Figure, name: str, value: Scalar) -> str:
        if value is None:
            return self.words("outcomes.words.not_stated") if name == "group" else "–"
        if isinstance(value, float) and name in ("value", "low", "high", "rate"):
            return self.words.number(value, str(figure.params.get("unit", "")))
        return self.words.scalar(value)

    def _alternative(self, figure: Figure, caption: str) -> str:
        """Say in words what the plot shows."""
        # As for drawing: what words a plot comes with is known where it is drawn.
        from model_cards.plots import in_words

        return f"{caption}. {in_words(figure, self.words)[1]}"

    def reason(self, reason: Reason | None, check: str) -> str:
        """Say a reason, or nothing."""
        return self.words.reason(reason, check) if reason is not None else ""


def file_name(name: str) -> str:
    """Make a file name of a figure's name: what is neither a letter, a digit, a dot, `-` nor `_` becomes its number."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else f"~{ord(c):x}~" for c in name)
    return kept.lstrip(".") or "figure"


def _is_long(figure: Figure) -> bool:
    return any(len(column) > LONG_TABLE for column in figure.columns.values())


def _is_numeric(values: tuple[Scalar, ...]) -> bool:
    known = [v for v in values if v is not None]
    return bool(known) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)


def _draw(figure: Figure, words: Words) -> str:
    # Drawing needs matplotlib, which is slow to import and not needed where a dossier has no figures.
    from model_cards.plots import draw

    return draw(figure, words)
