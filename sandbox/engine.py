"""Where an assessment runs: in a fresh process of its own, so that whatever happens to it happens to nothing else.

Only an id crosses: the new process finds all else in the records. What it finishes it records itself, in one
transaction, under the fencing token of the claim; how it ended otherwise is told by whoever waits for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import errno
import functools
import importlib
import logging
import multiprocessing
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from sandbox import tracing
from sandbox.errors import CellUnavailable, Problem, Refused
from sandbox.niceness import begin_session
from sandbox.records import dossier_store, evidence_store, queue, uploads
from sandbox.records.database import Database
from sandbox.records.queue import Claim
from sandbox.records.tables import State, Submission, new_id
from sandbox.settings import Settings
from sandbox.stages import Cancelled, Stage

if TYPE_CHECKING:
    from model_cards.dossier import LimitsRecorded, Standing
    from sandbox.assess import Assessed
    from sandbox.lending.link import Membership

log = logging.getLogger(__name__)

ASSESS = "sandbox.assess:assess"
"""What runs in the new process: module and function, with the signature of `sandbox.assess.assess`."""

PRELOADED = ("sandbox.preloaded",)
TICK_SECONDS = 0.1
GRACE_SECONDS = 0.8
"""How long a process that was asked to stop may take to end its cell itself."""

LONGEST_SECONDS = 3600.0
"""How long one assessment may take in all; its cells have their own, shorter limits."""

REPORT_SECONDS = 0.25
"""Steps that follow each other more closely are reported together."""


def actor() -> str:
    """Name this process for the audit log."""
    return f"worker:{socket.gethostname()}:{os.getpid()}"


def context() -> ForkServerContext:
    """Give the process factory: a fork server that has the slow imports done, and no connection, thread or key."""
    given = multiprocessing.get_context("forkserver")
    given.set_forkserver_preload(list(PRELOADED))
    return given


def warm() -> None:
    """Start the fork server and wait until its imports are done, so that no lease runs out meanwhile."""
    process = context().Process(target=int, name="warming")
    process.start()
    process.join()


def run(
    submission_id: str,
    settings: Settings,
    *,
    token: int | None = None,
    entry: str = ASSESS,
    stop: threading.Event | None = None,
    lease_seconds: float = queue.LEASE_SECONDS,
    longest_seconds: float = LONGEST_SECONDS,
    membership: Membership | None = None,
) -> None:
    """Run one claimed submission to its end, and record that end.

    Returns when nothing of it runs any more: it is done, refused, failed or cancelled, or was given back to the queue
    because `stop` was set, or its claim was lost and belongs to somebody else.

    Args:
        submission_id: of a submission that was claimed.
        settings: of this service.
        token: fencing token of the claim; that of the record where not given.
        entry: what to run instead of the assessment, as `module:function` with the same signature.
        stop: set it to end the work here; the submission is given back.
        lease_seconds: how long a sign of life counts.
        longest_seconds: how long it may take in all.
        membership: of the cluster that it runs on, whose idle workers may lend it cells; None where there is none.

    Raises:
        LookupError: there is no such submission.
    """
    database = Database(settings)
    try:
        found = queue.find(database, submission_id)
        if found is None:
            raise LookupError(f"there is no submission {submission_id}")
        claimed = Claim(
            submission_id=submission_id, token=found.token if token is None else token, attempt=found.attempt
        )
        process = context().Process(
            target=_in_child,
            args=(submission_id, claimed.token, claimed.attempt, settings, entry, membership),
            name=f"assessment {submission_id}",
        )
        process.start()
        try:
            until = time.monotonic() + longest_seconds
            reason = _watch(process, database, claimed, stop or threading.Event(), lease_seconds, until)
        finally:
            end_process(process)
            sweep(settings)
        _record_end(database, claimed, process.exitcode, reason)
        _erase_holdout(database, settings, submission_id)
        _remove_leftovers(settings, database, claimed)
        empty_quarantine(settings)
    finally:
        database.close()


def _watch(
    process: BaseProcess, database: Database, claimed: Claim, stop: threading.Event, lease_seconds: float, until: float
) -> str | None:
    """Wait for the process; say why it has to be ended, or None when it ended by itself."""
    renewed, held_since = 0.0, time.monotonic()
    while True:
        process.join(TICK_SECONDS)
        if not process.is_alive():
            return None
        if stop.is_set():
            return "stopped"
        if time.monotonic() > until:
            return "too_long"
        try:
            if time.monotonic() - renewed > lease_seconds / 3:
                if not queue.renew(database, claimed, lease_seconds=lease_seconds).held:
                    # It may just have recorded its own end; then it ends by itself in a moment.
                    process.join(GRACE_SECONDS)
                    return "lost" if process.is_alive() else None
                renewed = held_since = time.monotonic()
            if queue.cancel_asked(database, claimed.submission_id):
                return "cancelled"
        except DBAPIError as error:
            log.warning("the database did not answer while %s ran: %s", claimed.submission_id, type(error).__name__)
            if time.monotonic() - held_since > lease_seconds:
                return "lost"


def end_process(process: BaseProcess) -> None:
    """End the process and all of its group: asked first, so that it ends its cell; killed if it does not."""
    if process.is_alive():
        process.terminate()
        process.join(GRACE_SECONDS)
    if process.pid is not None:
        # The group outlives its leader if anything was started in it that did not end with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _remove_leftovers(settings: Settings, database: Database, claimed: Claim) -> None:
    """Remove what a process that was ended left of its dossier, unless it is the one that the record names."""
    found = queue.find(database, claimed.submission_id)
    if found is not None and found.dossier == _folder_name(claimed):
        return
    root = uploads.dossiers(settings)
    for left in (root / _folder_name(claimed), *root.glob(f".{_folder_name(claimed)}.*")):
        shutil.rmtree(left, ignore_errors=True)
    for suffix in (".zip", ".partial"):
        (root / f"{_folder_name(claimed)}{suffix}").unlink(missing_ok=True)
    dossier_store.remove(settings, _folder_name(claimed))


def _erase_holdout(database: Database, settings: Settings, submission_id: str) -> None:
    """Erase a reviewer's rows once they were asked: they are theirs to keep, and can be added again."""
    found = queue.find(database, submission_id)
    if found is not None and found.holdout_of is not None and State(found.state).is_over:
        uploads.remove_upload(settings, submission_id)


_OF_A_CLAIM = re.compile(r"\.?([0-9a-f]{32})\.(\d+)(?:\.|$)")


def remove_abandoned(settings: Settings, database: Database) -> int:
    """Remove what killed processes left unfinished: dossiers of claims that are over, half-written files.

    Args:
        settings: of this service.
        database: says which claims still stand.

    Returns:
        How many files and folders there were.
    """
    gone = uploads.remove_partial(settings) + evidence_store.remove_partial(settings)
    # Listed before the records are asked: what a newer claim writes is not in the list.
    root = uploads.dossiers(settings)
    for path in [*root.iterdir(), *(root / name for name in dossier_store.names(settings))]:
        named = _OF_A_CLAIM.match(path.name)
        if named is None or path.name.endswith(".log"):
            continue
        submission_id, token = named[1], int(named[2])
        found = queue.find(database, submission_id)
        finished = found is not None and found.dossier == f"{submission_id}.{token}"
        if found is not None and found.state == State.RUNNING and found.token == token:
            continue
        if finished and not path.name.startswith("."):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        if not finished:
            # A draft may have become the dossier since it was listed.
            dossier_store.remove(settings, f"{submission_id}.{token}")
        gone += 1
    return gone


def empty_quarantine(settings: Settings) -> int:
    """Remove unpacked submissions whose process is gone: it was killed before it could remove them itself.

    Returns:
        How many there were.
    """
    from sandbox.intake.quarantine import remove
    from sandbox.isolation.place import started

    gone = 0
    for folder in (settings.local / "quarantine").glob("submission-*-*"):
        _, pid, _ = folder.name.split("-", 2)
        if pid.isdigit() and started(int(pid)) is None:
            remove(folder)
            gone += 1
    return gone


def sweep(settings: Settings) -> int:
    """End cells that belong to no living process.

    Returns:
        How many there were.
    """
    from sandbox.isolation.choose import sweep as sweep_cells

    swept = sweep_cells(settings)
    if swept:
        log.warning("%d cells without a living owner were ended", swept)
    return swept


def _record_end(database: Database, claimed: Claim, exitcode: int | None, reason: str | None) -> None:
    """Record an end that the process did not record itself; where it did, nothing changes."""
    match reason:
        case "cancelled":
            queue.end(database, claimed, state=State.CANCELLED, actor=actor())
        case "stopped":
            queue.give_back(database, claimed, actor=actor())
        case "too_long":
            problem = Problem(
                field="",
                code="run.too_long",
                message="The assessment took longer than this service allows and was ended. Nothing was kept.",
            )
            queue.end(database, claimed, state=State.FAILED, actor=actor(), problems=[problem])
        case "lost":
            log.warning("the claim on %s was lost; its result is not recorded", claimed.submission_id)
        case _:
            incident = new_id()[:12]
            if exitcode is not None and exitcode < 0:
                name = signal.Signals(-exitcode).name
                problem = Problem(
                    field="",
                    code="run.killed",
                    message=f"The assessment was ended from outside ({name}) before it was done. Often the machine was "
                    "out of memory. Nothing was kept; submit it again.",
                    params={"signal": name},
                )
            else:
                problem = Problem(
                    field="",
                    code="run.broken",
                    message=f"The assessment broke off through a fault of ours. Incident {incident}.",
                    params={"incident": incident},
                )
            if queue.end(database, claimed, state=State.FAILED, actor=actor(), problems=[problem], incident=incident):
                log.error("incident %s: the process of %s ended with %s", incident, claimed.submission_id, exitcode)


def _folder_name(claimed: Claim) -> str:
    return f"{claimed.submission_id}.{claimed.token}"


def _in_child(
    submission_id: str, token: int, attempt: int, settings: Settings, entry: str, membership: Membership | None
) -> None:
    """Run in the new process."""
    begin_session()
    cancel = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: cancel.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    database = Database(settings)
    claimed = Claim(submission_id=submission_id, token=token, attempt=attempt)
    module, _, function = entry.partition(":")
    assess: Callable[..., Assessed] = getattr(importlib.import_module(module), function)
    folder = uploads.dossiers(settings) / _folder_name(claimed)
    try:
        found = queue.find(database, submission_id)
        own = found.retention_days if found is not None else None
        if own is not None:
            settings = dataclasses.replace(settings, retention_days=min(own, settings.retention_days))
        with contextlib.ExitStack() as files:
            first, holdout = found, None
            if found is not None and found.holdout_of is not None:
                first = queue.find(database, found.holdout_of)
                suffix = PurePath(found.name).suffix
                holdout = files.enter_context(uploads.opened(settings, submission_id, suffix))
            upload = files.enter_context(uploads.opened(settings, first.id if first is not None else submission_id))
            tracing.start(settings, "assessment")
            files.callback(tracing.stop)
            files.enter_context(tracing.span("assessment", submission=submission_id, attempt=attempt))
            assessed = assess(
                upload,
                holdout=holdout,
                out=folder,
                settings=settings,
                attested_by="service",
                who=settings.address,
                organisation=(found.organisation or "") if found is not None else "",
                progress=_Reporter(database, claimed),
                cancel=cancel,
                log_to_mlflow=False,
                standing=functools.partial(_standing, database, first, settings),
                membership=membership,
            )
    except Cancelled:
        return
    except Refused as refused:
        queue.end(database, claimed, state=State.REFUSED, actor=actor(), problems=refused.problems)
        return
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        log.error("no room is left while %s ran: %s", submission_id, error.filename or settings.local)
        problem = Problem(
            field="",
            code="run.disk_full",
            message="The disk of this service is full, so the assessment broke off. Nothing was kept; submit it again "
            "when there is room.",
        )
        queue.end(database, claimed, state=State.FAILED, actor=actor(), problems=[problem])
        return
    except CellUnavailable as unavailable:
        if not cancel.is_set():
            problem = Problem(
                field="",
                code="run.no_wall",
                message=str(unavailable),
                params={"probes": ", ".join(unavailable.probes)},
            )
            queue.end(database, claimed, state=State.FAILED, actor=actor(), problems=[problem])
        return
    kept = False
    if not cancel.is_set():
        uploads.zip_dossier(assessed.folder, _zip_path(settings, claimed))
        dossier_store.keep(settings, folder.name)
        # If the database is lost in this moment, nobody here knows whether it was recorded; then nothing is removed,
        # and whoever waits for this process asks the record.
        kept = queue.finish(database, claimed, _result(assessed), actor=actor())
    if not kept:
        dossier_store.remove(settings, folder.name)


def _zip_path(settings: Settings, claimed: Claim) -> Any:
    return uploads.dossiers(settings) / f"{_folder_name(claimed)}.zip"


def _standing(
    database: Database,
    found: Submission | None,
    settings: Settings,
    data_digest: str | None,
    recorded: LimitsRecorded,
) -> Standing:
    """Tell how long a submission stays here and where, and whether its limits followed results on the same data."""
    from model_cards.dossier import Standing

    kept = Standing(
        retention_days=settings.retention_days,
        until_review=found is not None and found.until_review,
        residency=settings.residency,
    )
    if found is None or data_digest is None:
        return kept
    since = found.received if recorded.sealed_at is None else dt.datetime.fromisoformat(recorded.sealed_at)
    earlier = queue.earlier_on_same_data(database, found, data_digest, since)
    return kept.model_copy(
        update={
            "results_before_limits": len(earlier),
            "limits_changed": earlier[-1].limits_digest != recorded.digest if earlier else None,
        }
    )


def _result(assessed: Assessed) -> queue.Result:
    from model_cards.dossier import Run
    from sandbox.environments.keeping import OWN_PACKAGES
    from sandbox.intake.bundle import data_path
    from sandbox.records.mlflow_log import key_of

    dossier = assessed.assessment.dossier
    run = Run.from_json((assessed.folder / "run.json").read_bytes())
    receipt = run.receipt
    counts = dossier.outcome_counts
    return queue.Result(
        # PostgreSQL keeps no null character in a text.
        system=dossier.declaration.system.name.replace("\0", "\ufffd"),
        version=dossier.declaration.system.version.replace("\0", "\ufffd"),
        risk_class=str(dossier.risk.risk_class),
        beyond=counts["beyond"],
        undecided=counts["undecided"],
        within=counts["within"],
        folder=assessed.folder.name,
        dossier_digest=dossier.digest,
        evidence_digest=dossier.submission.evidence_digest,
        outbox_key=key_of(assessed.folder),
        data_digest=dossier.submission.files.get(data_path(dossier.declaration) or ""),
        limits_digest=dossier.submission.limits_recorded.digest,
        cpu_seconds=(receipt.cpu_seconds or 0.0) if receipt else 0.0,
        builds=sum(note.startswith(OWN_PACKAGES) for note in (*run.notes, *(receipt.notes if receipt else ()))),
    )


class _Reporter:
    """Writes progress to the record: each new stage at once, steps within one not more often than can be read."""

    def __init__(self, database: Database, claimed: Claim) -> None:
        self._database, self._claimed = database, claimed
        self._stage, self._at = "", 0.0

    def __call__(self, stage: Stage) -> None:
        at = time.monotonic()
        if stage.name == self._stage and at - self._at < REPORT_SECONDS and stage.done != stage.total:
            return
        self._stage, self._at = stage.name, at
        try:
            queue.report(self._database, self._claimed, stage=stage.name, done=stage.done, total=stage.total)
        except DBAPIError as error:
            # How far it is matters less than that it goes on; whether its claim stands is asked at its end.
            log.warning("progress of %s was not written: %s", self._claimed.submission_id, type(error).__name__)


def end_with_parent() -> None:
    """End this process and its group when the worker is gone: a result that nobody waits for must not appear."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(os.getpid(), signal.SIGKILL)
