"""Requests go out to where they may and nowhere else, whatever a name says the second time it is asked."""

from __future__ import annotations

import http.server
import ipaddress
import threading
import time
from collections.abc import Iterator

import pytest

from sandbox import outgoing
from sandbox.outgoing import NotReached, fetch, is_public, look_up

INSIDE = (
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "168.63.129.16", "::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808",
    "fec0::1", "5f00::1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe",
)  # fmt: skip


class _Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            for _ in range(100):
                try:
                    self.wfile.write(b"H")
                except OSError:
                    return
                time.sleep(0.1)
            return
        self.send_response(302 if self.path == "/away" else 200)
        if self.path == "/away":
            self.send_header("Location", "/there")
        self.end_headers()
        self.wfile.write(b"x" * 5000 if self.path == "/large" else self.headers["Host"].encode())

    def log_message(self, *_given: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[int]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made.server_port
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_inside_is_public_however_it_is_written(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(NotReached):
        look_up("https://name.example/", resolve=lambda _host, _port: [address])


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_addresses_out_on_the_internet_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "https://2130706433/", "https://0177.0.0.1/", "https://0x7f.1/", "https://127.1/", "https://[::1]/",
        "https://127.0.0.1/", "https://[::ffff:7f00:1]/", "http://example.org/", "ftp://example.org/",
        "https://user@example.org/", "https://example.org/#x", "https:///x", "https://exa mple.org/",
        "https://example.org/\r\nX: y", "https://example.org:99999/", "https://localhost./", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_forms_that_hide_an_address_are_refused(address: str) -> None:
    with pytest.raises(NotReached):
        look_up(address, resolve=lambda host, _port: ["127.0.0.1" if host != "example.org" else "8.8.8.8"])


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    with pytest.raises(NotReached, match="not out on the internet"):
        look_up("https://name.example/", resolve=lambda _host, _port: ["8.8.8.8", "10.0.0.1"])


@pytest.mark.network
def test_a_name_is_resolved_once_and_the_connection_goes_there(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["127.0.0.1"], ["10.255.255.1"]])
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    monkeypatch.setattr(outgoing, "is_public", lambda _address: True)
    answer = fetch(f"http://name.example:{server}/", plain=True, resolve=rebinding)
    assert asked == ["name.example"]
    assert answer.body == f"name.example:{server}".encode()


@pytest.mark.network
def test_no_redirect_is_followed(server: int) -> None:
    answer = fetch(f"http://127.0.0.1:{server}/away", plain=True, private=True)
    assert (answer.status, answer.headers["location"]) == (302, "/there")


@pytest.mark.network
def test_a_large_answer_is_cut_off(server: int) -> None:
    with pytest.raises(NotReached, match="larger"):
        fetch(f"http://127.0.0.1:{server}/large", plain=True, private=True, largest=4999)


@pytest.mark.network
def test_an_answer_that_drips_ends_with_its_time(server: int) -> None:
    begun = time.monotonic()
    with pytest.raises(NotReached):
        fetch(f"http://127.0.0.1:{server}/slow", plain=True, private=True, seconds=0.5)
    assert time.monotonic() - begun < 5


@pytest.mark.network
def test_this_machine_is_reached_only_where_the_operator_says_so(server: int) -> None:
    with pytest.raises(NotReached, match="not out on the internet"):
        fetch(f"http://127.0.0.1:{server}/", plain=True)
