"""Where cells live on the host: folders, socket, kernel user ids and the leases by which leftovers are found again.

Assumes of its caller: one worker process uses it from any of its threads; several workers may use it at once. As root
every cell gets a kernel user id that no other live cell on this machine has; an ordinary user has only its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import random
import shutil
import socket
import stat
import struct
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sandbox.errors import CellUnavailable
from sandbox.isolation.interface import CellFiles, Limits
from sandbox.settings import Settings

FIRST_USER_ID = 700_000
USER_IDS = 60_000
CELL_CODE = Path(__file__).resolve().parent.parent / "cell"
ENTERED = ("cells", "environments")
"""Folders of the state beneath which something enters cells."""
_ROOT_STATE = Path("/var/lib/aiact-sandbox")
_RUN = Path("/run/aiact-sandbox")
_FICLONE = 0x40049409
_ACL = "system.posix_acl_access"


def reachable_state(settings: Settings) -> Path:
    """Say which folder holds cell files: one that a cell's own user id can walk through.

    Args:
        settings: the operator's settings.

    Returns:
        `settings.local`, or, as root with a state under a closed folder, `/var/lib/aiact-sandbox`.
    """
    state = settings.local.resolve()
    if os.geteuid() != 0 or all(_walkable(folder) for folder in (state, *state.parents)):
        return state
    return _ROOT_STATE


def _walkable(folder: Path) -> bool:
    try:
        return bool(folder.stat().st_mode & stat.S_IXOTH)
    except FileNotFoundError:
        return True


def open_folder(settings: Settings, name: str) -> Path:
    """Make a folder of the state that others can walk through but not list.

    Args:
        settings: the operator's settings.
        name: the folder's name.

    Returns:
        Its path.
    """
    state = reachable_state(settings)
    for folder in (state, state / name):
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)
    return state / name


def lay_out(settings: Settings) -> None:
    """Make what a process of another user needs to find in the state, as the engine proxy does; done before it starts.

    Args:
        settings: the operator's settings.
    """
    installation(settings)
    for name in ENTERED:
        open_folder(settings, name)


def installation(settings: Settings) -> str:
    """Give this installation's identity, made once.

    Args:
        settings: the operator's settings.

    Returns:
        32 hexadecimal digits.
    """
    path = settings.state / "installation"
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o711)
    fresh = settings.state / f"installation.{uuid.uuid4().hex}"
    if not path.exists():
        fresh.write_text(uuid.uuid4().hex)
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text().strip()


def boot_id() -> str:
    """Give the running kernel's boot id: process ids mean something within one boot only."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def started(pid: int) -> int | None:
    """Give a process's start time in clock ticks since boot; None when there is no such process.

    Args:
        pid: process id on the host.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def parent(pid: int) -> int | None:
    """Give a process's parent; None when there is no such process.

    Args:
        pid: process id on the host.
    """
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def children(pid: int) -> list[int]:
    """List the direct children of all threads of a process.

    Args:
        pid: process id on the host.
    """
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


@dataclass(slots=True, kw_only=True)
class Lease:
    """The record of one live cell, on disk as long as the cell or anything of it exists.

    Args:
        path: the lease file.
        name: the cell's name: random, never reused.
        backend: `docker` or `bubblewrap`.
        installation: whose cell it is.
        boot: boot id within which the process ids mean something.
        owner: process id of the worker.
        owner_started: its start time, so that a reused id is not taken for it.
        user_id: kernel user id of the cell.
        own_user: whether that id belongs to this cell alone.
        folder: the cell's folder on the host.
        cgroups: cgroup folders of the cell.
        pid: first process of the cell, once started.
        pid_started: its start time.
    """

    path: str
    name: str
    backend: str
    installation: str
    boot: str
    owner: int
    owner_started: int
    user_id: int
    own_user: bool
    folder: str
    cgroups: list[str] = field(default_factory=list)
    pid: int = 0
    pid_started: int = 0

    def write(self) -> None:
        """Write the record; readers see the old or the new one, never half of one."""
        fresh = Path(self.path + ".new")
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(self.path)

    def owner_lives(self) -> bool:
        """Say whether the worker that took this lease still runs."""
        return self.boot == boot_id() and started(self.owner) == self.owner_started

    def end(self) -> None:
        """Remove the cell's folder and then the record; the user id may be given out again."""
        remove_tree(Path(self.folder))
        Path(self.path).unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder of ours, also where its folders are read-only; nothing happens when it is gone.

    Args:
        folder: what to remove; links inside are removed, not followed.
    """
    if not folder.exists():
        return
    for current, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(current).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def lease_folder(settings: Settings) -> Path:
    """Give the folder of leases: one for the whole machine as root, so that no two cells share a user id.

    Args:
        settings: the operator's settings.
    """
    folder = _RUN / "leases" if os.geteuid() == 0 else settings.local / "leases"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def take(settings: Settings, backend: str, *, own_user: bool, ids: range | None = None) -> Lease:
    """Take a name, a folder and a kernel user id for one cell.

    Args:
        settings: the operator's settings.
        backend: `docker` or `bubblewrap`.
        own_user: whether the cell gets an id of its own, or the worker's.
        ids: ids of its own to take one from; those set aside on every machine when None.

    Returns:
        The lease, already on disk.

    Raises:
        CellUnavailable: every user id is taken, or the folders cannot be made.
    """
    try:
        leases = lease_folder(settings)
        cells = open_folder(settings, "cells")
        identity = installation(settings)
    except OSError as fault:
        raise CellUnavailable(f"The folders of cells cannot be made: {fault}. Set AIACT_SANDBOX_STATE.") from fault
    name = uuid.uuid4().hex[:16]
    ids = range(FIRST_USER_ID, FIRST_USER_ID + USER_IDS) if ids is None else ids
    start = random.SystemRandom().randrange(len(ids))
    for step in range(len(ids) if own_user else 1):
        user_id = ids[(start + step) % len(ids)] if own_user else os.geteuid()
        path = leases / (f"{user_id}.json" if own_user else f"{name}.json")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            continue
        lease = Lease(
            path=str(path),
            name=name,
            backend=backend,
            installation=identity,
            boot=boot_id(),
            owner=os.getpid(),
            owner_started=started(os.getpid()) or 0,
            user_id=user_id,
            own_user=own_user,
            folder=str(cells / name),
        )
        lease.write()
        return lease
    raise CellUnavailable("Every user id for cells is taken; end other assessments, or run `aiact-sandbox doctor`.")


def leases(settings: Settings) -> list[Lease]:
    """Read all leases of this installation; a record that cannot be read is skipped.

    Args:
        settings: the operator's settings.
    """
    mine = installation(settings)
    found: list[Lease] = []
    for path in sorted(lease_folder(settings).glob("*.json")):
        try:
            content: Mapping[str, Any] = json.loads(path.read_text())
            lease = Lease(**content)
        except (OSError, ValueError, TypeError):
            continue
        if lease.installation == mine:
            found.append(lease)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """A cell's folder on the host: `code/cell`, `model/`, `upload/`, `socket/s`, and `tree/` as a mount point.

    Args:
        folder: the whole of it; bound read-only at `/c`, or its parts are.
        listener: the listening socket, mode 0660, group of the cell.
    """

    folder: Path
    listener: socket.socket


def fill(lease: Lease, files: CellFiles, code: Path) -> Inbox:
    """Copy what enters the cell into its folder and listen on its socket.

    Everything belongs to the worker, is readable by the cell's group alone, and is writable by nobody.

    Args:
        lease: whose folder.
        files: what enters.
        code: folder that becomes the package `cell`.

    Returns:
        The folder and its listener.

    Raises:
        CellUnavailable: a file is missing, is a link or a device, or the disk is full.
    """
    folder = Path(lease.folder)
    try:
        folder.mkdir(mode=0o700)
        for part in ("code", "model", "upload", "socket", "tree"):
            (folder / part).mkdir()
        _copy(code, folder / "code" / "cell")
        for source, part in ((files.model, "model"), (files.upload, "upload")):
            if source is not None:
                _copy(source, folder / part / source.name)
        for source in files.beside:
            _copy(source, folder / "model" / source.name)
        listener = _listen(folder / "socket")
        _hand_over(folder, lease)
    except OSError as fault:
        raise CellUnavailable(f"The cell's files cannot be put in place: {fault}.") from fault
    return Inbox(folder=folder, listener=listener)


def deliver(lease: Lease, inbox: Inbox, model: Path) -> None:
    """Copy the model into the folder of a cell that runs already and has none yet.

    Args:
        lease: whose folder.
        inbox: the cell's folder.
        model: host path of the model file or folder.

    Raises:
        CellUnavailable: there is a model already, or it is missing, is a link or a device, or the disk is full.
    """
    folder = inbox.folder / "model"
    try:
        if any(folder.iterdir()):
            raise FileExistsError("a cell serves one model")
        folder.chmod(0o700)
        _copy(model, folder / model.name)
        _hand_over(folder, lease)
        _allow(folder, lease, 0o550)
    except OSError as fault:
        raise CellUnavailable(f"The model cannot be put in place: {fault}.") from fault


def _copy(source: Path, target: Path) -> None:
    mode = source.lstat().st_mode
    if stat.S_ISDIR(mode):
        target.mkdir()
        for entry in os.scandir(source):
            if entry.name != "__pycache__":
                _copy(Path(entry.path), target / entry.name)
    elif stat.S_ISREG(mode):
        with source.open("rb") as original, target.open("xb") as copy:
            try:
                fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
            except OSError:
                shutil.copyfileobj(original, copy, 1024**2)
        # Of all that enters only our own builder's tool may be run as a program: what is in quarantine never is.
        target.chmod(0o500 if mode & stat.S_IXUSR and target.parent.name == "upload" else 0o400)
    else:
        raise OSError(f"{source.name!r} is neither a file nor a folder")


def listen_beside(lease: Lease, inbox: Inbox, name: str) -> socket.socket:
    """Listen on one more socket of a cell that runs.

    Args:
        lease: whose folder.
        inbox: the cell's folder.
        name: of the socket.

    Returns:
        The listener, mode 0660, group of the cell.
    """
    folder = inbox.folder / "socket"
    folder.chmod(0o750)
    try:
        listener = _listen(folder, name)
        _allow(folder / name, lease, 0o660)
    finally:
        _allow(folder, lease, 0o550)
    return listener


def _listen(folder: Path, name: str = "s") -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        # By way of the open folder, because a socket's address has room for 107 bytes only.
        listener.bind(f"/proc/self/fd/{handle}/{name}")
        listener.listen(1 if name == "s" else 64)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(handle)
    return listener


def _hand_over(folder: Path, lease: Lease) -> None:
    """Let the cell's id read all of it, and write to the socket; others nothing."""
    for current, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(current) / name
            found = path.lstat().st_mode
            mode = 0o660 if stat.S_ISSOCK(found) else 0o550 if found & stat.S_IXUSR else 0o440
            _allow(path, lease, mode)
        _allow(Path(current), lease, 0o550 if Path(current) != folder else 0o750)


def _allow(path: Path, lease: Lease, mode: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, 0, lease.user_id, follow_symlinks=False)
    elif lease.own_user:
        # Not root, yet the cell has an id of its own (docker): an access list names it. The worker's own group may walk
        # through folders, so that an engine proxy of another user can see that no link stands in one.
        group = (mode >> 3) & 7
        walk = group & 1 if path.is_dir() else 0
        entries = ((1, mode >> 6, -1), (2, group, lease.user_id), (4, walk, -1), (16, group, -1), (32, 0, -1))
        acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", tag, bits & 7, who) for tag, bits, who in entries)
        path.chmod(mode & 0o700)
        os.setxattr(path, _ACL, acl)
        return
    path.chmod(mode)


def accept(inbox: Inbox, seconds: float) -> tuple[socket.socket, int, int] | None:
    """Accept the one connection of a cell if it comes within the time given.

    Args:
        inbox: whose listener.
        seconds: longest wait, at least 0.

    Returns:
        The connection, and the peer's process id and user id as the kernel gives them; None when nobody came.
    """
    inbox.listener.settimeout(seconds)
    try:
        connection, _ = inbox.listener.accept()
    except (TimeoutError, BlockingIOError):
        return None
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    connection.settimeout(None)
    return connection, pid, uid


def stop_listening(inbox: Inbox) -> None:
    """Close the listener and remove the socket: nobody connects any more.

    Args:
        inbox: whose listener.
    """
    inbox.listener.close()
    folder = inbox.folder / "socket"
    with contextlib.suppress(OSError):
        folder.chmod(0o750)
        (folder / "s").unlink(missing_ok=True)


def descends(pid: int, ancestor: int) -> bool:
    """Say whether a process is another's descendant.

    Args:
        pid: the process.
        ancestor: the other one.
    """
    current: int | None = pid
    while current:
        if current == ancestor:
            return True
        current = parent(current)
    return False


def environment() -> dict[str, str]:
    """Name every environment variable of a cell, and its value; there are no others of ours.

    Returns:
        Variables; those for OpenBLAS are taken from the host where set, because some processors need them.
    """
    threads = str(min(2, os.cpu_count() or 1))
    fixed = {
        "PATH": "/usr/bin",
        "HOME": "/tmp",  # noqa: S108 - the cell's own sized tmpfs
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": threads,
        # Threads that wait sleep: where cells share processors, spinning ones cost each other seconds.
        "OMP_WAIT_POLICY": "PASSIVE",
        "OPENBLAS_NUM_THREADS": threads,
    }
    passed = {name: os.environ[name] for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in os.environ}
    return fixed | passed


def start_command(entry: str) -> list[str]:
    """Give the command line of a cell.

    Args:
        entry: module of the package `cell` to run.
    """
    # Not -I: it would also ignore PYTHONHASHSEED, and equal cells must answer equally. -P and -s are the rest of it.
    return ["/usr/bin/python3", "-P", "-s", "-S", "-B", "/c/code/cell/start.py", entry]


def code_digest(code: Path) -> str:
    """Hash the code that enters a cell.

    Args:
        code: its folder.

    Returns:
        SHA-256 in hexadecimal, over names and contents.
    """
    made = hashlib.sha256()
    for path in sorted(code.rglob("*.py")):
        made.update(f"{path.relative_to(code)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return made.hexdigest()


def limits_as_dict(limits: Limits) -> dict[str, int | float]:
    """Give the limits by name.

    Args:
        limits: which.
    """
    return asdict(limits)
