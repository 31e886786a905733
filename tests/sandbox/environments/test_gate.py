"""The way out of a builder's cell leads to the index, at the address that was looked up before, and nowhere else."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sandbox.environments import gate
from sandbox.settings import Settings
from tests.make.index import serving, wheel

pytestmark = pytest.mark.network


@contextmanager
def through(known: dict[tuple[str, int], str], request: bytes) -> Iterator[socket.socket]:
    """A connection to a gate that knows these hosts, with this already sent."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "gate")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        with gate.opened(listener, known), socket.socket(socket.AF_UNIX) as near:
            near.settimeout(10)
            near.connect(path)
            near.sendall(request)
            yield near


def answer(known: dict[tuple[str, int], str], request: bytes) -> bytes:
    with through(known, request) as near:
        held = b""
        while piece := near.recv(65536):
            held += piece
        return held


@pytest.mark.parametrize(
    "request_line",
    [
        b"CONNECT 127.0.0.1:22 HTTP/1.1",
        b"CONNECT 169.254.169.254:80 HTTP/1.1",
        b"CONNECT localhost:443 HTTP/1.1",
        b"CONNECT index.example:80 HTTP/1.1",
        b"CONNECT index.example.evil.example:443 HTTP/1.1",
        b"CONNECT index.example@evil.example:443 HTTP/1.1",
        b"CONNECT [::1]:443 HTTP/1.1",
        b"GET http://169.254.169.254/latest/meta-data/ HTTP/1.1",
        b"GET /latest HTTP/1.1",
        b"POST http://index.example/ HTTP/1.1",
        b"GET http://index.example\r/ HTTP/1.1",
        b"HELLO",
    ],
)
def test_whatever_is_not_the_index_is_refused(request_line: bytes) -> None:
    told = answer({("index.example", 443): "127.0.0.1"}, request_line + b"\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 403 ")


def test_the_index_is_reached_at_the_address_that_was_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _no_look_up)
    with serving(wheel("a", "1", {"a.py": ""})) as index:
        port = int(index.url.split(":")[2].split("/")[0])
        where = f"CONNECT index.example:{port} HTTP/1.1\r\n\r\n".encode()
        with through({("index.example", port): "127.0.0.1"}, where) as near:
            assert near.recv(100).startswith(b"HTTP/1.1 200 ")
            near.sendall(b"GET /simple/a/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert near.recv(100).startswith(b"HTTP/1.1 200 OK")


def _no_look_up(host: str, *rest: Any, **more: Any) -> Any:
    if host.replace(".", "").isdigit():
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, rest[0] if rest else 0))]
    raise AssertionError(f"a name was looked up while the cell ran: {host}")


@pytest.mark.parametrize(
    "leads_to",
    [
        "127.0.0.1",
        "169.254.169.254",
        "169.254.1.1",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "fd00:ec2::254",
    ],
)
def test_a_name_that_leads_to_this_machine_or_to_its_metadata_is_no_index(
    leads_to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_of_two(host: str, port: int, **_: Any) -> Any:
        return [(socket.AF_INET, 1, 6, "", (a, port)) for a in ("203.0.113.7", leads_to)]

    monkeypatch.setattr(socket, "getaddrinfo", one_of_two)
    with pytest.raises(gate.NoIndex, match="where no package index may be"):
        gate.addresses(gate.Index(url="https://index.example/", hosts=(("index.example", 443),)))


def test_an_index_of_the_house_is_the_operator_s_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = [(socket.AF_INET, 1, 6, "", ("10.1.2.3", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **b: inside)
    index = gate.Index(url="https://packages.house/", hosts=(("packages.house", 443),))
    assert gate.addresses(index) == {("packages.house", 443): "10.1.2.3"}


def test_an_address_with_a_password_or_of_another_kind_is_no_setting(settings: Settings) -> None:
    for url in ("https://me:secret@host/simple", "ftp://host/", "file:///simple", "host", "https://"):
        with pytest.raises(ValueError, match="take addresses") as raised:
            gate.index_of(replace(settings, package_index=url))
        assert "secret" not in str(raised.value)


def test_the_environment_names_the_index_where_no_setting_does(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    assert len(gate.index_of(settings).hosts) == 2
    monkeypatch.setenv("PIP_INDEX_URL", "http://packages.house:8080/simple")
    assert gate.index_of(settings).hosts == (("packages.house", 8080),)
    own = replace(settings, package_index="https://own.house/simple", package_files="https://files.house")
    assert gate.index_of(own).hosts == (("own.house", 443), ("files.house", 443))


@given(st.binary(max_size=200))
@examples(max_examples=200, deadline=None)
def test_any_request_names_a_host_or_none(head: bytes) -> None:
    for line in (head, b"CONNECT " + head, b"GET http://" + head + b"/ HTTP/1.1"):
        found = gate.wanted(line)
        assert found is None or (isinstance(found[0], str) and 0 <= found[1] <= 99999)
