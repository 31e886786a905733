"""Write a file so that it is there whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Write a file that everybody may read, or put another in its place, in one step.

    Raises:
        OSError: it cannot be written; then what was there is as it was.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        partial = Path(draft.name)
        draft.write(content)
    partial.chmod(0o644)
    partial.replace(path)
