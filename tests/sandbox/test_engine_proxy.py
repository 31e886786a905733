"""Only cells pass: each forbidden thing is tried against the proxy, with the real engine behind it."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, DockerException

from sandbox.engine_proxy import EngineConnection, EngineProxy, Forbidden, Rules, cell_only
from sandbox.errors import CellUnavailable
from sandbox.isolation import docker as backend
from sandbox.isolation import looking, place, seccomp
from sandbox.isolation.choose import choose, sweep
from sandbox.isolation.interface import CellFiles, Limits
from sandbox.settings import Settings
from tests.conftest import ROOT, skip_or_fail
from tests.make.waiting import until
from tests.make.walls import LOCAL_BASE, Wall, engine_proxied, wall_settings

pytestmark = pytest.mark.docker
USER = place.FIRST_USER_ID + 7
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a cell a user id of its own")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return wall_settings(tmp_path / "state")


@pytest.fixture
def rules(settings: Settings) -> Rules:
    return Rules.of(settings, remapped=False)


@pytest.fixture
def body(settings: Settings, rules: Rules, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the backend really sends for a model's cell."""
    cell = rules.roots[0] / uuid.uuid4().hex[:16]
    for part in ("code", "model", "socket"):
        (cell / part).mkdir(parents=True)
    sent: list[dict[str, Any]] = []
    wall = backend.Docker(settings)
    monkeypatch.setattr(backend, "user_namespaces_remapped", lambda: False)
    labels = {f"aiact-sandbox.{n}": "x" for n in ("boot", "owner", "cell")}
    client = docker.DockerClient(base_url="unix:///nowhere", version="1.41")
    monkeypatch.setattr(client.api, "create_container_from_config", lambda config, *_: sent.append(dict(config)) or {})
    with pytest.raises(KeyError):
        client.containers.create(
            image=rules.image,
            command=place.start_command("serve"),
            name="x",
            user=f"{USER}:{USER}",
            hostname="cell",
            environment=dict(place.environment()),
            working_dir="/",
            labels={**labels, "aiact-sandbox.installation": rules.installation},
            use_config_proxy=False,
            **wall._host_config(
                Limits(), folder=str(cell), files=CellFiles(entry="serve", model=cell / "m"), user_id=USER
            ),
        )
    yield dict(json.loads(json.dumps(sent[0])))
    shutil.rmtree(cell)
    Path(f"{cell}.link").unlink(missing_ok=True)


def test_a_cell_passes_and_is_written_anew_from_compared_fields(body: dict[str, Any], rules: Rules) -> None:
    out = cell_only(body, rules)
    assert out["HostConfig"] == {k: v for k, v in body["HostConfig"].items() if v is not None}
    assert {name for name, value in out.items() if name != "HostConfig" and value != body[name]} == set()
    body["HostConfig"]["MaskedPaths"] = body["HostConfig"]["ReadonlyPaths"] = []
    body["hostConfig"] = {}
    assert cell_only(body, rules) == out


@pytest.fixture
def look(body: dict[str, Any]) -> dict[str, Any]:
    """What the backend really sends for what looks at a cell from outside."""
    host = body["HostConfig"]
    host |= {"PidMode": f"container:{'0' * 64}", "Init": False, "Mounts": []}
    return {**body, "Cmd": looking.command()}


def test_what_looks_at_a_cell_is_a_cell_without_files(look: dict[str, Any], rules: Rules) -> None:
    assert cell_only(look, rules)["HostConfig"]["PidMode"] == f"container:{'0' * 64}"


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("HostConfig", "PidMode", "host"),
        ("HostConfig", "PidMode", "container:postgres"),
        ("HostConfig", "Init", True),
        ("HostConfig", "CapAdd", ["SYS_PTRACE"]),
        ("HostConfig", "Mounts", [{"Target": "/c/model", "Source": "/", "Type": "bind", "ReadOnly": True}]),
        ("", "Cmd", place.start_command("serve")),
        ("", "Cmd", [*looking.command(), "1"]),
        ("", "Cmd", ["/usr/bin/python3", "-I", "-c", "import os"]),
        ("", "User", "0:0"),
    ],
)
def test_nothing_else_looks_at_a_cell(look: dict[str, Any], rules: Rules, part: str, name: str, value: Any) -> None:
    (look[part] if part else look)[name] = value
    # A namespace of processes that is no cell's makes it no look, whose command is then no cell's.
    with pytest.raises(Forbidden, match="Cmd" if name == "PidMode" else name):
        cell_only(look, rules)


HOST: dict[str, Any] = {
    "Privileged": True,
    "privileged": True,
    "PidMode": "host",
    "NetworkMode": "host",
    "IpcMode": "host",
    "UTSMode": "host",
    "UsernsMode": "host",
    "CgroupnsMode": "host",
    "Devices": [{"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/kmsg", "CgroupPermissions": "rwm"}],
    "DeviceCgroupRules": ["c 1:11 rwm"],
    "DeviceRequests": [{"Count": -1}],
    "Binds": ["/:/host:rw"],
    "VolumesFrom": ["other"],
    "CapAdd": ["SYS_ADMIN"],
    "CapDrop": [],
    "SecurityOpt": ["no-new-privileges:true", "seccomp=unconfined"],
    "GroupAdd": ["0"],
    "ReadonlyRootfs": False,
    "CgroupParent": "/",
    "Sysctls": {"kernel.core_pattern": "|/x"},
    "MaskedPaths": ["/nothing"],
    "ReadonlyPaths": ["/nothing"],
    "OomKillDisable": True,
    "OomScoreAdj": -500,
    "Memory": 0,
    "MemorySwap": -1,
    "PidsLimit": -1,
    "Ulimits": [],
    "LogConfig": {"Type": "json-file", "Config": {}},
    "Runtime": "other",
    "RestartPolicy": {"Name": "always"},
    "PortBindings": {"80/tcp": [{"HostPort": "80"}]},
    "ExtraHosts": ["a:1.2.3.4"],
    "Init": False,
    "Tmpfs": {"/tmp": "rw,exec,size=1,uid=0,gid=0"},
}
TOP: dict[str, Any] = {
    "Image": LOCAL_BASE,
    "User": "0:0",
    "Entrypoint": ["/bin/sh"],
    "Cmd": ["/bin/sh"],
    "Env": ["LD_PRELOAD=/c/model/x.so"],
    "Volumes": {"/host": {}},
    "ExposedPorts": {"80/tcp": {}},
    "Hostname": "other",
    "Labels": {"aiact-sandbox.installation": "another"},
    "OpenStdin": True,
    "NetworkingConfig": {"EndpointsConfig": {"bridge": {}}},
    "Healthcheck": {"Test": ["CMD", "x"]},
    "hostconfig": {"Privileged": True},
}


@pytest.mark.parametrize("name", HOST)
def test_no_power_over_the_host_passes(body: dict[str, Any], rules: Rules, name: str) -> None:
    body["HostConfig"][name] = HOST[name]
    with pytest.raises(Forbidden, match=rf"HostConfig\.{name}"):
        cell_only(body, rules)


@pytest.mark.parametrize("name", TOP)
def test_nothing_but_our_program_as_a_cells_user_passes(body: dict[str, Any], rules: Rules, name: str) -> None:
    body[name] = TOP[name]
    with pytest.raises(Forbidden, match=name):
        cell_only(body, rules)


@pytest.mark.parametrize("name", ["NetworkMode", "SecurityOpt", "CapDrop", "Memory", "PidsLimit", "ReadonlyRootfs"])
def test_what_is_left_out_is_not_what_a_cell_is(body: dict[str, Any], rules: Rules, name: str) -> None:
    del body["HostConfig"][name]
    with pytest.raises(Forbidden, match=name):
        cell_only(body, rules)


def change(**fields: Any) -> Callable[[dict[str, Any], Rules], None]:
    return lambda mount, _: mount.update(fields)


def through_a_link(mount: dict[str, Any], _: Rules) -> None:
    link = Path(f"{Path(mount['Source']).parent}.link")
    link.symlink_to("/etc")
    mount["Source"] = str(link)


MOUNTS: dict[str, Callable[[dict[str, Any], Rules], None]] = {
    "the whole host": change(Source="/"),
    "the engine's socket": change(Source="/var/run/docker.sock"),
    "all cells": lambda mount, rules: mount.update(Source=str(rules.roots[0])),
    "a way up": lambda mount, rules: mount.update(Source=f"{rules.roots[0]}/../keys"),
    "a link": through_a_link,
    "a folder to write to": change(ReadOnly=False),
    "what others mount later": change(BindOptions={"Propagation": "rshared"}),
    "more of a bind": change(BindOptions={"Propagation": "rprivate", "CreateMountpoint": True}),
    "a volume": change(Type="volume"),
    "another place inside": change(Target="/usr"),
    "packages of another's place": change(Target="/c/tree"),
    "what is not there": lambda mount, rules: mount.update(Source=f"{rules.roots[0]}/nowhere/model"),
}


@pytest.mark.parametrize("which", MOUNTS)
def test_nothing_is_bound_but_a_cells_own_folder(body: dict[str, Any], rules: Rules, which: str) -> None:
    MOUNTS[which](body["HostConfig"]["Mounts"][0], rules)
    with pytest.raises(Forbidden, match="Mounts"):
        cell_only(body, rules)


def test_the_filter_is_compared_to_the_letter(body: dict[str, Any], rules: Rules) -> None:
    profile = json.loads(seccomp.docker_profile())
    profile["syscalls"][0]["names"].append("ptrace")
    body["HostConfig"]["SecurityOpt"][1] = f"seccomp={json.dumps(profile)}"
    with pytest.raises(Forbidden, match="SecurityOpt"):
        cell_only(body, rules)


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    try:
        backend.build_image(settings)
    except CellUnavailable as absent:
        skip_or_fail(str(absent))
    with tempfile.TemporaryDirectory() as folder, engine_proxied(settings, Path(folder)) as found:
        yield found


@pytest.fixture
def stranger() -> Iterator[str]:
    """A container of somebody else on the same engine."""
    client = docker.from_env()
    image = next(i for i in client.images.list() if i.tags and i.tags[0].startswith("aiact-sandbox-cell:"))
    made = client.containers.create(image.id, ["/usr/bin/python3", "--version"], network_mode="none")
    yield str(made.id)
    made.remove(force=True)
    client.close()


def test_a_container_of_others_is_not_seen_started_or_ended(url: str, stranger: str) -> None:
    with backend.engine(url) as client:
        assert stranger not in [c.id for c in client.containers.list(all=True)]
        for act in (
            lambda: client.api.inspect_container(stranger),
            lambda: client.api.start(stranger),
            lambda: client.api.kill(stranger),
            lambda: client.api.wait(stranger),
            lambda: client.api.remove_container(stranger, force=True),
            lambda: client.api.attach_socket(stranger, {"stderr": 1, "stream": 1}),
        ):
            with pytest.raises(APIError, match="no cell of this installation"):
                act()


def test_calls_that_no_cell_needs_do_not_pass(url: str, stranger: str) -> None:
    with backend.engine(url) as client:
        for act in (
            lambda: client.api.exec_create(stranger, "id"),
            lambda: client.images.build(fileobj=io.BytesIO(b"FROM scratch"), tag="x"),
            lambda: client.api.put_archive(stranger, "/", b""),
            lambda: client.api.get_archive(stranger, "/etc/passwd"),
            lambda: client.volumes.create("x"),
            lambda: client.networks.create("x"),
            lambda: client.api.commit(stranger),
            lambda: client.api.update_container(stranger, mem_limit="1g"),
            lambda: client.api.pause(stranger),
            lambda: client.api.rename(stranger, "x"),
            lambda: client.swarm.init(),
            lambda: client.containers.prune(),
            lambda: client.api.logs(stranger),
            lambda: client.images.remove(LOCAL_BASE),
        ):
            with pytest.raises(DockerException, match=r"does not let this through|Unsupported method"):
                act()


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b'{"HostConfig": {"Memory": 5, "memory": 0}}', "twice"),
        (b"[]", "no object"),
        (b"[" * 200_000, "not JSON"),
        (b"x" * 300_000, "length"),
    ],
)
def test_what_the_engine_could_read_otherwise_does_not_pass(url: str, sent: bytes, told: str) -> None:
    connection = EngineConnection(Path(url.removeprefix("unix://")))
    try:
        connection.request("POST", "/v1.41/containers/create?name=aiact-sandbox-cell-0123456789abcdef", sent)
        answer = connection.getresponse()
        assert (answer.status, told in answer.read().decode()) == (403, True)
    except (BrokenPipeError, ConnectionResetError):
        assert told == "length"
    finally:
        connection.close()


@pytest.mark.parametrize("length", ["\u00b2", "-1", "1_0", "+5", ""])
def test_a_length_that_is_none_is_refused(url: str, length: str) -> None:
    connection = EngineConnection(Path(url.removeprefix("unix://")))
    connection.putrequest("POST", "/v1.41/containers/create?name=aiact-sandbox-cell-0123456789abcdef")
    connection.putheader("Content-Length", length.encode("latin-1"))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, "length" in answer.read().decode()) == (403, True)
    connection.close()


@as_root
def test_the_backend_proves_its_wall_and_runs_cells_through_the_proxy(
    settings: Settings, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    wall = Wall("docker", settings, tmp_path)
    choose("docker", settings)
    assert [a.probe for a in wall.backend().prove(Limits()) if not a.held] == []
    assert wall.told("def main(connection): connection.sendall(b'here')") == "here"
    assert wall.ending("import os\ndef main(connection): os.abort()").value == "crashed"
    with wall.cell("import time\ndef main(connection): time.sleep(60)") as running:
        assert [name for _, name, _, _ in backend.containers(settings)] == [running.lease.name]
        backend.end_container(running.lease.name)
    assert sweep(settings) == 0
    assert backend.containers(settings) == []


def test_nobody_else_can_open_its_socket(url: str) -> None:
    path = Path(url.removeprefix("unix://"))
    assert path.is_socket()
    assert path.stat().st_mode & 0o777 == 0o660


def test_the_processes_of_a_container_of_others_are_not_looked_at(
    url: str, look: dict[str, Any], stranger: str
) -> None:
    look["HostConfig"]["PidMode"] = f"container:{stranger}"
    with backend.engine(url) as client, pytest.raises(APIError, match="no cell of this installation"):
        client.api.create_container_from_config(look, "aiact-sandbox-look-0123456789abcdef")


PROXY = """
import sys
from pathlib import Path
from sandbox.engine_proxy import serve
from sandbox.settings import Settings
serve(Path(sys.argv[1]), Path("/var/run/docker.sock"), Settings.from_environment())
"""
WORKER = """
import os
from sandbox.isolation import docker, place
from sandbox.isolation.interface import Limits
from sandbox.settings import Settings
settings = Settings.from_environment()
attempts = docker.Docker(settings).prove(Limits())
print(os.geteuid(), len(attempts), [a for a in attempts if not a.held])
print(place.leases(settings), os.listdir(settings.state / "cells"), docker.containers(settings))
"""
WORKERS, PROXYS = 10000, 10002
ENGINES = Path("/var/run/docker.sock")


@as_root
def test_the_wall_is_proved_where_neither_worker_nor_proxy_is_root(settings: Settings, url: str) -> None:
    libraries = sysconfig.get_path("purelib")
    if f"python{sys.version_info.major}.{sys.version_info.minor}" != Path("/usr/bin/python3").resolve().name:
        skip_or_fail("these users may use the system's Python alone, which is another version")
    folder = Path(tempfile.mkdtemp(prefix="aiact-", dir="/var/tmp"))
    state, sockets = folder / "state", folder / "sockets"
    folder.chmod(0o755)
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{ROOT}:{libraries}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/nonexistent",
        "AIACT_SANDBOX_STATE": str(state),
        "AIACT_SANDBOX_CELL_BASE_IMAGE": settings.cell_base_image,
    }

    def as_user(user: int, group: str, program: str, *words: str, **more: str) -> subprocess.Popen[str]:
        identity = ["/usr/bin/setpriv", "--reuid", str(user), "--regid", str(WORKERS), group]
        command = [*identity, "/usr/bin/python3", "-c", program, *words]
        return subprocess.Popen(
            command, env=environment | more, cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    proxy = None
    try:
        for made, owner in ((state, WORKERS), (sockets, PROXYS)):
            made.mkdir(mode=0o750)
            os.chown(made, owner, WORKERS)
        state.chmod(0o711)
        lay_out = "from sandbox.isolation.place import lay_out; from sandbox.settings import Settings\n"
        laid = as_user(WORKERS, "--clear-groups", lay_out + "lay_out(Settings.from_environment())")
        assert (laid.communicate()[0], laid.returncode) == ("", 0)
        socket = sockets / "engine.sock"
        proxy = as_user(PROXYS, f"--groups={ENGINES.stat().st_gid}", PROXY, str(socket))
        until(lambda: socket.exists() or proxy.poll() is not None, 60)
        assert proxy.poll() is None, proxy.communicate()[0]
        worker = as_user(WORKERS, "--clear-groups", WORKER, DOCKER_HOST=f"unix://{socket}")
        told = worker.communicate(timeout=120)[0]
        assert re.fullmatch(rf"{WORKERS} \d\d \[\]\n\[\] \[\] \[\]\n", told), told
    finally:
        if proxy is not None:
            proxy.kill()
            proxy.communicate()
        shutil.rmtree(folder)


def test_an_engine_that_is_gone_is_said_and_its_return_needs_no_restart(
    settings: Settings, rules: Rules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        gone = Path(folder) / "gone.sock"
        with EngineProxy(Path(folder) / "s", gone, rules) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                url = f"unix://{folder}/s"
                monkeypatch.setenv("DOCKER_HOST", url)
                assert "No Docker engine answers" in str(backend.engine_unavailable(settings))
                with pytest.raises(CellUnavailable, match="No Docker engine answers"):
                    choose("docker", settings)
                gone.symlink_to("/var/run/docker.sock")
                assert backend.engine_unavailable(settings) is None
            finally:
                server.shutdown()
                thread.join()
