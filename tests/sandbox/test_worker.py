"""What happens to an assessment happens to nothing else, and every submission ends exactly once."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from sandbox import engine, worker
from sandbox.records import audit, evidence_store, mlflow_log, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.tables import Submission
from sandbox.settings import Settings
from tests.make import runs as made_up
from tests.make.queued import hand_in
from tests.make.waiting import until

MADE = "tests.make.runs:"


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    migrate(settings)
    opened = Database(settings)
    yield opened
    opened.close()


@pytest.fixture
def add(database: Database, settings: Settings) -> Callable[[], str]:
    return partial(hand_in, settings, database)


def row(database: Database, submission_id: str) -> Submission:
    found = queue.find(database, submission_id)
    assert found is not None
    return found


def left_over(settings: Settings) -> list[str]:
    return sorted(p.name for p in uploads.dossiers(settings).iterdir())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_submission_becomes_a_dossier_sealed_evidence_and_an_mlflow_run(
    database: Database, settings: Settings, add: Callable[[], str]
) -> None:
    submission = add()
    worker.work(settings, entry=MADE + "quick", until_empty=True)
    found = row(database, submission)
    assert (found.state, found.system, found.version, found.risk_class) == (
        "done",
        "Loan decisions",
        "1.2",
        "high_risk_annex_iii",
    )
    assert (found.beyond, found.undecided, found.within) == (1, 2, 1)
    assert found.dossier is not None
    assert left_over(settings) == [found.dossier, f"{found.dossier}.zip"]
    assert found.evidence_digest is not None
    assert evidence_store.load(found.evidence_digest, settings) is not None
    assert mlflow_log.DatabaseOutbox(database, settings).letters() == []
    with database.reading() as session:
        assert audit.verify(session) == ()


def test_two_workers_run_each_submission_once(database: Database, settings: Settings, add: Callable[[], str]) -> None:
    ids = [add() for _ in range(4)]
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=worker.work, args=(settings,), kwargs={"entry": MADE + "quick", "until_empty": True})
        for _ in range(2)
    ]
    for process in workers:
        process.start()
    for process in workers:
        process.join(90)
    assert [p.exitcode for p in workers] == [0, 0]
    found = [row(database, i) for i in ids]
    assert [(f.state, f.attempt) for f in found] == [("done", 1)] * 4
    assert len({f.worker for f in found}) == 2
    assert len(left_over(settings)) == 8
    with database.reading() as session:
        assert audit.verify(session) == ()


def test_a_refused_submission_keeps_every_problem(
    database: Database, settings: Settings, add: Callable[[], str]
) -> None:
    submission = add()
    worker.work(settings, entry=MADE + "refused", until_empty=True)
    found = row(database, submission)
    assert found.state == "refused"
    assert [p["field"] for p in found.problems] == ["data.columns.sex", "model.file"]
    assert left_over(settings) == []


def test_without_a_wall_a_submission_fails_and_says_which_probe(
    database: Database, settings: Settings, add: Callable[[], str]
) -> None:
    submission = add()
    worker.work(settings, entry=MADE + "no_wall", until_empty=True)
    found = row(database, submission)
    assert (found.state, found.problems[0]["code"]) == ("failed", "run.no_wall")
    assert found.problems[0]["params"] == {"probes": "core_pattern"}


def test_a_killed_process_is_a_failed_submission_with_a_clear_message(
    database: Database, settings: Settings, add: Callable[[], str]
) -> None:
    submission, other = add(), add()
    worker.work(settings, entry=MADE + "killed", until_empty=True)
    for each in (submission, other):
        found = row(database, each)
        assert (found.state, found.problems[0]["code"]) == ("failed", "run.killed")
        assert "SIGKILL" in found.problems[0]["message"]
    assert left_over(settings) == []
    assert list((settings.state / "quarantine").iterdir()) == []


def test_a_fault_of_ours_shows_an_incident_and_no_detail(
    database: Database, settings: Settings, add: Callable[[], str]
) -> None:
    submission = add()
    worker.work(settings, entry=MADE + "broken", until_empty=True)
    found = row(database, submission)
    assert (found.state, found.problems[0]["code"]) == ("failed", "run.broken")
    assert found.incident
    assert found.incident in found.problems[0]["message"]
    assert "secret" not in str(found.problems)
    assert left_over(settings) == []


@pytest.fixture
def at_work(settings: Settings) -> Iterator[Callable[[str], threading.Event]]:
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def start(entry: str) -> threading.Event:
        thread = threading.Thread(target=worker.work, args=(settings,), kwargs={"entry": MADE + entry, "stop": stop})
        thread.start()
        threads.append(thread)
        return stop

    yield start
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("entry", ["slow", "deaf"])
def test_a_cancelled_submission_is_gone_within_two_seconds(
    database: Database,
    settings: Settings,
    add: Callable[[], str],
    at_work: Callable[[str], threading.Event],
    entry: str,
) -> None:
    submission = add()
    at_work(entry)
    until(lambda: row(database, submission).stage == "ask")
    grandchild = row(database, submission).done
    begun = time.monotonic()
    assert queue.request_cancel(database, submission, actor="web")
    until(lambda: row(database, submission).state == "cancelled", 5)
    seconds = time.monotonic() - begun
    print(f"{entry}: {seconds:.2f} s")
    assert seconds < 2.0
    if entry == "deaf":
        assert not alive(grandchild)
    until(lambda: left_over(settings) == [], 2)


def test_a_worker_that_is_told_to_stop_gives_its_work_back(
    database: Database, settings: Settings, add: Callable[[], str]
) -> None:
    submission = add()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=worker.work, args=(settings,), kwargs={"entry": MADE + "slow"})
    process.start()
    until(lambda: row(database, submission).stage == "ask")
    process.terminate()
    process.join(20)
    assert process.exitcode == 0
    found = row(database, submission)
    assert (found.state, found.attempt) == ("queued", 0)
    worker.work(settings, entry=MADE + "quick", until_empty=True)
    assert row(database, submission).state == "done"


def test_a_worker_that_is_killed_takes_its_assessment_with_it_and_another_one_finishes(
    database: Database, settings: Settings, add: Callable[[], str]
) -> None:
    submission = add()
    context = multiprocessing.get_context("spawn")
    process = context.Process(
        target=worker.work, args=(settings,), kwargs={"entry": MADE + "deaf", "lease_seconds": 1.0}
    )
    process.start()
    until(lambda: row(database, submission).stage == "ask")
    grandchild = row(database, submission).done
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    until(lambda: not alive(grandchild), 5)
    time.sleep(1.1)
    worker.work(settings, entry=MADE + "quick", until_empty=True)
    found = row(database, submission)
    assert (found.state, found.attempt) == ("done", 2)


def test_whoever_lost_its_claim_ends_and_records_nothing(
    database: Database, settings: Settings, add: Callable[[], str]
) -> None:
    submission = add()
    claimed = queue.claim(database, worker="here", lease_seconds=-1)
    assert claimed is not None
    thread = threading.Thread(
        target=engine.run,
        args=(submission, settings),
        kwargs={"token": claimed.token, "entry": MADE + "slow", "lease_seconds": 0.3},
    )
    thread.start()
    until(lambda: row(database, submission).stage == "ask")
    with database.writing() as session:
        taken = session.get(Submission, submission)
        assert taken is not None
        taken.token += 1
    thread.join(10)
    assert not thread.is_alive()
    assert row(database, submission).state == "running"
    assert left_over(settings) == []


def test_an_assessment_that_takes_too_long_is_ended_and_says_so(
    database: Database, settings: Settings, add: Callable[[], str]
) -> None:
    submission = add()
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    engine.run(submission, settings, token=claimed.token, entry=MADE + "slow", longest_seconds=1.0)
    found = row(database, submission)
    assert (found.state, found.problems[0]["code"]) == ("failed", "run.too_long")
    assert left_over(settings) == []


def test_what_is_past_its_date_is_removed_and_what_waits_is_kept(
    database: Database, settings: Settings, add: Callable[[], str]
) -> None:
    over, waits = add(), add()
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    assert claimed.submission_id == over
    worker.engine.run(over, settings, token=claimed.token, entry=MADE + "quick")
    digest = row(database, over).evidence_digest
    assert digest == made_up.evidence().digest
    last = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=settings.retention_days)
    worker.tidy(settings, database, last)
    assert (settings.state / "uploads" / f"{over}.sealed").exists()
    worker.tidy(settings, database, last + dt.timedelta(days=2))
    assert not (settings.state / "uploads" / f"{over}.sealed").exists()
    assert (settings.state / "uploads" / f"{waits}.sealed").exists()
    assert evidence_store.load(digest, settings) is None
    assert row(database, over).dossier in left_over(settings)


def test_what_a_living_process_unpacked_is_not_touched(settings: Settings, database: Database) -> None:
    mine = settings.state / "quarantine" / f"submission-{os.getpid()}-x"
    mine.mkdir(parents=True)
    (settings.state / "quarantine" / "submission-999999999-x").mkdir()
    assert engine.empty_quarantine(settings) == 1
    assert mine.is_dir()


def test_an_unknown_submission_is_named(settings: Settings, database: Database) -> None:
    with pytest.raises(LookupError, match="ffff"):
        engine.run("f" * 32, settings)
