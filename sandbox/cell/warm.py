"""Gets a clean cell ready before its model is there: imports the numeric libraries, then answers as `serve` does.

Assumes that the wall is up and that no model is in the cell yet: nothing but the locked libraries and our own code runs
until the host, having put the model in place, sends the set-up.
"""

from __future__ import annotations

import socket
from importlib import import_module

from . import landlock
from .serve import answer

LIBRARIES = ("numpy", "scipy.sparse", "pandas", "sklearn.pipeline", "sklearn.ensemble", "skops.io")


def main(connection: socket.socket) -> None:
    """Import what most models need, and then answer as `serve` does.

    Args:
        connection: connected stream socket to the host, blocking.

    Raises:
        OffTheWire: what arrived is not of this wire.
        OSError: the kernel has Landlock and did not take our rules.
    """
    # Before the imports: they start threads, and a thread that runs already is not closed in.
    landlock.close_in()
    for name in LIBRARIES:
        import_module(name)
    answer(connection)
