"""Reads one upload for the host: a table as typed columns, a scan of a model file, or the text of a document.

Assumes that the connection is to the host, and nothing about the upload: it may be made to break a parser, which is why
this entry of an intake cell runs behind a wall. Nothing of an upload is executed here.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

from . import frames, landlock
from .frames import Fault, Kind, Unreadable

UPLOAD = Path("/c/upload")
MODEL = Path("/c/model")


class _NoPandas:
    """Keeps pandas out of a process that reads a table: pyarrow would import it, half a second for nothing."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Find no pandas, and leave every other module to the next finder."""
        del path, target
        if name == "pandas":
            raise ModuleNotFoundError(name)


def _scan(body: dict[str, Any], folder: Path) -> bytes:
    from . import formats

    path = folder / body["name"]
    found = formats.sniff(path)
    if found is None:
        raise Unreadable(Fault.NO_SUCH_FORMAT)
    report = formats.scan(path, bool(body["allow_code"]))
    written = json.dumps(
        {"format": str(found), "report": _plain(report)}, ensure_ascii=True, allow_nan=False, sort_keys=True
    ).encode()
    if len(written) > int(body["largest"]):
        raise Unreadable(Fault.SCAN_FAILED, "the report is larger than is read", (len(written),))
    return frames.answer(Kind.SCAN, length=len(written)) + written


def _plain(value: Any, depth: int = 0) -> Any:
    """Keep of a report what JSON knows; anything else as its text."""
    if depth > 12:
        return "..."
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(k): _plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        kept = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(v, depth + 1) for v in kept]
    return str(value)


def answer_all(
    connection: socket.socket, *, upload: Path = UPLOAD, model: Path = MODEL, own_process: bool = False
) -> None:
    """Answer the host's requests until it closes the connection.

    Args:
        connection: connected stream socket to the host, blocking.
        upload: folder that holds the one upload.
        model: folder that holds the one model file or folder.
        own_process: whether this process reads one upload and ends.

    Raises:
        OffTheFrames: what arrived is not a request.
    """
    table = None
    while (received := frames.receive_request(connection)) is not None:
        kind, body = received
        try:
            if kind is Kind.OPEN:
                from . import tables

                if own_process:
                    sys.meta_path.insert(0, _NoPandas())
                table = tables.open_table(upload / body["name"], body)
                connection.sendall(tables.head(table))
            elif kind is Kind.COLUMN:
                if table is None:
                    raise frames.OffTheFrames("a column is asked of no table")
                from . import tables

                for part in tables.column(table, int(body["index"]), frames.As(body["as"]), int(body["most_values"])):
                    connection.sendall(part)
            elif kind is Kind.TEXT:
                from . import documents

                connection.sendall(documents.answer(upload / body["name"], body))
            else:
                connection.sendall(_scan(body, model))
        except Unreadable as raised:
            connection.sendall(frames.fault(raised))
        except MemoryError:
            connection.sendall(frames.fault(Unreadable(Fault.OUT_OF_MEMORY)))
            return


def main(connection: socket.socket) -> None:
    """Close the cell in, and answer the host from the places that uploads have in it.

    Args:
        connection: connected stream socket to the host, blocking.

    Raises:
        OffTheFrames: what arrived is not a request.
        OSError: the kernel has Landlock and did not take our rules.
    """
    landlock.close_in()
    answer_all(connection, own_process=True)
