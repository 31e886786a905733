"""The running service: web server and worker beside it, from handing in to fetching, and what ends with what."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from sandbox.records.database import Database
from sandbox.records.mlflow_log import DatabaseOutbox
from sandbox.records.tables import Submission
from sandbox.serving import serve
from sandbox.settings import Settings
from tests.make.waiting import free_port, until

pytestmark = pytest.mark.network
API = "/api/v1/submissions"


class Service:
    """A running service and how it is spoken to."""

    def __init__(self, settings: Settings, process: SpawnProcess) -> None:
        self.settings, self.process = settings, process

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        host, _, port = self.settings.listen.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/en/")[0] == 200
        except OSError:
            return False

    def submit(self) -> str:
        status, headers, _ = self.ask("POST", API, b"Loan decisions", **{"Content-Type": "application/zip"})
        assert status == 201
        return headers["location"]

    def state(self, where: str) -> dict[str, Any]:
        return dict(json.loads(self.ask("GET", where)[2]))

    def children(self) -> list[int]:
        """Process ids of the worker and of multiprocessing's own helpers."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


@pytest.fixture
def run(settings: Settings) -> Iterator[Callable[[str], Service]]:
    started: list[Service] = []

    def start(entry: str) -> Service:
        listening = replace(settings, listen=f"127.0.0.1:{free_port()}")
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(listening,), kwargs={"entry": f"tests.make.runs:{entry}"}
        )
        process.start()
        service = Service(listening, process)
        started.append(service)
        until(service.answers)
        return service

    yield start
    for service in started:
        service.process.terminate()
        service.process.join(40)
        service.process.kill()
        assert service.process.exitcode == 0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_submission_goes_through_the_running_service(run: Callable[[str], Service]) -> None:
    service = run("quick")
    where = service.submit()
    done = until(lambda: (s := service.state(where))["state"] == "done" and s)
    assert done["counts"] == {"beyond": 1, "undecided": 2, "within": 1}
    status, headers, content = service.ask("GET", done["dossier"])
    assert (status, headers["content-type"], content[:2]) == (200, "application/zip", b"PK")
    page = service.ask("GET", f"/nl/submissions/{done['id']}/report")[2].decode()
    assert "Voorlopige indeling op basis van de antwoorden" in page
    database = Database(service.settings)
    until(lambda: not DatabaseOutbox(database, service.settings).letters())
    database.close()


@pytest.mark.browser
def test_a_person_hands_in_with_a_browser_and_reads_the_report(
    run: Callable[[str], Service], tmp_path: Path, browser: Any
) -> None:
    service = run("quick")
    upload = tmp_path / "loan.zip"
    upload.write_bytes(b"Loan decisions" + b" " * 300_000)
    page = browser.new_context(locale="nl-NL", viewport={"width": 390, "height": 800}).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"http://{service.settings.listen}/")
    assert page.url.endswith("/nl/")
    page.get_by_label("Inzending als zip").set_input_files(str(upload))
    page.get_by_role("button", name="Inzenden").click()
    page.wait_for_url("**/report", timeout=60_000)
    assert page.get_by_role("heading", level=1).inner_text() == "Loan decisions"
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.get_by_role("link", name="De kaart lezen").click()
    page.get_by_role("heading", name="Card nl").wait_for()
    page.get_by_role("link", name="Naar het verslag").click()
    page.wait_for_url("**/report")
    with page.expect_download() as download:
        page.get_by_role("link", name="Het hele dossier (zip)").click()
    assert Path(download.value.path()).read_bytes()[:2] == b"PK"
    page.get_by_role("link", name="English").click()
    assert "Beyond the limit set" in page.locator("main").inner_text()
    # The made-up card tries a script: that it may not is all that the browser has to say.
    assert all("script" in text.lower() for text in said), said


def test_events_stream_while_it_runs_and_it_can_be_stopped(run: Callable[[str], Service]) -> None:
    service = run("slow")
    where = service.submit()
    page = f"/en/submissions/{where.rpartition('/')[2]}"
    host, _, port = service.settings.listen.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request("GET", f"{page}/events")
    answer = connection.getresponse()
    said: list[dict[str, Any]] = []
    while not any(s["stage"] == "ask" for s in said):
        line = answer.readline().decode()
        if line.startswith("data: "):
            said.append(json.loads(line.removeprefix("data: ")))
    _, headers, body = service.ask("GET", page)
    token = re.search(r'name="csrf" value="([^"]+)"', body.decode())
    assert token is not None
    cookie = headers["set-cookie"].partition(";")[0]
    begun = time.monotonic()
    form = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    assert service.ask("POST", f"{page}/cancel", f"csrf={token[1]}".encode(), **form)[0] == 303
    while not said[-1]["over"]:
        line = answer.readline().decode()
        if line.startswith("data: "):
            said.append(json.loads(line.removeprefix("data: ")))
    assert time.monotonic() - begun < 3
    assert said[-1]["state"] == "cancelled"
    connection.close()


def test_a_worker_that_dies_is_started_again_and_finishes_what_waits(run: Callable[[str], Service]) -> None:
    service = run("quick")
    first = service.submit()
    until(lambda: service.state(first)["state"] == "done")
    for pid in service.children():
        os.kill(pid, signal.SIGKILL)
    second = service.submit()
    until(lambda: service.state(second)["state"] == "done")


def test_the_worker_ends_with_the_service_even_when_that_is_killed(run: Callable[[str], Service]) -> None:
    service = run("slow")
    where = service.submit()
    until(lambda: service.state(where)["stage"] == "ask")
    children = service.children()
    assert children
    assert service.process.pid is not None
    os.kill(service.process.pid, signal.SIGKILL)
    service.process.join()
    until(lambda: not any(alive(pid) for pid in children), 30)
    database = Database(service.settings)
    with database.reading() as session:
        found = session.get(Submission, where.rpartition("/")[2])
        assert found is not None
        assert found.state == "queued"
    database.close()
    service.process = _Ended()  # type: ignore[assignment]


class _Ended:
    """Stands for a process that a test has ended itself."""

    exitcode = 0

    def terminate(self) -> None:
        """Do nothing."""

    def kill(self) -> None:
        """Do nothing."""

    def join(self, _seconds: float) -> None:
        """Do nothing."""
