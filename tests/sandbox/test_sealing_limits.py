"""Limits that were recorded before a run, and what is said of those that were not."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from model_cards.dossier import limits_digest
from sandbox.cli import main
from sandbox.errors import Refused
from sandbox.intake.declaring import declare
from sandbox.sealing_limits import FILE, data_committed, limits_recorded, read_seals, seal_limits

FIRST = dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)
LATER = dt.datetime(2026, 5, 1, 9, 30, tzinfo=dt.UTC)
RUN = dt.datetime(2026, 6, 1, 9, 30, tzinfo=dt.UTC)


def submission(folder: Path, least: float | None = 0.8) -> Path:
    folder.mkdir(exist_ok=True)
    text = 'format: 1\nsystem:\n  name: S\n  version: "1"\n  provider: {name: P}\n  intended_purpose: Tests.\n'
    if least is not None:
        text += f"limits:\n  fairness.selection_rate.ratio: {{at_least: {least}, reason: agreed with the board}}\n"
    (folder / "submission.yaml").write_text(text)
    return folder


def recorded(folder: Path, started: dt.datetime = RUN):
    files = {p.name: "" for p in folder.iterdir()}
    return limits_recorded(declare(folder, files), folder, started=started)


def test_sealed_limits_are_recorded_as_sealed_before_with_their_time(tmp_path: Path) -> None:
    folder = submission(tmp_path / "s")
    seal, new = seal_limits(folder, now=FIRST)
    assert new
    told = recorded(folder)
    assert told.when == "sealed_before"
    assert told.sealed_at == "2026-03-01T09:30:00+00:00"
    assert told.digest == seal.digest == limits_digest(declare(folder, {"submission.yaml": ""}))


def test_a_seal_that_is_dated_after_the_run_began_says_nothing_of_before(tmp_path: Path) -> None:
    folder = submission(tmp_path / "s")
    seal_limits(folder, now=LATER)
    assert recorded(folder, started=FIRST).when == "with_submission"
    assert recorded(folder, started=LATER).when == "sealed_before"


def test_sealing_the_same_limits_again_keeps_the_first_time(tmp_path: Path) -> None:
    folder = submission(tmp_path / "s")
    seal_limits(folder, now=FIRST)
    before = (folder / FILE).read_bytes()
    again, new = seal_limits(folder, now=LATER)
    assert not new
    assert again.sealed_at == FIRST
    assert (folder / FILE).read_bytes() == before


def test_limits_changed_after_the_seal_came_with_the_submission(tmp_path: Path) -> None:
    folder = submission(tmp_path / "s")
    seal_limits(folder, now=FIRST)
    submission(folder, 0.7)
    assert recorded(folder).when == "with_submission"
    seal_limits(folder, now=LATER)
    assert recorded(folder).sealed_at == LATER.isoformat()
    submission(folder, 0.8)
    assert recorded(folder).sealed_at == FIRST.isoformat()
    assert len(read_seals(folder)) == 2


def test_without_limits_there_is_nothing_to_seal_and_nothing_recorded(tmp_path: Path) -> None:
    folder = submission(tmp_path / "s", None)
    with pytest.raises(Refused, match="no limits to record"):
        seal_limits(folder)
    assert recorded(folder).digest is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{" * 100_000,
        b'{"format": 2, "seals": []}',
        b"\xff\xfe",
        json.dumps(
            {"format": 1, "seals": [{"digest": "0" * 64, "sealed_at": "2026-03-01T09:30:00Z", "limits": {}}]}
        ).encode(),
        json.dumps({"format": 1, "seals": [{"digest": "x", "sealed_at": "yesterday", "limits": {}}]}).encode(),
    ],
)
def test_a_seal_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = submission(tmp_path / "s")
    (folder / FILE).write_bytes(content)
    with pytest.raises(Refused, match="seal"):
        recorded(folder)
    with pytest.raises(Refused, match="seal"):
        seal_limits(folder)


def test_the_command_says_what_was_recorded_and_that_nothing_proves_its_time(tmp_path: Path) -> None:
    folder = submission(tmp_path / "s")
    told = CliRunner().invoke(main, ["seal-limits", str(folder)])
    assert told.exit_code == 0, told.output
    assert "Recorded: 1 limit," in told.output
    assert "nothing here proves it" in told.output
    as_json = json.loads(CliRunner().invoke(main, ["seal-limits", str(folder), "--json"]).stdout)
    assert as_json["new"] is False
    missing = CliRunner().invoke(main, ["seal-limits", str(tmp_path / "nowhere")])
    assert missing.exit_code == 3


def with_model(folder: Path, model: bytes, data: bytes = b"a,y\n1,0\n") -> dict[str, str]:
    submission(folder)
    (folder / "m.ubj").write_bytes(model)
    (folder / "d.csv").write_bytes(data)
    with (folder / "submission.yaml").open("a") as text:
        text.write(
            'model: {file: m.ubj, output: decision}\ndata:\n  file: d.csv\n  task: binary\n  classes: ["0", "1"]\n'
            '  favourable: "1"\n  columns: {y: label}\n'
        )
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.name != FILE}


def committed(folder: Path, files: dict[str, str], started: dt.datetime = RUN) -> dt.datetime | None:
    return data_committed(declare(folder, files), folder, files, started=started)


def test_data_that_were_sealed_before_another_model_came_were_committed_before_it(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with_model(folder, b"first model")
    seal_limits(folder, now=FIRST)
    files = with_model(folder, b"second model")
    assert committed(folder, files) == FIRST
    assert committed(folder, files, started=FIRST - dt.timedelta(days=1)) is None


def test_data_that_came_with_their_model_or_were_changed_since_were_not(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    files = with_model(folder, b"first model")
    assert committed(folder, files) is None
    seal_limits(folder, now=FIRST)
    assert committed(folder, files) is None
    changed = with_model(folder, b"second model", data=b"a,y\n1,1\n")
    assert committed(folder, changed) is None
    seal_limits(folder, now=LATER)
    assert recorded(folder).sealed_at == "2026-03-01T09:30:00+00:00"
    assert committed(folder, changed) is None
