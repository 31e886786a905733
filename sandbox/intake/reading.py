"""Has an upload read in an intake cell, or in a resource-limited process, and checks everything that comes back.

Assumes that the other side may be taken over by what it reads: no length, code, offset or text is used before it is
compared with what was asked and with a budget of ours; what does not fit ends the reading.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sandbox.cell import frames
from sandbox.cell.frames import As, Fault, Kind, Reason, Type
from sandbox.errors import CellUnavailable, ModelFault, Problem, Refused
from sandbox.intake.problems import problem
from sandbox.isolation.interface import CellFiles, Ending, Isolation, Limits
from sandbox.niceness import hand_on

_log = logging.getLogger(__name__)

LIMITS = Limits(
    memory_bytes=3 * 1024**3,
    processes=32,
    cpu_seconds=240,
    wall_seconds=300,
    answer_seconds=240.0,
    start_seconds=60.0,
)
MOST_ROWS = 20_000_000
MOST_VALUES = 1000
LARGEST_SCAN = 512 * 1024
DEEPEST_SCAN = 16
_LARGEST_TEXT = 2**31 - 1
CELL_FOLDER = Path(frames.__file__).resolve().parent

BY_CELL = "cell"
BY_LIMITED_PROCESS = "limited_process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a table is, before any column is asked.

    Args:
        names: of its columns, in order; an empty name is a column without one.
        unreadable: places of columns whose type is not read here.
        rows: n.
    """

    names: tuple[str, ...]
    unreadable: frozenset[int]
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column, checked.

    Args:
        type: how it came.
        values: (n,) float64, int64, bool, dictionary<int32, string> or string; null where missing.
    """

    type: Type
    values: pa.Array


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRefused:
    """Why a column cannot be given as asked.

    Args:
        reason: which of the reasons.
        example: one value, or the type, as text.
        count: how many values are so.
        row: the first of them, from 1.
    """

    reason: Reason
    example: str
    count: int
    row: int


class _Other(Protocol):
    """The process on the other side."""

    connection: socket.socket

    def ending(self) -> Ending: ...


class Reading:
    """One upload, open on the other side.

    Args:
        other: the cell or process that reads it.
        field: where the file is named, for the words of problems.
        name: the file's name, for the words and for the other side.
        budget_bytes: most bytes that are taken from it in all.
        seconds: longest wait for all answers together.
    """

    def __init__(self, other: _Other, *, field: str, name: str, budget_bytes: int, seconds: float) -> None:
        self._other = other
        self._field = field
        self._name = name
        self._budget = budget_bytes
        self._until = time.monotonic() + seconds
        self._rows = 0
        self._is_document = False

    def _ask(self, kind: Kind, body: Mapping[str, Any]) -> tuple[int, int, int, int, bytearray]:
        """Send a request and take one answer.

        Returns:
            Kind, count, rows and length as told, and the body, of at most the bytes still allowed.
        """
        try:
            self._other.connection.settimeout(max(0.01, self._until - time.monotonic()))
            self._other.connection.sendall(frames.request(kind, body))
            magic, version, told, status, count, rows, length = frames.ANSWER.unpack(self._take(frames.ANSWER.size))
            if magic != frames.MAGIC or version != frames.VERSION:
                raise self._broken()
            if told == Kind.FAULT:
                if length > frames.FAULT_NUMBERS.size + frames.LONGEST_FAULT_TEXT or length < frames.FAULT_NUMBERS.size:
                    raise self._broken()
                raise Refused(self._fault(status, self._take(length)))
            if length > self._budget:
                raise Refused(problem(self._field, "reading.too_large", file=self._name, most=self._budget))
            self._budget -= length
            return told, count, rows, length, self._take(length)
        except (OSError, frames.OffTheFrames) as raised:
            raise self._ended(isinstance(raised, TimeoutError)) from None

    def _take(self, length: int) -> bytearray:
        content = bytearray(length)
        view = memoryview(content)
        got = 0
        while got < length:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._other.connection.settimeout(left)
            more = self._other.connection.recv_into(view[got:], min(length - got, 1 << 20))
            if more == 0:
                raise frames.OffTheFrames("it left")
            got += more
        return content

    def _ended(self, timed_out: bool) -> Refused:
        ending = Ending.TIMED_OUT if timed_out else self._other.ending()
        code = {
            Ending.TIMED_OUT: "reading.timed_out",
            Ending.CPU_LIMIT: "reading.timed_out",
            Ending.OUT_OF_MEMORY: "reading.out_of_memory",
        }.get(ending, "reading.crashed")
        # For the operator alone: a reader that breaks off may be our fault, and its words are never shown to a person.
        diagnostic = getattr(self._other, "diagnostic", str)()
        _log.warning("reading %r ended as %s: %s", self._name, ending, diagnostic)
        return Refused(problem(self._field, code, file=self._name))

    def _broken(self) -> Refused:
        return Refused(problem(self._field, "reading.crashed", file=self._name))

    def _fault(self, status: int, body: bytearray) -> Problem:
        a, b, c, d = frames.FAULT_NUMBERS.unpack_from(body)
        text = bytes(body[frames.FAULT_NUMBERS.size :]).decode("utf-8", "replace")
        where, name = self._field, self._name
        match status:
            case Fault.EMPTY:
                return problem(where, "table.empty", file=name)
            case Fault.NO_ROWS:
                return problem(where, "table.no_rows", file=name)
            case Fault.NOT_TEXT:
                code = {"zip": "table.is_zip", "parquet": "table.is_parquet"}.get(text, "table.not_text")
                return problem(where, code, file=name)
            case Fault.NOT_UTF8 if self._is_document:
                return problem(where, "document.not_utf8", path=name, line=a)
            case Fault.NOT_UTF8:
                return problem(where, "table.not_utf8", file=name, line=a)
            case Fault.BROKEN_DOCUMENT:
                return problem(where, "document.broken", path=name, why=text)
            case Fault.LOCKED_DOCUMENT:
                return problem(where, "document.locked", path=name)
            case Fault.LONG_DOCUMENT:
                return problem(where, "document.too_long", path=name, what=text, found=a, most=b)
            case Fault.ACTIVE_DOCUMENT:
                return problem(where, "document.active", path=name, part=text)
            case Fault.NO_TEXT:
                return problem(where, "document.no_text", path=name)
            case Fault.RAGGED:
                return problem(where, "table.ragged", file=name, row=a, expected=b, found=c, count=d)
            case Fault.BROKEN_CSV:
                return problem(where, "table.broken_csv", file=name, why=text)
            case Fault.BROKEN_PARQUET:
                return problem(where, "table.broken_parquet", file=name, why=text)
            case Fault.DOUBLED_NAMES:
                return problem(where, "table.doubled_columns", file=name, columns=text)
            case Fault.TOO_MANY_COLUMNS:
                return problem(where, "table.many_columns", file=name, columns=a, most=b)
            case Fault.TOO_MANY_ROWS:
                return problem(where, "table.many_rows", file=name, rows=a, most=b)
            case Fault.NAME_TOO_LONG:
                return problem(where, "table.long_name", file=name, column=text, most=b)
            case Fault.NO_SUCH_FORMAT:
                return problem(where, "model.unknown_format", file=name, known=", ".join(known_formats()))
            case Fault.SCAN_FAILED:
                return problem(where, "model.not_scanned", file=name, why=text)
            case Fault.OUT_OF_MEMORY:
                return problem(where, "reading.out_of_memory", file=name)
            case _:
                return problem(where, "reading.crashed", file=name)

    def open_table(self, *, format_: str, delimiter: str | None, missing: tuple[str, ...]) -> Head:
        """Read the table on the other side, and take what it is.

        Args:
            format_: `csv` or `parquet`.
            delimiter: one character, or None to have it found.
            missing: texts that mean that a value is missing.

        Raises:
            Refused: the file is no such table, or reading it did not end well.
        """
        body = {
            "name": self._name,
            "format": format_,
            "delimiter": delimiter or "",
            "missing": list(missing),
            "most_rows": MOST_ROWS,
        }
        kind, count, rows, length, content = self._ask(Kind.OPEN, body)
        start = count * 9 + 8
        if kind != Kind.HEAD or not 1 <= rows <= MOST_ROWS or not 1 <= count <= 5000 or length < start:
            raise self._broken()
        kinds = content[:count]
        names = self._texts(content[count:start], content[start:], count)
        if any(k > 1 for k in kinds) or len({n for n in names if n}) != sum(1 for n in names if n):
            raise self._broken()
        self._rows = rows
        return Head(names=tuple(names), unreadable=frozenset(i for i, k in enumerate(kinds) if k), rows=rows)

    def _texts(self, offsets: bytearray, text: bytearray, count: int) -> list[str]:
        places = np.frombuffer(offsets, dtype="<u8")
        if places[0] != 0 or places[-1] != len(text) or bool((places[1:] < places[:-1]).any()):
            raise self._broken()
        try:
            return [bytes(text[int(places[i]) : int(places[i + 1])]).decode("utf-8") for i in range(count)]
        except UnicodeDecodeError:
            raise self._broken() from None

    def column(self, index: int, wanted: As, *, most_values: int = MOST_VALUES) -> Column | ColumnRefused:
        """Take one column.

        Args:
            index: which, from 0.
            wanted: how.
            most_values: most different values of a column of codes.

        Raises:
            Refused: what came back is not a column of this table, or reading it did not end well.
        """
        body = {"index": index, "as": int(wanted), "most_values": most_values}
        kind, count, rows, length, content = self._ask(Kind.COLUMN, body)
        if kind != Kind.COLUMN or count != 1 or rows != self._rows or length < frames.SECTION.size:
            raise self._broken()
        code, has_valid, reason, entries, text_length, number, row = frames.SECTION.unpack_from(content)
        if code not in Type.__members__.values() or has_valid > 1 or reason not in Reason.__members__.values():
            raise self._broken()
        type_ = Type(code)
        if entries > most_values or text_length > _LARGEST_TEXT:
            raise Refused(problem(self._field, "reading.too_large", file=self._name, most=_LARGEST_TEXT))
        values_length = frames.WIDTH[type_] * (rows + (type_ is Type.TEXT)) if type_ is not Type.REFUSED else 0
        dictionary = 8 * (entries + 1) if type_ is Type.CODES else 0
        stated = frames.SECTION.size + values_length + dictionary + text_length + rows * has_valid
        if stated != length or (entries and not dictionary):
            raise self._broken()
        at = frames.SECTION.size
        values = content[at : at + values_length]
        offsets = content[at + values_length : at + values_length + dictionary]
        text = content[at + values_length + dictionary : at + values_length + dictionary + text_length]
        if type_ is Type.REFUSED:
            example = bytes(text[:400]).decode("utf-8", "replace")
            return ColumnRefused(reason=Reason(reason), example=example, count=max(0, number), row=max(0, row))
        absent = self._absent(content[length - rows :]) if has_valid else None
        if type_ not in _ALLOWED[wanted] or (text_length and type_ not in (Type.CODES, Type.TEXT)):
            raise self._broken()
        return Column(type=type_, values=self._array(type_, values, offsets, text, entries, absent))

    def _absent(self, valid: bytearray) -> NDArray[np.bool_]:
        flags = np.frombuffer(valid, dtype=np.uint8)
        if bool((flags > 1).any()):
            raise self._broken()
        return np.asarray(flags == 0)

    def _array(
        self,
        type_: Type,
        values: bytearray,
        offsets: bytearray,
        text: bytearray,
        entries: int,
        absent: NDArray[np.bool_] | None,
    ) -> pa.Array:
        match type_:
            case Type.NUMBER:
                numbers = np.frombuffer(values, dtype="<f8")
                if not np.isfinite(numbers).all():
                    raise self._broken()
                return pa.array(numbers, mask=absent)
            case Type.WHOLE:
                return pa.array(np.frombuffer(values, dtype="<i8"), mask=absent)
            case Type.BOOLEAN:
                flags = np.frombuffer(values, dtype=np.uint8)
                if bool((flags > 1).any()):
                    raise self._broken()
                return pa.array(flags == 1, mask=absent)
            case Type.CODES:
                codes = np.frombuffer(values, dtype="<i4")
                names = self._texts(offsets, text, entries)
                if bool((codes < frames.MISSING_CODE).any()) or bool((codes >= entries).any()):
                    raise self._broken()
                if any(a >= b for a, b in pairwise(names)):
                    raise self._broken()
                missing = codes == frames.MISSING_CODE
                indices = pa.array(np.where(missing, 0, codes).astype(np.int32), mask=missing)
                return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))
            case _:
                places = np.frombuffer(values, dtype="<u8")
                if places[0] != 0 or places[-1] != len(text) or bool((places[1:] < places[:-1]).any()):
                    raise self._broken()
                bits = None
                if absent is not None:
                    bits = pa.py_buffer(np.packbits(~absent, bitorder="little").tobytes())
                narrow = pa.py_buffer(places.astype(np.int32).tobytes())
                made = pa.Array.from_buffers(pa.string(), len(places) - 1, [bits, narrow, pa.py_buffer(bytes(text))])
                try:
                    made.validate(full=True)
                except pa.ArrowInvalid:
                    raise self._broken() from None
                return made

    def scan(self, *, allow_code: bool) -> tuple[str, dict[str, Any]]:
        """Have the model file scanned, without executing any of it.

        Args:
            allow_code: whether the submitter consented to code that runs on loading.

        Returns:
            The format, one of `known_formats()`, and the report of the scan.

        Raises:
            Refused: no format knows the file, or scanning it did not end well.
        """
        body = {"name": self._name, "allow_code": allow_code, "largest": LARGEST_SCAN}
        self._budget = min(self._budget, LARGEST_SCAN)
        kind, *_, content = self._ask(Kind.SCAN, body)
        if kind != Kind.SCAN:
            raise self._broken()
        found = read_scan(bytes(content))
        if found is None or found["format"] not in known_formats():
            raise self._broken()
        return found["format"], found["report"]

    def text(self, *, kind: str, most_pages: int, largest: int) -> str:
        """Have the text of a document taken out; nothing of the document is executed or fetched.

        Args:
            kind: `pdf`, `docx` or `html`.
            most_pages: most pages of a PDF.
            largest: most bytes of text.

        Returns:
            The text, headings marked with `#`, without control characters but line feeds and tabs.

        Raises:
            Refused: the file is no such document, is locked, holds macros, is too long or holds no text, or reading it
                did not end well.
        """
        self._is_document = True
        self._budget = min(self._budget, largest)
        body = {"name": self._name, "kind": kind, "most_pages": most_pages, "largest": largest}
        told, count, pages, _, content = self._ask(Kind.TEXT, body)
        if told != Kind.TEXT or count != 1 or pages > most_pages:
            raise self._broken()
        try:
            text = bytes(content).decode("utf-8")
        except UnicodeDecodeError:
            raise self._broken() from None
        return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


_ALLOWED = {
    As.AUTOMATIC: (Type.NUMBER, Type.WHOLE, Type.BOOLEAN, Type.CODES, Type.TEXT),
    As.NUMBER: (Type.NUMBER, Type.WHOLE),
    As.BOOLEAN: (Type.BOOLEAN,),
    As.CATEGORY: (Type.CODES,),
    As.TEXT: (Type.CODES, Type.TEXT),
}


def known_formats() -> tuple[str, ...]:
    """List the model formats, by the files that know them."""
    return tuple(sorted(p.stem for p in (CELL_FOLDER / "formats").glob("*.py") if not p.stem.startswith("_")))


def read_scan(content: bytes) -> dict[str, Any] | None:
    """Read the report of a scan strictly.

    Args:
        content: JSON as it came.

    Returns:
        `format` and `report`; None where it is not what a scan writes: too deep, doubled keys, other types.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a doubled key")
        return made

    def never(_: str) -> float:
        raise ValueError("not a finite number")

    depth = deepest = 0
    for byte in content:
        # Brackets inside texts count too: then a report is refused that could have been read, never the other way.
        depth += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, depth)
    if deepest > 8 * DEEPEST_SCAN:
        return None
    try:
        found = json.loads(content.decode("ascii"), object_pairs_hook=once, parse_constant=never)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or set(found) != {"format", "report"}:
        return None
    if not isinstance(found["format"], str) or not isinstance(found["report"], dict):
        return None
    return found


class _LimitedProcess:
    """A process of our own without a wall: limits of resources, an empty environment, and one socket.

    Args:
        folder: where the upload is.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection = ours
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code; the upload is no argument
                [
                    *(sys.executable, "-I", "-B", "-c", _START),
                    *(str(CELL_FOLDER), str(theirs.fileno()), str(folder)),
                    *(str(limits.memory_bytes), str(limits.cpu_seconds)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                env={},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd="/",
            )
        except OSError:
            ours.close()
            self._stderr.close()
            raise
        finally:
            theirs.close()
        hand_on(self._process.pid)

    def ending(self) -> Ending:
        """End the process, and say how it ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
            return Ending.FINISHED
        if self._process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return Ending.CPU_LIMIT
        return Ending.FINISHED if self._process.returncode == 0 else Ending.CRASHED

    def diagnostic(self) -> str:
        """Give the last of what the process wrote to standard error, escaped: for people, never parsed."""
        self._stderr.seek(0)
        return ascii(self._stderr.read(65536)[-2000:].decode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """End the process and everything of its session."""
        self.connection.close()
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._stderr.close()


_START = """
import importlib.util, os, pathlib, resource, socket, sys
folder, descriptor, upload, memory, cpu = sys.argv[1:]
os.environ.update(ARROW_DEFAULT_MEMORY_POOL="system", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
def limit(which, value):
    resource.setrlimit(which, (value, value))
limit(resource.RLIMIT_AS, int(memory))
limit(resource.RLIMIT_CPU, int(cpu))
limit(resource.RLIMIT_FSIZE, 65536)
limit(resource.RLIMIT_CORE, 0)
limit(resource.RLIMIT_NOFILE, 64)
spec = importlib.util.spec_from_file_location("cell", folder + "/__init__.py", submodule_search_locations=[folder])
cell = importlib.util.module_from_spec(spec)
sys.modules["cell"] = cell
spec.loader.exec_module(cell)
from cell import read
with socket.socket(fileno=int(descriptor)) as connection:
    read.answer_all(connection, upload=pathlib.Path(upload), model=pathlib.Path(upload), own_process=True)
os._exit(0)
"""


@contextmanager
def reading(
    path: Path,
    *,
    field: str,
    isolation: Isolation | None,
    budget_bytes: int,
    is_model: bool = False,
    limits: Limits | None = None,
) -> Iterator[Reading]:
    """Open one upload on the other side; whatever happens, nothing of the other side is left afterwards.

    Args:
        path: the file or folder, in the quarantine.
        field: where it is named in the submission.
        isolation: the wall to read behind; None for a resource-limited process.
        budget_bytes: most bytes that are taken from it.
        is_model: whether it is the model, to be scanned, or a table.
        limits: what reading may use; `LIMITS` where none are given.

    Raises:
        CellUnavailable: the wall could not be built.
    """
    limits = limits or LIMITS
    if isolation is None:
        process = _LimitedProcess(path.parent, limits)
        try:
            yield Reading(
                process, field=field, name=path.name, budget_bytes=budget_bytes, seconds=limits.answer_seconds
            )
        finally:
            process.close()
        return
    files = CellFiles(entry="read", model=path) if is_model else CellFiles(entry="read", upload=path)
    try:
        cell = isolation.open(files, limits)
    except ModelFault as fault:
        raise CellUnavailable(f"An intake cell could not be started: {fault}") from fault
    try:
        yield Reading(cell, field=field, name=path.name, budget_bytes=budget_bytes, seconds=limits.answer_seconds)
    finally:
        cell.close()
