"""Conversations with a model in a plain process of its own, without a wall: for models that a test itself made."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.cell.wire import Column, Setup
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.interface import Ending, Limits, Meters

ROOT = Path(__file__).resolve().parents[2]
_CHILD = "import socket, sys; from sandbox.cell import serve; serve.answer(socket.socket(fileno=int(sys.argv[1])))"


@dataclass
class Process:
    """A process that stands where a cell would."""

    connection: socket.socket
    child: subprocess.Popen[bytes] | None = None
    ended: Ending | None = None

    def ending(self) -> Ending:
        """End it, and say how it ended."""
        if self.ended is not None:
            return self.ended
        if self.child is None:
            return Ending.CRASHED
        alive = self.child.poll() is None
        if alive:
            self.child.kill()
        self.child.wait()
        return Ending.FINISHED if alive or self.child.returncode == 0 else Ending.CRASHED

    def meters(self) -> Meters:
        """Nothing is measured here."""
        return Meters(seconds=0.0, cpu_seconds=None, peak_bytes=None)

    def cancel(self) -> None:
        """End it now."""
        self.ended = Ending.CANCELLED
        if self.child is not None:
            self.child.kill()

    def close(self) -> None:
        """End it."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
        self.connection.close()


def one_number(name: str, path: Path, *, allow_code: bool = False) -> Setup:
    """What a cell is told of a model in this format that makes one number of one number, `x`."""
    return Setup(
        format=name,
        path=f"/c/model/{path.name}",
        allow_code=allow_code,
        columns=(Column(name="x", type="number"),),
        task="regression",
        output="value",
        classes=(),
        score_of="",
        k=1,
    )


@contextmanager
def talk(setup: Setup, limits: Limits | None = None) -> Iterator[Conversation]:
    """A loaded conversation with a model in a process of its own."""
    host, cell = socket.socketpair()
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(cell.fileno())],
        pass_fds=[cell.fileno()],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    cell.close()
    process = Process(connection=host, child=child)
    conversation = Conversation(process, setup, limits or Limits())
    try:
        conversation.load()
        yield conversation
    finally:
        conversation.close()
        process.close()
