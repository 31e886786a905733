"""Keep finished dossiers beyond this machine's disk, where files are kept in an object store.

A dossier is written and read as a folder with its zip beside it, in the state folder. With an object store that folder
is a copy: what counts is one sealed file, kept before the record names the dossier, and fetched by whoever has no copy.

Assumes of its caller: a dossier's name is the service's own, as the record has it.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.records import keyring
from sandbox.records.database import private_folder
from sandbox.records.files import open_files
from sandbox.records.sealed_stream import Opening, Sealing
from sandbox.records.uploads import CHUNK, Damaged, dossiers
from sandbox.settings import Settings

MAGIC: Final = b"AIACT-DOSSIER-1\n"
SUFFIX: Final = ".dossier"
_PREFIX_BYTES: Final = 7


def _file(name: str) -> str:
    return f"dossiers/{name}.sealed"


def _key_path(settings: Settings, name: str) -> Path:
    return private_folder(settings.state / "keys") / f"{name}{SUFFIX}"


def _header(name: str, prefix: bytes) -> bytes:
    return MAGIC + name.encode() + b"\n" + prefix


def keep(settings: Settings, name: str) -> None:
    """Keep a finished dossier in the object store; nothing where the state folder is what counts.

    Args:
        name: of its folder, whose zip stands beside it.

    Raises:
        FileExistsError: there is one of that name.
        sandbox.records.files.NotReached: the object store does not answer; nothing was kept.
    """
    files = open_files(settings)
    if files.here:
        return
    key, prefix = AESGCM.generate_key(256), secrets.token_bytes(_PREFIX_BYTES)
    header = _header(name, prefix)
    keyring.keep(_key_path(settings, name), key, settings)
    with (dossiers(settings) / f"{name}.zip").open("rb") as source, files.create(_file(name), new=True) as out:
        out.write(header)
        stream = Sealing(out, key, prefix, header)
        shutil.copyfileobj(source, stream, CHUNK)
        stream.finish()
        out.keep()


def folder(settings: Settings, name: str) -> Path:
    """Give the folder of a dossier, its zip beside it; fetched first where this machine has no copy.

    Returns:
        The folder; one that was erased is not there.

    Raises:
        Damaged: what the object store has is not what was kept.
        sandbox.records.files.NotReached: the object store does not answer.
    """
    here = dossiers(settings) / name
    if not here.is_dir() and not open_files(settings).here:
        with contextlib.suppress(FileNotFoundError):
            _fetch(settings, name, here)
    return here


def _fetch(settings: Settings, name: str, here: Path) -> None:
    quarantine = private_folder(settings.state / "quarantine")
    # Named so that it is emptied with the quarantine, if this process is killed.
    draft = Path(tempfile.mkdtemp(prefix=f"submission-{os.getpid()}-", dir=quarantine))
    try:
        with open_files(settings).open(_file(name)) as file:
            key = keyring.read(_key_path(settings, name), settings)
            header = file.read(len(_header(name, b"")) + _PREFIX_BYTES)
            prefix = header[-_PREFIX_BYTES:]
            if header != _header(name, prefix):
                raise Damaged(name)
            try:
                with (draft / "zip").open("wb") as out:
                    shutil.copyfileobj(io.BufferedReader(Opening(file, key, prefix, header), CHUNK), out, CHUNK)
            except InvalidTag as error:
                raise Damaged(name) from error
        # Our own zip, unchanged since it was sealed.
        with zipfile.ZipFile(draft / "zip") as archive:
            archive.extractall(draft / "folder")
        (draft / "zip").chmod(0o600)
        (draft / "zip").rename(here.with_name(f"{name}.zip"))
        # Whoever fetched it at the same time has the same bytes.
        with contextlib.suppress(OSError):
            (draft / "folder").rename(here)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remove(settings: Settings, name: str) -> bool:
    """Remove a dossier: its key in the object store, what the key opens, and the copy here. Idempotent.

    Returns:
        Whether there was one.
    """
    here, files = dossiers(settings) / name, open_files(settings)
    there = here.is_dir()
    if not files.here:
        there = keyring.erase(_key_path(settings, name)) or there
        there = files.remove(_file(name)) or there
    shutil.rmtree(here, ignore_errors=True)
    here.with_name(f"{name}.zip").unlink(missing_ok=True)
    return there


def names(settings: Settings) -> Iterator[str]:
    """List the dossiers in the object store; none where the state folder is what counts."""
    files = open_files(settings)
    if not files.here:
        for kept in files.kept("dossiers", ".sealed"):
            yield kept.stem
