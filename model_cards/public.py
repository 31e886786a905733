"""Make of an assessment what may be public: no rows, no single decisions, and no count of a group that is too small.

One reduced assessment goes in where the whole one would: every document, figure and export is then made as always, from
what is left. So nothing has to be left out in many places, and nothing can be left in by one of them.

Assumes of its caller: the depths come from `model_cards.suppression.decide`, through the record of earlier decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from checks.finding import Figure, Finding, GroupMeasures, Item, Measure, Reason
from checks.registry import catalogue
from model_cards.dossier import Assessment, CountTable, Dossier, Noise, Publication, SubmissionFacts
from model_cards.suppression import Counts, Depth, counts_of, decide

NOT_PUBLIC: Final = "–"
"""Stands where a digest stood: a hash of a small table of counts can be tried out until the counts are found."""

WITHHELD: Final = "withheld_in_public"
"""Code of the reason that a finding gives whose figures are kept in."""

ITEMS_LEAVE: Final = ("accuracy", "cybersecurity", "documentation")
"""Families whose items are about documents, files and claims; items of others may be about single people."""

MEASURE_DEPTH: Final[Mapping[str, Depth]] = {
    "group_share": Depth.ROWS,
    "population_share": Depth.ROWS,
    "selection_rate": Depth.DECISIONS,
    "adverse_rate": Depth.DECISIONS,
    "accuracy": Depth.EVERYTHING,
    "false_positive_rate": Depth.EVERYTHING,
    "precision": Depth.EVERYTHING,
    "true_positive_rate": Depth.EVERYTHING,
    "unlabelled": Depth.EVERYTHING,
}
"""From which depth on a group's measure leaves, for measures that follow from the count table."""

CHECK_DEPTH: Final[Mapping[str, Depth]] = {
    "data_governance.population": Depth.ROWS,
    "data_governance.representation": Depth.ROWS,
    "fairness.intersections": Depth.DECISIONS,
    "fairness.selection_rate": Depth.DECISIONS,
}
"""From which depth on of all groups a finding's headline measures leave; all others need everything."""

KINDS_LEAVE: Final = ("bars", "calibration", "group_rates", "importance")
"""Kinds of figures that can leave; one that is not known here may draw single rows, as a curve over scores does."""

NOT_COUNTS: Final = ("auc", "mean_gap", "expected_gap")
"""Measures of a group that count nobody: from them and the rows no number of people follows."""

OF_EVERYONE: Final = ("data_governance.label_balance", "robustness.missing_inputs", "robustness.small_changes")
"""Checks that show groups, but whose headline measures are of everyone together."""

NEVER: Final = ("privacy",)
"""Families whose figures are about how well people can be found in the data: their outcomes leave, no figures."""

PAIR: Final = 2
"""Attributes of a crossing that can leave, at most."""

HARMLESS: Final = ("fairness.protected_input",)
"""Checks of an attribute that say nothing of its groups."""

Depths = Mapping[str, Mapping[str | None, Depth]]
"""Depth of each group, by attribute or pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """An assessment that may be public.

    Args:
        assessment: what is left.
        withheld: number of groups of which something is kept in, by attribute or pair; those with none are left out.
    """

    assessment: Assessment
    withheld: Mapping[str, int]


def tables(dossier: Dossier) -> dict[str, Counts]:
    """Read the count tables of a dossier by attribute or pair, without that of everyone.

    Three attributes crossed never leave: they nearly always have small groups, which would keep every pair in as well.
    """
    data = dossier.declaration.data
    classes = len(data.classes) if data is not None else 0
    crossing = {t.attribute: data.crossing(t.attribute) if data is not None else None for t in dossier.counts}
    return {
        t.attribute: counts_of(t, classes)
        for t in dossier.counts
        if t.attribute and len(crossing[t.attribute] or ()) <= PAIR
    }


def pairs(dossier: Dossier) -> Mapping[str, tuple[str, ...]]:
    """Give the attributes of each count table that crosses two or more, by the table's name.

    A table that is of no attribute is taken for a pair, and if no attributes fit it, for one of two that are not
    there: then nothing of it leaves. The declaration's own list is not used, for the order of attributes is
    lost in a stored dossier.
    """
    data = dossier.declaration.data
    single = data.attributes if data is not None else ()
    crossing = {name: data.crossing(name) if data is not None else None for name in tables(dossier)}
    return {name: parts or ("", "") for name, parts in crossing.items() if name not in single}


def depths_alone(dossier: Dossier, minimum: int) -> dict[str, dict[str | None, Depth]]:
    """Decide the depths of a dossier on its own, as if nothing about its data had left before."""
    decided = {name: decide(counts, minimum) for name, counts in tables(dossier).items()}
    return settle_pairs(decided, pairs(dossier))


def settle_pairs(
    decided: Mapping[str, Mapping[str | None, Depth]], named: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str | None, Depth]]:
    """Let the pairs of attributes leave whole and all together, or none of them.

    The groups of a pair add up to those of its attributes, and three pairs hang together: what leaves of one bounds
    another.
    """
    everything = all(
        depth is Depth.EVERYTHING
        for name in {*named, *(part for both in named.values() for part in both)}
        for depth in (decided[name].values() if name in decided else (Depth.NOTHING,))
    )
    return {
        name: dict(groups) if name not in named or everything else dict.fromkeys(groups, Depth.NOTHING)
        for name, groups in decided.items()
    }


def reduce(assessment: Assessment, depths: Depths, minimum: int, noise: Noise | None = None) -> Reduced:
    """Leave out of an assessment what may not be public.

    Args:
        assessment: the whole one.
        depths: of every group of every count table.
        minimum: fewest people that a figure of its own (a bar, a bin) may stand for.
        noise: that the assessment's counts were given before.

    Returns:
        What is left: a dossier of its own, with its own digest; its run names neither person nor machine.
    """
    whole = assessment.dossier
    rows = {name: {g: counts.rows(g) for g in counts.groups} for name, counts in tables(whole).items()}
    row_level = {f.name for f in assessment.figures if f.row_level}
    # Some checks are calculations for the provider alone, and never stand in a public document.
    kept_in = {check.code for check in catalogue() if not check.public}
    shown = [f for f in whole.findings if f.check not in kept_in]
    findings = [_finding(f, depths, rows, row_level, minimum, pairs(whole)) for f in shown]
    attribute_of = {name: f.attribute for f in whole.findings for name in f.figures}
    check_of = {name: f.check for f in whole.findings for name in f.figures}
    figures = []
    for figure in assessment.figures:
        if check_of.get(figure.name) in kept_in:
            continue
        left = _figure(figure, check_of.get(figure.name, ""), attribute_of.get(figure.name), depths, minimum)
        if left is not None:
            figures.append(left)
    names = {f.name for f in figures}
    dossier = whole.model_copy(
        update={
            "submission": _submission(whole),
            "findings": tuple(
                f.model_copy(update={"figures": tuple(n for n in f.figures if n in names)}) for f in findings
            ),
            "figures": tuple(n for n in whole.figures if n in names),
            "counts": tuple(t for t in (_table(t, depths) for t in whole.counts) if t is not None),
            "publication": Publication(suppress_below=minimum, noise=noise),
        }
    )
    run = assessment.run
    if run is not None:
        run = run.model_copy(update={"dossier_digest": dossier.digest, "machine": {}, "notes": (), "who": ""})
    withheld = {
        name: count
        for name, groups in depths.items()
        if (count := sum(d is not Depth.EVERYTHING for d in groups.values()))
    }
    return Reduced(assessment=Assessment(dossier=dossier, run=run, figures=tuple(figures)), withheld=withheld)


def _submission(dossier: Dossier) -> SubmissionFacts:
    """Leave out the digests that are of rows, counts or of something that follows from them alone."""
    given = dossier.declaration
    rows = {given.predictions.file if given.predictions else None, given.counts.file if given.counts else None}
    if given.data is not None:
        rows |= {given.data.file, given.data.training, given.data.population}
    return dossier.submission.model_copy(
        update={
            "digest": NOT_PUBLIC,
            "evidence_digest": NOT_PUBLIC,
            "files": {name: digest for name, digest in dossier.submission.files.items() if name not in rows},
        }
    )


def _table(table: CountTable, depths: Depths) -> CountTable | None:
    """Keep the groups of a count table that leave whole; everyone's table leaves as it is."""
    if not table.attribute:
        return table
    groups = depths.get(table.attribute, {})
    kept = [
        i
        for i, group in enumerate(table.columns["group"])
        if groups.get(None if group is None else str(group)) is Depth.EVERYTHING
    ]
    if not kept:
        return None
    columns = {name: tuple(values[i] for i in kept) for name, values in table.columns.items()}
    return table.model_copy(update={"columns": columns})


def _finding(
    finding: Finding,
    depths: Depths,
    rows: Mapping[str, Mapping[str | None, int]],
    row_level: set[str],
    minimum: int,
    named: Mapping[str, tuple[str, ...]],
) -> Finding:
    kept = finding.check in HARMLESS
    attribute = None if kept else finding.attribute
    needed = CHECK_DEPTH.get(finding.check, Depth.EVERYTHING)
    groups = _groups(finding, depths, rows, minimum, named)
    cut = sum(len(g.measures) for g in groups) < sum(len(g.measures) for g in finding.groups)
    cut = cut or len(groups) < len(finding.groups)
    leaves = finding.family not in NEVER
    if attribute is not None:
        # What is said of an attribute without a count table cannot be checked against one, so it stays in.
        leaves = leaves and attribute in depths and min(depths[attribute].values()) >= needed
        leaves = leaves and all(m.rows >= minimum for m in finding.measures)
        leaves = leaves and not (cut and needed is Depth.EVERYTHING)
    elif cut and finding.check not in OF_EVERYONE:
        leaves = False
    if not leaves:
        # What is shown by feature follows from all groups together, so it stays in with them.
        public = [_place(g.group, depths, named) is not None and finding.family not in NEVER for g in groups]
        groups = tuple(g for g, stays in zip(groups, public, strict=True) if stays)
    changes: dict[str, object] = {"groups": groups, "items": _items(finding, row_level)}
    if not leaves and finding.measures:
        changes["measures"] = ()
    if (not leaves and (finding.measures or finding.groups)) or cut:
        changes["reason"] = Reason(code=WITHHELD, params={"below": minimum})
    return finding.model_copy(update=changes)


def _items(finding: Finding, row_level: set[str]) -> tuple[Item, ...]:
    """Keep items about documents, files and claims; of documents, where something stands but not its text."""
    if finding.family not in ITEMS_LEAVE or row_level & set(finding.figures):
        return ()
    return tuple(
        item.model_copy(update={"params": {k: v for k, v in item.params.items() if k != "passage"}})
        for item in finding.items
    )


def _place(group: Mapping[str, str | None], depths: Depths, named: Mapping[str, tuple[str, ...]]) -> str | None:
    """Name the attribute or pair that a group is of; None where it is of something else, as of a feature."""
    keys = set(group)
    if len(keys) == 1:
        key = next(iter(keys))
        return key if key in depths else None
    return next((name for name, both in named.items() if set(both) == keys), "")


def _depth(group: Mapping[str, str | None], place: str, depths: Depths) -> Depth:
    mine = depths.get(place, {})
    if len(group) == 1:
        return mine.get(next(iter(group.values())), Depth.NOTHING)
    # A pair leaves whole or not at all, so its groups need not be looked up by name.
    return min(mine.values(), default=Depth.NOTHING)


def _groups(
    finding: Finding,
    depths: Depths,
    rows: Mapping[str, Mapping[str | None, int]],
    minimum: int,
    named: Mapping[str, tuple[str, ...]],
) -> tuple[GroupMeasures, ...]:
    """Keep of each group the measures that its depth allows; a group without any left is left out."""
    places = [_place(g.group, depths, named) for g in finding.groups]
    # A measure that does not follow from the count table leaves for all groups of an attribute or for none.
    of_all = {
        (place, name)
        for place in set(places) - {None}
        for name in {m.name for g in finding.groups for m in g.measures}
        if place is not None
        and min(depths.get(place, {}).values(), default=Depth.NOTHING) is Depth.EVERYTHING
        and all(
            _large_enough(m, minimum)
            for g, p in zip(finding.groups, places, strict=True)
            if p == place
            for m in g.measures
            if m.name == name
        )
    }
    left = []
    for group, place in zip(finding.groups, places, strict=True):
        if place is None:
            left.append(group)
            continue
        depth = _depth(group.group, place, depths)
        regression = bool(rows.get(place)) and finding.check.startswith("fairness.regression")
        kept = []
        for measure in group.measures:
            needed = _needed(measure.name, finding.check)
            if regression:
                needed = Depth.EVERYTHING
            if (needed is not None and depth >= needed) or (needed is None and (place, measure.name) in of_all):
                kept.append(measure)
        if kept:
            left.append(group.model_copy(update={"measures": tuple(kept)}))
    return tuple(left)


def _needed(name: str, check: str) -> Depth | None:
    """Say from which depth on a measure leaves; None for one that does not follow from the count table."""
    if check == "data_governance.label_balance" and name.startswith("class["):
        return Depth.EVERYTHING
    follows = check.startswith("fairness.") or CHECK_DEPTH.get(check) is Depth.ROWS
    return MEASURE_DEPTH.get(name) if follows and check != "fairness.counterfactual_flips" else None


def _large_enough(measure: Measure, minimum: int) -> bool:
    """Tell whether neither the rows of a measure nor the people it counts are too few."""
    if measure.rows < minimum:
        return False
    if measure.name in NOT_COUNTS or measure.unit != "share" or measure.value is None:
        return True
    counted = measure.value * measure.rows
    return minimum - 0.5 <= counted <= measure.rows - minimum + 0.5


def _figure(figure: Figure, check: str, attribute: str | None, depths: Depths, minimum: int) -> Figure | None:
    """Keep a figure, the groups of it that leave, or nothing of it."""
    if figure.row_level or figure.kind not in KINDS_LEAVE or check.partition(".")[0] in NEVER:
        return None
    place = attribute or figure.params.get("attribute")
    columns = figure.columns
    if place is not None and check not in HARMLESS:
        groups = depths.get(str(place), {})
        needed = _figure_depth(figure, check)
        if min(groups.values(), default=Depth.NOTHING) < (needed or Depth.EVERYTHING):
            keep = [
                i
                for i, group in enumerate(columns.get("group", ()))
                if needed is not None and groups.get(None if group is None else str(group), Depth.NOTHING) >= needed
            ]
            if not keep:
                return None
            columns = {name: tuple(values[i] for i in keep) for name, values in columns.items()}
        if needed is None and not _bars_large_enough(figure, minimum):
            return None
    elif "group" in columns:
        return None
    if any(_few(n, minimum) for n in columns.get("rows", ())):
        return None
    return figure.model_copy(update={"columns": columns})


def _bars_large_enough(figure: Figure, minimum: int) -> bool:
    """Tell whether no part of a figure that does not follow from the count table counts too few people."""
    if figure.params.get("unit") != "share" or figure.params.get("measure") in NOT_COUNTS:
        return True
    pairs = zip(figure.columns.get("value", ()), figure.columns.get("rows", ()), strict=False)
    return all(
        minimum - 0.5 <= value * rows <= rows - minimum + 0.5
        for value, rows in pairs
        if isinstance(value, int | float) and isinstance(rows, int | float)
    )


def _figure_depth(figure: Figure, check: str) -> Depth | None:
    """Say from which depth on a group's part of a figure leaves; None for one that does not follow from the counts."""
    if figure.kind not in ("group_rates", "bars"):
        return None
    return _needed("class[]" if figure.params.get("measure") == "class" else str(figure.params.get("measure")), check)


def _few(rows: object, minimum: int) -> bool:
    return isinstance(rows, int | float) and 0 <= rows < minimum


def summary(reduced: Reduced, minimum: int, commitment: str) -> dict[str, object]:
    """Say what was left out, as JSON types, without saying of which groups.

    Args:
        commitment: keyed digest of the whole dossier, which only who holds the key can open.
    """
    publication = reduced.assessment.dossier.publication
    noise = publication.noise if publication is not None else None
    return {
        "format": "1",
        "suppress_below": minimum,
        "groups_withheld": dict(sorted(reduced.withheld.items())),
        "left_out": [
            "rows",
            "row_level_figures",
            "single_decisions",
            "passages_of_documents",
            "digests_of_rows_and_counts",
            "names_of_person_and_machine",
        ],
        "commitment": commitment,
        "noise": noise.model_dump(mode="json") if noise is not None else None,
    }
