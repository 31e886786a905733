"""Uploads that try to break their reader, and readers that were taken over: never anything but a refusal."""

from __future__ import annotations

import shutil
import socket
import struct
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sandbox.cell import frames
from sandbox.cell.frames import ANSWER, MAGIC, SECTION, VERSION, As, Kind, Type
from sandbox.errors import Refused
from sandbox.intake import accept
from sandbox.intake import reading as reading_module
from sandbox.intake.reading import Column, ColumnRefused, Reading, read_scan, reading
from sandbox.isolation.interface import Ending, Limits
from sandbox.settings import Settings
from tests.conftest import skip_or_fail
from tests.make import submissions

BUDGET = 1024**2


class Other:
    """A reader that was taken over: it writes what it was told to, whatever is asked."""

    def __init__(self, answers: bytes, *, stay: bool = False) -> None:
        self.connection, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._answers, self._stay = answers, stay
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._theirs.sendall(self._answers)
            if not self._stay:
                self._theirs.shutdown(socket.SHUT_WR)
            while self._theirs.recv(65536):
                pass
        except OSError:
            pass

    def ending(self) -> Ending:
        return Ending.CRASHED

    def close(self) -> None:
        self.connection.close()
        self._theirs.close()
        self._thread.join(2)


@contextmanager
def told(*answers: bytes, stay: bool = False, seconds: float = 5.0) -> Iterator[Reading]:
    """Read from a reader that gives these answers."""
    other = Other(b"".join(answers), stay=stay)
    try:
        yield Reading(other, field="data.file", name="t.csv", budget_bytes=BUDGET, seconds=seconds)
    finally:
        other.close()


def head(names: tuple[str, ...] = ("a",), rows: int = 3) -> bytes:
    """Write a right head."""
    written = [n.encode() for n in names]
    offsets = [sum(len(w) for w in written[:i]) for i in range(len(written) + 1)]
    body = bytes(len(names)) + struct.pack(f"<{len(offsets)}Q", *offsets) + b"".join(written)
    return frames.answer(Kind.HEAD, count=len(names), rows=rows, length=len(body)) + body


def column(type_: int, parts: bytes, *, valid: int = 0, entries: int = 0, text: int = 0, rows: int = 3) -> bytes:
    """Write a column, right or wrong."""
    body = SECTION.pack(type_, valid, 0, entries, text, 0, 0) + parts
    return frames.answer(Kind.COLUMN, count=1, rows=rows, length=len(body)) + body


def open_(opened: Reading) -> None:
    opened.open_table(format_="csv", delimiter=None, missing=("",))


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as raised:
        act()
    (only,) = raised.value.problems
    assert only.field == "data.file"
    return only.code


NUMBERS = struct.pack("<3d", 1.0, 2.0, 3.0)


def test_a_right_answer_is_taken() -> None:
    with told(head(), column(Type.NUMBER, NUMBERS)) as opened:
        open_(opened)
        got = opened.column(0, As.AUTOMATIC)
        assert isinstance(got, Column)
        assert got.values.to_pylist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100,
        ANSWER.pack(b"XXXX", VERSION, Kind.HEAD, 0, 1, 3, 0),
        ANSWER.pack(MAGIC, 9, Kind.HEAD, 0, 1, 3, 0),
        ANSWER.pack(MAGIC, VERSION, Kind.COLUMN, 0, 1, 3, 0),
        ANSWER.pack(MAGIC, VERSION, 77, 0, 1, 3, 0),
        ANSWER.pack(MAGIC, VERSION, Kind.FAULT, 1, 0, 0, 10**9),
        ANSWER.pack(MAGIC, VERSION, Kind.FAULT, 1, 0, 0, 3) + b"abc",
        frames.answer(Kind.FAULT, status=250, length=32) + bytes(32),
        head(rows=0),
        head(rows=2**63),
        head(("a", "a")),
        head()[:-1],
        frames.answer(Kind.HEAD, count=2**32 - 1, rows=3, length=9) + bytes(9),
        frames.answer(Kind.HEAD, count=1, rows=3, length=17) + bytes(1) + struct.pack("<2Q", 0, 2**63),
        frames.answer(Kind.HEAD, count=1, rows=3, length=18) + bytes(1) + struct.pack("<2Q", 1, 0) + b"a",
        frames.answer(Kind.HEAD, count=1, rows=3, length=18) + bytes(1) + struct.pack("<2Q", 0, 1) + b"\xff",
        frames.answer(Kind.HEAD, count=1, rows=3, length=18) + b"\x09" + struct.pack("<2Q", 0, 1) + b"a",
    ],
)
def test_a_false_head_is_a_refusal(answer: bytes) -> None:
    with told(answer) as opened:
        assert code_of(lambda: open_(opened)) == "reading.crashed"


def test_a_length_beyond_the_budget_is_refused_before_it_is_received() -> None:
    with told(frames.answer(Kind.HEAD, count=1, rows=3, length=4 * 1024**3), stay=True) as opened:
        began = time.monotonic()
        assert code_of(lambda: open_(opened)) == "reading.too_large"
        assert time.monotonic() - began < 2
    many = [column(Type.TEXT, struct.pack("<4Q", 0, 0, 0, 2**19) + b"x" * 2**19, text=2**19) for _ in range(3)]
    with told(head(), *many, stay=True) as opened:
        open_(opened)
        opened.column(0, As.TEXT)
        assert code_of(lambda: [opened.column(0, As.TEXT), opened.column(0, As.TEXT)]) == "reading.too_large"


CODES = struct.pack("<3i", 0, 1, -1)
TWO = struct.pack("<3Q", 0, 1, 2) + b"ab"


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        (As.AUTOMATIC, column(Type.NUMBER, NUMBERS, rows=2)),
        (As.AUTOMATIC, column(Type.NUMBER, NUMBERS[:-8])),
        (As.AUTOMATIC, column(Type.NUMBER, struct.pack("<3d", 1.0, float("nan"), 2.0))),
        (As.AUTOMATIC, column(Type.NUMBER, struct.pack("<3d", 1.0, float("inf"), 2.0))),
        (As.AUTOMATIC, column(Type.NUMBER, NUMBERS + bytes([1, 2, 1]), valid=1)),
        (As.AUTOMATIC, column(Type.NUMBER, NUMBERS + bytes(3), valid=7)),
        (As.AUTOMATIC, column(9, NUMBERS)),
        (As.AUTOMATIC, column(Type.BOOLEAN, bytes([0, 1, 2]))),
        (As.NUMBER, column(Type.BOOLEAN, bytes([0, 1, 1]))),
        (As.NUMBER, column(Type.CODES, CODES + TWO, entries=2, text=2)),
        (As.CATEGORY, column(Type.TEXT, struct.pack("<4Q", 0, 0, 0, 0))),
        (As.TEXT, column(Type.NUMBER, NUMBERS)),
        (As.TEXT, column(Type.CODES, struct.pack("<3i", 0, 2, -1) + TWO, entries=2, text=2)),
        (As.TEXT, column(Type.CODES, struct.pack("<3i", 0, -2, -1) + TWO, entries=2, text=2)),
        (As.TEXT, column(Type.CODES, CODES + struct.pack("<3Q", 0, 1, 2) + b"ba", entries=2, text=2)),
        (As.TEXT, column(Type.CODES, CODES + struct.pack("<3Q", 0, 1, 2) + b"aa", entries=2, text=2)),
        (As.TEXT, column(Type.CODES, CODES + struct.pack("<3Q", 0, 3, 2) + b"ab", entries=2, text=2)),
        (As.TEXT, column(Type.CODES, CODES + struct.pack("<3Q", 0, 1, 2) + b"a\xff", entries=2, text=2)),
        (As.TEXT, column(Type.TEXT, struct.pack("<4Q", 0, 2, 1, 2) + b"ab", text=2)),
        (As.TEXT, column(Type.TEXT, struct.pack("<4Q", 1, 1, 1, 2) + b"ab", text=2)),
        (As.TEXT, column(Type.TEXT, struct.pack("<4Q", 0, 1, 2, 2**40) + b"ab", text=2)),
        (As.TEXT, column(Type.TEXT, struct.pack("<4Q", 0, 1, 2, 2) + b"a\xff", text=2)),
        (As.TEXT, column(Type.TEXT, struct.pack("<4Q", 0, 1, 2, 2) + "é".encode(), text=2)),
    ],
)
def test_a_false_column_is_a_refusal(wanted: As, answer: bytes) -> None:
    with told(head(), answer) as opened:
        open_(opened)
        assert code_of(lambda: opened.column(0, wanted)) == "reading.crashed"


def test_a_reader_that_says_nothing_is_left_after_its_time() -> None:
    with told(stay=True, seconds=0.3) as opened:
        assert code_of(lambda: open_(opened)) == "reading.timed_out"


def test_words_of_a_taken_over_reader_are_bounded_and_plain() -> None:
    body = SECTION.pack(Type.REFUSED, 0, 1, 0, 20, -5, -7) + b"\x1b[31m\xff{key}\n\xe2\x80\xaeabcde"[:20]
    answer = frames.answer(Kind.COLUMN, count=1, rows=3, length=len(body)) + body
    with told(head(), answer) as opened:
        open_(opened)
        got = opened.column(0, As.NUMBER)
        assert isinstance(got, ColumnRefused)
        assert (got.count, got.row) == (0, 0)
    text = ("\x1b[2J" + "x" * 5000).encode()[:2000]
    fault = frames.answer(Kind.FAULT, status=frames.Fault.BROKEN_CSV, length=32 + len(text)) + bytes(32) + text
    with told(fault) as opened, pytest.raises(Refused) as raised:
        open_(opened)
    message = raised.value.problems[0].message
    assert "\x1b" not in message
    assert len(message) < 500


@given(st.binary(max_size=200), st.sampled_from(list(As)))
@examples(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_bytes_of_a_reader_are_columns_or_a_refusal(noise: bytes, wanted: As) -> None:
    for answers in ((noise,), (head(), noise), (head(), column(Type.CODES, noise, entries=2, text=2))):
        with told(*answers) as opened:
            try:
                open_(opened)
                opened.column(0, wanted)
            except Refused:
                continue


@given(
    st.sampled_from([int(t) for t in Type] + [6, 255]),
    st.integers(0, 2),
    st.integers(0, 4),
    st.integers(0, 40),
    st.binary(max_size=80),
    st.sampled_from(list(As)),
)
@examples(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_section_of_a_reader_is_a_column_or_a_refusal(
    type_: int, valid: int, entries: int, text: int, parts: bytes, wanted: As
) -> None:
    with told(head(), column(type_, parts, valid=valid, entries=entries, text=text)) as opened:
        try:
            open_(opened)
            got = opened.column(0, wanted)
        except Refused:
            return
        if isinstance(got, Column):
            got.values.validate(full=True)
            assert len(got.values) == 3


@given(st.binary(max_size=200) | st.text('{}[]":,0123456789.eE-nulltrfasINy\\u', max_size=120).map(str.encode))
def test_any_bytes_of_a_scan_are_a_report_or_nothing(content: bytes) -> None:
    found = read_scan(content)
    assert found is None or set(found) == {"format", "report"}


def test_a_scan_cannot_be_deep_doubled_or_not_a_number() -> None:
    assert read_scan(b'{"format": "x", "report": {"a": [1, 2.5, null, true, "b"]}}') is not None
    assert read_scan(b'{"format": "x", "report": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001) is None
    assert read_scan(b'{"format": "x", "report": {"a": 1, "a": 2}}') is None
    assert read_scan(b'{"format": "x", "report": {"a": NaN}}') is None
    assert read_scan(b'{"format": "x"}') is None


# ---- readers of our own that are made to fail


READERS = {
    "crashes": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "reading.crashed"),
    "leaves": ("connection.close()", "reading.crashed"),
    "says nothing": ("import time; time.sleep(60)", "reading.timed_out"),
    "burns": ("while True: pass", "reading.timed_out"),
    "fills memory": ("x = [bytearray(64 * 2**20) for _ in range(4000)]", "reading.out_of_memory"),
    "writes noise": ("connection.sendall(b'noise' * 100000)", "reading.crashed"),
}
SMALL = Limits(
    memory_bytes=512 * 1024**2, processes=32, cpu_seconds=2, wall_seconds=8, answer_seconds=4.0, start_seconds=30.0
)


@pytest.mark.parametrize("kind", READERS)
def test_a_limited_process_that_fails_is_a_refusal_and_leaves_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    act, code = READERS[kind]
    line = "    read.answer_all(connection"
    assert line in reading_module._START
    body = f"    {act}\n" if kind != "fills memory" else _fills_memory_as_our_reader_tells()
    monkeypatch.setattr(reading_module, "_START", reading_module._START.replace(line, body + line))
    (tmp_path / "t.csv").write_text("a\n1\n")
    began = time.monotonic()
    with (
        pytest.raises(Refused) as raised,
        reading(tmp_path / "t.csv", field="data.file", isolation=None, budget_bytes=BUDGET, limits=SMALL) as opened,
    ):
        open_(opened)
    assert raised.value.problems[0].code == code
    assert time.monotonic() - began < 20


def _fills_memory_as_our_reader_tells() -> str:
    return (
        "    from cell import tables\n"
        "    def fill(*_): return [bytearray(64 * 2**20) for _ in range(4000)]\n"
        "    tables.open_table = fill\n"
    )


@pytest.mark.bubblewrap
@pytest.mark.parametrize("kind", READERS)
def test_a_cell_that_fails_is_a_refusal_and_leaves_nothing(kind: str, settings: Settings, tmp_path: Path) -> None:
    from sandbox.isolation import place
    from sandbox.isolation.bubblewrap import Bubblewrap

    code_folder = tmp_path / "code"
    shutil.copytree(place.CELL_CODE, code_folder, ignore=shutil.ignore_patterns("__pycache__"))
    act, code = READERS[kind]
    body = textwrap.indent(act, "    ")
    (code_folder / "read.py").write_text(f"def main(connection):\n{body}\n")
    wall = Bubblewrap(settings, code=code_folder)
    reason = wall.available()
    if reason is not None:
        skip_or_fail(reason)
    (tmp_path / "t.csv").write_text("a\n1\n")
    with (
        pytest.raises(Refused) as raised,
        reading(tmp_path / "t.csv", field="data.file", isolation=wall, budget_bytes=BUDGET, limits=SMALL) as opened,
    ):
        open_(opened)
    assert raised.value.problems[0].code == code
    cells = place.open_folder(settings, "cells")
    assert place.leases(settings) == []
    assert cells.is_dir()


# ---- uploads that are made to be large


def test_a_parquet_file_that_unpacks_to_more_than_the_memory_allowed_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 5_000_000
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["x" * 400]))
    table = pa.table({"note": text, "c0": np.zeros(rows), "sex": pa.array(["f"] * rows)})
    folder = submissions.predictions(
        tmp_path / "s", data={"columns": {"sex": "group"}}, predictions={"file": "t.parquet", "decision": "c0"}
    )
    pq.write_table(table, folder / "t.parquet", store_schema=False)
    assert (folder / "t.parquet").stat().st_size < 1024**2
    monkeypatch.setattr(
        reading_module, "LIMITS", Limits(memory_bytes=768 * 1024**2, cpu_seconds=60, answer_seconds=60.0)
    )
    quarantine = tmp_path / "q"
    with pytest.raises(Refused) as raised:
        accept(folder, settings, isolation=None, quarantine=quarantine)
    assert {p.code for p in raised.value.problems} == {"reading.out_of_memory"}
    assert list(quarantine.iterdir()) == []


def test_quotes_that_never_close_do_not_hold_the_reader_up(tmp_path: Path, settings: Settings) -> None:
    table = 'income,sex,outcome,decision\n"1,f,no,no\n' + "2,m,no,yes\n" * 200_000
    folder = submissions.predictions(
        tmp_path / "s", table=table, predictions={"file": "table.csv", "decision": "decision"}
    )
    began = time.monotonic()
    with pytest.raises(Refused) as raised:
        accept(folder, settings, isolation=None, quarantine=tmp_path / "q")
    assert {p.code for p in raised.value.problems} & {"table.broken_csv", "table.ragged", "table.no_rows"}
    assert time.monotonic() - began < 30


@given(st.binary(max_size=300) | st.text('ab,;"\n\r\t 01.-eé\0', max_size=200).map(str.encode))
@examples(max_examples=150, deadline=None)
def test_any_bytes_are_a_table_or_unreadable(content: bytes) -> None:
    from sandbox.cell import tables

    stated = {"format": "csv", "delimiter": "", "missing": ["", "NA"], "most_rows": 1000}
    with _as_file(content) as path:
        try:
            table = tables.open_table(path, stated)
        except frames.Unreadable:
            return
        answers = tables.head(table)
        for i in range(len(table.names)):
            for wanted in As:
                answers += b"".join(bytes(p) for p in tables.column(table, i, wanted, 3))
    with told(answers) as opened:
        read = opened.open_table(format_="csv", delimiter=None, missing=("",))
        assert read.rows == table.rows
        for i in range(len(read.names)):
            for wanted in As:
                assert isinstance(opened.column(i, wanted, most_values=3), Column | ColumnRefused)


@given(st.binary(max_size=200), st.booleans())
@examples(max_examples=60, deadline=None)
def test_any_bytes_after_the_mark_of_parquet_are_unreadable(content: bytes, whole: bool) -> None:
    from sandbox.cell import tables

    stated = {"format": "parquet", "delimiter": "", "missing": [], "most_rows": 1000}
    with _as_file(b"PAR1" + content + (b"PAR1" if whole else b"")) as path, pytest.raises(frames.Unreadable):
        tables.open_table(path, stated)


@contextmanager
def _as_file(content: bytes) -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t"
        path.write_bytes(content)
        yield path
