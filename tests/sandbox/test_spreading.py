"""One large table is answered by cells of several workers: the same findings, whoever helps, fails or dies."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np
import pyarrow as pa
import pytest

from checks.asking import BATCH_ROWS, Plan, ask
from model_cards.dossier import AttemptFacts, ReceiptFacts
from sandbox import cluster, engine
from sandbox.cell.wire import Setup
from sandbox.errors import ModelFault
from sandbox.intake import accept
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.interface import Chosen, Limits
from sandbox.isolation.place import descends, leases, limits_as_dict
from sandbox.lending import borrower
from sandbox.lending.borrower import Board, Borrowed, Shared
from sandbox.lending.lender import lend
from sandbox.lending.link import _HEAD, Invitation, Link, Membership, Word, kind_of_processor, unpacked
from sandbox.records import queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.tables import State
from sandbox.respondent import InCell, respondent, wall_or_why_not
from sandbox.settings import Settings
from sandbox.stages import Watch
from tests.make import authority, postgres, runs, submissions
from tests.make.clusters import Machines
from tests.make.queued import hand_in
from tests.make.waiting import free_port, until

if TYPE_CHECKING:
    from distributed import Client, Future

WANTED = "AIACT_SANDBOX_SPREADING"
pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]
long = pytest.mark.skipif(WANTED not in os.environ, reason="a cluster that shares one table runs by `make spreading`")

PACE = 0.003
"""Seconds that the slow model takes for a row."""

SLOW = """
import time
class Model:
    classes_ = ["no", "yes"]
    def predict(self, X):
        return [self.classes_[p > 0.5] for p in self.predict_proba(X)[:, 1]]
    def predict_proba(self, X):
        import numpy as np
        time.sleep(len(X) * PACE)
        income = np.asarray(X, dtype=float)[:, 0]
        yes = 1 / (1 + np.exp(-(income - 1500) / 400))
        return np.column_stack([1 - yes, yes])
"""


def slow(pace: float) -> bytes:
    """Pickle a model that sleeps so many seconds for each row."""
    scope: dict[str, Any] = {"__name__": "__main__", "PACE": pace}
    exec(compile(SLOW, "<slow>", "exec"), scope)
    return cloudpickle.dumps(scope["Model"]())


def submission(folder: Path, *, rows: int, pace: float) -> bytes:
    """Zip a submission with a slow model."""
    table = [
        ("income", "sex", "outcome"),
        *((str(500 + (37 * n) % 2500), "fm"[n % 2], ("no", "yes")[(n * 7919) % 100 > 40]) for n in range(rows)),
    ]
    written = submissions.with_model(
        folder / "s",
        slow(pace),
        name="model.pkl",
        stated={"allow_code": True},
        table=submissions.csv_of(table),
        data={"columns": submissions.DATA["columns"]},
    )
    return submissions.zipped(written, folder / "s.zip").read_bytes()


PROBE = AttemptFacts(probe="network_inet", expected="refused", observed="refused", held=True)
WALL = ReceiptFacts(
    backend="bubblewrap",
    runtime="bubblewrap 0.8",
    image="tree:1",
    profile_digest="p",
    user="own",
    memory_limit_by="cgroup",
    limits={},
    probes=(PROBE,),
    ending="finished",
    seconds=1.0,
    cpu_seconds=2.0,
    peak_bytes=10,
    bytes_in=0,
    bytes_out=0,
    rows_asked=0,
)


class Talk:
    """An own cell that answers with twice the input, slowly; fails after so many batches where told to."""

    lost, usable = False, True

    def __init__(self, *, fails_after: int = 10**6, seconds: float = 0.004) -> None:
        self.beside: list[Talk] = []
        self.got: list[float] = []
        self._sent: deque[pa.Table] = deque()
        self._fails_after, self._seconds = fails_after, seconds

    def send(self, batch: pa.Table) -> None:
        self._sent.append(batch)

    def take(self) -> np.ndarray:
        return self.predict(self._sent.popleft())

    def drop(self) -> None:
        self._sent.clear()

    answer_bytes, as_own, _checked = Conversation.answer_bytes, Conversation.as_own, Conversation._checked
    _setup = Setup(
        format="", path="", allow_code=False, columns=(), task="", output="value", classes=(), score_of="", k=1
    )

    def predict(self, batch: pa.Table) -> np.ndarray:
        time.sleep(self._seconds)
        x = batch.column("x").to_numpy()
        if len(self.got) >= self._fails_after:
            raise ModelFault("crashed", "no")
        self.got.append(float(x[0]))
        return x[:, None] * 2


class Cell:
    """A running cell of which only the end is looked at."""

    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass(kw_only=True)
class Lender:
    """Says what a lender says, from a thread of its own.

    Args:
        worker: its name.
        answers: batches that it answers; then it does what `then` says.
        then: `goes_on`, `dies` in the middle of a batch, `leaves` in the place of an answer, or `drips` an answer.
        spoils: what becomes of each of its answers before it is sent.
        hello: what it says instead of what is expected.
        certificates: folder of those it shows; those of the cluster where None.
        raw: what it says in place of `hello`, as bytes.
    """

    worker: str
    answers: int = 10**6
    then: str = "goes_on"
    spoils: Callable[[np.ndarray], np.ndarray] = lambda answer: answer
    hello: dict[str, Any] = field(default_factory=dict)
    certificates: Path | None = None
    token: int = 1
    raw: bytes = b""

    def go(self, membership: Membership, port: int) -> None:
        """Hold the whole conversation."""
        if self.certificates is not None:
            membership = replace(membership, **named(self.certificates))
        invitation = Invitation(submission_id="s", token=1, host="127.0.0.1", port=port, limits={}, batches=1)
        with (
            contextlib.suppress(OSError),
            contextlib.closing(Link.to(invitation, membership.context("lender"), 20.0)) as link,
        ):
            said = {"submission_id": "s", "token": self.token, "worker": self.worker}
            link.send(Word.HERE, json.dumps(said).encode())
            word, told = link.receive()
            assert (word, unpacked(told).num_rows, unpacked(told).column_names) == (Word.TOLD, 0, ["x"])
            hello = {"digest": "d", "processor": kind_of_processor(), "receipt": WALL.model_dump()} | dict(self.hello)
            link.send(Word.NONE if "reason" in hello else Word.LENT, self.raw or json.dumps(hello).encode())
            rows = 0
            for number in itertools.count():
                word, body = link.receive()
                if word is Word.DONE or (number >= self.answers and self.then == "leaves"):
                    link.send(Word.DONE, WALL.model_copy(update={"rows_asked": rows}).model_dump_json().encode())
                    link.receive()
                if number >= self.answers and self.then == "drips":
                    link._connection.send(_HEAD.pack(b"said", 8 * BATCH_ROWS))
                    for _ in range(600):
                        link._connection.send(b"\x00")
                        time.sleep(0.1)
                if number >= self.answers:
                    return
                answer = unpacked(body).column("x").to_numpy() * 2
                rows += len(answer)
                link.send(Word.SAID, np.ascontiguousarray(self.spoils(answer), dtype="<f8").data)


def named(folder: Path) -> dict[str, str]:
    files = zip(("authority", "certificate", "key"), cluster.TLS_FILES, strict=True)
    return {name: str(folder / file) for name, file in files}


class Near(Borrowed):
    """Borrows from lenders of a test, which come without a scheduler."""

    lenders: Sequence[Lender] = ()

    def _look(self, port: int) -> None:
        threads = [threading.Thread(target=one.go, args=(self._membership, port)) for one in self.lenders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.fixture
def near(tmp_path: Path) -> Callable[..., Near]:
    """Make what borrows from these lenders."""
    certificates = named(authority.write(tmp_path / "near"))
    member = Membership(scheduler="", host="127.0.0.1", submission_id="s", token=1, **certificates)

    def made(*lenders: Lender) -> Near:
        borrowed = Near(
            member,
            Limits(),
            bundle_digest="d",
            profile_digest="p",
            features=pa.table({"x": [1.0]}),
            worth_seconds=0.01,
        )
        borrowed.lenders = lenders
        return borrowed

    return made


ROWS = 60 * BATCH_ROWS


def asked_of(borrowed: Near, *talks: Talk) -> np.ndarray:
    """Ask what is large enough to be shared; give the answers in the order of the rows."""
    shared = Shared([(Cell(), talk) for talk in talks], borrowed, rows=ROWS)  # type: ignore[misc]
    plans = {"a": Plan(rows=pa.table({"x": np.arange(float(ROWS))}))}
    try:
        return ask(plans, talks[0].predict, key=b"k", over=shared.over)["a"].values[:, 0]
    finally:
        shared.close()


def test_answers_come_in_order_and_each_once_whoever_gives_them(near: Callable[..., Near]) -> None:
    for lenders in ((), (Lender(worker="b"),), (Lender(worker="b"), Lender(worker="b"), Lender(worker="c"))):
        borrowed, talks = near(*lenders), [Talk(), Talk()]
        answers = asked_of(borrowed, *talks)
        np.testing.assert_array_equal(answers, 2 * np.arange(float(ROWS)))
        receipt = borrowed.added_to(
            WALL.model_copy(update={"rows_asked": len(talks[0].got + talks[1].got) * BATCH_ROWS})
        )
        given = Counter(one.worker for one in receipt.lent)
        assert sorted(given.values()) == sorted(Counter(one.worker for one in lenders).values())
        assert set(given) <= {"Worker 1", "Worker 2"}, "a receipt names no machine of the cluster"
        assert all(one.rows_answered and one.receipt.probes == (PROBE,) for one in receipt.lent)
        # What a cell had used is added up; every row was asked once.
        assert (receipt.rows_asked, receipt.cpu_seconds) == (ROWS, 2.0 * (1 + len(lenders)))
        assert receipt.cpu_seconds_per_1000_predictions == (2e3 * (1 + len(lenders)) / ROWS if lenders else None)


@pytest.mark.parametrize("then", ["dies", "leaves"])
def test_what_a_lent_cell_did_not_answer_is_asked_again_here(near: Callable[..., Near], then: str) -> None:
    borrowed, talk = near(Lender(worker="b", answers=3, then=then), Lender(worker="c")), Talk()
    answers = asked_of(borrowed, talk)
    np.testing.assert_array_equal(answers, 2 * np.arange(float(ROWS)))
    receipt = borrowed.added_to(WALL)
    ending = "lost" if then == "dies" else "finished"
    first, other = sorted(
        receipt.lent, key=lambda one: (one.rows_answered != 3 * BATCH_ROWS, one.receipt.ending != ending)
    )
    assert first.rows_answered == 3 * BATCH_ROWS
    assert len(talk.got) * BATCH_ROWS + other.rows_answered == ROWS - first.rows_answered
    assert first.receipt.ending == ending
    assert any(f"A cell of {first.worker} was lost" in note for note in receipt.notes) == (then == "dies")


@pytest.mark.parametrize(
    "spoils",
    [
        lambda answer: np.where(np.arange(len(answer)) == 7, np.nan, answer),
        lambda answer: np.column_stack([answer, answer]),
        lambda answer: answer[:-1],
        lambda answer: answer[:0],
        lambda answer: np.zeros(3 * 1024**2 // 8),
    ],
    ids=["no number", "two for a row", "a row too few", "none", "too long"],
)
def test_what_a_lent_cell_says_that_is_no_answer_is_asked_again_here(
    near: Callable[..., Near], spoils: Callable[[np.ndarray], np.ndarray]
) -> None:
    borrowed, talk = near(Lender(worker="b", spoils=spoils)), Talk()
    answers = asked_of(borrowed, talk)
    np.testing.assert_array_equal(answers, 2 * np.arange(float(ROWS)))
    receipt = borrowed.added_to(WALL)
    assert [(one.rows_answered, one.receipt.ending) for one in receipt.lent] == [(0, "lost")]
    assert len(talk.got) * BATCH_ROWS == ROWS


def test_a_lender_that_drips_an_answer_holds_up_nobody_beyond_the_time_of_an_answer(
    near: Callable[..., Near], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borrower, "_LATE_SECONDS", 1.0)
    borrowed, talk = near(Lender(worker="b", answers=1, then="drips")), Talk()
    borrowed._limits = replace(borrowed._limits, answer_seconds=1.0)
    begun = time.monotonic()
    answers = asked_of(borrowed, talk)
    assert time.monotonic() - begun < 20
    np.testing.assert_array_equal(answers, 2 * np.arange(float(ROWS)))
    assert borrowed.added_to(WALL).lent[0].receipt.ending == "lost"


def test_strangers_who_only_hold_the_line_are_so_many_and_no_more(
    near: Callable[..., Near], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borrower, "_LEAVE_SECONDS", 3.0)
    borrowed, most = near(), 0

    def call(port: int) -> None:
        nonlocal most
        with contextlib.ExitStack() as lines:
            for _ in range(borrower.MOST_STRANGERS + 40):
                lines.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", port), 10)))
            time.sleep(0.3)
            most = sum(thread.name == "lent cell" for thread in threading.enumerate())

    monkeypatch.setattr(borrowed, "_look", call)
    talk = Talk(seconds=0.02)
    np.testing.assert_array_equal(asked_of(borrowed, talk), 2 * np.arange(float(ROWS)))
    assert 0 < most <= borrower.MOST_STRANGERS
    assert borrowed.added_to(WALL) == WALL


@pytest.mark.parametrize("hello", [[], {"reason": 5}, {"reason": "x" * 2 * 1024**2}, {"reason": "x" * 9999}])
def test_what_a_lender_says_beside_answers_is_read_strictly_and_cut_short(
    near: Callable[..., Near], hello: Any
) -> None:
    borrowed, talk = near(Lender(worker="b", hello=hello)), Talk()
    if hello == []:
        borrowed.lenders[0].raw = b"[" * 100_000
    np.testing.assert_array_equal(asked_of(borrowed, talk), 2 * np.arange(float(ROWS)))
    receipt = borrowed.added_to(WALL)
    assert receipt.lent == ()
    assert len(receipt.notes) == 1
    assert len(receipt.notes[0]) <= borrower.LONGEST_NOTE


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        ({"reason": "There is no wall."}, "Worker 1 was asked for a cell and lent none: There is no wall."),
        ({"digest": "other"}, "because of another digest there"),
        ({"processor": "another kind"}, "because of another processor there"),
        ({"receipt": WALL.model_copy(update={"profile_digest": "q"}).model_dump()}, "because of another profile there"),
        (
            {"receipt": WALL.model_copy(update={"probes": (PROBE.model_copy(update={"held": False}),)}).model_dump()},
            "because the wall there did not hold",
        ),
        ({"receipt": WALL.model_copy(update={"probes": ()}).model_dump()}, "because the wall there did not hold"),
        ({"receipt": {"backend": "no receipt"}}, "was gone before it lent one"),
    ],
)
def test_a_cell_behind_another_wall_or_none_is_not_used_and_that_is_said(
    near: Callable[..., Near], hello: dict[str, Any], said: str
) -> None:
    borrowed, talk = near(Lender(worker="b", hello=hello)), Talk()
    answers = asked_of(borrowed, talk)
    np.testing.assert_array_equal(answers, 2 * np.arange(float(ROWS)))
    receipt = borrowed.added_to(WALL)
    assert len(talk.got) * BATCH_ROWS == ROWS
    assert receipt.lent == ()
    assert said in receipt.notes[0]


def test_whoever_has_no_certificate_of_the_cluster_or_another_claim_is_told_nothing(
    near: Callable[..., Near], tmp_path: Path
) -> None:
    stranger = Lender(worker="stranger", certificates=authority.write(tmp_path / "other", "somebody else"))
    borrowed, talk = near(stranger, Lender(worker="late", token=0)), Talk()
    asked_of(borrowed, talk)
    assert len(talk.got) * BATCH_ROWS == ROWS
    assert borrowed.added_to(WALL) == WALL


def test_a_fault_of_an_own_cell_ends_the_asking_and_lets_the_lent_cells_go(near: Callable[..., Near]) -> None:
    borrowed = near(Lender(worker="b"), Lender(worker="c", answers=2, then="dies"))
    # Soon enough that the others cannot have answered all by then, however this machine divides its time.
    talks = [Talk(), Talk(fails_after=2)]
    with pytest.raises(ModelFault, match="no"):
        asked_of(borrowed, *talks)
    assert borrowed.cells == 0
    assert not [thread for thread in threading.enumerate() if thread.name in ("own cell", "lent cell")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_nobody_foresaw_in_an_own_cell_ends_the_asking_too() -> None:
    class Exhausted(Talk):
        def predict(self, batch: pa.Table) -> np.ndarray:
            raise MemoryError

    board = borrower.Board()
    asked = board.put(pa.table({"x": [1.0]}))
    thread = threading.Thread(target=borrower._answer, args=(board, Exhausted()))
    thread.start()
    with pytest.raises(RuntimeError, match="could not be asked"):
        asked.result(30)
    thread.join(30)
    assert not thread.is_alive()


def test_own_cells_answer_alone_where_nobody_could_reach_this_worker(near: Callable[..., Near], tmp_path: Path) -> None:
    for changed in ({"host": "192.0.2.1"}, {"key": str(tmp_path / "absent.pem")}):
        borrowed, talk = near(Lender(worker="b")), Talk()
        borrowed._membership = replace(borrowed._membership, **changed)
        np.testing.assert_array_equal(asked_of(borrowed, talk), 2 * np.arange(float(ROWS)))
        assert borrowed.added_to(WALL) == WALL


def test_a_table_that_is_soon_done_is_not_shared(near: Callable[..., Near]) -> None:
    borrowed, talk = near(Lender(worker="b")), Talk()
    borrowed._worth_seconds = 60.0
    asked_of(borrowed, talk)
    assert len(talk.got) * BATCH_ROWS == ROWS
    assert borrowed.added_to(WALL) == WALL


def test_cancelling_ends_what_others_do_at_once(near: Callable[..., Near]) -> None:
    borrowed, talk = near(Lender(worker="b"), Lender(worker="c")), Talk(seconds=0.05)
    shared = Shared([(Cell(), talk)], borrowed, rows=ROWS)  # type: ignore[misc]
    answers = shared.over(talk.predict, (pa.table({"x": np.arange(float(BATCH_ROWS))}) for _ in range(60)))
    until(lambda: next(answers) is not None and borrowed.cells == 2, 20)
    begun = time.monotonic()
    shared.cancel()
    answers.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 2
    assert borrowed.cells == 0
    shared.close()


@pytest.mark.bubblewrap
def test_a_lender_takes_the_submission_in_by_itself_and_answers_behind_a_wall_of_its_own(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, isolation="bubblewrap", scheduler_spread_seconds=1)
    migrate(settings)
    database = Database(settings)
    submitted = hand_in(settings, database, submission(tmp_path, rows=15 * BATCH_ROWS, pace=0.0002))
    claimed = queue.claim(database, worker="test")
    database.close()
    assert claimed is not None
    member = Membership(
        scheduler="",
        host="127.0.0.1",
        submission_id=submitted,
        token=claimed.token,
        **named(authority.write(tmp_path / "tls")),
    )
    ended: list[bool] = []
    borrowed: list[Borrowed] = []

    def look(_: Borrowed, port: int) -> None:
        limits = limits_as_dict(Limits())
        invitation = Invitation(
            submission_id=submitted, token=claimed.token, host="127.0.0.1", port=port, limits=limits, batches=1
        )
        ended.append(lend(invitation, member, settings, threading.Event()))

    def with_company(board: Board, talk: Conversation) -> None:
        """Answer here once there is a lent cell, however long this machine takes to make one."""
        end = time.monotonic() + 120
        while not borrowed[0].cells and time.monotonic() < end:
            time.sleep(0.05)
        own_cell(board, talk)

    own_cell = borrower._answer
    monkeypatch.setattr(borrower, "_answer", with_company)
    monkeypatch.setattr(Borrowed, "_look", look)
    wall = wall_or_why_not("bubblewrap", settings, Limits())
    assert isinstance(wall, Chosen)
    with uploads.opened(settings, submitted) as upload, accept(upload, settings, isolation=wall.isolation) as bundle:
        table = bundle.table
        assert table is not None
        with respondent(bundle, table, wall, Limits(), settings=settings, membership=member) as answering:
            assert isinstance(answering, InCell)
            assert answering.lent is not None
            borrowed.append(answering.lent)
            given = answering.answer({"baseline": Plan(rows=table.features)}, key=b"k", watch=Watch())
            until(lambda: ended == [True], 30)
            receipt = answering.receipt
    income = table.features.column("income").to_numpy()
    np.testing.assert_allclose(given["baseline"].values[:, 0], 1 / (1 + np.exp(-(income - 1500) / 400)), rtol=1e-12)
    assert receipt is not None
    (lent,) = receipt.lent
    assert lent.rows_answered == lent.receipt.rows_asked >= BATCH_ROWS
    assert (lent.receipt.ending, lent.receipt.profile_digest) == ("finished", receipt.profile_digest)
    assert len(lent.receipt.probes) == len(receipt.probes) > 10
    assert lent.receipt.cpu_seconds is not None
    assert receipt.cpu_seconds is not None
    assert receipt.cpu_seconds > lent.receipt.cpu_seconds > 0
    assert receipt.rows_asked == 15 * BATCH_ROWS
    assert nothing_left(settings)


@pytest.fixture
def clustered(settings: Settings, tmp_path: Path, postgres_server: str) -> Iterator[Settings]:
    with postgres.fresh(postgres_server) as url:
        yield replace(
            settings,
            database_url=url,
            isolation="bubblewrap",
            scratch=str(tmp_path / "scratch"),
            scheduler=f"tls://127.0.0.1:{free_port()}",
            scheduler_tls=str(authority.write(tmp_path / "tls")),
        )


@pytest.fixture
def database(clustered: Settings) -> Iterator[Database]:
    migrate(clustered)
    opened = Database(clustered)
    yield opened
    opened.close()


@pytest.fixture
def machines(clustered: Settings, tmp_path: Path, database: Database) -> Iterator[Machines]:
    made = Machines(clustered, tmp_path)
    made.start("scheduler")
    yield made
    made.stop()


@pytest.fixture
def client(clustered: Settings, machines: Machines) -> Iterator[Client]:
    from distributed import Client

    with Client(machines.address, security=cluster.security(clustered), timeout=60, set_as_default=False) as made:
        yield made


def start(machines: Machines, client: Client, **nodes: Mapping[str, object]) -> dict[str, str]:
    """Start nodes that assess in earnest, and ask for cells as soon as a second would be saved; give addresses."""
    for name, changed in nodes.items():
        machines.start(name, "seeded", **{"isolation": "bubblewrap", "scheduler_spread_seconds": 1, **changed})
    client.wait_for_workers(len(machines.running) - 1, timeout=120)
    found = {w["name"]: address for address, w in client.scheduler_info(n_workers=-1)["workers"].items()}
    # As a node that has assessed something.
    client.gather([client.submit(engine.warm, workers=[found[name]], pure=False) for name in nodes])
    return found


def hand_over(database: Database, client: Client, submitted: str, *nodes: str) -> Future:
    """Claim it, and hand it to one of these nodes; to whichever Dask chooses where none is named."""
    claimed = queue.claim(database, worker="test", lease_seconds=300)
    assert claimed is not None
    assert claimed.submission_id == submitted
    return client.submit(cluster.run_claimed, submitted, claimed.token, workers=list(nodes) or None, pure=False)


def assessed(settings: Settings, database: Database, submission_id: str) -> tuple[bytes, dict[str, Any]]:
    """Wait until it is done; give the dossier and the record of the run."""

    def over() -> bool:
        found = queue.find(database, submission_id)
        return found is not None and State(found.state).is_over

    until(over, 200)
    found = queue.find(database, submission_id)
    assert found is not None
    assert found.state == "done", found.problems
    folder = uploads.dossiers(settings) / str(found.dossier)
    return (folder / "dossier.json").read_bytes(), json.loads((folder / "run.json").read_bytes())


def stage(database: Database, submission_id: str) -> str:
    found = queue.find(database, submission_id)
    return "" if found is None else found.stage


def nothing_left(settings: Settings) -> bool:
    return leases(settings) == [] and not list((settings.local / "quarantine").glob("*"))


class Cells:
    """The cells that nodes have open, and since when."""

    def __init__(self, settings: Settings, machines: Machines) -> None:
        self._settings, self._machines = settings, machines
        self._seen: dict[str, float] = {}

    def of(self, name: str, *, standing_seconds: float = 0.0) -> bool:
        """Whether a node has a cell that has stood so long; those of a proof are soon gone."""
        now, node_id = time.monotonic(), self._machines.running[name].pid
        owned = [lease.name for lease in leases(self._settings) if lease.pid and descends(lease.owner, node_id)]
        return any(now - self._seen.setdefault(each, now) >= standing_seconds for each in owned)


@long
def test_idle_workers_help_and_one_that_dies_or_has_no_wall_costs_nothing_but_time(
    clustered: Settings, database: Database, machines: Machines, client: Client, tmp_path: Path
) -> None:
    content = submission(tmp_path, rows=100_000, pace=PACE)
    (tmp_path / "alone.zip").write_bytes(content)
    found = start(machines, client, north={}, south={}, west={}, east={"isolation": "podman"})
    submitted = hand_in(clustered, database, content)
    done = hand_over(database, client, submitted, found["north"])
    cells = Cells(clustered, machines)
    until(lambda: all(cells.of(name, standing_seconds=25) for name in ("south", "west")), 200)
    machines.kill("south")
    dossier, run = assessed(clustered, database, submitted)
    assert done.result(60)
    receipt = run["receipt"]
    alone = runs.seeded(
        tmp_path / "alone.zip", out=tmp_path / "alone", settings=replace(clustered, scheduler=""), log_to_mlflow=False
    )
    took, by_itself = run["seconds"]["ask"], alone.assessment.run.seconds["ask"]
    lent = [(one["worker"], one["rows_answered"], one["receipt"]["ending"]) for one in receipt["lent"]]
    print(f"\nload {os.getloadavg()}: asking took {took:.0f} s, and {by_itself:.0f} s with own cells alone; {lent}")
    assert dossier == (alone.folder / "dossier.json").read_bytes()
    assert {one["receipt"]["ending"] for one in receipt["lent"]} == {"finished", "lost"}
    assert sum(one["rows_answered"] for one in receipt["lent"]) > 0
    for one in receipt["lent"]:
        assert one["receipt"]["profile_digest"] == receipt["profile_digest"]
        assert all(probe["held"] for probe in one["receipt"]["probes"])
    assert any("lent none: " in note and "podman" in note for note in receipt["notes"])
    assert any("was lost; what it had not answered was asked again here" in note for note in receipt["notes"])
    until(lambda: nothing_left(clustered), 60)


@long
def test_a_submission_that_waits_goes_first_and_the_lent_cells_end(
    clustered: Settings, database: Database, machines: Machines, client: Client, tmp_path: Path
) -> None:
    found = start(machines, client, north={}, south={})
    large = hand_in(clustered, database, submission(tmp_path / "large", rows=100_000, pace=PACE))
    first = hand_over(database, client, large, found["north"])
    cells = Cells(clustered, machines)
    until(lambda: cells.of("south"), 150)
    small = hand_in(clustered, database, submission(tmp_path / "small", rows=300, pace=0.0))
    second = hand_over(database, client, small)
    until(lambda: stage(database, small) != "", 60)
    assert stage(database, large) == "ask"
    assessed(clustered, database, small)
    _, run = assessed(clustered, database, large)
    assert first.result(60)
    assert second.result(60)
    print(run["seconds"], [(one["rows_answered"], one["receipt"]["ending"]) for one in run["receipt"]["lent"]])
    assert sum(one["rows_answered"] for one in run["receipt"]["lent"]) > 0
    assert not any("lost" in note for note in run["receipt"]["notes"])
    until(lambda: nothing_left(clustered), 60)
