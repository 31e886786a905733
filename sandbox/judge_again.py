"""Judge a stored dossier again, under another policy, a later law or a newer version, without the model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from checks import policy as policies
from checks.ai_act import rules as law
from checks.ai_act.classify import classify
from checks.finding import Finding, NotGathered, Outcome, Reason, Rejudge
from checks.judge import Judged, judge
from checks.registry import Check, catalogue
from model_cards.dossier import Assessment, Dossier, Run, compose, evidence_in
from sandbox.delivery import deliver, versions
from sandbox.errors import Problem, Refused
from sandbox.records import evidence_store
from sandbox.settings import Settings


def judge_again(
    source: Path,
    *,
    out: Path,
    settings: Settings | None = None,
    policy: str | None = None,
    rules_version: str | None = None,
    as_of: dt.date | None = None,
    languages: Sequence[str] = ("en", "nl"),
) -> Assessment:
    """Judge a dossier again.

    Args:
        source: folder of a dossier.
        out: folder of the new one.
        settings: where sealed evidence is looked for.
        policy: name in `checks/policies`; the one it was judged by where not given.
        rules_version: of the law, as in `32024R1689.1`; the current one where not given.
        as_of: the date that law is applied at; today where not given.
        languages: of the documents.

    Returns:
        The new assessment. Checks that need row-level evidence that is gone are `not_gathered: evidence_erased`.

    Raises:
        Refused: the folder holds no dossier, or one that cannot be read; there are no rules of that version.
    """
    settings = settings or Settings.from_environment()
    old, run = read_dossier(source)
    try:
        rules = law.load(rules_version)
    except law.UnknownRules as unknown:
        raise Refused(Problem(field="rules", code="rules.unknown", message=str(unknown))) from unknown
    chosen = policies.load(policy or old.policy.name)
    sealed = evidence_store.load(old.submission.evidence_digest, settings)
    evidence = sealed if sealed is not None else evidence_in(old)
    started = dt.datetime.now(dt.UTC)
    judged: list[Judged] = []
    for check in catalogue():
        if sealed is None and check.rejudge is Rejudge.EVIDENCE:
            judged += _erased(check, old)
        else:
            judged += judge(check, evidence, chosen, rules_version=rules.version)
    risk = classify(old.declaration, rules, as_of=as_of or dt.date.today())
    dossier, figures = compose(
        evidence,
        judged,
        risk,
        chosen,
        files=old.submission.files,
        versions=versions(rules.version),
        limits_recorded=old.submission.limits_recorded,
        columns=old.submission.columns,
    )
    with deliver(out) as delivery:
        assessment = delivery.write(
            dossier,
            figures,
            languages=languages,
            attested_by=run.attested_by,
            receipt=run.receipt,
            intake=run.intake,
            started=started,
            seconds={},
            notes=(*run.notes, f"Judged again from the dossier {old.digest}; the model was not asked again."),
        )
        delivery.sign(settings)
    return assessment


def _erased(check: Check, old: Dossier) -> list[Judged]:
    """Say of each finding that needs rows that these are gone; what was not applicable stays so."""
    given = NotGathered(reason=Reason(code="evidence_erased"))
    before = [f for f in old.findings if f.check == check.code]
    return [
        Judged(
            finding=f
            if f.outcome is Outcome.NOT_APPLICABLE
            else Finding(
                check=f.check,
                outcome=Outcome.NOT_GATHERED,
                attribute=f.attribute,
                reason=given.reason,
                rejudge=check.rejudge,
                law=f.law,
            )
        )
        for f in before
    ]


def read_dossier(source: Path) -> tuple[Dossier, Run]:
    """Read a dossier and its run from a folder.

    Raises:
        Refused: a file is missing or is not what it must be.
    """
    texts = {}
    for name in ("dossier.json", "run.json"):
        try:
            texts[name] = (source / name).read_bytes()
        except OSError as gone:
            message = f"{source} holds no {name}; name the folder of a dossier, as written by assess --out"
            raise Refused(Problem(field=name, code="dossier.missing", message=message)) from gone
    try:
        return Dossier.from_json(texts["dossier.json"]), Run.from_json(texts["run.json"])
    except (ValueError, TypeError, AttributeError) as wrong:
        message = f"this is not a dossier of schema 1: {str(wrong).splitlines()[0]}"
        raise Refused(Problem(field="dossier.json", code="dossier.unreadable", message=message)) from wrong
