"""Says which file names a submission may use, the same for a folder and for an archive.

A name is shown to people and becomes a path on our disk and in a cell, so that it must mean the same to all of them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from sandbox.intake.problems import Gathered

LONGEST_PATH = 400
LONGEST_PART = 200
DEEPEST = 16
LEFT_OUT = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX", ".git", "__pycache__"})
"""What desktops and version control leave in a folder: not part of a submission, and said so where it is left out."""


def is_left_out(path: str) -> bool:
    """Tell whether a path is a leftover of a desktop or of version control.

    Args:
        path: relative, with `/`.
    """
    return any(part in LEFT_OUT for part in path.split("/"))


def check_name(path: str, gathered: Gathered) -> bool:
    """See that a path stays inside and means the same everywhere.

    Args:
        path: relative, with `/`, as stored.
        gathered: takes the problem.

    Returns:
        Whether it may be used.
    """
    parts = path.split("/")
    if path.startswith("/") or (len(path) > 1 and path[1] == ":" and path[0].isalpha()):
        gathered.add("", "file.absolute", path=path)
    elif ".." in parts:
        gathered.add("", "file.climbs", path=path)
    elif _is_strange(path):
        gathered.add("", "file.strange_name", path=path)
    elif len(path) > LONGEST_PATH or any(len(p.encode()) > LONGEST_PART for p in parts) or len(parts) > DEEPEST:
        gathered.add("", "file.long_name", path=path, most=LONGEST_PATH, deepest=DEEPEST)
    else:
        return True
    return False


def _is_strange(path: str) -> bool:
    if "\\" in path or any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in path):
        return True
    return any(part in ("", ".") or part != part.strip() or part.endswith(".") for part in path.split("/"))


def check_collisions(paths: Iterable[str], gathered: Gathered) -> None:
    """See that no two paths are the same, or the same but for case or composition, or a file and a folder at once.

    Args:
        paths: of files, each as often as it occurs.
        gathered: takes the problems.
    """
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        folded = fold(path)
        if folded in seen:
            code = "file.doubled" if seen[folded] == path else "file.case_collision"
            gathered.add("", code, path=path, other=seen[folded])
            continue
        seen[folded] = path
        parts = path.split("/")
        for i in range(1, len(parts)):
            folder = "/".join(parts[:i])
            other = folders.setdefault(fold(folder), folder)
            if other != folder:
                gathered.add("", "file.case_collision", path=path, other=other)
    for folded, folder in folders.items():
        if folded in seen:
            gathered.add("", "file.case_collision", path=seen[folded], other=folder)


def fold(path: str) -> str:
    """Give what all spellings of a path share that some file systems cannot tell apart."""
    return unicodedata.normalize("NFKC", path).casefold()
