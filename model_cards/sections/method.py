"""Method, policy, limits, definitions, versions and digests: what a reader needs to check or repeat the assessment."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from model_cards.card import (
    Block,
    Bullets,
    Cell,
    Column,
    Entries,
    Entry,
    Paragraph,
    Section,
    Table,
    Tone,
    code,
    line,
    quiet,
)
from model_cards.dossier import Standing
from model_cards.material import Material
from model_cards.sections.findings import law_said
from model_cards.words import Words


def section(material: Material) -> Section:
    """Make the section on method."""
    words = material.words
    return Section(
        id="method",
        title=words("card.section.method"),
        blocks=_policy(material),
        sections=(
            _system(material),
            _limits(material),
            _definitions(material),
            _law(material),
            _versions(material),
            _again(material),
            _digests(material),
        ),
    )


def _system(material: Material) -> Section:
    """Give in full what the provider states of the system, and the columns that were read."""
    words, dossier = material.words, material.dossier
    system, model = dossier.declaration.system, dossier.declaration.model
    given = [("purpose", system.intended_purpose), ("description", system.description or "")]
    given.append(("languages", ", ".join(system.languages)))
    if model is not None:
        training = model.training.model_dump(mode="json", exclude_none=True)
        given.append(("training", "; ".join(f"{name.replace('_', ' ')}: {said}" for name, said in training.items())))
    given.append(("columns", ", ".join(dossier.submission.columns)))
    entries = tuple(Entry(term=words(f"card.facts.{key}"), lines=(line(said),)) for key, said in given if said)
    return Section(id="method-system", title=words("card.method.system"), blocks=(Entries(entries=entries),))


def _policy(material: Material) -> tuple[Block, ...]:
    words, policy, recorded = material.words, material.dossier.policy, material.dossier.submission.limits_recorded
    if recorded.digest is None:
        own = words("card.method.no_own_limits")
    elif recorded.when == "sealed_before":
        own = words("card.method.sealed_before", date=words.time(recorded.sealed_at or ""))
    else:
        own = words("card.method.with_submission")
    entries = [
        ("confidence", words.number(policy.confidence, "share")),
        ("minimum_rows", words.whole(policy.minimum_rows)),
        ("suppress_below", words.whole(policy.suppress_below)),
        ("own_limits", own),
        ("seed", str(material.dossier.seed)),
    ]
    run = material.assessment.run
    if run is not None:
        entries.append(("intake", words.find(f"card.method.intake_kinds.{run.intake}") or run.intake))
        entries += _standing(words, run.standing)
    name = words("card.method.policy", name=policy.name, version=policy.version, date=words.date(policy.recorded))
    blocks: list[Block] = [
        Paragraph(line=line(f"{name}. {words('card.method.policy_about')}")),
        Entries(entries=tuple(Entry(term=words(f"card.method.{k}"), lines=(line(v),)) for k, v in entries)),
    ]
    if run is not None and run.notes:
        blocks.append(Paragraph(line=line(quiet(words("card.method.run_notes"))), tone=Tone.QUIET))
        blocks.append(Bullets(items=tuple(line(note) for note in run.notes)))
    return tuple(blocks)


def _standing(words: Words, standing: Standing | None) -> Iterator[tuple[str, str]]:
    """Say what the service knows of the submission: how long it stays, and whether limits followed results."""
    if standing is None:
        return
    if standing.retention_days is not None:
        key = "days_or_review" if standing.until_review else "days"
        yield "retention", words(f"card.method.{key}", count=words.whole(standing.retention_days))
    if standing.residency:
        yield "residency", standing.residency
    if standing.limits_changed is None:
        yield "limits_history", words("card.method.no_results_before")
    else:
        key = "limits_changed" if standing.limits_changed else "limits_same"
        yield "limits_history", words(f"card.method.{key}", count=words.whole(standing.results_before_limits))


def _limits(material: Material) -> Section:
    words = material.words
    # One row per limit, however many attributes were held to it; what came of it stands with each finding.
    limits: dict[tuple[str, str, str], tuple[Cell, ...]] = {}
    for finding in material.dossier.findings:
        for name, applied in finding.limit.items():
            measure = finding.measure(name)
            said = words.limit(applied, measure) if measure else words("card.isolation.not_known")
            limits[finding.check, name, said] = (
                Cell(line=line(words.title(finding.check)), detail=line(words.measure_name(finding.check, name))),
                Cell(line=line(said)),
                Cell(line=line(f"{_sentence(words.origin(applied))} ", quiet(words.why(applied)))),
            )
    rows = tuple(limits.values())
    blocks: tuple[Block, ...] = (Paragraph(line=line(words("card.method.limits_none"))),)
    if rows:
        blocks = (
            Table(
                caption=words("card.method.limits_caption"),
                columns=(
                    Column(title=words("card.finding.measure"), width=4),
                    Column(title=words("card.finding.limit"), width=3),
                    Column(title=words("card.unmeasured.why_limit"), width=7),
                ),
                rows=rows,
                under_its_title=True,
            ),
        )
    return Section(id="method-limits", title=words("card.method.limits_caption"), blocks=blocks, folded=True)


def _definitions(material: Material) -> Section:
    """Define every measure and say how its interval was made, those of the same definition together."""
    words = material.words
    # A check that was run for several attributes is defined once; their intervals differ by the number of groups.
    made: dict[tuple[str, str, str], dict[str, None]] = {}
    for finding in material.dossier.findings:
        for measure in (*finding.measures, *(m for group in finding.groups for m in group.measures)):
            if measure.definition:
                name = words.measure_name(finding.check, measure.name)
                intervals = made.setdefault((words.title(finding.check), measure.definition, name), {})
                intervals.update(dict.fromkeys([measure.interval] if measure.interval else []))
    together: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (title, definition, name), intervals in made.items():
        together.setdefault((title, definition, tuple(intervals)), []).append(name)
    blocks: tuple[Block, ...] = (Paragraph(line=line(words("card.finding.none"))),)
    if together:
        blocks = (
            Table(
                caption=words("card.method.definitions_caption"),
                columns=(
                    Column(title=words("card.finding.measure"), width=5),
                    Column(title=words("card.method.definition"), width=5),
                    Column(title=words("card.method.interval_method"), width=5),
                ),
                rows=tuple(
                    (
                        Cell(line=line("; ".join(names)), detail=line(title)),
                        Cell(line=line(definition)),
                        Cell(line=line("; ".join(intervals) or "–")),
                    )
                    for (title, definition, intervals), names in sorted(together.items(), key=lambda row: row[0][0])
                ),
            ),
        )
    return Section(id="method-definitions", title=words("card.method.definitions"), blocks=blocks, folded=True)


def _law(material: Material) -> Section:
    """Say which provisions each check bears on, those that bear on the same together."""
    words = material.words
    bears: dict[str, dict[str, None]] = {}
    for finding in material.dossier.findings:
        if finding.law:
            said = "; ".join(law_said(material, finding.law))
            bears.setdefault(said, {})[words.title(finding.check)] = None
    blocks: tuple[Block, ...] = (Paragraph(line=line(words("card.finding.none"))),)
    if bears:
        table = Table(
            caption=words("card.method.law"),
            columns=(
                Column(title=words("card.unmeasured.check"), width=6),
                Column(title=words("card.law.provision"), width=7),
            ),
            rows=tuple(
                (Cell(line=line("; ".join(titles))), Cell(line=line(law))) for law, titles in sorted(bears.items())
            ),
            under_its_title=True,
        )
        blocks = (Paragraph(line=line(words("card.method.law_intro"))), table)
    return Section(id="method-law", title=words("card.method.law"), blocks=blocks, folded=True)


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}."


def _versions(material: Material) -> Section:
    words = material.words
    named = "; ".join(f"{name} {version}" for name, version in sorted(material.dossier.versions.items()))
    said = Paragraph(line=line(f"{words('card.method.versions_caption')}: {named}."))
    return Section(id="method-versions", title=words("card.method.versions"), blocks=(said,), folded=True)


def _again(material: Material) -> Section:
    """Give the commands that find everything again, with all that they depend on beside submission and dossier."""
    words, dossier = material.words, material.dossier
    judged_by = ["--policy", dossier.policy.name, "--as-of", dossier.risk.as_of.isoformat()]
    given = {"from_submission": ["assess", "submission.zip", *judged_by, "--seed", str(dossier.seed)]}
    if dossier.publication is None:
        given["from_dossier"] = ["judge", "dossier", *judged_by, "--rules", dossier.risk.rules_version]
    entries = tuple(
        Entry(
            term=words(f"card.method.{key}"),
            lines=(
                line(
                    code(shlex.join(["aiact-sandbox", *command, "--out", "again"])),
                    quiet(f" – {words(f'card.method.{key}_note')}"),
                ),
            ),
        )
        for key, command in given.items()
    )
    return Section(id="method-again", title=words("card.method.again"), blocks=(Entries(entries=entries),))


def _digests(material: Material) -> Section:
    words, dossier = material.words, material.dossier
    submission = dossier.submission
    digests = [
        ("submission", submission.digest),
        ("evidence", submission.evidence_digest),
        ("dossier", dossier.digest),
    ]
    blocks: list[Block] = [
        Entries(entries=tuple(Entry(term=words(f"card.method.{k}"), lines=(line(code(v)),)) for k, v in digests)),
    ]
    if submission.files:
        blocks.append(
            Table(
                caption=words("card.method.files_caption"),
                columns=(
                    Column(title=words("card.method.file"), width=4),
                    Column(title=words("card.method.sha256"), width=8),
                ),
                rows=tuple(
                    (Cell(line=line(name)), Cell(line=line(code(digest))))
                    for name, digest in sorted(submission.files.items())
                ),
            )
        )
    blocks.append(Paragraph(line=line(words("card.method.unchanged")), tone=Tone.QUIET))
    return Section(id="method-digests", title=words("card.method.digests"), blocks=tuple(blocks))
