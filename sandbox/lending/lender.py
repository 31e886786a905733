"""Lend this worker's cells to an assessment on another worker of the cluster, and give way to work of its own.

The lender takes the submission in by itself, from the store and with the same checks, and proves its own wall: what it
is told is whose model, what it is sent are rows. Assumes of its caller: the claim that it lends for was made by a
service of this cluster, and the connection is held by whoever holds the claim.
"""

from __future__ import annotations

import contextlib
import json
import select
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa

from model_cards.dossier import ReceiptFacts
from sandbox import engine
from sandbox.errors import CellUnavailable, ModelFault, SandboxError
from sandbox.intake import accept
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.interface import Limits, RunningCell
from sandbox.isolation.receipt import write_receipt
from sandbox.isolation.spread import cells_for
from sandbox.lending.borrower import READY_SECONDS
from sandbox.lending.link import Invitation, Link, Membership, Word, kind_of_processor, unpacked
from sandbox.records import queue, uploads
from sandbox.records.database import Database
from sandbox.records.keyring import NoMasterKey
from sandbox.records.tables import State
from sandbox.records.uploads import Damaged
from sandbox.respondent import Ready, open_cells, readied, receipt_facts, wall_or_why_not
from sandbox.settings import Settings

LOOK_SECONDS = 0.2
_LEAVE_SECONDS = 5.0


def lend(
    invitation: Invitation,
    membership: Membership,
    settings: Settings,
    leave: threading.Event,
    *,
    give_up: Callable[[], None] = lambda: None,
) -> bool:
    """Lend cells until nothing more is asked, whoever asks is gone, or this worker has work of its own.

    Args:
        invitation: what was asked for.
        membership: by which certificates.
        settings: this worker's own.
        leave: set it to end after the batch that each cell is at.
        give_up: called where whoever asked is gone and this cannot end in time.

    Returns:
        False where no cell could be lent, and whoever asked was told why.
    """
    with ExitStack() as stack:
        try:
            first = stack.enter_context(contextlib.closing(_call(invitation, membership)))
            hangups = stack.enter_context(_Hangups(leave, give_up))
            hangups.add(first)
            features = unpacked(_told(first))
        except OSError:
            # Whoever asked does not ask any more.
            return True
        try:
            lent = _opened(invitation, features, settings, leave, stack)
        except (SandboxError, NoMasterKey, Damaged, OSError) as reason:
            if leave.is_set():
                return True
            with contextlib.suppress(OSError):
                # What may name a path of this machine stays in its own log.
                said = str(reason) if isinstance(reason, SandboxError) else type(reason).__name__
                first.send(Word.NONE, json.dumps({"reason": said}).encode())
            return False
        with ThreadPoolExecutor(len(lent.cells)) as threads, contextlib.suppress(OSError):
            serving = []
            for number, (running, talk) in enumerate(lent.cells):
                link = first if number == 0 else stack.enter_context(contextlib.closing(_call(invitation, membership)))
                hangups.add(link, running)
                if number:
                    _told(link)
                serving.append(threads.submit(_serve, link, running, talk, lent, leave))
            for one in serving:
                one.result()
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lent:
    """What stands ready here: cells, and what is told of them."""

    digest: str
    ready: Ready
    limits: Limits
    cells: Sequence[tuple[RunningCell, Conversation]]


def _call(invitation: Invitation, membership: Membership) -> Link:
    link = Link.to(invitation, membership.context("lender"), READY_SECONDS)
    said = {"submission_id": invitation.submission_id, "token": invitation.token, "worker": engine.actor()}
    link.send(Word.HERE, json.dumps(said).encode())
    return link


def _told(link: Link) -> bytearray:
    word, body = link.receive()
    if word is not Word.TOLD:
        raise ConnectionError("nothing more is asked")
    return body


def _opened(
    invitation: Invitation, features: pa.Table, settings: Settings, leave: threading.Event, stack: ExitStack
) -> _Lent:
    """Prove the wall, take the submission in and open cells with its model; `stack` closes them.

    Raises:
        SandboxError, OSError: why there is no cell.
    """
    limits = Limits(**invitation.limits)  # type: ignore[arg-type]  # numbers as they were taken from one
    wall = wall_or_why_not(settings.isolation, settings, limits)
    if isinstance(wall, CellUnavailable):
        raise wall
    database = Database(settings)
    try:
        found = queue.find(database, invitation.submission_id)
    finally:
        database.close()
    stands = found is not None and found.token == invitation.token and found.state == State.RUNNING
    if found is None or not stands or leave.is_set():
        raise CellUnavailable("The claim that cells were asked for does not stand any more, or there is other work.")
    with uploads.opened(settings, found.holdout_of or found.id) as upload:
        bundle = stack.enter_context(accept(upload, settings, isolation=wall.isolation, model_alone=True))
    ready = stack.enter_context(readied(bundle, wall, limits, settings=settings, organisation=found.organisation or ""))
    if leave.is_set():
        raise CellUnavailable("There is other work.")
    cells = open_cells(bundle, features, ready.pool, limits, cells_for(invitation.batches, limits))
    for running, _ in cells:
        stack.callback(running.close)
    return _Lent(digest=bundle.digest, ready=ready, limits=limits, cells=cells)


def _serve(link: Link, running: RunningCell, talk: Conversation, lent: _Lent, leave: threading.Event) -> None:
    """Answer with one cell, and tell at the end what it used."""
    with contextlib.suppress(OSError):
        try:
            talk.load()
        except (ModelFault, CellUnavailable) as fault:
            link.send(Word.NONE, json.dumps({"reason": str(fault)}).encode())
            return
        hello = {"digest": lent.digest, "processor": kind_of_processor(), "receipt": _receipt(lent).model_dump()}
        link.send(Word.LENT, json.dumps(hello).encode())
        # A fault is no answer: whoever asked asks a cell of its own, and learns for itself.
        with contextlib.suppress(ModelFault, CellUnavailable):
            while not leave.is_set():
                if not link.waits(LOOK_SECONDS):
                    continue
                word, body = link.receive()
                if word is not Word.ROWS:
                    break
                link.send(Word.SAID, talk.predict(unpacked(body)).data)
        link.send(Word.DONE, _receipt(lent, running, talk).model_dump_json().encode())
        # What was sent is lost where this side hangs up first while a batch is on its way.
        link.wait_for(_LEAVE_SECONDS)
        while True:
            link.receive()


def _receipt(lent: _Lent, running: RunningCell | None = None, talk: Conversation | None = None) -> ReceiptFacts:
    """Write the receipt of one cell, which ends with it; of the wall alone before."""
    return receipt_facts(
        write_receipt(
            lent.ready.chosen.isolation,
            lent.limits,
            lent.ready.attempts,
            cells=() if running is None else (running,),
            bytes_in=0 if talk is None else talk.bytes_in,
            bytes_out=0 if talk is None else talk.bytes_out,
            rows_asked=0 if talk is None else talk.rows_asked,
            notes=lent.ready.chosen.notes,
        )
    )


class _Hangups:
    """Ends cells whose borrower hung up, also in the middle of an answer.

    Args:
        leave: set when nobody is left.
        give_up: called when this has not ended some seconds after that.
    """

    def __init__(self, leave: threading.Event, give_up: Callable[[], None]) -> None:
        self._leave, self._give_up = leave, give_up
        self._watched: dict[int, RunningCell | None] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hangups", daemon=True)

    def __enter__(self) -> _Hangups:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def add(self, link: Link, running: RunningCell | None = None) -> None:
        """Watch one connection, and end this cell with it."""
        self._watched[link.fileno()] = running

    def _watch(self) -> None:
        began = False
        while not self._over.wait(LOOK_SECONDS):
            look = select.poll()
            for number in list(self._watched):
                look.register(number, select.POLLRDHUP)
            for number, _ in look.poll(0):
                began = True
                running = self._watched.pop(number, None)
                if running is not None:
                    running.cancel()
            if began and not self._watched:
                self._leave.set()
                if not self._over.wait(_LEAVE_SECONDS):
                    self._give_up()
                return
