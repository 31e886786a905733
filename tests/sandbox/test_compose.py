"""The whole installation as containers: a submission with a model goes in by the reverse proxy and is assessed.

Long, and it needs a container engine that can build: `make compose-test`.
"""

from __future__ import annotations

import contextlib
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
NO_NEW = "no-new-privileges:true"
CADDY = "aiact-sandbox-test-caddy"
SERVICE, MLFLOW = 10000, 10001
USERS = {"proxy": 10003, "web": SERVICE, "worker": SERVICE, "engine-proxy": 10002, "postgres": 70, "mlflow": MLFLOW}
PASSWORD = secrets.token_urlsafe(16)
PYTHON = "/opt/aiact-sandbox/bin/python"
LOGGED = """
import os, mlflow
name, _, password = open("/run/secrets/mlflow").read().strip().partition(":")
os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = name, password
print(len(mlflow.MlflowClient("http://mlflow:5000").search_experiments(filter_string="name != 'Default'")))
"""
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
        folder.chmod(0o711)
        for name, content, group in (
            ("master.key", secrets.token_bytes(32), SERVICE),
            ("mlflow", f"service:{secrets.token_urlsafe(18)}\n".encode(), MLFLOW),
        ):
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o440)
            os.chown(folder / name, SERVICE, group)
        self._environment = {
            **os.environ,
            "POSTGRES_PASSWORD": secrets.token_hex(12),
            "SITE": "localhost",
            "SECRETS": str(folder),
            "STATE": str(state),
            "DOCKER_GROUP": str(Path("/var/run/docker.sock").stat().st_gid),
            "AIACT_SANDBOX_RESIDENCY": "Groningen, NL",
            "AIACT_SANDBOX_CELL_BASE_IMAGE": "aiact-sandbox-base:bookworm",
            "AIACT_SANDBOX_DOCKER_BUILD_NETWORK": "host",
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
    os.chown(state, SERVICE, SERVICE)
    made = Compose(tmp_path_factory.mktemp("compose"), state)
    # In the place of the image that a pinned one is, which this machine may not be able to pull.
    caddy = ["docker", "build", "--quiet", "--network", "host", "--target", "caddy", "--tag", CADDY]
    caddy += ["--build-arg", "BASE_IMAGE=aiact-sandbox-base:bookworm", str(ROOT / ".ci/compose")]
    try:
        subprocess.run(caddy, check=True, capture_output=True)
        made("build", "--quiet")
        made("up", "--detach")
        yield made
    finally:
        Path(os.environ.get("AIACT_SANDBOX_COMPOSE_LOG", "/tmp/aiact-compose.log")).write_text(
            made("logs", check=False)
        )
        made("down", "--volumes", "--timeout", "20", check=False)
        shutil.rmtree(state)


def container(compose: Compose, service: str) -> dict[str, Any]:
    """What the engine says of a service's container."""
    told = subprocess.run(
        ["docker", "inspect", compose("ps", "-q", service).strip()], capture_output=True, text=True, check=True
    )
    return dict(json.loads(told.stdout)[0])


def card_of(dossier: bytes) -> str:
    """The English card in a dossier."""
    with zipfile.ZipFile(io.BytesIO(dossier)) as kept:
        (name,) = [n for n in kept.namelist() if n.endswith("model_card.en.html")]
        return kept.read(name).decode()


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
    token = compose.inside("web", PYTHON, "-c", TOKEN).strip().splitlines()[-1]
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

    assert "Groningen, NL" in card_of(dossier)

    # Each container has no power, and nothing in it runs as root.
    facts = {service: container(compose, service) for service in USERS}
    assert [s for s, f in facts.items() if not f["HostConfig"]["ReadonlyRootfs"]] == []
    assert [s for s, f in facts.items() if f["HostConfig"]["CapDrop"] != ["ALL"] or f["HostConfig"]["CapAdd"]] == []
    assert [s for s, f in facts.items() if f["HostConfig"]["Privileged"]] == []
    # Among the host's processes the engine sets no label of SELinux's.
    assert {o for f in facts.values() for o in f["HostConfig"]["SecurityOpt"]} == {NO_NEW, "label=disable"}
    assert [s for s, f in facts.items() if NO_NEW not in f["HostConfig"]["SecurityOpt"]] == []
    assert [s for s, f in facts.items() if any("docker.sock" in m["Source"] for m in f["Mounts"])] == ["engine-proxy"]
    for service, user in USERS.items():
        top = ["docker", "top", facts[service]["Id"], "-eo", "uid,gid,pid"]
        lines = subprocess.run(top, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
        assert {int(line.split()[0]) for line in lines} == {user}, (service, lines)
        for pid in (line.split()[2] for line in lines):
            with contextlib.suppress(FileNotFoundError):  # a health check that ended meanwhile
                told = Path(f"/proc/{pid}/status").read_text()
            status = dict(line.split(":\t", 1) for line in told.splitlines())
            assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
            assert status["NoNewPrivs"] == "1"

    # The worker reaches the proxy's socket and not the engine's, and can end nothing that is not its own.
    refused = f"import os; os.kill({facts['engine-proxy']['State']['Pid']}, 0)"
    assert "PermissionError" in compose.inside("worker", PYTHON, "-c", refused, check=False)

    # MLflow knows one account, which the service has.
    for path in ("/", "/graphql", "/api/2.0/mlflow/experiments/search?max_results=1"):
        asked = f"import urllib.request as r; r.urlopen('http://mlflow:5000{path}')"
        assert "401" in compose.inside("web", PYTHON, "-c", asked, check=False), path
    until("runs are logged", 120, lambda: int(compose.inside("web", PYTHON, "-c", LOGGED).split()[-1]))
    doctor = compose.inside("worker", "aiact-sandbox", "admin", "doctor", check=False)
    assert "no engine answers" not in doctor.lower()
    assert "NOT HELD" not in doctor, doctor
    assert "403" in compose.inside(
        "worker",
        PYTHON,
        "-c",
        "import docker; docker.from_env().containers.run('aiact-sandbox-web', 'id', privileged=True)",
        check=False,
    )
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask("/metrics")
