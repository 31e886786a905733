"""A package index on this machine's loopback, with packages that a test writes itself."""

from __future__ import annotations

import base64
import hashlib
import io
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
