"""Method, policy, limits, definitions, versions and digests: what a reader needs to check or repeat the assessment."""

from __future__ import annotations

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
from model_cards.material import Material


def section(material: Material) -> Section:
    """Make the section on method."""
    words = material.words
    return Section(
        id="method",
        title=words("card.section.method"),
        blocks=_policy(material),
        sections=(_system(material), _limits(material), _versions(material), _digests(material)),
        on_a_new_page=True,
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
    name = words("card.method.policy", name=policy.name, version=policy.version, date=words.date(policy.recorded))
    blocks: list[Block] = [
        Paragraph(line=line(f"{name}. {words('card.method.policy_about')}")),
        Entries(entries=tuple(Entry(term=words(f"card.method.{k}"), lines=(line(v),)) for k, v in entries)),
    ]
    if run is not None and run.notes:
        blocks.append(Paragraph(line=line(quiet(words("card.method.run_notes"))), tone=Tone.QUIET))
        blocks.append(Bullets(items=tuple(line(note) for note in run.notes)))
    return tuple(blocks)


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
                Cell(line=line(_sentence(words.origin(applied))), detail=line(words.why(applied))),
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
                    Column(title=words("card.unmeasured.why_limit"), width=6),
                ),
                rows=rows,
            ),
        )
    return Section(id="method-limits", title=words("card.method.limits_caption"), blocks=blocks)


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}."


def _versions(material: Material) -> Section:
    words = material.words
    table = Table(
        caption=words("card.method.versions_caption"),
        columns=(
            Column(title=words("card.method.software"), width=5),
            Column(title=words("card.method.version"), width=5),
        ),
        rows=tuple(
            (Cell(line=line(name)), Cell(line=line(version)))
            for name, version in sorted(material.dossier.versions.items())
        ),
    )
    return Section(id="method-versions", title=words("card.method.versions"), blocks=(table,))


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
