"""The host's side of the wire: asks a model in a cell, and believes nothing that comes back but its bounds.

Assumes of its caller: the cell was opened by a backend that has proved its wall, nobody else reads or writes its
connection, and the caller closes the cell. Nothing from the cell is parsed as text, unpickled, or used as a length: its
struct is compared with what was asked, and its numbers are received into a buffer whose size was settled before.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from checks.declaration import ColumnType, Declaration, Output, Task
from sandbox.cell import wire
from sandbox.cell.wire import Column, Kind, Section, Setup, Status, Type
from sandbox.errors import CellUnavailable, ModelFault
from sandbox.isolation.interface import Ending, Limits, RunningCell

_WORDS: Mapping[Status, tuple[str, str]] = {
    Status.LOAD_FAILED: ("load_failed", "The model could not be loaded: its library raised an error."),
    Status.UNTRUSTED: ("load_failed", "The model was not loaded: it holds types that are not accepted."),
    Status.CODE_NOT_ALLOWED: (
        "load_failed",
        "The model was not loaded: its format executes code, and model.allow_code is not true.",
    ),
    Status.NOT_SUPPORTED: ("load_failed", "The model was not loaded: this kind of content is not supported."),
    Status.UNKNOWN_FORMAT: ("load_failed", "The model was not loaded: its format is not known in the cell."),
    Status.MISSING_PACKAGE: (
        "load_failed",
        "The model needs a package that its cell does not hold; name it in model.requirements.",
    ),
    Status.INPUTS_DIFFER: ("load_failed", "The model takes other inputs than the columns that the data give it."),
    Status.NO_PROBABILITY: (
        "load_failed",
        "The model gives no probabilities; declare output decision, label or score instead.",
    ),
    Status.RAISED: ("crashed", "The model raised an error instead of an answer."),
    Status.WRONG_SHAPE: ("wrong_shape", "The model answered in another shape than was asked."),
    Status.UNDECLARED_LABEL: ("undeclared_label", "The model knows a class that is not among data.classes."),
    Status.NOT_NUMERIC: ("wrong_shape", "The model answered with something else than numbers."),
    Status.OUT_OF_MEMORY: ("out_of_memory", "The model asked for more memory than the cell has."),
}

_SEND_BUFFER = 4 * 1024**2
_PARTS_AT_ONCE = 256
_SO_SNDBUFFORCE = 32

_ENDINGS: Mapping[Ending, str] = {
    Ending.OUT_OF_MEMORY: "The model used more memory than its cell has, and was ended.",
    Ending.CPU_LIMIT: "The model used more processor time than its cell has, and was ended.",
    Ending.OUTPUT_LIMIT: "The model wrote more than its cell may write, and was ended.",
    Ending.TIMED_OUT: "The model ran longer than its cell may run, and was ended.",
}


def answers_per_row(task: Task, output: Output, classes: Sequence[str]) -> int:
    """Say how many numbers one answer holds.

    Returns:
        k: the number of classes for the probabilities of a multiclass task, else 1.
    """
    return len(classes) if task is Task.MULTICLASS and output is Output.PROBABILITY else 1


def setup_for(
    declaration: Declaration,
    schema: pa.Schema,
    categories: Mapping[str, Sequence[str]],
    format: str,  # noqa: A002 - the word of the wire and of the scan
    path: str,
) -> Setup:
    """State once what a cell is told of its model: inputs, output and classes, and nothing of labels or groups.

    Args:
        declaration: with `model` and `data`.
        schema: the types of the columns as they will be sent; columns that are no features are left out.
        categories: the values of each category column in the order of their codes; those declared in `inputs` go first.
        format: a module of `sandbox/cell/formats`.
        path: the model inside the cell, as in `/c/model/model.skops`.

    Returns:
        The set-up; its columns are in the order of `inputs.order` where that is given (a feature that it leaves out is
        not shown to the model), else in the order of the schema.

    Raises:
        ValueError: no model, no data, no input, an input that is no feature, or a category column without values (ours:
            intake refuses such a submission).
    """
    if declaration.model is None or declaration.data is None:
        raise ValueError("only a submission with a model and data has a set-up")
    data, model, inputs = declaration.data, declaration.model, declaration.inputs
    features = {f.name: f.type for f in schema if data.role(f.name).is_feature}
    order = inputs.order or tuple(features)
    lacking = [name for name in order if name not in features]
    if lacking or not order:
        raise ValueError(f"inputs that are no features of the data: {lacking[:5]}" if order else "no input at all")
    columns = []
    for name in order:
        kind = _column_type(features[name], inputs.types.get(name))
        values: Sequence[str] = ()
        if kind == "category":
            values = inputs.categories.get(name) or categories.get(name, ())
            if not values:
                raise ValueError(f"a category column without values: {name!r}")
        columns.append(Column(name=name, type=kind, categories=tuple(values)))
    return Setup(
        format=format,
        path=path,
        allow_code=model.allow_code,
        columns=tuple(columns),
        task=data.task.value,
        output=model.output.value,
        classes=data.classes,
        score_of=model.score_of or "",
        k=answers_per_row(data.task, model.output, data.classes),
    )


def _column_type(arrow: pa.DataType, declared: ColumnType | None) -> str:
    number = pa.types.is_floating(arrow) or pa.types.is_integer(arrow)
    if declared is ColumnType.CATEGORY and not pa.types.is_floating(arrow):
        return "category"
    if declared is ColumnType.TEXT:
        return "text"
    if pa.types.is_boolean(arrow):
        return "number" if declared is ColumnType.NUMBER else "boolean"
    if number:
        return "whole" if pa.types.is_integer(arrow) else "number"
    if pa.types.is_dictionary(arrow):
        return "category"
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
        return "text"
    raise ValueError(f"a column of type {arrow} has no place on the wire")


def encode(setup: Setup, batch: pa.RecordBatch | pa.Table) -> list[Section]:
    """Write the columns of a batch as bytes, without a loop over rows.

    Args:
        setup: which columns, and how.
        batch: exactly these columns, in any order; n rows.

    Returns:
        One section per column of the set-up; equal batches give equal bytes, also under what is missing.

    Raises:
        ValueError: another set of columns, a type that does not fit, or a category that is not in the set-up.
    """
    names = batch.schema.names
    if sorted(names) != sorted(c.name for c in setup.columns):
        raise ValueError("a batch holds other columns than the inputs of the set-up")
    columns = dict(zip(names, batch.columns, strict=True))
    return [_section(_whole(columns[c.name]), c) for c in setup.columns]


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.unify_dictionaries().chunks) if column.num_chunks else column.combine_chunks()


def _bytes(values: np.ndarray) -> memoryview:
    flat = np.ascontiguousarray(values)
    return flat.data.cast("B") if flat.size else memoryview(b"")


def _section(array: pa.Array, column: Column) -> Section:
    valid = _bytes(array.is_valid().to_numpy(zero_copy_only=False).view(np.uint8)) if array.null_count else None
    if column.type in ("number", "whole"):
        whole = pa.types.is_integer(array.type)
        if not (whole or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
            raise ValueError(f"column {column.name!r} is not a number")
        # What is missing is written as 0, so that nothing travels under it.
        numbers = array.fill_null(False if pa.types.is_boolean(array.type) else 0) if array.null_count else array
        values = numbers.to_numpy(zero_copy_only=False).astype("<f8", copy=False)
        return Section(type=Type.WHOLE if whole else Type.NUMBER, values=_bytes(values), valid=valid)
    if column.type == "boolean":
        if not pa.types.is_boolean(array.type):
            raise ValueError(f"column {column.name!r} is not a boolean")
        booleans = array.fill_null(False).to_numpy(zero_copy_only=False)
        return Section(type=Type.BOOLEAN, values=_bytes(booleans), valid=valid)
    if column.type == "category":
        return Section(type=Type.CATEGORY, values=_bytes(_codes(array, column)))
    texts = array.cast(pa.large_string()).fill_null("")
    offsets = np.frombuffer(texts.buffers()[1], dtype="<i8")[texts.offset : texts.offset + len(texts) + 1]
    utf8 = texts.buffers()[2]
    text = memoryview(utf8)[offsets[0] : offsets[-1]] if utf8 is not None else memoryview(b"")
    return Section(type=Type.TEXT, values=_bytes(offsets - offsets[0]), valid=valid, text=text.cast("B"))


def _codes(array: pa.Array, column: Column) -> np.ndarray:
    if not pa.types.is_dictionary(array.type):
        array = array.cast(pa.string()).dictionary_encode()
    codes = array.indices
    if array.dictionary.to_pylist() != list(column.categories):
        names = array.dictionary.cast(pa.string())
        codes = pc.index_in(names, value_set=pa.array(column.categories, pa.string())).take(codes)
        if codes.null_count > array.null_count:
            raise ValueError(f"column {column.name!r} holds a category that is not in the set-up")
    filled: np.ndarray = codes.fill_null(wire.MISSING_CODE).to_numpy(zero_copy_only=False)
    return filled.astype("<i4", copy=False)


def _make_room(connection: socket.socket) -> None:
    """Make the socket take a batch in one go, so that it waits there while the one before it is answered."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    with contextlib.suppress(PermissionError):
        # Beyond what the machine gives everybody, where the worker may.
        connection.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A batch that has no answer yet.

    Args:
        sequence: its number; 0 where it has no rows and was not sent.
        rows: n.
        until: what `bytes_in` is when all of it is in the cell.
    """

    sequence: int
    rows: int
    until: int


class Conversation:
    """Asks one model in one cell, batch after batch, each within its time.

    A fault in what the model answers (an error, NaN, the wrong shape) leaves it usable; a broken protocol,
    a missed deadline or the end of the cell does not: every later question raises that fault again.

    Args:
        running: the started cell; its `connection` is used by nobody else.
        setup: what the cell is told.
        limits: `start_seconds` for loading, `answer_seconds` for each batch.
    """

    def __init__(self, running: RunningCell, setup: Setup, limits: Limits) -> None:
        self.bytes_in = 0
        """Bytes that went into the cell."""
        self.bytes_out = 0
        """Bytes that came out of it."""
        self.rows_asked = 0
        """Rows sent, also those that were not answered."""
        self._running = running
        self._connection = running.connection
        self._connection.setblocking(False)
        _make_room(self._connection)
        self.beside: Sequence[Conversation] = ()
        """Conversations of the same thread: what they were not yet given goes to them while this one waits."""
        self._unsent: list[memoryview] = []
        self._under_way: deque[_Sent] = deque()
        self._setup = setup
        self._limits = limits
        self._sequence = 0
        self._until = 0.0
        self._over: ModelFault | CellUnavailable | None = None
        self._loaded = False

    @property
    def usable(self) -> bool:
        """Whether another question can be asked."""
        return self._loaded and self._over is None

    @property
    def lost(self) -> bool:
        """Whether its cell cannot be asked anything any more, or could not load the model."""
        return self._over is not None

    def widen(self, categories: Mapping[str, Sequence[str]]) -> None:
        """Let category columns hold further values, after those that the set-up names; only before the model is loaded.

        Args:
            categories: the values that will be asked about, by column; columns of other types are passed over.
        """
        self._setup = replace(
            self._setup,
            columns=tuple(
                replace(c, categories=tuple(dict.fromkeys((*c.categories, *categories.get(c.name, ())))))
                if c.type == "category"
                else c
                for c in self._setup.columns
            ),
        )

    def load(self) -> None:
        """Send the set-up and wait until the model is loaded.

        Raises:
            ModelFault: it cannot be loaded (`load_failed`), or took too long, too much memory, or its cell ended.
            CellUnavailable: the cell was cancelled.
        """
        self._until = time.monotonic() + self._limits.start_seconds
        body = self._setup.encode()
        self._quiet()
        self._unsent.append(memoryview(wire.frame(Kind.SETUP, 0, len(body)) + body))
        self._push()
        status, k, rows = self._head(Kind.READY, 0)
        if self._unsent:
            self._end("protocol", "The model's cell broke the protocol: it answered before it was asked.")
        if k or rows:
            self._end("protocol", "The model's cell broke the protocol: it gave numbers before it was asked.")
        if status is not Status.OK:
            self._over = self._fault(status, stage="load")
            raise self._over
        self._loaded = True

    def predict(self, batch: pa.RecordBatch | pa.Table) -> np.ndarray:
        """Ask for the answers to a batch.

        Args:
            batch: exactly the inputs of the set-up, n rows.

        Returns:
            Shape (n, k), float64, all finite. For `label` and `decision` each is the place of a declared class, 0 to
            K-1; for the other outputs the number that the model gave.

        Raises:
            ModelFault: why there is no answer, see `ModelFault.code`; `params` has `rows` where rows are counted.
            CellUnavailable: the cell was cancelled.
            ValueError: the batch does not fit the set-up (ours).
        """
        self.drop()
        self.send(batch)
        return self.take()

    def send(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Ask for the answers to a batch without waiting for them, also while others have no answer yet.

        What the socket does not take at once is sent while an answer is waited for. That a cell is gone is told when
        the answer is taken, so that faults come in the order of the batches.

        Args:
            batch: as for `predict`.

        Raises:
            ValueError: the batch does not fit the set-up, or no model was loaded (ours).
        """
        if not self._loaded and self._over is None:
            raise ValueError("load the model before asking it")
        sections = encode(self._setup, batch)
        rows = batch.num_rows
        with contextlib.suppress(ModelFault, CellUnavailable):
            if not self._under_way and self._over is None:
                self._until = time.monotonic() + self._limits.answer_seconds
                self._quiet()
            if rows and self._over is None:
                self._sequence += 1
                self.rows_asked += rows
                self._unsent += wire.batch_parts(self._sequence, rows, sections)
                self._push()
        until = self.bytes_in + sum(map(len, self._unsent))
        self._under_way.append(_Sent(sequence=self._sequence if rows else 0, rows=rows, until=until))

    def take(self) -> np.ndarray:
        """Wait for the answers to the batch that was sent first; its time counts from the answer before it.

        Returns:
            As `predict`.

        Raises:
            ModelFault, CellUnavailable: as `predict`.
        """
        if self._over is not None:
            raise self._over
        sent = self._under_way.popleft()
        k = self._setup.k
        answer = np.empty((sent.rows, k), dtype="<f8")
        if sent.rows == 0:
            return answer
        status, given_k, given_rows = self._head(Kind.ANSWER, sent.sequence)
        if self.bytes_in < sent.until:
            self._end("protocol", "The model's cell broke the protocol: it answered before it was asked.")
        if status is not Status.OK:
            if given_k or given_rows:
                self._end("protocol", "The model's cell broke the protocol: a status with numbers.")
        elif given_k != k or given_rows != sent.rows:
            self._end("protocol", "The model's cell broke the protocol: another shape than was asked.")
        else:
            self._fill(answer.data.cast("B"))
        if not self._under_way:
            self._quiet()
        self._until = time.monotonic() + self._limits.answer_seconds
        if status is not Status.OK:
            raise self._fault(status, stage="answer")
        return self._checked(answer)

    def answer_bytes(self, rows: int) -> int:
        """Say how many bytes the answers to so many rows have."""
        return 8 * rows * self._setup.k

    def as_own(self, content: bytearray, rows: int) -> np.ndarray:
        """Read the answers that a cell elsewhere gave to a batch, and believe no more of them than of this cell's.

        Args:
            content: float64, little-endian.
            rows: n, of the batch.

        Returns:
            As `predict`.

        Raises:
            ModelFault: as `predict`, for what is seen in the answers.
        """
        if len(content) != self.answer_bytes(rows):
            raise ModelFault("wrong_shape", "A cell elsewhere answered in another shape than was asked.")
        return self._checked(np.frombuffer(content, dtype="<f8").reshape(rows, self._setup.k))

    def drop(self) -> None:
        """Take what was sent and not taken, so that the next question meets its own answer."""
        while self._under_way and self._over is None:
            with contextlib.suppress(ModelFault, CellUnavailable):
                self.take()
        self._under_way.clear()

    def close(self) -> None:
        """Hang up, so that the cell ends by itself. Idempotent; the cell itself is closed by whoever opened it."""
        self._loaded = False
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _checked(self, answer: np.ndarray) -> np.ndarray:
        finite = np.isfinite(answer).all(axis=1)
        if not finite.all():
            count = int((~finite).sum())
            raise ModelFault(
                "not_finite", f"The model answered NaN or infinity for {count} of {len(answer)} rows.", rows=count
            )
        if self._setup.output in ("label", "decision"):
            known = ((answer >= 0) & (answer < len(self._setup.classes)) & (answer == np.floor(answer))).all(axis=1)
            if not known.all():
                count = int((~known).sum())
                raise ModelFault(
                    "undeclared_label",
                    f"The model answered with none of data.classes for {count} of {len(answer)} rows.",
                    rows=count,
                )
        return answer

    def _fault(self, status: Status, **params: Any) -> ModelFault:
        code, message = _WORDS[status]
        return ModelFault(code, message, status=status.name.lower(), **params)

    def _end(self, code: str, message: str) -> NoReturn:
        """End the conversation with a fault; how the cell ended decides over what it looked like from here."""
        ending = self._running.ending()
        if ending is Ending.CANCELLED:
            self._over = CellUnavailable("The cell was ended on request before the model had answered.")
        elif code != "protocol" and ending in _ENDINGS:
            self._over = ModelFault(ending.value, _ENDINGS[ending], ending=ending.value)
        else:
            self._over = ModelFault(code, message, ending=ending.value)
        raise self._over

    def _wait(self) -> None:
        """Wait until the cell says something, and send meanwhile what was not yet sent, here and beside."""
        pushing = [talk for talk in self.beside if talk._unsent and talk._over is None]
        look = select.poll()
        look.register(self._connection, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        for talk in pushing:
            look.register(talk._connection, select.POLLOUT)
        # Looked at even where the time is over: what came in time and was not yet taken is an answer.
        seen = dict(look.poll(1000 * max(0.0, self._until - time.monotonic())))
        if not seen:
            self._late()
        for talk in (self, *pushing):
            if seen.get(talk._connection.fileno(), 0) & ~select.POLLIN:
                # Another's fault is told when its own answer is asked for.
                with contextlib.nullcontext() if talk is self else contextlib.suppress(ModelFault, CellUnavailable):
                    talk._push()

    def _late(self) -> NoReturn:
        seconds = self._limits.answer_seconds if self._loaded else self._limits.start_seconds
        self._end("timed_out", f"The model did not answer within {seconds:g} seconds.")

    def _gone(self) -> NoReturn:
        self._end("crashed", "The model's cell ended before it had answered.")

    def _push(self) -> None:
        """Send as much as the socket takes without waiting."""
        while self._unsent:
            try:
                sent = self._connection.sendmsg(self._unsent[:_PARTS_AT_ONCE])
            except BlockingIOError:
                return
            except OSError:
                self._gone()
            self.bytes_in += sent
            done = 0
            while done < len(self._unsent) and sent >= len(self._unsent[done]):
                sent -= len(self._unsent[done])
                done += 1
            del self._unsent[:done]
            if sent:
                self._unsent[0] = self._unsent[0][sent:]

    def _fill(self, into: memoryview) -> None:
        got = 0
        while got < len(into):
            try:
                more = self._connection.recv_into(into[got:])
            except BlockingIOError:
                self._wait()
                continue
            except OSError:
                self._gone()
            if more == 0:
                self._gone()
            got += more
            self.bytes_out += more
            if got < len(into) and time.monotonic() > self._until:
                self._late()

    def _head(self, kind: Kind, sequence: int) -> tuple[Status, int, int]:
        head = bytearray(wire.ANSWER.size)
        self._fill(memoryview(head))
        magic, version, given_kind, given_sequence, status, k, rows = wire.ANSWER.unpack(head)
        if (magic, version, given_kind, given_sequence) != (wire.MAGIC, wire.VERSION, kind, sequence):
            self._end("protocol", "The model's cell broke the protocol: not the answer to this question.")
        if status not in Status.__members__.values():
            self._end("protocol", "The model's cell broke the protocol: an unknown status.")
        return Status(status), k, rows

    def _quiet(self) -> None:
        """Make sure that nothing waits to be read that was not asked for."""
        try:
            extra = self._connection.recv(1)
        except BlockingIOError:
            return
        except OSError:
            self._gone()
        if extra:
            self.bytes_out += 1
            self._end("protocol", "The model's cell broke the protocol: it sent more than was asked.")
