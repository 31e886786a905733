"""What crosses between a worker that assesses and one that lends it a cell: rows one way, numbers the other.

Assumes of its caller: the cluster's authority signs nothing but this cluster, so that whoever holds a certificate is
one of us. Nothing is unpickled, and no message is longer than was agreed.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pyarrow as pa

LENDING = "lend."
"""How the names of the tasks begin that lend cells."""

_HEAD = struct.Struct("<4sQ")
_MOST_BYTES = 2 * 1024**3
MOST_SAID_BYTES = 1024**2
"""Longest message that is no table and no answers."""

_CONNECT_SECONDS = 10.0
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4))
"""A machine that is gone without a word is noticed after half a minute."""


class Word(StrEnum):
    """What a message is."""

    HERE = "here"
    """Lender: whom it came for, and who it is."""
    TOLD = "told"
    """Borrower: schema and categories of the features, without rows."""
    LENT = "lent"
    """Lender: a cell stands ready; its wall, as it was tried."""
    NONE = "none"
    """Lender: why there is no cell."""
    ROWS = "rows"
    """Borrower: a batch of features."""
    SAID = "said"
    """Lender: its answers."""
    DONE = "done"
    """Borrower: nothing more is asked. Lender: what its cell used; also in the place of answers, when it leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """How a process of a worker reaches its cluster on behalf of one claim.

    Args:
        scheduler: address of the scheduler.
        host: where other workers reach this one.
        authority, certificate, key: paths of the cluster's certificates on this machine.
        submission_id, token: of the claim.
    """

    scheduler: str
    host: str
    authority: str
    certificate: str
    key: str
    submission_id: str
    token: int

    def context(self, side: Literal["lender", "borrower"]) -> ssl.SSLContext:
        """Give the terms of a connection: both sides show a certificate of the cluster's authority.

        Args:
            side: whose end it is; lenders call.
        """
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if side == "lender" else ssl.PROTOCOL_TLS_SERVER)
        # As Dask has it: a certificate says who belongs to the cluster, and not on which machine.
        made.check_hostname = False
        made.verify_mode = ssl.CERT_REQUIRED
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.load_verify_locations(self.authority)
        made.load_cert_chain(self.certificate, self.key)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What another worker is told when it is asked for cells; all else it finds in the records, or is sent.

    Args:
        submission_id, token: of the claim that the cells are for.
        host, port: where the one who asks listens.
        limits: of each cell, by name.
        batches: how many are likely to fall to this worker.
    """

    submission_id: str
    token: int
    host: str
    port: int
    limits: Mapping[str, float]
    batches: int


class Link:
    """One connection, for one cell; whoever makes it closes it.

    Args:
        connection: with TLS on it.
        seconds: longest that a message may take, from its first byte to its last and with the wait before it.
    """

    def __init__(self, connection: ssl.SSLSocket, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)

    @classmethod
    def to(cls, invitation: Invitation, context: ssl.SSLContext, seconds: float) -> Link:
        """Connect to whoever invited.

        Raises:
            OSError: nobody listens there, or it is nobody of the cluster.
        """
        plain = socket.create_connection((invitation.host, invitation.port), _CONNECT_SECONDS)
        try:
            return cls(context.wrap_socket(plain), seconds)
        except OSError:
            plain.close()
            raise

    def wait_for(self, seconds: float) -> None:
        """Set how long a message may take."""
        self._seconds = seconds

    def fileno(self) -> int:
        """Give the descriptor, to look at and not to read."""
        return self._connection.fileno()

    def waits(self, seconds: float) -> bool:
        """Say whether something comes within that time."""
        if self._connection.pending():
            return True
        look = select.poll()
        look.register(self._connection.fileno(), select.POLLIN)
        return bool(look.poll(seconds * 1000))

    def send(self, word: Word, body: bytes | memoryview | pa.Buffer = b"") -> None:
        """Send a message.

        Raises:
            OSError: the other side is gone, or does not take it in time.
        """
        content = memoryview(body).cast("B")
        until = time.monotonic() + self._seconds
        for left in (memoryview(_HEAD.pack(word.encode(), len(content))), content):
            while len(left):
                self._within(until)
                left = left[self._connection.send(left) :]

    def receive(self, most: int = _MOST_BYTES) -> tuple[Word, bytearray]:
        """Wait for a message.

        Args:
            most: bytes that it may have.

        Raises:
            OSError: the other side is gone, has not said all of it in time, says too much, or none of our words.
        """
        until = time.monotonic() + self._seconds
        head = bytearray(_HEAD.size)
        self._fill(head, until)
        word, length = _HEAD.unpack(head)
        if length > most or word.decode("ascii", "replace") not in Word.__members__.values():
            raise ConnectionError("this is no message of ours")
        body = bytearray(length)
        self._fill(body, until)
        return Word(word.decode()), body

    def _within(self, until: float) -> None:
        """Let the next step take no longer than the whole message may: one byte now and then is no sign of life."""
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the other side takes too long")
        self._connection.settimeout(left)

    def _fill(self, into: bytearray, until: float) -> None:
        view, got = memoryview(into), 0
        while got < len(into):
            self._within(until)
            more = self._connection.recv_into(view[got:])
            if more == 0:
                raise ConnectionError("the other side is gone")
            got += more

    def end(self) -> None:
        """End the connection now, from any thread; whoever waits on it is told."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it. Idempotent."""
        self._connection.close()


def packed(table: pa.Table) -> pa.Buffer:
    """Write a table, with the values of its category columns also where it has no rows."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as written:
        for batch in table.to_batches():
            written.write_batch(batch)
    return sink.getvalue()


def unpacked(content: bytes | bytearray) -> pa.Table:
    """Read a table that `packed` wrote.

    Raises:
        pyarrow.ArrowInvalid: it is none.
    """
    with pa.ipc.open_stream(pa.py_buffer(content)) as opened:
        return opened.read_all()


def without_rows(features: pa.Table) -> pa.Table:
    """Keep the schema and the categories of a table."""
    return pa.Table.from_batches([batch.slice(0, 0) for batch in features.to_batches()[:1]], features.schema)


def categories_of(features: pa.Table) -> dict[str, tuple[str, ...]]:
    """List the values of each category column, in the order of their codes."""
    found = {}
    for name in features.column_names:
        column = features.column(name)
        if pa.types.is_dictionary(column.type) and column.num_chunks:
            found[name] = tuple(column.chunk(0).dictionary.to_pylist())
    return found


def kind_of_processor() -> str:
    """Name this machine's kind of processor: on another kind the last digits of an answer may differ."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return ""
