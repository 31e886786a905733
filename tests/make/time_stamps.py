"""A real time-stamping authority on this machine: OpenSSL's, behind a small web server."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIGURATION = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


class Authority:
    """An authority with a root certificate of its own.

    Args:
        folder: for its keys and certificates.
    """

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        folder.mkdir()
        self.folder = folder
        self.root = folder / "root.pem"
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(CONFIGURATION.format(folder=folder))
        (folder / "extensions").write_text(
            "extendedKeyUsage = critical,timeStamping\nkeyUsage = critical,digitalSignature\n"
        )
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem"),
            *("-days", "30", "-subj", f"/CN={name} root"),
        )
        self._openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", f"/CN={name}"
        )
        self._openssl(
            *("x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial"),
            *("-out", "tsa.pem", "-days", "30", "-extfile", "extensions"),
        )

    def answer(self, request: bytes) -> bytes:
        """Stamp what a request asks for."""
        (self.folder / "request").write_bytes(request)
        self._openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "request", "-out", "answer")
        return (self.folder / "answer").read_bytes()

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Answer on this machine; gives the address."""
        answer = self.answer

        class Page(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = answer(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/"
            finally:
                server.shutdown()

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)
