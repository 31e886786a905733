"""Archives: what is plain is unpacked, what can be understood in two ways is refused."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import Refused
from sandbox.intake.archive import read_directory, unpack
from tests.make.submissions import predictions, raw_zip, zipped

LARGEST = 64 * 1024**2


def opened(content: bytes, largest: int = LARGEST) -> dict[str, bytes]:
    """Read and unpack a whole archive in memory."""
    file = io.BytesIO(content)
    found = {}
    for entry in read_directory(file, largest):
        pieces: list[bytes] = []
        unpack(file, entry, pieces.append)
        found[entry.path] = b"".join(pieces)
    return found


def codes(content: bytes, largest: int = LARGEST) -> set[str]:
    with pytest.raises(Refused) as raised:
        opened(content, largest)
    assert all("[refusals." not in p.message for p in raised.value.problems)
    return {p.code for p in raised.value.problems}


def plain(**changes: Any) -> dict[str, Any]:
    return {"name": "a.txt", "content": b"hello", **changes}


def test_a_plain_archive_is_unpacked() -> None:
    assert opened(raw_zip([plain(), plain(name="b/ü.txt", content=b"x" * 999, method=8)])) == {
        "a.txt": b"hello",
        "b/ü.txt": b"x" * 999,
    }


def test_what_zip_programs_write_is_unpacked(tmp_path: Path) -> None:
    folder = predictions(tmp_path / "s", files={"docs/a b.md": "x", "empty.txt": ""})
    made = zipped(folder, tmp_path / "s.zip").read_bytes()
    assert set(opened(made)) == {"submission.yaml", "table.csv", "docs/a b.md", "empty.txt"}
    streamed = io.BytesIO()

    class Unseekable(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, piece: Any) -> int:
            return streamed.write(piece)

    with zipfile.ZipFile(Unseekable(), "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.writestr("a.txt", "hello" * 99)
        archive.writestr("b.txt", "world")
    assert opened(streamed.getvalue()) == {"a.txt": b"hello" * 99, "b.txt": b"world"}


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([plain(name="../a.txt")], "file.climbs"),
        ([plain(name="x/../../a.txt")], "file.climbs"),
        ([plain(name="/etc/passwd")], "file.absolute"),
        ([plain(name="C:/a.txt")], "file.absolute"),
        ([plain(name="..\\a.txt")], "file.strange_name"),
        ([plain(name="a//b.txt")], "file.strange_name"),
        ([plain(name="./a.txt")], "file.strange_name"),
        ([plain(name="a\x00.txt")], "file.strange_name"),
        ([plain(name="a\u202etxt.exe")], "file.strange_name"),
        ([plain(name="a\u200b.txt")], "file.strange_name"),
        ([plain(name="a. ")], "file.strange_name"),
        ([plain(name="")], "file.strange_name"),
        ([plain(name="x" * 300)], "file.long_name"),
        ([plain(name="/".join("x" * 30))], "file.long_name"),
        ([plain(name=b"k\x94ln.txt", flags=0)], "archive.name_not_utf8"),
        ([plain(name=b"k\xff.txt")], "archive.name_not_utf8"),
        ([plain(), plain()], "file.doubled"),
        ([plain(), plain(name="A.TXT")], "file.case_collision"),
        ([plain(name="\u00e9.txt"), plain(name="e\u0301.txt")], "file.case_collision"),
        ([plain(), plain(name="a.txt/b.txt")], "file.case_collision"),
        ([plain(name="x/a"), plain(name="X/b")], "file.case_collision"),
        ([plain(mode=0o120777)], "archive.link"),
        ([plain(mode=0o020666)], "archive.device"),
        ([plain(mode=0o010666)], "archive.device"),
        ([plain(mode=0o140666)], "archive.device"),
        ([plain(mode=0o040755)], "file.strange_name"),
        ([plain(name="a/", content=b"hidden")], "file.strange_name"),
        ([plain(flags=0x801)], "archive.encrypted"),
        ([plain(method=12)], "archive.method"),
        ([plain(local_name=b"b.txt")], "archive.two_headers"),
        ([plain(local_size=4)], "archive.two_headers"),
        ([plain(), plain(name="b.txt", at=0, local_name=b"b.txt")], "archive.two_headers"),
        ([plain(), plain(name="b.txt", gap=b"secret")], "archive.hidden"),
        ([plain(crc=1)], "archive.checksum"),
        ([plain(method=8, content=b"x" * 999, size=10)], "archive.larger_than_stated"),
        ([plain(method=8, size=10)], "archive.checksum"),
        ([plain(size=6)], "archive.broken"),
        ([plain(extra=struct.pack("<HHQ", 1, 8, 5))], "archive.zip64"),
        ([plain(size=0xFFFFFFFF, packed=0xFFFFFFFF)], "archive.zip64"),
    ],
)
def test_a_hostile_entry_is_refused(entries: list[dict[str, Any]], code: str) -> None:
    assert code in codes(raw_zip(entries))


def test_bytes_before_and_after_are_refused() -> None:
    assert codes(raw_zip([plain()], before=b"#!/bin/sh\n")) == {"archive.prefix"}
    assert codes(raw_zip([plain()], after=b"tail")) == {"archive.trailing"}
    commented = io.BytesIO()
    with zipfile.ZipFile(commented, "w") as archive:
        archive.writestr("a.txt", "x")
        archive.comment = b"a comment"
    assert codes(commented.getvalue()) == {"archive.trailing"}
    assert codes(raw_zip([])) == {"archive.empty"}
    assert codes(b"") == {"archive.not_zip"}
    assert codes(b"\x1f\x8b" + b"x" * 100) == {"archive.not_zip"}


def test_an_end_alone_after_a_few_bytes_is_refused() -> None:
    # Found by fuzzing: there is no room in it for the record that zip64 would have before the end.
    for middle in range(0, 30):
        end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0, 2, 7, 2, 0)
        assert codes(b"PK\x03\x04" + bytes(middle) + end) <= {"archive.broken", "archive.zip64", "archive.short"}


def test_one_archive_after_another_is_refused() -> None:
    assert codes(raw_zip([plain()]) + raw_zip([plain(name="b.txt")])) & {"archive.broken", "archive.hidden"}


def test_entries_that_share_bytes_are_refused() -> None:
    kernel = raw_zip([plain(name="a", content=b"x" * 50), plain(name="a", content=b"x" * 50, at=0)])
    assert {"archive.hidden", "file.doubled"} & codes(kernel)
    inner = raw_zip([plain(name="b", content=b"y" * 8)])[: 30 + 1 + 8]
    nested = raw_zip([plain(name="a", content=inner + b"z" * 4), plain(name="b", content=b"y" * 8, at=31)])
    # The second file lies inside the first, and its own bytes are in no file.
    assert "archive.overlap" in codes(nested)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = raw_zip([plain(content=b"\0" * (20 * 1024**2), method=8)])
    assert codes(bomb) == {"archive.bomb"}
    assert codes(bomb, largest=1024**2) == {"archive.too_large"}
    lying = raw_zip([plain(content=b"\0" * (2 * 1024**2), method=8, size=100)])
    assert codes(lying) == {"archive.larger_than_stated"}


def test_a_second_end_in_zip64_that_says_something_else_is_refused() -> None:
    whole = raw_zip([plain(), plain(name="b.txt")])
    start, end = whole[:-22], whole[-22:]
    (directory,) = struct.unpack_from("<I", end, 16)
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 50, directory)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(start), 1)
    assert codes(start + record + locator + end) == {"archive.zip64"}
    every = end[:8] + struct.pack("<HH", 0xFFFF, 0xFFFF) + end[12:]
    assert codes(start + record + locator + every) == {"archive.zip64"}


def test_too_many_entries_are_refused() -> None:
    many = raw_zip([plain(name=f"{i}", content=b"") for i in range(10_001)])
    assert codes(many) == {"archive.many"}


def test_several_problems_of_an_archive_are_told_at_once() -> None:
    found = codes(raw_zip([plain(name="../x"), plain(mode=0o120777, name="l"), plain(flags=0x801, name="e")]))
    assert found == {"file.climbs", "archive.link", "archive.encrypted"}


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(Refused):
        assert isinstance(opened(content), dict)


_BASE = raw_zip([plain(), plain(name="b.txt", content=b"x" * 200, method=8), plain(name="c/d", content=b"")])


@given(st.lists(st.tuples(st.integers(0, len(_BASE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_archive_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(_BASE)
    for at, value in changes:
        damaged[at] = value
    try:
        found = opened(bytes(damaged))
    except Refused:
        return
    # What is accepted nevertheless holds exactly what the checksums say, under names that stay inside.
    assert all(not path.startswith("/") and ".." not in path.split("/") for path in found)
    assert sum(len(content) for content in found.values()) <= LARGEST


@given(st.integers(0, len(_BASE)))
def test_an_archive_cut_short_is_refused(at: int) -> None:
    if at == len(_BASE):
        assert len(opened(_BASE)) == 3
    else:
        assert codes(_BASE[:at])
