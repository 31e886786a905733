"""The whole installation as containers: a submission with a model goes in by the reverse proxy and is assessed.

Long, and it needs a container engine that can build: `make compose-test`.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.faults.test_kills import COLUMNS, model_of_income
from tests.make import submissions

pytestmark = [
    pytest.mark.skipif("AIACT_SANDBOX_TEST_COMPOSE" not in os.environ, reason="long; make compose-test"),
    pytest.mark.network,
    pytest.mark.timeout(1800),
]
PROJECT = "aiact-sandbox-test"
PASSWORD = secrets.token_urlsafe(16)
TOKEN = """
from sandbox.records.database import Database
from sandbox.review import people
from sandbox.settings import Settings
database = Database(Settings.from_environment())
person = people.person_of(database, "alice")
organisation = people.organisation_of(database, "Example BV")
with database.reading() as session:
    identity = people._identity(session, person, None, None)
print(people.make_token(database, identity, name="test", organisation_id=organisation, scope="submit", days=1))
"""


class Compose:
    """The installation, by its own files and one more for a machine that can pull no image."""

    def __init__(self, folder: Path, state: Path) -> None:
        key = folder / "master.key"
        key.write_bytes(secrets.token_bytes(32))
        key.chmod(0o600)
        self._environment = {
            **os.environ,
            "POSTGRES_PASSWORD": secrets.token_hex(12),
            "SITE": "localhost",
            "MASTER_KEY_FILE": str(key),
            "STATE": str(state),
        }
        files = ["compose.yaml", ".ci/compose/local.yaml"]
        self._command = ["docker-compose", "-p", PROJECT, "--project-directory", str(ROOT)]
        self._command += [word for file in files for word in ("-f", file)]

    def __call__(self, *words: str, check: bool = True, given: str = "") -> str:
        done = subprocess.run(
            [*self._command, *words], env=self._environment, cwd=ROOT, input=given, capture_output=True, text=True
        )
        assert done.returncode == 0 or not check, (words, done.stdout[-2000:], done.stderr[-4000:])
        return done.stdout + ("" if check else done.stderr)

    def inside(self, service: str, *words: str, check: bool = True, given: str = "") -> str:
        return self("exec", "-T", service, *words, check=check, given=given)


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    # A cell's own user id must be able to walk there, which it cannot among the folders of tests.
    state = Path(tempfile.mkdtemp(prefix="aiact-compose-", dir="/var/tmp"))
    state.chmod(0o711)
    made = Compose(tmp_path_factory.mktemp("compose"), state)
    try:
        made("build", "--quiet")
        made("up", "--detach")
        yield made
    finally:
        Path(os.environ.get("AIACT_SANDBOX_COMPOSE_LOG", "/tmp/aiact-compose.log")).write_text(
            made("logs", check=False)
        )
        made("down", "--volumes", "--timeout", "20", check=False)
        shutil.rmtree(state)


def ask(path: str, *, token: str = "", body: bytes | None = None) -> bytes:
    """Ask the reverse proxy, whose certificate is of an authority of its own here."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    headers = {"Content-Type": "application/zip"} if body is not None else {}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://localhost{path}", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=60, context=trusting) as answer:
        return bytes(answer.read())


def until(what: str, seconds: float, tried: Any) -> Any:
    end = time.monotonic() + seconds
    while True:
        try:
            if found := tried():
                return found
        except (urllib.error.URLError, ConnectionError, AssertionError) as error:
            last: object = error
        else:
            last = ""
        assert time.monotonic() < end, (what, last)
        time.sleep(2)


def test_a_model_is_assessed_by_an_installation_from_nothing(compose: Compose, tmp_path: Path) -> None:
    until("the service stands", 300, lambda: ask("/en/sign-in"))
    compose.inside(
        "web",
        *("aiact-sandbox", "admin", "create-user", "alice", "--organisation", "Example BV"),
        *("--role", "submitter", "--role", "administrator", "--password-stdin"),
        given=PASSWORD + "\n",
    )
    token = compose.inside("web", "/opt/aiact-sandbox/bin/python", "-c", TOKEN).strip().splitlines()[-1]
    written = submissions.with_model(tmp_path / "s", model_of_income(), data={"columns": COLUMNS})
    zipped = submissions.zipped(written, tmp_path / "s.zip").read_bytes()
    made = json.loads(ask("/api/v1/submissions", token=token, body=zipped))

    def over() -> Any:
        found = json.loads(ask(f"/api/v1/submissions/{made['id']}", token=token))
        return found if found["state"] not in ("queued", "running") else None

    found = until("the submission ends", 900, over)
    assert (found["state"], found["problems"]) == ("done", [])
    dossier = ask(f"/api/v1/submissions/{made['id']}/dossier", token=token)
    with zipfile.ZipFile(io.BytesIO(dossier)) as kept:
        (name,) = [n for n in kept.namelist() if n.endswith("run.json")]
        receipt = json.loads(kept.read(name))["receipt"]
    assert receipt["backend"] == "docker"
    assert [p["probe"] for p in receipt["probes"] if not p["held"]] == []

    # Each container has the power that it is said to have.
    facts = {}
    for service in ("proxy", "web", "worker", "engine-proxy", "postgres", "mlflow"):
        container = compose("ps", "-q", service).strip()
        told = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True).stdout
        facts[service] = json.loads(told)[0]
    assert [s for s, f in facts.items() if not f["HostConfig"]["ReadonlyRootfs"]] == []
    assert [s for s, f in facts.items() if f["HostConfig"]["CapDrop"] != ["ALL"] or f["HostConfig"]["Privileged"]] == []
    assert [s for s, f in facts.items() if any("docker.sock" in m["Source"] for m in f["Mounts"])] == ["engine-proxy"]
    assert [s for s, f in facts.items() if f["HostConfig"]["CapAdd"] in (None, [])] == ["web", "engine-proxy", "mlflow"]
    assert facts["mlflow"]["Config"]["User"] == "10001:10001"
    assert "no engine answers" not in compose.inside("worker", "aiact-sandbox", "admin", "doctor", check=False).lower()
    lines = compose.inside("worker", "aiact-sandbox", "admin", "doctor", check=False)
    assert "NOT HELD" not in lines, lines
    assert "403" in compose.inside(
        "worker",
        "/opt/aiact-sandbox/bin/python",
        "-c",
        "import docker; docker.from_env().containers.run('aiact-sandbox-web', 'id', privileged=True)",
        check=False,
    )
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask("/metrics")
