"""A file is there whole or not at all, and nothing else stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox import whole


def test_a_file_takes_the_place_of_another_in_one_step_with_the_powers_that_were_said(tmp_path: Path) -> None:
    file = tmp_path / "limits.seal.json"
    whole.replace(file, b"one")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"one", 0o644)
    whole.replace(file, b"two", mode=0o600)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"two", 0o600)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_what_could_not_be_written_leaves_what_was_there_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    file = tmp_path / "limits.seal.json"
    file.write_bytes(b"one")

    def full(*_any: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if failing == "fsync" else Path, failing, full)
    with pytest.raises(OSError, match="No space"):
        whole.replace(file, b"two")
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"one", [file])
