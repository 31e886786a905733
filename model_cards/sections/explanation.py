"""How answers come about: the method, which features weigh most, and a few single decisions told in a sentence."""

from __future__ import annotations

import re
from dataclasses import replace

from checks.finding import Figure, Finding, Scalar
from model_cards.card import (
    Block,
    Cell,
    Column,
    Entries,
    Entry,
    Paragraph,
    Section,
    Table,
    Tone,
    line,
    link,
    strong,
)
from model_cards.dossier import Explanation
from model_cards.material import Material
from model_cards.sections.findings import one, with_result

_DECIMAL = re.compile(r"-?\d{1,15}\.\d{1,15}")

FEATURES_TOLD = 3
"""Features named in the sentence on one decision, each way."""

SINGLE_DECISIONS = "explainability.single_decisions"


def section(material: Material) -> Section:
    """Make the section on explanation."""
    words = material.words
    explanation = material.dossier.explanation
    blocks: list[Block] = []
    findings = with_result(material, "explainability")
    if explanation is None:
        blocks.append(
            Paragraph(
                line=line(f"{words('card.explanation.none')} ", link(words("card.section.unmeasured"), "unmeasured")),
                tone=Tone.QUIET,
            )
        )
    else:
        blocks += [_how(material, explanation), Paragraph(line=line(words("card.explanation.read")))]
        if explanation.global_ and not any(f.groups for f in findings):
            blocks.append(_global(material, explanation))
    parts = [one(material, f, drawn=_decisions(material, f) if f.check == SINGLE_DECISIONS else None) for f in findings]
    return Section(
        id="explanation",
        title=words("card.section.explanation"),
        blocks=tuple(blocks),
        sections=tuple(parts),
    )


def _how(material: Material, explanation: Explanation) -> Entries:
    words = material.words
    given = [
        ("method", words.find(f"outcomes.methods.{explanation.method}") or explanation.method),
        ("background", words.whole(explanation.background_rows)),
        ("explained", words.whole(explanation.explained_rows)),
    ]
    for key, error in (("additivity", explanation.additivity_error), ("sampling", explanation.sampling_error)):
        if error is not None:
            given.append((key, words.decimal(error, 2)))
    return Entries(entries=tuple(Entry(term=words(f"card.explanation.{k}"), lines=(line(v),)) for k, v in given))


def _global(material: Material, explanation: Explanation) -> Table:
    words = material.words
    rows = []
    for one_feature in explanation.global_:
        interval = "–"
        if one_feature.low is not None and one_feature.high is not None:
            interval = words(
                "outcomes.numbers.interval", low=words.decimal(one_feature.low), high=words.decimal(one_feature.high)
            )
        rows.append(
            (
                Cell(line=line(one_feature.feature)),
                Cell(line=line(words.decimal(one_feature.mean_abs))),
                Cell(line=line(interval)),
            )
        )
    return Table(
        caption=words("card.explanation.global_caption"),
        columns=(
            Column(title=words("card.explanation.feature"), width=4),
            Column(title=words("card.explanation.mean_abs"), number=True, width=3),
            Column(title=words("card.explanation.interval"), number=True, width=3),
        ),
        rows=tuple(rows),
    )


def _decisions(material: Material, finding: Finding) -> tuple[Block, ...]:
    """Tell each decision as a sentence that the person concerned could read, with its plot."""
    words = material.words
    blocks: list[Block] = [Paragraph(line=line(words("card.explanation.single_intro")))]
    for name in finding.figures:
        figure = material.figure(name)
        if figure is None:
            continue
        title = _rule(material, finding, figure)
        if said := _told(material, figure):
            blocks.append(Paragraph(line=line(strong(f"{title}. "), said)))
        blocks.append(replace(material.picture(figure, title, repeated=True), under_its_title=bool(said)))
    return tuple(blocks)


def _rule(material: Material, finding: Finding, figure: Figure) -> str:
    """Say by which rule a decision was chosen."""
    words = material.words
    title = words.item(f"decision.{figure.params.get('rule')}", finding.check)
    attribute, group = figure.params.get("attribute"), figure.params.get("group")
    return f"{title} ({attribute}: {group})" if attribute is not None and group is not None else title


def _told(material: Material, figure: Figure) -> str:
    words = material.words
    features, contributions = figure.columns.get("feature", ()), figure.columns.get("contribution", ())
    if not features or len(features) != len(contributions):
        return ""
    values: tuple[Scalar, ...] = figure.columns.get("value") or (None,) * len(features)
    unit = str(figure.params.get("unit", ""))
    known = [
        (str(f), v, float(c))
        for f, v, c in zip(features, values, contributions, strict=True)
        if isinstance(c, int | float) and not isinstance(c, bool)
    ]
    pushes = []
    for key, rows in (
        ("up", sorted((k for k in known if k[2] > 0), key=lambda k: -k[2])),
        ("down", sorted((k for k in known if k[2] < 0), key=lambda k: k[2])),
    ):
        if rows:
            named = words.joined([_feature(material, unit, *row) for row in rows[:FEATURES_TOLD]])
            pushes.append(words(f"card.explanation.{key}", features=named))
    base, output = figure.params.get("base_value"), figure.params.get("output")
    kind = str(figure.params.get("kind"))
    if isinstance(base, int | float) and isinstance(output, int | float):
        return words(
            f"card.explanation.sentence_{kind}" if kind in ("probability", "score") else "card.explanation.sentence",
            of=figure.params.get("of"),
            output=words.number(float(output), unit),
            base=words.number(float(base), unit),
            pushes=" ".join(pushes),
        )
    return words("card.explanation.sentence_no_output", pushes=" ".join(pushes))


def _feature(material: Material, unit: str, feature: str, value: Scalar, contribution: float) -> str:
    words = material.words
    sign = "+" if contribution > 0 else ""
    amount = f"{sign}{words.number(contribution, unit, name='difference')}"
    if value is None:
        return words("card.explanation.feature_alone", feature=feature, amount=amount)
    return words("card.explanation.feature_value", feature=feature, value=_readable(material, value), amount=amount)


def _readable(material: Material, value: Scalar) -> str:
    """Write a value of an input as a person would: a long decimal is rounded, anything else stays as it is."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return material.words.decimal(float(value), 4)
    return material.words.scalar(value)
