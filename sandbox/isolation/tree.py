"""The cell's own dependency tree for bubblewrap: built once from the locked list, kept by digest, never changed.

Assumes of its caller: the requirements file is ours (it ships with the package); no upload has a say in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import subprocess
import uuid
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from sandbox.errors import CellUnavailable
from sandbox.isolation.place import CELL_CODE, open_folder, reachable_state, remove_tree
from sandbox.settings import Settings

PYTHON = "/usr/bin/python3"
REQUIREMENTS = CELL_CODE / "requirements.txt"
_OLDEST_PYTHON = (3, 11)
_LAYOUT = "1"


@lru_cache(maxsize=1)
def python_version() -> tuple[int, int] | None:
    """Ask the system's Python for its version; None when there is none."""
    try:
        told = subprocess.run(  # noqa: S603 - a fixed command
            [PYTHON, "-I", "-S", "-c", "import sys; print(*sys.version_info[:2])"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return int(told[0]), int(told[1])


def unavailable() -> str | None:
    """Say why no tree can be built or used here; None when one can."""
    version = python_version()
    if version is None:
        return f"{PYTHON} is not there: install python3 (apt-get install python3)."
    if version < _OLDEST_PYTHON:
        return (
            f"{PYTHON} is {version[0]}.{version[1]}; cells need 3.11 or later. Install a newer python3, or use docker."
        )
    return None


def tree_digest() -> str:
    """Name the tree: everything that decides its content goes into the hash.

    Returns:
        32 hexadecimal digits.
    """
    parts = (_LAYOUT.encode(), REQUIREMENTS.read_bytes(), repr(python_version()).encode(), platform.machine().encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def tree_path(settings: Settings) -> Path:
    """Say where the tree is or will be.

    Args:
        settings: the operator's settings.
    """
    return reachable_state(settings) / "cell-tree" / tree_digest()


def build_tree(settings: Settings, *, progress: Callable[[str], None] = lambda _: None) -> Path:
    """Build the tree unless it is there; one builder at a time, and nobody sees half of one.

    Args:
        settings: the operator's settings.
        progress: told in one line what takes time.

    Returns:
        The finished tree's folder.

    Raises:
        CellUnavailable: no Python, no package index, or a package that does not match its hash; says which.
    """
    path = tree_path(settings)
    if path.exists():
        return path
    reason = unavailable()
    if reason is not None:
        raise CellUnavailable(reason)
    parent = open_folder(settings, "cell-tree")
    with (parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return path
        for leftover in parent.glob("*.building"):
            remove_tree(leftover)
        progress("Building the cell's own dependency tree (once; about 500 MB) ...")
        fresh = parent / f"{uuid.uuid4().hex}.building"
        try:
            _install(fresh)
            fresh.chmod(0o755)
            fresh.rename(path)
        finally:
            remove_tree(fresh)
    return path


def _install(target: Path) -> None:
    import uv

    command = [
        *(uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--python", PYTHON, "--target", str(target)),
        *("--require-hashes", "--no-deps", "--only-binary", ":all:", "--link-mode", "copy", "--compile-bytecode"),
        *("-r", str(REQUIREMENTS)),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    # The tree is for the cell's user id: a closed umask of the worker must not make it unreadable.
    done = subprocess.run(  # noqa: S603 - a fixed command over our own list
        command, capture_output=True, text=True, env=environment, umask=0o022, check=False
    )
    if done.returncode != 0:
        raise CellUnavailable(f"The cell's dependency tree could not be built: {done.stderr.strip()[-1500:]}")
