"""Control groups: what bounds and measures all processes of one cell together, in version 1 or 2, where writable.

Assumes of its caller: it is the owner of the cell's lease, and removes the group after the last process has ended.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sandbox.isolation.interface import Limits

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
_PARENT = "aiact-sandbox"
_WORKERS = "aiact-sandbox-workers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchies:
    """Where control groups can be made on this machine.

    Args:
        version: 1 or 2.
        memory: parent folder for the memory controller.
        pids: the same for the number of processes.
        cpu: the same for processor time, None where it is not measured.
    """

    version: int
    memory: Path
    pids: Path
    cpu: Path | None


@lru_cache(maxsize=1)
def hierarchies() -> Hierarchies | None:
    """Find writable control groups for memory and processes; None when there are none."""
    if (ROOT / "cgroup.controllers").exists():
        return _second(ROOT) or _delegated()
    mounts = _first_mounts()
    try:
        parents = {}
        for controller in ("memory", "pids", "cpuacct"):
            if controller in mounts:
                parents[controller] = mounts[controller] / _PARENT
                parents[controller].mkdir(exist_ok=True)
                if not os.access(parents[controller], os.W_OK):
                    return None
        return Hierarchies(version=1, memory=parents["memory"], pids=parents["pids"], cpu=parents.get("cpuacct"))
    except (OSError, KeyError):
        return None


def _second(root: Path) -> Hierarchies | None:
    parent = root / _PARENT
    try:
        parent.mkdir(exist_ok=True)
        for folder in (root, parent):
            if not {"memory", "pids"} <= set((folder / "cgroup.subtree_control").read_text().split()):
                (folder / "cgroup.subtree_control").write_text("+memory +pids")
    except OSError:
        return None
    if not os.access(parent, os.W_OK):
        return None
    return Hierarchies(version=2, memory=parent, pids=parent, cpu=parent)


def _delegated() -> Hierarchies | None:
    """Use the group that this process is in, where systemd delegates it: a unit or scope with `Delegate=yes`.

    A group that gives limits to others may hold no process itself, so those in it move into one beside the cells.
    """
    with contextlib.suppress(OSError, StopIteration):
        lines = (line.split(":", 2) for line in OWN.read_text().splitlines())
        own = ROOT / next(path for number, _, path in lines if number == "0").lstrip("/")
        own = own.parent if own.name == _WORKERS else own
        if own == ROOT or not os.access(own / "cgroup.subtree_control", os.W_OK):
            return None
        (own / _WORKERS).mkdir(exist_ok=True)
        for process in (own / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (own / _WORKERS / "cgroup.procs").write_text(process)
        return _second(own)
    return None


def _first_mounts() -> dict[str, Path]:
    mounts: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup":
            mounts |= dict.fromkeys(options.split(" ")[-1].split(","), Path(before.split()[4]))
    return mounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlGroup:
    """The control group of one cell.

    Args:
        version: 1 or 2.
        memory: its folder for memory.
        pids: its folder for processes.
        cpu: its folder for processor time.
    """

    version: int
    memory: Path
    pids: Path
    cpu: Path | None

    @property
    def folders(self) -> tuple[Path, ...]:
        """Its folders, each once."""
        return tuple(dict.fromkeys(f for f in (self.memory, self.pids, self.cpu) if f is not None))

    @property
    def by(self) -> str:
        """What bounds the memory, for the receipt."""
        return f"cgroup v{self.version}"

    def cpu_seconds(self) -> float | None:
        """Give the processor time of all its processes, also of those that have ended."""
        if self.cpu is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            if self.version == 1:
                return int((self.cpu / "cpuacct.usage").read_text()) / 1e9
            return _field(self.cpu / "cpu.stat", "usage_usec") / 1e6
        return None

    def peak_bytes(self) -> int | None:
        """Give the largest memory use so far; None where the kernel does not keep it."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        with contextlib.suppress(OSError, ValueError):
            return int((self.memory / name).read_text())
        return None

    def memory_kills(self) -> int:
        """Count the processes that the kernel ended because memory ran out."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        with contextlib.suppress(OSError, ValueError):
            return _field(self.memory / name, "oom_kill")
        return 0

    def processes(self) -> list[int]:
        """List its processes by their ids on the host."""
        with contextlib.suppress(OSError):
            return [int(line) for line in (self.pids / "cgroup.procs").read_text().split()]
        return []


def make(name: str, limits: Limits) -> ControlGroup | None:
    """Make a control group with the limits set, empty yet.

    Args:
        name: the cell's name.
        limits: what its processes may use together.

    Returns:
        The group; None where this machine has no writable control groups.
    """
    found = hierarchies()
    if found is None:
        return None
    group = ControlGroup(
        version=found.version, memory=found.memory / name, pids=found.pids / name, cpu=found.cpu and found.cpu / name
    )
    try:
        for folder in group.folders:
            folder.mkdir()
        if group.version == 1:
            (group.memory / "memory.limit_in_bytes").write_text(str(limits.memory_bytes))
            if (group.memory / "memory.memsw.limit_in_bytes").exists():
                (group.memory / "memory.memsw.limit_in_bytes").write_text(str(limits.memory_bytes))
            elif (group.memory / "memory.swappiness").exists():
                (group.memory / "memory.swappiness").write_text("0")
        else:
            (group.memory / "memory.max").write_text(str(limits.memory_bytes))
            (group.memory / "memory.oom.group").write_text("1")
            if (group.memory / "memory.swap.max").exists():
                (group.memory / "memory.swap.max").write_text("0")
        (group.pids / "pids.max").write_text(str(limits.processes))
    except OSError:
        remove([str(folder) for folder in group.folders])
        return None
    return group


def of_process(pid: int) -> ControlGroup | None:
    """Find the control group that an engine made for one of its containers, to measure it.

    Args:
        pid: a process of the container, by its id on the host.

    Returns:
        The group; None where its files are not visible here.
    """
    with contextlib.suppress(OSError, ValueError):
        lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
        if (ROOT / "cgroup.controllers").exists():
            told = next(path for number, _, path in lines if number == "0")
            folder = ROOT / told.lstrip("/")
            if told.startswith("/.."):
                # Told from a namespace of control groups beside it, as in a worker that is a container itself: the
                # name, which holds the container's id, is looked for in all that is mounted here.
                folder = next(ROOT.rglob(folder.name), folder)
            return ControlGroup(version=2, memory=folder, pids=folder, cpu=folder) if folder.exists() else None
        paths = {name: path.lstrip("/") for _, names, path in lines for name in names.split(",")}
        mounts = _first_mounts()
        folders = {name: mounts[name] / paths[name] for name in ("memory", "pids", "cpuacct") if name in mounts}
        if all(name in folders and folders[name].exists() for name in ("memory", "pids")):
            return ControlGroup(version=1, memory=folders["memory"], pids=folders["pids"], cpu=folders.get("cpuacct"))
    return None


def remove(folders: list[str], seconds: float = 2.0) -> None:
    """Remove control groups whose processes have ended or are ending.

    Args:
        folders: their folders; one that is gone already is no fault.
        seconds: longest wait for the last process to be gone.
    """
    until = time.monotonic() + seconds
    for folder in folders:
        while Path(folder).exists():
            try:
                os.rmdir(folder)  # noqa: PTH106 - a control group is removed by rmdir though it holds files
            except OSError:
                if time.monotonic() > until:
                    break
                time.sleep(0.005)


def _field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    raise ValueError(f"{path} has no field {name}")
