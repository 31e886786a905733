"""The files of a dossier, in a folder or a zip, read without unpacking.

Assumes nothing of the dossier: it may be hostile. Nothing in it is executed, unpacked to disk or followed; files are
hashed in pieces.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from sandbox.errors import Problem
from sandbox.statement import SUMS

CHUNK: Final = 1024**2
LARGEST_READ: Final = 256 * CHUNK
"""Most bytes of a file that is read whole (a list, a signature, JSON): a small zip can hold a very large one."""
_UNREADABLE: Final = (
    OSError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


class Unreadable(Exception):
    """A file of the dossier cannot be read; the message says why."""


@dataclass(slots=True, kw_only=True)
class Contents:
    """The files of a dossier, in a folder or a zip, read without unpacking.

    Args:
        names: paths inside the dossier, with `/`, sorted.
        strange: what is there but is no plain file with a plain path, with the reason.
        top: in a zip, the one folder that all its files stand in, with its `/`; else empty.
    """

    names: tuple[str, ...]
    strange: tuple[Problem, ...]
    top: str = ""
    folder: Path | None = None
    archive: zipfile.ZipFile | None = None

    @classmethod
    @contextmanager
    def of(cls, dossier: Path) -> Iterator[Contents]:
        """Open a dossier.

        Raises:
            FileNotFoundError: there is nothing of that name.
            Unreadable: it is neither a folder nor a zip.
        """
        if dossier.is_dir():
            yield cls._in_folder(dossier)
            return
        if not dossier.exists():
            raise FileNotFoundError(f"{dossier} is not there; name the folder or the zip of a dossier")
        try:
            archive = zipfile.ZipFile(dossier)
        except (*_UNREADABLE, ValueError) as wrong:
            raise Unreadable(f"it is neither a folder nor a zip that can be read: {wrong}") from wrong
        with archive:
            yield cls._in_zip(archive)

    @classmethod
    def _in_folder(cls, folder: Path) -> Contents:
        names, strange = [], []
        for path in sorted(folder.rglob("*")):
            name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
            if stat.S_ISREG(mode):
                names.append(name)
            elif not stat.S_ISDIR(mode):
                message = "is a link or a special file, not a file; a dossier holds plain files only"
                strange.append(Problem(field=name, code="file.strange", message=message))
        return cls(names=tuple(names), strange=tuple(strange), folder=folder)

    @classmethod
    def _in_zip(cls, archive: zipfile.ZipFile) -> Contents:
        strange: list[Problem] = []
        names: dict[str, None] = {}
        for entry in archive.infolist():
            name, kind = entry.filename, (entry.external_attr >> 16) & 0o170000
            if entry.is_dir():
                continue
            if kind not in (0, stat.S_IFREG):
                why = "is a link or a special file, not a file; a dossier holds plain files only"
            elif name in names:
                why = "stands in the zip twice"
            elif name.startswith("/") or "\\" in name or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
                why = "has a path that leads out of the dossier"
            else:
                names[name] = None
                continue
            strange.append(Problem(field=name, code="file.strange", message=why))
        top = ""
        if SUMS not in names:
            tops = {name.partition("/")[0] for name in names}
            one = f"{next(iter(tops))}/" if len(tops) == 1 else ""
            top = one if one and f"{one}{SUMS}" in names else ""
        inside = tuple(sorted(name.removeprefix(top) for name in names))
        return cls(names=inside, strange=tuple(strange), top=top, archive=archive)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open one file for reading.

        Raises:
            Unreadable: it cannot be read, also while reading.
        """
        try:
            if self.archive is not None:
                with self.archive.open(self.top + name) as stream:
                    yield stream
            else:
                assert self.folder is not None
                with (self.folder / name).open("rb") as stream:
                    yield stream
        except (*_UNREADABLE, KeyError) as wrong:
            raise Unreadable(f"cannot be read: {wrong}") from wrong

    def read(self, name: str) -> bytes:
        """Read one file whole.

        Raises:
            Unreadable: it cannot be read, or is far larger than such a file is.
        """
        with self.open(name) as stream:
            content = stream.read(LARGEST_READ + 1)
        if len(content) > LARGEST_READ:
            raise Unreadable(f"{name} is larger than {LARGEST_READ} bytes")
        return content

    def digest(self, name: str) -> str:
        """Hash one file, in pieces.

        Raises:
            Unreadable: it cannot be read.
        """
        taken = hashlib.sha256()
        with self.open(name) as stream:
            while piece := stream.read(CHUNK):
                taken.update(piece)
        return taken.hexdigest()
