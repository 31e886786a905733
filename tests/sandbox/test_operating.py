"""What an operator starts from gives each process no more than it needs, and names settings that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.records import keyring
from sandbox.settings import PREFIX, Settings
from tests.conftest import ROOT

ENGINE = "docker.sock"
NEEDED = ("POSTGRES_PASSWORD", "SITE", "MASTER_KEY_FILE")


@pytest.fixture
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8")))


def test_only_the_worker_reaches_the_engine(compose: dict[str, Any]) -> None:
    reach = [name for name, of in compose["services"].items() if any(ENGINE in v for v in of.get("volumes", ()))]
    assert reach == ["worker"]
    assert [name for name, of in compose["services"].items() if of.get("privileged")] == []


def test_only_the_proxy_listens_outside_and_it_reaches_the_web_process_alone(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert [name for name, of in services.items() if of.get("ports")] == ["proxy"]
    front = {name for name, of in services.items() if "front" in of["networks"]}
    assert front == {"proxy", "web"}
    assert all(compose["networks"][n]["internal"] for n in ("front", "records"))
    assert {name for name, of in services.items() if "outside" in of["networks"]} == {"proxy"}


def test_the_web_process_has_no_power_and_starts_no_worker(compose: dict[str, Any]) -> None:
    web = compose["services"]["web"]
    assert (web["read_only"], web["cap_drop"]) == (True, ["ALL"])
    assert web["environment"][f"{PREFIX}WORKER_BESIDE"] == "0"
    assert web["environment"][f"{PREFIX}ACCOUNTS"] == "local"


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)(:\?)?", (ROOT / "compose.yaml").read_text(encoding="utf-8")))
    assert used == {(name, ":?") for name in NEEDED}


@pytest.mark.parametrize(
    "file", ["compose.yaml", "docs/operations.md", *(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/operating/*"))]
)
def test_every_setting_that_is_named_is_a_setting(file: str) -> None:
    known = {PREFIX + name.upper() for name in Settings().as_dict()} | {keyring.VARIABLE, f"{PREFIX}URL"}
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", (ROOT / file).read_text(encoding="utf-8")))
    assert named - known == set()


def test_compose_accepts_it(tmp_path: Path) -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed")
    (tmp_path / "key").touch()
    given = {
        "POSTGRES_PASSWORD": "x",
        "SITE": "a.example",
        "MASTER_KEY_FILE": str(tmp_path / "key"),
        "PATH": "/usr/bin:/bin",
    }
    command = [program, "-f", str(ROOT / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    given.pop("POSTGRES_PASSWORD")
    assert subprocess.run(command, env=given, capture_output=True, cwd=ROOT, check=False).returncode != 0
