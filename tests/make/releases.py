"""Builders of public packages, and somebody who tries to find a count that was left out of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linprog

from checks import policy
from checks.ai_act.classify import classify
from checks.ai_act.rules import load
from checks.judge import judge
from checks.registry import catalogue
from model_cards.dossier import Assessment, Dossier, Run, compose
from tests.make import evidence as make
from tests.make.assessments import AS_OF, assessment

Cells = Mapping[tuple[int, int], int]
"""Rows by label and decision, both 0 or 1."""


def counted(
    groups: Mapping[str, Cells], *, attribute: str = "origin", data_digest: str = "aa" * 32, **declared: Any
) -> Assessment:
    """Make the assessment of one attribute's counts, by every check there is."""
    rows = [(g, label, decision, n) for g, cells in groups.items() for (label, decision), n in cells.items() if n]
    return judged(rows, (attribute,), data_digest, **declared)


def judged(
    rows: Sequence[tuple[Any, ...]], attributes: tuple[str, ...], data_digest: str = "aa" * 32, **declared: Any
) -> Assessment:
    """Make the assessment of counts by one or more attributes, by every check there is."""
    sealed = make.by_counts(rows, attributes=attributes, **declared)
    terms = policy.load("default")
    counts = sealed.declaration.counts
    assert counts is not None
    dossier, figures = compose(
        sealed,
        [j for check in catalogue() for j in judge(check, sealed, terms)],
        classify(sealed.declaration, load(), as_of=AS_OF),
        terms,
        files={"submission.yaml": "01" * 32, counts.file: data_digest},
        versions={"aiact-sandbox": "0.1.0"},
    )
    usual = assessment().run
    assert isinstance(usual, Run)
    run = usual.model_copy(update={"dossier_digest": dossier.digest, "receipt": None, "who": "jansen"})
    return Assessment(dossier=dossier, run=run, figures=figures)


def write(folder: Path, made: Assessment) -> Path:
    """Write the two files that a package is made from."""
    folder.mkdir(parents=True)
    assert made.run is not None
    (folder / "dossier.json").write_bytes(made.dossier.to_json())
    (folder / "run.json").write_bytes(made.run.to_json())
    return folder


class Attacker:
    """Knows every group by name, and that all counts are whole and not negative; writes down all that is public.

    Args:
        groups: names of all groups.
        releases: number of packages about the same people, by different systems.
    """

    RATES: Mapping[str, tuple[set[tuple[int, int]], set[tuple[int, int]]]] = {
        "selection_rate": ({(0, 1), (1, 1)}, {(0, 0), (0, 1), (1, 0), (1, 1)}),
        "adverse_rate": ({(0, 0), (1, 0)}, {(0, 0), (0, 1), (1, 0), (1, 1)}),
        "accuracy": ({(0, 0), (1, 1)}, {(0, 0), (0, 1), (1, 0), (1, 1)}),
        "true_positive_rate": ({(1, 1)}, {(1, 0), (1, 1)}),
        "false_positive_rate": ({(0, 1)}, {(0, 0), (0, 1)}),
        "precision": ({(1, 1)}, {(0, 1), (1, 1)}),
        "class[no]": ({(0, 0), (0, 1)}, {(0, 0), (0, 1), (1, 0), (1, 1)}),
        "class[yes]": ({(1, 0), (1, 1)}, {(0, 0), (0, 1), (1, 0), (1, 1)}),
    }

    def __init__(self, groups: Iterable[str], releases: int = 1) -> None:
        self.groups = tuple(groups)
        self.releases = releases
        cells = [(0, 0), (0, 1), (1, 0), (1, 1)]
        places = [(r, g, c) for r in range(releases) for g in self.groups for c in cells]
        self.at = {place: i for i, place in enumerate(places)}
        self.lines: list[tuple[np.ndarray[Any, Any], float]] = []
        for g in self.groups:
            for r in range(1, releases):
                # The same people have the same labels, whatever system decides.
                for label in (0, 1):
                    row = self._line(0, [g], {(label, 0), (label, 1)}) - self._line(r, [g], {(label, 0), (label, 1)})
                    self.lines.append((row, 0.0))

    def _line(self, release: int, groups: Iterable[str], cells: Iterable[tuple[int, int]]) -> np.ndarray[Any, Any]:
        row = np.zeros(len(self.at))
        for g in groups:
            for c in cells:
                row[self.at[release, g, c]] += 1.0
        return row

    def learn(self, dossier: Dossier, made: Assessment, attribute: str, release: int = 0) -> None:
        """Write down every count, rate and bar of a public package."""
        for table in dossier.counts:
            for group, label, decision, rows in zip(
                *(table.columns[n] for n in ("group", "label", "decision", "rows")), strict=True
            ):
                if table.attribute in ("", attribute):
                    who = self.groups if table.attribute == "" else [str(group)]
                    self._fact(release, who, {(int(label or 0), int(decision or 0))}, float(rows or 0))
            if table.attribute in ("", attribute):
                self._absent_are_zero(release, table.columns, table.attribute == "")
        for finding in dossier.findings:
            for group in finding.groups:
                if set(group.group) != {attribute}:
                    continue
                name = str(group.group[attribute])
                self._fact(release, [name], self.RATES["selection_rate"][1], group.rows)
                for m in group.measures:
                    self._rate(release, name, m.name, m.value, m.rows)
        for figure in made.figures:
            if figure.params.get("attribute") != attribute or "group" not in figure.columns:
                continue
            measure = str(figure.params["measure"])
            columns = figure.columns
            for i, group in enumerate(columns["group"]):
                named = f"class[{columns['class'][i]}]" if measure == "class" else measure
                value = columns["value"][i]
                if named in self.RATES and isinstance(value, float):
                    count = round(value * self._denominator(columns["rows"][i]))
                    if measure in ("class", "selection_rate"):
                        self._fact(release, [str(group)], self.RATES[named][0], count)

    def _absent_are_zero(self, release: int, columns: Mapping[str, Sequence[Any]], everyone: bool) -> None:
        present = set(zip(columns["group"], columns["label"], columns["decision"], strict=True))
        for group in {g for g, _, _ in present}:
            for cell in ((0, 0), (0, 1), (1, 0), (1, 1)):
                if (group, *cell) not in present:
                    self._fact(release, self.groups if everyone else [str(group)], {cell}, 0)

    @staticmethod
    def _denominator(rows: Any) -> float:
        return float(rows)

    def _rate(self, release: int, group: str, name: str, value: float | None, rows: int) -> None:
        if name in self.RATES and value is not None:
            over, under = self.RATES[name]
            self._fact(release, [group], under, rows)
            self._fact(release, [group], over, round(value * rows))

    def _fact(self, release: int, groups: Iterable[str], cells: Iterable[tuple[int, int]], value: float) -> None:
        self.lines.append((self._line(release, groups, cells), float(value)))

    def bracket(self, release: int, group: str, cells: Iterable[tuple[int, int]]) -> tuple[float, float]:
        """Work out between which bounds a count must lie, from everything written down."""
        aim = self._line(release, [group], cells)
        matrix = np.array([row for row, _ in self.lines])
        values = np.array([value for _, value in self.lines])
        ends = []
        for sign in (1.0, -1.0):
            solved = linprog(sign * aim, A_eq=matrix, b_eq=values, bounds=(0, None), method="highs")
            assert solved.status == 0, solved.message
            ends.append(sign * float(solved.fun or 0.0))
        return ends[0], ends[1]
