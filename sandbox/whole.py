"""Write a file so that it is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file, or put another in its place, in one step that a crash of the machine does not undo by half.

    Args:
        path: in a folder that is there.
        content: whole.
        mode: who may read and write it; everybody may read unless it is said otherwise.

    Raises:
        OSError: it cannot be written; then what was there is as it was, and nothing stays beside it.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as draft:
            draft.write(content)
            draft.flush()
            os.fsync(draft.fileno())
        partial.chmod(mode)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
