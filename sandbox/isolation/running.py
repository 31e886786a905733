"""One running cell, whatever the backend: its files, its one connection, its end, and the removal of all it leaves.

Assumes of its caller: whoever opens a cell closes it, also when something else goes wrong in between.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from pathlib import Path

from sandbox.errors import CellUnavailable, ModelFault
from sandbox.isolation import limits as groups
from sandbox.isolation import place
from sandbox.isolation.interface import CellFiles, Ending, Limits, Meters
from sandbox.isolation.keeper import Keeper, Kept
from sandbox.niceness import hand_on

_FAULTS = {
    Ending.OUT_OF_MEMORY: "out_of_memory",
    Ending.TIMED_OUT: "timed_out",
    Ending.CPU_LIMIT: "cpu_limit",
    Ending.OUTPUT_LIMIT: "output_limit",
}
_END_SECONDS = 15.0
_OWN_END_SECONDS = 1.0


class KeptCell:
    """A cell that a keeper keeps.

    Args:
        lease: its name, folder and user id.
        limits: what it may use.
        kept: the process tree or container that is the cell.
    """

    connection: socket.socket

    def __init__(self, lease: place.Lease, limits: Limits, kept: Kept) -> None:
        self.lease = lease
        self.kept = kept
        self.peer = 0
        self._limits = limits
        self._keeper = Keeper(kept, limits)
        self._inbox: place.Inbox | None = None
        self._ending: Ending | None = None
        self._closed = False

    def start(self, files: CellFiles, code: Path) -> None:
        """Put the files in place, start the cell and accept its one connection.

        Args:
            files: what enters.
            code: folder that becomes the package `cell`.

        Raises:
            CellUnavailable: the wall could not be built.
            ModelFault: a limit ended the cell before it connected.
        """
        try:
            self._inbox = place.fill(self.lease, files, code)
            self._keeper.start()
            self._keeper.started.wait()
            if isinstance(self._keeper.failure, CellUnavailable):
                raise self._keeper.failure
            if self._keeper.failure is not None:
                raise CellUnavailable(
                    f"The cell could not be started: {self._keeper.failure}."
                ) from self._keeper.failure
            self.lease.pid = self.kept.pid
            self.lease.pid_started = place.started(self.kept.pid) or 0
            self.lease.write()
            self._connect(self._inbox)
        except BaseException:
            self.close()
            raise

    def _connect(self, inbox: place.Inbox) -> None:
        until = time.monotonic() + self._limits.start_seconds
        while time.monotonic() < until:
            accepted = place.accept(inbox, 0.05)
            if accepted is None:
                if self._keeper.ended.is_set():
                    raise self._not_connected()
                continue
            connection, peer, user = accepted
            # An id of the cell's own says whose process it is; the worker's own id does not.
            if user == self.lease.user_id and (self.lease.own_user or place.descends(peer, self.kept.pid)):
                self.connection, self.peer = connection, peer
                hand_on(peer)
                place.stop_listening(inbox)
                with contextlib.suppress(BrokenPipeError):
                    # The cell begins only now that nobody can connect any more.
                    connection.sendall(b"\1")
                return
            connection.close()
        self._keeper.stop(Ending.TIMED_OUT)
        self._keeper.ended.wait(_END_SECONDS)
        raise self._not_connected()

    def _not_connected(self) -> CellUnavailable | ModelFault:
        ending = self._keeper.ending()
        if ending in _FAULTS:
            return ModelFault(
                _FAULTS[ending], "The cell was ended before it could begin: one of its limits is too small."
            )
        return CellUnavailable(
            f"The cell ended before it connected (status {self._keeper.status}): {self.diagnostic()}"
        )

    @property
    def waits(self) -> bool:
        """Whether the cell still runs and has said nothing."""
        return not self._keeper.ended.is_set() and not self._spoke()

    def _spoke(self) -> bool:
        look = select.poll()
        look.register(self.connection.fileno(), select.POLLIN)
        return bool(look.poll(0))

    def give(self, model: Path) -> None:
        """Put the model into the inbox of a cell that was started without one; its time counts from now.

        Args:
            model: host path of the model file or folder; the cell can read it, and nobody can change it.

        Raises:
            CellUnavailable: it cannot be put in place.
        """
        assert self._inbox is not None
        place.deliver(self.lease, self._inbox, model)
        self._keeper.begin_again()

    def listen(self, name: str) -> socket.socket:
        """Listen on one more socket beside the cell's own, for a builder's way to the index.

        Args:
            name: of the socket in `/c/socket`.

        Returns:
            The listener; the caller closes it.
        """
        assert self._inbox is not None
        return place.listen_beside(self.lease, self._inbox, name)

    def ending(self) -> Ending:
        """End the cell if it still runs, and say how it ended."""
        if self._ending is None:
            if self._keeper.ident is None or self._keeper.failure is not None:
                return Ending.CRASHED
            if self._hung_up():
                # It is ending by itself, and how is worth knowing.
                self._keeper.ended.wait(_OWN_END_SECONDS)
            if not self._keeper.ended.is_set():
                self._keeper.stop(Ending.FINISHED)
            self._keeper.ended.wait(_END_SECONDS)
            self._ending = self._keeper.ending()
        return self._ending

    def _hung_up(self) -> bool:
        try:
            # Looked at first: a socket with a time limit waits for it before it reads, whatever the flags say.
            look = select.poll()
            look.register(self.connection.fileno(), select.POLLIN)
            if not look.poll(0):
                return False
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except ConnectionError:
            return True
        except (AttributeError, OSError, ValueError):
            # Not connected yet, closed by the caller, or still there.
            return False

    def meters(self) -> Meters:
        """Say what the cell used; complete after `ending()`."""
        return self._keeper.meters()

    def cancel(self) -> None:
        """End the cell now, from any thread."""
        self._keeper.stop(Ending.CANCELLED)

    def diagnostic(self) -> str:
        """Give the last lines that the cell wrote to standard error, escaped: for people, never parsed."""
        return ascii(self._keeper.stderr.decode("utf-8", "backslashreplace").strip())

    def close(self) -> None:
        """End the cell and remove all that it left."""
        if self._closed:
            return
        self._closed = True
        self.ending()
        if hasattr(self, "connection"):
            self.connection.close()
        if self._inbox is not None:
            place.stop_listening(self._inbox)
        groups.remove(self.lease.cgroups)
        self.lease.end()
