"""The commands that speak to a running service: hand in, wait, fetch; and what they say when it does not work."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from sandbox.cli import main
from sandbox.client import Answered, Client, Unreachable
from sandbox.records.database import Database, migrate
from sandbox.review import people
from sandbox.review.permissions import Role
from sandbox.serving import serve
from sandbox.settings import Settings
from tests.make.waiting import free_port

pytestmark = pytest.mark.network
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A service with accounts, and the token of somebody who may hand in there."""

    url: str
    token: str
    read_only: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    port = free_port()
    settings = replace(
        Settings.from_environment(),
        state=tmp_path_factory.mktemp("service"),
        mlflow_tracking_uri="",
        accounts="local",
        listen=f"127.0.0.1:{port}",
    )
    migrate(settings)
    database = Database(settings)
    person = people.create_person(database, login="ada", name="Ada", password="four words that differ", actor="test")
    organisation = people.create_organisation(database, name="Municipality", actor="test")
    people.give_role(database, person_id=person, organisation_id=organisation, role=Role.OWNER, actor="test")
    secret = people.sign_in(database, login="ada", password="four words that differ")
    identity = people.identify(database, secret or "")
    assert identity is not None
    submit, read = (
        people.make_token(database, identity, name=scope, organisation_id=organisation, scope=scope, days=1)
        for scope in ("submit", "read")
    )
    database.close()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(settings,), kwargs={"entry": "tests.make.runs:quick"}
    )
    process.start()
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 60
    while True:
        try:
            Client(url, token=submit).status("0" * 32)
        except Unreachable:
            assert time.monotonic() < end, "it did not start"
            time.sleep(0.2)
        except Answered:
            break
    yield Running(url=url, token=submit, read_only=read)
    process.terminate()
    process.join(30)
    assert process.exitcode == 0


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    folder = tmp_path / "loan decisions"
    (folder / "data").mkdir(parents=True)
    (folder / "submission.yaml").write_text("format: 1\n")
    (folder / "data" / "test.csv").write_text("a\n1\n")
    (folder / "link").symlink_to("/etc/hostname")
    return folder


def command(running: Running, *given: str, token: str | None = None) -> Result:
    environment = {"AIACT_SANDBOX_TOKEN": running.token if token is None else token}
    return CliRunner().invoke(main, [*given, "--url", running.url], env=environment)


def test_from_a_folder_to_its_dossier(running: Running, submission: Path, tmp_path: Path) -> None:
    done = command(running, "submit", str(submission), "--wait", "--json")
    assert done.exit_code == 1, "a finding lies beyond its limit"
    given = json.loads(done.stdout)
    assert (given["state"], given["name"]) == ("done", "loan decisions.zip")
    assert given["counts"] == {"beyond": 1, "undecided": 2, "within": 1}
    asked = command(running, "status", given["id"])
    assert asked.exit_code == 0
    assert "1 beyond the limit set" in asked.stdout
    out = tmp_path / "dossier.zip"
    assert command(running, "fetch", given["id"], "--out", str(out)).exit_code == 0
    with zipfile.ZipFile(out) as archive:
        assert "dossier.json" in archive.namelist()
    again = command(running, "fetch", given["id"], "--out", str(out))
    assert again.exit_code == 2
    assert list(tmp_path.glob(".*.partial")) == []


def test_a_token_may_do_no_more_than_its_scope(running: Running, submission: Path) -> None:
    refused = command(running, "submit", str(submission), "--json", token=running.read_only)
    assert refused.exit_code == 3
    assert json.loads(refused.stdout)["error"]["code"] == "not_allowed"
    assert command(running, "submit", str(submission), token="").exit_code == 3


def test_what_is_not_there_and_who_does_not_answer_are_told_apart(running: Running) -> None:
    gone = command(running, "status", "0" * 32)
    assert gone.exit_code == 3
    assert "nothing here" in gone.stderr
    silent = CliRunner().invoke(main, ["status", "x", "--url", "http://127.0.0.1:9", "--json"])
    assert silent.exit_code == 4
    assert json.loads(silent.stdout)["error"]["code"] == "unreachable"


def test_a_token_is_not_sent_where_others_can_read_it() -> None:
    with pytest.raises(ValueError, match="https"):
        Client("http://sandbox.example.org", token="aiact_x")
    with pytest.raises(ValueError, match="looks like"):
        Client("sandbox.example.org")
    refused = CliRunner().invoke(main, ["status", "x", "--url", "ftp://x"])
    assert refused.exit_code == 2


def step_of(name: str) -> str:
    """Give the script of the step that assesses, as a pipeline of that kind runs it."""
    pipeline = yaml.safe_load((ROOT / "examples" / "pipelines" / f"{name}.yml").read_text(encoding="utf-8"))
    if name == "gitlab":
        return str(pipeline["ai-act-sandbox"]["script"][0])
    return next(str(s["run"]) for s in pipeline["jobs"]["assess"]["steps"] if s.get("name") == "Assess")


def run_step(running: Running, name: str, folder: Path, token: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AIACT_SANDBOX_URL": running.url,
        "AIACT_SANDBOX_TOKEN": token,
    }
    return subprocess.run(
        ["/bin/bash", "-e", "-o", "pipefail", "-c", step_of(name)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_a_pipeline_fails_its_build_when_a_finding_lies_beyond_its_limit(
    running: Running, name: str, submission: Path, tmp_path: Path
) -> None:
    submission.rename(tmp_path / "submission")
    done = run_step(running, name, tmp_path, running.token)
    assert done.returncode == 1, done.stderr
    assert "1 beyond the limit set" in done.stdout
    assert (tmp_path / "dossier" / "dossier.json").is_file(), "what was found is kept with the build"


def test_a_pipeline_tells_a_refusal_from_a_finding(running: Running, submission: Path, tmp_path: Path) -> None:
    submission.rename(tmp_path / "submission")
    done = run_step(running, "gitlab", tmp_path, running.read_only)
    assert done.returncode == 3
    assert "not_allowed" in done.stdout
    assert not (tmp_path / "dossier.zip").exists()


def test_both_pipelines_run_the_same_step() -> None:
    assert step_of("github") == step_of("gitlab")
