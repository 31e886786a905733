"""A submission is worked on by one worker at a time and ends exactly once."""

from __future__ import annotations

import datetime as dt
import threading

import pytest

from sandbox.errors import Problem
from sandbox.records import queue
from sandbox.records.audit import verify
from sandbox.records.database import Database
from sandbox.records.tables import OutboxEntry, State, Submission, new_id, now
from sandbox.review import budgets, people

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


def _organisations(database: Database, *names: str) -> list[str]:
    return [people.create_organisation(database, name=name, actor="test") for name in names]


def _hand_in(database: Database, organisation: str, count: int = 1) -> list[str]:
    """Put many submissions into the queue at once, each a moment after the one before."""
    begun, ids = now(), [new_id() for _ in range(count)]
    with database.writing() as session:
        session.add_all(
            Submission(
                id=i,
                received=begun + dt.timedelta(microseconds=number),
                name="a.zip",
                bytes=1,
                digest="0" * 64,
                organisation=organisation,
            )
            for number, i in enumerate(ids)
        )
    return ids


def _owner(database: Database, claimed: queue.Claim | None) -> str | None:
    assert claimed is not None
    found = queue.find(database, claimed.submission_id)
    assert found is not None
    return found.organisation


@pytest.mark.parametrize("workers", [1, 4])
def test_a_thousand_submissions_of_one_do_not_keep_the_single_one_of_another_waiting(
    database: Database, workers: int
) -> None:
    many, single = _organisations(database, "many", "single")
    _hand_in(database, many, 1000)
    running = [queue.claim(database, worker=f"w{n}") for n in range(workers)]
    assert {_owner(database, claimed) for claimed in running} == {many}
    (late,) = _hand_in(database, single)
    row = queue.find(database, late)
    assert row is not None
    assert queue.waiting_before(database, row) <= 1
    first = running.pop(0)
    assert first is not None
    queue.end(database, first, state=State.CANCELLED, actor="w")
    following = queue.claim(database, worker="w0")
    assert following is not None
    assert following.submission_id == late


def test_organisations_take_turns_until_each_has_nothing_left(database: Database) -> None:
    names = _organisations(database, "a", "b", "c")
    for organisation, count in zip(names, (12, 5, 2), strict=True):
        _hand_in(database, organisation, count)
    taken = []
    while (claimed := queue.claim(database, worker="w")) is not None:
        taken.append(_owner(database, claimed))
        queue.end(database, claimed, state=State.CANCELLED, actor="w")
    a, b, c = names
    assert taken[:6] == [a, b, c, a, b, c]
    assert taken[6:12] == [a, b, a, b, a, b]
    assert taken[12:] == [a] * 7


def test_what_a_reviewer_runs_again_comes_first(database: Database) -> None:
    (organisation,) = _organisations(database, "a")
    first = _hand_in(database, organisation, 3)[0]
    again = new_id()
    queue.add(
        database,
        submission_id=again,
        name="rows.csv",
        size=1,
        digest="0" * 64,
        actor="web",
        organisation=organisation,
        origin=queue.Origin(holdout_of=first),
    )
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    assert claimed.submission_id == again


def test_no_more_of_an_organisation_run_than_its_budget_says_and_the_rest_waits(database: Database) -> None:
    own, other = _organisations(database, "own figure", "everybody's figure")
    budgets.set_budget(database, own, actor="test", running=1)
    _hand_in(database, own, 5)
    _hand_in(database, other, 5)
    claimed: list[queue.Claim] = []
    lock = threading.Lock()

    def take() -> None:
        while (got := queue.claim(database, worker="w", running_at_once=2)) is not None:
            with lock:
                claimed.append(got)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(_owner(database, c)) for c in claimed) == sorted([own, other, other])
    queue.end(database, claimed[0], state=State.CANCELLED, actor="w")
    following = queue.claim(database, worker="w", running_at_once=2)
    assert _owner(database, following) == _owner(database, claimed[0])


def test_of_two_that_were_handed_one_claim_only_the_first_begins(database: Database) -> None:
    _add(database)
    made = queue.claim(database, worker="service")
    assert made is not None
    token = queue.take_over(database, made.submission_id, made.token, worker="node 1")
    assert token is not None
    assert queue.take_over(database, made.submission_id, made.token, worker="node 2") is None
    assert not queue.renew(database, made).held
    assert not queue.give_back(database, made, actor="service")
    taken = queue.Claim(submission_id=made.submission_id, token=token, attempt=made.attempt)
    assert queue.finish(database, taken, RESULT, actor="node 1")
    assert queue.take_over(database, made.submission_id, token, worker="node 3") is None
    with database.reading() as session:
        assert verify(session) == ()
