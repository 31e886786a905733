"""The one way out of a builder's cell: to the package index, and to nothing else.

Assumes nothing of what arrives: only the hosts that the operator named are connected to, at the addresses that they
were resolved to here before the cell began, so that no name is resolved for the cell and none can lead elsewhere later.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.settings import Settings

LARGEST_HEAD = 16 * 1024
MOST_BYTES = 8 * 1024**3
"""Bytes that may come in by one gate."""

CONNECT_SECONDS = 30.0
_PIECE = 65536
_HOST = rb"(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])"
_ASKED = re.compile(rb"CONNECT " + _HOST + rb":(?P<port>\d{1,5}) HTTP/1\.[01]")
_PLAIN = re.compile(rb"(?:GET|HEAD) http://" + _HOST + rb"(?::(?P<port>\d{1,5}))?/[^\s]* HTTP/1\.[01]")
_METADATA = tuple(
    ipaddress.ip_address(one) for one in ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254")
)
"""Where clouds tell a machine its own secrets; not all of them are link-local."""


_PUBLIC = tuple(f"https://{'.'.join(name)}" for name in (("pypi", "org"), ("files", "pythonhosted", "org")))
"""The public index of Python packages, and where its files are."""

_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


class NoIndex(Exception):
    """The index cannot be reached at all: its name does not resolve, or leads where no index may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The one package index, and where its files are.

    Args:
        url: of its simple pages.
        hosts: of index and files, each as `(name, port)`.
    """

    url: str
    hosts: tuple[tuple[str, int], ...]


def index_of(settings: Settings) -> Index:
    """Read which index the operator set.

    Args:
        settings: the operator's.

    Raises:
        ValueError: an address is not of the form `https://host/...`, or carries a name or password.
    """
    url, files = settings.package_index, settings.package_files
    url = url or next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), "")
    if not url:
        url, files = f"{_PUBLIC[0]}/simple/", ",".join(filter(None, (_PUBLIC[1], files)))
    hosts = []
    for one in (url, *filter(None, files.split(","))):
        parts = urlsplit(one.strip())
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.password:
            raise ValueError(
                "AIACT_SANDBOX_PACKAGE_INDEX and _FILES take addresses: https://host/..., without a password"
            )
        hosts.append((parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)))
    return Index(url=url.strip(), hosts=tuple(dict.fromkeys(hosts)))


def addresses(index: Index) -> dict[tuple[str, int], str]:
    """Resolve the hosts of the index, once.

    Args:
        index: from the operator.

    Returns:
        The address of each host.

    Raises:
        NoIndex: a name does not resolve, or leads to this machine, to its network's link or to a metadata service. An
            index on this machine is named by its address: then nobody else's name leads there.
    """
    found = {}
    for host, port in index.hosts:
        try:
            every = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except OSError as fault:
            raise NoIndex(f"the name {host} does not resolve: {fault}") from fault
        wrong = [one for one in every if not _may_be(one, host)]
        if wrong:
            raise NoIndex(f"the name {host} leads to {wrong[0]}, where no package index may be")
        found[host, port] = every[0]
    return found


def _may_be(address: str, host: str) -> bool:
    where: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(where, ipaddress.IPv6Address) and where.ipv4_mapped is not None:
        where = where.ipv4_mapped
    if where in _METADATA or where.is_link_local or where.is_multicast or where.is_unspecified:
        return False
    return not where.is_loopback or host == address


@contextmanager
def opened(listener: socket.socket, known: Mapping[tuple[str, int], str]) -> Iterator[None]:
    """Let a builder's cell through to the index for as long as this is open.

    Args:
        listener: the socket that the cell connects to; closed at the end.
        known: addresses by host, from `addresses`.
    """
    gate = _Gate(known)
    waiting = threading.Thread(target=gate.wait, args=(listener,), name="gate", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        # A listener that is only closed would leave the thread waiting on it.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        gate.close()
        waiting.join()


class _Gate:
    def __init__(self, known: Mapping[tuple[str, int], str]) -> None:
        self._known = known
        self._left = MOST_BYTES
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(64)

    def wait(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            if not self._places.acquire(blocking=False):
                near.close()
                continue
            threading.Thread(target=self._serve, args=(near,), name="gate-one", daemon=True).start()

    def close(self) -> None:
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _serve(self, near: socket.socket) -> None:
        try:
            with near, contextlib.suppress(OSError):
                near.settimeout(CONNECT_SECONDS)
                head = _head(near)
                where = wanted(head)
                address = self._known.get(where) if where is not None else None
                if where is None or address is None:
                    near.sendall(b"HTTP/1.1 403 not the index\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                try:
                    far = socket.create_connection((address, where[1]), CONNECT_SECONDS)
                except OSError:
                    near.sendall(b"HTTP/1.1 502 the index does not answer\r\nContent-Length: 0\r\n\r\n")
                    return
                with far:
                    self._between(near, far, head)
        finally:
            self._places.release()

    def _between(self, near: socket.socket, far: socket.socket, head: bytes) -> None:
        with self._lock:
            self._open |= {near, far}
        try:
            for one in (near, far):
                one.settimeout(None)
            if head.startswith(b"CONNECT "):
                near.sendall(b"HTTP/1.1 200 connected\r\n\r\n")
            else:
                far.sendall(head)
            out = threading.Thread(target=_carry, args=(near, far, lambda _: True), daemon=True)
            out.start()
            _carry(far, near, self._counted)
            with contextlib.suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)
            out.join()
        finally:
            with self._lock:
                self._open -= {near, far}

    def _counted(self, size: int) -> bool:
        with self._lock:
            self._left -= size
            return self._left >= 0


def wanted(head: bytes) -> tuple[str, int] | None:
    """Read which host the cell wants to reach; None where it is not a plain request for one.

    Args:
        head: the head of its request, up to the empty line.
    """
    first = head.partition(b"\r\n")[0]
    asked = _ASKED.fullmatch(first) or _PLAIN.fullmatch(first)
    if asked is None:
        return None
    return asked["host"].decode().strip("[]").lower(), int(asked["port"] or 80)


def _head(near: socket.socket) -> bytes:
    held = b""
    while b"\r\n\r\n" not in held:
        piece = near.recv(_PIECE)
        if not piece or len(held) > LARGEST_HEAD:
            return b""
        held += piece
    return held


def _carry(source: socket.socket, sink: socket.socket, goes_on: Callable[[int], bool]) -> None:
    with contextlib.suppress(OSError):
        while (piece := source.recv(_PIECE)) and goes_on(len(piece)):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
