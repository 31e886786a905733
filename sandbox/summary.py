"""Say at the end of an assessment what a person needs first, and the same for a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checks.finding import Finding, Outcome, undecided_matters
from model_cards.dossier import Assessment
from model_cards.words import Words

SHOWN_BEYOND = 12
"""Most findings that are told one by one on a terminal; the card has all."""


def three_counts(assessment: Assessment, words: Words) -> str:
    """Give the line that ends every summary: how many lie beyond, are undecided and lie within their limit."""
    counts = assessment.dossier.outcome_counts
    return words("terminal.three_counts", **{k: counts[k] for k in ("beyond", "undecided", "within")})


def as_text(assessment: Assessment, folder: Path, lang: str) -> str:
    """Write the summary for a person.

    Args:
        assessment: as written.
        folder: where the dossier stands.
        lang: language of the words.
    """
    words = Words(lang)
    dossier = assessment.dossier
    lines = [
        "",
        f"{dossier.declaration.system.name} {dossier.declaration.system.version}",
        f"{words('terminal.class')}: {words.class_name(dossier.risk.risk_class)}",
    ]
    for outcome in (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE):
        told: tuple[tuple[Finding, ...], ...] = tuple((f,) for f in dossier.of(outcome))
        if outcome is Outcome.INCONCLUSIVE:
            told = undecided_matters((*dossier.of(outcome), *dossier.of(Outcome.NOT_GATHERED)))
        if not told:
            continue
        lines += ["", f"{words.outcome(outcome)} ({len(told)})"]
        lines += [f"  - {_matter(matter, words)}" for matter in told[:SHOWN_BEYOND]]
        if len(told) > SHOWN_BEYOND:
            lines.append(f"  - {words('terminal.and_more', count=len(told) - SHOWN_BEYOND)}")
    absent = [f for f in dossier.findings if f.outcome is Outcome.NOT_GATHERED]
    if absent:
        lines += ["", words("terminal.not_gathered", count=len(absent))]
    lines += [
        "",
        f"{words('terminal.card')}: {folder / f'model_card.{lang}.html'}",
        f"{words('terminal.dossier')}: {folder}",
        words("terminal.seed", seed=str(dossier.seed)),
        words("card.statement.text"),
        three_counts(assessment, words),
    ]
    return "\n".join(lines)


def _matter(matter: tuple[Finding, ...], words: Words) -> str:
    said = words.finding_sentence(matter[0])
    return said if len(matter) == 1 else f"{said} {words('outcomes.counts.counted_once', number=len(matter))}"


def as_object(assessment: Assessment, folder: Path) -> dict[str, Any]:
    """Give the summary as JSON types: counts, class, and each finding's outcome with what is beyond or open."""
    dossier = assessment.dossier
    return {
        "dossier": str(folder),
        "digest": dossier.digest,
        "submission_digest": dossier.submission.digest,
        "route": dossier.submission.route.value,
        "counts": dict(dossier.outcome_counts),
        "risk": {
            "class": dossier.risk.risk_class,
            "possible": list(dossier.risk.possible),
            "undecided_by": list(dossier.risk.undecided_by),
        },
        "findings": [_finding(f) for f in dossier.findings],
        "seed": dossier.seed,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "attribute": finding.attribute,
        "outcome": finding.outcome.value,
        "reason": finding.reason.model_dump(mode="json") if finding.reason else None,
        "measures": {m.name: {"value": m.value, "low": m.low, "high": m.high} for m in finding.measures},
    }
