"""What the tests of intake share: a quarantine that must be empty again, and one way to take a submission in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.errors import CellUnavailable, Problem, Refused
from sandbox.intake import Bundle, accept
from sandbox.isolation.choose import choose
from sandbox.isolation.docker import image_present
from sandbox.isolation.interface import Isolation
from sandbox.settings import Settings
from tests.conftest import skip_or_fail

Take = Callable[..., Bundle]
Refusal = Callable[..., dict[str, Problem]]


@pytest.fixture
def quarantine(tmp_path: Path) -> Iterator[Path]:
    """A quarantine; after the test nothing may be in it."""
    folder = tmp_path / "quarantine"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == [], "something was left in the quarantine"


@pytest.fixture
def take(settings: Settings, quarantine: Path) -> Iterator[Take]:
    """Take a submission in without a wall; bundles are closed after the test."""
    opened: list[Bundle] = []

    def run(submission: Path, **limits: int) -> Bundle:
        bundle = accept(submission, replace(settings, **limits), isolation=None, quarantine=quarantine)
        opened.append(bundle)
        return bundle

    yield run
    for bundle in opened:
        bundle.close()


@pytest.fixture
def refusal(settings: Settings, quarantine: Path) -> Refusal:
    """Hand a submission in that is refused, and give its problems by field and code (`field|code`)."""

    def run(submission: Path, **limits: int) -> dict[str, Problem]:
        with pytest.raises(Refused) as raised:
            accept(submission, replace(settings, **limits), isolation=None, quarantine=quarantine).close()
        return {f"{p.field}|{p.code}": p for p in raised.value.problems}

    return run


LOCAL_BASE = "aiact-sandbox-base:bookworm"


@pytest.fixture(
    params=[
        pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
        pytest.param("docker", marks=pytest.mark.docker),
    ]
)
def wall(request: pytest.FixtureRequest, settings: Settings) -> Isolation:
    """Each wall in turn; one that is not there is skipped visibly, and fails on CI."""
    if not image_present(settings.cell_base_image) and image_present(LOCAL_BASE):
        settings = replace(settings, cell_base_image=LOCAL_BASE, docker_build_network="host")
    try:
        return choose(request.param, settings).isolation
    except CellUnavailable as why:
        skip_or_fail(str(why))
        raise
