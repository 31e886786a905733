"""A package index on this machine's loopback, with packages that a test writes itself."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


def wheel(name: str, version: str, files: Mapping[str, str], *, requires: tuple[str, ...] = ()) -> tuple[str, bytes]:
    """Write a wheel of plain Python.

    Args:
        name: of the package, also of its distribution.
        version: of it.
        files: text by path.
        requires: what it depends on.

    Returns:
        Its file name and content.
    """
    about = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    inside = {
        **files,
        f"{about}/METADATA": metadata,
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in inside.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    inside[f"{about}/RECORD"] = record + f"{about}/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for path, text in inside.items():
            packed.writestr(zipfile.ZipInfo(path), text)
    return f"{name}-{version}-py3-none-any.whl", out.getvalue()


BACKEND = """
import base64, hashlib, io, json, os, socket, urllib.error, urllib.request, zipfile
import below

def reached(address):
    with socket.socket() as one:
        one.settimeout(3)
        try:
            one.connect(address)
            return True
        except OSError:
            return False

def answered(url):
    try:
        return urllib.request.urlopen(url, timeout=10).status
    except urllib.error.HTTPError as refused:
        return refused.code

def resolved(name):
    try:
        return bool(socket.getaddrinfo(name, 80))
    except OSError:
        return False

def below_the_cell():
    return sorted(os.path.join(at, name) for at, _, names in os.walk("/c") for name in names if "/c/code" not in at)

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    asks = json.load(open("asks.json"))
    seen = {
        "built_with": below.add(1, 2),
        "files": below_the_cell(),
        "names": sorted(os.environ),
        "reached": [reached(tuple(one)) for one in asks["addresses"]],
        "answered": [answered(one) for one in asks["urls"]],
        "resolved": resolved("index.example"),
    }
    about = "source_only-1.0.dist-info"
    files = {
        "source_only.py": "SEEN = " + repr(seen),
        "seen.json": json.dumps(seen),
        about + "/METADATA": "Metadata-Version: 2.1\\nName: source_only\\nVersion: 1.0\\n",
        about + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = about + "/RECORD"
    with zipfile.ZipFile(os.path.join(wheel_directory, "source_only-1.0-py3-none-any.whl"), "w") as packed:
        for path, text in {**files, record: "".join(path + ",,\\n" for path in (*files, record))}.items():
            packed.writestr(path, text)
    return "source_only-1.0-py3-none-any.whl"
"""
"""A build backend that builds with a package of the index, looks around, and packs what it saw into its wheel."""


def source(files: Mapping[str, str], *, name: str = "source_only", version: str = "1.0") -> tuple[str, bytes]:
    """Write a source distribution that `BACKEND` builds with the package `below`.

    Args:
        files: further text by path, beside what makes it one.
        name: of the package.
        version: of it.

    Returns:
        Its file name and content.
    """
    inside = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": '[build-system]\nrequires = ["below"]\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND,
        **files,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        for path, text in inside.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    return f"{name}-{version}.tar.gz", out.getvalue()


class Served:
    """What an index serves, and what it was asked.

    Args:
        files: content by file name.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []
        self.url = ""

    def page(self, path: str) -> bytes | None:
        """Give what stands at a path."""
        parts = path.strip("/").split("/")
        if parts[0] == "files" and len(parts) == 2:
            return self.files.get(parts[1])
        if parts[0] != "simple" or len(parts) != 2:
            return None
        found = [name for name in self.files if name.partition("-")[0].replace("_", "-") == parts[1]]
        if not found:
            return None
        links = (f'<a href="/files/{n}#sha256={hashlib.sha256(self.files[n]).hexdigest()}">{n}</a>' for n in found)
        return ("<!DOCTYPE html><html><body>" + "".join(links) + "</body></html>").encode()


@contextmanager
def serving(*files: tuple[str, bytes]) -> Iterator[Served]:
    """Serve these files as an index until the end of the block."""
    served = Served(dict(files))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.asked.append(self.path)
            content = served.page(urlsplit(self.path).path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Type", "text/html" if "/simple/" in self.path else "application/octet-stream")
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/simple/"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
