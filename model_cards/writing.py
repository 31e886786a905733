"""Write structured documents so that the same content gives the same bytes and no provider's text acts in a reader.

Values come from the provider and may be hostile: control and direction characters are made visible, and `<`, `>` and
`&` are escaped by the format's own means, so that nothing is markup where a file is shown by mistake as a page.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape as xml_escape

import yaml

from checks.finding import Figure
from model_cards.words import visible

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the start of a formula, full-width signs among them."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def shown(value: Any) -> Any:
    """Make hidden characters visible in every text of a structure, keys included.

    Args:
        value: of JSON types; tuples become lists, what is None stays.
    """
    if isinstance(value, str):
        return visible(str(value))
    if isinstance(value, Mapping):
        return {visible(str(key)): shown(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [shown(inner) for inner in value]
    return value


def stated(value: Any) -> Any:
    """Leave out what is None or an empty list, text or mapping, at every depth: a format's optional fields."""
    if isinstance(value, Mapping):
        kept = {key: stated(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner is not None and inner not in ("", [], {})}
    if isinstance(value, list | tuple):
        return [inner for inner in (stated(v) for v in value) if inner is not None and inner not in ("", [], {})]
    return value


def as_json(value: Any) -> bytes:
    """Write JSON types as UTF-8 JSON in the given order, without NaN; `<`, `>` and `&` are escaped."""
    text = json.dumps(shown(value), ensure_ascii=False, indent=2, allow_nan=False)
    # Inside JSON these three stand in strings alone.
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return (text + "\n").encode()


class _Dumper(yaml.CSafeDumper):
    """Writes a text that holds a sign of markup in double quotes, where it can be escaped; never an alias."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the name is the base class's
        return True


def _quoted(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if any(mark in text for mark in "<>&") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def as_yaml(value: Any, heading: tuple[str, ...] = ()) -> bytes:
    """Write JSON types as UTF-8 YAML in the given order, below comment lines.

    Args:
        value: see `shown`.
        heading: lines of the comment at the top.
    """
    text = yaml.dump(shown(value), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100_000)
    for mark in "<>&":
        text = text.replace(mark, f"\\x{ord(mark):02X}")
    comment = "".join(f"# {visible(said)}\n" for said in heading)
    return f"{comment}{text}".encode()


def xml_text(text: str) -> str:
    """Escape text for XML content and for attributes in double quotes; what XML 1.0 cannot hold is made visible."""
    return xml_escape(visible(text), {'"': "&quot;"})


def csv_cell(value: Any) -> str:
    """Write one cell of a CSV file, without its quotes.

    Args:
        value: a number stays a number; a text that a spreadsheet would take for a formula gets a `'` before it; None is
            an empty cell.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    shown_text = visible(text)
    if text.lstrip(" \u00a0\u3000").startswith(FORMULA_STARTS) and not _NUMBER.fullmatch(text.strip()):
        return f"'{shown_text}"
    return shown_text


def as_csv(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> bytes:
    """Write a table as CSV by RFC 4180: UTF-8, comma, CRLF, a header line.

    Args:
        columns: names; not trusted either.
        rows: as many cells as columns; see `csv_cell`.
    """
    import csv

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([csv_cell(name) for name in columns])
    writer.writerows([[csv_cell(value) for value in row] for row in rows])
    return out.getvalue().encode()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Put files into a zip whose bytes depend on them alone: sorted, one fixed time, no system's own fields.

    Args:
        files: content by path inside the zip.
    """
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return sink.getvalue()


def parquet(figure: Figure) -> bytes:
    """Write a figure's data as Parquet, its kind and parameters beside them; the same figure gives the same bytes."""
    # Arrow is slow to import and not needed for documents alone.
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {}
    for name, values in figure.columns.items():
        mixed = len({type(v) for v in values if v is not None} - {int, float}) > 1
        numbers = {type(v) for v in values if v is not None} <= {int, float}
        if mixed or (not numbers and any(isinstance(v, int | float) and not isinstance(v, bool) for v in values)):
            columns[name] = pa.array([None if v is None else str(v) for v in values], type=pa.string())
        elif numbers and any(isinstance(v, float) for v in values):
            columns[name] = pa.array([None if v is None else float(v) for v in values], type=pa.float64())
        else:
            columns[name] = pa.array(list(values))
    about = {"kind": figure.kind, "params": dict(figure.params), "row_level": figure.row_level}
    sink = io.BytesIO()
    table = pa.table(columns, metadata={"figure": json.dumps(about, ensure_ascii=False, sort_keys=True)})
    pq.write_table(table, sink, compression="zstd", version="2.6")
    return sink.getvalue()
