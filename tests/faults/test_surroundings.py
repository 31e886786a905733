"""What a service stands on fails: the disk is full, the clock jumps, the engine goes and comes. Each has its message.

An index of packages that is down: `tests/sandbox/environments/test_building.py`.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from sandbox import engine
from sandbox.app import create_app
from sandbox.engine_proxy import EngineProxy, Rules
from sandbox.errors import CellUnavailable
from sandbox.isolation import docker as backend
from sandbox.isolation import place
from sandbox.isolation.choose import sweep
from sandbox.records import audit, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.examination import examine
from sandbox.records.tables import AuditEntry, State, Submission
from sandbox.settings import Settings
from tests.conftest import skip_or_fail
from tests.make.queued import hand_in
from tests.make.waiting import until
from tests.make.walls import Wall, wall_settings

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
MADE = "tests.make.runs:"
DISK_BYTES = 4 * 1024**2


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    migrate(settings)
    opened = Database(settings)
    yield opened
    opened.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def row(database: Database, submission: str) -> Submission:
    found = queue.find(database, submission)
    assert found is not None
    return found


def ends(database: Database) -> Counter[str]:
    over = {f"submission.{s.value}" for s in State if s.is_over}
    with database.reading() as session:
        assert audit.verify(session) == ()
        return Counter(session.scalars(select(AuditEntry.subject).where(AuditEntry.action.in_(over))))


@as_root
def test_a_disk_that_fills_while_a_submission_is_unpacked_ends_it_with_a_message_and_leaves_nothing(
    settings: Settings, database: Database, small_disk: Path
) -> None:
    settings = replace(settings, scratch=str(small_disk))
    submission = hand_in(settings, database, os.urandom(2 * DISK_BYTES))
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    engine.run(submission, settings, token=claimed.token, entry=MADE + "quick")
    found = row(database, submission)
    assert (found.state, found.problems[0]["code"]) == ("failed", "run.disk_full")
    assert "disk of this service is full" in found.problems[0]["message"]
    assert ends(database) == {submission: 1}
    assert list((small_disk / "quarantine").iterdir()) == []
    assert list(uploads.dossiers(settings).iterdir()) == []


@as_root
def test_an_upload_that_fills_the_disk_is_refused_with_a_message_and_leaves_nothing(
    settings: Settings, small_disk: Path
) -> None:
    settings = replace(settings, state=small_disk / "state", upload_bytes=100 * DISK_BYTES)
    migrate(settings)
    app = create_app(settings)
    client = app.test_client()
    answer = client.post(
        "/api/v1/submissions", data=io.BytesIO(os.urandom(2 * DISK_BYTES)), content_type="application/zip"
    )
    assert (answer.status_code, answer.json["type"]) == (507, "urn:aiact-sandbox:error:disk_full")
    assert "makes room" in answer.json["detail"]
    assert list((settings.state / "uploads").iterdir()) == []
    assert client.get("/readyz").json == {"ready": False, "lacking": ["disk"]}
    (line,) = [line for line in examine(settings) if line.what == "disk"]
    assert (line.held, line.mend.startswith("make room")) == (False, True)
    app.extensions["aiact_sandbox"].database.close()


@pytest.mark.parametrize("jump", [dt.timedelta(days=1), -dt.timedelta(days=1)], ids=["forward", "back"])
def test_a_clock_that_jumps_makes_a_lost_submission_run_again_and_end_once(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, jump: dt.timedelta
) -> None:
    submission = hand_in(settings, database)
    lost = queue.claim(database, worker="lost")
    assert lost is not None
    assert queue.requeue_expired(database, actor="w") == (0, 0)
    real = queue.now
    monkeypatch.setattr(queue, "now", lambda: real() + jump)
    assert queue.requeue_expired(database, actor="w") == (1, 0)
    assert not queue.renew(database, lost).held
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    engine.run(submission, settings, token=claimed.token, entry=MADE + "quick")
    assert not queue.end(database, lost, state=State.FAILED, actor="lost")
    assert row(database, submission).state == "done"
    assert ends(database) == {submission: 1}


def test_a_clock_that_jumps_while_a_submission_runs_neither_loses_nor_doubles_it(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = hand_in(settings, database)
    claimed = queue.claim(database, worker="w", lease_seconds=1.0)
    assert claimed is not None
    running = threading.Thread(
        target=engine.run,
        args=(submission, settings),
        kwargs={"token": claimed.token, "entry": MADE + "a_while", "lease_seconds": 1.0},
    )
    running.start()
    real = queue.now
    until(lambda: row(database, submission).stage != "")
    for jump in (3600, -3600, 0):
        monkeypatch.setattr(queue, "now", lambda by=jump: real() + dt.timedelta(seconds=by))
        time.sleep(0.5)
    running.join(60)
    assert row(database, submission).state == "done"
    assert ends(database) == {submission: 1}


def test_a_clock_behind_the_audit_log_is_told_by_doctor(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(settings, database)
    from sandbox.records import examination

    real = examination.now
    monkeypatch.setattr(examination, "now", lambda: real() - dt.timedelta(hours=1))
    (line,) = [line for line in examine(settings) if line.what == "clock"]
    assert (line.held, line.mend) == (False, "set the clock of this machine")
    assert "behind the audit log" in line.observed


@as_root
@pytest.mark.docker
def test_an_engine_that_goes_while_a_cell_runs_and_comes_again_leaves_no_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = wall_settings(tmp_path / "state")
    try:
        backend.build_image(settings)
    except CellUnavailable as absent:
        skip_or_fail(str(absent))
    rules = Rules.of(settings, remapped=False)
    with tempfile.TemporaryDirectory() as short:
        engine_socket = Path(short) / "engine.sock"
        engine_socket.symlink_to("/var/run/docker.sock")
        with EngineProxy(Path(short) / "s", engine_socket, rules) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                monkeypatch.setenv("DOCKER_HOST", f"unix://{short}/s")
                wall = Wall("docker", settings, tmp_path)
                with wall.cell("import time\ndef main(connection): time.sleep(300)") as running:
                    engine_socket.unlink()
                    begun = time.monotonic()
                assert time.monotonic() - begun < 60
                assert place.started(running.kept.pid) is None
                with pytest.raises(CellUnavailable, match="No Docker engine answers"):
                    wall.told("def main(connection): pass")
                engine_socket.symlink_to("/var/run/docker.sock")
                sweep(settings)
                assert backend.containers(settings) == []
                assert place.leases(settings) == []
                assert wall.told("def main(connection): connection.sendall(b'here')") == "here"
            finally:
                server.shutdown()
                thread.join()
