"""A preparatory test report: plan, activities, results and lessons of this assessment, as a draft."""

from __future__ import annotations

from checks.declaration import Route
from checks.finding import Outcome
from model_cards.card import Block
from model_cards.dossier import Assessment
from model_cards.drafting import (
    Blank,
    Content,
    Origin,
    Part,
    answered,
    draft,
    groups_table,
    material_of,
    measured,
    measures_table,
    published,
)
from model_cards.exports import html
from model_cards.material import WITHOUT_RESULT, Material

FORMAT = "test_report"
SUFFIX = ".html"
STANDARD = "our own outline: plan, activities, results, lessons; preparatory, not a document under Art 57(7)"


def render(assessment: Assessment, lang: str) -> bytes:
    """Make the draft.

    Args:
        lang: of `model_cards.words.languages()`.

    Returns:
        UTF-8 HTML; the same assessment gives the same bytes.
    """
    material = material_of(assessment, lang)
    words = material.words
    parts = [
        Part(
            id="plan",
            title=words(f"exports.{FORMAT}.plan.title"),
            blanks=tuple(_blank(material, "plan", key, contents) for key, contents in _plan(material).items()),
        ),
        Part(
            id="activities",
            title=words(f"exports.{FORMAT}.activities.title"),
            blanks=tuple(_blank(material, "activities", key, c) for key, c in _activities(material).items()),
        ),
        _results(material),
        Part(
            id="lessons",
            title=words(f"exports.{FORMAT}.lessons.title"),
            intro=(words(f"exports.{FORMAT}.lessons.intro"),),
            blanks=tuple(
                _blank(
                    material,
                    "lessons",
                    key,
                    answered(
                        published(material.dossier.declaration, key, part="test_report"),
                        f"publication: test_report.{key}",
                    ),
                )
                for key in ("learned", "changes", "open", "responsible", "signed")
            ),
        ),
    ]
    notes = [words(f"exports.{FORMAT}.not_57")]
    return html.render(assessment, lang, card=draft(material, FORMAT, parts, notes=notes))


def _blank(material: Material, part: str, key: str, contents: tuple[Content, ...]) -> Blank:
    return Blank(title=material.words(f"exports.{FORMAT}.{part}.fields.{key}"), contents=contents)


def _plan(material: Material) -> dict[str, tuple[Content, ...]]:
    words, dossier = material.words, material.dossier
    declaration = dossier.declaration
    limits = [
        words(
            f"exports.{FORMAT}.limit",
            measure=f"{words.title(code.rpartition('.')[0])}, {words.measure_name(*code.rsplit('.', 1))}",
            reason=limit.reason,
        )
        for code, limit in declaration.limits.items()
    ]
    policy = words(
        f"exports.{FORMAT}.policy",
        name=f"{dossier.policy.name} {dossier.policy.version}",
        minimum=dossier.policy.minimum_rows,
        confidence=words.number(dossier.policy.confidence, "share"),
    )
    return {
        "goal": answered(published(declaration, "goal", part="test_report"), "publication: test_report.goal"),
        "purpose": answered(declaration.system.intended_purpose, "system.intended_purpose"),
        "limits": (*answered(limits, "limits"), Content(origin=Origin.STANDARD, lines=(policy,))),
        # Worked out by rules, but from answers: nothing of it was measured.
        "class": answered(
            (words.class_name(dossier.risk.risk_class) + ".", words.class_meaning(dossier.risk.risk_class)), "answers"
        ),
        "period": answered(published(declaration, "period", part="test_report"), "publication: test_report.period"),
    }


def _activities(material: Material) -> dict[str, tuple[Content, ...]]:
    words, dossier, run = material.words, material.dossier, material.assessment.run
    route = (words(f"card.route.{dossier.submission.route}") + ".",)
    wall: list[str] = []
    if dossier.submission.route is not Route.MODEL:
        wall.append(words(f"exports.{FORMAT}.no_model"))
    if dossier.submission.route is Route.MODEL and run is not None and run.receipt is not None:
        receipt = run.receipt
        held = sum(attempt.held for attempt in receipt.probes)
        wall.append(words(f"exports.{FORMAT}.wall", backend=receipt.backend, held=held, tried=len(receipt.probes)))
        wall.append(words(f"exports.{FORMAT}.asked", rows=receipt.rows_asked))
    when = [words.time(run.ended) + "."] if run is not None else []
    done = dict.fromkeys(words.title(f.check) for f in dossier.findings if f.outcome not in WITHOUT_RESULT)
    versions = "; ".join(f"{name} {version}" for name, version in sorted(dossier.versions.items()))
    return {
        "supplied": (Content(origin=Origin.ANSWERED, lines=route),),
        "when": measured(when),
        "wall": measured(wall),
        "checks": measured(["; ".join(done) + "."] if done else []),
        "versions": measured([versions] if versions else []),
    }


def _results(material: Material) -> Part:
    words, dossier = material.words, material.dossier
    with_figures = [f for f in dossier.findings if f.outcome not in WITHOUT_RESULT]
    blocks: list[Block] = [
        *measures_table(material, with_figures, words(f"exports.{FORMAT}.results.measures")),
        *groups_table(
            material,
            [f for f in with_figures if f.family == "fairness"],
            words(f"exports.{FORMAT}.results.groups"),
        ),
    ]

    def said(outcome: Outcome, alone: Outcome | None = None) -> tuple[str, ...]:
        found = [f for f in dossier.findings if f.outcome is outcome]
        return tuple(s for f in found for s in words.finding_sentences(f, alone, short=True))

    # Of a finding beyond its limit only the measures that are beyond it: the others stand in the table below.
    beyond, undecided = (said(o, o) for o in (Outcome.FAIL, Outcome.INCONCLUSIVE))
    missing = said(Outcome.NOT_GATHERED) + said(Outcome.ERROR)
    nothing = (words(f"exports.{FORMAT}.results.none"),)
    blanks = (
        ("counts", measured((words("outcomes.counts.line", **dossier.outcome_counts) + ".",))),
        ("beyond", measured(beyond or nothing)),
        ("undecided", measured(undecided or nothing)),
        ("unmeasured", (Content(origin=Origin.EMPTY, lines=missing),) if missing else measured(nothing)),
    )
    return Part(
        id="results",
        title=words(f"exports.{FORMAT}.results.title"),
        blanks=tuple(
            Blank(title=words(f"exports.{FORMAT}.results.fields.{key}"), contents=contents) for key, contents in blanks
        ),
        blocks=tuple(blocks),
    )
