"""Has an environment built in a cell of its own, and writes down here only what may be written.

Assumes nothing of the builder's cell, for the packages in it may have been made to break it: names, sizes and counts
are held against limits, only plain files inside one folder are made, and what the resolver settled on is read strictly.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.cell.build import DONE, FAILED, FILE, MAGIC, MOST_WORDS, PART, REQUEST, RESOLVED
from sandbox.environments import gate
from sandbox.environments.requirements import Requirement, read_resolution, written
from sandbox.errors import ModelFault
from sandbox.isolation.interface import CellFiles, Isolation, Limits
from sandbox.isolation.running import KeptCell
from sandbox.settings import Settings

LIMITS = Limits(
    memory_bytes=6 * 1024**3,
    processes=128,
    cpu_seconds=1200,
    wall_seconds=1200,
    scratch_bytes=5 * 1024**3,
    file_bytes=2 * 1024**3,
    open_files=1024,
    start_seconds=60.0,
)
"""Of a builder's cell: what it installs is in its memory until it has been sent."""

OURS = ("numpy", "pandas")
"""What the cell's own code needs beside the model's packages; the resolver chooses versions that fit."""

MOST_FILES = 100_000
MOST_FILE_BYTES = 5 * 1024**3
_MOST_SAID = 16 * 1024**2
_PIECE = 1024**2
LONGEST_WORDS = 600

Resolution = Mapping[str, tuple[str, frozenset[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One built environment, not yet in its place.

    Args:
        resolution: version and hashes by package.
        files: SHA-256 by path.
    """

    resolution: Resolution
    files: Mapping[str, str]


def failed(words: str, stage: str) -> ModelFault:
    """Say that an environment cannot be had, in the words of who found out.

    Args:
        words: of the resolver, or ours.
        stage: `index`, `resolve`, `install` or `builder`.
    """
    plain = " ".join("".join(c if c.isprintable() else " " for c in words).split())[:LONGEST_WORDS]
    return ModelFault(
        "environment_failed",
        f"The packages that the model asks for could not be installed: {plain}",
        words=plain,
        stage=stage,
    )


def build(
    asked: tuple[Requirement, ...],
    *,
    isolation: Isolation,
    settings: Settings,
    place: Callable[[Resolution], Path | None],
) -> Installed | None:
    """Resolve and install in a builder's cell.

    Args:
        asked: what the model asks for.
        isolation: the wall that the model will run behind: its Python is the one that is built for.
        settings: which index, and whether packages may be built from source.
        place: given the resolution, says which new folder takes the files; None where they are there already.

    Returns:
        What was written; None where `place` had it.

    Raises:
        ModelFault: `environment_failed`, with the resolver's own words.
        CellUnavailable: the wall could not be built.
    """
    import uv

    index = gate.index_of(settings)
    try:
        known = gate.addresses(index)
    except gate.NoIndex as none:
        raise failed(str(none), "index") from none
    running = isolation.open(CellFiles(entry="build", upload=Path(uv.find_uv_bin())), LIMITS)
    try:
        assert isinstance(running, KeptCell)
        running.connection.settimeout(LIMITS.wall_seconds)
        with gate.opened(running.listen("gate"), known):
            return _converse(running, asked, index, settings, place)
    except (OSError, EOFError) as gone:
        ended = running.ending()
        raise failed(f"the builder's cell ended before it was done ({ended.value}): {gone}", "builder") from gone
    finally:
        running.close()


def _converse(
    running: KeptCell,
    asked: tuple[Requirement, ...],
    index: gate.Index,
    settings: Settings,
    place: Callable[[Resolution], Path | None],
) -> Installed | None:
    given = {one.name for one in asked}
    lines = [one.line() for one in asked] + [name for name in OURS if name not in given]
    request = {
        "requirements": "\n".join(lines) + "\n",
        "index": index.url,
        "certificates": _certificates(),
        "sources": bool(settings.package_sources),
    }
    _send(running.connection, request)
    kind, _, size = _head(running.connection, _MOST_SAID)
    body = _exactly(running.connection, size)
    if kind == FAILED:
        raise failed(_told(body), "resolve")
    resolution = read_resolution(body.decode("utf-8", "replace"), asked) if kind == RESOLVED else None
    if resolution is None:
        raise failed("what came back is no list of packages", "builder")
    without = sorted(name for name, (_, hashes) in resolution.items() if not hashes)
    if without:
        raise failed(f"the index has no file with the hash that is stated for {', '.join(without)}", "resolve")
    folder = place(resolution)
    if folder is None:
        return None
    _send(running.connection, {"resolved": written(resolution)})
    return Installed(resolution=resolution, files=_write(running.connection, folder))


def _certificates() -> str:
    """Give the certificates that this machine trusts: the installer checks the index by them."""
    for path in (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile):
        if path and Path(path).is_file():
            return Path(path).read_text()
    return ""


def _send(connection: socket.socket, stated: Mapping[str, object]) -> None:
    body = json.dumps(stated).encode()
    connection.sendall(REQUEST.pack(MAGIC, len(body)) + body)


def _told(body: bytearray) -> str:
    return body[:MOST_WORDS].decode("utf-8", "replace")


def _head(connection: socket.socket, most: int) -> tuple[int, str, int]:
    """Give what comes next: its kind, its name, and how many bytes of it are to be read."""
    magic, kind, name, size = PART.unpack(_exactly(connection, PART.size))
    if magic != MAGIC or size > (most if kind == FILE else _MOST_SAID):
        raise failed("what came back is not what a builder sends, or is too large", "builder")
    return kind, _exactly(connection, name).decode("utf-8", "replace"), size


def _exactly(connection: socket.socket, size: int) -> bytearray:
    held = bytearray(size)
    view, at = memoryview(held), 0
    while at < size:
        got = connection.recv_into(view[at:])
        if not got:
            raise EOFError("the connection ended")
        at += got
    return held


def _write(connection: socket.socket, folder: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    left = MOST_FILE_BYTES
    while True:
        kind, name, size = _head(connection, left)
        if kind == DONE:
            return files
        if kind == FAILED:
            raise failed(_told(_exactly(connection, size)), "install")
        left -= size
        parts = name.split("/")
        strange = any(part in ("", ".", "..") or not part.isprintable() for part in parts) or len(name) > 1000
        if kind != FILE or strange or name in files or len(files) >= MOST_FILES:
            raise failed("what came back is not what a builder sends", "builder")
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        made = hashlib.sha256()
        with path.open("xb") as out:
            # In pieces: a size is only said, and a file may be larger than this process's memory.
            for at in range(0, size, _PIECE):
                piece = _exactly(connection, min(_PIECE, size - at))
                out.write(piece)
                made.update(piece)
        files[name] = made.hexdigest()
