"""Hold a signing key in a process of its own, which signs statements about digests and nothing else.

Whoever asks never holds the key; whoever holds the key never sees a dossier. What is signed is read before: it must be
a statement of ours, of names and SHA-256 digests and the summary of the findings, by this key, and of now. So nobody
makes the process sign another program's message, or a date that is not today's.

Assumes of its caller: whoever may open the socket may have dossiers signed; its folder decides who that is.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import logging
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox import statement
from sandbox.keys.listed import key_id, refused
from sandbox.keys.signer import Signer

log = logging.getLogger(__name__)

LARGEST: Final = 16 * 1024**2
"""Most bytes of one statement: some hundred thousand files."""

CLOCK_SECONDS: Final = 300
"""How far the time in a statement may be from the clock of the process."""

ANSWER_SECONDS: Final = 30


class Unsigned(Exception):
    """What was sent is not signed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A key that another process holds.

    Args:
        public: its public key, 32 bytes.
        address: the socket of the process.
    """

    public: bytes
    address: Path

    @classmethod
    def reach(cls, address: Path) -> Remote:
        """Ask the process which key it holds.

        Raises:
            Refused: nobody answers there.
        """
        return cls(public=_asked(address, b""), address=address)

    def sign(self, message: bytes) -> bytes:
        """Have it signed.

        Raises:
            Refused: nobody answers, or the process does not sign this.
        """
        return _asked(self.address, message)


def serve(signer: Signer, address: Path) -> None:
    """Sign for whoever can open the socket, until the process is told to stop; see `serving`."""
    with serving(signer, address) as stopped:
        stopped.wait()


@contextmanager
def serving(signer: Signer, address: Path) -> Iterator[threading.Event]:
    """Sign in the background for as long as the block lasts.

    Args:
        signer: holds the key.
        address: path of the socket to make; open to this user and group.

    Returns:
        An event that nobody sets: what to wait for.

    Raises:
        OSError: a socket cannot be made there.
    """

    class Conversation(socketserver.StreamRequestHandler):
        timeout = ANSWER_SECONDS

        def handle(self) -> None:
            try:
                message = _read(self.rfile.read)
                answer = _signed(signer, message) if message else signer.public
                _send(self.connection, b"+" + answer)
            except Unsigned as why:
                log.warning("not signed: %s", why)
                _send(self.connection, b"-" + str(why).encode())
            except OSError as gone:
                log.warning("a caller went away: %s", gone)

    if address.is_socket():
        address.unlink()
    with socketserver.ThreadingUnixStreamServer(str(address), Conversation) as server:
        address.chmod(0o660)
        thread = threading.Thread(target=server.serve_forever, name="signer", daemon=True)
        thread.start()
        log.info("signing with key %s", key_id(signer.public))
        try:
            yield threading.Event()
        finally:
            server.shutdown()
            thread.join()
            address.unlink(missing_ok=True)


def _signed(signer: Signer, message: bytes) -> bytes:

    head = statement.pae(b"").rpartition(b" 0 ")[0] + b" "
    length, _, payload = message.removeprefix(head).partition(b" ")
    if not message.startswith(head) or length != str(len(payload)).encode():
        raise Unsigned("this is not what a signature of a dossier is over")
    try:
        given = json.loads(payload)
        if json.dumps(given, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() != payload:
            raise Unsigned("the statement is not in its one form")
        if given["_type"] != statement.STATEMENT_TYPE or given["predicateType"] != statement.PREDICATE_TYPE:
            raise Unsigned("the statement is of another type")
        for subject in given["subject"]:
            if set(subject) != {"name", "digest"} or set(subject["digest"]) != {"sha256"}:
                raise Unsigned("the statement holds more than names and digests")
            bytes.fromhex(subject["digest"]["sha256"])
        said = given["predicate"]
        if base64.b64decode(said["signer"]["public_key"]) != signer.public:
            raise Unsigned("the statement names another key")
        stated = dt.datetime.fromisoformat(said["signed_at"])
        away = abs((dt.datetime.now(dt.UTC) - stated).total_seconds())
        dossier = str(said["dossier_digest"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as wrong:
        raise Unsigned(f"the statement cannot be read: {type(wrong).__name__}") from wrong
    if away > CLOCK_SECONDS:
        raise Unsigned(f"the statement is of {stated.isoformat()}, which is {away:.0f} seconds from now")
    log.info("signed dossier %s with key %s", dossier, key_id(signer.public))
    return signer.sign(message)


def _asked(address: Path, message: bytes) -> bytes:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(ANSWER_SECONDS)
            line.connect(os.fspath(address))
            _send(line, message)
            with line.makefile("rb") as heard:
                answer = _read(heard.read)
    except (OSError, Unsigned) as gone:
        raise refused("key", "key.process", f"no signing process answers at {address}") from gone
    if not answer.startswith(b"+"):
        why = answer[1:].decode("utf-8", "replace")
        raise refused("key", "key.process", f"the signing process does not sign this: {why}")
    return answer[1:]


def _send(line: socket.socket, message: bytes) -> None:
    line.sendall(struct.pack(">I", len(message)) + message)


def _read(read: Callable[[int], bytes]) -> bytes:
    head = read(4)
    if len(head) != 4:
        raise Unsigned("nothing was asked")
    (length,) = struct.unpack(">I", head)
    if length > LARGEST:
        raise Unsigned(f"the statement is larger than {LARGEST} bytes")
    message = read(length)
    if len(message) != length:
        raise Unsigned("the statement breaks off")
    return message
