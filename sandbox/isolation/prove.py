"""Prove a wall before a run: try to get out of a sibling cell of the same profile, and judge what is seen from outside.

Assumes of its caller: the backend is the one that the run will use, with the same limits. What the sibling reports is
our own code's word, since no upload is in it; where the outside can look for itself, it does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from sandbox.cell import landlock
from sandbox.cell.attempt import END, LOOK, ORDER, RECORD, TRIES
from sandbox.errors import CellUnavailable, ModelFault
from sandbox.isolation import place
from sandbox.isolation.interface import Attempt, CellFiles, Ending, Isolation, Limits
from sandbox.isolation.keeper import descendants
from sandbox.isolation.limits import of_process
from sandbox.isolation.podman import ADDED
from sandbox.isolation.running import KeptCell
from sandbox.settings import Settings

_MEMORY_TRIED = 96 * 1024**2
_ANSWER_SECONDS = 20.0
_REFUSED = (errno.EPERM, errno.EAFNOSUPPORT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT)


def prove(isolation: Isolation, limits: Limits, settings: Settings) -> Sequence[Attempt]:
    """Try everything that the receipt names, in two siblings side by side: one stands, one uses up its memory.

    Args:
        isolation: the backend.
        limits: the run's limits.
        settings: the operator's settings; canaries are planted in its state.

    Returns:
        One attempt per probe, in a fixed order, held or not.

    Raises:
        CellUnavailable: a sibling could not be started at all.
    """
    with ThreadPoolExecutor(1) as beside:
        memory = beside.submit(_memory_ending, isolation, limits)
        attempts = _standing(isolation, limits, settings)
        ending = memory.result()
    told = f"{ending.value} after {2 * _MEMORY_TRIED} bytes were asked for under a limit of {_MEMORY_TRIED}"
    attempts["memory"] = replace(
        attempts["memory"],
        observed=f"{told}; {attempts['memory'].observed}",
        held=attempts["memory"].held and ending is Ending.OUT_OF_MEMORY,
    )
    return tuple(attempts.values())


def _memory_ending(isolation: Isolation, limits: Limits) -> Ending:
    """Let a sibling with a small limit ask for twice as much.

    A small one, because touching all of a run's memory would cost a second and the machine's memory before every run;
    that the kernel holds the run's own figure is read from the standing sibling's control group.
    """
    small = replace(limits, memory_bytes=min(_MEMORY_TRIED, limits.memory_bytes))
    try:
        cell = isolation.open(CellFiles(entry="attempt"), small)
    except ModelFault as fault:
        raise CellUnavailable(f"No sibling cell could be started: {fault}") from fault
    try:
        with contextlib.suppress(OSError):
            cell.connection.settimeout(_ANSWER_SECONDS)
            cell.connection.sendall(ORDER.pack(b"M", b"", 2 * small.memory_bytes, 0, b""))
            # Nothing is ever sent back: the connection closes when the cell ends.
            cell.connection.recv(1)
        return cell.ending()
    finally:
        cell.close()


def _standing(isolation: Isolation, limits: Limits, settings: Settings) -> dict[str, Attempt]:
    marker = os.urandom(16).hex()
    variable = f"AIACT_SANDBOX_CANARY_{marker[:8].upper()}"
    folder = place.open_folder(settings, "canaries")
    model, outside = folder / f"{marker}.model", folder / f"{marker}.host"
    read_end, write_end = os.pipe()
    try:
        for path in (model, outside):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.environ[variable] = marker
        # A descriptor that would go through to the cell if any did.
        os.set_inheritable(write_end, True)
        try:
            cell = isolation.open(CellFiles(entry="attempt", model=model), limits)
        except ModelFault as fault:
            raise CellUnavailable(f"No sibling cell could be started: {fault}") from fault
        finally:
            os.environ.pop(variable, None)
        assert isinstance(cell, KeptCell)
        try:
            _plant(cell)
            return _judge(isolation, cell, limits, marker, outside, os.fstat(write_end))
        finally:
            cell.close()
    finally:
        for path in (model, outside):
            path.unlink(missing_ok=True)
        os.close(read_end)
        os.close(write_end)


def _plant(cell: KeptCell) -> None:
    """Put a file into the cell's own folder that only the worker may read, under the name that is tried."""
    folder = Path(cell.lease.folder) / "model"
    folder.chmod(0o750)
    canary = folder / "canary"
    canary.write_bytes(b"root's")
    canary.chmod(0o600)
    folder.chmod(0o550)


def _judge(
    isolation: Isolation, cell: KeptCell, limits: Limits, marker: str, outside: Path, planted: os.stat_result
) -> dict[str, Attempt]:
    connection = cell.connection
    connection.settimeout(_ANSWER_SECONDS)
    tried: dict[str, tuple[int, int]] = {}
    try:
        connection.sendall(
            ORDER.pack(b"A", marker.encode(), limits.processes, limits.scratch_bytes, str(outside).encode())
        )
        while (record := _record(connection))[0] != END:
            tried[TRIES[record[0]]] = record[1:]
        seen = Outside(cell)
        found = [*_inside(tried, limits, cell, seen), *_outside(isolation, cell, limits, seen, planted)]
        connection.sendall(LOOK)
        number, code, forked = _record(connection)
        closed = _record(connection)
    except (OSError, EOFError, LookupError, ValueError, struct.error) as fault:
        raise CellUnavailable(
            f"The sibling cell did not answer ({type(fault).__name__}); {cell.diagnostic()}"
        ) from fault
    found.append(
        Attempt(
            probe="processes",
            expected=f"forks are refused before there are {limits.processes} processes",
            observed=f"{forked} forks, then {_name(code)}",
            held=TRIES[number] == "processes" and code == errno.EAGAIN and forked < limits.processes,
        )
    )
    if (version := landlock.abi()) > 0:
        found.append(_closed_in(closed, version))
    return {attempt.probe: attempt for attempt in found}


def _closed_in(record: tuple[int, int, int], version: int) -> Attempt:
    """Judge the sibling's last try: that it can close itself in, as a cell does before it opens an upload."""
    number, code, told = record
    return Attempt(
        probe="landlock",
        expected=f"version {version} of the kernel's Landlock closes what the wall leaves to be read",
        observed=f"version {told}, then {_name(code)}",
        held=TRIES[number] == "landlock" and code == errno.EACCES and told == version,
    )


def _record(connection: socket.socket) -> tuple[int, int, int]:
    held = b""
    while len(held) < RECORD.size:
        piece = connection.recv(RECORD.size - len(held))
        if not piece:
            raise EOFError
        held += piece
    number, code, value = RECORD.unpack(held)
    return int(number), int(code), int(value)


def _inside(tried: Mapping[str, tuple[int, int]], limits: Limits, cell: KeptCell, seen: Outside) -> list[Attempt]:
    """Judge what the sibling's kernel answered; what was not tried did not hold."""
    found = [
        _refusal(tried, name, "no socket of this family", _REFUSED)
        for name in ("network_inet", "network_inet6", "network_netlink", "network_vsock", "network_packet")
    ]
    found.append(
        _refusal(tried, "second_connection", "the socket is gone after the first", (errno.ENOENT, errno.ECONNREFUSED))
    )
    code, value = tried.get("dns", (0, -1))
    found.append(
        Attempt(probe="dns", expected="no name resolves", observed=f"{value} addresses, error {code}", held=code != 0)
    )
    found.append(_refusal(tried, "write_root", "nothing outside /tmp can be written", _CLOSED))
    found.append(_refusal(tried, "core_pattern", "cannot be opened for writing", _CLOSED))
    if cell.lease.own_user:
        found.append(_refusal(tried, "canary", "the worker's own file is closed", (errno.EACCES,)))
    found.append(_refusal(tried, "host_files", "a path of the host leads nowhere", (errno.ENOENT,)))
    code, value = tried.get("environment", (-1, -1))
    names = seen.strange_variables()
    found.append(
        Attempt(
            probe="environment",
            expected="the worker's secret is nowhere in /proc, and no process has a variable beyond those named",
            observed=f"found {value} times; beyond those named: {', '.join(names) or 'none'}",
            held=code == 0 and value == 0 and not names,
        )
    )
    code, value = tried.get("system_calls", (-1, -1))
    found.append(
        Attempt(
            probe="system_calls",
            expected="io_uring, ptrace, keyctl, bpf, mount, unshare and their like are all refused",
            observed=_counted(value, code, "taken up"),
            held=code == 0 and value == 0,
        )
    )
    code, value = tried.get("other_processes", (-1, -1))
    found.append(
        Attempt(
            probe="other_processes",
            expected="it sees its own processes only",
            observed=f"sees {value}; it has {len(seen.processes)}",
            held=code == 0 and value == len(seen.processes),
        )
    )
    code, value = tried.get("scratch_size", (-1, -1))
    found.append(
        Attempt(
            probe="scratch_size",
            expected=f"the cell's scratch takes at most {limits.scratch_bytes} bytes",
            observed=_counted(value, code, "bytes"),
            held=code == 0 and 0 < value <= limits.scratch_bytes,
        )
    )
    return found


def _refusal(tried: Mapping[str, tuple[int, int]], name: str, expected: str, codes: tuple[int, ...]) -> Attempt:
    code, _ = tried.get(name, (0, 0))
    observed = _name(code) if name in tried else "not tried"
    return Attempt(probe=name, expected=expected, observed=observed, held=code in codes)


def _name(code: int) -> str:
    return "it worked" if code == 0 else errno.errorcode.get(code, f"error {code}")


def _counted(value: int, code: int, what: str) -> str:
    return f"{value} {what}" if code == 0 else f"not tried to the end: {_name(code)}"


class Outside:
    """What this side of the wall sees of a standing cell.

    Args:
        cell: the standing cell.
    """

    def __init__(self, cell: KeptCell) -> None:
        self.peer = cell.peer
        self._added = ADDED if cell.lease.backend == "podman" else {}
        self._facts = cell.kept.look([cell.peer, cell.kept.pid, *descendants(cell.kept.pid)])
        self.processes = list(self._facts)
        self.status = self._status(cell.peer)
        self.namespaces: Mapping[str, str] = self._facts[cell.peer]["namespaces"]

    @staticmethod
    def _status(pid: int) -> dict[str, str]:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def all_status(self) -> list[dict[str, str]]:
        """Give the kernel's facts of every process of the cell."""
        return [self._status(pid) for pid in self.processes]

    def strange_variables(self) -> list[str]:
        """List the environment variables, in any process of the cell, that we did not name with this very value."""
        named = place.environment() | {"PWD": "/", "HOSTNAME": "cell"} | self._added
        strange: set[str] = set()
        for pid, seen in self._facts.items():
            if seen["variables"] is None:
                strange.add(f"unreadable in process {pid}")
            for entry in seen["variables"] or ():
                name, _, value = entry.partition("=")
                if named.get(name) != value:
                    strange.add(name)
        return sorted(strange)

    def descriptors(self) -> list[tuple[int, int, tuple[int, int], int, str]]:
        """List every open descriptor of the cell: process, number, device and inode, mode, what it leads to."""
        return [
            (pid, number, (device, inode), mode, leads_to)
            for pid, seen in self._facts.items()
            for number, device, inode, mode, leads_to in seen["descriptors"]
        ]

    def writable(self) -> list[str]:
        """List the mounts that the cell's user can write to, devices aside, as `place type size`."""
        owners = {int(word) for word in self.status["Uid"].split() + self.status["Gid"].split()}
        return [
            f"{folder} {kind} {size}".strip()
            for folder, kind, size, mode, owner, group in self._facts[self.peer]["writable"]
            if (owner in owners and mode & stat.S_IWUSR)
            or (group in owners and mode & stat.S_IWGRP)
            or mode & stat.S_IWOTH
        ]


def _outside(
    isolation: Isolation, cell: KeptCell, limits: Limits, seen: Outside, planted: os.stat_result
) -> list[Attempt]:
    return [
        _user_id(cell, seen),
        _uid_map(isolation, cell, seen),
        _namespaces(isolation, seen),
        *_powers(seen),
        _descriptors(seen, planted),
        _mounts(seen, limits),
        _memory_limit(cell, limits),
    ]


def _user_id(cell: KeptCell, seen: Outside) -> Attempt:
    ids = {number for status in seen.all_status() for number in status["Uid"].split() + status["Gid"].split()}
    if cell.lease.own_user:
        expected = f"the kernel knows it as {cell.lease.user_id}, which is neither 0 nor the worker's"
        held = ids == {str(cell.lease.user_id)} and cell.lease.user_id not in (0, os.geteuid())
    else:
        expected = "the kernel knows it as the worker's own id, which is not 0 (as an ordinary user there is no other)"
        held = "0" not in ids and str(os.geteuid()) in ids
    return Attempt(probe="user_id", expected=expected, observed=", ".join(sorted(ids)), held=held)


def _uid_map(isolation: Isolation, cell: KeptCell, seen: Outside) -> Attempt:
    lines = Path(f"/proc/{seen.peer}/uid_map").read_text().splitlines()
    told = "; ".join(" ".join(line.split()) for line in lines)
    if isolation.name == "bubblewrap":
        expected = f"65534 {cell.lease.user_id} 1"
        return Attempt(probe="uid_map", expected=expected, observed=told, held=told == expected)
    if isolation.name == "podman":
        mapped = [[int(number) for number in line.split()] for line in lines]
        return Attempt(
            probe="uid_map",
            expected="a user namespace whose root is the worker's own user, and the cell's id none of its own outside",
            observed=told,
            held=mapped[0] == [0, os.geteuid(), 1] and all(first != 0 for _, first, _ in mapped),
        )
    return Attempt(
        probe="uid_map",
        expected="no user namespace: an unprivileged user id of the host, the cell's own",
        observed=told,
        held=told == "0 0 4294967295" and cell.lease.own_user and cell.lease.user_id != 0,
    )


_OF_ITS_OWN = {"bubblewrap": ("cgroup", "user"), "podman": ("user",)}
"""Kinds of namespace that only some backends make."""


def _namespaces(isolation: Isolation, seen: Outside) -> Attempt:
    kinds = ["ipc", "mnt", "net", "pid", "uts", *_OF_ITS_OWN.get(isolation.name, ())]
    shared = [kind for kind in kinds if seen.namespaces[kind] == str(Path(f"/proc/self/ns/{kind}").readlink())]
    return Attempt(
        probe="namespaces",
        expected=f"its own: {', '.join(kinds)}",
        observed=f"shared with the worker: {', '.join(shared) or 'none'}",
        held=not shared,
    )


def _powers(seen: Outside) -> list[Attempt]:
    every = seen.all_status()
    sets = {status[name] for status in every for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    gains = {status["NoNewPrivs"] for status in every}
    return [
        Attempt(
            probe="capabilities",
            expected="every set is empty, in every process",
            observed=", ".join(sorted(sets)),
            held={int(value, 16) for value in sets} == {0},
        ),
        Attempt(
            probe="no_new_privileges",
            expected="set, in every process",
            observed=", ".join(sorted(gains)),
            held=gains == {"1"},
        ),
        Attempt(
            probe="seccomp",
            expected="a filter is in force",
            observed=f"mode {seen.status['Seccomp']}",
            held=seen.status["Seccomp"] == "2",
        ),
    ]


def _descriptors(seen: Outside, planted: os.stat_result) -> Attempt:
    strange = []
    for pid, number, which, mode, leads_to in seen.descriptors():
        if which == (planted.st_dev, planted.st_ino):
            strange.append(f"{number} of process {pid} is the worker's")
        elif pid == seen.peer and number > 3:
            strange.append(f"{number} leads to {leads_to}")
        elif not (leads_to == "/dev/null" or leads_to.startswith(("pipe:", "socket:", "anon_inode:"))):
            strange.append(f"{number} of process {pid} leads to {leads_to}")
        elif stat.S_ISSOCK(mode) and pid != seen.peer:
            strange.append(f"{number} of process {pid} is a socket")
    return Attempt(
        probe="descriptors",
        expected="standard streams to nothing or a pipe, and the one connection",
        observed="; ".join(strange) or "those",
        held=not strange,
    )


def _mounts(seen: Outside, limits: Limits) -> Attempt:
    """Judge what is writable: memory files of a stated size, and terminals, which hold nothing."""
    sized = {f"{folder} tmpfs size={limits.scratch_bytes // 1024}k" for folder in ("/tmp", "/dev/shm")}  # noqa: S108
    harmless = {"devpts"}
    limit = [line for line in Path(f"/proc/{seen.peer}/limits").read_text().splitlines() if "msgqueue" in line]
    if limit and limit[0].split()[3:5] == ["0", "0"]:
        # Without a byte allowed for queues, none can be made in it.
        harmless.add("mqueue")
    strange = [mount for mount in seen.writable() if mount not in sized and mount.split()[1] not in harmless]
    return Attempt(
        probe="writable_mounts",
        expected=f"none but /tmp and /dev/shm of {limits.scratch_bytes} bytes",
        observed="; ".join(strange) or "none but those",
        held=not strange,
    )


def _memory_limit(cell: KeptCell, limits: Limits) -> Attempt:
    """Read the limit that the kernel holds for the standing sibling; `prove` adds the try itself."""
    group = cell.kept.group or of_process(cell.peer)
    told = "unknown"
    with contextlib.suppress(OSError):
        if cell.kept.group is None:
            lines = Path(f"/proc/{cell.peer}/limits").read_text().splitlines()
            told = next(line.split()[3] for line in lines if line.startswith("Max address space"))
        elif group is not None:
            name = "memory.limit_in_bytes" if group.version == 1 else "memory.max"
            told = (group.memory / name).read_text().strip()
    return Attempt(
        probe="memory",
        expected=f"the cell ends when memory runs out; the kernel holds {limits.memory_bytes} bytes for this profile",
        observed=f"the kernel holds {told}",
        held=told == str(limits.memory_bytes),
    )
