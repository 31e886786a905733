"""Cells by a Docker engine: one container per cell, from an image that holds the dependency tree and nothing of ours.

Assumes of its caller: the engine runs on this machine and sees the same files. Nothing is ever copied into or out of a
container by the engine: files enter as read-only binds, answers leave over the cell's socket.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import socket
import struct
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.cell import landlock
from sandbox.errors import CellUnavailable
from sandbox.isolation import limits as groups
from sandbox.isolation import looking, place, seccomp, tree
from sandbox.isolation.interface import Attempt, CellFiles, Limits
from sandbox.isolation.running import KeptCell
from sandbox.settings import Settings

if TYPE_CHECKING:
    from docker import DockerClient

LABEL = "aiact-sandbox"
CELL, LOOK = f"{LABEL}-cell-", f"{LABEL}-look-"
"""How the names of containers begin: a cell's, and that of what looks at it from outside."""
ULIMITS = "resource limits only (per process)"
_PARTS = ("cell", "boot", "owner")
_PACKAGE = Path(__file__).resolve().parent.parent
_FRAME = struct.Struct(">BxxxL")
_CALL_SECONDS = 30


class Docker:
    """The backend for machines with a container engine.

    Args:
        settings: the operator's settings.
        code: folder that becomes the package `cell` inside; ours, unless a test brings its own.
    """

    name = "docker"
    _user_words = "one unprivileged host user id per cell; no user namespace"
    _memory_words = "cgroup, by the engine"

    def __init__(self, settings: Settings, *, code: Path = place.CELL_CODE) -> None:
        self._settings = settings
        self._code = code
        self._url = ""

    def available(self) -> str | None:
        """Say why docker cannot be used here, with what to install; None when it can."""
        reason = engine_unavailable(self._settings)
        if reason is not None:
            return reason
        if self._image_id() is None:
            return (
                f"The cell image {image_name(self._settings)} is not there: choose docker by name, which builds it, "
                f"or: docker build --target cell --build-arg BASE_IMAGE={self._settings.cell_base_image} "
                f"--tag {image_name(self._settings)} ."
            )
        return None

    def profile(self, limits: Limits) -> Mapping[str, object]:
        """Describe the wall: equal profiles are equal walls."""
        with engine(self._url) as client:
            version = client.version()["Version"]
        host = self._host_config(limits, folder="INBOX", files=CellFiles())
        host["security_opt"] = [o if o.startswith("no-new") else "seccomp=FILTER" for o in host["security_opt"]]
        return {
            "backend": self.name,
            "runtime": f"{self.name} {version} {self._settings.docker_runtime or 'default runtime'}",
            "image": self._image_id() or "",
            "user": self._user_words,
            "memory_limit_by": self._memory_words,
            "filter": seccomp.digest("docker"),
            "landlock": landlock.abi(),
            "code": place.code_digest(self._code),
            "command": {name: str(value) for name, value in sorted(host.items())},
            "limits": place.limits_as_dict(limits),
        }

    def open(self, files: CellFiles, limits: Limits) -> KeptCell:
        """Start a cell and wait until it has connected."""
        reason = self.available()
        if reason is not None:
            raise CellUnavailable(reason)
        lease = place.take(self._settings, self.name, own_user=True)
        return self._start(lease, files, limits)

    def _start(self, lease: place.Lease, files: CellFiles, limits: Limits, *, user_id: int | None = None) -> KeptCell:
        """Start a cell for a lease; its user inside has the lease's id, or the one that the engine maps to it."""
        user_id = lease.user_id if user_id is None else user_id
        created = {
            "image": self._image(),
            "command": self._start_command(files.entry, limits),
            "name": f"{CELL}{lease.name}",
            "user": f"{user_id}:{user_id}",
            "hostname": "cell",
            "environment": self._environment(),
            "working_dir": "/",
            "labels": labels(lease),
            "use_config_proxy": False,
            **self._host_config(limits, folder=lease.folder, files=files, user_id=user_id),
        }
        made = self._container(created, self._url, measured=self._memory_words != ULIMITS)
        cell = KeptCell(lease, limits, made)
        cell.start(files, self._code)
        return cell

    @property
    def _container(self) -> type[Container]:
        return Container

    def prove(self, limits: Limits) -> Sequence[Attempt]:
        """Try to get out of a sibling cell of the same profile, and report each attempt."""
        from sandbox.isolation.prove import prove

        return prove(self, limits, self._settings)

    def _host_config(self, limits: Limits, *, folder: str, files: CellFiles, user_id: int = 0) -> dict[str, Any]:
        from docker.types import LogConfig, Mount, Ulimit

        parts = [
            "code",
            "socket",
            *(["model"] if files.model is not None or files.entry == "warm" else []),
            *(["upload"] if files.upload is not None else []),
        ]
        ceilings = {
            "core": 0,
            "memlock": 0,
            "msgqueue": 0,
            "nofile": limits.open_files,
            "fsize": limits.file_bytes,
            "nproc": limits.processes,
        }
        options = "rw,noexec,nosuid,nodev,mode=0700"
        return {
            "network_mode": "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true", f"seccomp={seccomp.docker_profile(building=files.builds)}"],
            "init": True,
            "ipc_mode": "none",
            "pids_limit": limits.processes,
            "mem_limit": limits.memory_bytes,
            "memswap_limit": limits.memory_bytes,
            "log_config": LogConfig(type=LogConfig.types.NONE),
            "oom_score_adj": 500,
            "ulimits": [
                *(Ulimit(name=name, soft=value, hard=value) for name, value in ceilings.items()),
                Ulimit(name="cpu", soft=limits.cpu_seconds + 1, hard=limits.cpu_seconds + 2),
            ],
            "tmpfs": {"/tmp": f"{options},size={limits.scratch_bytes},uid={user_id},gid={user_id}"},  # noqa: S108
            "mounts": [
                Mount(f"/c/{part}", f"{folder}/{part}", type="bind", read_only=True, propagation="rprivate")
                for part in parts
            ]
            + (
                [Mount("/c/tree", str(files.environment), type="bind", read_only=True, propagation="rprivate")]
                if files.environment
                else []
            ),
            **({"runtime": self._settings.docker_runtime} if self._settings.docker_runtime else {}),
            **({"userns_mode": "host"} if self._remapped() else {}),
        }

    def _start_command(self, entry: str, limits: Limits) -> list[str]:  # noqa: ARG002 - podman's hold the limits
        return place.start_command(entry)

    def _remapped(self) -> bool:
        return user_namespaces_remapped()

    def _environment(self) -> Mapping[str, str]:
        return place.environment()

    def _image(self) -> str:
        return image_name(self._settings)

    def _image_id(self) -> str | None:
        from docker.errors import ImageNotFound

        with engine(self._url) as client:
            try:
                return str(client.images.get(self._image()).id)
            except ImageNotFound:
                return None


class _Frames:
    """Takes the engine's framing away from a stream: a stream number and a length before each part."""

    def __init__(self) -> None:
        self._rest = b""

    def text(self, piece: bytes) -> bytes:
        """Give what is whole of the stream so far and was not given yet."""
        held, out = self._rest + piece, b""
        while len(held) >= _FRAME.size:
            length = _FRAME.unpack_from(held)[1]
            if len(held) < _FRAME.size + length:
                break
            out += held[_FRAME.size : _FRAME.size + length]
            held = held[_FRAME.size + length :]
        self._rest = held[-(1 << 16) :]
        return out


class Container:
    """The container of one cell, as its keeper sees it.

    Args:
        created: arguments of the SDK's `containers.create`.
        url: of the engine; empty for the one that the environment names.
        measured: whether its control group is its own; else nothing is read from it.
    """

    def __init__(self, created: Mapping[str, Any], url: str = "", *, measured: bool = True) -> None:
        self.pid = 0
        self.stderr = -1
        self.group: groups.ControlGroup | None = None
        self._created = dict(created)
        self._url = url
        self._measured = measured
        self._client: DockerClient | None = None
        self._id = ""
        self._stream: socket.socket | None = None
        self._frames = _Frames()
        self._out_of_memory = False
        self._handle = -1

    def start(self) -> None:
        """Create and start it, and find its first process."""
        from docker.errors import DockerException

        try:
            self._client = _client(self._url)
            container = self._client.containers.create(**self._created)
            self._id = str(container.id)
            self._stream = _attached(self._client, self._id)
            container.start()
            self.pid = int(self._client.api.inspect_container(self._id)["State"]["Pid"])
        except (DockerException, OSError) as fault:
            self._remove()
            raise CellUnavailable(f"The engine did not start a cell: {str(fault)[:500]}") from fault
        self.stderr = self._stream.fileno()
        with contextlib.suppress(OSError, ValueError):
            self._handle = os.pidfd_open(self.pid)
            self.group = groups.of_process(self.pid) if self._measured else None

    def text(self, piece: bytes) -> bytes:
        """Take the engine's framing away: a stream number and a length before each part."""
        return self._frames.text(piece)

    def look(self, pids: Sequence[int]) -> dict[int, looking.Facts]:
        """Look at the cell's processes: from here as root, else by a process beside them that is the same user's."""
        with contextlib.suppress(PermissionError):
            return looking.look(pids)
        here = {_number_inside(pid): pid for pid in pids}
        return {here[pid]: facts for pid, facts in looking.read(self._told_beside()).items() if pid in here}

    def _told_beside(self) -> bytes:
        """Run a second container, with the cell's user and limits and without its files, among the cell's processes."""
        from docker.errors import DockerException

        created = {
            **self._created,
            "name": self._created["name"].replace(CELL, LOOK),
            "command": looking.command(),
            "pid_mode": f"container:{self._id}",
            "init": False,
            "mounts": [],
        }
        try:
            with engine(self._url) as client:
                beside = client.containers.create(**created)
                try:
                    with _attached(client, str(beside.id)) as stream:
                        beside.start()
                        stream.settimeout(_CALL_SECONDS)
                        frames, told = _Frames(), b""
                        while piece := stream.recv(65536):
                            told += frames.text(piece)
                        return told
                finally:
                    beside.remove(force=True, v=True)
        except (DockerException, OSError) as fault:
            raise CellUnavailable(f"A cell could not be looked at from outside: {str(fault)[:500]}") from fault

    def kill(self) -> None:
        """End the container's first process by its handle, or, where that is not allowed, the container by its id."""
        from docker.errors import DockerException

        self._let_go()
        try:
            if self._handle >= 0:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        except ProcessLookupError:
            return
        except PermissionError:
            # A client of its own: the keeper's may be waiting in another thread.
            with contextlib.suppress(DockerException, OSError), engine(self._url) as client:
                client.api.kill(self._id, "KILL")

    def _let_go(self) -> None:
        """Stop listening to standard error: an engine that cannot hand it over does not end its container either."""
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.shutdown(socket.SHUT_RDWR)

    def finish(self) -> int:
        """Wait for the engine to note the end, and remove the container."""
        from docker.errors import DockerException

        assert self._client is not None
        self._let_go()
        try:
            self._client.api.wait(self._id, timeout=_CALL_SECONDS)
            state = self._client.api.inspect_container(self._id)["State"]
            self._out_of_memory = bool(state["OOMKilled"])
            return int(state["ExitCode"])
        except (DockerException, OSError):
            return 255
        finally:
            self._remove()

    def memory_ran_out(self) -> bool:
        """Say whether the engine noted that memory ran out."""
        return self._out_of_memory

    def _remove(self) -> None:
        from docker.errors import DockerException

        if self._stream is not None:
            self._stream.close()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self._client is not None:
            with contextlib.suppress(DockerException, OSError):
                if self._id:
                    self._client.api.remove_container(self._id, force=True, v=True)
            self._client.close()


def _number_inside(pid: int) -> int:
    """Give the number that a process has in its own namespace of processes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[-1]) for line in lines if line.startswith("NSpid:"))


def _attached(client: DockerClient, container: str) -> socket.socket:
    """Attach to standard error before the start, so that nothing of it is lost; the engine keeps no log of it."""
    stream = client.api.attach_socket(container, {"stderr": 1, "stream": 1})
    # Taken over: the SDK's own ends with the answer that hangs on the stream, and closing that answer waits for more.
    return socket.socket(fileno=stream._sock.detach())


@contextlib.contextmanager
def engine(url: str = "") -> Iterator[DockerClient]:
    """Speak with an engine for as long as it takes.

    Args:
        url: of the engine; empty for the one that the environment names.
    """
    client = _client(url)
    try:
        yield client
    finally:
        client.close()


def _client(url: str = "") -> DockerClient:
    import docker

    if url:
        return docker.DockerClient(base_url=url, timeout=_CALL_SECONDS)
    return docker.from_env(timeout=_CALL_SECONDS)


def engine_unavailable(settings: Settings, url: str = "") -> str | None:
    """Say why no engine can run cells here; None when one can.

    Args:
        settings: the operator's settings.
        url: of the engine; empty for the one that the environment names.

    Returns:
        One sentence with what to install or to set.
    """
    from docker.errors import DockerException

    try:
        with engine(url) as client:
            facts = client.info()
    except (DockerException, OSError) as fault:
        return (
            "No Docker engine answers: install one (apt-get install docker.io) and start it, or add this user to the "
            f"group docker ({str(fault)[:200]})."
        )
    options = [str(option) for option in facts.get("SecurityOptions", [])]
    if not any("name=seccomp" in option for option in options):
        return "The Docker engine runs without seccomp, so it cannot hold a cell: start it on a kernel with seccomp."
    if not url and any("name=rootless" in option for option in options):
        return "The Docker engine is rootless and cannot give a cell a user id of its own: use bubblewrap here."
    if not facts.get("MemoryLimit") or not facts.get("PidsLimit", True):
        return "The Docker engine cannot limit memory or processes: give it control groups for both."
    runtime = settings.docker_runtime
    if runtime and runtime not in facts.get("Runtimes", {}):
        return f"The Docker engine has no runtime {runtime!r}: install it, or clear AIACT_SANDBOX_DOCKER_RUNTIME."
    return None


def user_namespaces_remapped(url: str = "") -> bool:
    """Say whether the engine maps the users of containers; a cell then asks for the host's, to have its own id.

    Args:
        url: of the engine; empty for the one that the environment names.
    """
    with engine(url) as client:
        return any("name=userns" in str(option) for option in client.info().get("SecurityOptions", []))


def labels(lease: place.Lease) -> dict[str, str]:
    """Name a container so that it is found again: whose it is, of which boot, of which worker.

    Args:
        lease: of its cell.
    """
    return {
        f"{LABEL}.installation": lease.installation,
        f"{LABEL}.boot": lease.boot,
        f"{LABEL}.owner": f"{lease.owner}:{lease.owner_started}",
        f"{LABEL}.cell": lease.name,
    }


def end_container(name: str, url: str = "") -> None:
    """Remove the container of a cell whose worker is gone.

    Args:
        name: the cell's name, from its lease.
        url: of the engine; empty for the one that the environment names.
    """
    from docker.errors import DockerException

    with contextlib.suppress(DockerException, OSError), engine(url) as client:
        for container in client.containers.list(all=True, filters={"label": f"{LABEL}.cell={name}"}):
            container.remove(force=True, v=True)


def containers(settings: Settings, url: str = "") -> list[tuple[str, str, str, str]]:
    """List the containers of this installation.

    Args:
        settings: the operator's settings.
        url: of the engine; empty for the one that the environment names.

    Returns:
        For each: id, cell name, boot id, owner as `pid:start`. Empty where no engine answers.
    """
    from docker.errors import DockerException

    chosen: dict[str, str | list[str] | bool] = {"label": f"{LABEL}.installation={place.installation(settings)}"}
    with contextlib.suppress(DockerException, OSError), engine(url) as client:
        found = client.containers.list(all=True, filters=chosen)
        told = [(str(c.id), {part: str(c.labels.get(f"{LABEL}.{part}", "")) for part in _PARTS}) for c in found]
        return [(identity, parts["cell"], parts["boot"], parts["owner"]) for identity, parts in told]
    return []


def dockerfile() -> Path:
    """Find the Dockerfile: beside the packages in a checkout, inside the package when installed."""
    for folder in (_PACKAGE.parent, _PACKAGE / "isolation"):
        if (folder / "Dockerfile").is_file():
            return folder / "Dockerfile"
    raise CellUnavailable("The Dockerfile of the cell image is not in this installation: install the package again.")


def image_name(settings: Settings) -> str:
    """Name the cell image; its tag is a hash of all that decides its content.

    Args:
        settings: the operator's settings.

    Returns:
        `name:tag`.
    """
    text = dockerfile().read_text()
    # The service's own stages come after it and decide nothing about a cell.
    end = text.find("\nFROM ", text.index(" AS cell"))
    parts = (
        text[: end if end >= 0 else None].encode(),
        tree.REQUIREMENTS.read_bytes(),
        settings.cell_base_image.encode(),
    )
    return f"{settings.cell_image}:{hashlib.sha256(b'|'.join(parts)).hexdigest()[:32]}"


def image_present(name: str, url: str = "") -> bool:
    """Say whether the engine holds an image.

    Args:
        name: the image's name with tag.
        url: of the engine; empty for the one that the environment names.
    """
    from docker.errors import DockerException

    with contextlib.suppress(DockerException, OSError), engine(url) as client:
        client.images.get(name)
        return True
    return False


def build_image(
    settings: Settings, *, pull: bool = False, progress: Callable[[str], None] = lambda _: None, url: str = ""
) -> str:
    """Build the cell image unless it is there.

    Args:
        settings: the operator's settings: name, base image, network of builds.
        pull: fetch a newer base image first.
        progress: told in one line what takes time.
        url: of the engine; empty for the one that the environment names.

    Returns:
        The image's name with tag.

    Raises:
        CellUnavailable: the engine is gone or the build failed; with its last words.
    """
    from docker.errors import BuildError, DockerException

    name = image_name(settings)
    if image_present(name, url) and not pull:
        return name
    progress(f"Building the cell image {name} from {settings.cell_base_image} (once; some minutes) ...")
    try:
        with engine(url) as client:
            client.images.build(
                fileobj=_context(),
                custom_context=True,
                encoding="gzip",
                target="cell",
                tag=name,
                pull=pull,
                rm=True,
                forcerm=True,
                network_mode=settings.docker_build_network or None,
                buildargs={"BASE_IMAGE": settings.cell_base_image},
                use_config_proxy=True,
            )
    except BuildError as fault:
        last = "".join(str(line.get("stream", line.get("error", ""))) for line in fault.build_log)[-1500:]
        raise CellUnavailable(
            f"The cell image could not be built: {fault.msg} {last!a}. Where builds have no way out, set "
            "AIACT_SANDBOX_DOCKER_BUILD_NETWORK=host; where no registry is reachable, AIACT_SANDBOX_CELL_BASE_IMAGE."
        ) from fault
    except (DockerException, OSError) as fault:
        raise CellUnavailable(f"The cell image could not be built: {str(fault)[:1000]}") from fault
    return name


def _context() -> io.BytesIO:
    """Pack what the build reads: two files, and never the checkout around them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        packed.add(dockerfile(), "Dockerfile")
        packed.add(tree.REQUIREMENTS, "sandbox/cell/requirements.txt")
    out.seek(0)
    return out
