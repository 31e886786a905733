"""Takes a submission into the quarantine: copied or unpacked, hashed on the way, closed to everybody else.

Assumes that the quarantine's parent folder is ours. What is read afterwards is the copy that was hashed, never the
original, so that nothing can be exchanged in between.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sandbox.errors import Refused
from sandbox.intake import archive
from sandbox.intake.names import check_collisions, check_name, is_left_out
from sandbox.intake.problems import Gathered, listed, problem
from sandbox.settings import Settings

_PIECE = 1024**2
MANIFEST = "submission.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A submission in the quarantine.

    Args:
        folder: holds its files, read-only.
        files: SHA-256 of each, by path.
        digest: SHA-256 over all of them; the same for a folder and for a zip of it.
        left_out: paths that are no part of a submission.
    """

    folder: Path
    files: Mapping[str, str]
    digest: str
    left_out: tuple[str, ...]


def receive(submission: Path, settings: Settings, quarantine: Path | None) -> Received:
    """Take a folder or zip into the quarantine.

    Args:
        submission: what was handed in.
        settings: the operator's limits.
        quarantine: parent folder; `quarantine` under the state where none is given.

    Returns:
        What is there now.

    Raises:
        Refused: it is not there, is too large, or holds what a submission may not hold; nothing is left behind.
    """
    if not submission.exists():
        raise Refused(problem("", "submission.absent", path=submission.name or str(submission)))
    parent = quarantine or settings.local / "quarantine"
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=f"submission-{os.getpid()}-", dir=parent))
    try:
        target = folder / "files"
        target.mkdir(mode=0o700)
        if submission.is_dir():
            files, left_out = _copy_folder(submission, target, settings)
        else:
            files, left_out = _unpack(submission, target, settings)
        _close(target)
        return Received(folder=target, files=files, digest=digest_of(files), left_out=tuple(left_out))
    except BaseException:
        remove(folder)
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A file that somebody else than the submitter added, beside a submission in the quarantine.

    Args:
        folder: where it is.
        name: its name there.
        digest: SHA-256 of its content, hexadecimal.
    """

    folder: Path
    name: str
    digest: str


def add(received: Received, file: Path, settings: Settings) -> Added:
    """Copy a file beside a submission, so that the bytes hashed are the bytes read; it goes when the submission goes.

    Raises:
        Refused: it is not there, is no plain file or is too large.
    """
    if not file.is_file():
        raise Refused(problem("holdout", "holdout.absent", path=file.name))
    folder = received.folder.parent / "added"
    name = f"added{file.suffix.lower()}"
    with _opened(file, follow=True) as source, _Writer(folder / name, [settings.unpacked_bytes] * 2) as writer:
        while piece := source.read(_PIECE):
            writer.write(piece)
    _close(folder)
    return Added(folder=folder, name=name, digest=writer.digest())


def digest_of(files: Mapping[str, str]) -> str:
    """Compute the SHA-256 over the sorted paths and their SHA-256, hexadecimal.

    Args:
        files: SHA-256 by path.
    """
    total = hashlib.sha256()
    for path in sorted(files):
        name = path.encode()
        total.update(len(name).to_bytes(4, "little") + name + bytes.fromhex(files[path]))
    return total.hexdigest()


def remove(folder: Path) -> None:
    """Remove a folder of the quarantine, also where its content is read-only; no error where it is gone.

    Args:
        folder: what `tempfile` made, or a part of it.
    """
    if not folder.exists():
        return
    for current, _, _ in os.walk(folder):
        with suppress(OSError):
            Path(current).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _close(folder: Path) -> None:
    for current, _, names in os.walk(folder, topdown=False):
        for name in names:
            (Path(current) / name).chmod(0o400)
        Path(current).chmod(0o500)


class _Writer:
    """Writes one file into the quarantine and hashes it; counts against one budget for all files."""

    def __init__(self, target: Path, budget: list[int]) -> None:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = target.open("xb")
        self._hash = hashlib.sha256()
        self._budget = budget

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, piece: bytes) -> None:
        self._budget[0] -= len(piece)
        if self._budget[0] < 0:
            raise Refused(problem("", "submission.too_large", most=self._budget[1]))
        self._hash.update(piece)
        self._file.write(piece)

    def digest(self) -> str:
        return self._hash.hexdigest()


def _unpack(submission: Path, target: Path, settings: Settings) -> tuple[dict[str, str], list[str]]:
    with _opened(submission, follow=True) as file:
        size = os.fstat(file.fileno()).st_size
        if size > settings.upload_bytes:
            raise Refused(problem("", "submission.too_large", most=settings.upload_bytes))
        if size < 100 * 1024 and submission.suffix.lower() in (".yaml", ".yml"):
            raise Refused(problem("", "submission.file_given", path=submission.name))
        entries = archive.read_directory(file, settings.unpacked_bytes)
        wanted = archive.kept(entries)
        top = archive.strip_single_folder([e.path for e in wanted])
        files: dict[str, str] = {}
        budget = [settings.unpacked_bytes, settings.unpacked_bytes]
        for entry in wanted:
            path = entry.path.removeprefix(top)
            with _Writer(target / path, budget) as writer:
                archive.unpack(file, entry, writer.write)
            files[path] = writer.digest()
        return files, [e.path for e in entries if is_left_out(e.path)]


def _opened(path: Path, *, follow: bool = False) -> BinaryIO:
    """Open a file for reading, and only if it is a file; a link only where the person who hands it in named it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused(problem("", "file.device", path=path.name))
    return os.fdopen(descriptor, "rb")


def _copy_folder(submission: Path, target: Path, settings: Settings) -> tuple[dict[str, str], list[str]]:
    root = submission.resolve()
    gathered = Gathered()
    found: dict[str, Path] = {}
    left_out: list[str] = []
    _walk(root, root, "", found, left_out, gathered)
    check_collisions(found, gathered)
    if len(found) > archive.MOST_ENTRIES:
        gathered.add("", "archive.many", entries=len(found), most=archive.MOST_ENTRIES)
    total = sum(p.stat().st_size for p in found.values())
    if total > settings.unpacked_bytes:
        gathered.add("", "archive.too_large", bytes=total, most=settings.unpacked_bytes)
    gathered.raise_if_any()
    files: dict[str, str] = {}
    budget = [settings.unpacked_bytes, settings.unpacked_bytes]
    for path, source in sorted(found.items()):
        with _opened(source) as file, _Writer(target / path, budget) as writer:
            while piece := file.read(_PIECE):
                writer.write(piece)
        files[path] = writer.digest()
    return files, left_out


def _walk(
    root: Path, folder: Path, prefix: str, found: dict[str, Path], left_out: list[str], gathered: Gathered
) -> None:
    for item in sorted(os.scandir(folder), key=lambda e: e.name):
        path = prefix + item.name
        if is_left_out(path):
            left_out.append(path)
            continue
        if not check_name(path, gathered):
            continue
        kind = item.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(kind):
            real = Path(item.path).resolve()
            if not real.is_relative_to(root):
                gathered.add("", "file.link_leaves", path=path)
            elif not real.is_file():
                gathered.add("", "file.link_to_no_file", path=path)
            else:
                found[path] = real
        elif stat.S_ISDIR(kind):
            _walk(root, Path(item.path), path + "/", found, left_out, gathered)
        elif stat.S_ISREG(kind):
            found[path] = Path(item.path)
        else:
            gathered.add("", "file.device", path=path)
        if len(found) > archive.MOST_ENTRIES:
            return


def left_out_note(paths: tuple[str, ...]) -> str:
    """Say which files were left out."""
    return f"Left out, because they are no part of a submission: {listed(sorted(paths))}."
