"""A submission is worked on by one worker at a time and ends exactly once."""

from __future__ import annotations

import threading

from sandbox.errors import Problem
from sandbox.records import queue
from sandbox.records.audit import verify
from sandbox.records.database import Database
from sandbox.records.tables import OutboxEntry, State, new_id

RESULT = queue.Result(
    system="Income estimate",
    version="1",
    risk_class="minimal",
    beyond=1,
    undecided=2,
    within=3,
    folder="x",
    dossier_digest="d" * 64,
    evidence_digest="e" * 64,
    outbox_key="k" * 64,
)


def _add(database: Database, count: int = 1) -> list[str]:
    ids = [new_id() for _ in range(count)]
    for i in ids:
        queue.add(database, submission_id=i, name="a.zip", size=1, digest="0" * 64, actor="web")
    return ids


def _state(database: Database, submission_id: str) -> str:
    found = queue.find(database, submission_id)
    assert found is not None
    return found.state


def test_two_workers_never_take_the_same_row(database: Database) -> None:
    ids = _add(database, 12)
    taken: list[str] = []
    lock = threading.Lock()

    def take(name: str) -> None:
        while (got := queue.claim(database, worker=name)) is not None:
            with lock:
                taken.append(got.submission_id)

    threads = [threading.Thread(target=take, args=(f"w{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(ids)


def test_the_one_that_waits_longest_comes_first(database: Database) -> None:
    ids = _add(database, 3)
    taken = [queue.claim(database, worker="w") for _ in ids]
    assert [c.submission_id for c in taken if c] == ids


def test_finishing_records_the_result_and_the_outbox_once(database: Database) -> None:
    (submission,) = _add(database)
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    assert queue.finish(database, claimed, RESULT, actor="w")
    assert not queue.finish(database, claimed, RESULT, actor="w")
    assert not queue.end(database, claimed, state=State.FAILED, actor="w")
    found = queue.find(database, submission)
    assert found is not None
    assert (found.state, found.beyond, found.undecided, found.within) == ("done", 1, 2, 3)
    with database.reading() as session:
        assert session.get(OutboxEntry, "k" * 64) is not None
        assert verify(session) == ()


def test_whoever_lost_its_lease_writes_nothing(database: Database) -> None:
    (submission,) = _add(database)
    slow = queue.claim(database, worker="slow", lease_seconds=-1)
    assert slow is not None
    assert queue.requeue_expired(database, actor="other") == (1, 0)
    quick = queue.claim(database, worker="quick")
    assert quick is not None
    assert (quick.submission_id, quick.attempt) == (submission, 2)
    assert quick.token > slow.token
    assert not queue.renew(database, slow).held
    assert not queue.finish(database, slow, RESULT, actor="slow")
    queue.report(database, slow, stage="judge", done=9, total=9)
    found = queue.find(database, submission)
    assert found is not None
    assert (found.stage, found.state) == ("", "running")
    with database.reading() as session:
        assert session.get(OutboxEntry, "k" * 64) is None
    assert queue.finish(database, quick, RESULT, actor="quick")


def test_a_submission_whose_worker_is_lost_three_times_is_given_up(database: Database) -> None:
    (submission,) = _add(database)
    for attempt in (1, 2, 3):
        claimed = queue.claim(database, worker="w", lease_seconds=-1)
        assert claimed is not None
        assert claimed.attempt == attempt
        assert queue.requeue_expired(database, actor="w") == ((1, 0) if attempt < 3 else (0, 1))
    found = queue.find(database, submission)
    assert found is not None
    assert found.state == "failed"
    assert found.problems[0]["code"] == "run.lost"
    assert queue.claim(database, worker="w") is None


def test_a_lease_that_is_renewed_does_not_run_out(database: Database) -> None:
    _add(database)
    claimed = queue.claim(database, worker="w", lease_seconds=-1)
    assert claimed is not None
    assert queue.renew(database, claimed).held
    assert queue.requeue_expired(database, actor="w") == (0, 0)


def test_what_is_given_back_is_taken_again_as_the_same_attempt(database: Database) -> None:
    (submission,) = _add(database)
    first = queue.claim(database, worker="w")
    assert first is not None
    assert queue.give_back(database, first, actor="w")
    assert _state(database, submission) == "queued"
    second = queue.claim(database, worker="w")
    assert second is not None
    assert (second.attempt, second.token) == (1, first.token + 1)


def test_cancelling_stops_what_waits_and_asks_what_runs(database: Database) -> None:
    waits, runs = _add(database, 2)[::-1]
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    assert claimed.submission_id == runs
    assert queue.request_cancel(database, waits, actor="web")
    assert queue.request_cancel(database, runs, actor="web")
    assert _state(database, waits) == "cancelled"
    assert _state(database, runs) == "running"
    assert queue.renew(database, claimed) == queue.Waiting(held=True, cancel=True)
    assert queue.end(database, claimed, state=State.CANCELLED, actor="w")
    assert not queue.request_cancel(database, runs, actor="web")


def test_problems_are_kept_field_by_field(database: Database) -> None:
    (submission,) = _add(database)
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    problem = Problem(field="data.columns.sex", code="table.column_missing", message="…", params={"columns": ("a", 1)})
    assert queue.end(database, claimed, state=State.REFUSED, actor="w", problems=[problem])
    found = queue.find(database, submission)
    assert found is not None
    assert found.problems == [
        {"field": "data.columns.sex", "code": "table.column_missing", "message": "…", "params": {"columns": "('a', 1)"}}
    ]
