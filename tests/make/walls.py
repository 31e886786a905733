"""Cells that run a test's own code: the way in exists in tests only, as a backend made with another code folder."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import textwrap
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from sandbox.engine_proxy import EngineProxy, Rules
from sandbox.errors import CellUnavailable
from sandbox.isolation import place, tree
from sandbox.isolation.bubblewrap import Bubblewrap
from sandbox.isolation.choose import choose
from sandbox.isolation.docker import Docker, image_present, user_namespaces_remapped
from sandbox.isolation.interface import CellFiles, Ending, Limits
from sandbox.isolation.podman import Podman
from sandbox.isolation.running import KeptCell
from sandbox.settings import Settings

BACKENDS: dict[str, Callable[..., Bubblewrap | Docker]] = {"bubblewrap": Bubblewrap, "docker": Docker, "podman": Podman}
LOCAL_BASE = "aiact-sandbox-base:bookworm"
SMALL = Limits(memory_bytes=256 * 1024**2, processes=24, cpu_seconds=30, wall_seconds=30, start_seconds=20.0)


class Wall:
    """One backend under test.

    Args:
        name: of the backend.
        settings: with the session's own state.
        folder: where code folders of tests are written.
    """

    def __init__(self, name: str, settings: Settings, folder: Path) -> None:
        self.name = name
        self.settings = settings
        self.leases: list[place.Lease] = []
        self._folder = folder

    def backend(self, code: Path = place.CELL_CODE) -> Bubblewrap | Docker:
        """The backend itself, with our code or a test's."""
        return BACKENDS[self.name](self.settings, code=code)

    def code(self, source: str) -> Path:
        """Write a code folder whose entry `serve` is this source; it defines `main(connection)`."""
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        for name in ("__init__.py", "start.py", "landlock.py"):
            shutil.copy(place.CELL_CODE / name, folder / name)
        (folder / "serve.py").write_text(textwrap.dedent(source))
        return folder

    @contextmanager
    def cell(self, source: str, *, model: Path | None = None, **limits: float) -> Iterator[KeptCell]:
        """A running cell of this source; closed at the end."""
        running = self.backend(self.code(source)).open(CellFiles(entry="serve", model=model), replace(SMALL, **limits))
        running.connection.settimeout(60)
        try:
            yield running
        finally:
            running.close()

    def told(self, source: str, *, model: Path | None = None, **limits: float) -> str:
        """What a cell of this source sends until it ends."""
        with self.cell(source, model=model, **limits) as running:
            return everything(running)

    def ending(self, source: str, **limits: float) -> Ending:
        """How a cell of this source ends by itself; the connection closes when it does."""
        with self.cell(source, **limits) as running:
            wait_for_end(running)
            return running.ending()


def everything(running: KeptCell) -> str:
    """All that a cell sends, as text; `recv` only."""
    held = b""
    while piece := running.connection.recv(65536):
        held += piece
    return held.decode()


def wait_for_end(running: KeptCell) -> None:
    """Wait until the cell is over, without ending it."""
    assert running._keeper.ended.wait(40), "the cell did not end by itself"


def number(running: KeptCell) -> int:
    """One number from a cell."""
    (value,) = struct.unpack("<q", running.connection.recv(8))
    return int(value)


def wall_settings(state: Path) -> Settings:
    """The operator's settings with a state of our own, and the local base image where no other is named."""
    found = replace(Settings.from_environment(), state=state, mlflow_tracking_uri="")
    shared = Path("/var/lib/aiact-sandbox/cell-tree") / tree.tree_digest()
    if os.geteuid() != 0 and shared.exists() and not tree.tree_path(found).exists():
        # The tree of the cells of root, who has its own place for it: the same, and read-only to others.
        tree.tree_path(found).parent.mkdir(parents=True, exist_ok=True)
        tree.tree_path(found).symlink_to(shared)
    if not image_present(found.cell_base_image) and image_present(LOCAL_BASE):
        found = replace(found, cell_base_image=LOCAL_BASE, docker_build_network="host")
    return found


@lru_cache
def _absent(name: str, settings: Settings) -> str | None:
    try:
        choose(name, settings)
    except CellUnavailable as why:
        return str(why)
    return None


@pytest.fixture(scope="session")
def session_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings whose state lives as long as the session."""
    return wall_settings(tmp_path_factory.mktemp("state"))


PROXIED = "AIACT_SANDBOX_TEST_ENGINE_PROXY"
"""Environment variable: set it to reach the container engine through our proxy in all tests of walls."""


@contextmanager
def engine_proxied(settings: Settings, folder: Path) -> Iterator[str]:
    """Run the engine proxy for one installation.

    Args:
        settings: whose cells.
        folder: of the socket.

    Returns:
        The socket's URL, for `DOCKER_HOST`.
    """
    listen = folder / "engine.sock"
    rules = Rules.of(settings, remapped=user_namespaces_remapped())
    with EngineProxy(listen, Path("/var/run/docker.sock"), rules) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"unix://{listen}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(
    params=[
        pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
        pytest.param("docker", marks=pytest.mark.docker),
        # Rootless: as root there is none to be tried, nor to be skipped.
        *([pytest.param("podman", marks=pytest.mark.podman)] if os.geteuid() != 0 else []),
    ]
)
def wall(
    request: pytest.FixtureRequest, session_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Wall]:
    """Each backend in turn, with what it needs built; absent ones are skipped visibly, and fail on CI."""
    name: str = request.param
    reason = _absent(name, session_settings)
    if reason is not None:
        if os.environ.get("CI", "").lower() == "true" and name != "podman":
            pytest.fail(f"on CI no wall may be absent: {reason}")
        pytest.skip(reason)
    made = Wall(name, session_settings, tmp_path)
    take = place.take

    def noted(*args: Any, **options: Any) -> place.Lease:
        made.leases.append(take(*args, **options))
        return made.leases[-1]

    monkeypatch.setattr(place, "take", noted)
    if name == "docker" and PROXIED in os.environ:
        with tempfile.TemporaryDirectory() as folder, engine_proxied(session_settings, Path(folder)) as url:
            monkeypatch.setenv("DOCKER_HOST", url)
            yield made
    else:
        yield made
