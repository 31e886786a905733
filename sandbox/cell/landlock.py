"""Lets a cell close itself in before anything of an upload is opened, by the kernel's Landlock where there is one.

Runs inside a cell, behind the wall, which holds without it: this is a second wall, built by the process that it binds.
Assumes that the process has one thread, no privileges to gain, and has connected to the host already; what it gives up
here it cannot take back, nor can any of its threads and children.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence

# The same numbers on every processor: the calls are younger than the common table.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ABI_ASKED = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FOLDER, _REMOVE_FILE, _MAKE_FOLDER, _MAKE_FILE, _MAKE_LINK = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 12
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_READS = _READ_FILE | _READ_FOLDER
_WRITES = _WRITE_FILE | _REMOVE_FOLDER | _REMOVE_FILE | _MAKE_FOLDER | _MAKE_FILE | _MAKE_LINK | _REFER | _TRUNCATE
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_FOLDERS_FROM = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights over files each version of the interface knows; later ones know no more."""
_TCP, _SCOPES = 0b11, 0b11
_TCP_FROM, SCOPES_FROM = 4, 6

READ = ("/usr", "/c", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/dev/urandom", "/dev/zero")
"""What a model's libraries read: the tree, the inbox, the system's Python, and facts of the processor."""
WRITTEN = ("/tmp", "/dev/null")  # noqa: S108 - the cell's own sized memory files


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def abi() -> int:
    """Ask the kernel which version of Landlock it has.

    Returns:
        The version, at least 1; 0 where there is none or it is switched off.
    """
    try:
        return _call(_CREATE, None, 0, _ABI_ASKED)
    except OSError as none:
        if none.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def close_in(*, read: Sequence[str] = READ, written: Sequence[str] = WRITTEN) -> int:
    """Give up all but reading and writing beneath these paths: nothing is executed, and no TCP, signal or abstract
    socket leaves this process and its children, as far as the kernel's version knows to refuse them.

    Args:
        read: files and folders that may be read; one that is not there is left out.
        written: files and folders that may be read, written, and filled with files, folders and links.

    Returns:
        The version in force; 0 where the kernel has no Landlock, and then nothing has changed.

    Raises:
        OSError: the kernel has it, but did not take these rules. Nothing of an upload may be opened then.
    """
    version = abi()
    if version == 0:
        return 0
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - pathlib is not imported in a cell before it is needed
        raise OSError(errno.EBUSY, "a thread that was started before would stay outside")
    known = (1 << _FOLDERS_FROM.get(version, 16)) - 1
    wanted = _Ruleset(
        files=known, network=_TCP if version >= _TCP_FROM else 0, scoped=_SCOPES if version >= SCOPES_FROM else 0
    )
    rules = _call(_CREATE, ctypes.byref(wanted), ctypes.sizeof(wanted), 0)
    try:
        for paths, rights in ((read, _READS), (written, _READS | _WRITES)):
            for path in paths:
                _allow(rules, path, rights & known)
        _call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)
    return version


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - pathlib is not imported in a cell before it is needed
            rights &= _ON_FILES
        beneath = _Beneath(allowed=rights, folder=handle)
        _call(_ADD, rules, 1, ctypes.byref(beneath), 0)
    finally:
        os.close(handle)


def _call(number: int, *arguments: object) -> int:
    ctypes.set_errno(0)
    given = int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))
    if given < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return given
