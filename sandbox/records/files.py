"""Keep uploads, evidence and dossiers as files by name: in the state folder, or in S3-compatible storage.

A file is there whole or not at all. What is written here is encrypted before it comes; keys are never among it, because
an object store's versions and replicas outlive what is erased.

Assumes of its caller: names are made of ids and digests, never of what somebody sent. The bucket is the service's own.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from sandbox.records.database import hold, is_abandoned, private_folder
from sandbox.records.tables import new_id, now
from sandbox.settings import Settings

if TYPE_CHECKING:
    from fsspec.spec import AbstractBufferedFile

log = logging.getLogger(__name__)

PART_BYTES: Final = 8 * 1024**2
"""What is held in memory of a file on its way; 10,000 of them are the largest file that S3 takes in parts."""

UNFINISHED_HOURS: Final = 24.0
"""How old an unfinished file in an object store must be before it counts as abandoned: nobody can see who writes it."""


class NotReached(OSError):
    """The object store does not answer, or refuses; nothing was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One file that is there.

    Args:
        stem: its name, without folder and ending.
        changed: when it was kept, UTC.
    """

    stem: str
    changed: dt.datetime


class Writing(io.RawIOBase, ABC):
    """A file on its way: under its name only once `keep` returned, gone when it is closed before that."""

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    @abstractmethod
    def keep(self) -> None:
        """Give it its name.

        Raises:
            FileExistsError: it was to be new, and the name is taken.
            NotReached: the object store does not answer.
        """


class Files(ABC):
    """Where files are kept; a name is `folder/stem.ending`."""

    here: bool
    """Whether they are files of this machine's own."""

    @abstractmethod
    def create(self, name: str, *, new: bool = False) -> Writing:
        """Begin a file.

        Args:
            name: what it will be called; a file of that name is replaced.
            new: refuse to replace one.
        """

    @abstractmethod
    def open(self, name: str, *, ahead: int = PART_BYTES) -> BinaryIO:
        """Open a file from its start.

        Args:
            ahead: how many bytes are fetched at a time, where that matters.

        Raises:
            FileNotFoundError: it is not there.
            NotReached: the object store does not answer.
        """

    @abstractmethod
    def remove(self, name: str) -> bool:
        """Remove a file; one that is gone already is no error.

        Returns:
            Whether it was there.
        """

    @abstractmethod
    def kept(self, folder: str, ending: str) -> Iterator[Kept]:
        """List the files of a folder with an ending, by name."""

    @abstractmethod
    def remove_unfinished(self, folder: str) -> tuple[str, ...]:
        """Remove what was begun in a folder by processes that were killed.

        Returns:
            The stem of each name.
        """


def open_files(settings: Settings) -> Files:
    """Open what the setting `files` names.

    Raises:
        ValueError: it is neither empty nor the address of a bucket, or the extra for it is not installed.
    """
    return _Bucket(settings.files) if settings.files else _Folder(settings.state)


class _Folder(Files):
    here = True

    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, name: str) -> Path:
        folder, _, file = name.partition("/")
        return private_folder(self._root / folder) / file

    def create(self, name: str, *, new: bool = False) -> Writing:
        return _WritingHere(self._path(name), new)

    def open(self, name: str, *, ahead: int = PART_BYTES) -> BinaryIO:  # noqa: ARG002  # one signature
        return self._path(name).open("rb")

    def remove(self, name: str) -> bool:
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            return False
        return True

    def kept(self, folder: str, ending: str) -> Iterator[Kept]:
        for path in sorted(private_folder(self._root / folder).glob(f"*{ending}")):
            with contextlib.suppress(FileNotFoundError):
                changed = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
                yield Kept(stem=path.name.removesuffix(ending), changed=changed)

    def remove_unfinished(self, folder: str) -> tuple[str, ...]:
        gone = [p for p in private_folder(self._root / folder).glob("*.partial") if is_abandoned(p)]
        for partial in gone:
            partial.unlink(missing_ok=True)
        return tuple(p.name.partition(".")[0] for p in gone)


class _WritingHere(Writing):
    """Held while it is written, on disk before it has its name, private to this user."""

    def __init__(self, final: Path, new: bool) -> None:
        super().__init__()
        self._final, self._new = final, new
        self._partial = final.with_name(f"{final.stem}.{new_id()}.partial")
        self._file = os.fdopen(os.open(self._partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
        hold(self._file.fileno())

    def write(self, piece: Any, /) -> int:
        return self._file.write(piece)

    def keep(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._new and self._final.exists():
            raise FileExistsError(self._final)
        self._partial.rename(self._final)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self._partial.unlink(missing_ok=True)
        super().close()


class _Bucket(Files):
    here = False

    def __init__(self, address: str) -> None:
        scheme, _, place = address.partition("://")
        if scheme != "s3" or not place.strip("/"):
            raise ValueError(f"files are kept in a folder, or at s3://bucket/prefix, not at {address!r}")
        try:
            import s3fs
            from botocore.exceptions import BotoCoreError
        except ModuleNotFoundError as absent:
            raise ValueError("files in S3 need another package: pip install 'aiact-sandbox[s3]'") from absent
        self._bucket, _, self._prefix = place.strip("/").partition("/")
        self._faults = (OSError, BotoCoreError)
        # What another process wrote or removed a moment ago must show; address and keys come from the usual variables.
        self._fs = s3fs.S3FileSystem(use_listings_cache=False)

    def _path(self, name: str) -> str:
        return "/".join(part for part in (self._bucket, self._prefix, name) if part)

    @contextlib.contextmanager
    def reached(self) -> Iterator[None]:
        """Name the faults of the store by one name."""
        try:
            yield
        except (FileNotFoundError, FileExistsError, NotReached):
            raise
        except self._faults as error:
            raise NotReached(f"the files in {self._bucket} cannot be reached: {error}") from error

    def create(self, name: str, *, new: bool = False) -> Writing:
        with self.reached():
            # Sent in parts as it comes; S3 shows nothing of it until the parts are declared whole.
            file = self._fs.open(self._path(name), "xb" if new else "wb", block_size=PART_BYTES, autocommit=False)
        return _WritingThere(file, self)

    def open(self, name: str, *, ahead: int = PART_BYTES) -> BinaryIO:
        with self.reached():
            file = self._fs.open(self._path(name), "rb", block_size=ahead, cache_type="readahead")
        return cast("BinaryIO", _ReadingThere(file, self))

    def remove(self, name: str) -> bool:
        with self.reached():
            there: bool = self._fs.exists(self._path(name))
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._path(name))
            return there

    def kept(self, folder: str, ending: str) -> Iterator[Kept]:
        try:
            with self.reached():
                found = self._fs.find(self._path(folder), detail=True)
        except FileNotFoundError as absent:
            raise NotReached(f"there is no bucket {self._bucket}") from absent
        for path in sorted(found):
            if path.endswith(ending):
                yield Kept(stem=path.rpartition("/")[2].removesuffix(ending), changed=found[path]["LastModified"])

    def remove_unfinished(self, folder: str) -> tuple[str, ...]:
        inside = self._path(folder).partition("/")[2] + "/"
        before = now() - dt.timedelta(hours=UNFINISHED_HOURS)
        with self.reached():
            begun = self._fs.list_multipart_uploads(self._bucket)
            gone = [u for u in begun if u["Key"].startswith(inside) and u["Initiated"] <= before]
            for upload in gone:
                self._fs.call_s3(
                    "abort_multipart_upload", Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
        return tuple(u["Key"].rpartition("/")[2].partition(".")[0] for u in gone)


class _WritingThere(Writing):
    def __init__(self, file: AbstractBufferedFile, bucket: _Bucket) -> None:
        super().__init__()
        self._file, self._bucket, self._kept = file, bucket, False

    def write(self, piece: Any, /) -> int:
        with self._bucket.reached():
            return int(self._file.write(piece))

    def keep(self) -> None:
        with self._bucket.reached():
            self._file.close()
            self._file.commit()
        self._kept = True

    def close(self) -> None:
        if not self.closed and not self._kept:
            # Else the file would send its rest when it is collected.
            self._file.closed = True
            try:
                with self._bucket.reached():
                    self._file.discard()
            except NotReached as error:
                log.warning("an unfinished file stays until it is %d hours old: %s", UNFINISHED_HOURS, error)
        super().close()


class _ReadingThere(io.RawIOBase):
    def __init__(self, file: AbstractBufferedFile, bucket: _Bucket) -> None:
        super().__init__()
        self._file, self._bucket = file, bucket

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        with self._bucket.reached():
            return bytes(self._file.read(size))

    def close(self) -> None:
        self._file.close()
        super().close()
