"""The flow of one assessment. Start reading here: what is assessed goes through these lines from top to bottom.

A probe asks. A check measures. The policy judges. A person decides.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import sys
import threading
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks import policy as policies
from checks.ai_act import rules as law
from checks.ai_act.classify import classify
from checks.asking import plan_all, probes_for
from checks.evidence import Evidence
from checks.judge import Judged, judge
from checks.registry import catalogue
from checks.sealing import seal
from model_cards.dossier import Assessment, Dossier, LimitsRecorded, Standing, compose
from sandbox.delivery import deliver, versions
from sandbox.intake import accept, read_table
from sandbox.isolation.interface import Chosen, Limits
from sandbox.lending.link import Membership
from sandbox.records import evidence_store
from sandbox.respondent import respondent, wall_or_why_not
from sandbox.sealing_limits import limits_recorded
from sandbox.settings import Settings
from sandbox.stages import Stage, Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """What one assessment leaves.

    Args:
        assessment: dossier, run and figures.
        evidence: the sealed facts, also kept encrypted apart from the dossier.
        folder: the dossier as written.
    """

    assessment: Assessment
    evidence: Evidence
    folder: Path

    @property
    def dossier(self) -> Dossier:
        """The dossier."""
        return self.assessment.dossier


def assess(
    submission: Path,
    *,
    out: Path,
    settings: Settings | None = None,
    isolation: str | None = None,
    policy: str | None = None,
    as_of: dt.date | None = None,
    seed: int | None = None,
    languages: Sequence[str] = ("en", "nl"),
    attested_by: str = "provider_machine",
    who: str | None = None,
    limits: Limits | None = None,
    progress: Callable[[Stage], None] | None = None,
    cancel: threading.Event | None = None,
    log_to_mlflow: bool = True,
    holdout: Path | None = None,
    organisation: str = "",
    standing: Callable[[str | None, LimitsRecorded], Standing] | None = None,
    membership: Membership | None = None,
) -> Assessed:
    """Assess one submission from upload to dossier.

    Args:
        submission: folder or zip with `submission.yaml`.
        out: folder of the dossier; must not exist yet or be empty.
        settings: of the operator; from the environment where not given.
        isolation: `auto`, `docker` or `bubblewrap`; from the settings where not given.
        policy: name in `checks/policies`; from the settings where not given.
        as_of: the date that law is applied at; today where not given.
        seed: of all that is drawn; a fresh random one where not given (the dossier says which).
        languages: of the documents.
        attested_by: `provider_machine`, `service` or `reviewer`.
        who: who ran it; the user of this machine where not given, and nobody is named where it is empty.
        limits: of the cell.
        progress: told of each stage and step.
        cancel: set it to stop; the cell is gone within two seconds and nothing is written.
        log_to_mlflow: whether a run is put in the MLflow outbox and logged.
        holdout: a reviewer's table of rows that the submitter never saw, with inputs and label: asked among the others,
            and kept out of the dossier. It makes this a run attested by a reviewer.
        standing: tells what a service knows of a submission, by the SHA-256 of its data and the record of its limits.
        organisation: whose submission it is, by id: the packages that its model asks for are kept apart from others'.
        membership: of a cluster, whose idle workers may lend cells for a large table; None where there is none.

    Raises:
        Refused: the submission cannot be assessed as it is; all independent problems at once.
        CellUnavailable: a model was submitted and no wall can be built here, or a probe of it did not hold.
        FileExistsError: `out` holds something already.
        NotSigned: the operator's key cannot be reached; nothing is written.
        Cancelled: `cancel` was set.
    """
    settings = settings or Settings.from_environment()
    limits = limits or Limits()
    rules, chosen_policy = law.load(), policies.load(policy or settings.policy)
    as_of = as_of or dt.date.today()
    seed = secrets.randbits(53) if seed is None else seed
    watch = Watch(tell=progress, cancel=cancel)
    started = dt.datetime.now(dt.UTC)
    with deliver(out) as delivery:
        with watch.stage("prove"):
            wall = wall_or_why_not(isolation or settings.isolation, settings, limits)
        with watch.stage("accept"):
            behind = wall.isolation if isinstance(wall, Chosen) else None
            bundle = accept(submission, settings, isolation=behind, holdout=holdout)
        with bundle:
            with watch.stage("read"):
                table = read_table(bundle)
                recorded = limits_recorded(bundle.declaration, bundle.folder, started=started)
            with respondent(
                bundle, table, wall, limits, settings=settings, organisation=organisation, membership=membership
            ) as answering:
                plans = plan_all(probes_for(bundle.declaration), table, bundle.declaration, seed) if table else {}
                asked = answering.answer(plans, key=order_key(seed), watch=watch)
            with watch.stage("seal"):
                evidence = seal(
                    bundle.declaration,
                    submission_digest=bundle.digest,
                    table=table,
                    asked=asked,
                    recorded=answering.recorded,
                    counts=bundle.counts,
                    population=bundle.population,
                    documents=bundle.documents,
                    scan=bundle.scan,
                    model_fault=answering.fault,
                    seed=seed,
                )
            with watch.stage("judge") as step:
                judged: list[Judged] = []
                for number, check in enumerate(catalogue()):
                    judged += judge(check, evidence, chosen_policy, rules_version=rules.version)
                    step(number + 1, len(catalogue()))
            with watch.stage("classify"):
                risk = classify(bundle.declaration, rules, as_of=as_of)
            dossier, figures = compose(
                evidence,
                judged,
                risk,
                chosen_policy,
                files=bundle.files,
                versions=versions(rules.version),
                limits_recorded=recorded,
            )
            with watch.stage("write"):
                assessment = delivery.write(
                    dossier,
                    figures,
                    languages=languages,
                    attested_by="reviewer" if holdout is not None else attested_by,
                    receipt=answering.receipt,
                    intake=bundle.read_by,
                    started=started,
                    seconds=watch.seconds,
                    notes=bundle.notes,
                    who=who,
                    standing=standing(bundle.data_digest, recorded) if standing is not None else None,
                )
                delivery.sign(settings)
                evidence_store.store(evidence, settings)
    if log_to_mlflow:
        with watch.stage("log"):
            delivery.log(assessment, settings)
    return Assessed(assessment=assessment, evidence=evidence, folder=out)


def order_key(seed: int) -> bytes:
    """Give the key that the order of questions is drawn with. It depends on the seed alone, never on the data.

    So two submissions that differ only in labels and groups put the same bytes on the wire, and a model that does not
    know the seed cannot tell which row it is asked about.
    """
    return hashlib.blake2b(f"order|{seed}".encode(), digest_size=32).digest()


class _Flow(types.ModuleType):
    """This module, callable: `from sandbox import assess` gives what can be called, whoever imported it first."""

    def __call__(self, submission: Path, **how: Any) -> Assessed:
        return assess(submission, **how)


sys.modules[__name__].__class__ = _Flow
