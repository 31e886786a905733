"""Gets a clean cell ready before its model is there: imports the numeric libraries, then answers as `serve` does.

Assumes that the wall is up and that no model is in the cell yet: nothing but the locked libraries and our own code runs
until the host, having put the model in place, sends the set-up.
"""

from __future__ import annotations

import socket
from importlib import import_module

from .serve import main as serve

LIBRARIES = ("numpy", "scipy.sparse", "pandas", "sklearn.pipeline", "sklearn.ensemble", "skops.io")


def main(connection: socket.socket) -> None:
    """Import what most models need, and then wait for the host as `serve.main` does.

    Args:
        connection: connected stream socket to the host, blocking.

    Raises:
        OffTheWire: what arrived is not of this wire.
    """
    for name in LIBRARIES:
        import_module(name)
    serve(connection)
