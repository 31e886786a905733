"""safetensors files: named tensors and nothing else. Weights alone are no model, so they are recognised and not run."""

# ruff: noqa: TID252 - this folder is copied into a cell under another package name
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..columns import Unanswerable
from ..wire import Setup, Status
from . import Loaded, report

LOADING = "data_only"
NEEDS: tuple[str, ...] = ()

_MOST_HEADER = 100 * 1000**2
_MOST_READ = 4 * 1024**2


def _header_bytes(path: Path) -> int | None:
    if not path.is_file():
        return None
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(10)
    length = int.from_bytes(head[:8], "little")
    begins = head[8:10] in (b'{"', b"{}", b"{ ", b"{\n")
    fits = begins and 2 <= length <= min(_MOST_HEADER, size - 8)
    return length if fits else None


def sniff(path: Path) -> bool:
    """Tell whether this begins with the length of a header and a header of JSON that fits in it."""
    return _header_bytes(path) is not None


def scan(path: Path) -> dict[str, Any]:
    """List the tensors; say that weights alone are not supported, for they do not say how they answer."""
    length = _header_bytes(path) or 0
    notes = ["not_supported", "weights_alone"]
    if length > _MOST_READ:
        return report("safetensors", LOADING, "scan_incomplete", notes=[*notes, "header_not_read"])
    with path.open("rb") as file:
        file.seek(8)
        written = file.read(length)
    try:
        header = json.loads(written)
    except (ValueError, RecursionError):
        return report("safetensors", LOADING, "scan_incomplete", notes=[*notes, "header_unreadable"])
    names = header if isinstance(header, dict) else {}
    return report("safetensors", LOADING, types={f"tensor:{name}" for name in names}, notes=notes)


def load(path: Path, setup: Setup) -> Loaded:
    """Load nothing.

    Raises:
        Unanswerable: always: the file holds no architecture.
    """
    del path, setup
    raise Unanswerable(Status.NOT_SUPPORTED, "weights alone are no model")
