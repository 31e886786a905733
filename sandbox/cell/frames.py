"""The frames of an intake cell: requests go in as JSON, fixed-width columns of a stated schema come out.

Both sides import this module, so it needs nothing but the standard library. It assumes that the cell may trust the
host, and that the host trusts nothing from the cell: every length, offset, code and text is checked again on the
host's side, against limits that the host stated, before anything is made of it.

Host to cell: `REQUEST` (magic, version, kind, length) and a JSON body. Cell to host: `ANSWER` (magic, version, kind,
status, count, rows, length) and a body of `length` bytes, laid out as the kind says:

    FAULT     up to four int64 and one UTF-8 text: what is wrong with the file
    HEAD      `count` type codes (1 byte), `count + 1` offsets (uint64), the names as UTF-8
    COLUMN    one `SECTION` and the parts it states: values, dictionary offsets, text, validity
    SCAN      UTF-8 JSON, at most the size that the host stated
    TEXT      UTF-8, at most the size that the host stated; `rows` holds the pages, 0 where there are none
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

MAGIC = b"AISR"
VERSION = 1

REQUEST = struct.Struct("<4sHHQ")
ANSWER = struct.Struct("<4sHHIIQQ")
SECTION = struct.Struct("<BBHIQqq")
"""Type, whether validity follows, reason (of a refusal), dictionary entries, bytes of text, two whole numbers."""
FAULT_NUMBERS = struct.Struct("<qqqq")

MISSING_CODE = -1
LARGEST_REQUEST = 16 * 1024**2
LONGEST_FAULT_TEXT = 2000


class Kind(IntEnum):
    """What a frame is."""

    OPEN = 1
    COLUMN = 2
    SCAN = 3
    TEXT = 4
    FAULT = 10
    HEAD = 11


class As(IntEnum):
    """How the host wants a column."""

    AUTOMATIC = 0
    NUMBER = 1
    BOOLEAN = 2
    CATEGORY = 3
    TEXT = 4
    """Any column as its text, in codes where there are few different values."""


class Type(IntEnum):
    """How the values of one column are written."""

    REFUSED = 0
    """No values; the section says why."""
    NUMBER = 1
    """float64."""
    WHOLE = 2
    """int64."""
    BOOLEAN = 3
    """One byte, 0 or 1."""
    CODES = 4
    """int32 codes into a dictionary that is sorted; -1 is missing."""
    TEXT = 5
    """n + 1 uint64 offsets into UTF-8."""


WIDTH = {Type.REFUSED: 0, Type.NUMBER: 8, Type.WHOLE: 8, Type.BOOLEAN: 1, Type.CODES: 4, Type.TEXT: 8}


class Reason(IntEnum):
    """Why a column could not be given as asked."""

    NONE = 0
    NOT_A_NUMBER = 1
    NOT_A_BOOLEAN = 2
    DECIMAL_COMMA = 3
    UNREADABLE_TYPE = 4
    INFINITE = 5
    TOO_MANY_VALUES = 6


class Fault(IntEnum):
    """What is wrong with a whole file."""

    NONE = 0
    EMPTY = 1
    NO_ROWS = 2
    NOT_TEXT = 3
    NOT_UTF8 = 4
    RAGGED = 5
    BROKEN_CSV = 6
    BROKEN_PARQUET = 7
    DOUBLED_NAMES = 8
    TOO_MANY_COLUMNS = 9
    TOO_MANY_ROWS = 10
    NAME_TOO_LONG = 11
    NO_SUCH_FORMAT = 12
    SCAN_FAILED = 13
    OUT_OF_MEMORY = 14
    REFUSED_MODEL = 15
    BROKEN_DOCUMENT = 16
    LOCKED_DOCUMENT = 17
    LONG_DOCUMENT = 18
    ACTIVE_DOCUMENT = 19
    NO_TEXT = 20


class OffTheFrames(Exception):
    """What arrived is not a frame of this kind: the other side is gone, or is not what it should be."""


class Unreadable(Exception):
    """The file cannot be read; raised inside the cell only.

    Args:
        fault: what is wrong.
        text: words for it, cut to `LONGEST_FAULT_TEXT` bytes.
        numbers: up to four whole numbers for the words (line, expected, found, count).
    """

    def __init__(self, fault: Fault, text: str = "", numbers: tuple[int, ...] = ()) -> None:
        super().__init__(fault.name)
        self.fault = fault
        self.text = text
        self.numbers = numbers


def request(kind: Kind, body: Mapping[str, Any]) -> bytes:
    """Write a request of the host."""
    written = json.dumps(body, ensure_ascii=True).encode()
    return REQUEST.pack(MAGIC, VERSION, kind, len(written)) + written


def receive(connection: socket.socket, length: int) -> bytearray:
    """Receive exactly so many bytes.

    Raises:
        OffTheFrames: the other side closed before the last one.
    """
    content = bytearray(length)
    view = memoryview(content)
    got = 0
    while got < length:
        more = connection.recv_into(view[got:], min(length - got, 1 << 20))
        if more == 0:
            raise OffTheFrames("the other side left in the middle of a frame")
        got += more
    return content


def receive_request(connection: socket.socket) -> tuple[Kind, dict[str, Any]] | None:
    """Receive one request in the cell; None when the host is done.

    Raises:
        OffTheFrames: not a request of this version.
    """
    first = connection.recv(1)
    if not first:
        return None
    magic, version, kind, length = REQUEST.unpack(first + receive(connection, REQUEST.size - 1))
    if magic != MAGIC or version != VERSION or kind not in (Kind.OPEN, Kind.COLUMN, Kind.SCAN, Kind.TEXT):
        raise OffTheFrames("not a request of these frames")
    if length > LARGEST_REQUEST:
        raise OffTheFrames("a request that is too large")
    body = json.loads(bytes(receive(connection, length)))
    return Kind(kind), body


def answer(kind: Kind, *, status: int = 0, count: int = 0, rows: int = 0, length: int = 0) -> bytes:
    """Write the head of an answer of the cell."""
    return ANSWER.pack(MAGIC, VERSION, kind, status, count, rows, length)


def fault(raised: Unreadable) -> bytes:
    """Write a fault as one whole answer."""
    numbers = [max(-(2**63), min(2**63 - 1, n)) for n in (*raised.numbers, 0, 0, 0, 0)[:4]]
    text = raised.text.encode("utf-8", "replace")[:LONGEST_FAULT_TEXT].decode("utf-8", "ignore").encode()
    body = FAULT_NUMBERS.pack(*numbers) + text
    return answer(Kind.FAULT, status=raised.fault, length=len(body)) + body
