"""Wait for something that another process does, and find a port for it to listen on."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def free_port() -> int:
    """Find a port of this machine on which nothing listens; it is free until somebody takes it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Found], seconds: float = 200) -> Found:
    """Wait until something holds, and give it; the time is how long a test that fails takes, and measures nothing."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def until_it_answers(address: str, server: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until a server that was started answers at an address with a status of success."""
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            assert server.poll() is None, f"the server of {address} ended"
            assert time.monotonic() < end, f"nothing answers at {address}"
            time.sleep(0.1)
