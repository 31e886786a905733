"""One list of system calls that a cell may make, and the two forms of it: docker's JSON and bubblewrap's BPF program.

Assumes of its caller: the filter is installed after the wall is built and before the cell's own program starts. What is
not listed is refused with EPERM, or ENOSYS where libraries probe for a call and fall back when it is missing.
"""

from __future__ import annotations

import ctypes.util
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from socket import AF_INET, AF_UNIX
from typing import Any, Literal

_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET. NEWTIME overlaps the exit signal in `clone`
and can only be asked for through clone3 or unshare, which are refused whole."""

_FILES = """
access chdir chmod close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fchdir
fchmod fchmodat fcntl fdatasync fgetxattr flistxattr flock fstat fstatfs fsync ftruncate getcwd getdents getdents64
getxattr lgetxattr link linkat listxattr llistxattr lseek lstat mkdir mkdirat newfstatat open openat pread64 preadv
pwrite64 pwritev read readlink readlinkat readv rename renameat renameat2 rmdir sendfile stat statfs statx symlink
symlinkat truncate umask unlink unlinkat utime utimensat utimes write writev
"""
_WAITING = """
epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd eventfd2 pipe pipe2 poll ppoll pselect6 select
signalfd4
"""
_MEMORY = "brk madvise membarrier mmap mprotect mremap msync munmap"
_PROCESSES = """
arch_prctl execve exit exit_group fork futex get_robust_list getpgid getpgrp getpid getppid getsid gettid kill
restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
rt_sigtimedwait sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getparam sched_getscheduler
sched_setaffinity sched_yield set_robust_list set_tid_address setpgid setsid sigaltstack tgkill tkill vfork wait4 waitid
"""
_IDENTITY = """
capget getegid geteuid getgid getgroups getpriority getresgid getresuid getrlimit getrusage getuid prlimit64 setrlimit
sysinfo uname
"""
_TIME = """
alarm clock_getres clock_gettime clock_nanosleep getcpu getitimer getrandom gettimeofday nanosleep pause setitimer time
timer_create timer_delete timer_getoverrun timer_gettime timer_settime times
"""
# They can only take rights away from the process that makes them.
_CLOSING_IN = "landlock_add_rule landlock_create_ruleset landlock_restrict_self"
# No bind, listen or accept: a cell serves nobody. No sendmsg or recvmsg: no descriptor is passed in or out.
_SOCKETS = "connect getpeername getsockname getsockopt recvfrom sendto setsockopt shutdown"
# A builder serves its installer on its own loopback, where nobody else is; it still passes no descriptor.
_BUILDING = "accept4 bind listen chown fchown fchownat setxattr fsetxattr"

_MISSING = """
clone3 epoll_pwait2 execveat futex_requeue futex_wait futex_waitv futex_wake io_uring_enter io_uring_register
io_uring_setup memfd_create memfd_secret openat2 pidfd_getfd pidfd_open pidfd_send_signal pkey_alloc pkey_free
pkey_mprotect preadv2 process_madvise pwritev2 userfaultfd
"""
"""Answered with ENOSYS: libraries take another way. preadv2 would tell which pages of a shared file are in memory."""

_PRCTL = (1, 2, 3, 15, 16, 21, 23, 38, 39)
"""PDEATHSIG get and set, dumpable get, name get and set, seccomp get, capability bound read, no new privileges."""

_IOCTL = (0x5401, 0x5410, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""Is it a terminal, its foreground group (docker's init sets it, though there is no terminal), its size, bytes waiting,
non-blocking, close-on-exec off and on; never TIOCSTI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One allowed system call, perhaps only for one value of one argument.

    Args:
        name: the call's name.
        argument: position of the compared argument, from 0; None for any arguments.
        value: what the argument must equal after `mask`.
        mask: bits compared; None for all of them.
    """

    name: str
    argument: int | None = None
    value: int = 0
    mask: int | None = None


def rules(*, building: bool = False) -> tuple[Rule, ...]:
    """List every allowed system call, in a fixed order.

    Args:
        building: whether for a builder's cell, which speaks TCP to itself in a network of its own that leads nowhere.

    Returns:
        Rules of which any one that matches allows the call.
    """
    plain = " ".join((_FILES, _WAITING, _MEMORY, _PROCESSES, _IDENTITY, _TIME, _SOCKETS, _CLOSING_IN)).split()
    allowed = [Rule(name=name) for name in sorted(plain)]
    allowed += [Rule(name=name, argument=0, value=int(AF_UNIX)) for name in ("socket", "socketpair")]
    if building:
        allowed += [Rule(name=name) for name in _BUILDING.split()]
        allowed += [Rule(name="socket", argument=0, value=int(AF_INET))]
    allowed += [Rule(name="clone", argument=0, value=0, mask=_NEW_NAMESPACES)]
    allowed += [Rule(name="prctl", argument=0, value=option) for option in _PRCTL]
    allowed += [Rule(name="ioctl", argument=1, value=request) for request in _IOCTL]
    return tuple(allowed)


def missing() -> tuple[str, ...]:
    """List the calls that are answered as if the kernel did not have them.

    Returns:
        Names of system calls.
    """
    return tuple(sorted(_MISSING.split()))


def docker_profile(*, building: bool = False) -> str:
    """Write the filter as docker's seccomp profile.

    Args:
        building: see `rules`.

    Returns:
        JSON text for `--security-opt seccomp=`.
    """
    allowed = rules(building=building)
    calls: list[dict[str, Any]] = [{"names": [r.name for r in allowed if r.argument is None], "action": _ALLOW}]
    for rule in allowed:
        if rule.argument is None:
            continue
        compared = (
            {"index": rule.argument, "value": rule.value, "op": "SCMP_CMP_EQ"}
            if rule.mask is None
            else {"index": rule.argument, "value": rule.mask, "valueTwo": rule.value, "op": "SCMP_CMP_MASKED_EQ"}
        )
        calls.append({"names": [rule.name], "action": _ALLOW, "args": [compared]})
    calls.append({"names": list(missing()), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS})
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno.EPERM, "syscalls": calls})


_ALLOW = "SCMP_ACT_ALLOW"


def unavailable() -> str | None:
    """Say why no BPF program can be made here; None when one can.

    Returns:
        One sentence with what to install.
    """
    if ctypes.util.find_library("seccomp") is None:
        return "The library libseccomp is not there: install libseccomp2 (apt-get install libseccomp2)."
    return None


@lru_cache(maxsize=2)
def bpf_program(*, building: bool = False) -> bytes:
    """Compile the filter for this machine's processor.

    Args:
        building: see `rules`.

    Returns:
        A BPF program as bubblewrap's `--seccomp` reads it.

    Raises:
        OSError: libseccomp refused a rule other than for a call that it does not know.
    """
    import pyseccomp

    made = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    for rule in rules(building=building):
        if rule.argument is None:
            _add(made, pyseccomp.ALLOW, rule.name, ())
            continue
        argument = (
            pyseccomp.Arg(rule.argument, pyseccomp.EQ, rule.value)
            if rule.mask is None
            else pyseccomp.Arg(rule.argument, pyseccomp.MASKED_EQ, rule.mask, rule.value)
        )
        _add(made, pyseccomp.ALLOW, rule.name, (argument,))
    for name in missing():
        _add(made, pyseccomp.ERRNO(errno.ENOSYS), name, ())
    with tempfile.TemporaryFile() as out:
        made.export_bpf(out)
        out.seek(0)
        return out.read()


def _add(made: Any, action: Any, name: str, arguments: Iterable[Any]) -> None:
    """Add one rule; a call that this libseccomp or this processor does not know stays refused, which is the default."""
    import pyseccomp

    if pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) < 0:
        return
    made.add_rule(action, name, *arguments)


def filter_file(*, building: bool = False) -> int:
    """Give the program as an open file of its own, read from the start by whoever inherits it.

    Args:
        building: see `rules`.

    Returns:
        A descriptor that the caller closes.
    """
    descriptor = os.memfd_create("cell-filter", os.MFD_CLOEXEC)
    os.write(descriptor, bpf_program(building=building))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def digest(form: Literal["docker", "bubblewrap"]) -> str:
    """Hash the filter in the form that a backend uses.

    Args:
        form: whose form.

    Returns:
        SHA-256 in hexadecimal.
    """
    content = docker_profile().encode() if form == "docker" else bpf_program()
    return hashlib.sha256(content).hexdigest()
