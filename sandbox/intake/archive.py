"""Unpacks a zip archive into the quarantine, reading its structure strictly.

Assumes nothing of the bytes. What two readers could understand in two ways is refused: bytes before or after the
archive, entries that overlap or leave gaps, a local header that differs from the directory, doubled names, values
in 64 bits (zip64) that nothing points at or that differ from those beside them. Sizes are bounded before anything is
unpacked and again while it is.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from sandbox.errors import Refused
from sandbox.intake.names import check_collisions, check_name, is_left_out
from sandbox.intake.problems import Gathered, problem

MOST_ENTRIES = 10_000
LARGEST_RATIO = 250
RATIO_FROM = 16 * 1024**2
"""Unpacked bytes from which the ratio is looked at: small files of one repeated letter hurt nobody."""

_END = struct.Struct("<4s4H2IH")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")
_ELSEWHERE16, _ELSEWHERE32 = 0xFFFF, 0xFFFFFFFF
"""What stands in place of a value that is written in 64 bits."""

_ZIP64 = 1
"""Kind of the extra field that holds such values of one entry."""

LARGEST_DIRECTORY = 16 * 1024**2
"""Bytes of a directory: ample for as many entries as are taken, and little to hold in memory."""

_PIECE = 1024**2
_UTF8 = 0x800
_DESCRIPTOR = 0x8
_KNOWN_FLAGS = _UTF8 | _DESCRIPTOR | 0x6


Span = tuple[int, int, tuple[bytes, ...]]
"""Where an entry begins and its content ends, and what may stand between that and the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of an archive, as its directory and its own header both say.

    Args:
        path: its name, with `/`.
        packed: bytes in the archive.
        size: bytes unpacked, as stated.
        crc: CRC-32 of the content, as stated.
        deflated: whether it is deflated, or stored.
        start: where its content begins.
    """

    path: str
    packed: int
    size: int
    crc: int
    deflated: bool
    start: int


def read_directory(file: BinaryIO, largest: int) -> tuple[Entry, ...]:
    """Read which files an archive holds, and see that it can be understood in one way only.

    Args:
        file: the archive, seekable.
        largest: most bytes of all files unpacked.

    Returns:
        The files; entries that are folders are left out.

    Raises:
        Refused: the archive is not plain, too large, or names what it must not.
    """
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(4)
    if start == b"PK\x05\x06" and size == _END.size:
        raise Refused(problem("", "archive.empty"))
    if start != b"PK\x03\x04":
        raise Refused(problem("", "archive.prefix" if _has_end(file, size) else "archive.not_zip"))
    try:
        return _directory(file, size, largest)
    except (struct.error, OverflowError):
        # A place beyond what a file can have is a place behind its end.
        raise Refused(problem("", "archive.short")) from None


def _has_end(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - 66_000))
    return b"PK\x05\x06" in file.read(66_000)


def _at(file: BinaryIO, place: int, form: struct.Struct) -> tuple[int | bytes, ...]:
    file.seek(place)
    return form.unpack(file.read(form.size))


def _directory(file: BinaryIO, size: int, largest: int) -> tuple[Entry, ...]:
    if size < _END.size:
        raise Refused(problem("", "archive.short"))
    end = _END.unpack(_read(file, size - _END.size, _END.size))
    magic, *stated, comment = end
    if magic != b"PK\x05\x06" or comment:
        raise Refused(problem("", "archive.trailing" if _has_end(file, size) else "archive.broken"))
    (disk, first_disk, here, count, length, offset), closing = _end64(file, size - _END.size, stated)
    if disk or first_disk or here != count:
        raise Refused(problem("", "archive.broken"))
    if count > MOST_ENTRIES:
        raise Refused(problem("", "archive.many", entries=count, most=MOST_ENTRIES))
    if offset + length != closing:
        raise Refused(problem("", "archive.broken"))
    if length > LARGEST_DIRECTORY:
        raise Refused(problem("", "archive.hidden"))
    directory = _read(file, offset, length)
    gathered = Gathered()
    entries: list[Entry] = []
    spans: list[Span] = []
    at = 0
    for _ in range(count):
        entry, span, at = _entry(file, directory, at, gathered)
        spans.append(span)
        if entry is not None:
            entries.append(entry)
    if at != len(directory):
        gathered.add("", "archive.broken")
    _check_spans(file, spans, offset, gathered)
    check_collisions((e.path for e in entries), gathered)
    total = sum(e.size for e in entries)
    if total > largest:
        gathered.add("", "archive.too_large", bytes=total, most=largest)
    elif total > RATIO_FROM and total > LARGEST_RATIO * max(1, sum(e.packed for e in entries)):
        gathered.add("", "archive.bomb", bytes=total, packed=sum(e.packed for e in entries), most=LARGEST_RATIO)
    gathered.raise_if_any()
    return tuple(entries)


def _read(file: BinaryIO, place: int, length: int) -> bytes:
    file.seek(place)
    return file.read(length)


def _end64(file: BinaryIO, end: int, stated: Sequence[int]) -> tuple[Sequence[int], int]:
    """Read what the end of an archive states, in 64 bits where it has such an end too.

    Args:
        end: where the plain end begins; the end in 64 bits and its locator stand right before that.
        stated: by the plain end: two numbers of disks, entries here, entries, length and place of the directory.

    Returns:
        The same six values, and where the directory must end.

    Raises:
        Refused: a value is said to stand in 64 bits and does not, or the two ends differ.
    """
    elsewhere = (_ELSEWHERE16,) * 4 + (_ELSEWHERE32,) * 2
    place = end - _LOCATOR64.size
    located = _read(file, place, _LOCATOR64.size) if place >= 0 else b""
    if not located.startswith(b"PK\x06\x07"):
        if any(value == mark for value, mark in zip(stated, elsewhere, strict=True)):
            raise Refused(problem("", "archive.zip64"))
        return stated, end
    _, disk, begin, disks = _LOCATOR64.unpack(located)
    if disk or disks > 1 or begin != place - _END64.size:
        raise Refused(problem("", "archive.zip64"))
    magic, left, _, _, *wide = _END64.unpack(_read(file, begin, _END64.size))
    same = all(value in (w, mark) for value, w, mark in zip(stated, wide, elsewhere, strict=True))
    # Room for data of its own behind the record would be room for something that only some readers see.
    if magic != b"PK\x06\x06" or left != _END64.size - 12 or not same:
        raise Refused(problem("", "archive.zip64"))
    return wide, begin


def _widened(extra: bytes, stated: Sequence[int], *, all_or_none: bool = False) -> list[int]:
    """Put in the values of an entry that stand in 64 bits, in the order of the format.

    Args:
        extra: the extra fields of its header.
        stated: in 32 bits.
        all_or_none: whether either all of them stand in 64 bits or none, as in an entry's own header.

    Raises:
        Refused: values are said to stand there that do not, or stand there without being pointed at.
    """
    found = _blocks(extra, _ZIP64)
    marked = [place for place, value in enumerate(stated) if value == _ELSEWHERE32]
    if not marked and not found:
        return list(stated)
    if len(found) != 1 or not marked or (all_or_none and len(marked) != len(stated)):
        raise Refused(problem("", "archive.zip64"))
    if len(found[0]) != 8 * len(marked):
        raise Refused(problem("", "archive.zip64"))
    wide = dict(zip(marked, struct.unpack(f"<{len(marked)}Q", found[0]), strict=True))
    return [wide.get(place, value) for place, value in enumerate(stated)]


def _entry(file: BinaryIO, directory: bytes, at: int, gathered: Gathered) -> tuple[Entry | None, Span, int]:
    central = _CENTRAL.unpack_from(directory, at)
    magic, _, _, flags, method, _, _, crc, packed, size, names, extras, comments, disk, _, mode, local = central
    if magic != b"PK\x01\x02" or disk:
        raise Refused(problem("", "archive.broken"))
    at += _CENTRAL.size
    raw = directory[at : at + names]
    extra = directory[at + names : at + names + extras]
    at += names + extras + comments
    if len(raw) != names or len(extra) != extras or at > len(directory):
        raise struct.error("short")
    path = _name(raw, flags, gathered)
    size, packed, local = _widened(extra, (size, packed, local))
    if flags & 0x1 or flags & 0x40 or flags & 0x2000:
        gathered.add("", "archive.encrypted", path=path)
    elif flags & ~_KNOWN_FLAGS or method not in (0, 8):
        gathered.add("", "archive.method", path=path)
    # The upper half of the attributes is the Unix mode whatever system is said to have made the entry: unpackers differ
    # in whether they believe that, so a link is refused in each case.
    kind = stat.S_IFMT(mode >> 16)
    is_folder = path.endswith("/")
    if stat.S_ISLNK(kind):
        gathered.add("", "archive.link", path=path)
    elif kind and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        gathered.add("", "archive.device", path=path)
    elif (is_folder and (size or (kind and not stat.S_ISDIR(kind)))) or (not is_folder and stat.S_ISDIR(kind)):
        gathered.add("", "file.strange_name", path=path)
    usable = check_name(path.rstrip("/") if is_folder and not path.endswith("//") else path, gathered)
    begin, after = _local(file, local, raw, (flags, method, crc, packed, size))
    span = (local, begin + packed, after)
    if is_folder or not usable:
        return None, span, at
    if method == 0 and packed != size:
        raise Refused(problem("", "archive.broken"))
    entry = Entry(path=path, packed=packed, size=size, crc=crc, deflated=method == 8, start=begin)
    return entry, span, at


def _name(raw: bytes, flags: int, gathered: Gathered) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        shown = raw.decode("utf-8", "replace")
        gathered.add("", "archive.name_not_utf8", path=shown)
        return shown


def _blocks(extra: bytes, wanted: int) -> list[bytes]:
    """List the extra fields of one kind; of one that is cut short what there is of it."""
    found, at = [], 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        at += 4
        if kind == wanted:
            found.append(extra[at : at + length])
        at += length
    return found


def _local(
    file: BinaryIO, place: int, raw: bytes, central: tuple[int, int, int, int, int]
) -> tuple[int, tuple[bytes, ...]]:
    """Compare an entry's own header with the directory.

    Returns:
        Where its content begins, and what may stand behind that content: its data descriptor, with or without a mark
        before it; nothing where it has none.
    """
    magic, _, flags, method, _, _, crc, packed, size, names, extras = _at(file, place, _LOCAL)
    name = file.read(int(names))
    extra = file.read(int(extras))
    if len(extra) != extras:
        raise struct.error("short")
    wide = _widened(extra, (int(size), int(packed)), all_or_none=True)
    described = bool(int(flags) & _DESCRIPTOR)
    own = (crc, wide[1], wide[0])
    if magic != b"PK\x03\x04" or name != raw or (flags, method) != central[:2]:
        raise Refused(problem("", "archive.two_headers", path=raw.decode("utf-8", "replace")))
    if own != central[2:] and (not described or any(own)):
        raise Refused(problem("", "archive.two_headers", path=raw.decode("utf-8", "replace")))
    begin = place + _LOCAL.size + len(name) + len(extra)
    if not described:
        return begin, (b"",)
    is_wide = size == _ELSEWHERE32
    if not is_wide and max(central[3:]) >= _ELSEWHERE32:
        raise Refused(problem("", "archive.zip64"))
    descriptor = struct.pack("<IQQ" if is_wide else "<III", *central[2:])
    return begin, (b"PK\x07\x08" + descriptor, descriptor)


def _check_spans(file: BinaryIO, spans: list[Span], directory: int, gathered: Gathered) -> None:
    """See that entries lie one after the other, from the first byte to the directory."""
    at = 0
    may_follow: tuple[bytes, ...] = (b"",)
    for start, end, after in [*sorted(spans), (directory, directory, (b"",))]:
        if start < at:
            gathered.add("", "archive.overlap")
            return
        if start - at not in map(len, may_follow) or _read(file, at, start - at) not in may_follow:
            gathered.add("", "archive.hidden")
            return
        at, may_follow = end, after


def unpack(file: BinaryIO, entry: Entry, write: Callable[[bytes], object]) -> None:
    """Unpack one entry, never more than it states.

    Args:
        file: the archive.
        entry: from `read_directory`.
        write: takes the content, piece by piece.

    Raises:
        Refused: the content is not what the entry states.
    """
    file.seek(entry.start)
    left, out, crc = entry.packed, 0, 0
    decompress = zlib.decompressobj(-zlib.MAX_WBITS) if entry.deflated else None

    def emit(piece: bytes) -> None:
        nonlocal out, crc
        out += len(piece)
        if out > entry.size:
            raise Refused(problem("", "archive.larger_than_stated", path=entry.path))
        crc = zlib.crc32(piece, crc)
        write(piece)

    try:
        while left:
            piece = file.read(min(_PIECE, left))
            if not piece:
                raise Refused(problem("", "archive.short"))
            left -= len(piece)
            if decompress is None:
                emit(piece)
                continue
            while piece:
                emit(decompress.decompress(piece, _PIECE))
                if decompress.eof and (decompress.unused_data or left):
                    raise Refused(problem("", "archive.hidden"))
                piece = decompress.unconsumed_tail
        if decompress is not None:
            while not decompress.eof and (more := decompress.decompress(b"", _PIECE)):
                emit(more)
            if not decompress.eof:
                raise Refused(problem("", "archive.damaged", path=entry.path))
    except zlib.error:
        raise Refused(problem("", "archive.damaged", path=entry.path)) from None
    if out != entry.size or crc != entry.crc:
        raise Refused(problem("", "archive.checksum", path=entry.path))


def strip_single_folder(paths: list[str]) -> str:
    """Give the one folder that holds everything, with its `/`; empty where there is none.

    Args:
        paths: of all files that are kept.
    """
    if not paths or any("/" not in path for path in paths):
        return ""
    first = paths[0].partition("/")[0]
    return first + "/" if all(path.startswith(first + "/") for path in paths) else ""


def kept(entries: tuple[Entry, ...]) -> list[Entry]:
    """Leave out what desktops put into archives."""
    return [e for e in entries if not is_left_out(e.path)]
