"""Answers for one model: the entry of a model's cell.

Assumes that the connection is to the host, and nothing about the model: whatever it raises becomes a status, whatever
it writes elsewhere is not read, and the host checks each answer again.
"""

from __future__ import annotations

import socket
import sys
import traceback
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from . import formats, landlock
from .columns import Columns, Unanswerable
from .wire import Kind, OffTheWire, Receiver, Setup, Status, answer_head, read_batch

if TYPE_CHECKING:
    import numpy as np


class _Holding(AbstractContextManager["_Holding"]):
    """Holds whatever the model's code raises, so that nothing here has to guess what that may be."""

    def __init__(self) -> None:
        self.raised: BaseException | None = None

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.raised = raised
        return True


def _status(raised: BaseException, otherwise: Status) -> Status:
    if isinstance(raised, Unanswerable):
        return raised.status
    if isinstance(raised, MemoryError):
        return Status.OUT_OF_MEMORY
    if isinstance(raised, ModuleNotFoundError) and otherwise is Status.LOAD_FAILED:
        return Status.MISSING_PACKAGE
    return otherwise


def _tell(raised: BaseException) -> None:
    # Only for the tail of standard error that the backend keeps for a person; the host reads no text of a cell.
    traceback.print_exception(raised, limit=20, file=sys.stderr)
    sys.stderr.flush()


def _ask(model: formats.Loaded, columns: Columns, k: int) -> np.ndarray:
    import numpy as np

    answer = np.ascontiguousarray(model.predict(columns), dtype="<f8")
    if answer.shape != (columns.rows, k):
        raise Unanswerable(Status.WRONG_SHAPE, f"asked for {(columns.rows, k)}, got {answer.shape}")
    return answer


def main(connection: socket.socket) -> None:
    """Close the cell in, and answer for the model that the host names.

    Args:
        connection: connected stream socket to the host, blocking.

    Raises:
        OffTheWire: what arrived is not of this wire.
        OSError: the kernel has Landlock and did not take our rules.
    """
    landlock.close_in()
    answer(connection)


def answer(connection: socket.socket) -> None:
    """Load the model that the host names, and answer batches until the host closes the connection.

    Args:
        connection: connected stream socket to the host, blocking.

    Raises:
        OffTheWire: what arrived is not of this wire.
    """
    receiver = Receiver(connection)
    first = receiver.frame()
    if first is None:
        return
    if first[0] is not Kind.SETUP:
        raise OffTheWire("the first frame is not the set-up")
    setup = Setup.decode(bytes(first[2]))
    with _Holding() as loading:
        model = formats.load(setup)
    if loading.raised is not None:
        connection.sendall(answer_head(Kind.READY, 0, _status(loading.raised, Status.LOAD_FAILED)))
        _tell(loading.raised)
        return
    connection.sendall(answer_head(Kind.READY, 0, Status.OK))
    while (received := receiver.frame()) is not None:
        kind, sequence, body = received
        if kind is not Kind.BATCH:
            raise OffTheWire("a second set-up")
        columns = Columns(setup, read_batch(sequence, body))
        with _Holding() as asking:
            numbers = _ask(model, columns, setup.k)
        if asking.raised is not None:
            connection.sendall(answer_head(Kind.ANSWER, sequence, _status(asking.raised, Status.RAISED)))
            _tell(asking.raised)
            continue
        # At once, so that the host is woken once.
        head = answer_head(Kind.ANSWER, sequence, Status.OK, columns.rows, setup.k)
        connection.sendall(b"".join((head, numbers.data)))
