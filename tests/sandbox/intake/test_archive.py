"""Archives: what is plain is unpacked, what can be understood in two ways is refused."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib
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


def test_a_directory_as_large_as_an_upload_is_not_read() -> None:
    extra = struct.pack("<HH", 0x9999, 60_000) + bytes(60_000)
    stuffed = raw_zip([plain(name=f"{n}.txt", extra=extra) for n in range(300)])
    most = 0

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal most
            found = super().read(size)
            most = max(most, len(found))
            return found

    file = Watched(stuffed)
    with pytest.raises(Refused) as raised:
        read_directory(file, LARGEST)
    assert [p.code for p in raised.value.problems] == ["archive.hidden"]
    assert most < 100_000


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


ELSEWHERE = 0xFFFFFFFF
ALL_WIDE = {"here": 0xFFFF, "count": 0xFFFF, "length": ELSEWHERE, "offset": ELSEWHERE}


def in_64_bits(*values: int) -> bytes:
    return struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values)


def far(**changes: Any) -> dict[str, Any]:
    """An entry of five bytes that states each of its sizes in 64 bits, in the directory and in its own header."""
    given = {"size": ELSEWHERE, "packed": ELSEWHERE, "extra": in_64_bits(5, 5), "local_extra": in_64_bits(5, 5)}
    return plain(**{**given, **changes})


def streamed(**changes: Any) -> dict[str, Any]:
    """The same, with its sizes behind its content."""
    late = {"flags": 0x808, "local_crc": 0, "local_extra": in_64_bits(0, 0)}
    return {**far(behind=struct.pack("<4sIQQ", b"PK\7\x08", zlib.crc32(b"hello"), 5, 5)), **late, **changes}


@pytest.mark.parametrize(
    "content",
    [
        raw_zip([far(), plain(name="b.txt")], wide={}),
        raw_zip([far(), plain(name="b.txt")], wide={}, end=ALL_WIDE),
        raw_zip([plain(), plain(name="b.txt")], wide={}, end={"offset": ELSEWHERE}),
        raw_zip([far(), plain(name="b.txt")]),
        raw_zip([plain(at=ELSEWHERE, extra=in_64_bits(0)), plain(name="b.txt")]),
        raw_zip([far(at=ELSEWHERE) | {"extra": in_64_bits(5, 5, 0)}, plain(name="b.txt")]),
        raw_zip([streamed(), plain(name="b.txt")], wide={}, end=ALL_WIDE),
        raw_zip(
            [streamed(size=5, packed=5, local_size=ELSEWHERE, local_packed=ELSEWHERE, extra=b""), plain(name="b.txt")]
        ),
        raw_zip([streamed(behind=struct.pack("<IQQ", zlib.crc32(b"hello"), 5, 5)), plain(name="b.txt")]),
    ],
)
def test_values_in_64_bits_that_agree_are_read(content: bytes) -> None:
    assert opened(content) == {"a.txt": b"hello", "b.txt": b"hello"}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None, "another reader understands the same"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        # The end of the archive.
        *((raw_zip([plain()], wide={name: 7}), "archive.zip64") for name in ALL_WIDE),
        *((raw_zip([plain()], wide={name: 7}, end=ALL_WIDE), "archive.broken") for name in ALL_WIDE),
        *((raw_zip([plain()], wide={}, end={name: 7}), "archive.zip64") for name in ALL_WIDE),
        *((raw_zip([plain()], end={name: mark}), "archive.zip64") for name, mark in ALL_WIDE.items()),
        (raw_zip([plain()], wide={"left": 45}), "archive.zip64"),
        (raw_zip([plain()], wide={"left": 2**63}), "archive.zip64"),
        (raw_zip([plain()], wide={"begin": 0}), "archive.zip64"),
        (raw_zip([plain()], wide={"begin": 2**64 - 1}), "archive.zip64"),
        (raw_zip([plain()], wide={"disk": 1}), "archive.zip64"),
        (raw_zip([plain()], wide={"disks": 2}), "archive.zip64"),
        (raw_zip([plain()], wide={}).replace(b"PK\6\6", b"PK\6\5"), "archive.zip64"),
        # An entry in the directory.
        (raw_zip([far(extra=b"")]), "archive.zip64"),
        (raw_zip([far(extra=in_64_bits(5))]), "archive.zip64"),
        (raw_zip([far(extra=in_64_bits(5, 5, 0))]), "archive.zip64"),
        (raw_zip([far(extra=in_64_bits(5, 5) * 2)]), "archive.zip64"),
        (raw_zip([far(extra=in_64_bits(5, 5)[:-1])]), "archive.zip64"),
        (raw_zip([plain(extra=in_64_bits(5, 5))]), "archive.zip64"),
        (raw_zip([plain(extra=in_64_bits())]), "archive.zip64"),
        (raw_zip([plain(at=ELSEWHERE)]), "archive.zip64"),
        (raw_zip([plain(at=ELSEWHERE, extra=in_64_bits(2**64 - 1))]), "archive.short"),
        (raw_zip([plain(at=ELSEWHERE, extra=in_64_bits(2**40))]), "archive.short"),
        (raw_zip([far(extra=in_64_bits(6, 5))]), "archive.two_headers"),
        (raw_zip([far(extra=in_64_bits(5, 6))]), "archive.two_headers"),
        # Its own header.
        (raw_zip([far(local_extra=b"")]), "archive.zip64"),
        (raw_zip([far(local_extra=in_64_bits(5))]), "archive.zip64"),
        (raw_zip([far(local_extra=in_64_bits(6, 5))]), "archive.two_headers"),
        (raw_zip([far(local_extra=in_64_bits(5, 6))]), "archive.two_headers"),
        (raw_zip([far(local_extra=in_64_bits(5, 5) * 2)]), "archive.zip64"),
        (raw_zip([far(local_size=5, local_extra=in_64_bits(5))]), "archive.zip64"),
        (raw_zip([plain(local_extra=in_64_bits(5, 5))]), "archive.zip64"),
        (raw_zip([far(local_size=5, local_packed=5, local_extra=in_64_bits(5, 5))]), "archive.zip64"),
        # What stands behind its content.
        (raw_zip([streamed(behind=b"")]), "archive.hidden"),
        (raw_zip([streamed(behind=struct.pack("<4sIII", b"PK\7\x08", zlib.crc32(b"hello"), 5, 5))]), "archive.hidden"),
        (raw_zip([streamed(behind=struct.pack("<4sIQQ", b"PK\7\x08", zlib.crc32(b"hello"), 5, 6))]), "archive.hidden"),
        (raw_zip([streamed(behind=struct.pack("<4sIQQ", b"PK\7\x08", 1, 5, 5))]), "archive.hidden"),
        (raw_zip([streamed(behind=b"x" * 24)]), "archive.hidden"),
        (raw_zip([streamed(local_size=0, local_packed=0, local_extra=b"")]), "archive.hidden"),
    ],
)
def test_values_in_64_bits_that_disagree_are_refused(content: bytes, code: str) -> None:
    assert codes(content) == {code}


def test_what_stands_behind_a_streamed_entry_must_be_its_own_sizes() -> None:
    told = {"flags": 0x808, "local_crc": 0, "local_size": 0, "local_packed": 0}
    right = struct.pack("<4sIII", b"PK\7\x08", zlib.crc32(b"hello"), 5, 5)
    assert opened(raw_zip([plain(behind=right, **told)])) == {"a.txt": b"hello"}
    assert opened(raw_zip([plain(behind=right[4:], **told)])) == {"a.txt": b"hello"}
    assert codes(raw_zip([plain(behind=b"sixteen bytes---", **told)])) == {"archive.hidden"}


def test_an_archive_of_five_gigabytes_is_understood(tmp_path: Path) -> None:
    size = 5 * 1024**3
    with (tmp_path / "large.zip").open("w+b") as file:
        header = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0x800, 0, 0, 0x21, 0, ELSEWHERE, ELSEWHERE, 5, 20)
        file.write(header + b"a.txt" + in_64_bits(size, size))
        begin = file.tell()
        # A hole: it takes no room on the disk.
        file.seek(begin + size)
        second = raw_zip([plain(name="b.txt")])
        local, directory = second[: 30 + 5 + 5], second[30 + 5 + 5 : -22]
        file.write(local)
        offset = file.tell()
        file.write(
            struct.pack("<4s6H3I", b"PK\1\2", 0x32D, 45, 0x800, 0, 0, 0x21, 0, ELSEWHERE, ELSEWHERE)
            + struct.pack("<5H2I", 5, 20, 0, 0, 0, 0o100644 << 16, 0)
            + b"a.txt"
            + in_64_bits(size, size)
        )
        extra = in_64_bits(begin + size)
        file.write(directory[:30] + struct.pack("<H", len(extra)) + directory[32:42] + struct.pack("<I", ELSEWHERE))
        file.write(b"b.txt" + extra)
        at = file.tell()
        file.write(struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, at - offset, offset))
        file.write(struct.pack("<4sIQI", b"PK\6\7", 0, at, 1))
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2, 2, at - offset, ELSEWHERE, 0))
        first, last = read_directory(file, 6 * 1024**3)
        assert (first.path, first.size, first.start) == ("a.txt", size, begin)
        pieces: list[bytes] = []
        unpack(file, last, pieces.append)
        assert pieces == [b"hello"]
        with pytest.raises(Refused, match="more than"):
            read_directory(file, 4 * 1024**3)


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
