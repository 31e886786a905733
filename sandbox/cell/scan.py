"""Follows the opcodes of a pickle with nothing behind the names, and lists the names.

Runs in an intake cell. The parser is the one that loading uses (the C unpickler for plain pickles, the Python one for
joblib's mixed streams), so that a file cannot show the scan another course than the loader; but every global is an
inert stand-in: it is recorded, and calling it, building it or filling it does nothing. It assumes that the process it
runs in has limits of memory and time, for a stream may be made to be long.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import pickletools
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar

MOST_BYTES = 2 * 1024**3
"""Unpacked bytes that are followed at most."""

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZ": "bz2",
    b"\xfd7zXZ": "xz",
    b"]\x00": "lzma",
    b"x": "zlib",
    b"\x04\x22\x4d\x18": "lz4",
}
_SUFFIXES = {".pkl", ".pickle", ".joblib", ".sav", ".p", ".gz", ".z", ".bz2", ".xz", ".lzma", ".lz4"}

_LIBRARIES = ("numpy", "scipy", "sklearn", "lightgbm", "xgboost", "pandas")
_PLAIN = frozenset(
    {
        "_codecs.encode",
        "builtins.bool",
        "builtins.bytearray",
        "builtins.bytes",
        "builtins.complex",
        "builtins.dict",
        "builtins.float",
        "builtins.frozenset",
        "builtins.int",
        "builtins.list",
        "builtins.object",
        "builtins.range",
        "builtins.set",
        "builtins.slice",
        "builtins.str",
        "builtins.tuple",
        "collections.OrderedDict",
        "collections.defaultdict",
        "copyreg._reconstructor",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "functools.partial",
        "joblib.numpy_pickle.NumpyArrayWrapper",
    }
)
_NO_MODEL_PARTS = frozenset(
    {"testing", "_testing", "tests", "f2py", "distutils", "datasets", "ctypeslib", "conftest", "externals"}
    | {"eval", "exec", "load", "loads", "loadtxt", "genfromtxt", "fromfile", "memmap", "DataSource", "open_memmap"}
    | {
        "io",
        "read_pickle",
        "read_csv",
        "read_parquet",
        "read_hdf",
        "read_html",
        "read_json",
        "read_sql",
        "query",
        "system",
    }
    | {"runstring", "rundocs", "os", "sys", "subprocess", "builtins", "__builtins__", "__globals__", "__subclasses__"}
)


@dataclass(slots=True)
class Seen:
    """What following a file showed.

    Args:
        globals: every `module.name` that the file asks for.
        suspicious: those of them that no model library needs, and features of the stream.
        notes: codes, as in `compressed_gzip`.
        complete: whether the stream was followed to its end.
    """

    globals: set[str] = field(default_factory=set)
    suspicious: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    complete: bool = True

    def name(self, module: str, name: str) -> str:
        """Record a global, and whether it stands out."""
        whole = f"{module}.{name}"
        self.globals.add(whole)
        parts = whole.split(".")
        known = whole in _PLAIN or (parts[0] in _LIBRARIES and not _NO_MODEL_PARTS.intersection(parts[1:]))
        if not known:
            self.suspicious.add(whole)
        return whole


def compression(path: Path) -> str | None:
    """Name how a file is compressed, as joblib would see it; None where it is not."""
    with path.open("rb") as file:
        head = file.read(8)
    if head[:1] == b"x" and (len(head) < 2 or (head[0] * 256 + head[1]) % 31):
        return None
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def looks_like_pickle(path: Path) -> bool:
    """Tell whether a file begins as a pickle, or is named as one and could be."""
    with path.open("rb") as file:
        head = file.read(4096)
    if len(head) > 1 and head[0] == 0x80 and head[1] <= pickle.HIGHEST_PROTOCOL:
        return True
    if path.suffix.lower() not in _SUFFIXES:
        return False
    if compression(path) is not None:
        return True
    return _reads_as_text_pickle(head)


def _reads_as_text_pickle(head: bytes) -> bool:
    try:
        # Protocols 0 and 1 have no mark of their own: two opcodes that parse are taken for one.
        opcodes = pickletools.genops(head)
        next(opcodes)
        next(opcodes)
    except (ValueError, StopIteration, UnicodeDecodeError):
        return False
    return True


def is_joblib(path: Path) -> bool:
    """Tell whether joblib must read a file: it is compressed, or holds joblib's array wrappers."""
    if compression(path) is not None:
        return True
    overlap = b""
    with path.open("rb") as file:
        while chunk := file.read(1024**2):
            if b"NumpyArrayWrapper" in overlap + chunk:
                return True
            overlap = chunk[-32:]
    return False


class _Inflated(io.RawIOBase):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflate = zlib.decompressobj()
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(65536)
            if not packed:
                break
            self._left = self._inflate.decompress(packed, 1024**2)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class _Bounded:
    """A file that ends with an error after `MOST_BYTES`."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._count = 0

    def _counted(self, got: bytes) -> bytes:
        self._count += len(got)
        if self._count > MOST_BYTES:
            raise pickle.UnpicklingError("more bytes than are followed")
        return got

    def read(self, count: int = -1) -> bytes:
        # The stream states its own lengths: never ask for more than is allowed at once.
        if count is None or count < 0 or count > MOST_BYTES:
            raise pickle.UnpicklingError("a length beyond what is followed")
        return self._counted(self._file.read(count))

    def readline(self) -> bytes:
        return self._counted(self._file.readline(1024**2))

    def next_byte(self) -> bytes:
        """Give the next byte, or none at the end."""
        return bytes(self._file.read(1))

    def skip(self, count: int) -> None:
        """Pass over bytes.

        Raises:
            EOFError: the file ends before.
        """
        while count > 0:
            got = self.read(min(count, 1024**2))
            if not got:
                raise EOFError("the file ends in the middle of an array")
            count -= len(got)


def _opened(how: str | None, file: IO[bytes]) -> Any:
    if how == "gzip":
        return gzip.open(file)
    if how == "bz2":
        return bz2.open(file)
    if how in ("xz", "lzma"):
        return lzma.open(file)
    if how == "zlib":
        return io.BufferedReader(_Inflated(file))
    return file


def _stand_in(seen: Seen, module: str, name: str) -> type:
    """Make a class that stands for a global: it can be called, made, filled and compared, and does nothing."""
    whole = seen.name(module, name)

    class StandIn:
        origin = whole

        def __new__(cls, *_: Any, **__: Any) -> Any:
            made: Any = object.__new__(cls)
            made.given = _
            return made

        def __init__(self, *_: Any, **__: Any) -> None:
            self.state: Any = None

        def __call__(self, *_: Any, **__: Any) -> Any:
            seen.suspicious.add(f"{whole}()()")
            return self

        def __setstate__(self, state: Any) -> None:
            self.state = state

        def __setitem__(self, key: Any, value: Any) -> None: ...

        def append(self, item: Any) -> None: ...

        def extend(self, items: Any) -> None: ...

        def add(self, item: Any) -> None: ...

        def __hash__(self) -> int:
            return id(self)

    return StandIn


class _Plain(pickle.Unpickler):
    def __init__(self, file: Any, seen: Seen, kept: dict[tuple[str, str], type]) -> None:
        super().__init__(file)
        self._seen = seen
        self._kept = kept

    def find_class(self, module: str, name: str) -> Any:
        key = (module, name)
        if key not in self._kept:
            self._kept[key] = _stand_in(self._seen, module, name)
        return self._kept[key]

    def persistent_load(self, pid: Any) -> Any:  # noqa: ARG002 - the unpickler calls it so
        self._seen.suspicious.add("persistent_id")
        return None


_PythonUnpickler: Any = pickle._Unpickler


class _Python(_PythonUnpickler):  # type: ignore[misc]  # typeshed states it as the C one, which has no dispatch
    def __init__(self, file: Any, seen: Seen, kept: dict[tuple[str, str], type]) -> None:
        super().__init__(file)
        self._bytes = file
        self._seen = seen
        self._kept = kept

    find_class = _Plain.find_class
    persistent_load = _Plain.persistent_load


class _Mixed(_Python):
    """Follows joblib's streams, in which the bytes of an array stand after the object that announces them."""

    dispatch: ClassVar[dict[int, Any]] = dict(_Python.dispatch)

    def load_build(self) -> None:
        super().load_build()
        made = self.stack[-1]
        if getattr(type(made), "origin", "") == "joblib.numpy_pickle.NumpyArrayWrapper":
            self._pass_array(made.state)

    dispatch[pickle.BUILD[0]] = load_build

    def _pass_array(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("an array without a description")
        size, objects = _item_size(state.get("dtype"))
        shape = state.get("shape")
        if not isinstance(shape, tuple) or not all(type(s) is int and s >= 0 for s in shape):
            raise pickle.UnpicklingError("an array without a shape")
        if objects:
            _Python(self._bytes, self._seen, self._kept).load()
            return
        if state.get("numpy_array_alignment_bytes") is not None:
            self._bytes.skip(int.from_bytes(self._bytes.read(1), "little"))
        for length in shape:
            size *= length
            if size > MOST_BYTES:
                raise pickle.UnpicklingError("an array larger than is followed")
        self._bytes.skip(size)


def _item_size(dtype: Any) -> tuple[int, bool]:
    """Read the bytes per item of a recorded numpy dtype, and whether its items are objects."""
    given = getattr(dtype, "given", ())
    state = getattr(dtype, "state", None)
    if not given or not isinstance(given[0], str):
        raise pickle.UnpicklingError("an array of an unreadable type")
    code = given[0]
    if code.startswith("O"):
        return 8, True
    if isinstance(state, tuple) and len(state) > 5 and isinstance(state[4], dict):
        for item in state[4].values():
            if isinstance(item, tuple) and item and _item_size(item[0])[1]:
                return 8, True
    if not code[1:].isdigit():
        raise pickle.UnpicklingError("an array of an unreadable type")
    return int(code[1:]) * (4 if code[0] == "U" else 1), False


def follow_member(content: bytes, name: str, seen: Seen, depth: int = 0) -> None:
    """Follow a member of an archive where it is a pickle, or an archive of them; anything else shows nothing.

    Args:
        content: of the member.
        name: of the member: one that is named as a pickle is followed whatever it begins with.
        seen: takes what is seen.
        depth: of archives inside archives.
    """
    if content.startswith(b"PK\x03\x04"):
        follow_archive(io.BytesIO(content), seen, depth + 1)
        return
    marked = len(content) > 1 and content[0] == 0x80 and content[1] <= pickle.HIGHEST_PROTOCOL
    if not marked and not name.lower().endswith((".pkl", ".pickle")):
        return
    stream = io.BytesIO(content)
    try:
        _Plain(_Bounded(stream), seen, {}).load()
    except _BROKEN as broken:
        seen.complete = False
        seen.notes.append(f"broke_off_{type(broken).__name__}")
        seen.suspicious.add("stream_broken_off")


def follow_archive(file: IO[bytes], seen: Seen, depth: int = 0) -> list[str]:
    """Follow every pickle of a zip archive, also in archives inside it.

    Args:
        file: the archive, seekable.
        seen: takes what is seen; not complete where a member cannot be read (a wrong checksum among the reasons: some
            loaders do not look at it), or is larger than is followed.
        depth: of archives inside archives.

    Returns:
        The names of its members.
    """
    if depth > 3:
        seen.complete = False
        seen.suspicious.add("archives_in_archives")
        return []
    names: list[str] = []
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if len(set(names)) != len(names):
                seen.suspicious.add("doubled_names")
            for member in archive.infolist():
                if member.file_size > _MOST_MEMBER:
                    # Weights: looked at only for how they begin, unless they are named as a pickle.
                    with archive.open(member) as opened:
                        head = opened.read(4)
                    if head[:1] == b"\x80" or head == b"PK\x03\x04" or member.filename.endswith(".pkl"):
                        seen.complete = False
                        seen.suspicious.add("member_not_followed")
                    continue
                follow_member(archive.read(member), member.filename, seen, depth)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError):
        seen.complete = False
        seen.suspicious.add("archive_unreadable")
    return names


_MOST_MEMBER = 256 * 1024**2


def follow(path: Path) -> Seen:
    """Follow a pickle or joblib file, and list what it names.

    Args:
        path: the file, as it was uploaded.

    Returns:
        What was seen; `complete` is false where the stream broke off, was compressed in a way that is not read here, or
        was longer than is followed: then nothing is said of the rest.
    """
    seen = Seen()
    how = compression(path)
    if how == "lz4":
        return Seen(complete=False, suspicious={"compressed_lz4"}, notes=["compressed_lz4"])
    if how is not None:
        seen.notes.append(f"compressed_{how}")
    mixed = is_joblib(path)
    with path.open("rb") as file:
        stream = _Bounded(_opened(how, file))
        try:
            (_Mixed if mixed else _Plain)(stream, seen, {}).load()
            left = stream.next_byte()
        except _BROKEN as broken:
            seen.complete = False
            seen.notes.append(f"broke_off_{type(broken).__name__}")
            seen.suspicious.add("stream_broken_off")
            return seen
        if left:
            # Loading stops at the first STOP, so what follows is not executed; but a model has no use for it.
            seen.suspicious.add("bytes_after_the_end")
            _follow_rest(stream, left, seen)
    return seen


_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
    ImportError,
    OverflowError,
    RecursionError,
    MemoryError,
    UnicodeError,
)


def _follow_rest(stream: _Bounded, first: bytes, seen: Seen) -> None:
    rest = io.BytesIO(first + stream._file.read(64 * 1024**2))
    try:
        while rest.tell() < len(rest.getbuffer()):
            _Plain(rest, seen, {}).load()
    except _BROKEN:
        seen.notes.append("unreadable_after_the_end")
