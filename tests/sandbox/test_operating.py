"""What an operator starts from gives each process no more than it needs, and names settings that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.errors import CannotStart
from sandbox.records import keyring
from sandbox.serving import serve
from sandbox.settings import PREFIX, Settings
from sandbox.worker import work
from tests.conftest import ROOT, skip_or_fail

ENGINE = "docker.sock"
NEEDED = ("POSTGRES_PASSWORD", "SITE", "DOCKER_GROUP")
FIXED = {"STATE", "DATABASE_URL", "ADDRESS", "MLFLOW_TRACKING_URI", "MLFLOW_CREDENTIAL_FILE", "LISTEN", "WORKER_BESIDE"}
FIXED |= {"ISOLATION", "LOG_FORMAT"}
ELSEWHERE = {"SCRATCH", "PODMAN_SOCKET"}
"""What only an installation of another kind is told."""


@pytest.fixture
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8")))


def test_only_the_engine_proxy_opens_the_engine_and_only_the_worker_reaches_it(compose: dict[str, Any]) -> None:
    services = compose["services"]
    mounts = {name: [v.split(":") for v in of.get("volumes", ())] for name, of in services.items()}
    assert [name for name, of in mounts.items() if any(ENGINE in word for v in of for word in v)] == ["engine-proxy"]
    assert [name for name, of in mounts.items() if any(v[0] == "engine" for v in of)] == ["worker", "engine-proxy"]
    assert services["engine-proxy"]["network_mode"] == "none"
    assert services["worker"]["environment"]["DOCKER_HOST"] == "unix:///run/engine/engine.sock"
    assert [name for name, of in services.items() if of.get("privileged")] == []


def test_every_container_starts_with_nothing_and_is_given_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {(of["read_only"], *of["cap_drop"], *of["security_opt"]) for of in services.values()} == {
        (True, "ALL", "no-new-privileges:true")
    }
    assert [name for name, of in services.items() if of.get("cap_add")] == []
    assert [name for name, of in services.items() if of.get("pid")] == ["worker"]


def test_no_container_runs_as_root_and_none_as_another_ones_user_but_web_and_worker(compose: dict[str, Any]) -> None:
    users = {name: of["user"] for name, of in compose["services"].items()}
    assert [name for name, user in users.items() if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)] == []
    assert users["web"] == users["worker"]
    assert len({user.partition(":")[0] for user in users.values()}) == len(users) - 1
    assert [name for name, of in compose["services"].items() if of.get("group_add")] == ["engine-proxy"]
    # Its folders are the group's of those whose cells it looks at.
    assert users["engine-proxy"].partition(":")[2] == users["worker"].partition(":")[2]
    # Images are as unprivileged for whoever starts them without compose.
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    said = {s.split()[2]: re.findall(r"^USER (\S+)$", s, re.MULTILINE) for s in stages[1:]}
    built = {
        name: said[of["build"]["target"]] or said["service"]
        for name, of in compose["services"].items()
        if "target" in of.get("build", {})
    }
    assert built == {name: [users[name]] for name in ("web", "worker", "engine-proxy", "mlflow")}
    proxy = (ROOT / "docs/operating/proxy.Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (\S+)$", proxy, re.MULTILINE) == [users["proxy"]]


def test_each_setting_that_operators_are_told_of_is_set_or_passed_on(compose: dict[str, Any]) -> None:
    told = re.findall(rf"`{PREFIX}([A-Z_]+)`", (ROOT / "docs/operations.md").read_text(encoding="utf-8"))
    services = compose["services"]
    given = {name for of in services.values() for name in of.get("environment", {})}
    secret = {"MASTER_KEY", "OIDC_SECRET"}  # both have a file
    assert {n for n in told if PREFIX + n not in given and not n.startswith("SCHEDULER")} == ELSEWHERE | secret
    passed = {name for name in services["worker"]["environment"] if services["worker"]["environment"][name] is None}
    assert {PREFIX + name for name in FIXED}.isdisjoint(passed)
    assert {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", f"{PREFIX}FILES", f"{PREFIX}RESIDENCY"} <= passed


def test_images_of_others_are_pinned_by_what_they_hold(compose: dict[str, Any]) -> None:
    given = [of["image"] for of in compose["services"].values() if not of["image"].startswith("aiact-sandbox-")]
    for file in ("Dockerfile", "docs/operating/proxy.Dockerfile"):
        given += re.findall(r"^ARG \w+_IMAGE=(.+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in given if not re.fullmatch(r"[a-z]+:[0-9a-z.-]+@sha256:[0-9a-f]{64}", name)] == []
    assert Settings().cell_base_image in given
    assert len(given) == 3


def test_only_the_proxy_listens_outside_and_it_reaches_the_web_process_alone(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert [name for name, of in services.items() if of.get("ports")] == ["proxy"]
    front = {name for name, of in services.items() if "front" in of.get("networks", ())}
    assert front == {"proxy", "web"}
    assert all(compose["networks"][n]["internal"] is True for n in ("front", "records"))
    # The way out is closed unless an operator opens it, and is nobody else's.
    assert compose["networks"]["beyond"]["internal"] == "${KEPT_IN:-true}"
    assert {name for name, of in services.items() if "beyond" in of.get("networks", ())} == {"web", "worker"}
    assert {name for name, of in services.items() if "outside" in of.get("networks", ())} == {"proxy"}


def test_the_web_process_has_no_power_and_starts_no_worker(compose: dict[str, Any]) -> None:
    web = compose["services"]["web"]
    assert (web["read_only"], web["cap_drop"]) == (True, ["ALL"])
    assert web["environment"][f"{PREFIX}WORKER_BESIDE"] == "0"
    assert web["environment"][f"{PREFIX}ACCOUNTS"] == "${AIACT_SANDBOX_ACCOUNTS:-local}"


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)(:[?-])?", (ROOT / "compose.yaml").read_text(encoding="utf-8")))
    usual = ("STATE", "SECRETS", "BACKUPS", "KEPT_IN", f"{PREFIX}ACCOUNTS", f"{PREFIX}MASTER_KEY_FILE")
    assert used == {*((name, ":?") for name in NEEDED), *((name, ":-") for name in usual)}


@pytest.mark.parametrize(
    "file", ["compose.yaml", "docs/operations.md", *(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/operating/*"))]
)
def test_every_setting_that_is_named_is_a_setting(file: str) -> None:
    known = {PREFIX + name.upper() for name in Settings().as_dict()} | {keyring.VARIABLE, f"{PREFIX}URL"}
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", (ROOT / file).read_text(encoding="utf-8")))
    assert named - known == set()


def test_compose_accepts_it() -> None:
    program = shutil.which("docker-compose")
    if program is None:
        skip_or_fail("docker-compose is not installed")
    given = {
        "POSTGRES_PASSWORD": "x",
        "SITE": "a.example",
        "DOCKER_GROUP": "999",
        "PATH": "/usr/bin:/bin",
    }
    command = [program, "-f", str(ROOT / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    given.pop("POSTGRES_PASSWORD")
    assert subprocess.run(command, env=given, capture_output=True, cwd=ROOT, check=False).returncode != 0


def test_systemd_accepts_every_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    units = sorted((ROOT / "docs/operating").glob("*.service"))
    assert [unit.stem for unit in units] == ["aiact-sandbox-engine-proxy", "aiact-sandbox-web", "aiact-sandbox-worker"]
    for unit in units:
        # The program is not installed where this runs; all else of the unit is read as it stands.
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(encoding="utf-8"), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
        done = subprocess.run(
            [program, "verify", "--recursive-errors=no", "--man=no", tmp_path / unit.name],
            capture_output=True,
            text=True,
            check=False,
        )
        assert [line for line in done.stderr.splitlines() if unit.name in line] == []


def test_logs_are_one_object_per_line_and_name_nobody(tmp_path: Path) -> None:
    program = """
import logging, sys
from sandbox.serving import log_as
log_as("worker", "json")
try:
    raise ValueError("kept for the operator")
except ValueError:
    logging.getLogger("sandbox.worker").exception("incident %s: it\\nfailed", "0123")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    told = json.loads(line)
    assert set(told) == {"at", "process", "pid", "level", "from", "message", "trace"}
    assert (told["process"], told["level"], told["message"]) == ("worker", "error", "incident 0123: it\nfailed")


def test_a_request_that_fails_is_logged_by_its_path_without_what_was_sent(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    from sandbox.app import create_app
    from sandbox.records.database import migrate

    migrate(settings)
    app = create_app(settings)
    app.view_functions["pages.submissions"] = lambda lang: {}[lang]
    answer = app.test_client().get("/en/submissions?name=Jan-Jansen", headers={"User-Agent": "Jan-Jansen"})
    assert answer.status_code == 500
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("sandbox")]
    assert any("incident" in message and "/en/submissions" in message for message in ours)
    assert not [message for message in ours if "Jansen" in message]
    app.extensions["aiact_sandbox"].database.close()


@pytest.mark.parametrize("begin", [serve, work])
def test_a_service_does_not_start_without_the_master_key_that_is_set(
    settings: Settings, tmp_path: Path, begin: Callable[[Settings], None]
) -> None:
    (tmp_path / "short").write_bytes(b"short")
    (tmp_path / "short").chmod(0o600)
    for file, told in (("nowhere", "the master key cannot be read"), ("short", "a master key is 32 bytes")):
        with pytest.raises(CannotStart, match=told):
            begin(replace(settings, master_key_file=str(tmp_path / file)))
