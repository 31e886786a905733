"""Builds small submissions, as folders and as zips, right ones and ones with one thing wrong."""

from __future__ import annotations

import copy
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

CLASSES = ("no", "yes")
SYSTEM: Mapping[str, Any] = {
    "name": "Loan check",
    "version": "1.0",
    "provider": {"name": "Example BV", "contact": "ai@example.org", "country": "NL", "size": "small"},
    "roles": ["provider"],
    "intended_purpose": "Advises a clerk whether a loan can be granted.",
}
DATA: Mapping[str, Any] = {
    "task": "binary",
    "classes": list(CLASSES),
    "favourable": "yes",
    "columns": {"sex": "group", "outcome": "label"},
}
ROWS = (
    ("income", "town", "sex", "outcome", "decision", "score"),
    ("1200", "Breda", "f", "yes", "yes", "0.9"),
    ("800", "Delft", "m", "no", "yes", "0.7"),
    ("2400", "Breda", "m", "yes", "yes", "0.8"),
    ("600", "Assen", "f", "no", "no", "0.2"),
    ("700", "Delft", "f", "yes", "no", "0.4"),
    ("950", "Assen", "m", "no", "no", "0.1"),
)
"""Six people; the last two columns are decisions and scores."""


class _Plain(yaml.SafeDumper):
    """Writes YAML without anchors, which a submission may not hold."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump(content: Any) -> str:
    """Write YAML as a person would: without anchors, in the given order."""
    return yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True)


def csv_of(rows: Sequence[Sequence[str]] = ROWS, delimiter: str = ",") -> str:
    """Write rows as CSV; no field here needs quotes."""
    return "".join(delimiter.join(row) + "\n" for row in rows)


def without(rows: Sequence[Sequence[str]], *columns: str) -> list[tuple[str, ...]]:
    """Leave columns out of rows with a header."""
    kept = [i for i, name in enumerate(rows[0]) if name not in columns]
    return [tuple(row[i] for i in kept) for row in rows]


def write(folder: Path, content: Mapping[str, Any], files: Mapping[str, str | bytes] | None = None) -> Path:
    """Write a submission folder.

    Args:
        folder: made where it is not there.
        content: of submission.yaml.
        files: further files by path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "submission.yaml").write_text(dump(dict(content)), encoding="utf-8")
    for path, text in (files or {}).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def predictions(
    folder: Path,
    *,
    table: str | bytes | None = None,
    data: Mapping[str, Any] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    **more: Any,
) -> Path:
    """Write a submission on the predictions route.

    Args:
        folder: where.
        table: content of table.csv; `ROWS` where none is given.
        data: changes of the section `data`; a value of None takes a field away.
        files: further files.
        more: changes of the whole; None takes a section away.
    """
    content: dict[str, Any] = {
        "format": 1,
        "system": copy.deepcopy(dict(SYSTEM)),
        "predictions": {"file": "table.csv", "decision": "decision", "score": "score", "score_of": "yes"},
        "data": _changed(DATA, data or {}),
    }
    return write(
        folder, _changed(content, more), {"table.csv": table if table is not None else csv_of(), **(files or {})}
    )


def with_model(
    folder: Path,
    model: bytes,
    *,
    name: str = "model.json",
    table: str | bytes | None = None,
    table_name: str = "table.csv",
    stated: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    **more: Any,
) -> Path:
    """Write a submission on the model route.

    Args:
        folder: where.
        model: the bytes of the model file.
        name: its name.
        table: content of the table; `ROWS` without decisions where none is given.
        table_name: its name.
        stated: changes of the section `model`.
        data: changes of the section `data`.
        files: further files.
        more: changes of the whole.
    """
    content: dict[str, Any] = {
        "format": 1,
        "system": copy.deepcopy(dict(SYSTEM)),
        "model": _changed({"file": name, "output": "probability", "score_of": "yes"}, stated or {}),
        "data": _changed({**DATA, "file": table_name}, data or {}),
    }
    shown = table if table is not None else csv_of(without(ROWS, "decision", "score"))
    return write(folder, _changed(content, more), {name: model, table_name: shown, **(files or {})})


def counts(folder: Path, table: str, **more: Any) -> Path:
    """Write a submission on the counts route."""
    content: dict[str, Any] = {
        "format": 1,
        "system": copy.deepcopy(dict(SYSTEM)),
        "counts": {"file": "counts.csv"},
        "data": {"task": "binary", "classes": list(CLASSES), "favourable": "yes", "columns": {"sex": "group"}},
    }
    return write(folder, _changed(content, more), {"counts.csv": table})


def documents(folder: Path, files: Mapping[str, str | bytes] | None = None, **more: Any) -> Path:
    """Write a submission on the documents route."""
    return write(folder, _changed({"format": 1, "system": copy.deepcopy(dict(SYSTEM))}, more), files)


def _changed(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    made = {**copy.deepcopy(dict(content)), **changes}
    return {name: value for name, value in made.items() if value is not None}


def zipped(folder: Path, target: Path, *, inside: str = "") -> Path:
    """Make a zip of a folder, as a person's program would.

    Args:
        folder: what goes in.
        target: the zip.
        inside: folder in the zip that holds everything; empty for none.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{inside}{path.relative_to(folder).as_posix()}")
    return target


def raw_zip(
    entries: Sequence[Mapping[str, Any]],
    *,
    before: bytes = b"",
    after: bytes = b"",
    end: Mapping[str, int] | None = None,
    wide: Mapping[str, int] | None = None,
) -> bytes:
    """Write a zip byte by byte, so that each field can lie.

    Args:
        entries: each with `name` (str or bytes) and `content`; optional `local_name`, `size`, `local_size`, `packed`,
            `flags`, `method`, `mode`, `crc`, `gap` (bytes before it), `at` (offset told in the directory), `extra`,
            `local_extra`, `local_packed`, `local_crc`, `behind` (bytes after its content).
        before: bytes before the archive.
        after: bytes after it.
        end: what the end states otherwise than is true: `here`, `count`, `length`, `offset`.
        wide: writes an end in 64 bits too; beside the same names `left`, `begin`, `disk` and `disks`.
    """
    body, directory = bytearray(), bytearray()
    for entry in entries:
        name = entry["name"].encode() if isinstance(entry["name"], str) else entry["name"]
        content = entry["content"]
        method = entry.get("method", 0)
        stored = content
        if method == 8:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            stored = packer.compress(content) + packer.flush()
        size = entry.get("size", len(content))
        crc = entry.get("crc", zlib.crc32(content))
        packed = entry.get("packed", len(stored))
        flags = entry.get("flags", 0x800)
        extra = entry.get("extra", b"")
        body += entry.get("gap", b"")
        at = entry.get("at", len(body))
        local = entry.get("local_name", name)
        body += struct.pack(
            "<4s5H3I2H",
            b"PK\3\4",
            20,
            flags,
            method,
            0,
            0x21,
            entry.get("local_crc", crc),
            entry.get("local_packed", packed),
            entry.get("local_size", size),
            len(local),
            len(entry.get("local_extra", b"")),
        )
        body += local + entry.get("local_extra", b"") + stored + entry.get("behind", b"")
        directory += struct.pack(
            "<4s6H3I5H2I",
            *(b"PK\1\2", 0x314, 20, flags, method, 0, 0x21, crc, packed, size, len(name), len(extra), 0, 0, 0),
            *((entry.get("mode", 0o100644) << 16), at),
        )
        directory += name + extra
    true = {"here": len(entries), "count": len(entries), "length": len(directory), "offset": len(body)}
    whole = before + bytes(body + directory)
    if wide is not None:
        says = {**true, "left": 44, "begin": len(whole), "disk": 0, "disks": 1, **wide}
        whole += struct.pack("<4sQ2H2I", b"PK\6\6", says["left"], 45, 45, 0, 0)
        whole += struct.pack("<4Q", says["here"], says["count"], says["length"], says["offset"])
        whole += struct.pack("<4sIQI", b"PK\6\7", says["disk"], says["begin"], says["disks"])
    told = {**true, **(end or {})}
    return whole + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, *(told[name] for name in true), 0) + after
