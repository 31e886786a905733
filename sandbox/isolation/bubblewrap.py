"""Cells by bubblewrap: namespaces, a filter and limits, without an engine; as root or as an ordinary user.

Assumes of its caller: the process that opens a cell closes it. As root the cell's kernel user id is dropped to one of
its own before bubblewrap runs, because a user namespace made by root would still be root to the host's files.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from sandbox.cell import landlock
from sandbox.errors import CellUnavailable
from sandbox.isolation import limits as groups
from sandbox.isolation import looking, place, seccomp, tree
from sandbox.isolation.interface import Attempt, CellFiles, Limits
from sandbox.isolation.keeper import kill_until_gone
from sandbox.isolation.running import KeptCell
from sandbox.settings import Settings

_TOOLS = {"bwrap": "bubblewrap", "setpriv": "util-linux", "prlimit": "util-linux"}
_OLDEST = (0, 8, 0)
_JOIN = (
    'n=$1; shift; while [ "$n" -gt 0 ]; do echo 0 > "$1/cgroup.procs" || exit 125; shift; n=$((n-1)); done; exec "$@"'
)
_SEARCH = "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin"


class Bubblewrap:
    """The embedded backend.

    Args:
        settings: the operator's settings.
        code: folder that becomes the package `cell` inside; ours, unless a test brings its own.
    """

    name = "bubblewrap"

    def __init__(self, settings: Settings, *, code: Path = place.CELL_CODE) -> None:
        self._settings = settings
        self._code = code

    def available(self) -> str | None:
        """Say why bubblewrap cannot be used here, with what to install; None when it can."""
        for tool, package in _TOOLS.items():
            if shutil.which(tool, path=_SEARCH) is None:
                return f"{tool} is not there: install {package} (apt-get install {package})."
        version = _version()
        if version < _OLDEST:
            return f"bubblewrap {'.'.join(map(str, version))} is too old: 0.8.0 or later is needed."
        return seccomp.unavailable() or tree.unavailable() or _namespaces()

    def profile(self, limits: Limits) -> Mapping[str, object]:
        """Describe the wall: equal profiles are equal walls."""
        as_root = os.geteuid() == 0
        group = groups.hierarchies()
        return {
            "backend": self.name,
            "runtime": f"bubblewrap {'.'.join(map(str, _version()))}",
            "image": f"tree:{tree.tree_digest()}",
            "user": "one kernel user id per cell" if as_root else "the worker's own user id in a user namespace",
            "memory_limit_by": f"cgroup v{group.version}" if group else "resource limits only (per process)",
            "filter": seccomp.digest("bubblewrap"),
            "landlock": landlock.abi(),
            "code": place.code_digest(self._code),
            "command": self._command(
                limits, user_id=0, joined=(), inbox="INBOX", tree_folder="TREE", descriptor=0, entry="ENTRY"
            ),
            "limits": place.limits_as_dict(limits),
        }

    def open(self, files: CellFiles, limits: Limits) -> KeptCell:
        """Start a cell and wait until it has connected."""
        reason = self.available()
        if reason is not None:
            raise CellUnavailable(reason)
        tree_folder = files.environment or tree.build_tree(self._settings)
        lease = place.take(self._settings, self.name, own_user=os.geteuid() == 0)
        group = groups.make(lease.name, limits)
        joined = group.folders if group else ()
        lease.cgroups = [str(folder) for folder in joined]
        lease.write()
        descriptor = seccomp.filter_file(building=files.builds)
        command = self._command(
            limits,
            user_id=lease.user_id,
            joined=joined,
            inbox=lease.folder,
            tree_folder=str(tree_folder),
            descriptor=descriptor,
            entry=files.entry,
        )
        cell = KeptCell(lease, limits, BubblewrapTree(command, descriptor, group))
        cell.start(files, self._code)
        return cell

    def prove(self, limits: Limits) -> Sequence[Attempt]:
        """Try to get out of a sibling cell of the same profile, and report each attempt."""
        from sandbox.isolation.prove import prove

        return prove(self, limits, self._settings)

    def _command(
        self,
        limits: Limits,
        *,
        user_id: int,
        joined: Sequence[Path],
        inbox: str,
        tree_folder: str,
        descriptor: int,
        entry: str,
    ) -> list[str]:
        own_user = os.geteuid() == 0
        identity = ["--reuid", str(user_id), "--regid", str(user_id), "--clear-groups"] if own_user else []
        # A user's processes are counted over all that the user runs: only an id of the cell's own is counted here,
        # an ordinary user's cell is counted inside its user namespace.
        processes = ["/usr/bin/prlimit", f"--nproc={limits.processes}"]
        per_process = [] if groups.hierarchies() else [f"--as={limits.memory_bytes}", f"--data={limits.memory_bytes}"]
        scratch = str(limits.scratch_bytes)
        variables = [part for pair in place.environment().items() for part in ("--setenv", *pair)]
        return [
            *("/bin/sh", "-c", _JOIN, "cell", str(len(joined)), *(str(folder) for folder in joined)),
            *("/usr/bin/setpriv", *identity, "--no-new-privs"),
            *(processes if own_user else ["/usr/bin/prlimit"]),
            *(f"--nofile={limits.open_files}", f"--fsize={limits.file_bytes}", "--core=0", "--memlock=0"),
            *("--msgqueue=0", f"--cpu={limits.cpu_seconds + 1}:{limits.cpu_seconds + 2}", *per_process),
            *(
                "/usr/bin/bwrap",
                "--unshare-user",
                "--unshare-all",
                "--disable-userns",
                "--uid",
                "65534",
                "--gid",
                "65534",
            ),
            *("--cap-drop", "ALL", "--hostname", "cell"),
            *("--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"),
            *("--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"),
            *("--size", scratch, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"),  # noqa: S108 - inside
            *("--size", scratch, "--tmpfs", "/tmp"),  # noqa: S108 - inside
            *("--ro-bind", inbox, "/c", "--ro-bind", tree_folder, "/c/tree"),
            *("--remount-ro", "/", "--chdir", "/", "--clearenv", *variables),
            *("--new-session", "--die-with-parent", "--seccomp", str(descriptor), "--"),
            *([] if own_user else processes),
            *place.start_command(entry),
        ]


class BubblewrapTree:
    """The process tree of one cell, as its keeper sees it.

    Args:
        command: builds the wall and runs the entry.
        descriptor: the filter; closed here once it is inherited.
        group: control group that the command joins; None where there is none.
    """

    def __init__(self, command: Sequence[str], descriptor: int, group: groups.ControlGroup | None) -> None:
        self.pid = 0
        self.stderr = -1
        self.group = group
        self._command = list(command)
        self._descriptor = descriptor
        self._killed = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it with an empty environment and no descriptor but the filter."""
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own command; an upload has no word in it
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={},
                pass_fds=(self._descriptor,),
                cwd="/",
            )
        finally:
            os.close(self._descriptor)
        assert self._process.stderr is not None
        self.pid, self.stderr = self._process.pid, self._process.stderr.fileno()

    def text(self, piece: bytes) -> bytes:
        """Give it as it is: a pipe has no framing."""
        return piece

    def look(self, pids: Sequence[int]) -> dict[int, looking.Facts]:
        """Look at the cell's processes, which this process may: as root, or as their user."""
        return looking.look(pids)

    def kill(self) -> None:
        """End the first process of the namespace, and the namespace with it; bubblewrap then ends by itself.

        Asked a second time, or before there is a namespace, it ends bubblewrap.
        """
        first = [] if self._killed else place.children(self.pid)
        self._killed = True
        for pid in first or [self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def finish(self) -> int:
        """Wait for bubblewrap and for whatever is left in its control group."""
        assert self._process is not None
        with self._process:
            if self.group is not None:
                kill_until_gone(self.group.processes)
            status = self._process.wait()
        return status if status >= 0 else 128 - status

    def memory_ran_out(self) -> bool:
        """Say nothing beyond what the control group counted."""
        return False


@lru_cache(maxsize=1)
def _version() -> tuple[int, ...]:
    told = subprocess.run(
        ["/usr/bin/bwrap", "--version"], capture_output=True, text=True, timeout=10, check=False
    ).stdout
    return tuple(int(part) for part in re.findall(r"\d+", told)[:3])


@lru_cache(maxsize=1)
def _namespaces() -> str | None:
    """Try once, as the user that cells get, whether this kernel lets an ordinary user make namespaces."""
    identity = (
        ["--reuid", str(place.FIRST_USER_ID), "--regid", str(place.FIRST_USER_ID), "--clear-groups"]
        if os.geteuid() == 0
        else []
    )
    tried = subprocess.run(  # noqa: S603 - a fixed command
        [
            *("/usr/bin/setpriv", *identity, "--no-new-privs", "/usr/bin/bwrap", "--unshare-user", "--unshare-all"),
            *("--disable-userns", "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib"),
            *("--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "/usr/bin/true"),
        ],
        capture_output=True,
        text=True,
        env={},
        timeout=20,
        check=False,
    )
    if tried.returncode == 0:
        return None
    return (
        "This machine lets no ordinary user make namespaces, so bubblewrap builds no wall "
        f"({tried.stderr.strip()[-200:]!a}). Allow it: sysctl -w kernel.unprivileged_userns_clone=1 "
        "user.max_user_namespaces=10000, and on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0."
    )
