"""Where uploads lie until they are assessed, and dossiers after that: received in a stream, hashed, never opened here.

Assumes of its caller: nothing of an upload is trusted; its file name is never part of a path.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from pathlib import Path

from sandbox.records.database import private_folder
from sandbox.settings import Settings

FIXED_TIME = (1980, 1, 1, 0, 0, 0)
CHUNK = 1024**2


class TooLarge(Exception):
    """The upload is larger than the operator allows; `limit_bytes` says how much that is."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"an upload may hold {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


def uploads(settings: Settings) -> Path:
    """Give the folder of uploads as they came, which nobody has opened yet; made with mode 0700."""
    return private_folder(settings.state / "uploads")


def dossiers(settings: Settings) -> Path:
    """Give the folder of dossiers; made with mode 0700."""
    return private_folder(settings.state / "dossiers")


def upload_path(settings: Settings, submission_id: str) -> Path:
    """Give the path of an upload that was kept."""
    return uploads(settings) / f"{submission_id}.zip"


class Receiving(io.RawIOBase):
    """A file that an upload is written to: hashed on the way, limited, private, and gone unless `keep` is called.

    Args:
        settings: state folder and largest size.
        submission_id: under which id it will be kept.
    """

    def __init__(self, settings: Settings, submission_id: str) -> None:
        super().__init__()
        self._final = upload_path(settings, submission_id)
        self._partial = self._final.with_suffix(".partial")
        self._limit = settings.upload_bytes
        self._hash = hashlib.sha256()
        self._file = os.fdopen(os.open(self._partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b")
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
        self._file.write(raw)
        return len(raw)

    def seekable(self) -> bool:
        """Say that it can be read from its start; the web framework does so after the last piece."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move in the file."""
        return self._file.seek(offset, whence)

    def read(self, size: int = -1, /) -> bytes:
        """Read what was written."""
        return self._file.read(size)

    def keep(self) -> Path:
        """Keep the upload under its id: on disk before it has its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._partial.rename(self._final)
        return self._final

    def close(self) -> None:
        """Close, and remove what was not kept. Idempotent."""
        if not self.closed:
            self._file.close()
            self._partial.unlink(missing_ok=True)
        super().close()


def remove_upload(settings: Settings, submission_id: str) -> None:
    """Remove an upload; one that is gone already is no error."""
    upload_path(settings, submission_id).unlink(missing_ok=True)


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
