"""Assess on a cluster: claims are handed to Dask's workers, and each is taken over where it is worked on.

Only the id of a submission and the number of its claim cross; a worker finds all else in the records, by settings of
its own. (Between workers, features and answers cross: see `sandbox.lending`.) Dask brings a task to whoever is free,
and again when a worker dies; that it ends exactly once rests on the records alone: of all who were handed a claim one
takes it over, and only the holder of its token writes an end.

Assumes of its caller: the authority of `scheduler_tls` signs nothing but scheduler, workers and this service, because
whoever speaks to a Dask scheduler runs code on its workers.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from sandbox import engine
from sandbox.errors import CannotStart
from sandbox.isolation.choose import refuse_weak_limits
from sandbox.lending.link import LENDING, Invitation, Membership
from sandbox.niceness import begin_session
from sandbox.records import queue
from sandbox.records.database import Database
from sandbox.records.queue import Claim
from sandbox.records.tables import State
from sandbox.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from distributed import Client, Future
    from distributed.security import Security

log = logging.getLogger(__name__)

SLURM = "slurm"
TLS_FILES = ("ca.pem", "certificate.pem", "key.pem")
CONNECT_SECONDS = 10.0
_NO_CELL = 3
"""Status of a process that could lend none."""

_lends_to_one = threading.Lock()

NOT_SERVED = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
"""Dask's own pages show who runs what to anybody who asks; they stay on their machine."""


def refuse_unfit(settings: Settings) -> None:
    """Keep a service from starting with a cluster that it cannot use.

    Args:
        settings: the operator's; without a `scheduler` nothing is asked of them.

    Raises:
        CannotStart: says what to set or to install.
    """
    if not settings.scheduler:
        return
    if settings.scheduler != SLURM and not settings.scheduler.startswith("tls://"):
        raise CannotStart(
            f"AIACT_SANDBOX_SCHEDULER must be a tls:// address or `slurm`, not {settings.scheduler!r}: whoever can "
            "speak to a scheduler without TLS runs code on every node."
        )
    needed = ("distributed", "dask_jobqueue") if settings.scheduler == SLURM else ("distributed",)
    if absent := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise CannotStart(f"A cluster needs {', '.join(absent)}: install aiact-sandbox[cluster].")
    folder = Path(settings.scheduler_tls)
    if absent := [name for name in TLS_FILES if not settings.scheduler_tls or not (folder / name).is_file()]:
        raise CannotStart(f"AIACT_SANDBOX_SCHEDULER_TLS must be a folder with {', '.join(absent)}.")
    if (folder / "key.pem").stat().st_mode & 0o077:
        raise CannotStart(f"{folder / 'key.pem'} can be read by others: chmod 600.")
    refuse_unshared(settings)


def refuse_unshared(settings: Settings) -> None:
    """Refuse settings by which machines would get into each other's way.

    Raises:
        CannotStart: the records are in SQLite, or cells and unpacked uploads would lie in the shared folder.
    """
    if make_url(settings.database).get_backend_name() == "sqlite":
        raise CannotStart(
            "Assessments on a cluster need a database that every node reaches, and SQLite's locks do not hold across "
            "machines: set AIACT_SANDBOX_DATABASE_URL to PostgreSQL."
        )
    if not settings.scratch:
        raise CannotStart(
            "Set AIACT_SANDBOX_SCRATCH to a folder of each machine's own: cells are no other node's to end."
        )


def security(settings: Settings) -> Security:
    """Give the certificates by which scheduler, workers and this service know each other; nothing goes unencrypted."""
    from distributed.security import Security

    authority, certificate, key = (str(Path(settings.scheduler_tls) / name) for name in TLS_FILES)
    ours: dict[str, Any] = {}
    for role in ("client", "scheduler", "worker"):
        ours |= {f"tls_{role}_cert": certificate, f"tls_{role}_key": key}
    return Security(require_encryption=True, tls_ca_file=authority, **ours)


def run_claimed(submission_id: str, token: int) -> bool:
    """Run a submission on this node, in a fresh process as everywhere; this is what Dask's workers call.

    Args:
        submission_id: of a submission that was claimed.
        token: of that claim.

    Returns:
        Whether it was run here; False where the claim does not stand, as when another node has taken it over.

    Raises:
        CannotStart, CellUnavailable: this node's settings do not do; the lease runs out, and it is tried again.
    """
    from distributed import get_worker

    settings = Settings.from_environment()
    refuse_unshared(settings)
    refuse_weak_limits(settings)
    # As long as nobody took the claim over, the service keeps its lease.
    engine.warm()
    database = Database(settings)
    try:
        taken = queue.take_over(
            database, submission_id, token, worker=engine.actor(), lease_seconds=queue.LEASE_SECONDS
        )
    finally:
        database.close()
    if taken is None:
        return False
    worker = get_worker()
    engine.run(
        submission_id,
        settings,
        token=taken,
        entry=engine.ASSESS,
        stop=_Closing(worker),
        lease_seconds=queue.LEASE_SECONDS,
        membership=membership_of(worker, submission_id, taken),
    )
    return True


def membership_of(worker: Any, submission_id: str, token: int) -> Membership:
    """Tell a process of this node how to reach its cluster.

    Args:
        worker: Dask's, of this process.
        submission_id, token: of the claim that it is done for.
    """
    from distributed.comm import get_address_host

    terms = worker.security
    return Membership(
        scheduler=worker.scheduler.address,
        host=get_address_host(worker.address),
        authority=terms.tls_ca_file,
        certificate=terms.tls_worker_cert,
        key=terms.tls_worker_key,
        submission_id=submission_id,
        token=token,
    )


def lend_here(invitation: Mapping[str, Any]) -> bool:
    """Lend cells to an assessment on another node, in a fresh process; this is what Dask's workers call.

    It holds no place among this worker's tasks: whatever is handed to this worker begins at once, and the lent cells
    then end after the batch that they are at.

    Args:
        invitation: the fields of an `Invitation`.

    Returns:
        Whether it may be asked again.

    Raises:
        CannotStart, CellUnavailable: this node's settings do not do.
    """
    from distributed import get_worker, secede

    worker = get_worker()
    secede()
    if not _lends_to_one.acquire(blocking=False):
        return True
    try:
        settings = Settings.from_environment()
        refuse_unshared(settings)
        refuse_weak_limits(settings)
        engine.warm()
        invited = Invitation(**invitation)
        membership = membership_of(worker, invited.submission_id, invited.token)
        process = engine.context().Process(target=_lend_in_child, args=(invited, membership, settings), name="lending")
        process.start()
        try:
            _give_way(process, worker)
        finally:
            engine.end_process(process)
            engine.sweep(settings)
            engine.empty_quarantine(settings)
        return process.exitcode == 0
    finally:
        _lends_to_one.release()


def _give_way(process: BaseProcess, worker: Any) -> None:
    """Wait for the process; tell it to leave once this worker has work of its own; return where the worker closes."""
    closing, told = _Closing(worker), False
    while process.is_alive() and not closing.is_set():
        process.join(engine.TICK_SECONDS)
        if not told and any(not str(task.key).startswith(LENDING) for task in list(worker.state.executing)):
            process.terminate()
            told = True


def _lend_in_child(invitation: Invitation, membership: Membership, settings: Settings) -> None:
    """Run in the new process."""
    # Here, because the scheduler imports this module too.
    from sandbox.lending.lender import lend

    begin_session()
    leave = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leave.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=engine.end_with_parent, daemon=True).start()
    # Whoever waits for this process ends its cells.
    if not lend(invitation, membership, settings, leave, give_up=lambda: os.killpg(os.getpid(), signal.SIGKILL)):
        raise SystemExit(_NO_CELL)


class _Closing(threading.Event):
    """Is set as soon as a Dask worker closes: it was told to, or its scheduler is gone."""

    def __init__(self, worker: Any) -> None:
        super().__init__()
        self._worker = worker

    def is_set(self) -> bool:
        return str(self._worker.status.name) not in ("running", "paused")


@dataclass(slots=True, kw_only=True)
class _Handed:
    """A claim that was handed to the cluster.

    Args:
        renewed: when its lease was last renewed from here, by the monotonic clock.
        taken: somebody took it over, who renews it now.
    """

    claimed: Claim
    future: Future
    renewed: float
    taken: bool = False


class Cluster:
    """Hands claims to a cluster, as many at once as the settings say, and looks after those that wait there.

    Args:
        settings: of this service, which `refuse_unfit` let through.
        database: the opened records.
        lease_seconds: how long a sign of life counts.
    """

    claimed: Claim | None = None
    """Nothing is worked on in this process."""

    def __init__(self, settings: Settings, database: Database, *, lease_seconds: float) -> None:
        self._settings, self._database, self._lease_seconds = settings, database, lease_seconds
        self._jobs: Any = None
        self._client: Client | None = None
        self._handed: list[_Handed] = []
        if settings.scheduler == SLURM:
            load_jobqueue()

    @property
    def idle(self) -> bool:
        """Whether nothing is on the cluster."""
        return not self._handed

    def turn(self, stop: threading.Event) -> bool:
        """Look after what is on the cluster, and hand over what there is room for.

        Args:
            stop: nothing more is handed over once it is set.

        Returns:
            Whether something ended.
        """
        before = len(self._handed)
        self._handed = [handed for handed in self._handed if self._goes_on(handed)]
        ended = len(self._handed) < before
        client = self._connected()
        while client is not None and len(self._handed) < self._settings.scheduler_at_once and not stop.is_set():
            claimed = queue.claim(
                self._database,
                worker=engine.actor(),
                lease_seconds=self._lease_seconds,
                running_at_once=self._settings.budget_running,
            )
            if claimed is None:
                break
            future = client.submit(
                run_claimed,
                claimed.submission_id,
                claimed.token,
                key=f"{claimed.submission_id}.{claimed.token}",
                pure=False,
            )
            self._handed.append(_Handed(claimed=claimed, future=future, renewed=time.monotonic()))
        return ended

    def close(self) -> None:
        """Give back what nobody has begun. What runs on a node goes on there, unless its job ends with this process."""
        for handed in self._handed:
            handed.future.cancel()
            try:
                queue.give_back(self._database, handed.claimed, actor=engine.actor())
            except DBAPIError as error:
                log.warning("%s waits until its lease is over: %s", handed.claimed.submission_id, type(error).__name__)
        self._handed = []
        self._disconnect()

    def _goes_on(self, handed: _Handed) -> bool:
        """Say whether a claim is still on the cluster, and keep its lease as long as nobody took it over."""
        match handed.future.status:
            case "finished":
                return False
            case "error":
                # Its lease runs out, so that this attempt counts: a node that can never run one must not try for ever.
                log.error("%s failed on the cluster: %r", handed.claimed.submission_id, handed.future.exception())
                return False
            case "cancelled" | "lost":
                log.warning("%s was lost with the scheduler", handed.claimed.submission_id)
                queue.give_back(self._database, handed.claimed, actor=engine.actor())
                return False
        if handed.taken or time.monotonic() - handed.renewed < self._lease_seconds / 3:
            return True
        waiting = queue.renew(self._database, handed.claimed, lease_seconds=self._lease_seconds)
        handed.renewed, handed.taken = time.monotonic(), not waiting.held
        if waiting.held and waiting.cancel:
            handed.future.cancel()
            queue.end(self._database, handed.claimed, state=State.CANCELLED, actor=engine.actor())
            return False
        return True

    def _connected(self) -> Client | None:
        """Give the connection; None while there is none, which is tried again at the next turn."""
        from distributed import Client

        if self._client is not None and self._client.status == "closed":
            self._disconnect()
        if self._client is None:
            try:
                if self._settings.scheduler == SLURM and self._jobs is None:
                    self._jobs = _on_slurm(self._settings)
                self._client = Client(
                    self._jobs if self._jobs is not None else self._settings.scheduler,
                    security=security(self._settings),
                    timeout=CONNECT_SECONDS,
                    set_as_default=False,
                )
            except OSError as away:
                log.warning("no scheduler answers at %s: %s", self._settings.scheduler, away)
        return self._client if self._client is not None and self._client.status == "running" else None

    def _disconnect(self) -> None:
        for opened in (self._client, self._jobs):
            if opened is not None:
                with suppress(OSError):
                    opened.close(timeout=CONNECT_SECONDS)
        self._client = self._jobs = None


def load_jobqueue() -> Any:
    """Import dask-jobqueue, and give back the signals that it takes as it is imported.

    The first time this must be called in the main thread, as only there signals can be set.
    """
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    import dask_jobqueue

    for number, ours in kept.items():
        if signal.getsignal(number) is not ours:
            signal.signal(number, ours)
    return dask_jobqueue


def _on_slurm(settings: Settings) -> Any:
    """Start a scheduler in this process, and Slurm jobs for as much as waits; their size is in `jobqueue.yaml`."""
    import dask.config

    def set_by_operator(name: str) -> Any:
        return dask.config.get(f"jobqueue.slurm.{name}", None)

    jobs = load_jobqueue().SLURMCluster(
        security=security(settings),
        protocol="tls://",
        processes=1,
        # A process under Dask's own supervisor may start none of its own; Slurm sees to what dies.
        nanny=False,
        worker_extra_args=[*(set_by_operator("worker-extra-args") or ()), *NOT_SERVED],
        scheduler_options={
            **(set_by_operator("scheduler-options") or {}),
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",
        },
    )
    # A job for each that waits: how long one takes is not known beforehand, and a node is never shared by two.
    jobs.adapt(minimum_jobs=0, maximum_jobs=settings.scheduler_at_once, target_duration="1 ms")
    return jobs
