"""What must be true of every wall: the same list for each backend, present and future."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import platform
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from make.walls import SMALL, Wall, everything, number, wait_for_end

from sandbox.errors import CellUnavailable, ModelFault
from sandbox.isolation import docker as engine
from sandbox.isolation import place
from sandbox.isolation.choose import sweep
from sandbox.isolation.interface import CellFiles, Ending, Limits
from sandbox.isolation.podman import ADDED
from sandbox.isolation.receipt import profile_digest, require, write_receipt
from tests.conftest import skip_or_fail

ROOT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not AS_ROOT, reason="only root can give a cell a user id of its own")


def remains(wall: Wall) -> list[str]:
    """All that is left of the cells that this test opened; others' cells on this machine are not looked at."""
    left = [f"lease {lease.name}" for lease in place.leases(wall.settings)]
    left += [f"container {found[1]}" for found in engine.containers(wall.settings)]
    for lease in wall.leases:
        left += [path for path in (lease.folder, lease.path, *lease.cgroups) if Path(path).exists()]
        left += [f"process {pid}" for pid in processes_of(lease.user_id) if lease.own_user]
    return left


def processes_of(user: int) -> list[int]:
    """Running processes of a user; one that has ended and waits for the machine's first process to note it is none."""
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and owner(entry) == user]
    return [pid for pid in found if place.started(pid) is not None]


# -- the receipt ------------------------------------------------------------------------------------------------------


def test_every_probe_of_the_receipt_holds(wall: Wall) -> None:
    backend = wall.backend()
    begun = time.monotonic()
    attempts = backend.prove(Limits())
    print(f"{wall.name} proved in {time.monotonic() - begun:.2f} s")
    assert [f"{a.probe}: {a.observed}" for a in attempts if not a.held] == []
    tried = {attempt.probe for attempt in attempts}
    assert tried >= {"network_inet", "network_inet6", "network_netlink", "network_vsock", "dns", "write_root"}
    assert tried >= {"core_pattern", "environment", "uid_map", "user_id", "capabilities", "no_new_privileges"}
    assert tried >= {"seccomp", "processes", "memory", "descriptors", "other_processes", "scratch_size"}
    assert "canary" in tried or not AS_ROOT
    require(backend, attempts)
    receipt = write_receipt(backend, Limits(), attempts)
    assert receipt.backend == wall.name
    assert len(receipt.profile_digest) == 64


def test_the_proof_is_quick_enough_to_stand_before_every_run(wall: Wall) -> None:
    backend = wall.backend()
    backend.prove(SMALL)
    begun = time.monotonic()
    backend.prove(SMALL)
    assert time.monotonic() - begun < {"bubblewrap": 1.0, "docker": 3.0, "podman": 10.0}[wall.name]


def test_equal_walls_have_equal_profiles_and_another_limit_is_another_wall(wall: Wall) -> None:
    backend = wall.backend()
    digest = profile_digest(backend.profile(SMALL))
    assert digest == profile_digest(wall.backend().profile(SMALL))
    assert digest != profile_digest(backend.profile(replace(SMALL, processes=SMALL.processes + 1)))
    assert digest != profile_digest(wall.backend(wall.code("def main(connection): pass")).profile(SMALL))
    json.dumps(backend.profile(SMALL))


# -- no way out -------------------------------------------------------------------------------------------------------


def test_unix_is_the_only_socket_family(wall: Wall) -> None:
    told = wall.told(
        """
        import socket
        def main(connection):
            open_ = []
            for family in range(64):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
                    try:
                        socket.socket(family, kind).close()
                        open_.append(family)
                    except OSError:
                        pass
            connection.sendall(repr(sorted(set(open_))).encode())
        """
    )
    assert told == f"[{int(socket.AF_UNIX)}]"


def test_a_cell_serves_nobody_and_connects_nowhere_else(wall: Wall) -> None:
    told = wall.told(
        """
        import socket
        def main(connection):
            out = []
            for name in ("/c/socket/s", "\\0abstract", "/run/docker.sock", "/tmp/own"):
                for act in ("connect", "bind"):
                    other = socket.socket(socket.AF_UNIX)
                    try:
                        getattr(other, act)(name)
                        out.append((name, act))
                    except OSError:
                        pass
            connection.sendall(repr(out).encode())
        """
    )
    assert told == "[]"


def test_no_descriptor_can_be_passed_over_the_connection(wall: Wall) -> None:
    told = wall.told(
        """
        import socket
        def main(connection):
            try:
                socket.send_fds(connection, [b"x"], [0])
                connection.sendall(b"passed")
            except OSError as refused:
                connection.sendall(refused.strerror.encode())
        """
    )
    assert told == "Operation not permitted"


def test_no_name_is_resolved(wall: Wall) -> None:
    told = wall.told(
        """
        import socket
        def main(connection):
            try:
                connection.sendall(repr(socket.getaddrinfo("localhost.example.org", 80)).encode())
            except OSError:
                connection.sendall(b"none")
        """
    )
    assert told == "none"


def test_every_variable_in_all_of_proc_is_one_that_was_named(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIACT_SANDBOX_SECRET", "the-worker-knows-this")
    told = wall.told(
        """
        import glob
        def main(connection):
            names = set()
            for path in glob.glob("/proc/[0-9]*/environ"):
                content = open(path, "rb").read()
                names |= {entry.partition(b"=")[0].decode() for entry in content.split(b"\\0") if entry}
                names |= {"LEAK"} if b"the-worker-knows-this" in content else set()
            connection.sendall(repr(sorted(names)).encode())
        """
    )
    names = set(eval(told))  # a list of names from our own test code
    assert names <= set(place.environment()) | {"PWD", "HOSTNAME"} | (set(ADDED) if wall.name == "podman" else set())
    assert set(place.environment()) <= names


def test_nothing_but_scratch_can_be_written(wall: Wall) -> None:
    told = wall.told(
        """
        import os
        def main(connection):
            written = []
            for folder, _, names in os.walk("/"):
                if folder.startswith(("/proc", "/sys")):
                    continue
                try:
                    with open(os.path.join(folder, "probe"), "x") as out: out.write("x")
                    written.append(folder)
                except OSError:
                    pass
            connection.sendall(repr(sorted(set(written))).encode())
        """
    )
    assert set(eval(told)) <= {"/tmp", "/dev/shm"}


def test_the_model_is_there_under_its_name_and_cannot_be_changed(wall: Wall, tmp_path: Path) -> None:
    model = tmp_path / "model.bin"
    model.write_bytes(b"weights")
    told = wall.told(
        """
        import os
        def main(connection):
            out = [open("/c/model/model.bin").read()]
            for act in (lambda: open("/c/model/model.bin", "r+"), lambda: os.chmod("/c/model/model.bin", 0o666),
                        lambda: os.unlink("/c/model/model.bin"), lambda: open("/c/model/new", "w")):
                try:
                    act()
                    out.append("worked")
                except OSError:
                    out.append("refused")
            connection.sendall(" ".join(out).encode())
        """,
        model=model,
    )
    assert told == "weights refused refused refused refused"
    assert model.read_bytes() == b"weights"


def test_a_link_in_a_model_folder_is_not_followed(wall: Wall, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").symlink_to("/etc/shadow")
    with pytest.raises(CellUnavailable, match="neither a file nor a folder"):
        wall.backend().open(CellFiles(model=folder), SMALL)
    assert remains(wall) == []


def test_only_the_tree_of_the_cell_is_importable(wall: Wall) -> None:
    told = wall.told(
        """
        import sys
        def main(connection):
            found = []
            for name in ("flask", "mlflow", "docker", "sandbox", "checks", "apt"):
                try:
                    __import__(name)
                    found.append(name)
                except ImportError:
                    pass
            connection.sendall(repr((found, sys.path[-2:], sys.flags.dont_write_bytecode)).encode())
        """
    )
    assert eval(told) == ([], ["/c/code", "/c/tree"], 1)


def test_a_cell_sees_no_process_but_its_own(wall: Wall) -> None:
    source = """
        import os
        def main(connection):
            names = [open(f"/proc/{p}/cmdline").read().split("\\0")[0] for p in os.listdir("/proc") if p.isdigit()]
            connection.sendall(repr((os.getpid(), len(names))).encode())
        """
    with wall.cell("def main(connection): connection.recv(1)"):
        pid, seen = eval(wall.told(source))
    assert pid < 20
    assert seen <= 3


def test_no_namespace_and_no_dangerous_call_is_given(wall: Wall) -> None:
    attempts = {a.probe: a for a in wall.backend().prove(SMALL)}
    assert attempts["system_calls"].held
    told = wall.told(
        """
        import os, ctypes
        def main(connection):
            libc = ctypes.CDLL(None, use_errno=True)
            out = []
            for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x80):
                out.append(libc.unshare(flag))
            page = ctypes.create_string_buffer(4096)
            out.append(libc.mincore(page, 4096, page))
            try:
                os.preadv(os.open("/c/code/cell/serve.py", os.O_RDONLY), [bytearray(8)], 0, os.RWF_NOWAIT)
                out.append("resident pages can be told")
            except OSError:
                out.append(-1)
            try:
                os.memfd_create("x")
                out.append("memfd")
            except OSError:
                out.append(-1)
            connection.sendall(repr(set(out)).encode())
        """
    )
    assert told == "{-1}"


def test_a_program_with_setuid_gains_nothing(wall: Wall) -> None:
    told = wall.told(
        """
        import subprocess
        def main(connection):
            done = subprocess.run(["/usr/bin/python3", "-c",
                "import subprocess as s; print(s.run(['/usr/bin/su', '-c', 'id'], capture_output=True).returncode)"],
                capture_output=True, text=True)
            connection.sendall(b"gained" if done.stdout.strip() == "0" else b"nothing")
        """
    )
    assert told == "nothing"


@as_root
def test_every_live_cell_has_a_kernel_user_id_of_its_own(wall: Wall) -> None:
    waits = "def main(connection): connection.recv(1)"
    with wall.cell(waits) as one, wall.cell(waits) as two:
        ids = [int(Path(f"/proc/{c.peer}/status").read_text().split("Uid:")[1].split()[0]) for c in (one, two)]
    assert len({0, os.geteuid(), *ids}) == len({0, os.geteuid()}) + 2
    assert all(number >= place.FIRST_USER_ID for number in ids)


@as_root
def test_another_user_reads_no_model_and_reaches_no_socket(wall: Wall, tmp_path: Path) -> None:
    model = tmp_path / "model.bin"
    model.write_bytes(b"weights")
    with wall.cell("def main(connection): connection.recv(1)", model=model) as running:
        path = Path(running.lease.folder)
        for target in (path / "model" / "model.bin", path, path / "code" / "cell" / "serve.py"):
            done = subprocess.run(
                ["setpriv", "--reuid", "65533", "--regid", "65533", "--clear-groups", "cat", str(target)],
                capture_output=True,
                check=False,
            )
            assert done.returncode != 0
            assert b"weights" not in done.stdout
        assert not (path / "socket" / "s").exists()


def test_a_stranger_on_the_socket_is_not_taken_for_the_cell(wall: Wall) -> None:
    source = "def main(connection): connection.sendall(b'the cell'); connection.recv(1)"
    backend = wall.backend(wall.code(source))
    accepted = place.accept
    strangers: list[socket.socket] = []

    def with_stranger(inbox: place.Inbox, seconds: float) -> Any:
        if not strangers:
            handle = os.open(inbox.folder / "socket", os.O_PATH)
            strangers.append(socket.socket(socket.AF_UNIX))
            strangers[0].connect(f"/proc/self/fd/{handle}/s")
            os.close(handle)
        return accepted(inbox, seconds)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(place, "accept", with_stranger)
        running = backend.open(CellFiles(), SMALL)
    try:
        assert running.connection.recv(8) == b"the cell"
        with contextlib.suppress(ConnectionResetError):
            assert strangers[0].recv(1) == b""
    finally:
        running.close()
        strangers[0].close()


def test_an_abstract_socket_of_the_host_is_out_of_reach(wall: Wall) -> None:
    name = f"\0host-{os.urandom(8).hex()}"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(name)
        listening.listen(1)
        told = wall.told(
            f"""
            import socket
            def main(connection):
                other = socket.socket(socket.AF_UNIX)
                try:
                    other.connect({name!r})
                    connection.sendall(b"reached")
                except OSError as refused:
                    connection.sendall(refused.strerror.encode())
            """
        )
    assert told == "Connection refused"


def test_no_ring_takes_calls_past_the_filter_and_no_keyring_is_opened(wall: Wall) -> None:
    told = wall.told(
        f"""
        import ctypes, errno
        def main(connection):
            call = ctypes.CDLL(None, use_errno=True).syscall
            def outcome(number, *arguments):
                ctypes.set_errno(0)
                return errno.errorcode.get(ctypes.get_errno()) if call(number, *arguments) == -1 else "taken up"
            found = {{
                "ring": [outcome(number, 4, ctypes.create_string_buffer(256)) for number in {RING[platform.machine()]}],
                "keys": [outcome(number, 0, -4, 1, 0, 0) for number in {KEYS[platform.machine()]}],
            }}
            connection.sendall(repr(found).encode())
        """
    )
    assert eval(told) == {"ring": ["ENOSYS"] * 3, "keys": ["EPERM"] * 3}


RING = {"x86_64": (425, 426, 427), "aarch64": (425, 426, 427)}
"""io_uring_setup, io_uring_enter, io_uring_register."""
KEYS = {"x86_64": (248, 249, 250), "aarch64": (217, 218, 219)}
"""add_key, request_key, keyctl."""


def test_shared_memory_of_the_host_and_of_other_cells_is_not_there(wall: Wall) -> None:
    planted = Path("/dev/shm") / f"host-{os.urandom(8).hex()}"
    keeps = """
        def main(connection):
            try: open("/dev/shm/another-cell", "w").write("x")
            except OSError: pass
            connection.sendall(b"?"); connection.recv(1)
        """
    looks = """
        import os
        def main(connection):
            try: found = os.listdir("/dev/shm")
            except OSError: found = []
            connection.sendall(repr(found).encode())
        """
    planted.write_text("the host's")
    try:
        with wall.cell(keeps) as other:
            assert other.connection.recv(1) == b"?"
            assert wall.told(looks) == "[]"
    finally:
        planted.unlink()


def test_a_cell_finds_no_process_of_the_host_or_of_another_cell_by_any_id(wall: Wall) -> None:
    with wall.cell("def main(connection): connection.recv(1)") as other:
        told = wall.told(
            f"""
            import os
            def main(connection):
                found = []
                for pid in ({os.getpid()}, {other.peer}, {other.kept.pid}):
                    if os.path.exists(f"/proc/{{pid}}"): found.append(pid)
                    try:
                        os.kill(pid, 0)
                        found.append(pid)
                    except OSError: pass
                connection.sendall(repr(found).encode())
            """
        )
    assert told == "[]"


def test_no_option_of_the_operator_takes_a_part_out_of_the_wall(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = parts_of(wall.backend(), wall.settings)
    for name in ("BWRAP_ARGS", "DOCKER_OPTS", "DOCKER_DEFAULT_PLATFORM", "AIACT_SANDBOX_DOCKER_ARGS", "HTTP_PROXY"):
        monkeypatch.setenv(name, "--privileged --network=host --share-net --cap-add ALL")
    for name, value in wall.settings.as_dict().items():
        if name in ("state", "docker_runtime", "cell_image", "cell_base_image", "podman_socket"):
            continue
        wider = replace(
            wall.settings, **{name: f"{value} --privileged --network=host" if isinstance(value, str) else 1}
        )
        assert parts_of(type(wall.backend())(wider), wider) == plain, name
    # The options that a wall does take may choose what runs in it, and take nothing of it away.
    for name in ("docker_runtime", "cell_image", "cell_base_image"):
        chosen = replace(wall.settings, **{name: "runc --privileged"})
        changed = parts_of(type(wall.backend())(chosen), chosen)
        assert {part: changed[part] for part in plain} == plain
        assert set(changed) - set(plain) <= {"runtime"}


def parts_of(backend: Any, settings: Any) -> dict[str, str]:
    """What a backend is told to build, whichever way it is told."""
    if backend.name == "bubblewrap":
        about = {"user_id": 7, "joined": (), "inbox": "I", "tree_folder": "T", "descriptor": 9, "entry": "serve"}
        return {"command": " ".join(backend._command(SMALL, **about))}
    host = backend._host_config(SMALL, folder="I", files=CellFiles(), user_id=7)
    return {name: str(value) for name, value in host.items()}


# -- limits: each bites, with its own ending --------------------------------------------------------------------------

BOMB = """
    def main(connection):
        held = []
        while True:
            held.append(bytearray(8 * 1024**2))
            held[-1][::4096] = b"x" * 2048
    """


@pytest.mark.parametrize(
    ("source", "limits", "expected"),
    [
        pytest.param(BOMB, {}, Ending.OUT_OF_MEMORY, id="memory"),
        pytest.param("def main(connection):\n    while True: pass", {"cpu_seconds": 1}, Ending.CPU_LIMIT, id="cpu"),
        pytest.param(
            """
            import os
            def main(connection):
                for _ in range(3):
                    if os.fork() == 0: break
                while True: pass
            """,
            {"cpu_seconds": 1},
            Ending.CPU_LIMIT,
            id="cpu-of-all-processes-together",
        ),
        pytest.param(
            "import time\ndef main(connection): time.sleep(60)", {"wall_seconds": 1}, Ending.TIMED_OUT, id="wall-clock"
        ),
        pytest.param(
            """
            import signal
            def main(connection):
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
                with open("/tmp/large", "wb") as out:
                    while True: out.write(bytes(65536))
            """,
            {"file_bytes": 1024**2},
            Ending.OUTPUT_LIMIT,
            id="file-size",
        ),
        pytest.param(
            "import os\ndef main(connection):\n    while True: os.write(2, b'x' * 65536)",
            {"file_bytes": 1024**2},
            Ending.OUTPUT_LIMIT,
            id="output",
        ),
        pytest.param("import os\ndef main(connection): os.abort()", {}, Ending.CRASHED, id="abort"),
        pytest.param("def main(connection): raise ValueError", {}, Ending.CRASHED, id="exception"),
        pytest.param("def main(connection): pass", {}, Ending.FINISHED, id="return"),
    ],
)
def test_each_limit_bites_with_its_own_ending(
    wall: Wall, source: str, limits: dict[str, float], expected: Ending
) -> None:
    begun = time.monotonic()
    assert wall.ending(source, **limits) is expected
    assert time.monotonic() - begun < 15


def test_a_cell_ended_after_its_work_is_finished_and_one_cancelled_is_cancelled(wall: Wall) -> None:
    source = "import signal\ndef main(connection):\n    while True: signal.pause()"
    with wall.cell(source) as running:
        assert running.ending() is Ending.FINISHED
        assert running.ending() is Ending.FINISHED
    with wall.cell(source) as running:
        begun = time.monotonic()
        running.cancel()
        with contextlib.suppress(ConnectionResetError):
            assert running.connection.recv(1) == b""
        assert running.ending() is Ending.CANCELLED
        assert time.monotonic() - begun < 2


def test_processes_and_open_files_are_counted(wall: Wall) -> None:
    told = wall.told(
        """
        import os, signal, errno
        def main(connection):
            children, files, codes = [], [], []
            try:
                while len(children) < 100:
                    child = os.fork()
                    if child == 0:
                        signal.pause()
                    children.append(child)
            except OSError as refused:
                codes.append(errno.errorcode[refused.errno])
            try:
                while len(files) < 1000:
                    files.append(os.open("/dev/null", os.O_RDONLY))
            except OSError as refused:
                codes.append(errno.errorcode[refused.errno])
            connection.sendall(repr((len(children), len(files), codes)).encode())
            os._exit(0)
        """
    )
    forked, opened, codes = eval(told)
    assert codes == ["EAGAIN", "EMFILE"]
    assert 0 < forked < SMALL.processes
    assert 0 < opened < SMALL.open_files


def test_scratch_is_as_large_as_stated_and_no_larger(wall: Wall) -> None:
    told = wall.told(
        """
        import os, errno
        def main(connection):
            written = 0
            try:
                for name in range(1000):
                    with open(f"/tmp/{name}", "wb", buffering=0) as out:
                        written += out.write(bytes(1024**2))
            except OSError as refused:
                connection.sendall(repr((written, errno.errorcode[refused.errno])).encode())
        """,
        scratch_bytes=8 * 1024**2,
    )
    written, code = eval(told)
    assert code == "ENOSPC"
    assert 7 * 1024**2 <= written <= 8 * 1024**2


def test_meters_are_measured_outside(wall: Wall) -> None:
    source = """
        import time
        def main(connection):
            held = bytearray(64 * 1024**2)
            held[::4096] = b"x" * (len(held) // 4096)
            until = time.process_time() + 0.5
            while time.process_time() < until: pass
        """
    with wall.cell(source) as running:
        wait_for_end(running)
        assert running.ending() is Ending.FINISHED
        meters = running.meters()
    assert meters.cpu_seconds is not None
    assert 0.45 <= meters.cpu_seconds <= 3
    assert meters.seconds >= 0.5
    assert meters.peak_bytes is not None
    assert meters.peak_bytes >= 60 * 1024**2


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(BOMB, id="memory-bomb"),
        pytest.param(
            "import os\ndef main(connection):\n    while True:\n        try: os.fork()\n        except OSError: pass",
            id="fork-bomb",
        ),
        pytest.param(
            """
            def main(connection):
                name = 0
                while True:
                    name += 1
                    try:
                        with open(f"/tmp/{name}", "wb") as out: out.write(bytes(1024**2))
                    except OSError: name = 0
            """,
            id="disk-filler",
        ),
        pytest.param("import os, signal\ndef main(connection): os.kill(-1, signal.SIGKILL)", id="kills-all-it-sees"),
    ],
)
def test_an_attack_leaves_the_neighbour_at_work(wall: Wall, attack: str) -> None:
    neighbour = """
        def main(connection):
            import numpy
            rows, weights = numpy.random.default_rng(0).normal(size=(5_000, 20)), numpy.arange(20.0)
            while piece := connection.recv(1):
                (1 / (1 + numpy.exp(-rows @ weights))).sum()
                connection.sendall(piece)
        """

    def answers(quiet: Any, seconds: float) -> list[float]:
        took = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            begun = time.monotonic()
            quiet.connection.sendall(b"?")
            assert quiet.connection.recv(1) == b"?"
            took.append(time.monotonic() - begun)
            time.sleep(0.01)
        return took

    with wall.cell(neighbour) as quiet:
        quiet.connection.sendall(b"?")
        assert quiet.connection.recv(1) == b"?"
        alone = answers(quiet, 0.5)
        with wall.cell(attack, cpu_seconds=2, wall_seconds=3) as loud:
            beside = answers(quiet, 1.5)
            loud.ending()
        middle, slowest = statistics.median(beside), max(beside)
        print(
            f"the neighbour's answer: {1000 * statistics.median(alone):.1f} ms alone, {1000 * middle:.1f} ms beside, "
            f"{1000 * slowest:.1f} ms at most"
        )
        assert slowest < 1.0
        assert quiet.ending() is Ending.FINISHED


def test_standard_output_goes_nowhere(wall: Wall) -> None:
    source = """
        import os
        def main(connection):
            for _ in range(600): os.write(1, b"forged result " * 8000)
            connection.sendall(b"done")
        """
    assert wall.told(source) == "done"


# -- libraries --------------------------------------------------------------------------------------------------------


def test_the_numeric_libraries_load_learn_and_answer_behind_the_wall(wall: Wall, tmp_path: Path) -> None:
    import numpy as np
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    rows = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    fitted = LogisticRegression().fit(rows, rows[:, 0] > 0)
    model = tmp_path / "model.onnx"
    model.write_bytes(to_onnx(fitted, rows[:1], options={"zipmap": False}).SerializeToString())
    told = wall.told(
        """
        def main(connection):
            from cell import landlock
            landlock.close_in()
            import numpy as np, scipy.linalg, pandas, pyarrow
            rows = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
            labels = (rows[:, 0] > 0).astype(int)
            out = {}
            import onnxruntime
            session = onnxruntime.InferenceSession("/c/model/model.onnx")
            out["onnxruntime"] = session.run(None, {session.get_inputs()[0].name: rows})[0].astype(int)
            from sklearn.ensemble import RandomForestClassifier
            out["sklearn"] = RandomForestClassifier(20, n_jobs=2, random_state=0).fit(rows, labels).predict(rows)
            import xgboost
            out["xgboost"] = xgboost.XGBClassifier(n_estimators=20).fit(rows, labels).predict(rows)
            import lightgbm
            out["lightgbm"] = lightgbm.LGBMClassifier(n_estimators=20, verbose=-1).fit(rows, labels).predict(rows)
            scipy.linalg.svd(np.ones((300, 300)))
            connection.sendall(repr({name: float((found == labels).mean()) for name, found in out.items()}).encode())
        """,
        model=model,
        memory_bytes=1024**3,
        processes=64,
    )
    shares = eval(told)
    assert set(shares) == {"onnxruntime", "sklearn", "xgboost", "lightgbm"}
    assert all(share > 0.95 for share in shares.values()), shares


# -- nothing remains --------------------------------------------------------------------------------------------------


def test_nothing_remains_after_the_end(wall: Wall) -> None:
    with wall.cell("import os\ndef main(connection):\n    os.fork(); os.fork(); connection.recv(1)") as running:
        running.ending()
        running.close()
        running.close()
    assert remains(wall) == []
    assert not Path(running.lease.folder).exists()


def owner(folder: Path) -> int:
    try:
        return folder.stat().st_uid
    except FileNotFoundError:
        return -1


def test_nothing_remains_when_the_start_fails(wall: Wall) -> None:
    with pytest.raises(CellUnavailable, match="ended before it connected"):
        wall.backend(broken_start(wall)).open(CellFiles(), SMALL)
    with pytest.raises(ModelFault, match="limits is too small"):
        wall.backend(sleeping_start(wall)).open(CellFiles(), replace(SMALL, start_seconds=0.6))
    with pytest.raises(CellUnavailable):
        wall.backend().open(CellFiles(model=Path("/nowhere/model.bin")), SMALL)
    assert remains(wall) == []


def broken_start(wall: Wall) -> Path:
    code = wall.code("")
    (code / "start.py").write_text("raise SystemExit(3)")
    return code


def sleeping_start(wall: Wall) -> Path:
    code = wall.code("")
    (code / "start.py").write_text("import time; time.sleep(30)")
    return code


def test_nothing_remains_of_a_killed_worker_after_the_sweep_and_live_cells_stay(wall: Wall) -> None:
    code = wall.code("import time\ndef main(connection):\n    while True: time.sleep(1)")
    worker = textwrap.dedent(
        f"""
        import sys, time
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from sandbox.settings import Settings
        from sandbox.isolation.{wall.name} import {type(wall.backend()).__name__} as Backend
        from sandbox.isolation.interface import CellFiles, Limits
        settings = Settings(state=Path({str(wall.settings.state)!r}), cell_base_image={wall.settings.cell_base_image!r})
        cell = Backend(settings, code=Path({str(code)!r})).open(CellFiles(), Limits())
        print(cell.peer, cell.lease.name, flush=True)
        time.sleep(60)
        """
    )
    with wall.cell("def main(connection): connection.recv(1)") as alive:
        killed = subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE, text=True)
        assert killed.stdout is not None
        peer, name = killed.stdout.readline().split()
        assert place.started(int(peer)) is not None
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        killed.stdout.close()
        assert any(lease.name == name for lease in place.leases(wall.settings))
        assert sweep(wall.settings) == 1
        until = time.monotonic() + 2
        while place.started(int(peer)) is not None and time.monotonic() < until:
            time.sleep(0.01)
        assert place.started(int(peer)) is None
        assert alive.lease.name in {lease.name for lease in place.leases(wall.settings)}
        assert place.started(alive.peer) is not None
        assert sweep(wall.settings) == 0
    assert remains(wall) == []


def test_a_cell_outlives_the_thread_that_asked_for_it(wall: Wall) -> None:
    source = """
        def main(connection):
            while piece := connection.recv(1): connection.sendall(piece)
        """
    opened: list[Any] = []
    backend = wall.backend(wall.code(source))
    asking = threading.Thread(target=lambda: opened.append(backend.open(CellFiles(), SMALL)))
    asking.start()
    asking.join()
    (running,) = opened
    try:
        running.connection.settimeout(20)
        time.sleep(0.2)
        running.connection.sendall(b"?")
        assert running.connection.recv(1) == b"?"
    finally:
        running.close()


def test_many_cells_at_once_leave_nothing_and_no_descriptor(wall: Wall) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    cells = [
        wall.backend(wall.code("def main(connection): connection.recv(1)")).open(CellFiles(), SMALL) for _ in range(4)
    ]
    assert len({cell.lease.name for cell in cells}) == 4
    for cell in cells:
        cell.close()
    assert remains(wall) == []
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64


def test_a_cell_starts_quickly(wall: Wall) -> None:
    backend = wall.backend(wall.code("import struct\ndef main(connection): connection.sendall(struct.pack('<q', 7))"))
    backend.open(CellFiles(), SMALL).close()
    begun = time.monotonic()
    running = backend.open(CellFiles(), SMALL)
    took = time.monotonic() - begun
    try:
        assert number(running) == 7
        assert everything(running) == ""
    finally:
        running.close()
    print(f"{wall.name} started in {took * 1000:.0f} ms")
    assert took < {"bubblewrap": 1.0, "docker": 3.0, "podman": 10.0}[wall.name]


# -- as an ordinary user ----------------------------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("wall", [pytest.param("bubblewrap", marks=pytest.mark.bubblewrap)], indirect=True)
def test_an_ordinary_user_gets_the_same_walls_and_the_receipt_says_what_differs(wall: Wall, tmp_path: Path) -> None:
    from sandbox.isolation.tree import build_tree

    tree = build_tree(wall.settings)
    site = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    state = Path(tempfile.mkdtemp(prefix="ordinary-", dir="/var/tmp"))
    try:
        (state / "cell-tree").mkdir()
        (state / "cell-tree" / tree.name).symlink_to(tree)
        for path in (state, state / "cell-tree"):
            os.chown(path, 65533, 65533)
        script = f"""
        import json
        from pathlib import Path
        from sandbox.settings import Settings
        from sandbox.isolation.bubblewrap import Bubblewrap
        from sandbox.isolation.interface import Limits
        from sandbox.isolation.receipt import write_receipt
        wall = Bubblewrap(Settings(state=Path({str(state)!r})))
        attempts = wall.prove(Limits())
        receipt = write_receipt(wall, Limits(), attempts)
        print(json.dumps([[a.probe for a in attempts], [a.probe for a in attempts if not a.held], receipt.user,
                          receipt.memory_limit_by, list(receipt.notes)]))
        """
        done = subprocess.run(
            [
                *("setpriv", "--reuid", "65533", "--regid", "65533", "--clear-groups"),
                *("/usr/bin/python3", "-B", "-c", textwrap.dedent(script)),
            ],
            env={"PATH": "/usr/bin:/bin", "HOME": str(state), "PYTHONPATH": f"{ROOT}:{site}"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        place.remove_tree(state)
    if "ModuleNotFoundError" in done.stderr or "Permission denied" in done.stderr:
        skip_or_fail(f"an ordinary user cannot read this checkout: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    tried, broken, user, memory, notes = json.loads(done.stdout)
    assert broken == []
    assert {"network_inet", "uid_map", "capabilities", "seccomp", "memory", "environment"} <= set(tried)
    assert "canary" not in tried
    assert user == "the worker's own user id in a user namespace"
    assert memory == "resource limits only (per process)"
    assert len(notes) == 2
