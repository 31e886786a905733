"""Where uploads lie until they are assessed, and dossiers after that: received in a stream, hashed, encrypted.

Each upload has a key of its own; removing the key erases the upload. What is in an upload is never looked at here.

Assumes of its caller: nothing of an upload is trusted; its file name is never part of a path.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.records import keyring
from sandbox.records.database import private_folder
from sandbox.records.files import Kept, open_files
from sandbox.records.sealed_stream import Opening, Sealing
from sandbox.settings import Settings

FIXED_TIME = (1980, 1, 1, 0, 0, 0)
CHUNK = 1024**2
MAGIC = b"AIACT-UPLOAD-1\n"
_ID_BYTES, _PREFIX_BYTES = 16, 7


class Damaged(Exception):
    """An upload was changed or cut off after it was kept; names the submission."""


class TooLarge(Exception):
    """The upload is larger than the operator allows; `limit_bytes` says how much that is."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"an upload may hold {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


def dossiers(settings: Settings) -> Path:
    """Give the folder of dossiers; made with mode 0700."""
    return private_folder(settings.state / "dossiers")


def _name(submission_id: str) -> str:
    return f"uploads/{submission_id}.sealed"


def _key_path(settings: Settings, submission_id: str) -> Path:
    return private_folder(settings.state / "keys") / f"{submission_id}.upload"


def _header(submission_id: str, prefix: bytes) -> bytes:
    return MAGIC + bytes.fromhex(submission_id) + prefix


class Receiving(io.RawIOBase):
    """A file that an upload is written to: hashed and encrypted on the way, limited, and gone unless `keep` is called.

    Args:
        settings: state folder and largest size.
        submission_id: under which id it will be kept.
    """

    def __init__(self, settings: Settings, submission_id: str) -> None:
        super().__init__()
        self._limit = settings.upload_bytes
        self._hash = hashlib.sha256()
        self._key_file = _key_path(settings, submission_id)
        self._key, self._kept = AESGCM.generate_key(256), False
        self._file = open_files(settings).create(_name(submission_id), new=True)
        keyring.keep(self._key_file, self._key, settings)
        prefix = secrets.token_bytes(_PREFIX_BYTES)
        header = _header(submission_id, prefix)
        self._file.write(header)
        self._sealing = Sealing(self._file, self._key, prefix, header)
        self.submission_id = submission_id
        self.size = 0

    @property
    def digest(self) -> str:
        """SHA-256 of what came so far, hexadecimal."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, piece: object, /) -> int:
        """Take in the next piece.

        Raises:
            TooLarge: more than the operator allows has come.
        """
        raw = bytes(piece)  # type: ignore[call-overload]  # any buffer
        self.size += len(raw)
        if self.size > self._limit:
            raise TooLarge(self._limit)
        self._hash.update(raw)
        self._sealing.write(raw)
        return len(raw)

    def seekable(self) -> bool:
        """Say that it can go to its start; the web framework asks for that after the last piece."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Stay where it is: what was written is encrypted, and is not read back here."""
        if (offset, whence) not in ((0, 0), (0, 2)):
            raise io.UnsupportedOperation("an upload is only written, from its start to its end")
        return self.size if whence else 0

    def keep(self) -> None:
        """Keep the upload under its id: whole before it has its name.

        Raises:
            sandbox.records.files.NotReached: the object store does not answer.
        """
        self._sealing.finish()
        self._file.keep()
        self._kept = True

    def close(self) -> None:
        """Close, and remove what was not kept. Idempotent."""
        if not self.closed:
            self._file.close()
            if not self._kept:
                keyring.erase(self._key_file)
        super().close()


def read_upload(settings: Settings, submission_id: str) -> Iterator[bytes]:
    """Read an upload piece by piece, as it was sent.

    Raises:
        FileNotFoundError: it was erased.
        sandbox.records.keyring.NoMasterKey: its key cannot be unwrapped.
        Damaged: it was changed or is not whole.
    """
    with open_files(settings).open(_name(submission_id)) as file:
        key = keyring.read(_key_path(settings, submission_id), settings)
        header = file.read(len(MAGIC) + _ID_BYTES + _PREFIX_BYTES)
        prefix = header[-_PREFIX_BYTES:]
        if header != _header(submission_id, prefix):
            raise Damaged(submission_id)
        try:
            stream = io.BufferedReader(Opening(file, key, prefix, header), CHUNK)
            while piece := stream.read(CHUNK):
                yield piece
        except InvalidTag as error:
            raise Damaged(submission_id) from error


@contextmanager
def opened(settings: Settings, submission_id: str, suffix: str = ".zip") -> Iterator[Path]:
    """Give an upload as a file in the quarantine, which is gone when the block ends.

    A process that is killed meanwhile leaves it in a folder that is named for it, and that is emptied with the rest of
    the quarantine.

    Raises:
        FileNotFoundError, sandbox.records.keyring.NoMasterKey, Damaged: as `read_upload`.
    """
    quarantine = settings.local / "quarantine"
    quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=f"submission-{os.getpid()}-", dir=quarantine))
    try:
        file = folder / f"{submission_id}{suffix}"
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
            for piece in read_upload(settings, submission_id):
                out.write(piece)
        yield file
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_upload(settings: Settings, submission_id: str) -> bool:
    """Erase an upload: its key first, then the file; one that is gone already is no error.

    Returns:
        Whether there was something to erase.
    """
    key = keyring.erase(_key_path(settings, submission_id))
    return open_files(settings).remove(_name(submission_id)) or key


def is_kept(settings: Settings, submission_id: str) -> bool:
    """Tell whether an upload can still be read: its key is there, without which the rest is nothing."""
    return _key_path(settings, submission_id).exists()


def kept(settings: Settings) -> Iterator[Kept]:
    """List the uploads that are kept; the stem of each is the id of its submission."""
    return open_files(settings).kept("uploads", ".sealed")


def remove_partial(settings: Settings) -> int:
    """Remove uploads whose receiving process was killed before it had them whole.

    Returns:
        How many there were.
    """
    gone = open_files(settings).remove_unfinished("uploads")
    for submission_id in gone:
        keyring.erase(_key_path(settings, submission_id))
    return len(gone)


def zip_dossier(folder: Path, out: Path) -> None:
    """Write a dossier's folder as one zip: sorted, with fixed times and modes, so that equal folders give equal bytes.

    Args:
        folder: the dossier's folder; a link in it is not followed but left out.
        out: the zip, written whole or not at all.
    """
    partial = out.with_suffix(".partial")
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=False) as sink:
                shutil.copyfileobj(source, sink, CHUNK)
    partial.chmod(0o600)
    partial.rename(out)


def files_of(folder: Path) -> tuple[str, ...]:
    """List the files of a dossier by their path inside it, sorted; links are left out."""
    found = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return tuple(sorted(p.relative_to(folder).as_posix() for p in found))
