"""Encrypt and decrypt a stream of any length in pieces of AES-256-GCM.

Each piece is bound to the header, to its place and to being the last or not, so that pieces cannot be swapped, cut off
or taken from another file. Assumes of its caller: a key and a prefix are used for one stream alone.
"""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PIECE = 1024**2
_TAG = 16


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", number, last)


class Sealing(io.RawIOBase):
    """A file that encrypts what is written to it, piece by piece."""

    def __init__(self, out: BinaryIO | io.RawIOBase, key: bytes, prefix: bytes, header: bytes) -> None:
        super().__init__()
        self._out, self._cipher, self._prefix, self._header = out, AESGCM(key), prefix, header
        self._waiting = bytearray()
        self._number = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: object, /) -> int:
        raw = memoryview(piece).cast("B")  # type: ignore[arg-type]  # any buffer
        self._waiting += raw
        while len(self._waiting) > PIECE:
            self._put(bytes(self._waiting[:PIECE]), last=False)
            del self._waiting[:PIECE]
        return len(raw)

    def _put(self, piece: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._prefix, self._number, last), piece, self._header))
        self._number += 1

    def finish(self) -> None:
        """Write the last piece."""
        self._put(bytes(self._waiting), last=True)


class Opening(io.RawIOBase):
    """A file that decrypts what is read from it, piece by piece; what it gives is genuine."""

    def __init__(self, source: BinaryIO, key: bytes, prefix: bytes, header: bytes) -> None:
        super().__init__()
        self._source, self._cipher, self._prefix, self._header = source, AESGCM(key), prefix, header
        self._ready = memoryview(b"")
        self._number = 0
        self._next = source.read(PIECE + _TAG)
        self._ended = False

    def readable(self) -> bool:
        return True

    def _more(self) -> bool:
        if self._ended:
            return False
        piece, self._next = self._next, self._source.read(PIECE + _TAG)
        self._ended = not self._next
        nonce = _nonce(self._prefix, self._number, self._ended)
        self._ready = memoryview(self._cipher.decrypt(nonce, piece, self._header))
        self._number += 1
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._ready and self._more():
            pass
        given = min(len(self._ready), len(buffer))
        buffer[:given] = self._ready[:given]
        self._ready = self._ready[given:]
        return given
