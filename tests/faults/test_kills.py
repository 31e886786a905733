"""Processes are killed at drawn moments while submissions run: each ends exactly once, and nothing stays behind."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.engine import make_url

from sandbox import engine
from sandbox.records import audit, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.mlflow_log import KEY_TAG
from sandbox.records.tables import AuditEntry, OutboxEntry, State, Submission, new_id
from sandbox.serving import serve
from sandbox.settings import Settings
from sandbox.worker import work
from tests.conftest import skip_or_fail
from tests.make import postgres, submissions

pytestmark = pytest.mark.network
LONG = "AIACT_SANDBOX_LONG_FAULTS"
"""Environment variable: how many submissions the long form runs, with real assessments and MLflow's own server."""

MARK = "AIACT_SANDBOX_FAULT_TEST"
ENDS = {f"submission.{s.value}" for s in State if s.is_over}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def of_this_test(mark: str) -> list[int]:
    """List living processes that were started in this test, by a variable that all of them inherit."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            dead = (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes() and not dead:
                found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid()]


class Tracking:
    """MLflow's own server, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        store = f"sqlite:///{self._folder / 'mlflow.db'}"
        command = ["-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        more = ["--backend-store-uri", store, "--artifacts-destination", str(self._folder / "artifacts")]
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command, *more], stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Installation:
    """A service whose web process is started again when it is gone, as a machine's own supervisor does."""

    def __init__(self, settings: Settings, entry: str) -> None:
        self.settings = replace(settings, listen=f"127.0.0.1:{free_port()}")
        self._entry = entry
        self.web: SpawnProcess | None = None

    def start(self) -> None:
        self.web = multiprocessing.get_context("spawn").Process(
            target=serve, args=(self.settings,), kwargs={"entry": self._entry, "lease_seconds": 2.0}
        )
        self.web.start()

    def workers(self) -> list[int]:
        """Process ids of workers, the assessing processes not among them."""
        assert self.web is not None
        children: list[int] = []
        with suppress(OSError):
            for task in Path(f"/proc/{self.web.pid}/task").iterdir():
                children += [int(pid) for pid in (task / "children").read_text().split()]
        return [p for p in children if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]

    def kill_worker(self) -> bool:
        for pid in self.workers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def kill_web(self) -> bool:
        assert self.web is not None
        self.web.kill()
        self.web.join()
        self.start()
        return True

    def stop(self) -> None:
        if self.web is not None:
            self.web.terminate()
            self.web.join(40)
            self.web.kill()
            self.web.join()


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    # Python's own helper process for starting others is not part of what is tested.
    resource_tracker.ensure_running()
    drawn = new_id()
    monkeypatch.setenv(MARK, drawn)
    yield drawn
    for pid in of_this_test(drawn):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    migrate(settings)
    opened = Database(settings)
    yield opened
    opened.close()


def hand_in(settings: Settings, database: Database, folder: Path, number: int) -> str:
    """Put a submission on the predictions route into the queue, each of another system."""
    system = {**submissions.SYSTEM, "name": f"Loan check {number}"}
    zipped = submissions.zipped(submissions.predictions(folder / f"s{number}", system=system), folder / f"{number}.zip")
    receiving = uploads.Receiving(settings, new_id())
    receiving.write(zipped.read_bytes())
    receiving.keep()
    receiving.close()
    queue.add(
        database,
        submission_id=receiving.submission_id,
        name=f"{number}.zip",
        size=receiving.size,
        digest=receiving.digest,
        actor="test",
    )
    return receiving.submission_id


def until(condition: Callable[[], Any], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def rows_of(database: Database) -> list[Submission]:
    with database.reading() as session:
        return list(session.scalars(select(Submission)))


def check_all_ended_once(settings: Settings, database: Database, ids: list[str], *, also: tuple[str, ...] = ()) -> None:
    """Each submission has one end in record and audit log; a dossier where it is done, and whole; else none."""
    found = {r.id: r for r in rows_of(database)}
    assert sorted(found) == sorted(ids)
    with database.reading() as session:
        assert audit.verify(session) == ()
        entries = session.scalars(select(AuditEntry)).all()
    ends = Counter(e.subject for e in entries if e.action in ENDS)
    assert ends == Counter(ids)
    kept = set()
    for row in found.values():
        if row.state == State.FAILED:
            codes = [p["code"] for p in row.problems] or [""]
            assert codes in [[code] for code in ("run.lost", *also)]
            assert row.incident or codes == ["run.lost"]
            continue
        assert row.state == State.DONE
        assert row.dossier == f"{row.id}.{row.token}"
        kept |= {row.dossier, f"{row.dossier}.zip"}
        folder = uploads.dossiers(settings) / row.dossier
        assert json.loads((folder / "dossier.json").read_bytes())["declaration"]["system"]["name"] == row.system
        for line in (folder / "SHA256SUMS").read_text().split("\n"):
            if line:
                digest, _, name = line.partition("  ")
                assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {p.name for p in uploads.dossiers(settings).iterdir()} == kept


def check_nothing_stays(settings: Settings) -> None:
    """No unpacked upload, no half-written file, no key without its evidence."""
    assert list((settings.state / "quarantine").glob("*")) == []
    assert list(settings.state.rglob("*.partial")) == []
    assert list(settings.state.rglob("*.log")) == []
    sealed = {p.stem for p in (settings.state / "evidence").glob("*.sealed")}
    assert {p.name.partition(".")[0] for p in (settings.state / "keys").glob("*.key") if len(p.stem) > 64} == sealed


def kill_until_all_ended(
    kills: dict[str, Callable[[], Any]], database: Database, *, seed: int, most: int, pause: tuple[float, float]
) -> Counter[str]:
    drawn = random.Random(seed)
    done: Counter[str] = Counter()
    for _ in range(most):
        time.sleep(drawn.uniform(*pause))
        if all(State(r.state).is_over for r in rows_of(database)):
            break
        name = drawn.choice(sorted(kills))
        if kills[name]():
            done[name] += 1
    return done


@pytest.mark.timeout(150)
def test_what_is_killed_at_drawn_moments_loses_and_doubles_nothing(
    settings: Settings, database: Database, tmp_path: Path, mark: str
) -> None:
    ids = [hand_in(settings, database, tmp_path, number) for number in range(6)]
    installation = Installation(settings, "tests.make.faults:brief")
    installation.start()
    try:
        until(lambda: any(r.state == State.RUNNING for r in rows_of(database)), 60)
        kills = {"worker": installation.kill_worker, "web": installation.kill_web}
        done = kill_until_all_ended(kills, database, seed=20261124, most=3, pause=(0.3, 4.0))
        until(lambda: all(State(r.state).is_over for r in rows_of(database)), 80)
    finally:
        installation.stop()
    print(f"killed: {dict(done)}; attempts: {sorted(r.attempt for r in rows_of(database))}")
    assert sum(done.values()) >= 2
    time.sleep(3.1)
    engine.remove_abandoned(settings, database)
    engine.empty_quarantine(settings)
    check_all_ended_once(settings, database, ids)
    check_nothing_stays(settings)
    until(lambda: of_this_test(mark) == [], 10)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    try:
        with postgres.server() as url:
            yield url
    except FileNotFoundError as absent:
        skip_or_fail(str(absent))


@pytest.fixture
def on_postgres(settings: Settings, server: str) -> Iterator[Settings]:
    with postgres.fresh(server) as url:
        yield replace(settings, database_url=url)


@pytest.mark.timeout(150)
def test_lost_database_connections_lose_and_double_nothing(on_postgres: Settings, server: str, tmp_path: Path) -> None:
    settings = on_postgres
    migrate(settings)
    database = Database(settings)
    ids = [hand_in(settings, database, tmp_path, number) for number in range(4)]
    stop = threading.Event()
    working = threading.Thread(
        target=work,
        args=(settings,),
        kwargs={"entry": "tests.make.faults:brief", "stop": stop, "lease_seconds": 3.0},
    )
    working.start()
    drawn = random.Random(20261126)
    cut = 0
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        end = time.monotonic() + 90
        while not all(State(r.state).is_over for r in rows_of(database)):
            assert time.monotonic() < end, "it did not end in time"
            time.sleep(drawn.uniform(0.1, 1.2))
            if cut < 8:
                with admin.connect() as connection:
                    name = make_url(settings.database_url).database
                    ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = :name"
                    cut += int(connection.execute(text(ended), {"name": name}).scalar_one() > 0)
    finally:
        stop.set()
        working.join(30)
        admin.dispose()
    print(f"connections were cut {cut} times; states: {Counter(r.state for r in rows_of(database))}")
    assert cut >= 3
    engine.remove_abandoned(settings, database)
    check_all_ended_once(settings, database, ids, also=("run.broken", ""))
    database.close()


@pytest.mark.skipif(LONG not in os.environ, reason="the long form runs by `make faults`")
@pytest.mark.timeout(3600)
def test_many_real_assessments_survive_kills_of_worker_web_and_mlflow(
    settings: Settings, database: Database, tmp_path: Path, mark: str
) -> None:
    count = int(os.environ[LONG])
    tracking = Tracking(tmp_path / "tracking")
    tracking.start()
    settings = replace(settings, mlflow_tracking_uri=tracking.url)
    ids = [hand_in(settings, database, tmp_path, number) for number in range(count)]
    installation = Installation(settings, "sandbox.assess:assess")
    installation.start()

    def kill_tracking() -> bool:
        tracking.kill()
        tracking.start()
        return True

    try:
        until(lambda: any(r.state == State.RUNNING for r in rows_of(database)), 120)
        kills = {"worker": installation.kill_worker, "web": installation.kill_web, "mlflow": kill_tracking}
        done = kill_until_all_ended(kills, database, seed=20261125, most=count // 2, pause=(2.0, 25.0))
        until(lambda: all(State(r.state).is_over for r in rows_of(database)), 60 + 40 * count)
        until(lambda: not waiting_letters(database), 600)
    finally:
        installation.stop()
    print(f"killed: {dict(done)}; attempts: {sorted(r.attempt for r in rows_of(database))}")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking.url)
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = [r.data.tags[KEY_TAG] for r in client.search_runs(experiments, max_results=5000)]
    with database.reading() as session:
        assert sorted(runs) == sorted(session.scalars(select(OutboxEntry.key)))
    tracking.kill()
    time.sleep(3.1)
    engine.remove_abandoned(settings, database)
    engine.empty_quarantine(settings)
    check_all_ended_once(settings, database, ids)
    assert list((settings.state / "quarantine").glob("*")) == []
    assert engine.sweep(settings) == 0
    until(lambda: of_this_test(mark) == [], 20)


def waiting_letters(database: Database) -> bool:
    with database.reading() as session:
        return session.scalars(select(OutboxEntry).where(OutboxEntry.logged.is_(None))).first() is not None
