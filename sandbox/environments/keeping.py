"""Keeps environments: written once under a key, looked at again before every mount, never changed.

Assumes that the state folder is the worker's own. One organisation's environment is never given to another's model,
because which packages a model asks for, and which files came back, is that organisation's.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import platform
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sandbox.environments.building import LIMITS, OURS, Resolution, build, failed
from sandbox.environments.gate import index_of
from sandbox.environments.requirements import Requirement, written
from sandbox.isolation.interface import Isolation
from sandbox.isolation.place import CELL_CODE, open_folder, remove_tree
from sandbox.settings import Settings

OWN_PACKAGES = "The model's cells held the packages that it asks for, and no others"
"""How the run's record begins to say that a model had an environment of its own; a budget counts these."""

log = logging.getLogger(__name__)

_LAYOUT = "1"
_DAY_SECONDS = 86_400
_PIECE = 1024**2

Stamps = Mapping[str, tuple[int, int, int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The packages of one model, on disk.

    Args:
        folder: holds them, read-only.
        packages: version by name.
        files: SHA-256 by path.
        digest: SHA-256 over the files, hexadecimal: what was mounted.
        stamps: size, inode and times of each file when its content was last looked at.
    """

    folder: Path
    packages: Mapping[str, str]
    files: Mapping[str, str]
    digest: str
    stamps: Stamps

    def mount(self) -> Path:
        """Give the folder for one cell, once more seen to be what was built.

        The content of every file was compared with its digest when the environment was fetched for this run; here
        every file's size, inode and time of change, which nobody but the owner of the machine can set, are compared.

        Raises:
            ModelFault: something in it was changed, added or removed.
        """
        if _stamps(self.folder) != self.stamps:
            raise failed("the packages on disk are no longer those that were built; remove them and run again", "kept")
        return self.folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep it from being removed for as long as cells of a run may still be given it."""
        with (self.folder.parent / "manifest.json").open() as manifest:
            fcntl.flock(manifest, fcntl.LOCK_SH)
            yield

    def note(self) -> str:
        """Say in the run's record what the model's cells held."""
        listed = ", ".join(f"{name} {version}" for name, version in sorted(self.packages.items()))
        return f"{OWN_PACKAGES}: {listed}. Digest {self.digest}."


def environment_of(
    asked: tuple[Requirement, ...], *, isolation: Isolation, settings: Settings, organisation: str = ""
) -> Environment:
    """Give the environment that a model asks for, built where it is not there yet.

    Args:
        asked: from the model's requirements.
        isolation: the wall that the model will run behind.
        settings: which index and what may be installed.
        organisation: whose model it is; empty where nobody has an account.

    Returns:
        The environment, its content compared with its digests.

    Raises:
        ModelFault: `environment_failed`: the index is down, a requirement cannot be met, or the files on disk changed.
        CellUnavailable: the wall could not be built.
        ValueError: the operator's settings name no index.
    """
    remove_unused(settings)
    kept = open_folder(settings, "environments")
    lines = sorted(f"{one.line()} {sorted(one.hashes)}" for one in asked)
    wanted = _digest(organisation, *lines, *_builder(isolation, settings))
    pointer = kept / f"asked-{wanted}"
    with (kept / "lock").open("w") as removing, (kept / f"lock-{wanted[:2]}").open("w") as lock:
        fcntl.flock(removing, fcntl.LOCK_SH)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if pointer.exists() and (kept / pointer.read_text()).exists():
            return _fetch(kept / pointer.read_text())
        fresh = kept / f"{uuid.uuid4().hex}.building"
        key: list[str] = []

        def place(resolution: Resolution) -> Path | None:
            key.append(_digest(organisation, written(resolution), *_builder(isolation, settings)))
            if (kept / key[0]).exists():
                return None
            (fresh / "packages").mkdir(parents=True)
            return fresh / "packages"

        try:
            made = build(asked, isolation=isolation, settings=settings, place=place)
            if made is not None:
                packages = {name: version for name, (version, _) in made.resolution.items()}
                manifest = {"packages": packages, "resolution": written(made.resolution), "files": dict(made.files)}
                (fresh / "manifest.json").write_text(json.dumps(manifest, sort_keys=True))
                _close(fresh)
                fresh.rename(kept / key[0])
        finally:
            remove_tree(fresh)
        new = pointer.with_suffix(".new")
        new.write_text(key[0])
        new.replace(pointer)
        return _fetch(kept / key[0])


def remove_unused(settings: Settings) -> tuple[str, ...]:
    """Remove environments that no run has used for `package_days`; none that is in use, and none while one is built.

    Args:
        settings: where they are, and after how many days; 0 keeps all.

    Returns:
        The names of their folders.
    """
    kept = open_folder(settings, "environments")
    if not settings.package_days:
        return ()
    before = time.time() - settings.package_days * _DAY_SECONDS
    removed = []
    with (kept / "lock").open("w") as removing, suppress(BlockingIOError):
        fcntl.flock(removing, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for folder in [path for path in kept.iterdir() if path.is_dir() and path.stat().st_mtime < before]:
            if _gone_unless_held(folder):
                removed.append(folder.name)
                log.info("the packages in %s were used by no run for %d days", folder.name, settings.package_days)
        for pointer in kept.glob("asked-*"):
            if not (kept / pointer.read_text()).exists():
                pointer.unlink()
    return tuple(removed)


def _gone_unless_held(folder: Path) -> bool:
    with suppress(FileNotFoundError), (folder / "manifest.json").open() as manifest:
        try:
            fcntl.flock(manifest, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    # Renamed first, so that a removal that breaks off leaves nothing that looks whole.
    remove_tree(folder.rename(folder.with_suffix(".building")))
    return True


def _builder(isolation: Isolation, settings: Settings) -> tuple[str, ...]:
    """Name all else that decides the content: index, platform, builder, and whether sources may be built."""
    image = str(isolation.profile(LIMITS)["image"])
    sources = str(settings.package_sources)
    code = hashlib.sha256((CELL_CODE / "build.py").read_bytes()).hexdigest()
    return (
        *(index_of(settings).url, isolation.name, image, platform.machine()),
        *(_LAYOUT, _tool_digest(), code, sources, *OURS),
    )


@lru_cache(maxsize=1)
def _tool_digest() -> str:
    import uv

    with Path(uv.find_uv_bin()).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(*parts: str) -> str:
    made = hashlib.sha256()
    for part in parts:
        made.update(len(part.encode()).to_bytes(8, "little") + part.encode())
    return made.hexdigest()[:40]


def _close(folder: Path) -> None:
    """Let everybody read and nobody write: a cell's user id is not ours. The manifest is the worker's alone."""
    for current, _, names in os.walk(folder, topdown=False):
        for name in names:
            (Path(current) / name).chmod(0o444)
        Path(current).chmod(0o555)
    (folder / "manifest.json").chmod(0o400)
    folder.chmod(0o711)


def _fetch(folder: Path) -> Environment:
    """Read the manifest and compare every file with it."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError) as gone:
        raise failed("the packages on disk cannot be read; remove them and run again", "kept") from gone
    packages = folder / "packages"
    # When it was last used: what is not used any more is removed by this.
    os.utime(folder)
    before = _stamps(packages)
    found = {name: _content(packages / name) for name in before}
    if found != manifest["files"] or _stamps(packages) != before:
        raise failed("the packages on disk are no longer those that were built; remove them and run again", "kept")
    return Environment(
        folder=packages,
        packages=manifest["packages"],
        files=manifest["files"],
        digest=_digest(*(f"{name}\0{digest}" for name, digest in sorted(found.items()))),
        stamps=before,
    )


def _content(path: Path) -> str:
    if path.is_symlink():
        return "a link"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamps(folder: Path) -> dict[str, tuple[int, int, int, int]]:
    found: dict[str, tuple[int, int, int, int]] = {}
    waiting = [("", str(folder))]
    while waiting:
        prefix, current = waiting.pop()
        with os.scandir(current) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((f"{prefix}{entry.name}/", entry.path))
                    continue
                seen = entry.stat(follow_symlinks=False)
                found[prefix + entry.name] = (seen.st_size, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns)
    return found
