"""An upgrade without a pause: an old version's worker goes on while the new version's web process migrates and serves.

The old version is a commit, exported to a folder of its own: `make upgrade-test FROM=<commit>`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text

from sandbox import engine
from sandbox.app import create_app
from sandbox.records import audit
from sandbox.records.database import Database, is_migrated, migrate
from sandbox.records.tables import AuditEntry, State, Submission
from sandbox.settings import PREFIX, Settings
from sandbox.worker import work
from tests.conftest import ROOT
from tests.make import submissions
from tests.make.waiting import until

FROM = "AIACT_SANDBOX_UPGRADE_FROM"
pytestmark = [
    pytest.mark.skipif(FROM not in os.environ, reason="long; make upgrade-test"),
    pytest.mark.network,
    pytest.mark.timeout(1800),
]
HAND_IN = """
import sys
from tests.faults.test_kills import hand_in
from sandbox.records.database import Database
from sandbox.settings import Settings
from pathlib import Path
settings = Settings.from_environment()
print(hand_in(settings, Database(settings), Path(sys.argv[1]), int(sys.argv[2])))
"""


class OldVersion:
    """A commit in a folder of its own, with the packages of this environment."""

    def __init__(self, commit: str, folder: Path, settings: Settings) -> None:
        folder.mkdir()
        exported = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=exported, check=True)
        self._folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        self._environment = {**kept, "PYTHONPATH": str(folder), f"{PREFIX}STATE": str(settings.state)}
        self._environment |= {f"{PREFIX}ISOLATION": settings.isolation}

    def python(self, program: str, *words: str) -> str:
        command = [sys.executable, "-c", program, *words]
        done = subprocess.run(
            command, env=self._environment, cwd=self._folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()

    def worker(self, log: Path) -> subprocess.Popen[bytes]:
        program = "from sandbox.cli import main; main(['worker'])"
        with log.open("wb") as out:
            return subprocess.Popen(
                [sys.executable, "-c", program], env=self._environment, cwd=self._folder, stdout=out, stderr=out
            )


def test_an_old_worker_goes_on_while_the_new_web_process_migrates_and_takes_uploads(
    settings: Settings, tmp_path: Path
) -> None:
    settings = replace(settings, isolation="bubblewrap")
    settings.state.mkdir(mode=0o711)
    old = OldVersion(os.environ[FROM], tmp_path / "old", settings)
    assert old.python("import sandbox; print(sandbox.__file__)").startswith(str(tmp_path))
    old.python("from sandbox.records.database import migrate; from sandbox.settings import Settings as S; "
               "migrate(S.from_environment())")  # fmt: skip
    before = [old.python(HAND_IN, str(tmp_path), str(n)) for n in range(3)]
    database = Database(settings)
    version = text("SELECT version_num FROM alembic_version")
    with database.reading() as session:
        old_version = session.scalar(version)

    def states() -> Counter[str]:
        with database.reading() as session:
            return Counter(session.scalars(text("SELECT state FROM submissions")))

    working = old.worker(tmp_path / "old.log")
    try:
        until(lambda: states()["running"] + states()["done"] > 0, 120)
        migrate(settings)
        with database.reading() as session:
            print(f"tables of {old_version} became {session.scalar(version)} under a working worker")
        assert is_migrated(database)
        app = create_app(settings)
        client = app.test_client()
        assert client.get("/readyz").status_code in (200, 503)
        zipped = submissions.zipped(submissions.predictions(tmp_path / "new"), tmp_path / "new.zip")
        answer = client.post("/api/v1/submissions", data=zipped.read_bytes(), content_type="application/zip")
        assert answer.status_code in (201, 202), answer.text
        after = answer.json["id"]
        # The old worker ends what was handed in before, and takes what the new web process received.
        until(lambda: states()["done"] == 4, 600)
        assert client.get(f"/en/submissions/{after}", follow_redirects=True).status_code == 200
        assert client.get("/en/submissions").status_code == 200
        app.extensions["aiact_sandbox"].database.close()
        working.send_signal(signal.SIGTERM)
        assert working.wait(60) == 0
    finally:
        working.kill()
        working.wait()
    work(settings, until_empty=True, entry=engine.ASSESS)
    with database.reading() as session:
        rows = session.scalars(select(Submission)).all()
        ends = {f"submission.{s.value}" for s in State if s.is_over}
        counted = Counter(session.scalars(select(AuditEntry.subject).where(AuditEntry.action.in_(ends))))
        assert audit.verify(session) == ()
    assert {r.state for r in rows} == {"done"}
    assert counted == Counter([*before, after])
    assert {r.attempt for r in rows} == {1}
    database.close()
