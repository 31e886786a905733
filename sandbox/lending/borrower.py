"""Borrow cells of idle workers for one large table, and give their answers back as if they came from cells here.

A lent cell only ever saves time. Every batch is this worker's own to answer: what a lent cell does not answer, for
whatever reason, is asked again here, and no fault of a model is taken from elsewhere. Assumes of its caller: the own
cells answer for themselves, as without this; it closes them.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from checks.asking import BATCH_ROWS
from model_cards.dossier import LentCell, ReceiptFacts
from sandbox.errors import CellUnavailable, ModelFault
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.energy import per_thousand
from sandbox.isolation.interface import Limits, RunningCell
from sandbox.isolation.place import limits_as_dict
from sandbox.isolation.spread import BATCHES_PER_CELL, WAITING_PER_CELL, Spread
from sandbox.lending.link import (
    LENDING,
    MOST_SAID_BYTES,
    Invitation,
    Link,
    Membership,
    Word,
    kind_of_processor,
    packed,
    without_rows,
)

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
READY_SECONDS = 900.0
"""Longest wait until a lent cell stands ready: its worker proves a wall, takes the submission in, loads the model."""

MOST_STRANGERS: Final = 32
"""Callers at once that have not yet shown that they are of this cluster and come for this claim."""

MOST_NOTES: Final = 100
LONGEST_NOTE: Final = 500

_LATE_SECONDS = 30.0
_LEAVE_SECONDS = 10.0


class _Here(BaseModel):
    """Whom a lender comes for, and who it is."""

    submission_id: str
    token: int
    worker: str


class _Hello(BaseModel):
    """A lent cell that stands ready, and its wall as it was tried."""

    digest: str
    processor: str
    receipt: ReceiptFacts


class _Reason(BaseModel):
    """Why there is no cell."""

    reason: str


@dataclass(slots=True, kw_only=True, eq=False)
class _Asked:
    """A batch that somebody is to answer."""

    batch: pa.Table
    answer: Future[np.ndarray] = field(default_factory=Future)


class Board:
    """Batches to be answered; whoever is free takes the next one.

    Own cells also take what was asked elsewhere in vain, and take it first.
    """

    def __init__(self) -> None:
        self._fresh: deque[_Asked] = deque()
        self._again: deque[_Asked] = deque()
        self._changed = threading.Condition()
        self._failed = self._over = False

    def put(self, batch: pa.Table) -> Future[np.ndarray]:
        """Ask for the answers to a batch."""
        asked = _Asked(batch=batch)
        with self._changed:
            self._fresh.append(asked)
            self._changed.notify_all()
        return asked.answer

    def again(self, asked: _Asked) -> None:
        """Have a batch answered by an own cell."""
        with self._changed:
            self._again.append(asked)
            self._changed.notify_all()

    def fail(self) -> None:
        """Hand out nothing that nobody was asked yet: an own cell had a fault, and earlier batches decide which."""
        with self._changed:
            self._failed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def take(self, *, own: bool) -> _Asked | None:
        """Wait for a batch; None when nothing more is asked of this side."""
        with self._changed:
            while not self._over:
                if own and self._again:
                    return self._again.popleft()
                if self._failed and not own:
                    return None
                if self._fresh and not self._failed:
                    return self._fresh.popleft()
                self._changed.wait()
        return None


class Shared(Spread):
    """Cells of this machine, and those that other workers lend while a large table is asked.

    Args:
        cells: as for `Spread`.
        lent: borrows the others.
        rows: how many are to be asked in any order.
    """

    def __init__(self, cells: Sequence[tuple[RunningCell, Conversation]], lent: Borrowed, *, rows: int) -> None:
        super().__init__(cells)
        self._lent, self._rows = lent, rows
        self._asked = False

    def over(self, predict: Callable[[pa.Table], np.ndarray], batches: Iterable[pa.Table]) -> Iterator[np.ndarray]:
        """Ask batches of whoever is free; see `Spread.over`. What is asked again after a fault is asked here alone."""
        if self._asked:
            yield from super().over(predict, batches)
            return
        self._asked = True
        left, worth_it = iter(batches), False

        def until_worth_it() -> Iterator[pa.Table]:
            nonlocal worth_it
            for batch in left:
                yield batch
                if worth_it := self._lent.room > 0:
                    return

        self._lent.begin(self._rows)
        for answer in super().over(predict, until_worth_it()):
            yield self._lent.counted(answer)
        if worth_it:
            yield from self._together(left)

    def _together(self, batches: Iterable[pa.Table]) -> Iterator[np.ndarray]:
        board = Board()
        waiting: deque[Future[np.ndarray]] = deque()
        own = [threading.Thread(target=_answer, args=(board, talk), name="own cell") for _, talk in self._cells]
        for thread in own:
            thread.start()
        try:
            with self._lent.while_asking(board, self.first) as lent:
                for batch in batches:
                    waiting.append(board.put(batch))
                    if len(waiting) >= WAITING_PER_CELL * (len(self._cells) + lent.cells):
                        yield lent.counted(waiting.popleft().result())
                while waiting:
                    yield lent.counted(waiting.popleft().result())
        finally:
            board.close()
            if any(talk.lost for _, talk in self._cells):
                self.cancel()
            for thread in own:
                thread.join()

    def cancel(self) -> None:
        """End all cells now, here and elsewhere."""
        super().cancel()
        self._lent.cancel()


def _answer(board: Board, talk: Conversation) -> None:
    """Answer with an own cell, to the end: a lost one still has to say so to every batch that is left to it."""
    while (asked := board.take(own=True)) is not None:
        try:
            asked.answer.set_result(talk.predict(asked.batch))
        except (ModelFault, CellUnavailable, ValueError) as fault:
            board.fail()
            asked.answer.set_exception(fault)
        finally:
            if not asked.answer.done():
                # This thread ends with what nobody foresaw; whoever waits for the answer must not wait for ever.
                board.fail()
                asked.answer.set_exception(RuntimeError("an own cell could not be asked"))


class Borrowed:
    """Cells that other workers of the cluster lend for one assessment.

    Args:
        membership: how the cluster is reached, and for which claim.
        limits: of each cell.
        bundle_digest: of the submission as it was taken in here; a lender must have the same.
        profile_digest: of the wall here; a lender's must be the same.
        features: whose schema and categories the cells are told.
        worth_seconds: how long the cells at hand must still need for another one to be asked for.
    """

    def __init__(
        self,
        membership: Membership,
        limits: Limits,
        *,
        bundle_digest: str,
        profile_digest: str,
        features: pa.Table,
        worth_seconds: float,
    ) -> None:
        self._membership, self._limits, self._worth_seconds = membership, limits, worth_seconds
        self._must_match = {"digest": bundle_digest, "profile": profile_digest, "processor": kind_of_processor()}
        self._told = packed(without_rows(features))
        self._lock = threading.Lock()
        self._links: set[Link] = set()
        self._lending: set[Link] = set()
        self._lanes: list[threading.Thread] = []
        self._strangers = threading.BoundedSemaphore(MOST_STRANGERS)
        self._ended = threading.Event()
        self._lent: list[LentCell] = []
        self._notes: list[str] = []
        self._names: dict[str, str] = {}
        self._begun = 0.0
        self._rows = self._answered = 0

    @contextmanager
    def while_asking(self, board: Board, own: Conversation) -> Iterator[Borrowed]:
        """Look for idle workers as long as batches are asked, and let what they lent go at the end.

        Args:
            board: where the batches are.
            own: held with a cell of this machine; what a lent one answers must be what this one could answer.
        """
        host = self._membership.host
        try:
            terms = self._membership.context("borrower")
            made = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as cannot:
            log.error("no cells can be borrowed: %s", cannot)
            made = None
        if made is None:
            yield self
            return
        with made as listener:
            looking = [
                threading.Thread(target=self._look, args=(listener.getsockname()[1],), name="borrow", daemon=True),
                threading.Thread(target=self._receive, args=(listener, terms, board, own), name="borrow", daemon=True),
            ]
            for thread in looking:
                thread.start()
            try:
                yield self
            except BaseException:
                self.cancel()
                raise
            finally:
                board.close()
                self._ended.set()
                # One that is still looking for the scheduler ends by itself.
                looking[1].join()
                with self._lock:
                    # Whoever only gets ready is not waited for.
                    for link in self._links - self._lending:
                        link.end()
                until = time.monotonic() + _LEAVE_SECONDS
                for lane in self._lanes:
                    lane.join(max(0.0, until - time.monotonic()))
                self.cancel()

    @property
    def cells(self) -> int:
        """How many answer at this moment."""
        return len(self._lending)

    def begin(self, rows: int) -> None:
        """Begin to count, by which it is known how long the rest will take.

        Args:
            rows: how many are to be asked.
        """
        self._begun, self._rows = time.monotonic(), rows

    def counted(self, answer: np.ndarray) -> np.ndarray:
        """Count what was answered."""
        self._answered += len(answer)
        return answer

    def cancel(self) -> None:
        """Have nothing more to do with other workers, from any thread; their cells end with the connection."""
        self._ended.set()
        with self._lock:
            for link in self._links:
                link.end()

    def added_to(self, own: ReceiptFacts) -> ReceiptFacts:
        """Give the receipt of the whole: what the own cells used, and what is known of the lent ones."""
        with self._lock:
            lent, notes = tuple(self._lent), tuple(self._notes)
        if not lent:
            return own.model_copy(update={"notes": (*own.notes, *notes)})
        each = [own, *(one.receipt for one in lent)]
        cpu = [one.cpu_seconds for one in each if one.cpu_seconds is not None]
        peak = [one.peak_bytes for one in each if one.peak_bytes is not None]
        asked = sum(one.rows_asked for one in each)
        return own.model_copy(
            update={
                "cpu_seconds": sum(cpu) if cpu else None,
                "peak_bytes": max(peak) if peak else None,
                "bytes_in": sum(one.bytes_in for one in each),
                "bytes_out": sum(one.bytes_out for one in each),
                "rows_asked": asked,
                "cpu_seconds_per_1000_predictions": per_thousand(sum(cpu) if cpu else None, asked),
                "lent": lent,
                "notes": (*own.notes, *notes),
            }
        )

    @property
    def room(self) -> int:
        """For how many cells more there is work; 0 or less where the cells at hand are done soon."""
        answered, spent = self._answered, time.monotonic() - self._begun
        left = self._rows - answered
        if not answered or spent * left / answered <= self._worth_seconds:
            return 0
        return left // BATCH_ROWS // BATCHES_PER_CELL - self.cells

    def _look(self, port: int) -> None:
        """Ask idle workers, whenever there are some and there is enough left to do."""
        client: Client | None = None
        pending: dict[str, Any] = {}
        never: set[str] = set()
        try:
            while not self._ended.wait(LOOK_SECONDS):
                room = self.room
                if room <= 0:
                    continue
                try:
                    if client is None or client.status == "closed":
                        client = self._connected()
                    for address in [a for a, asked in pending.items() if asked.done()]:
                        asked = pending.pop(address)
                        if asked.status == "error":
                            log.error("no cell could be lent at %s: %r", address, asked.exception())
                        if asked.status != "finished" or not asked.result():
                            never.add(address)
                    busy = never | pending.keys()
                    idle = [a for a, keys in client.processing().items() if not keys and a not in busy]
                    # Those asked are counted until they end, as are their cells: rather a cell too few than too many.
                    idle = idle[: max(0, room - len(pending))]
                    for address in idle:
                        pending[address] = self._invite(client, address, port, room * BATCHES_PER_CELL // len(idle))
                except OSError as away:
                    log.warning("no cells were asked for: %s", away)
        finally:
            if client is not None:
                with contextlib.suppress(OSError):
                    client.close(timeout=_LEAVE_SECONDS)

    def _connected(self) -> Client:
        from distributed import Client
        from distributed.security import Security

        member = self._membership
        terms = Security(
            require_encryption=True,
            tls_ca_file=member.authority,
            tls_client_cert=member.certificate,
            tls_client_key=member.key,
        )
        return Client(member.scheduler, security=terms, timeout=_LEAVE_SECONDS, set_as_default=False)

    def _invite(self, client: Client, address: str, port: int, batches: int) -> Any:
        from sandbox.cluster import lend_here

        member = self._membership
        invitation = Invitation(
            submission_id=member.submission_id,
            token=member.token,
            host=member.host,
            port=port,
            limits=limits_as_dict(self._limits),
            batches=batches,
        )
        return client.submit(
            lend_here,
            asdict(invitation),
            key=f"{LENDING}{member.submission_id}.{member.token}.{time.monotonic_ns()}",
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )

    def _receive(self, listener: socket.socket, terms: ssl.SSLContext, board: Board, own: Conversation) -> None:
        listener.settimeout(0.1)
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError, ConnectionError):
                plain, _ = listener.accept()
                if not self._strangers.acquire(blocking=False):
                    plain.close()
                    continue
                lane = threading.Thread(
                    target=self._lane, args=(plain, terms, board, own), name="lent cell", daemon=True
                )
                self._lanes = [*(one for one in self._lanes if one.is_alive()), lane]
                lane.start()

    def _lane(self, plain: socket.socket, terms: ssl.SSLContext, board: Board, own: Conversation) -> None:
        """Hold the whole conversation with one lent cell."""
        try:
            known = self._known(plain, terms)
        finally:
            self._strangers.release()
        if known is None:
            return
        link, worker = known
        try:
            link.send(Word.TOLD, self._told)
            link.wait_for(READY_SECONDS)
            self._use(link, worker, board, own)
        except (OSError, ValueError) as gone:
            if not self._ended.is_set():
                # In full for the log alone: it can name machines and paths of the cluster.
                log.warning("%s lent no cell: %s", worker, gone)
                self._note(f"{worker} was asked for a cell, and was gone before it lent one ({type(gone).__name__}).")
        finally:
            self._leave(link)

    def _known(self, plain: socket.socket, terms: ssl.SSLContext) -> tuple[Link, str] | None:
        """Find out who calls; None where it is nobody of this cluster, or nobody who comes for this claim."""
        try:
            plain.settimeout(_LEAVE_SECONDS)
            link = Link(terms.wrap_socket(plain, server_side=True), _LEAVE_SECONDS)
        except OSError as stranger:
            log.warning("somebody who is none of this cluster called: %s", stranger)
            plain.close()
            return None
        with self._lock:
            self._links.add(link)
        claim = self._membership
        try:
            if not self._ended.is_set():
                word, body = link.receive(MOST_SAID_BYTES)
                here = _Here.model_validate_json(bytes(body))
                if word is Word.HERE and (here.submission_id, here.token) == (claim.submission_id, claim.token):
                    return link, self._named(here.worker)
        except (OSError, ValueError) as gone:
            if not self._ended.is_set():
                log.warning("a worker lent no cell: %s", gone)
                self._note(f"A worker was asked for a cell, and was gone before it lent one ({type(gone).__name__}).")
        self._leave(link)
        return None

    def _leave(self, link: Link) -> None:
        with self._lock:
            self._links.discard(link)
        link.close()

    def _named(self, worker: str) -> str:
        """Give a worker the name it has in the receipt, which tells nothing of the cluster's machines."""
        with self._lock:
            name = self._names.setdefault(worker, f"Worker {len(self._names) + 1}")
        log.info("%s of %s is %s", name, self._membership.submission_id, worker)
        return name

    def _use(self, link: Link, worker: str, board: Board, own: Conversation) -> None:
        word, body = link.receive(MOST_SAID_BYTES)
        if word is not Word.LENT:
            reason = _Reason.model_validate_json(bytes(body)).reason
            self._note(f"{worker} was asked for a cell and lent none: {reason}")
            return
        said = _Hello.model_validate_json(bytes(body))
        wall = said.receipt
        found = {"digest": said.digest, "profile": wall.profile_digest, "processor": said.processor}
        if differing := [name for name, ours in self._must_match.items() if found[name] != ours]:
            self._note(f"A cell of {worker} was not used, because of another {' and another '.join(differing)} there.")
            return
        if not wall.probes or not all(probe.held for probe in wall.probes):
            self._note(f"A cell of {worker} was not used, because the wall there did not hold.")
            return
        link.wait_for(self._limits.answer_seconds + _LATE_SECONDS)
        begun, rows, receipt = time.monotonic(), 0, None
        with self._lock:
            self._lending.add(link)
        try:
            rows, receipt = self._ask(link, board, own)
        finally:
            with self._lock:
                self._lending.discard(link)
        if receipt is None:
            seconds = round(time.monotonic() - begun, 3)
            ending = "cancelled" if self._ended.is_set() else "lost"
            receipt = wall.model_copy(update={"ending": ending, "seconds": seconds, "rows_asked": rows})
            if ending == "lost":
                self._note(f"A cell of {worker} was lost; what it had not answered was asked again here.")
        elif receipt.ending != "finished":
            self._note(f"A cell of {worker} ended ({receipt.ending}); what it had not answered was asked again here.")
        with self._lock:
            self._lent.append(LentCell(worker=worker, rows_answered=rows, receipt=receipt))

    def _ask(self, link: Link, board: Board, own: Conversation) -> tuple[int, ReceiptFacts | None]:
        """Ask one lent cell batch after batch.

        Returns:
            How many rows it answered, and its receipt; None where the way to it was lost or it gave what is no answer.
        """
        rows = 0
        asked: _Asked | None = None
        try:
            while (asked := board.take(own=False)) is not None:
                link.send(Word.ROWS, packed(asked.batch))
                word, body = link.receive(max(MOST_SAID_BYTES, own.answer_bytes(asked.batch.num_rows)))
                if word is Word.DONE:
                    return rows, ReceiptFacts.model_validate_json(bytes(body))
                answer = own.as_own(body, asked.batch.num_rows)
                asked.answer.set_result(answer)
                rows += len(answer)
                asked = None
            link.wait_for(_LEAVE_SECONDS)
            link.send(Word.DONE)
            _, body = link.receive(MOST_SAID_BYTES)
            return rows, ReceiptFacts.model_validate_json(bytes(body))
        except (OSError, ValueError, ModelFault) as lost:
            log.warning("a lent cell was lost: %s", lost)
            return rows, None
        finally:
            if asked is not None:
                board.again(asked)

    def _note(self, note: str) -> None:
        with self._lock:
            if len(self._notes) < MOST_NOTES:
                self._notes.append(note[:LONGEST_NOTE])
