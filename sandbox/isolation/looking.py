"""Look at processes from outside their wall: namespaces, variables, descriptors, and mounts that can be written to.

Assumes of its caller: it may look, as root or as another process of the same user. The standard library is enough for
it, so where the worker may not look, this very text is run by `command` where one may.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Facts = dict[str, Any]
"""`namespaces`: link by kind. `variables`: `NAME=value` each, None where they cannot be read. `descriptors`: number,
device, inode, mode, what it leads to. `writable`: folder, kind, size, mode, owner and group of each but devices."""


def command(*pids: int) -> list[str]:
    """Give the command line that looks at processes and writes what it saw to standard error.

    Args:
        pids: as they are numbered where it runs, for `look`; every one but itself when none is named.
    """
    return ["/usr/bin/python3", "-I", "-c", Path(__file__).read_text(encoding="utf-8"), *map(str, pids)]


def read(told: bytes) -> dict[int, Facts]:
    """Read what `command` wrote.

    Args:
        told: all of it; lines before the last are somebody else's.

    Raises:
        ValueError: it is something else.
    """
    return {int(pid): facts for pid, facts in json.loads(told.rpartition(b"\n")[2]).items()}


def look(pids: Sequence[int]) -> dict[int, Facts]:
    """Look at each process that is there and in the first one's namespace of processes.

    Args:
        pids: as they are numbered here.

    Raises:
        OSError: this process may not look at one of them.
    """
    found: dict[int, Facts] = {}
    own = Path(f"/proc/{pids[0]}/ns/pid").readlink()
    for pid in pids:
        folder = Path(f"/proc/{pid}")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if (folder / "ns/pid").readlink() == own:
                found[pid] = {
                    "namespaces": {entry.name: str(entry.readlink()) for entry in (folder / "ns").iterdir()},
                    "variables": _variables(folder),
                    "descriptors": list(_descriptors(folder)),
                    "writable": list(_mounts(folder)),
                }
    return found


def _variables(folder: Path) -> list[str] | None:
    try:
        content = (folder / "environ").read_bytes()
    except PermissionError:
        return None
    return [entry.decode("utf-8", "backslashreplace") for entry in content.split(b"\0") if entry]


def _descriptors(folder: Path) -> Iterator[tuple[int, int, int, int, str]]:
    for entry in (folder / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            facts = entry.stat()
            yield int(entry.name), facts.st_dev, facts.st_ino, facts.st_mode, str(entry.readlink())


def _mounts(folder: Path) -> Iterator[tuple[str, str, str, int, int, int]]:
    for line in (folder / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        place, flags = before.split()[4:6]
        if "ro" in flags.split(",") or "ro" in options.split(","):
            continue
        facts = Path(f"{folder}/root{place}").stat()
        if not stat.S_ISCHR(facts.st_mode):
            size = next((option for option in options.split(",") if option.startswith("size=")), "")
            yield place, kind, size, facts.st_mode, facts.st_uid, facts.st_gid


if __name__ == "__main__":
    others = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and int(p.name) != os.getpid()]
    json.dump(look([int(pid) for pid in sys.argv[1:]] or others), sys.stderr)
