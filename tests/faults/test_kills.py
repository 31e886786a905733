"""Processes are killed at drawn moments while submissions run: each ends exactly once, and nothing stays behind."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import signal
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
from sandbox.isolation import place
from sandbox.records import audit, uploads
from sandbox.records import database as opened
from sandbox.records.database import Database, migrate
from sandbox.records.mlflow_log import KEY_TAG, SYSTEM_TAG
from sandbox.records.tables import AuditEntry, OutboxEntry, State, Submission, new_id, now
from sandbox.serving import serve
from sandbox.settings import Settings
from sandbox.worker import work
from tests.make import authority, postgres, queued, submissions
from tests.make.clusters import Machines
from tests.make.waiting import free_port, until

pytestmark = pytest.mark.network
LONG = "AIACT_SANDBOX_LONG_FAULTS"
"""Environment variable: how many submissions the long form runs, every tenth a real assessment of a model in a cell."""

MARK = "AIACT_SANDBOX_FAULT_TEST"
ENDS = {f"submission.{s.value}" for s in State if s.is_over}


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
                [sys.executable, *command, *more],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            )

    def kill(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Installation:
    """A service whose web process is started again when it is gone, as a machine's own supervisor does."""

    def __init__(self, settings: Settings, entry: str, lease_seconds: float = 2.0) -> None:
        self.settings = replace(settings, listen=f"127.0.0.1:{free_port()}")
        self._entry, self._lease_seconds = entry, lease_seconds
        self.web: SpawnProcess | None = None

    def start(self) -> None:
        self.web = multiprocessing.get_context("spawn").Process(
            target=serve, args=(self.settings,), kwargs={"entry": self._entry, "lease_seconds": self._lease_seconds}
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


COLUMNS = {"sex": "group", "outcome": "label", "town": "ignore"}


def model_of_income() -> bytes:
    """Train a few trees on the one number that these submissions have."""
    import numpy as np
    import xgboost

    income = np.linspace(500, 3000, 60)
    table = xgboost.DMatrix(income.reshape(-1, 1), (income > 900).astype(float), feature_names=["income"])
    trained = xgboost.train({"objective": "binary:logistic", "max_depth": 2}, table, num_boost_round=3)
    return bytes(trained.save_raw("json"))


def hand_in(settings: Settings, database: Database, folder: Path, number: int, model: bytes = b"") -> str:
    """Put a submission on the predictions route into the queue, or one with a model; each of another system."""
    system = {**submissions.SYSTEM, "name": f"Loan check {number}"}
    where = folder / f"s{number}"
    written = (
        submissions.with_model(where, model, system=system, data={"columns": COLUMNS})
        if model
        else submissions.predictions(where, system=system)
    )
    zipped = submissions.zipped(written, folder / f"{number}.zip")
    return queued.hand_in(settings, database, zipped.read_bytes(), f"{number}.zip")


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
    settings: Settings, database: Database, tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [hand_in(settings, database, tmp_path, number) for number in range(6)]
    installation = Installation(settings, "tests.make.faults:brief")
    installation.start()
    try:
        until(lambda: any(r.state == State.RUNNING for r in rows_of(database)), 60)
        kills = {"worker": installation.kill_worker, "web": installation.kill_web}
        done = kill_until_all_ended(kills, database, seed=20261124, most=3, pause=(0.3, 2.0))
        until(lambda: all(State(r.state).is_over for r in rows_of(database)), 80)
    finally:
        installation.stop()
    print(f"killed: {dict(done)}; attempts: {sorted(r.attempt for r in rows_of(database))}")
    assert sum(done.values()) >= 2
    # Nobody writes any more, so that what is unfinished need not be old to be abandoned.
    monkeypatch.setattr(opened, "YOUNG_SECONDS", 0.0)
    engine.remove_abandoned(settings, database)
    engine.empty_quarantine(settings)
    check_all_ended_once(settings, database, ids)
    check_nothing_stays(settings)
    until(lambda: of_this_test(mark) == [], 10)


@pytest.fixture
def on_postgres(settings: Settings, postgres_server: str) -> Iterator[Settings]:
    with postgres.fresh(postgres_server) as url:
        yield replace(settings, database_url=url)


@pytest.mark.timeout(150)
def test_lost_database_connections_lose_and_double_nothing(
    on_postgres: Settings, postgres_server: str, tmp_path: Path
) -> None:
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
    try:
        end = time.monotonic() + 90
        while not all(State(r.state).is_over for r in rows_of(database)):
            assert time.monotonic() < end, "it did not end in time"
            time.sleep(drawn.uniform(0.1, 1.2))
            if cut < 8:
                cut += int(cut_connections(postgres_server, settings) > 0)
    finally:
        stop.set()
        working.join(30)
    print(f"connections were cut {cut} times; states: {Counter(r.state for r in rows_of(database))}")
    assert cut >= 3
    engine.remove_abandoned(settings, database)
    check_all_ended_once(settings, database, ids, also=("run.broken", ""))
    database.close()


@pytest.mark.skipif(LONG not in os.environ, reason="the long form runs by `make faults`")
@pytest.mark.parametrize("where", ["here", "cluster"])
@pytest.mark.timeout(3600)
def test_many_assessments_survive_kills_of_everything_that_can_die(
    on_postgres: Settings,
    postgres_server: str,
    tmp_path: Path,
    mark: str,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = int(os.environ[LONG])
    tracking = Tracking(tmp_path / "tracking")
    tracking.start()
    settings = replace(on_postgres, mlflow_tracking_uri=tracking.url, isolation="bubblewrap")
    if where == "cluster":
        settings = replace(
            settings,
            scratch=str(tmp_path / "scratch"),
            scheduler=f"tls://127.0.0.1:{free_port()}",
            scheduler_tls=str(authority.write(tmp_path / "tls")),
        )
    migrate(settings)
    database = Database(settings)
    model = model_of_income()
    ids = [hand_in(settings, database, tmp_path, n, model if n % 10 == 5 else b"") for n in range(count)]
    machines = Machines(settings, tmp_path)
    installation = Installation(settings, "tests.make.faults:mixed", lease_seconds=5.0)
    installation.start()
    names = ("scheduler", "north", "south") if where == "cluster" else ()
    for name in names:
        machines.start(name, "tests.make.faults:mixed")

    def kill_tracking() -> bool:
        tracking.kill()
        tracking.start()
        return True

    def kill_machine(name: str) -> bool:
        machines.kill(name)
        machines.start(name, "tests.make.faults:mixed")
        return True

    def mend_machines() -> None:
        for name in names:
            if machines.running[name].poll() is not None:
                machines.start(name, "tests.make.faults:mixed")

    kills: dict[str, Callable[[], Any]] = {
        "worker": installation.kill_worker,
        "web": installation.kill_web,
        "mlflow": kill_tracking,
        "connections": lambda: cut_connections(postgres_server, settings) > 0,
        **({"scheduler": lambda: kill_machine("scheduler")} if names else {}),
        **({"node": lambda: kill_machine(drawn.choice(["north", "south"]))} if names else {}),
    }
    drawn = random.Random(20261125)
    done: Counter[str] = Counter()
    try:
        until(lambda: any(r.state == State.RUNNING for r in rows_of(database)), 120)
        begun = time.monotonic()
        while not all(State(r.state).is_over for r in rows_of(database)):
            assert time.monotonic() - begun < 120 + 25 * count, Counter(r.state for r in rows_of(database))
            time.sleep(drawn.uniform(0.5, 4.0))
            mend_machines()
            # Three lost workers end a submission; killed for ever, none would be done.
            if done.total() < count // 2:
                name = drawn.choice(sorted(kills))
                done[name] += bool(kills[name]())
        took = time.monotonic() - begun
        until(lambda: not waiting_letters(database), 600)
    finally:
        installation.stop()
        machines.stop()
    rows = rows_of(database)
    print(
        f"{where}: {count} submissions in {took:.0f} s; killed {dict(done)}; attempts "
        f"{dict(Counter(r.attempt for r in rows))}; ends {dict(Counter(r.state for r in rows))}"
    )
    check_logged_once(tracking, database)
    tracking.kill()
    monkeypatch.setattr(opened, "YOUNG_SECONDS", 0.0)
    engine.remove_abandoned(settings, database)
    engine.empty_quarantine(settings)
    check_all_ended_once(settings, database, ids, also=("run.broken", ""))
    assert list((settings.local / "quarantine").glob("*")) == []
    assert list(settings.state.rglob("*.partial")) == []
    assert engine.sweep(settings) == 0
    assert place.leases(settings) == []
    until(lambda: of_this_test(mark) == [], 20)
    database.close()


def check_logged_once(tracking: Tracking, database: Database) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking.url)
    experiments = [e.experiment_id for e in client.search_experiments()]
    tags = [r.data.tags for r in client.search_runs(experiments, max_results=5000)]
    with database.reading() as session:
        assert sorted(t[KEY_TAG] for t in tags if KEY_TAG in t) == sorted(session.scalars(select(OutboxEntry.key)))
        systems = session.scalars(select(Submission.system).where(Submission.state == State.DONE)).all()
    assert sorted(t[SYSTEM_TAG] for t in tags if KEY_TAG not in t) == sorted(set(systems))


def cut_connections(postgres_server: str, settings: Settings) -> int:
    """End every connection to the database, but for this one to another."""
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = :name"
    try:
        with admin.connect() as connection:
            name = make_url(settings.database_url).database
            return int(connection.execute(text(ended), {"name": name}).scalar_one())
    finally:
        admin.dispose()


def waiting_letters(database: Database) -> bool:
    with database.reading() as session:
        return session.scalars(select(OutboxEntry).where(OutboxEntry.logged.is_(None))).first() is not None


def test_what_is_left_beside_a_finished_dossier_is_removed_without_it(settings: Settings, database: Database) -> None:
    submission = "0" * 32
    with database.writing() as session:
        session.add(
            Submission(
                id=submission,
                received=now(),
                name="a.zip",
                bytes=1,
                digest="0" * 64,
                state=State.DONE,
                token=2,
                dossier=f"{submission}.2",
            )
        )
    root = uploads.dossiers(settings)
    kept = root / f"{submission}.2"
    # A draft is listed, and its process finishes before the record is asked.
    for folder in (kept, root / f".{submission}.2.draft", root / f"{submission}.1"):
        folder.mkdir()
        (folder / "dossier.json").write_text("{}")
    kept.with_name(f"{kept.name}.zip").write_bytes(b"zip")
    assert engine.remove_abandoned(settings, database) == 2
    assert sorted(p.name for p in root.iterdir()) == [kept.name, f"{kept.name}.zip"]
    assert (kept / "dossier.json").is_file()
