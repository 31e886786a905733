"""Choose the wall for a run, build what it needs, end what dead workers left, and say how a machine stands.

Assumes of its caller: it runs as the user that will open cells, in the worker or on a provider's own machine; the web
process never calls it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import CellUnavailable
from sandbox.isolation import docker, place
from sandbox.isolation import limits as groups
from sandbox.isolation.bubblewrap import Bubblewrap
from sandbox.isolation.docker import Docker, build_image
from sandbox.isolation.interface import Chosen, Isolation, Limits
from sandbox.isolation.keeper import kill_until_gone
from sandbox.isolation.podman import Podman, bounded_per_process, socket_url
from sandbox.isolation.tree import build_tree
from sandbox.settings import Settings

__all__ = ["DoctorLine", "build_image", "build_tree", "choose", "doctor_lines", "sweep"]

NAMES = ("auto", "docker", "bubblewrap", "podman")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorLine:
    """One line of what the machine was found to do.

    Args:
        backend: `docker`, `bubblewrap` or, for an ordinary user that has it, `podman`.
        probe: what was tried; `available` for whether the backend is there at all.
        held: whether it is as it must be.
        observed: what was seen.
        mend: what to do about it; empty when there is nothing to do.
    """

    backend: str
    probe: str
    held: bool
    observed: str
    mend: str = ""


def choose(name: str, settings: Settings, *, progress: Callable[[str], None] = lambda _: None) -> Chosen:
    """Choose a backend and build what it needs.

    Args:
        name: `auto` takes docker where an engine answers and the cell image is there or can be built, else
            bubblewrap; a backend's own name takes that one or none. podman is taken by name only.
        settings: the operator's settings.
        progress: told in one line what takes time.

    Returns:
        The backend, ready to open cells, and what was said about the choice.

    Raises:
        CellUnavailable: none can be used; says why for each, and what to install.
        ValueError: there is no backend of this name.
    """
    if name == "docker":
        return Chosen(isolation=_docker(settings, progress, build=True))
    if name == "bubblewrap":
        return Chosen(isolation=_bubblewrap(settings, progress))
    if name == "podman":
        return Chosen(isolation=_podman(settings))
    if name != "auto":
        raise ValueError(f"isolation must be one of {', '.join(NAMES)}, not {name!r}")
    reasons = []
    try:
        return Chosen(isolation=_docker(settings, progress, build=False))
    except CellUnavailable as why:
        reasons.append(f"docker: {why}")
    try:
        chosen = _bubblewrap(settings, progress)
    except CellUnavailable as why:
        reasons.append(f"bubblewrap: {why}")
        raise CellUnavailable("No wall can be built on this machine, so no model is run. " + " ".join(reasons)) from why
    return Chosen(isolation=chosen, notes=(f"Cells are made by bubblewrap, because {reasons[0]}",))


def _docker(settings: Settings, progress: Callable[[str], None], *, build: bool) -> Isolation:
    reason = docker.engine_unavailable(settings)
    if reason is not None:
        raise CellUnavailable(reason)
    # By itself `auto` fetches nothing from a registry: it builds only on a base image that the engine holds already.
    if build or docker.image_present(settings.cell_base_image):
        build_image(settings, progress=progress)
    chosen = Docker(settings)
    reason = chosen.available()
    if reason is not None:
        raise CellUnavailable(reason)
    return chosen


def _bubblewrap(settings: Settings, progress: Callable[[str], None]) -> Isolation:
    chosen = Bubblewrap(settings)
    reason = chosen.available()
    if reason is not None:
        raise CellUnavailable(reason)
    build_tree(settings, progress=progress)
    return chosen


def _podman(settings: Settings) -> Isolation:
    chosen = Podman(settings)
    reason = chosen.available()
    if reason is not None:
        raise CellUnavailable(reason)
    return chosen


def refuse_weak_limits(settings: Settings) -> None:
    """Keep a service that several organisations use from starting where a cell's memory is only bounded per process.

    Args:
        settings: the operator's settings; a service without accounts is one person's, and may do with that.

    Raises:
        CellUnavailable: neither an engine nor this process can bound all processes of a cell together.
    """
    if settings.accounts == "off":
        return
    if settings.isolation == "podman":
        # It makes its own control groups, whatever this process could make.
        if Podman(settings).available() is None and not bounded_per_process(socket_url(settings)):
            return
    elif groups.hierarchies() is not None:
        return
    if settings.isolation in ("auto", "docker") and docker.engine_unavailable(settings) is None:
        return
    raise CellUnavailable(
        "A service with accounts does not start here: cells of several organisations would be held by resource limits "
        "only, which bound each process and not all of a cell. Give the worker writable control groups (memory and "
        "pids), run it as root, or use docker."
    )


def sweep(settings: Settings) -> int:
    """End and remove what workers of this installation left when they were killed; live workers' cells stay.

    Args:
        settings: the operator's settings.

    Returns:
        How many cells were found and removed.
    """
    swept = 0
    for lease in place.leases(settings):
        if lease.owner_lives():
            continue
        swept += 1
        if lease.backend in ("docker", "podman"):
            docker.end_container(lease.name, socket_url(settings) if lease.backend == "podman" else "")
        else:
            _end_tree(lease)
        groups.remove(lease.cgroups)
        lease.end()
    boot = place.boot_id()
    for url in _engines(settings):
        found = docker.containers(settings, url)
        # Read after the containers, which are made after their leases: what an engine that was away could not remove.
        known = {lease.name for lease in place.leases(settings)}
        for _, cell, of_boot, owner in found:
            pid, _, started = owner.partition(":")
            lives = of_boot == boot and pid.isdigit() and str(place.started(int(pid))) == started
            lives &= pid != str(os.getpid())
            if cell not in known and not lives:
                swept += 1
                docker.end_container(cell, url)
    return swept


def _engines(settings: Settings) -> list[str]:
    """List the engines that may hold cells of this installation; an ordinary user may have two."""
    podman = socket_url(settings)
    return ["", podman] if os.geteuid() != 0 and Path(podman.removeprefix("unix://")).exists() else [""]


def _end_tree(lease: place.Lease) -> None:
    if lease.boot != place.boot_id():
        return
    if lease.pid and place.started(lease.pid) == lease.pid_started:
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(lease.pid)
            try:
                # Looked at again through the handle's process: an id cannot be reused while it is held.
                if place.started(lease.pid) == lease.pid_started:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
    kill_until_gone(lambda: _left(lease))


def _left(lease: place.Lease) -> list[int]:
    """List what still runs of a cell: what its control groups hold, and whatever has its user id."""
    found: set[int] = set()
    for folder in lease.cgroups:
        with contextlib.suppress(OSError, ValueError):
            found |= {int(line) for line in (Path(folder) / "cgroup.procs").read_text().split()}
    if lease.own_user:
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == lease.user_id:
                    found.add(int(entry.name))
    return sorted(found)


_MEND = {
    "user_id": "Run the worker as root, so that each cell gets a user id of its own.",
    "canary": "Run the worker as root, so that each cell gets a user id of its own.",
    "memory": "Give the worker writable control groups (memory and pids), or run it as root.",
    "seccomp": "Install libseccomp2 and use a kernel with CONFIG_SECCOMP_FILTER.",
    "system_calls": "Install libseccomp2 2.5 or later; for docker, use an engine of 20.10.10 or later.",
    "landlock": "Use libseccomp 2.5.2 or later, and an engine that knows the calls of Landlock.",
    "uid_map": "Start the engine without userns-remap for cells, or use bubblewrap.",
}
_MEND_OTHERWISE = "Do not run models here; report this with the output of `aiact-sandbox doctor`."


def doctor_lines(
    settings: Settings, *, limits: Limits | None = None, progress: Callable[[str], None] = lambda _: None
) -> list[DoctorLine]:
    """Prove each backend on this machine.

    Args:
        settings: the operator's settings.
        limits: limits to prove with; the default ones when None.
        progress: told in one line what takes time.

    Returns:
        For each backend one line on whether it is there, then one per probe, with how to mend what does not hold.
    """
    lines: list[DoctorLine] = []
    tried = limits or Limits()
    makers: tuple[tuple[str, Callable[[], Isolation]], ...] = (
        ("docker", lambda: _docker(settings, progress, build=False)),
        ("bubblewrap", lambda: _bubblewrap(settings, progress)),
        *((("podman", lambda: _podman(settings)),) if len(_engines(settings)) > 1 else ()),
    )
    for name, make in makers:
        try:
            isolation = make()
            profile = isolation.profile(tried)
            begun = time.monotonic()
            attempts = isolation.prove(tried)
        except CellUnavailable as why:
            lines.append(
                DoctorLine(backend=name, probe="available", held=False, observed="cannot be used here", mend=str(why))
            )
            continue
        told = f"{profile['runtime']}, {profile['user']}, memory: {profile['memory_limit_by']}"
        seconds = f"proved in {time.monotonic() - begun:.2f} s"
        lines.append(DoctorLine(backend=name, probe="available", held=True, observed=f"{told}; {seconds}"))
        lines += [
            DoctorLine(
                backend=name,
                probe=attempt.probe,
                held=attempt.held,
                observed=attempt.observed,
                mend="" if attempt.held else _MEND.get(attempt.probe, _MEND_OTHERWISE),
            )
            for attempt in attempts
        ]
    return lines
