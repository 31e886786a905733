"""Stand between the worker and the container engine: a few calls, and only cells as we make them.

Assumes of its caller: this process alone reaches the engine's socket; it runs the same version as the worker, sees the
state folder under the same path, and nobody but the worker can open the socket that it listens on. The body of a
`create` is never passed on as it came: it is read, compared with what a cell must be, and written anew from the fields
that were compared. What stays open: between this comparison and the engine's mount, whoever can write in the state
folder can put a link in the place of a cell's folder. The mount is read-only, and its reader an unprivileged user.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import re
import select
import socket
import socketserver
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from sandbox.errors import CellUnavailable
from sandbox.isolation import docker, looking, place, seccomp
from sandbox.settings import Settings

log = logging.getLogger(__name__)

LARGEST_BODY_BYTES = 256 * 1024
_NAME = re.compile(rf"({docker.CELL}|{docker.LOOK})[0-9a-f]{{16}}")
_AMONG = re.compile(r"container:([0-9a-f]{64})")
_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._/:@-]{0,254}")
_CONTAINER = re.compile(r"/containers/([0-9a-f]{64})(?:/([a-z]+))?")
_PARTS = ("code", "model", "upload", "socket")
_ULIMITS = {"core", "memlock", "msgqueue", "nofile", "fsize", "nproc", "cpu"}
_LABELS = {f"{docker.LABEL}.{part}" for part in ("installation", "boot", "owner", "cell")}
_TMPFS = re.compile(r"rw,noexec,nosuid,nodev,mode=0700,size=[1-9][0-9]*,uid=([0-9]+),gid=([0-9]+)")


class Forbidden(Exception):
    """A call or a container that is not let through; says which part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a container must be to be let through.

    Args:
        installation: whose cells; the only containers that can be seen or ended.
        image: the one image, with tag.
        roots: the folders beneath which something may be bound, read-only.
        runtime: the engine's runtime for cells; empty for its default.
        remapped: whether the engine maps the users of containers, so that a cell must ask for the host's.
    """

    installation: str
    image: str
    roots: tuple[Path, ...]
    runtime: str = ""
    remapped: bool = False

    @classmethod
    def of(cls, settings: Settings, *, remapped: bool) -> Rules:
        """Take them from the operator's settings."""
        return cls(
            installation=place.installation(settings),
            image=docker.image_name(settings),
            roots=tuple(place.open_folder(settings, name).resolve() for name in place.ENTERED),
            runtime=settings.docker_runtime,
            remapped=remapped,
        )


def cell_only(body: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """Compare the body of a `create` with what a cell must be, and write it anew.

    What looks at a cell from outside is a cell as well: without files, with a command of its own, and among the
    processes of a container that the caller has to look at.

    Args:
        body: as the SDK sends it. A field that is not named here must be absent or empty.
        rules: what it is compared with.

    Returns:
        The body for the engine: the compared fields and no others.

    Raises:
        Forbidden: names the fields that are not as a cell's.
    """
    host = body.get("HostConfig")
    if not isinstance(host, dict):
        raise Forbidden("HostConfig")
    user = _user(body.get("User"))
    config: dict[str, Callable[[Any], bool]] = {
        "Image": lambda v: v == rules.image,
        "User": lambda v: v == f"{user}:{user}",
        "Hostname": lambda v: v == "cell",
        "WorkingDir": lambda v: v == "/",
        "Env": lambda v: isinstance(v, list) and {str(e).partition("=")[0] for e in v} <= _VARIABLES,
        "Cmd": lambda v: isinstance(v, list) and bool(v) and v == place.start_command(_module(v[-1])),
        "Labels": lambda v: isinstance(v, dict) and set(v) == _LABELS and v[_OWN] == rules.installation,
        "AttachStdout": lambda v: isinstance(v, bool),
        "AttachStderr": lambda v: isinstance(v, bool),
    }
    limits: dict[str, Callable[[Any], bool]] = {
        "NetworkMode": lambda v: v == "none",
        "IpcMode": lambda v: v == "none",
        "ReadonlyRootfs": lambda v: v is True,
        "Init": lambda v: v is True,
        "CapDrop": lambda v: v == ["ALL"],
        "SecurityOpt": lambda v: v in _filters(),
        "LogConfig": lambda v: v == {"Type": "none", "Config": {}},
        "OomScoreAdj": lambda v: _whole(v) and v >= 0,
        "Memory": lambda v: _whole(v) and v > 0,
        "MemorySwap": lambda v: _whole(v) and v == host.get("Memory"),
        "PidsLimit": lambda v: _whole(v) and v > 0,
        "Ulimits": _bounded,
        "Tmpfs": lambda v: isinstance(v, dict) and list(v) == [_SCRATCH] and _own_scratch(v[_SCRATCH], user),
        "Mounts": lambda v: isinstance(v, list) and all(_mountable(m, rules) for m in v),
    }
    if _AMONG.fullmatch(str(host.get("PidMode"))):
        config["Cmd"] = lambda v: v == looking.command()
        limits |= {"PidMode": lambda v: isinstance(v, str), "Init": lambda v: v is False, "Mounts": lambda v: v == []}
    if rules.runtime:
        limits["Runtime"] = lambda v: v == rules.runtime
    if rules.remapped:
        limits["UsernsMode"] = lambda v: v == "host"
    out = _compared({name: value for name, value in body.items() if name != "HostConfig"}, config)
    return {**out, "HostConfig": _compared(host, limits, within="HostConfig.")}


def _compared(
    given: Mapping[str, Any], expected: Mapping[str, Callable[[Any], bool]], within: str = ""
) -> dict[str, Any]:
    """Take the expected fields, each as it must be; refuse any other that says something."""
    wrong = [name for name, holds in expected.items() if name not in given or not holds(given[name])]
    # Empty is not always nothing: an empty list of masked paths would uncover them all. They are not passed on.
    wrong += [name for name, value in given.items() if name not in expected and value]
    if wrong:
        raise Forbidden(", ".join(within + name for name in sorted(wrong)))
    return {name: given[name] for name in expected}


_SCRATCH = "/tmp"  # noqa: S108 - the cell's own
_OWN = f"{docker.LABEL}.installation"
_VARIABLES = {*place.environment(), "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _user(value: object) -> int:
    number = str(value).partition(":")[0]
    if not number.isascii() or not number.isdigit():
        raise Forbidden("User")
    if int(number) not in range(place.FIRST_USER_ID, place.FIRST_USER_ID + place.USER_IDS):
        raise Forbidden("User")
    return int(number)


def _module(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[a-z_]{1,32}", value) else ""


@lru_cache
def _filters() -> tuple[list[str], ...]:
    return tuple(
        ["no-new-privileges:true", f"seccomp={seccomp.docker_profile(building=building)}"] for building in (False, True)
    )


def _bounded(value: object) -> bool:
    if not isinstance(value, list) or not all(
        isinstance(u, dict) and set(u) == {"Name", "Soft", "Hard"} for u in value
    ):
        return False
    return {u["Name"] for u in value} == _ULIMITS and all(
        _whole(u["Soft"]) and _whole(u["Hard"]) and 0 <= u["Soft"] <= u["Hard"] for u in value
    )


def _own_scratch(value: object, user: int) -> bool:
    found = _TMPFS.fullmatch(value) if isinstance(value, str) else None
    return found is not None and found.groups() == (str(user), str(user))


def _mountable(mount: object, rules: Rules) -> bool:
    """Say whether a mount is a read-only bind of a part of one cell's folder, or of an environment of packages."""
    if not isinstance(mount, dict) or set(mount) != {"Target", "Source", "Type", "ReadOnly", "BindOptions"}:
        return False
    source, target = mount["Source"], mount["Target"]
    if not isinstance(source, str) or not isinstance(target, str):
        return False
    cells, environments = rules.roots
    allowed = target == "/c/tree" and _beneath(source, environments)
    allowed |= target in {f"/c/{part}" for part in _PARTS} and _beneath(source, cells)
    return (
        allowed
        and mount["Type"] == "bind"
        and mount["ReadOnly"] is True
        and mount["BindOptions"] == {"Propagation": "rprivate"}
    )


def _beneath(source: str, root: Path) -> bool:
    """Say whether a path is beneath a folder, written plainly and with no link in it, as far as can be seen."""
    path = Path(source)
    try:
        plain = path.is_absolute() and str(path) == source and path.resolve(strict=True) == path
    except OSError:
        return False
    return plain and root in path.parents


class EngineConnection(http.client.HTTPConnection):
    """HTTP over the engine's socket.

    Args:
        path: of the socket.
    """

    def __init__(self, path: Path) -> None:
        super().__init__("engine")
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


class _Call(BaseHTTPRequestHandler):
    """One call of the worker."""

    protocol_version = "HTTP/1.1"
    server: EngineProxy

    def do_GET(self) -> None:
        """Look at the engine, an image, or our cells."""
        self._answer(self._look)

    def do_POST(self) -> None:
        """Create, start, attach to, wait for or kill a cell."""
        self._answer(self._act)

    def do_DELETE(self) -> None:
        """Remove a cell."""
        self._answer(self._remove)

    def log_message(self, *_: Any) -> None:
        """Say nothing of what was let through."""

    def _answer(self, call: Callable[[str, bytes], None]) -> None:
        parts = urlsplit(self.path)
        path = re.sub(r"^/v[0-9.]+", "", parts.path)
        self._query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        try:
            call(path, self._body())
        except Forbidden as forbidden:
            log.warning("not let through: %s %s: %s", self.command, path, forbidden)
            self._send(403, {"message": f"the engine proxy does not let this through: {forbidden}"})
        except (OSError, http.client.HTTPException) as fault:
            log.warning("the engine did not answer: %s", fault)
            self.close_connection = True
            with contextlib.suppress(OSError):
                self._send(502, {"message": "the container engine does not answer"})

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > LARGEST_BODY_BYTES:
            self.close_connection = True
            raise Forbidden("the length of the body")
        return self.rfile.read(int(length))

    def _look(self, path: str, _body: bytes) -> None:
        image = re.fullmatch(r"/images/(.+)/json", path)
        container = _CONTAINER.fullmatch(path)
        if path in ("/_ping", "/version", "/info"):
            self._forward("GET", path)
        elif image and _IMAGE.fullmatch(image[1]):
            self._forward("GET", f"/images/{quote(image[1], safe=':/@')}/json")
        elif path == "/containers/json":
            self._forward("GET", f"{path}?{urlencode({'all': 1, 'filters': self._filters()})}")
        elif container and container[2] == "json":
            self._owned(container[1])
            self._forward("GET", path)
        else:
            raise Forbidden("the call")

    def _filters(self) -> str:
        """Ask for cells of this installation alone, whatever else is asked for."""
        wanted = _json(self._query.get("filters", "{}").encode()).get("label")
        labels = wanted if isinstance(wanted, list) else []
        cell = [label for label in labels if str(label).startswith(f"{docker.LABEL}.cell=")]
        return json.dumps({"label": [f"{_OWN}={self.server.rules.installation}", *cell]})

    def _act(self, path: str, body: bytes) -> None:
        if path == "/containers/create":
            self._create(body)
            return
        found = _CONTAINER.fullmatch(path)
        if found is None or found[2] not in ("start", "attach", "wait", "kill"):
            raise Forbidden("the call")
        mounts = self._owned(found[1])
        if found[2] == "attach":
            self._attach(path)
        elif found[2] == "kill":
            self._forward("POST", f"{path}?signal=KILL")
        else:
            if found[2] == "start" and not all(_beneath(m, r) for m, r in self._roots(mounts)):
                raise Forbidden("a folder that became a link since")
            self._forward("POST", path)

    def _create(self, body: bytes) -> None:
        name = self._query.get("name", "")
        if not _NAME.fullmatch(name):
            raise Forbidden("the name")
        clean = cell_only(_json(body), self.server.rules)
        if among := _AMONG.fullmatch(clean["HostConfig"].get("PidMode", "")):
            self._owned(among[1])
        self._forward("POST", f"/containers/create?name={name}", json.dumps(clean).encode())

    def _roots(self, mounts: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
        cells, environments = self.server.rules.roots
        for target, source in mounts.items():
            yield source, environments if target == "/c/tree" else cells

    def _remove(self, path: str, _body: bytes) -> None:
        found = _CONTAINER.fullmatch(path)
        if found is None or found[2]:
            raise Forbidden("the call")
        self._owned(found[1])
        self._forward("DELETE", f"{path}?{urlencode({'force': 1, 'v': 1})}")

    def _owned(self, container: str) -> Mapping[str, str]:
        """Refuse a container that is no cell of this installation; gives its binds, source by target."""
        status, _, content = self._asked("GET", f"/containers/{container}/json")
        facts = json.loads(content) if status == 200 else {}
        labels = (facts.get("Config") or {}).get("Labels") or {}
        if status != 404 and labels.get(_OWN) != self.server.rules.installation:
            raise Forbidden("a container that is no cell of this installation")
        return {m["Target"]: m["Source"] for m in (facts.get("HostConfig") or {}).get("Mounts") or []}

    def _asked(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str, bytes]:
        with contextlib.closing(EngineConnection(self.server.engine)) as engine:
            engine.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = engine.getresponse()
            return answer.status, answer.headers.get("Content-Type", "application/json"), answer.read()

    def _forward(self, method: str, path: str, body: bytes | None = None) -> None:
        status, kind, content = self._asked(method, path, body)
        self._send(status, content, kind)

    def _send(self, status: int, content: Any, kind: str = "application/json") -> None:
        written = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        if status not in (204, 304):
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        if status not in (204, 304):
            self.wfile.write(written)

    def _attach(self, path: str) -> None:
        """Pass on what a cell writes to its standard error, until either side ends; nothing goes the other way."""
        self.close_connection = True
        with contextlib.closing(EngineConnection(self.server.engine)) as engine:
            engine.connect()
            sock = engine.sock
            sock.sendall(
                f"POST {path}?stderr=1&stream=1 HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                "Content-Length: 0\r\n\r\n".encode()
            )
            while True:
                ready, _, _ = select.select([sock, self.connection], [], [])
                if self.connection in ready and not self.connection.recv(65536):
                    return
                if sock in ready:
                    piece = sock.recv(65536)
                    if not piece:
                        return
                    self.connection.sendall(piece)


def _json(content: bytes) -> dict[str, Any]:
    """Read an object in which no name comes twice, as the engine would take another of the two."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name.lower() for name, _ in pairs}) < len(pairs):
            raise Forbidden("a name that comes twice")
        return dict(pairs)

    try:
        found = json.loads(content, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise Forbidden("the body, which is not JSON") from None
    if not isinstance(found, dict):
        raise Forbidden("the body, which is no object")
    return found


class EngineProxy(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The server, listening on a socket that this user and its group alone can open.

    Args:
        listen: path of our socket; one that is there already is replaced.
        engine: path of the engine's.
        rules: what is let through.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, listen: Path, engine: Path, rules: Rules) -> None:
        self.engine, self.rules = engine, rules
        listen.unlink(missing_ok=True)
        before = os.umask(0o117)
        try:
            super().__init__(str(listen), _Call)
        finally:
            os.umask(before)


def serve(listen: Path, engine: Path, settings: Settings) -> None:
    """Build the cell image if it is not there, which no worker can, and let calls through until this process is ended.

    Args:
        listen: path of our socket.
        engine: path of the engine's.
        settings: of this service.

    Raises:
        CellUnavailable: no engine answers there, the image cannot be built, or the state folder was not made yet.
    """
    url = f"unix://{engine}"
    reason = docker.engine_unavailable(settings, url)
    if reason is not None:
        raise CellUnavailable(reason)
    docker.build_image(settings, progress=log.info, url=url)
    try:
        rules = Rules.of(settings, remapped=docker.user_namespaces_remapped(url))
    except OSError as fault:
        raise CellUnavailable(f"The state folder is not ready ({fault}): start the web process first.") from fault
    with EngineProxy(listen, engine, rules) as server:
        log.info("letting cells of image %s through to %s", rules.image, engine)
        server.serve_forever()
