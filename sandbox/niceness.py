"""Let whoever waits for a page go first: what an assessment starts takes processor time as its worker does.

Linux may share processor time out to sessions first and to the processes of a session after that (autogrouping). Then
a process in a session of its own takes a whole share, however nice it is, unless its session is told.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def begin_session() -> None:
    """Begin a session of this process's own, which is as nice as the process."""
    os.setsid()
    hand_on(os.getpid())


def hand_on(pid: int) -> None:
    """Make the session of another process as nice as this process; nothing where sessions take no shares.

    Args:
        pid: of a process in that session.
    """
    # Not there, not ours, or told too often in a tenth of a second: it is then less nice, and no less right.
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)), encoding="ascii")
