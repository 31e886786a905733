"""Nothing of an upload is opened behind a wall that was not tried first, with these limits or wider ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import respondent
from sandbox.errors import CellUnavailable
from sandbox.isolation.interface import Attempt, CellFiles, Chosen, Limits
from sandbox.isolation.proved import Proved
from sandbox.settings import Settings

UPLOAD = CellFiles(entry="read", upload=Path("/quarantine/table.csv"))


class Backend:
    """Keeps what was done in order."""

    name = "of a test"

    def __init__(self, *, held: bool = True) -> None:
        self.done: list[str] = []
        self._held = held

    def available(self) -> str | None:
        return None

    def profile(self, limits: Limits) -> Mapping[str, object]:
        return {"limits": limits.processes}

    def open(self, files: CellFiles, limits: Limits) -> Any:
        self.done.append(f"open {files.entry} {limits.processes}")

    def prove(self, limits: Limits) -> Sequence[Attempt]:
        self.done.append(f"prove {limits.processes}")
        return (Attempt(probe="dns", expected="no", observed="yes", held=self._held),)


def test_the_wall_is_tried_before_the_first_upload_is_opened_and_once() -> None:
    backend = Backend()
    wall = Proved(backend)
    wall.open(UPLOAD, Limits(processes=8))
    wall.open(UPLOAD, Limits(processes=8))
    wall.prove(Limits(processes=8))
    assert backend.done == ["prove 8", "open read 8", "open read 8"]


def test_a_cell_with_less_room_needs_no_proof_of_its_own_and_one_with_more_does() -> None:
    backend = Backend()
    wall = Proved(backend)
    wall.prove(Limits(processes=8))
    wall.open(UPLOAD, Limits(processes=7))
    wall.open(UPLOAD, Limits(processes=9))
    wall.open(UPLOAD, replace(Limits(processes=8), memory_bytes=Limits().memory_bytes + 1))
    assert backend.done == ["prove 8", "open read 7", "prove 9", "open read 9", "prove 8", "open read 8"]


def test_behind_a_wall_that_did_not_hold_nothing_is_opened() -> None:
    backend = Backend(held=False)
    with pytest.raises(CellUnavailable, match="did not hold"):
        Proved(backend).open(UPLOAD, Limits())
    assert backend.done == ["prove 64"]


def test_a_run_goes_on_without_a_wall_that_did_not_hold_and_no_model_is_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for held in (True, False):
        backend = Backend(held=held)
        monkeypatch.setattr(respondent, "choose", lambda name, settings, b=backend: Chosen(isolation=b))
        wall = respondent.wall_or_why_not("auto", settings, Limits(processes=5))
        assert backend.done == ["prove 5"]
        assert isinstance(wall, Chosen if held else CellUnavailable)


def test_the_cells_of_intake_have_no_more_room_than_a_run_s() -> None:
    from sandbox.intake import documents, reading

    backend = Backend()
    wall = Proved(backend)
    wall.prove(Limits())
    wall.open(UPLOAD, reading.LIMITS)
    wall.open(UPLOAD, documents.DOCUMENT_LIMITS)
    assert [done for done in backend.done if done.startswith("prove")] == ["prove 64"]
