"""Try to get out of a cell, in every way that the receipt names, and report each try in a record of fixed size.

Runs in a sibling cell that holds no upload, so what it says is our own code's word; it reports what the kernel answered
and decides nothing. What can be seen from outside is looked at there instead. All is tried before the sibling closes
itself in as other cells do, so that what holds is the outer wall; that closing in is the last try.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from . import landlock

ORDER = struct.Struct("<c32sQQ1024s")
"""What the host sends first: `A` (try everything) or `M` (use up memory), a marker, the limit of processes or of bytes,
the limit of scratch bytes, a path on the host."""

RECORD = struct.Struct("<Hiq")
"""What comes back per try: its position in `TRIES`, the errno (0 when it worked), a number; `END` closes the list."""

TRIES = (
    "network_inet",
    "network_inet6",
    "network_netlink",
    "network_vsock",
    "network_packet",
    "second_connection",
    "dns",
    "write_root",
    "core_pattern",
    "canary",
    "host_files",
    "environment",
    "system_calls",
    "other_processes",
    "scratch_size",
    "processes",
    "landlock",
)
END = 0xFFFF
LOOK = b"L"
"""Sent by the host when it has looked at the standing cell from outside and the cell may go on."""

_FAMILIES = {
    "network_inet": socket.AF_INET,
    "network_inet6": socket.AF_INET6,
    "network_netlink": 16,
    "network_vsock": 40,
    "network_packet": 17,
}
# The kernel's numbers; a filter is only told apart from a call that fails by itself on the processors listed here.
_CALLS = {
    "x86_64": {
        "add_key": 248, "bpf": 321, "clone3": 435, "io_uring_setup": 425, "keyctl": 250, "memfd_create": 319,
        "mount": 165, "mq_open": 240, "open_by_handle_at": 304, "perf_event_open": 298, "pidfd_getfd": 438,
        "process_vm_readv": 310, "ptrace": 101, "setns": 308, "shmget": 29, "unshare": 272, "userfaultfd": 323,
    },
    "aarch64": {
        "add_key": 217, "bpf": 280, "clone3": 435, "io_uring_setup": 425, "keyctl": 219, "memfd_create": 279,
        "mount": 40, "mq_open": 180, "open_by_handle_at": 265, "perf_event_open": 241, "pidfd_getfd": 438,
        "process_vm_readv": 270, "ptrace": 117, "setns": 268, "shmget": 194, "unshare": 97, "userfaultfd": 282,
    },
}  # fmt: skip
# Arguments that the kernel turns down when it takes the call up, so that the sibling itself stays as it is.
_FIRST_ARGUMENT = {"ptrace": 16, "unshare": 1}
_WRITES = ("/probe", "/usr/probe", "/c/probe", "/c/tree/probe", "/c/code/cell/probe", "/c/model/probe", "/dev/probe")
_STEP = 16 * 1024**2


def main(connection: socket.socket) -> None:
    """Do what the host orders.

    Args:
        connection: connected to the host.
    """
    kind, marker, number, scratch, path = ORDER.unpack(_exactly(connection, ORDER.size))
    if kind == b"M":
        _use_memory(number)
        return
    host_path = path.rstrip(b"\0").decode("utf-8", "surrogateescape")
    for position, (code, value) in _tries(marker, scratch, host_path):
        connection.sendall(RECORD.pack(position, code, value))
    connection.sendall(RECORD.pack(END, 0, 0))
    if _exactly(connection, 1) == LOOK:
        code, value = _fork(number)
        connection.sendall(RECORD.pack(TRIES.index("processes"), code, value))
        code, value = _close_in()
        connection.sendall(RECORD.pack(TRIES.index("landlock"), code, value))


def _tries(marker: bytes, scratch: int, host_path: str) -> Iterator[tuple[int, tuple[int, int]]]:
    tries: dict[str, Callable[[], int]] = {
        **{name: partial(_open_socket, family) for name, family in _FAMILIES.items()},
        "second_connection": _connect_again,
        "dns": _resolve,
        "write_root": _write,
        "core_pattern": partial(_open, "/proc/sys/kernel/core_pattern", os.O_WRONLY),
        "canary": partial(_open, "/c/model/canary", os.O_RDONLY),
        "host_files": partial(_open, host_path, os.O_RDONLY),
        "environment": lambda: _search(marker),
        "system_calls": _calls,
        "other_processes": lambda: sum(entry.name.isdigit() for entry in Path("/proc").iterdir()),
        "scratch_size": partial(_fill_scratch, scratch),
    }
    for name, attempt in tries.items():
        yield TRIES.index(name), _outcome(attempt)


def _outcome(attempt: Callable[[], int]) -> tuple[int, int]:
    try:
        return 0, attempt()
    except OSError as refused:
        # Errors of name resolution have negative numbers of their own; none of them is 0.
        return refused.errno or -1, 0


def _open(path: str, flags: int) -> int:
    os.close(os.open(path, flags))
    return 0


def _open_socket(family: int) -> int:
    socket.socket(family, socket.SOCK_RAW if family in (16, 17) else socket.SOCK_STREAM).close()
    return 0


def _connect_again() -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as second:
        second.connect("/c/socket/s")
    return 0


def _resolve() -> int:
    return len(socket.getaddrinfo("example.org", 443))


def _write() -> int:
    """Count the places outside its scratch that can be written; an error is only raised when there are none."""
    written = 0
    refused = OSError(errno.EROFS, "nothing tried")
    for path in _WRITES:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            written += 1
        except OSError as fault:
            refused = fault
    if written == 0:
        raise refused
    return written


def _search(marker: bytes) -> int:
    """Count the files under /proc that hold the marker."""
    found = 0
    for folder in Path("/proc").iterdir():
        if not (folder.name.isdigit() or folder.name == "self"):
            continue
        for name in ("environ", "cmdline"):
            with contextlib.suppress(OSError):
                found += marker in (folder / name).read_bytes()
    return found


def _calls() -> int:
    """Count the system calls that the kernel took up instead of refusing."""
    numbers = _CALLS.get(platform.machine())
    if numbers is None:
        raise OSError(errno.ENOTSUP, "the numbers of this processor are not known here")
    call = ctypes.CDLL(None, use_errno=True).syscall
    taken = 0
    for name, number in numbers.items():
        ctypes.set_errno(0)
        result = call(number, _FIRST_ARGUMENT.get(name, 0), 0, 0, 0, 0, 0)
        taken += result != -1 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS)
    return taken


def _fill_scratch(limit: int) -> int:
    """Write to /tmp until it is refused or beyond its limit, and say how much went in; then remove it."""
    scratch = Path("/tmp")  # noqa: S108 - the cell's own memory files
    size = os.statvfs(scratch).f_blocks * os.statvfs(scratch).f_frsize
    block, written = bytes(1024**2), 0
    paths: list[Path] = []
    with contextlib.suppress(OSError):
        while written <= limit:
            paths.append(scratch / str(len(paths)))
            with paths[-1].open("wb", buffering=0) as out:
                written += out.write(block)
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
    return max(size, written)


def _fork(limit: int) -> tuple[int, int]:
    """Fork until it is refused, at most a little over the limit; the children wait and are then ended."""
    begun: list[int] = []
    code = 0
    for _ in range(limit + 8):
        try:
            child = os.fork()
        except OSError as refused:
            code = refused.errno or -1
            break
        if child == 0:
            signal.pause()
            os._exit(0)
        begun.append(child)
    for child in begun:
        os.kill(child, signal.SIGKILL)
    for child in begun:
        os.waitpid(child, 0)
    return code, len(begun)


def _close_in() -> tuple[int, int]:
    """Close this sibling in, and say what then refuses to list the root folder, which was open until now.

    Returns:
        The errno, or 0 where it can still be listed, and the version in force; an errno of its own where the first
        process of the cell can still be signalled, though this version knows to refuse it.
    """
    os.listdir("/")  # noqa: PTH208 - as it is tried again below
    try:
        version = landlock.close_in()
    except OSError as refused:
        return refused.errno or -1, -1
    try:
        os.listdir("/")  # noqa: PTH208 - the call that is tried
    except OSError as refused:
        code = refused.errno or -1
    else:
        return 0, version
    if version >= landlock.SCOPES_FROM:
        try:
            os.kill(1, 0)
        except PermissionError:
            return code, version
        return errno.ENOTSUP, version
    return code, version


def _use_memory(number: int) -> None:
    """Take and touch this many bytes; the wall must end the process before it has them."""
    held = []
    for _ in range(0, number, _STEP):
        held.append(bytearray(_STEP))
        held[-1][::4096] = b"x" * (_STEP // 4096)
    sys.exit(0)


def _exactly(connection: socket.socket, size: int) -> bytes:
    held = b""
    while len(held) < size:
        piece = connection.recv(size - len(held))
        if not piece:
            raise EOFError("the host closed the connection")
        held += piece
    return held
