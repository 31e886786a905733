"""What all tests share: closed sockets, a state folder of their own, real data where they are, no silent skip."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.settings import Settings

if TYPE_CHECKING:
    from tests.make import postgres

ROOT = Path(__file__).resolve().parents[1]
ON_POSTGRESQL = os.environ.get("AIACT_SANDBOX_TEST_DATABASE") == "postgresql"
ON_CI = os.environ.get("CI", "").lower() == "true"
REAL_DATA = Path(os.environ.get("AIACT_SANDBOX_REAL_DATA", ROOT.parent / "shared" / "data"))

# MLflow's own telemetry must not look for a network in tests either.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")


def skip_or_fail(reason: str) -> None:
    """Skip a test visibly; on CI, where everything must be there, fail instead."""
    if ON_CI:
        pytest.fail(f"on CI nothing may be absent: {reason}")
    pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Sockets stay closed but for this machine's own; Unix sockets are the wall's."""
    from pytest_socket import socket_allow_hosts

    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data beside the checkout."""
    if not (REAL_DATA / "adult" / "adult.data").is_file():
        pytest.skip(f"real data are not beside the checkout ({REAL_DATA})")
    return REAL_DATA


@pytest.fixture(scope="session")
def bwrap() -> str:
    """The bubblewrap program."""
    found = shutil.which("bwrap")
    if found is None:
        skip_or_fail("bubblewrap is not installed")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The maintenance URL of a PostgreSQL server of this session."""
    from tests.make import postgres

    try:
        with postgres.server() as url:
            yield url
    except FileNotFoundError as absent:
        skip_or_fail(str(absent))


@pytest.fixture(scope="session")
def everywhere(postgres_server: str) -> Iterator[postgres.Everywhere]:
    """Give every state folder without a database one on PostgreSQL."""
    from tests.make import postgres

    with postgres.Everywhere(postgres_server).installed() as installed:
        yield installed


@pytest.fixture(autouse=True)
def _on_the_database_asked_for(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the test on PostgreSQL, where that was asked for."""
    if not ON_POSTGRESQL:
        yield
        return
    installed: postgres.Everywhere = request.getfixturevalue("everywhere")
    folder: Path = request.getfixturevalue("tmp_path")
    yield
    installed.drop_below(folder)


def opens_a_database(item: pytest.Item) -> bool:
    """Tell whether a test may open a database, and not on each kind of its own accord."""
    known = vars(getattr(item, "module", None) or object)
    names = {"Database", "migrate", "create_app"} & set(known)
    fixtures = {"database", "app", "client"} & set(getattr(item, "fixturenames", ()))
    return bool(names or fixtures) and "kind" not in getattr(getattr(item, "callspec", None), "params", {})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, run what opens a database and does not run on both kinds anyway."""
    if ON_POSTGRESQL:
        kept = [item for item in items if opens_a_database(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """The variables that lead to an S3 server of this session; they are set."""
    from multiprocessing import forkserver

    from tests.make import s3

    with s3.reachable() as variables:
        # One that was started before these variables were set would not hand them on.
        forkserver._forkserver._stop()  # type: ignore[attr-defined]  # no public way
        yield variables
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # as above


@pytest.fixture(scope="session")
def a_token(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A reference to a key that is not there, in a token that is; its label is `OBJECT`."""
    from tests.make import tokens

    if not tokens.MODULE.exists():
        skip_or_fail("softhsm2 is not installed")
    return tokens.make(tmp_path_factory.mktemp("token"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a state folder of the test's own, and the operator's image settings."""
    from dataclasses import replace

    return replace(Settings.from_environment(), state=tmp_path / "state", mlflow_tracking_uri="")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's own state and tracking server are never touched by a test."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
