"""Start one entry of the cell: set the import path, drop what was inherited, connect once, hand over the connection.

Run as a script inside a cell, never imported by the service. Assumes that the wall is already up around it: it gives
away nothing itself. Whatever goes wrong ends the process with status 70, or 71 when memory ran out; the outside trusts
neither, it only names the ending by them.
"""

from __future__ import annotations

import os
import socket
import sys
from importlib import import_module

CODE = "/c/code"
TREE = "/c/tree"
SOCKET = "/c/socket/s"
STATUS_FAULT = 70
STATUS_MEMORY = 71

_HELD: list[socket.socket] = []


def main(arguments: list[str]) -> int:
    """Connect to the host and run one entry until it returns.

    Args:
        arguments: the entry's module name inside the package `cell`, and nothing else.

    Returns:
        The process's status: 0 when the entry returned.
    """
    (entry,) = arguments
    os.closerange(3, 4096)
    sys.path = [*[path for path in sys.path if path], CODE, TREE]
    # Never closed here: the host takes the end of the connection for the end of the process.
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(SOCKET)
    # One byte says that the host has closed the listener: nothing of a model runs while a second one could connect.
    if not connection.recv(1):
        return STATUS_FAULT
    _HELD.append(connection)
    import_module(f"cell.{entry}").main(connection)
    return 0


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
    except MemoryError:
        os._exit(STATUS_MEMORY)
    except BaseException as fault:  # noqa: BLE001 - the last line before the process ends; nobody reads its content
        os.write(2, f"{type(fault).__name__}: {fault}\n".encode("utf-8", "replace")[-2048:])
        os._exit(STATUS_FAULT)
    # No interpreter shutdown: a model's atexit hooks and destructors have nothing left to do here.
    os._exit(status)
