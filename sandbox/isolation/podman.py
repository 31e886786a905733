"""Cells by rootless podman, through its Docker-compatible socket: an ordinary user's containers, no daemon of root.

Assumes of its caller: as for docker, and that it is the ordinary user whose podman answers. A cell's user id is one of
that user's subordinate ids, so it is the user's own nowhere outside, and no other user's.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from sandbox.errors import CellUnavailable
from sandbox.isolation import docker, looking, place, seccomp
from sandbox.isolation.interface import CellFiles, Limits
from sandbox.isolation.running import KeptCell
from sandbox.settings import Settings

_INIT = (Path("/usr/libexec/podman/catatonit"), Path("/usr/bin/catatonit"))
ADDED = {"container": "podman", "TERM": "xterm"}
"""Variables that podman sets whatever it is told."""
_LARGEST_ID = 65_533
_LOOK_SECONDS = 20


class UserContainer(docker.Container):
    """A container of podman's, whose processes are looked at from the user namespace above theirs."""

    def look(self, pids: Sequence[int]) -> dict[int, looking.Facts]:
        """Look at the cell's processes by a command that podman runs there."""
        command = ["podman", "unshare", *looking.command(*pids)]
        try:
            done = subprocess.run(command, capture_output=True, check=True, timeout=_LOOK_SECONDS)  # noqa: S603 - ours
        except (OSError, subprocess.SubprocessError) as fault:
            raise CellUnavailable(f"A cell could not be looked at from outside: {str(fault)[-500:]}") from fault
        return looking.read(done.stderr)


class Podman(docker.Docker):
    """The backend for an ordinary user with podman.

    Args:
        settings: the operator's settings.
        code: folder that becomes the package `cell` inside; ours, unless a test brings its own.
    """

    name = "podman"
    _user_words = "one subordinate user id of the worker's per cell, in a user namespace"

    def __init__(self, settings: Settings, *, code: Path = place.CELL_CODE) -> None:
        super().__init__(settings, code=code)
        self._url = socket_url(settings)

    @property
    def _memory_words(self) -> str:  # type: ignore[override]  # looked up where it is asked for, not at import
        return docker.ULIMITS if bounded_per_process(self._url) else "cgroup v2, by the engine"

    def available(self) -> str | None:
        """Say why podman cannot be used here, with what to install; None when it can."""
        reason = unavailable(self._settings)
        if reason is None and self._image_id() is None:
            reason = (
                f"podman has no image {self._image()}: build it with podman build --target cell --build-arg "
                f"BASE_IMAGE={self._settings.cell_base_image} --tag {docker.image_name(self._settings)} ., or take "
                f"docker's: docker save {docker.image_name(self._settings)} | podman load"
            )
        return reason

    def open(self, files: CellFiles, limits: Limits) -> KeptCell:
        """Start a cell and wait until it has connected."""
        reason = self.available()
        if reason is not None:
            raise CellUnavailable(reason)
        own = subordinate_ids()
        lease = place.take(self._settings, self.name, own_user=True, ids=own)
        return self._start(lease, files, limits, user_id=lease.user_id - own.start + 1)

    @property
    def _container(self) -> type[docker.Container]:
        return UserContainer

    def _image(self) -> str:
        return f"localhost/{docker.image_name(self._settings)}"

    def _environment(self) -> Mapping[str, str]:
        return place.environment() | ADDED

    def _remapped(self) -> bool:
        return False

    def _host_config(self, limits: Limits, *, folder: str, files: CellFiles, user_id: int = 0) -> dict[str, Any]:
        host = super()._host_config(limits, folder=folder, files=files, user_id=user_id)
        # Docker takes the filter itself; podman takes the name of a file that holds it.
        host["security_opt"] = ["no-new-privileges:true", f"seccomp={self._filter_file(building=files.builds)}"]
        # It knows no owner of memory files; nobody but the cell is in its namespace. It adds two more.
        open_, shut = f"rw,noexec,nosuid,nodev,mode=1777,size={limits.scratch_bytes}", "ro,noexec,nosuid,nodev,size=4k"
        host["tmpfs"] = {"/tmp": open_, "/var/tmp": shut, "/run": shut}  # noqa: S108 - inside
        # Its socket loses them: they are set inside, before the cell's own program starts.
        del host["ulimits"]
        if self._memory_words == docker.ULIMITS:
            for bound in ("mem_limit", "memswap_limit", "pids_limit"):
                del host[bound]
        return host

    def _start_command(self, entry: str, limits: Limits) -> list[str]:
        held = {
            "core": 0,
            "memlock": 0,
            "msgqueue": 0,
            "nofile": limits.open_files,
            "fsize": limits.file_bytes,
            "nproc": limits.processes,
            "cpu": f"{limits.cpu_seconds + 1}:{limits.cpu_seconds + 2}",
        }
        if self._memory_words == docker.ULIMITS:
            held |= {"as": limits.memory_bytes, "data": limits.memory_bytes}
        options = [f"--{name}={value}" for name, value in held.items()]
        started = ["/usr/bin/prlimit", *options, *super()._start_command(entry, limits)]
        # Nobody reads its standard output: written to, it would end the cell.
        return ["/bin/sh", "-c", 'exec "$@" > /dev/null', "cell", *started]

    def _filter_file(self, *, building: bool) -> Path:
        """Keep the filter as a file, written once and named by its content."""
        text = seccomp.docker_profile(building=building)
        path = place.open_folder(self._settings, "filters") / f"{seccomp.digest('docker')[:32]}-{building:d}.json"
        if not path.exists():
            fresh = path.with_suffix(f".{os.getpid()}")
            fresh.write_text(text)
            fresh.replace(path)
        return path


def socket_url(settings: Settings) -> str:
    """Say where podman's socket is.

    Args:
        settings: the operator's settings; the user's own socket where they name none.
    """
    if settings.podman_socket:
        return settings.podman_socket
    folder = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
    return f"unix://{folder}/podman/podman.sock"


def subordinate_ids() -> range:
    """Give the user ids of this machine that belong to the worker's user beside its own; empty where it has none."""
    user = pwd.getpwuid(os.geteuid())
    try:
        lines = Path("/etc/subuid").read_text().splitlines()
    except OSError:
        return range(0)
    for line in lines:
        name, _, numbers = line.partition(":")
        first, _, count = numbers.partition(":")
        if name in (user.pw_name, str(user.pw_uid)) and first.isdigit() and count.isdigit():
            return range(int(first), int(first) + min(int(count), _LARGEST_ID))
    return range(0)


def unavailable(settings: Settings) -> str | None:
    """Say why podman cannot run cells here; None when it can.

    Args:
        settings: the operator's settings.

    Returns:
        One sentence with what to install or to set.
    """
    if os.geteuid() == 0:
        return "As root, cells are made by docker or bubblewrap; podman is for an ordinary user."
    if not any(path.exists() for path in _INIT):
        return "The first process of podman's containers is not there: install catatonit (apt-get install catatonit)."
    reason = docker.engine_unavailable(settings, socket_url(settings))
    if reason is not None:
        return f"{reason} For podman: apt-get install podman uidmap, and podman system service --time=0."
    if not subordinate_ids():
        return "This user has no subordinate ids for cells: usermod --add-subuids 100000-165535 USER, and for groups."
    return None


@lru_cache
def bounded_per_process(url: str) -> bool:
    """Say whether podman can bound a cell's processes each but not together: without delegated control groups.

    Args:
        url: of its socket.
    """
    with docker.engine(url) as client:
        facts = client.info()
    # What it says of memory itself is the kernel's ability, not this user's.
    return not (str(facts.get("CgroupVersion")) == "2" and facts.get("CgroupDriver") == "systemd")
