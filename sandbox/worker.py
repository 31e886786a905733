"""Take submissions from the queue and run them, one after the other, until told to stop.

Several workers may run on one machine or on several. A worker speaks to nobody over HTTP but the tracking server.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import signal
import threading
import time
from types import FrameType

from sqlalchemy.exc import SQLAlchemyError

from sandbox import cluster, engine
from sandbox.drafting.jobs import Jobs
from sandbox.environments.keeping import remove_unused
from sandbox.isolation.choose import refuse_weak_limits
from sandbox.notices import making, sending
from sandbox.records import audit, audit_heads, drafts, evidence_store, keyring, mlflow_log, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.queue import Claim
from sandbox.records.tables import State, Submission, new_id, now
from sandbox.review import desk
from sandbox.settings import Settings

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5
"""Longest pause between two looks into an empty queue."""

TIDY_SECONDS = 3600.0
UNRECORDED_SECONDS = 3600.0
"""How old an upload without a record must be to be removed."""

SWEEP_SECONDS = 60.0
"""Pause between two looks for what killed processes left unfinished."""

NOTICE_SECONDS = 1.0
"""Pause between two looks for something to tell."""

LOG_SECONDS = 5.0
LOG_SECONDS_AT_MOST = 300.0
"""Pause before MLflow is tried again: from the first to the second, doubled at each failure."""


def work(
    settings: Settings,
    *,
    entry: str = engine.ASSESS,
    stop: threading.Event | None = None,
    until_empty: bool = False,
    parent: int | None = None,
    lease_seconds: float = queue.LEASE_SECONDS,
) -> None:
    """Work until SIGTERM or SIGINT arrives or `stop` is set; what runs then is given back to the queue.

    Args:
        settings: of this service.
        entry: see `sandbox.engine.run`; a cluster's nodes run the assessment.
        stop: set it to stop; signals set it too, where this is the main thread.
        until_empty: stop as soon as nothing waits, and log what is in the outbox.
        parent: process id of a supervisor; the worker stops when that is no longer its parent.
        lease_seconds: how long a sign of life counts.
    """
    stop = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        _stop_on_signals(stop)
    if parent is not None:
        threading.Thread(target=_stop_with, args=(parent, stop), name="parent watch", daemon=True).start()
    cluster.refuse_unfit(settings)
    keyring.refuse_no_master(settings)
    refuse_weak_limits(settings)
    migrate(settings)
    database = Database(settings)
    runs: _Here | cluster.Cluster
    if settings.scheduler:
        runs = cluster.Cluster(settings, database, lease_seconds=lease_seconds)
    else:
        runs = _Here(settings, database, entry, lease_seconds)
    logger = _Logger(settings, stop)
    jobs = Jobs(settings, stop)
    notifier = _Notifier(settings, stop)
    tidied = swept = 0.0
    abandoned = True
    try:
        engine.sweep(settings)
        if not until_empty:
            logger.start()
            jobs.start()
            notifier.start()
        while not stop.is_set():
            ended = False
            try:
                if time.monotonic() - tidied > TIDY_SECONDS or not tidied:
                    tidy(settings, database)
                    audit_heads.send(database, settings)
                    tidied = time.monotonic()
                if any(queue.requeue_expired(database, actor=engine.actor())):
                    abandoned = True
                if abandoned or time.monotonic() - swept > SWEEP_SECONDS:
                    engine.remove_abandoned(settings, database)
                    engine.empty_quarantine(settings)
                    swept, abandoned = time.monotonic(), False
                ended = runs.turn(stop)
                if ended:
                    logger.wake()
            except Exception:  # noqa: BLE001  # logged, and recorded as a fault of ours
                # One submission, or a database that is away for a moment, must not end the worker.
                _record_fault(database, runs.claimed)
                stop.wait(IDLE_SECONDS)
            if not ended:
                if until_empty and runs.idle:
                    break
                stop.wait(IDLE_SECONDS)
    finally:
        stop.set()
        runs.close()
        logger.finish()
        jobs.finish()
        notifier.finish()
        if until_empty:
            mlflow_log.drain(mlflow_log.DatabaseOutbox(database, settings), settings)
        database.close()


class _Here:
    """Runs what it claims on this machine, one after the other.

    Args:
        settings, entry, lease_seconds: see `work`.
        database: the opened records.
    """

    def __init__(self, settings: Settings, database: Database, entry: str, lease_seconds: float) -> None:
        self._settings, self._database, self._entry, self._lease_seconds = settings, database, entry, lease_seconds
        self.claimed: Claim | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is claimed: a turn that broke off leaves what it was at."""
        return self.claimed is None

    def turn(self, stop: threading.Event) -> bool:
        """Run the submission whose turn it is to its end; say whether there was one."""
        self.claimed = None
        self.claimed = queue.claim(
            self._database,
            worker=engine.actor(),
            lease_seconds=self._lease_seconds,
            running_at_once=self._settings.budget_running,
        )
        if self.claimed is None:
            return False
        engine.run(
            self.claimed.submission_id,
            self._settings,
            token=self.claimed.token,
            entry=self._entry,
            stop=stop,
            lease_seconds=self._lease_seconds,
        )
        self.claimed = None
        return True

    def close(self) -> None:
        """Nothing is left: each turn ends what it began."""


def _record_fault(database: Database, claimed: Claim | None) -> None:
    incident = new_id()[:12]
    log.exception("incident %s: the worker failed at %s", incident, claimed or "the queue")
    if claimed is None:
        return
    try:
        queue.end(database, claimed, state=State.FAILED, actor=engine.actor(), incident=incident)
    except Exception:
        log.exception("incident %s: the failure could not be recorded; the lease will run out", incident)


def _stop_with(parent: int, stop: threading.Event) -> None:
    """Stop when the supervisor is gone: whoever was killed can tell nobody."""
    while not stop.wait(IDLE_SECONDS):
        if os.getppid() != parent:
            log.warning("the service is gone; the worker stops")
            stop.set()


def _stop_on_signals(stop: threading.Event) -> None:
    def told(number: int, _frame: FrameType | None) -> None:
        log.info("%s: stopping", signal.Signals(number).name)
        stop.set()

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)


def tidy(settings: Settings, database: Database, today: dt.date | None = None) -> None:
    """Remove what is kept no longer: evidence, uploads and packages past their date, and what killed processes left.

    Args:
        today: the day to count from; the present day if None.
    """
    day = today or now().date()
    for digest in evidence_store.expire(settings, day):
        with database.writing() as session:
            audit.record(session, actor=engine.actor(), action="evidence.expired", subject=digest)
    drafts.tidy(database, settings, actor=engine.actor())
    remove_unused(settings)
    today_begins = dt.datetime.combine(day, dt.time(), dt.UTC)
    for upload in uploads.kept(settings):
        with database.reading() as session:
            found = session.get(Submission, upload.stem)
        # A web process that is killed between keeping an upload and recording it leaves one that nobody will ask for.
        lost = found is None and upload.changed < now() - dt.timedelta(seconds=UNRECORDED_SECONDS)
        days = settings.retention_days
        if found is not None and found.retention_days is not None:
            days = min(days, found.retention_days)
        before = today_begins - dt.timedelta(days=days)
        is_over = found is None or State(found.state).is_over
        closed = found is not None and found.until_review and desk.standing(database, found).is_signed
        if lost or (is_over and (upload.changed < before or closed)):
            uploads.remove_upload(settings, upload.stem)
            with database.writing() as session:
                why = {"because": "the review is signed" if closed else "its days are over"}
                audit.record(session, actor=engine.actor(), action="upload.expired", subject=upload.stem, facts=why)
    engine.empty_quarantine(settings)


class _Notifier:
    """Makes and sends notices beside the work, so that a slow receiver delays no assessment."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings, self._stop = settings, stop
        self._thread = threading.Thread(target=self._loop, name="notices", daemon=True)

    def start(self) -> None:
        """Start looking into the audit log."""
        self._thread.start()

    def finish(self) -> None:
        """Wait for what is being sent, for a while; what is left is sent later."""
        if self._thread.is_alive():
            self._thread.join(15)

    def _loop(self) -> None:
        database = Database(self._settings)
        while not self._stop.is_set():
            try:
                while making.make(database, with_mail=bool(self._settings.mail_server)):
                    pass
                sending.send_due(database, self._settings)
            except SQLAlchemyError as error:
                log.warning("no notices were sent: %s", type(error).__name__)
            self._stop.wait(NOTICE_SECONDS)
        database.close()


class _Logger:
    """Brings the outbox to MLflow beside the work, so that a slow tracking server delays no assessment."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings, self._stop = settings, stop
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="mlflow logger", daemon=True)

    def start(self) -> None:
        """Start looking into the outbox."""
        self._thread.start()

    def wake(self) -> None:
        """Look into the outbox now."""
        self._wake.set()

    def finish(self) -> None:
        """Wait for what is being logged, for a while; what is left stays in the outbox."""
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(15)

    def _loop(self) -> None:
        database = Database(self._settings)
        pause = LOG_SECONDS
        outboxes: tuple[mlflow_log.Outbox, ...] = (
            mlflow_log.DatabaseOutbox(database, self._settings),
            mlflow_log.FolderOutbox(self._settings),
        )
        while True:
            drained = [mlflow_log.drain(outbox, self._settings, stop=self._stop) for outbox in outboxes]
            if any(d.waiting for d in drained):
                pause = min(pause * 2, LOG_SECONDS_AT_MOST)
                problem = next((d.problem for d in drained if d.problem), "")
                if problem:
                    log.warning("not logged to MLflow yet: %s", problem)
            else:
                pause = LOG_SECONDS
            if self._stop.is_set():
                break
            self._wake.wait(pause)
            self._wake.clear()
        database.close()
