"""Attacks on a cell's wall, and walls with one part taken out: the receipt must notice each."""

from __future__ import annotations

import ast
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from make.walls import SMALL, Wall, everything

from sandbox.errors import CellUnavailable
from sandbox.isolation import place, prove
from sandbox.isolation.bubblewrap import Bubblewrap
from sandbox.isolation.docker import Docker
from sandbox.isolation.interface import Attempt, CellFiles, Ending, Limits
from sandbox.isolation.receipt import require

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop a cell to a user id of its own")


def broken(attempts: Sequence[Attempt]) -> set[str]:
    return {attempt.probe for attempt in attempts if not attempt.held}


def without(command: list[str], *parts: str) -> list[str]:
    """A command line from which a run of words is taken."""
    for start in range(len(command)):
        if tuple(command[start : start + len(parts)]) == parts:
            return command[:start] + command[start + len(parts) :]
    raise AssertionError(f"{parts} is not in the command")


def weak_bubblewrap(wall: Wall, change: Callable[[list[str], str], list[str]]) -> Bubblewrap:
    """The backend with one part of its wall changed."""

    class Weak(Bubblewrap):
        def _command(self, limits: Limits, **about: Any) -> list[str]:
            return change(super()._command(limits, **about), str(about["user_id"]))

    return Weak(wall.settings)


def weak_docker(wall: Wall, change: Callable[[dict[str, Any]], None]) -> Docker:
    """The same for docker."""

    class Weak(Docker):
        def _host_config(self, limits: Limits, **about: Any) -> dict[str, Any]:
            host = super()._host_config(limits, **about)
            change(host)
            return host

    return Weak(wall.settings)


def no_identity(command: list[str], user: str) -> list[str]:
    return without(command, "--reuid", user, "--regid", user, "--clear-groups")


@pytest.fixture
def tolerant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a cell connect with whatever user it has, so that the receipt and not the connection finds the fault."""
    accept = place.accept

    def any_user(inbox: place.Inbox, seconds: float) -> Any:
        accepted = accept(inbox, seconds)
        # The socket's group is the folder's: the cell's own.
        return accepted and (accepted[0], accepted[1], inbox.folder.stat().st_gid)

    monkeypatch.setattr(place, "accept", any_user)


@as_root
@pytest.mark.bubblewrap
@pytest.mark.parametrize("wall", ["bubblewrap"], indirect=True)
@pytest.mark.usefixtures("tolerant")
def test_a_cell_that_is_root_to_the_kernel_is_noticed_though_it_says_65534_inside(wall: Wall) -> None:
    attempts = weak_bubblewrap(
        wall, lambda command, user: without(no_identity(command, user), "--remount-ro", "/proc")
    ).prove(SMALL)
    assert {"canary", "core_pattern", "uid_map", "user_id"} <= broken(attempts)
    capabilities = next(a for a in attempts if a.probe == "capabilities")
    assert capabilities.held, "the empty capability sets alone would have passed this cell"


@as_root
@pytest.mark.bubblewrap
@pytest.mark.parametrize("wall", ["bubblewrap"], indirect=True)
def test_a_root_cell_does_not_even_connect(wall: Wall) -> None:
    with pytest.raises(CellUnavailable):
        weak_bubblewrap(wall, no_identity).prove(replace(SMALL, start_seconds=0.5))


@pytest.mark.bubblewrap
@pytest.mark.parametrize("wall", ["bubblewrap"], indirect=True)
@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        pytest.param(lambda c, _: [*c[: c.index("--seccomp")], *c[c.index("--seccomp") + 2 :]],
                     {"seccomp", "system_calls", "network_inet", "network_netlink", "network_vsock"}, id="filter"),
        pytest.param(lambda c, _: [*c[: c.index("--unshare-all")], "--unshare-pid", "--unshare-ipc", "--unshare-uts",
                                   "--unshare-cgroup", *c[c.index("--unshare-all") + 1 :]], {"namespaces"}, id="net"),
        pytest.param(lambda c, _: without(c, "--size", str(SMALL.scratch_bytes)) and [
                         w for i, w in enumerate(c) if not (w == "--size" and c[i + 3] == "/tmp")
                         and not (c[i - 1] == "--size" and c[i + 2] == "/tmp")],
                     {"scratch_size", "writable_mounts"}, id="size-of-scratch"),
        pytest.param(lambda c, _: [w if w != "--clearenv" else "--setenv" for w in c[: c.index("--clearenv") + 1]]
                     + ["SECRET", "x", *c[c.index("--clearenv") + 1 :]], {"environment"}, id="environment"),
        pytest.param(lambda c, _: [*c[: c.index("--remount-ro")], "--bind", "/var/tmp", "/open",
                                   *c[c.index("--remount-ro") :]], {"writable_mounts"}, id="writable-bind"),
        pytest.param(lambda c, _: [*c[: c.index("--chdir") - 2], "--ro-bind", "/var", "/var",
                                   *c[c.index("--chdir") - 2 :]], {"host_files"}, id="host-files"),
    ],
)  # fmt: skip
def test_a_part_taken_out_of_the_bubblewrap_wall_is_noticed(
    wall: Wall, change: Callable[[list[str], str], list[str]], noticed: set[str]
) -> None:
    backend = weak_bubblewrap(wall, change)
    attempts = backend.prove(SMALL)
    seen = broken(attempts)
    assert noticed <= seen, [a for a in attempts if a.probe in noticed]
    with pytest.raises(CellUnavailable, match="did not hold") as void:
        require(backend, attempts)
    assert noticed <= set(void.value.probes)


@pytest.mark.docker
@pytest.mark.parametrize("wall", ["docker"], indirect=True)
@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        pytest.param({"security_opt": ["no-new-privileges:true", "seccomp=unconfined"]},
                     {"seccomp", "system_calls", "network_inet", "network_vsock"}, id="filter-off"),
        pytest.param({"security_opt": ["no-new-privileges:true"]},
                     {"system_calls", "network_inet", "network_netlink"}, id="engine's-own-filter"),
        pytest.param({"security_opt": ["seccomp=unconfined"]}, {"no_new_privileges"}, id="privileges"),
        pytest.param({"network_mode": "host"}, {"namespaces"}, id="host-network"),
        pytest.param({"pid_mode": "host"}, {"namespaces", "other_processes"}, id="host-processes"),
        pytest.param({"tmpfs": {"/tmp": "rw,mode=1777"}}, {"scratch_size", "writable_mounts"}, id="size-of-scratch"),
        pytest.param({"pids_limit": -1, "ulimits": []}, {"processes"}, id="processes"),
        pytest.param({"cap_drop": []}, {"capabilities"}, id="capabilities"),
        pytest.param({"mem_limit": 2**31, "memswap_limit": 2**31}, {"memory"}, id="memory"),
    ],
)  # fmt: skip
def test_a_part_taken_out_of_the_docker_wall_is_noticed(wall: Wall, change: dict[str, Any], noticed: set[str]) -> None:
    backend = weak_docker(wall, lambda host: host.update(change))
    attempts = backend.prove(SMALL)
    assert noticed <= broken(attempts), [a for a in attempts if a.probe in noticed]
    with pytest.raises(CellUnavailable, match="did not hold"):
        require(backend, attempts)


def test_a_wall_that_was_not_tried_is_no_wall(wall: Wall) -> None:
    with pytest.raises(CellUnavailable, match="was not tried"):
        require(wall.backend(), [])


@pytest.mark.bubblewrap
@pytest.mark.parametrize("wall", ["bubblewrap"], indirect=True)
def test_an_inherited_descriptor_of_the_worker_would_be_noticed(
    wall: Wall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of bubblewrap alone: an engine's container inherits from the engine, never from the worker.
    import subprocess

    popen = subprocess.Popen

    def leaking(*args: Any, **options: Any) -> Any:
        if "pass_fds" in options:
            options.pop("pass_fds")
            options["close_fds"] = False
            os.set_inheritable(int(args[0][args[0].index("--seccomp") + 1]), True)
        return popen(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", leaking)
    assert "descriptors" not in broken(wall.backend().prove(SMALL)), "the start of a cell closes what came through"
    # So the notice is tried without that second line of defence.
    code = tmp_path / "code"
    shutil.copytree(place.CELL_CODE, code)
    start = (code / "start.py").read_text()
    assert "os.closerange(3, 4096)" in start
    (code / "start.py").write_text(start.replace("os.closerange(3, 4096)", "pass"))
    attempts = wall.backend(code).prove(SMALL)
    assert "descriptors" in broken(attempts), [a for a in attempts if a.probe == "descriptors"]


def test_a_model_that_signals_its_parent_ends_only_itself(wall: Wall) -> None:
    with wall.cell(
        """
        import os, signal
        def main(connection):
            connection.recv(1)
            for pid in range(1, 300):
                if pid != os.getpid():
                    try: os.kill(pid, signal.SIGKILL)
                    except OSError: pass
            os.kill(os.getppid(), signal.SIGTERM)
            connection.sendall(b"still here")
        """
    ) as running:
        running.connection.sendall(b"?")
        everything(running)
        assert running.ending() in (Ending.FINISHED, Ending.CRASHED)


def test_a_double_forked_orphan_ends_with_its_cell(wall: Wall) -> None:
    with wall.cell(
        """
        import os, time
        def main(connection):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    connection.sendall(b"orphan")
                    while True: time.sleep(1)
                os._exit(0)
            time.sleep(60)
        """
    ) as running:
        assert running.connection.recv(6) == b"orphan"
        processes = prove.Outside(running).processes
        assert len(processes) >= 3
        running.ending()
        running.close()
        until = time.monotonic() + 2
        while any(place.started(pid) for pid in processes) and time.monotonic() < until:
            time.sleep(0.01)
        assert not any(place.started(pid) for pid in processes)


def test_a_second_cell_finds_nothing_that_the_first_one_left(wall: Wall) -> None:
    leave = """
        import os
        def main(connection):
            for folder in ("/tmp", "/dev/shm", "/dev/mqueue"):
                try: open(f"{folder}/message", "w").write("hello")
                except OSError: pass
            connection.sendall(b"left")
        """
    look = """
        import os
        def main(connection):
            found = []
            for folder in ("/tmp", "/dev/shm", "/dev/mqueue"):
                try: found += os.listdir(folder)
                except OSError: pass
            connection.sendall(repr(found).encode())
        """
    assert wall.told(leave) == "left"
    assert wall.told(look) == "[]"


def test_a_model_cannot_reach_the_host_through_proc(wall: Wall) -> None:
    told = wall.told(
        """
        import os
        def main(connection):
            found = []
            for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/kernel/modprobe",
                         "/proc/self/oom_score_adj_", "/proc/1/mem", "/proc/self/uid_map", "/proc/kcore"):
                try:
                    os.close(os.open(path, os.O_WRONLY))
                    found.append(path)
                except OSError:
                    pass
            for path in ("/etc/shadow", "/root", "/var/lib/aiact-sandbox", "/run/docker.sock", "/home"):
                try:
                    os.listdir(path) if os.path.isdir(path) else open(path)
                    found += [path] if os.path.isfile(path) or os.listdir(path) else []
                except OSError:
                    pass
            connection.sendall(repr(found).encode())
        """
    )
    assert set(eval(told)) <= {"/proc/self/uid_map", "/proc/1/mem"}


def test_cells_keep_to_their_own_files(wall: Wall, tmp_path: Path) -> None:
    one, two = tmp_path / "one.bin", tmp_path / "two.bin"
    one.write_bytes(b"one's secret")
    two.write_bytes(b"two's secret")
    search = """
        import os
        def main(connection):
            found = []
            for folder, _, names in os.walk("/c"):
                if not folder.startswith("/c/tree"):
                    found += [n for n in names if n.endswith(".bin")]
            connection.sendall(repr(found).encode())
        """
    with wall.cell("def main(connection): connection.recv(1)", model=one):
        assert eval(wall.told(search, model=two)) == ["two.bin"]


def test_only_what_was_asked_for_enters(wall: Wall, tmp_path: Path) -> None:
    upload = tmp_path / "table.csv"
    upload.write_text("a,b\n1,2\n")
    source = """
        import os
        def main(connection):
            found = {}
            for name in sorted(os.listdir("/c")):
                if name not in ("tree", "code"):
                    found[name] = os.listdir(f"/c/{name}")
            connection.sendall(repr(found).encode())
        """
    running = wall.backend(wall.code(source)).open(CellFiles(entry="serve", upload=upload), SMALL)
    try:
        running.connection.settimeout(20)
        assert eval(everything(running)) == {"model": [], "socket": [], "upload": ["table.csv"]}
    finally:
        running.close()


@pytest.mark.docker
@pytest.mark.parametrize("wall", ["docker"], indirect=True)
def test_the_engine_keeps_no_log_of_a_cell(wall: Wall) -> None:
    from sandbox.isolation.docker import Container, engine

    with wall.cell("def main(connection): connection.recv(1)") as running, engine() as client:
        assert isinstance(running.kept, Container)
        facts = client.api.inspect_container(running.kept._id)
    assert facts["HostConfig"]["LogConfig"]["Type"] == "none"
    assert facts["LogPath"] == ""


def test_the_engine_is_never_asked_to_copy_a_file_and_no_descriptor_is_ever_received() -> None:
    package = Path(place.__file__).resolve().parents[1]
    calls = {
        f"{path.name}:{node.lineno}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("put_archive", "get_archive", "recvmsg", "recvmsg_into", "recv_fds")
    }
    assert calls == set()


@pytest.mark.docker
@pytest.mark.parametrize("wall", ["docker"], indirect=True)
def test_a_runtime_that_is_named_is_the_one_that_is_tried_and_said(wall: Wall) -> None:
    backend = Docker(replace(wall.settings, docker_runtime="runc"))
    assert broken(backend.prove(SMALL)) == set()
    assert str(backend.profile(SMALL)["runtime"]).endswith(" runc")
    assert backend.profile(SMALL) != wall.backend().profile(SMALL)
