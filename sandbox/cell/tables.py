"""Reads a CSV or Parquet table into columns of fixed width, in an intake cell.

A large table is never held as a whole: of Parquet one column is read when it is asked for, and a large CSV is gone
through once for each.

Assumes of its caller that the process has limits of memory and time: a table may be made to be large or slow. pyarrow
is imported on first use. What is wrong with the file is raised as `Unreadable`; what is wrong with one column is told
in that column's section, so that several problems can be shown at once.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import frames
from .frames import As, Fault, Kind, Reason, Type, Unreadable

if TYPE_CHECKING:
    import pyarrow as pa

_Read = TypeVar("_Read")

DELIMITERS = (",", ";", "\t", "|")
MOST_COLUMNS = 5000
LONGEST_NAME = 200
_BLOCK = 8 * 1024**2
WHOLE_BYTES = 128 * 1024**2
"""A CSV of at most this size is read once, with all its columns."""
_SNIFFED = 64 * 1024
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity|nan)$"
_WHOLE = r"^-?\d{1,18}$"
_DECIMAL_COMMA = r"^[+-]?\d+(,\d+)?$"


class OpenTable:
    """One table, of which columns can be read that are not typed yet.

    Args:
        names: of the columns, blanks around them removed.
        types: of the columns; text in a CSV.
        take: reads one column, by its place.
        rows: n.
        missing: texts that mean that a value is missing.
        decimal_comma: whether a comma may be meant as a decimal point (it is not the delimiter).
    """

    def __init__(
        self,
        names: list[str],
        types: list[pa.DataType],
        take: Callable[[int], pa.ChunkedArray],
        rows: int,
        missing: list[str],
        decimal_comma: bool,
    ) -> None:
        self.names = names
        self.types = types
        self.take = take
        self.rows = rows
        self.missing = missing
        self.decimal_comma = decimal_comma


def open_table(path: Path, stated: Mapping[str, Any]) -> OpenTable:
    """Read a table.

    Args:
        path: the upload.
        stated: `format` (`csv` or `parquet`), `delimiter` (empty: find it), `missing` (texts), `most_rows`.

    Raises:
        Unreadable: the file is no such table.
    """
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    read = _parquet if stated["format"] == "parquet" else _csv
    table = read(path, stated)
    if table.rows == 0:
        raise Unreadable(Fault.NO_ROWS)
    if table.rows > int(stated["most_rows"]):
        raise Unreadable(Fault.TOO_MANY_ROWS, numbers=(table.rows, int(stated["most_rows"])))
    return table


def _check_names(names: list[str]) -> list[str]:
    stripped = [name.strip() for name in names]
    if len(stripped) > MOST_COLUMNS:
        raise Unreadable(Fault.TOO_MANY_COLUMNS, numbers=(len(stripped), MOST_COLUMNS))
    longest = max(stripped, key=len, default="")
    if len(longest) > LONGEST_NAME:
        raise Unreadable(Fault.NAME_TOO_LONG, longest[:60], (len(longest), LONGEST_NAME))
    seen: set[str] = set()
    doubled = [name for name in stripped if name and (name in seen or seen.add(name))]  # type: ignore[func-returns-value]  # add gives None
    if doubled:
        raise Unreadable(Fault.DOUBLED_NAMES, ", ".join(sorted(set(doubled))[:20]), (len(set(doubled)),))
    return stripped


def _check_text(path: Path) -> None:
    """See that a file is UTF-8 text, and name the line where it stops to be."""
    with path.open("rb") as file:
        start = file.read(_SNIFFED)
        if not start.strip(b"\xef\xbb\xbf \t\r\n"):
            raise Unreadable(Fault.EMPTY)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Unreadable(Fault.NOT_UTF8, "UTF-16", (1,))
        for magic, words in ((b"PK\x03\x04", "zip"), (b"PAR1", "parquet")):
            if start.startswith(magic):
                raise Unreadable(Fault.NOT_TEXT, words)
        if b"\0" in start:
            raise Unreadable(Fault.NOT_TEXT, "binary")
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")("strict")
        line = 1
        while True:
            part = file.read(_BLOCK)
            try:
                decoder.decode(part, final=not part)
            except UnicodeDecodeError as raised:
                before = bytes(raised.object[: raised.start])
                raise Unreadable(Fault.NOT_UTF8, "", (line + before.count(b"\n"),)) from None
            if not part:
                return
            if b"\0" in part:
                raise Unreadable(Fault.NOT_TEXT, "binary")
            line += part.count(b"\n")


def sniff_delimiter(start: str) -> str:
    """Find the delimiter that cuts the first lines into the same number of columns.

    Args:
        start: the beginning of the file, whole lines.

    Returns:
        One of `DELIMITERS`; a comma where none cuts anything.
    """
    best, delimiter = (0, 0), ","
    for candidate in DELIMITERS:
        try:
            rows = [r for r in itertools.islice(csv.reader(io.StringIO(start), delimiter=candidate), 21) if r]
        except csv.Error:
            continue
        if not rows or len(rows[0]) < 2:
            continue
        width = len(rows[0])
        score = (sum(len(row) == width for row in rows[:20]), width)
        if score > best:
            best, delimiter = score, candidate
    return delimiter


def _csv(path: Path, stated: Mapping[str, Any]) -> OpenTable:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    _check_text(path)
    with path.open(encoding="utf-8-sig", newline="") as text:
        start = text.read(_SNIFFED)
    lines = start.rpartition("\n")[0] if len(start) == _SNIFFED and "\n" in start else start
    delimiter = str(stated["delimiter"]) or sniff_delimiter(lines)
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            blank, header = next(((i, r) for i, r in enumerate(csv.reader(text, delimiter=delimiter)) if r), (0, []))
    except csv.Error as raised:
        raise Unreadable(Fault.BROKEN_CSV, f"header: {raised}") from None
    names = _check_names(header)
    if not names:
        raise Unreadable(Fault.EMPTY)
    ragged: list[tuple[int, int]] = []

    def on_ragged(row: Any) -> str:
        ragged.append((row.number or 0, row.actual_columns))
        return "skip"

    places = [str(i) for i in range(len(names))]

    def read(wanted: list[str]) -> pa.Table:
        try:
            return arrow_csv.read_csv(
                path,
                read_options=arrow_csv.ReadOptions(
                    use_threads=False, block_size=_BLOCK, column_names=places, skip_rows=blank, skip_rows_after_names=1
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=on_ragged
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(places, pa.string()),
                    include_columns=wanted,
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid as raised:
            if "Empty CSV" in str(raised):
                raise Unreadable(Fault.EMPTY) from None
            raise Unreadable(Fault.BROKEN_CSV, str(raised).splitlines()[0][:300]) from None

    is_small = path.stat().st_size <= WHOLE_BYTES
    table = read(places if is_small else places[:1])
    if ragged:
        row, found = ragged[0]
        raise Unreadable(Fault.RAGGED, numbers=(row, len(names), found, len(ragged)))
    rows = table.num_rows

    def take(index: int) -> pa.ChunkedArray:
        return table.column(index) if is_small else read([places[index]]).column(0)

    return OpenTable(names, [pa.string()] * len(names), take, rows, list(stated["missing"]), delimiter != ",")


def _parquet(path: Path, stated: Mapping[str, Any]) -> OpenTable:
    import pyarrow as pa
    from pyarrow import parquet

    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise Unreadable(Fault.EMPTY)
    if start != b"PAR1":
        raise Unreadable(Fault.BROKEN_PARQUET, "it does not begin as a Parquet file")

    def unless_broken(read: Callable[[], _Read]) -> _Read:
        try:
            return read()
        except pa.ArrowMemoryError:
            raise
        except (pa.ArrowException, OSError, ValueError) as raised:
            raise Unreadable(Fault.BROKEN_PARQUET, (str(raised).splitlines() or [""])[0][:300]) from None

    # Left open: its columns are read when they are asked for, and the process ends with the upload.
    opened: Any = unless_broken(lambda: parquet.ParquetFile(path, memory_map=False, pre_buffer=False))
    rows = opened.metadata.num_rows
    if rows > int(stated["most_rows"]):
        raise Unreadable(Fault.TOO_MANY_ROWS, numbers=(rows, int(stated["most_rows"])))
    fields = list(unless_broken(lambda: opened.schema_arrow))
    names = _check_names([field.name for field in fields])
    if "__index_level_0__" in names and len(names) > 1:
        # pandas writes its index as a column of this name; it says nothing of the person.
        at = names.index("__index_level_0__")
        del names[at], fields[at]

    def take(index: int) -> pa.ChunkedArray:
        wanted = fields[index].name
        column = unless_broken(lambda: opened.read(columns=[wanted], use_threads=False).column(wanted))
        if len(column) != rows:
            raise Unreadable(Fault.BROKEN_PARQUET, f"a column of {len(column)} rows in a table of {rows}")
        return column

    return OpenTable(names, [field.type for field in fields], take, rows, list(stated["missing"]), True)


def head(table: OpenTable) -> bytes:
    """Write what the table is: the names of its columns and its number of rows."""
    written = [name.encode("utf-8", "replace") for name in table.names]
    body = bytes(0 if _readable(type_) else 1 for type_ in table.types)
    offsets = [0, *itertools.accumulate(len(name) for name in written)]
    body += b"".join(offset.to_bytes(8, "little") for offset in offsets) + b"".join(written)
    return frames.answer(Kind.HEAD, count=len(written), rows=table.rows, length=len(body)) + body


def _readable(type_: pa.DataType) -> bool:
    import pyarrow as pa

    t = pa.types
    if t.is_dictionary(type_):
        return _readable(type_.value_type)
    return bool(
        t.is_boolean(type_)
        or t.is_integer(type_)
        or t.is_floating(type_)
        or t.is_decimal(type_)
        or t.is_temporal(type_)
        or t.is_null(type_)
        or _is_text(type_)
    )


def _is_text(type_: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


class _Refused(Exception):
    """This column cannot be given as asked."""

    def __init__(self, reason: Reason, example: str = "", count: int = 0, row: int = 0) -> None:
        super().__init__(reason.name)
        self.reason, self.example, self.count, self.row = reason, example, count, row


def column(table: OpenTable, index: int, wanted: As, most_values: int) -> list[bytes | memoryview]:
    """Write one column as asked, or why it cannot be.

    Args:
        table: the open table.
        index: which column, from 0.
        wanted: how the host wants it.
        most_values: most different values of a column of codes.

    Returns:
        The stretches of bytes of one answer.
    """
    try:
        return _column(table, index, wanted, most_values)
    except _Refused as raised:
        text = raised.example.encode("utf-8", "replace")[:200].decode("utf-8", "ignore").encode()
        section = frames.SECTION.pack(
            Type.REFUSED, 0, raised.reason, 0, len(text), min(raised.count, 2**62), min(raised.row, 2**62)
        )
        body = section + text
        return [frames.answer(Kind.COLUMN, count=1, rows=table.rows, length=len(body)), body]


def _column(table: OpenTable, index: int, wanted: As, most_values: int) -> list[bytes | memoryview]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not _readable(table.types[index]):
        raise _Refused(Reason.UNREADABLE_TYPE, str(table.types[index])[:100])
    values = table.take(index)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_null(values.type) or pa.types.is_temporal(values.type):
        values = values.cast(pa.string())
    if pa.types.is_decimal(values.type) or pa.types.is_float16(values.type):
        values = values.cast(pa.float64())
    if _is_text(values.type):
        return _from_text(table, values, wanted, most_values)
    if pa.types.is_floating(values.type):
        values = values.cast(pa.float64())
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    if wanted in (As.CATEGORY, As.TEXT):
        return _texts(table, _as_text(values), most_values, codes_only=wanted is As.CATEGORY)
    if pa.types.is_boolean(values.type):
        if wanted is As.NUMBER:
            return _numbers(table, values.cast(pa.int64()))
        return _booleans(table, values)
    if wanted is As.BOOLEAN:
        return _booleans(table, _number_as_boolean(values))
    if pa.types.is_integer(values.type):
        if pa.types.is_uint64(values.type) and (pc.max(values).as_py() or 0) > 2**63 - 1:
            values = values.cast(pa.float64(), safe=False)
        else:
            values = values.cast(pa.int64())
    return _numbers(table, values)


def _as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write numbers and truth values as text; a whole number without its point."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(values.type):
        small = pc.less(pc.abs(values), 1e15)
        whole = pc.fill_null(pc.and_(pc.equal(pc.floor(values), values), small), True)
        if pc.all(whole).as_py():
            values = values.cast(pa.int64())
    return values.cast(pa.string())


def _number_as_boolean(values: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    zero, one = (pc.equal(values, pa.scalar(n).cast(values.type)) for n in (0, 1))
    known = pc.fill_null(pc.or_(zero, one), False)
    bad = pc.and_(pc.invert(known), pc.is_valid(values))
    if pc.any(bad).as_py():
        row = pc.index(bad, True).as_py()
        raise _Refused(Reason.NOT_A_BOOLEAN, str(values[row].as_py()), pc.sum(bad).as_py(), row + 1)
    return pc.equal(values, pa.scalar(1).cast(values.type))


def _from_text(table: OpenTable, values: pa.ChunkedArray, wanted: As, most_values: int) -> list[bytes | memoryview]:
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(values.cast(pa.large_string()))
    absent = pc.is_in(trimmed, value_set=pa.array(table.missing, pa.large_string()))
    trimmed = pc.if_else(absent, pa.scalar(None, pa.large_string()), trimmed)
    if wanted in (As.CATEGORY, As.TEXT):
        return _texts(table, trimmed, most_values, codes_only=wanted is As.CATEGORY)
    different = pc.drop_null(pc.unique(trimmed))
    if wanted in (As.AUTOMATIC, As.NUMBER) and len(different):
        is_number = pc.match_substring_regex(different, _NUMBER)
        if pc.all(is_number).as_py():
            return _numbers(table, _parse_numbers(trimmed, different))
        if table.decimal_comma and pc.all(pc.match_substring_regex(different, _DECIMAL_COMMA)).as_py():
            example = different.filter(pc.match_substring(different, ","))
            raise _Refused(Reason.DECIMAL_COMMA, example[0].as_py())
        if wanted is As.NUMBER:
            _refuse_first(trimmed, different.filter(pc.invert(is_number)), Reason.NOT_A_NUMBER)
    if wanted in (As.AUTOMATIC, As.BOOLEAN) and len(different):
        lowered = pc.utf8_lower(different)
        words = ["true", "false"] if wanted is As.AUTOMATIC else ["true", "false", "1", "0"]
        is_boolean = pc.is_in(lowered, value_set=pa.array(words, pa.large_string()))
        if pc.all(is_boolean).as_py():
            yes = pa.array(["true", "1"], pa.large_string())
            truth = pc.is_in(pc.utf8_lower(trimmed), value_set=yes)
            return _booleans(table, pc.if_else(pc.is_null(trimmed), pa.scalar(None, pa.bool_()), truth))
        if wanted is As.BOOLEAN:
            _refuse_first(trimmed, different.filter(pc.invert(is_boolean)), Reason.NOT_A_BOOLEAN)
    if not len(different) and wanted in (As.NUMBER, As.AUTOMATIC):
        return _numbers(table, pa.chunked_array([pa.nulls(table.rows, pa.float64())]))
    if wanted is As.BOOLEAN:
        return _booleans(table, pa.chunked_array([pa.nulls(table.rows, pa.bool_())]))
    return _texts(table, trimmed, most_values, codes_only=False)


def _refuse_first(values: pa.ChunkedArray, bad: pa.Array, reason: Reason) -> None:
    import pyarrow.compute as pc

    where = pc.fill_null(pc.is_in(values, value_set=bad), False)
    row = pc.index(where, True).as_py()
    raise _Refused(reason, values[row].as_py(), pc.sum(where).as_py(), row + 1)


def _parse_numbers(values: pa.ChunkedArray, different: pa.Array) -> pa.ChunkedArray:
    """Read text as numbers: whole ones only where each is written without a point and none is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.null_count == 0 and pc.all(pc.match_substring_regex(different, _WHOLE)).as_py():
        return values.cast(pa.int64())
    numbers = values.cast(pa.float64())
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)


def _section(type_: Type, rows: int, *, valid: bytes | None, entries: int = 0, text: int = 0) -> tuple[bytes, int]:
    section = frames.SECTION.pack(type_, valid is not None, 0, entries, text, 0, 0)
    values = frames.WIDTH[type_] * (rows + (type_ is Type.TEXT))
    length = len(section) + values + 8 * (entries + 1) * (type_ is Type.CODES) + text + len(valid or b"")
    return section, length


def _answer(
    rows: int,
    type_: Type,
    values: memoryview,
    *,
    valid: bytes | None,
    dictionary: bytes = b"",
    text: bytes = b"",
    entries: int = 0,
) -> list[bytes | memoryview]:
    section, length = _section(type_, rows, valid=valid, entries=entries, text=len(text))
    parts: list[bytes | memoryview] = [
        frames.answer(Kind.COLUMN, count=1, rows=rows, length=length),
        section,
        values,
        dictionary,
        text,
    ]
    if valid is not None:
        parts.append(valid)
    return parts


def _valid(values: pa.ChunkedArray) -> bytes | None:
    if values.null_count == 0:
        return None
    import numpy as np

    return bytes(np.asarray(values.is_valid().to_numpy(), dtype=np.uint8).tobytes())


def _numbers(table: OpenTable, values: pa.ChunkedArray) -> list[bytes | memoryview]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(values.type) and values.null_count == 0:
        whole = np.ascontiguousarray(values.to_numpy(), dtype="<i8")
        return _answer(table.rows, Type.WHOLE, whole.data.cast("B"), valid=None)
    if pa.types.is_integer(values.type):
        values = values.cast(pa.float64(), safe=False)
    endless = pc.fill_null(pc.is_inf(values), False)
    if pc.any(endless).as_py():
        row = pc.index(endless, True).as_py()
        raise _Refused(Reason.INFINITE, str(values[row].as_py()), pc.sum(endless).as_py(), row + 1)
    valid = _valid(values)
    numbers = np.ascontiguousarray(values.fill_null(0.0).to_numpy(), dtype="<f8")
    return _answer(table.rows, Type.NUMBER, numbers.data.cast("B"), valid=valid)


def _booleans(table: OpenTable, values: pa.ChunkedArray) -> list[bytes | memoryview]:
    import numpy as np

    valid = _valid(values)
    truth = np.ascontiguousarray(values.fill_null(False).to_numpy(), dtype=np.uint8)
    return _answer(table.rows, Type.BOOLEAN, truth.data.cast("B"), valid=valid)


def _texts(
    table: OpenTable, values: pa.ChunkedArray, most_values: int, *, codes_only: bool
) -> list[bytes | memoryview]:
    """Write text: as codes into a sorted dictionary where there are few different values, else each by itself."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values = values.cast(pa.large_string())
    different = pc.drop_null(pc.unique(values))
    if len(different) <= most_values:
        # Sorted by code point, so that the codes say nothing of the order of the rows.
        names = sorted(different.to_pylist())
        codes = pc.fill_null(pc.index_in(values, value_set=pa.array(names, pa.large_string())), frames.MISSING_CODE)
        written = [name.encode() for name in names]
        offsets = np.array([0, *itertools.accumulate(len(name) for name in written)], dtype="<u8")
        flat = np.ascontiguousarray(codes.to_numpy(), dtype="<i4")
        return _answer(
            table.rows,
            Type.CODES,
            flat.data.cast("B"),
            valid=None,
            dictionary=offsets.tobytes(),
            text=b"".join(written),
            entries=len(names),
        )
    if codes_only:
        raise _Refused(Reason.TOO_MANY_VALUES, different[0].as_py(), len(different))
    valid = _valid(values)
    filled = pa.concat_arrays(values.fill_null("").chunks)
    _, offsets_buffer, text_buffer = filled.buffers()
    raw = np.frombuffer(offsets_buffer, dtype="<i8")[filled.offset : filled.offset + len(filled) + 1]
    text = memoryview(text_buffer)[int(raw[0]) : int(raw[-1])] if text_buffer is not None else memoryview(b"")
    offsets = np.ascontiguousarray(raw - raw[0], dtype="<u8")
    return _answer(table.rows, Type.TEXT, offsets.data.cast("B"), valid=valid, text=bytes(text))
