"""Send a request to an address that somebody gave: resolved once, pinned, never into this network unless told so.

The name is resolved once, every address it has must be a public one, and the connection goes to exactly such an
address, while certificate and server name are still those of the name: a name that means something else a moment later
gains nothing. No redirect is followed, no proxy is used, and size and time of the answer are bounded.

Assumes of its caller: `private` and `plain` come from the operator's settings, never from what a user gave.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

SECONDS: Final = 10.0
LARGEST: Final = 1024 * 1024
PIECE: Final = 64 * 1024
MOST_TRIED: Final = 3
"""Addresses of one name that are tried, one after the other."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a name, as text."""

REFUSED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        # IPv4 written in IPv6 in a way that no longer has a use.
        "::/96",
        # NAT64 of one network's own, where what is written in it cannot be known.
        "64:ff9b:1::/48",
        "192.88.99.0/24",
        # One site's own, of old, and one network's own routes: public by name alone.
        "fec0::/10",
        "5f00::/16",
        # Public by its number, and answers from inside a cloud's machine with its keys.
        "168.63.129.16/32",
    )
)
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
NUMBERS: Final = re.compile(r"(?:0x[0-9a-f]*|\d+)", re.IGNORECASE)


class NotReached(Exception):
    """There was no answer: the address may not be asked, nobody answers there, or the answer is too large or slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back.

    Args:
        status: as HTTP has it; a redirect is an answer like any other.
        headers: by name in small letters.
        body: whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address taken apart, with the numbers that its name had when it was asked once."""

    is_plain: bool
    host: str
    port: int
    path: str
    addresses: tuple[str, ...]


def is_public(address: Address) -> bool:
    """Tell whether an address is out on the internet, whatever way it is written in."""
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(inside)
    refused = any(address.version == network.version and address in network for network in REFUSED)
    return address.is_global and not address.is_multicast and not refused


def _resolve(host: str, port: int) -> Sequence[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def look_up(address: str, *, private: bool = False, plain: bool = False, resolve: Resolve = _resolve) -> Target:
    """Take an address apart and resolve its name, once.

    Args:
        address: `https://...`.
        private: the operator allows addresses of this machine and its network.
        plain: the operator allows `http://`.
        resolve: gives the addresses of a name.

    Raises:
        NotReached: it is no such address, has a user or a fragment, has no address, or one that is not public.
    """
    try:
        parts = urlsplit(address)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as wrong:
        raise NotReached(f"not an address: {wrong}") from wrong
    if parts.scheme not in (("https", "http") if plain else ("https",)) or not host:
        raise NotReached(f"not an {'http or https' if plain else 'https'} address")
    if parts.username is not None or parts.password is not None or parts.fragment or not address.isascii():
        raise NotReached("an address has no user, no fragment and no letters beyond ASCII")
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in address):
        raise NotReached("an address has no spaces and no control characters")
    is_number = ":" in host or NUMBERS.fullmatch(host.rpartition(".")[2]) is not None
    try:
        if is_number:
            # Forms like 2130706433 or 0177.0.0.1 mean one thing here and another there: only the usual one is taken.
            ipaddress.ip_address(host)
        port = port or (443 if parts.scheme == "https" else 80)
        found = [str(ipaddress.ip_address(each.partition("%")[0])) for each in resolve(host, port)]
    except (OSError, ValueError) as wrong:
        raise NotReached(f"{host} has no address") from wrong
    if not found:
        raise NotReached(f"{host} has no address")
    if not private and not all(is_public(ipaddress.ip_address(each)) for each in found):
        raise NotReached(f"{host} is not out on the internet")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    addresses = tuple(dict.fromkeys(found))[:MOST_TRIED]
    return Target(is_plain=parts.scheme == "http", host=host, port=port, path=path, addresses=addresses)


def fetch(
    address: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    private: bool = False,
    plain: bool = False,
    seconds: float = SECONDS,
    largest: int = LARGEST,
    resolve: Resolve = _resolve,
    trusted: ssl.SSLContext | None = None,
) -> Answer:
    """Send one request and give its answer.

    Args:
        address: `https://...`; see `look_up` for `private`, `plain` and `resolve`.
        seconds: for the whole, from the first packet to the last byte.
        largest: most bytes of the answer's body.
        trusted: certificates to trust; those of this machine where not given.

    Raises:
        NotReached: see there.
    """
    target = look_up(address, private=private, plain=plain, resolve=resolve)
    until = time.monotonic() + seconds
    problem: Exception | None = None
    for number in target.addresses:
        try:
            connection = _connect(target, number, until, trusted)
        except (OSError, ValueError) as wrong:
            problem = wrong
            continue
        # A server that sends a byte now and then resets any time limit of a single read, but not this one.
        watch = threading.Timer(max(0.01, until - time.monotonic()), _cut, (connection,))
        watch.daemon = True
        watch.start()
        try:
            return _ask(connection, target, method, body, headers or {}, largest)
        finally:
            watch.cancel()
            connection.close()
    raise NotReached(f"{target.host} does not answer: {type(problem).__name__}") from problem


def _connect(target: Target, number: str, until: float, trusted: ssl.SSLContext | None) -> socket.socket:
    opened = socket.create_connection((number, target.port), timeout=max(0.01, until - time.monotonic()))
    if target.is_plain:
        return opened
    try:
        return (trusted or ssl.create_default_context()).wrap_socket(opened, server_hostname=target.host)
    except BaseException:
        opened.close()
        raise


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        connection.close()


def _ask(
    connection: socket.socket,
    target: Target,
    method: str,
    body: bytes | None,
    headers: Mapping[str, str],
    largest: int,
) -> Answer:
    from http.client import HTTPConnection, HTTPException

    usual = 80 if target.is_plain else 443
    host = f"[{target.host}]" if ":" in target.host else target.host
    spoken = HTTPConnection(host, target.port)
    spoken.sock = connection
    # With it a spoken address could be opened again; without it a lost connection stays lost.
    spoken.auto_open = 0
    sent = {"Host": host if target.port == usual else f"{host}:{target.port}", "Connection": "close", **headers}
    try:
        spoken.request(method, target.path, body, {"Accept-Encoding": "identity", **sent})
        with spoken.getresponse() as answer:
            content = b""
            while piece := answer.read(PIECE):
                content += piece
                if len(content) > largest:
                    raise NotReached(f"the answer of {target.host} is larger than {largest} bytes")
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(status=answer.status, headers=found, body=content)
    except (OSError, HTTPException, ValueError) as wrong:
        raise NotReached(f"{target.host} does not answer in time or in HTTP: {type(wrong).__name__}") from wrong


def poster(
    content_type: str, *, private: bool = False, plain: bool = False, seconds: float = SECONDS
) -> Callable[[str, bytes], bytes]:
    """Make a function that posts a body to an address and gives the body of the answer.

    Args:
        content_type: of the body, as in `application/timestamp-query`.

    Returns:
        The function; it raises NotReached where there is no answer, or one that is not 200.
    """

    def post(address: str, body: bytes) -> bytes:
        answer = fetch(
            address,
            method="POST",
            body=body,
            headers={"Content-Type": content_type},
            private=private,
            plain=plain,
            seconds=seconds,
        )
        if answer.status != 200:
            raise NotReached(f"the answer is {answer.status}")
        return answer.body

    return post
