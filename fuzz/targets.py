"""What is fuzzed: one function per parser of uploads; each takes any bytes, and raises only where something is wrong.

A target passes over the refusals that its parser promises. Whatever else comes out of it is a find.
"""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from sandbox.cell import formats, frames, tables, wire
from sandbox.environments import gate
from sandbox.environments.requirements import read_requirements, read_resolution, written
from sandbox.errors import ModelFault, Refused
from sandbox.intake.archive import read_directory, unpack
from sandbox.intake.declaring import declare
from sandbox.intake.problems import Gathered
from sandbox.intake.reading import Reading
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.interface import Ending, Limits, Meters

FOLDER = Path(tempfile.mkdtemp(prefix="aiact-fuzz-"))
LARGEST = 1024**2


def manifest(content: bytes) -> None:
    """Take any bytes for a submission's manifest."""
    (FOLDER / "submission.yaml").write_bytes(content)
    with contextlib.suppress(Refused):
        declare(FOLDER, {"submission.yaml": "0" * 64, "model.skops": "0" * 64, "data.csv": "0" * 64})


def archive(content: bytes) -> None:
    """Take any bytes for an archive: what is unpacked stays inside, and within the limit."""
    file = io.BytesIO(content)
    total = 0

    def write(piece: bytes) -> None:
        nonlocal total
        total += len(piece)

    with contextlib.suppress(Refused):
        for entry in read_directory(file, LARGEST):
            assert ".." not in entry.path.split("/")
            assert not entry.path.startswith("/")
            unpack(file, entry, write)
    assert total <= LARGEST


class _Told:
    """A cell that was taken over: it has said these bytes already, and says nothing more."""

    def __init__(self, said: bytes) -> None:
        self.connection, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._say, args=(said,), daemon=True)
        self._thread.start()

    def _say(self, said: bytes) -> None:
        with contextlib.suppress(OSError):
            self._theirs.sendall(said)
            self._theirs.shutdown(socket.SHUT_WR)
            while self._theirs.recv(65536):
                pass

    def ending(self) -> Ending:
        """Say that it crashed."""
        return Ending.CRASHED

    def meters(self) -> Meters:
        """Measure nothing."""
        return Meters(seconds=0.0, cpu_seconds=None, peak_bytes=None)

    def cancel(self) -> None:
        """Do nothing: it is no process."""

    def close(self) -> None:
        """Close both ends."""
        self.connection.close()
        self._theirs.close()
        self._thread.join(5)


@contextlib.contextmanager
def _told(said: bytes) -> Iterator[_Told]:
    cell = _Told(said)
    try:
        yield cell
    finally:
        cell.close()


def table(content: bytes) -> None:
    """Take any bytes for a table, read it as a cell does, and take what the cell says as the host does."""
    path = FOLDER / "t.csv"
    path.write_bytes(content)
    stated = {"format": "csv", "delimiter": "", "missing": ["", "NA"], "most_rows": 1000}
    said = b""
    read = None
    with contextlib.suppress(frames.Unreadable):
        read = tables.open_table(path, stated)
        said = tables.head(read)
        for i in range(len(read.names)):
            said += b"".join(bytes(part) for part in tables.column(read, i, frames.As.AUTOMATIC, 3))
    with _told(said if read is not None else content) as cell:
        opened = Reading(cell, field="data.file", name="t.csv", budget_bytes=LARGEST, seconds=5.0)
        with contextlib.suppress(Refused):
            head = opened.open_table(format_="csv", delimiter=None, missing=("", "NA"))
            for i in range(len(head.names)):
                opened.column(i, frames.As.AUTOMATIC, most_values=3)


SETUP = wire.Setup(
    format="pickle",
    path="/c/model/m",
    allow_code=True,
    columns=(wire.Column(name="x", type="number"), wire.Column(name="t", type="text")),
    task="regression",
    output="value",
    classes=(),
    score_of="",
    k=1,
)
ROWS = pa.table({"x": [1.0, 2.0, 3.0], "t": ["a", None, "c"]})
READY = wire.answer_head(wire.Kind.READY, 0, wire.Status.OK)
LIMITS = Limits(start_seconds=5.0, answer_seconds=5.0)


def wire_of_a_cell(content: bytes) -> None:
    """Take any bytes for what a model's cell says: an answer of the shape that was asked, or a fault."""
    with _told(READY + content) as cell:
        asked = Conversation(cell, SETUP, LIMITS)
        with contextlib.suppress(ModelFault):
            asked.load()
            answer = asked.predict(ROWS)
            assert answer.shape == (3, 1)


def wire_in_a_cell(content: bytes) -> None:
    """Take any bytes for what the host says: a batch that keeps to its lengths, or off the wire."""
    from sandbox.cell.columns import Columns, Unanswerable

    with contextlib.suppress(wire.OffTheWire, Unanswerable, ValueError, struct.error, UnicodeDecodeError, IndexError):
        Columns(SETUP, wire.read_batch(1, memoryview(bytearray(content)))).frame()


def scan(content: bytes) -> None:
    """Take any bytes for a model: every format's look at it ends in a report."""
    path = FOLDER / "m.pkl"
    path.write_bytes(content)
    seen = formats.scan(path, allow_code=True)
    assert seen["verdict"] in ("scanned", "scan_incomplete", "unknown_format")


def requirements(content: bytes) -> None:
    """Take any bytes for requirements: what is taken leads nowhere, and reads back the same."""
    asked = read_requirements(content, field="f", path="p", gathered=Gathered())
    for one in asked:
        assert not any(bad in one.line() for bad in ("://", "@", "--", "\n", "\\", "/", "$", "#"))
    found = read_resolution(content.decode("utf-8", "replace"), asked)
    if found and all(hashes for _, hashes in found.values()):
        assert read_resolution(written(found), asked) == found


def request(content: bytes) -> None:
    """Take any bytes for a request at the gate: a host and a port, or none."""
    found = gate.wanted(content)
    assert found is None or ("/" not in found[0] and "@" not in found[0])


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (manifest, archive, table, wire_of_a_cell, wire_in_a_cell, scan, requirements, request)
}


def seeds(name: str) -> list[bytes]:
    """Give right inputs of a target to start from."""
    import pickle
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("submission.yaml", "format: 1\n")
        packed.writestr("folder/data.csv", "a,b\n1,2\n" * 9)
    right = {
        "manifest": [
            b"format: 1\nsystem:\n  name: A\n  version: '1'\n  provider: {name: B}\n  intended_purpose: C\n"
            b"model: {file: model.skops, output: probability, score_of: 'yes'}\n"
            b"data:\n  file: data.csv\n  task: binary\n  classes: [no, 'yes']\n  columns: {y: label, g: group}\n"
        ],
        "archive": [out.getvalue()],
        "table": [b"a,b\n1,x\n2.5,\n", b'"a";"b"\r\n"1,5";"q""q"\r\n', "é\tü\n1\t2\n".encode("utf-16")],
        "wire_of_a_cell": [wire.answer_head(wire.Kind.ANSWER, 1, wire.Status.OK, 3, 1) + struct.pack("<3d", 1, 2, 3)],
        "wire_in_a_cell": [_batch()],
        "scan": [pickle.dumps({"a": [1, 2.0]}, p) for p in range(6)] + [out.getvalue(), b"tree\nversion=v4\n", b"CBM1"],
        "requirements": [b"a==1 \\\n --hash=sha256:" + b"a" * 64 + b"\nb[c]==2 ; os_name == 'x'\n-r x\n"],
        "request": [b"CONNECT host.example:443 HTTP/1.1\r\n\r\n", b"GET http://host.example:80/a HTTP/1.1\r\n\r\n"],
    }
    return right[name]


def _batch() -> bytes:
    from sandbox.isolation.conversation import encode

    parts = wire.batch_parts(1, 3, encode(SETUP, ROWS))
    return b"".join(bytes(part) for part in parts)[wire.FRAME.size :]
