"""The wire between the host and a model's cell: typed columns go in, float64 of a stated shape comes out.

Both sides import this module, so it needs nothing but the standard library. It assumes that the cell may trust the host
(the host wrote the set-up and the lengths) and that the host trusts nothing from the cell: what comes back is one fixed
struct, and the host compares its numbers with what it asked for; it never allocates, parses or unpickles by them.

Every frame is little-endian. Host to cell: `FRAME` (magic, version, kind, sequence, length of the body) and the body. A
set-up body is JSON; a batch body is `BATCH`, one `SECTION` per column, the values of all columns in order, the texts,
and the validity bytes; each part starts at a multiple of eight bytes. Cell to host: `ANSWER` (magic, version, kind,
sequence, status, k, n), followed by n * k float64 if and only if the status is `OK`.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

MAGIC = b"AISW"
VERSION = 1

FRAME = struct.Struct("<4sHHQQ")
BATCH = struct.Struct("<QII")
SECTION = struct.Struct("<BBHIQQ")
ANSWER = struct.Struct("<4sHHQIIQ")

MISSING_CODE = -1
"""Code of a category that is missing."""


class Kind(IntEnum):
    """What a frame is."""

    SETUP = 1
    BATCH = 2
    READY = 3
    ANSWER = 4


class Type(IntEnum):
    """How the values of one column are written."""

    NUMBER = 1
    """float64."""
    WHOLE = 2
    """float64 that hold whole numbers: int64 in the cell where none is missing."""
    BOOLEAN = 3
    """One byte, 0 or 1."""
    CATEGORY = 4
    """int32 codes into the categories of the set-up; -1 is missing."""
    TEXT = 5
    """n + 1 int64 offsets into UTF-8."""


_TYPES = {one.value: one for one in Type}
WIDTH = {Type.NUMBER: 8, Type.WHOLE: 8, Type.BOOLEAN: 1, Type.CATEGORY: 4, Type.TEXT: 8}


class Status(IntEnum):
    """All that a cell can say beside its numbers."""

    OK = 0
    LOAD_FAILED = 1
    UNTRUSTED = 2
    CODE_NOT_ALLOWED = 3
    NOT_SUPPORTED = 4
    INPUTS_DIFFER = 5
    NO_PROBABILITY = 6
    RAISED = 7
    WRONG_SHAPE = 8
    UNDECLARED_LABEL = 9
    NOT_NUMERIC = 10
    OUT_OF_MEMORY = 11
    UNKNOWN_FORMAT = 12
    MISSING_PACKAGE = 13


class OffTheWire(Exception):
    """What arrived is not a frame of this wire (in a cell: the host is gone or of another version)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One input of the model.

    Args:
        name: as in the data.
        type: `number`, `whole`, `boolean`, `category` or `text`.
        categories: the values of a category column; the place of each is its code.
    """

    name: str
    type: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """All that a cell is told about its model and its task, once, before the first batch.

    Nothing in it names a label column, a group that is no input, a row or an order.

    Args:
        format: a module of `formats`, as in `skops`.
        path: the model inside the cell, a file or a folder.
        allow_code: whether the submitter consented to a format that executes code when it is loaded.
        columns: the inputs in the order of the model.
        task: `binary`, `multiclass` or `regression`.
        output: `label`, `decision`, `probability`, `score` or `value`.
        classes: the declared classes in order; empty for a regression.
        score_of: the class whose probability or score is asked; empty where none is.
        k: numbers per answer, at least 1.
    """

    format: str
    path: str
    allow_code: bool
    columns: tuple[Column, ...]
    task: str
    output: str
    classes: tuple[str, ...]
    score_of: str
    k: int

    def encode(self) -> bytes:
        """Write the set-up as JSON."""
        stated = {
            "format": self.format,
            "path": self.path,
            "allow_code": self.allow_code,
            "columns": [[c.name, c.type, list(c.categories)] for c in self.columns],
            "task": self.task,
            "output": self.output,
            "classes": list(self.classes),
            "score_of": self.score_of,
            "k": self.k,
        }
        return json.dumps(stated, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, body: bytes | bytearray) -> Setup:
        """Read a set-up that the host wrote."""
        stated = json.loads(bytes(body))
        return cls(
            format=stated["format"],
            path=stated["path"],
            allow_code=stated["allow_code"],
            columns=tuple(Column(name=n, type=t, categories=tuple(c)) for n, t, c in stated["columns"]),
            task=stated["task"],
            output=stated["output"],
            classes=tuple(stated["classes"]),
            score_of=stated["score_of"],
            k=stated["k"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One column of a batch, as bytes.

    Args:
        type: how `values` is written.
        values: n values, or n + 1 offsets for a text.
        valid: n bytes, 0 where the value is missing; None where none is missing.
        text: the UTF-8 of a text column; None for other types.
    """

    type: Type
    values: memoryview
    valid: memoryview | None = None
    text: memoryview | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as it arrived in the cell.

    Args:
        sequence: its number, from 1.
        rows: n.
        sections: one per column of the set-up, in order.
        block: the values of all columns as one stretch of bytes, where every column is a number: n float64 per column.
    """

    sequence: int
    rows: int
    sections: tuple[Section, ...]
    block: memoryview | None = None


def _padding(length: int) -> int:
    return -length % 8


def _part(buffer: memoryview) -> Iterable[memoryview]:
    if len(buffer):
        yield buffer
    if _padding(len(buffer)):
        yield memoryview(b"\0" * _padding(len(buffer)))


def frame(kind: Kind, sequence: int, length: int) -> bytes:
    """Write the head of a frame from the host."""
    return FRAME.pack(MAGIC, VERSION, kind, sequence, length)


def batch_parts(sequence: int, rows: int, sections: Sequence[Section]) -> list[memoryview]:
    """Write a batch as the stretches of bytes to send, one after the other, without copying the values.

    Args:
        sequence: number of the batch.
        rows: n, at least 1.
        sections: one per column, flat byte views.

    Returns:
        The whole frame, head included.
    """
    head = bytearray(BATCH.pack(rows, len(sections), 0))
    parts: list[memoryview] = []
    for section in sections:
        text = section.text
        head += SECTION.pack(
            section.type, section.valid is not None, 0, 0, len(section.values), len(text) if text is not None else 0
        )
        parts += _part(section.values)
    for section in sections:
        if section.text is not None:
            parts += _part(section.text)
    for section in sections:
        if section.valid is not None:
            parts += _part(section.valid)
    length = len(head) + sum(len(p) for p in parts)
    return [memoryview(frame(Kind.BATCH, sequence, length) + bytes(head)), *parts]


def read_batch(sequence: int, body: memoryview) -> Batch:
    """Read a batch body.

    Args:
        sequence: from the head of its frame.
        body: the whole body, writable; the sections are views into it.

    Raises:
        OffTheWire: the lengths do not add up.
    """
    if len(body) < BATCH.size:
        raise OffTheWire("a batch without its head")
    rows, count, _ = BATCH.unpack_from(body)
    at = BATCH.size + count * SECTION.size
    if at > len(body):
        raise OffTheWire("a batch without its sections")
    heads = []
    for code, has_valid, _, _, length, text_length in SECTION.iter_unpack(body[BATCH.size : at]):
        kind = _TYPES.get(code)
        if kind is None:
            raise OffTheWire("a column of an unknown type")
        if length != WIDTH[kind] * (rows + (kind is Type.TEXT)) or (text_length and kind is not Type.TEXT):
            raise OffTheWire("a column of another length than its rows")
        heads.append((kind, bool(has_valid), length, text_length))

    def take(length: int) -> memoryview:
        nonlocal at
        if at + length > len(body):
            raise OffTheWire("a batch that ends early")
        part = body[at : at + length]
        at += length + _padding(length)
        return part

    start = at
    values = [take(length) for _, _, length, _ in heads]
    numbers = {kind for kind, *_ in heads} <= {Type.NUMBER, Type.WHOLE}
    block = body[start:at] if numbers and heads else None
    texts = [take(text_length) if kind is Type.TEXT else None for kind, _, _, text_length in heads]
    valids = [take(rows) if has_valid else None for _, has_valid, _, _ in heads]
    if at != len(body):
        raise OffTheWire("bytes after the batch")
    sections = tuple(
        Section(type=head[0], values=v, valid=valid, text=text)
        for head, v, valid, text in zip(heads, values, valids, texts, strict=True)
    )
    return Batch(sequence=sequence, rows=rows, sections=sections, block=block)


class Receiver:
    """Receives frames in the cell, each into the place of the one before it: what a frame held is gone with the next.

    Args:
        connection: connected stream socket to the host, blocking.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._held = memoryview(bytearray())

    def frame(self) -> tuple[Kind, int, memoryview] | None:
        """Receive one frame.

        Returns:
            Its kind, its sequence number and its body; None when the host closed the connection.

        Raises:
            OffTheWire: not a frame of this version.
        """
        head = memoryview(bytearray(FRAME.size))
        if not self._exactly(head):
            return None
        magic, version, kind, sequence, length = FRAME.unpack(head)
        if magic != MAGIC or version != VERSION or kind not in (Kind.SETUP, Kind.BATCH):
            raise OffTheWire("not a frame of this wire")
        if length > len(self._held):
            # New memory costs the kernel more than the bytes that are written there.
            self._held = memoryview(bytearray(length))
        body = self._held[:length]
        if length and not self._exactly(body):
            raise OffTheWire("the host left before the body")
        return Kind(kind), sequence, body

    def _exactly(self, into: memoryview) -> bool:
        """Fill this; False where the host closed before the first byte."""
        got = 0
        while got < len(into):
            more = self._connection.recv_into(into[got:], 0, socket.MSG_WAITALL)
            if more == 0:
                if got == 0:
                    return False
                raise OffTheWire("the host left in the middle of a frame")
            got += more
        return True


def answer_head(kind: Kind, sequence: int, status: Status, rows: int = 0, k: int = 0) -> bytes:
    """Write the fixed struct that a cell answers with.

    Args:
        kind: `READY` or `ANSWER`.
        sequence: of the batch it answers; 0 for `READY`.
        status: `OK`, or why there are no numbers.
        rows: n, 0 where the status is not `OK`.
        k: numbers per row, 0 where the status is not `OK`.
    """
    return ANSWER.pack(MAGIC, VERSION, kind, sequence, status, k, rows)
