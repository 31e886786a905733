"""On a cluster, too, every submission ends exactly once, and nobody speaks to it without a certificate of ours."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import select

from sandbox import cluster
from sandbox.errors import CannotStart
from sandbox.records import audit, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.tables import AuditEntry, State, Submission
from sandbox.serving import serve
from sandbox.settings import Settings
from sandbox.worker import work
from tests.conftest import ROOT
from tests.make import authority, node, postgres
from tests.make.clusters import Machines
from tests.make.queued import hand_in
from tests.make.waiting import free_port, until

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]
ENDS = {f"submission.{s.value}" for s in State if s.is_over}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, postgres_server: str) -> Iterator[Settings]:
    port = free_port()
    with postgres.fresh(postgres_server) as url:
        yield replace(
            settings,
            database_url=url,
            scratch=str(tmp_path / "scratch"),
            scheduler=f"tls://127.0.0.1:{port}",
            scheduler_tls=str(authority.write(tmp_path / "tls")),
        )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    migrate(settings)
    opened = Database(settings)
    yield opened
    opened.close()


@pytest.fixture
def machines(settings: Settings, tmp_path: Path, database: Database) -> Iterator[Machines]:
    made = Machines(settings, tmp_path)
    made.start("scheduler")
    yield made
    made.stop()


@pytest.fixture
def service(settings: Settings) -> Iterator[Callable[[], threading.Event]]:
    """Start the part that hands over; what it gives back ends it."""
    running: list[tuple[threading.Thread, threading.Event]] = []

    def start() -> threading.Event:
        stop = threading.Event()
        thread = threading.Thread(
            target=work, args=(settings,), kwargs={"stop": stop, "lease_seconds": node.LEASE_SECONDS}
        )
        thread.start()
        running.append((thread, stop))
        return stop

    yield start
    for thread, stop in running:
        stop.set()
        thread.join(200)
        assert not thread.is_alive()


def row(database: Database, submission_id: str) -> Submission:
    found = queue.find(database, submission_id)
    assert found is not None
    return found


def over(database: Database, ids: list[str]) -> bool:
    return all(State(row(database, i).state).is_over for i in ids)


def ended_once(database: Database, ids: list[str], settings: Settings) -> None:
    assert {row(database, i).state for i in ids} == {"done"}
    with database.reading() as session:
        ends = Counter(session.scalars(select(AuditEntry.subject).where(AuditEntry.action.in_(ENDS))))
        assert audit.verify(session) == ()
    assert ends == Counter(ids)
    kept = {str(row(database, i).dossier) for i in ids}
    until(lambda: {p.name for p in uploads.dossiers(settings).iterdir()} == kept | {f"{name}.zip" for name in kept}, 20)


def test_a_killed_node_scheduler_or_service_costs_no_submission_and_doubles_none(
    settings: Settings,
    database: Database,
    machines: Machines,
    service: Callable[[], threading.Event],
) -> None:
    both = ("north", "south")
    for name in both:
        machines.start(name, "until_told")
    ids = [hand_in(settings, database) for _ in range(6)]
    stop = service()

    def asking(name: str) -> bool:
        pid = str(machines.running[name].pid)
        rows = (row(database, i) for i in ids)
        return any(r.state == "running" and r.stage == "ask" and str(r.worker).endswith(f":{pid}") for r in rows)

    until(lambda: all(map(asking, both)))
    machines.kill("north")
    machines.start("north", "until_told")
    until(lambda: asking("north"))
    machines.kill("scheduler")
    machines.start("scheduler")
    for name in both:
        # Without its scheduler a node gives its work back and ends, as a job in a batch queue should.
        machines.running[name].wait(200)
        machines.start(name)
    until(lambda: any(map(asking, both)))
    stop.set()
    service()
    until(lambda: over(database, ids))
    ended_once(database, ids, settings)
    assert max(row(database, i).attempt for i in ids) > 1


def test_what_is_cancelled_ends_and_a_node_that_is_told_to_stop_gives_its_work_back(
    settings: Settings, database: Database, machines: Machines, service: Callable[[], threading.Event]
) -> None:
    machines.start("north", "until_told")
    runs, waits, last = (hand_in(settings, database) for _ in range(3))
    service()
    until(lambda: row(database, runs).stage == "ask" and row(database, last).state == "running")
    for each in (runs, waits):
        assert queue.request_cancel(database, each, actor="web")
    until(lambda: over(database, [runs, waits]))
    assert [row(database, i).state for i in (runs, waits)] == ["cancelled"] * 2
    assert row(database, waits).stage == ""
    until(lambda: row(database, last).stage == "ask")
    machines.start("south", "quick")
    machines.running["north"].send_signal(signal.SIGTERM)
    machines.running.pop("north").wait(200)
    until(lambda: over(database, [last]))
    assert (row(database, last).state, row(database, last).attempt) == ("done", 1)


def test_nobody_speaks_to_the_scheduler_without_a_certificate_of_its_authority(
    settings: Settings, machines: Machines, tmp_path: Path
) -> None:
    from distributed import Client

    with Client(machines.address, security=cluster.security(settings), timeout=30, set_as_default=False):
        pass
    stranger = replace(settings, scheduler_tls=str(authority.write(tmp_path / "other", "somebody else")))
    with pytest.raises(OSError, match=r"Timed out|certificate|handshake"):
        Client(machines.address, security=cluster.security(stranger), timeout=2, set_as_default=False)
    with pytest.raises(OSError, match=r"Timed out|closed"):
        Client(machines.address.replace("tls://", "tcp://"), timeout=2, set_as_default=False)


def test_what_a_cluster_cannot_do_with_is_refused_at_start_with_what_to_set(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.refuse_unfit(settings)
    cluster.refuse_unfit(Settings())
    open_key = authority.write(tmp_path / "open")
    (open_key / "key.pem").chmod(0o640)
    for unfit, said in (
        (replace(settings, database_url=f"sqlite:///{tmp_path}/a.db"), "SQLite's locks do not hold across machines"),
        (replace(settings, scheduler="tcp://127.0.0.1:8786"), "must be a tls:// address"),
        (replace(settings, scheduler_tls=""), r"ca\.pem, certificate\.pem, key\.pem"),
        (replace(settings, scheduler_tls=str(open_key)), "chmod 600"),
        (replace(settings, scratch=""), "AIACT_SANDBOX_SCRATCH"),
    ):
        for start in (cluster.refuse_unfit, work, serve):
            with pytest.raises(CannotStart, match=said):
                start(unfit)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CannotStart, match=r"distributed, dask_jobqueue: install aiact-sandbox\[cluster\]"):
        cluster.refuse_unfit(replace(settings, scheduler="slurm"))


def test_a_worker_keeps_its_own_signals_when_jobs_for_slurm_are_loaded() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import signal\n"
            "ours = lambda *_: print('given back')\n"
            "signal.signal(signal.SIGTERM, ours)\n"
            "from sandbox.cluster import load_jobqueue\n"
            "load_jobqueue()\n"
            "signal.raise_signal(signal.SIGTERM)\n",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=ROOT,
    )
    assert said.stdout == "given back\n"


def test_a_service_ends_without_a_fault_where_the_database_is_away(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    class Waiting:
        cancelled = 0

        def cancel(self) -> None:
            Waiting.cancelled += 1

    away = Database(replace(settings, database_url=f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/away"))
    handing = cluster.Cluster(settings, away, lease_seconds=node.LEASE_SECONDS)
    for name in ("a" * 32, "b" * 32):
        claimed = queue.Claim(submission_id=name, token=1, attempt=1)
        handing._handed.append(cluster._Handed(claimed=claimed, future=cast(Any, Waiting()), renewed=0))
    handing.close()
    away.close()
    assert (handing.idle, Waiting.cancelled) == (True, 2)
    assert [record.getMessage().partition(" ")[2] for record in caplog.records] == [
        "waits until its lease is over: OperationalError"
    ] * 2
