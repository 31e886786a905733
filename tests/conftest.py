"""What all tests share: closed sockets, a state folder of their own, real data where they are, no silent skip."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sandbox.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
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


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a state folder of the test's own, and the operator's image settings."""
    from dataclasses import replace

    return replace(Settings.from_environment(), state=tmp_path / "state", mlflow_tracking_uri="")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's own state and tracking server are never touched by a test."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
