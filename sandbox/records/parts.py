"""Keep files that come in parts, encrypted from the first byte, until they are whole and part of a submission.

Each file has a key of its own; removing the key erases it. It stands on disk as pieces, each encrypted by itself and
bound to its file and place; what the record has not acknowledged is cut off before more is added, so that an
interrupted upload goes on where the record says. What is in a file is never looked at here.

Assumes of its caller: the record holds how much was acknowledged, and one process at a time adds to a file (`Busy`
tells the other one).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.records import keyring
from sandbox.records.database import private_folder
from sandbox.records.uploads import Damaged
from sandbox.settings import Settings

PIECE = 1024**2
_NONCE, _TAG = 12, 16
_LENGTH = struct.Struct(">I")


class Busy(Exception):
    """Somebody else is adding to this file at this moment."""


class Source(Protocol):
    """Whatever bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; none at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a file is: bytes of it that are here, bytes on disk that hold them, pieces."""

    received: int = 0
    stored: int = 0
    pieces: int = 0


def _path(settings: Settings, file_id: str) -> Path:
    return private_folder(settings.state / "drafts") / f"{file_id}.part"


def _key_path(settings: Settings, file_id: str) -> Path:
    return private_folder(settings.state / "keys") / f"{file_id}.part"


def _bound(file_id: str, number: int) -> bytes:
    return b"AIACT-PART-1\n" + bytes.fromhex(file_id) + struct.pack(">Q", number)


def begin(settings: Settings, file_id: str) -> None:
    """Draw the key of a new file and make it, empty."""
    keyring.keep(_key_path(settings, file_id), AESGCM.generate_key(256), settings)
    os.close(os.open(_path(settings, file_id), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def append(settings: Settings, file_id: str, mark: Mark, source: Source, most: int) -> Mark:
    """Add what a source gives behind what was acknowledged.

    A source that breaks off is no error: what came of it counts.

    Args:
        mark: what was acknowledged.
        source: read piece by piece, so that memory does not grow with the file.
        most: bytes that are still missing; what comes beyond them is not read.

    Returns:
        How far the file is now; on disk before this returns.

    Raises:
        Busy: another process is adding to it.
        FileNotFoundError: it was erased.
    """
    cipher = AESGCM(keyring.read(_key_path(settings, file_id), settings))
    received, stored, pieces = mark.received, mark.stored, mark.pieces
    with _path(settings, file_id).open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Busy(file_id) from error
        file.truncate(stored)
        file.seek(stored)
        while most > 0:
            piece = _read(source, min(PIECE, most))
            if not piece:
                break
            # Drawn at random: a piece that was cut off is written again at its place, perhaps with another content.
            nonce = secrets.token_bytes(_NONCE)
            sealed = nonce + cipher.encrypt(nonce, piece, _bound(file_id, pieces))
            file.write(_LENGTH.pack(len(sealed)) + sealed)
            received, stored, pieces = received + len(piece), stored + _LENGTH.size + len(sealed), pieces + 1
            most -= len(piece)
        file.flush()
        os.fsync(file.fileno())
    return Mark(received=received, stored=stored, pieces=pieces)


def _read(source: Source, size: int) -> bytes:
    """Read so many bytes, fewer only at the end of what comes."""
    got = bytearray()
    while len(got) < size:
        try:
            piece = source.read(size - len(got))
        except OSError:
            break
        if not piece:
            break
        got += piece
    return bytes(got)


def read(settings: Settings, file_id: str, size: int) -> Iterator[bytes]:
    """Read a whole file piece by piece.

    Args:
        size: bytes that it has by the record.

    Raises:
        FileNotFoundError: it was erased.
        Damaged: it was changed, or is not whole.
    """
    cipher = AESGCM(keyring.read(_key_path(settings, file_id), settings))
    number = given = 0
    with _path(settings, file_id).open("rb") as file:
        while given < size:
            try:
                (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
                if length > PIECE + _NONCE + _TAG:
                    raise Damaged(file_id)
                sealed = file.read(length)
                piece = cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(file_id, number))
            except (struct.error, InvalidTag, ValueError) as error:
                raise Damaged(file_id) from error
            number, given = number + 1, given + len(piece)
            yield piece
    if given != size:
        raise Damaged(file_id)


def digest_of(settings: Settings, file_id: str, size: int) -> str:
    """Compute the SHA-256 of a whole file from what stands on disk, hexadecimal.

    Raises:
        FileNotFoundError, Damaged: as `read`.
    """
    total = hashlib.sha256()
    for piece in read(settings, file_id, size):
        total.update(piece)
    return total.hexdigest()


def note(settings: Settings, file_id: str, content: bytes) -> None:
    """Keep what was seen of a file beside it, under the file's own key: erased with it."""
    cipher = AESGCM(keyring.read(_key_path(settings, file_id), settings))
    nonce = secrets.token_bytes(_NONCE)
    partial = _path(settings, file_id).with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as out:
        out.write(nonce + cipher.encrypt(nonce, content, b"seen" + bytes.fromhex(file_id)))
    partial.rename(_path(settings, file_id).with_suffix(".seen"))


def noted(settings: Settings, file_id: str) -> bytes | None:
    """Read what was seen of a file; None where nothing was.

    Raises:
        Damaged: it was changed.
    """
    try:
        sealed = _path(settings, file_id).with_suffix(".seen").read_bytes()
        cipher = AESGCM(keyring.read(_key_path(settings, file_id), settings))
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], b"seen" + bytes.fromhex(file_id))
    except FileNotFoundError:
        return None
    except InvalidTag as error:
        raise Damaged(file_id) from error


def remove(settings: Settings, file_id: str) -> None:
    """Erase a file and what was seen of it: the key first. Idempotent."""
    keyring.erase(_key_path(settings, file_id))
    for suffix in (".part", ".seen", ".partial"):
        _path(settings, file_id).with_suffix(suffix).unlink(missing_ok=True)


def here(settings: Settings) -> Iterator[tuple[str, float]]:
    """List the files that stand on this disk, with the time of their last change in seconds since 1970."""
    for path in private_folder(settings.state / "drafts").glob("*.part"):
        try:
            yield path.stem, path.stat().st_mtime
        except FileNotFoundError:
            continue
