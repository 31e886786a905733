"""Installs the packages that a model asks for: the entry of a builder's cell, which holds no upload.

Assumes that the connection is to the host, that the way to the package index is the socket `gate` beside it, and
nothing about the packages: whoever made them wrote their content, and where the operator lets packages be built from
source, runs code here. The host believes nothing of what this sends but bounded names and bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import threading
from pathlib import Path
from typing import Any

TOOL = "/c/upload/uv"
PYTHON = "/usr/bin/python3"
GATE = "/c/socket/gate"
WORK = Path("/tmp")  # noqa: S108 - the cell's own memory files

REQUEST = struct.Struct("<4sQ")
PART = struct.Struct("<4sBxHQ")
MAGIC = b"AISB"
RESOLVED, FAILED, FILE, DONE = 1, 2, 3, 4

MOST_WORDS = 4000
_PIECE = 65536


def main(connection: socket.socket) -> None:
    """Resolve what is asked, tell the host, and install what the host then names; send every installed file.

    Args:
        connection: connected stream socket to the host, blocking.
    """
    asked = _receive(connection)
    if asked is None:
        return
    (WORK / "asked.in").write_text(asked["requirements"])
    (WORK / "certificates.pem").write_text(asked["certificates"])
    environment = _environment(_serve_gate())
    sources = [] if asked["sources"] else ["--only-binary", ":all:"]
    common = ["--no-config", "--color", "never", "--no-progress", "--default-index", asked["index"], *sources]
    common += ["--keyring-provider", "disabled", "--python", PYTHON, "--no-python-downloads"]
    lock = WORK / "resolved.txt"
    resolve = ["compile", *common, "--quiet", "--no-annotate", "--no-header", "--generate-hashes", "-o", str(lock)]
    failed = _run([*resolve, str(WORK / "asked.in")], environment)
    if failed is not None:
        _send(connection, FAILED, body=failed)
        return
    _send(connection, RESOLVED, body=lock.read_bytes())
    settled = _receive(connection)
    if settled is None:
        return
    lock.write_text(settled["resolved"])
    target = WORK / "environment"
    install = ["install", *common, "--quiet", "--target", str(target), "--no-deps", "--require-hashes"]
    install += ["--link-mode", "hardlink", "--compile-bytecode", "-r", str(lock)]
    failed = _run(install, environment)
    if failed is not None:
        # The index named these versions a moment ago. One that is served from several places can lack, at one of them,
        # what it has at another; it is asked once more, and nothing that was kept of its answers counts.
        failed = _run([*install, "--refresh"], environment)
    if failed is not None:
        _send(connection, FAILED, body=failed)
        return
    _send_files(connection, target)


def _environment(port: int) -> dict[str, str]:
    way = f"http://127.0.0.1:{port}"
    certificates = WORK / "certificates.pem"
    trusted = {"SSL_CERT_FILE": str(certificates)} if certificates.stat().st_size else {}
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(WORK),
        "LC_ALL": "C.UTF-8",
        "HTTPS_PROXY": way,
        "HTTP_PROXY": way,
        "UV_CACHE_DIR": str(WORK / "cache"),
        "UV_CONCURRENT_DOWNLOADS": "8",
        "UV_HTTP_TIMEOUT": "60",
        "UV_HTTP_RETRIES": "2",
        # The files are written anew on the host: bytecode that goes by their times would never be used.
        "PYC_INVALIDATION_MODE": "UNCHECKED_HASH",
        **trusted,
    }


def _run(arguments: list[str], environment: dict[str, str]) -> bytes | None:
    """Run the installer; give its last words where it failed."""
    done = subprocess.run([TOOL, "pip", *arguments], capture_output=True, env=environment, check=False)  # noqa: S603
    return None if done.returncode == 0 else (done.stderr.strip() or b"it said nothing")[-MOST_WORDS:]


def _send_files(connection: socket.socket, folder: Path) -> None:
    for current, folders, names in os.walk(folder):
        if Path(current) == folder and "bin" in folders:
            folders.remove("bin")
        for name in names:
            path = Path(current) / name
            if path.is_file() and not path.is_symlink():
                _send(connection, FILE, str(path.relative_to(folder)).encode(), path.read_bytes())
    _send(connection, DONE)


def _send(connection: socket.socket, kind: int, name: bytes = b"", body: bytes = b"") -> None:
    connection.sendall(PART.pack(MAGIC, kind, len(name), len(body)) + name)
    connection.sendall(body)


def _receive(connection: socket.socket) -> dict[str, Any] | None:
    head = _exactly(connection, REQUEST.size)
    if head is None:
        return None
    body = _exactly(connection, REQUEST.unpack(head)[1])
    return None if body is None else json.loads(body)


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    held = bytearray()
    while len(held) < size:
        piece = connection.recv(min(_PIECE, size - len(held)))
        if not piece:
            return None
        held += piece
    return bytes(held)


def _serve_gate() -> int:
    """Carry what the installer says on this cell's own loopback to the host's gate; give the port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    return int(listener.getsockname()[1])


def _accept(listener: socket.socket) -> None:
    while True:
        near, _ = listener.accept()
        far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        far.connect(GATE)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=_carry, args=(source, sink), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
