"""What keeps pages quick while assessments run: who gives way to whom, and what is ready before anybody asks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sandbox.niceness import begin_session, hand_on
from sandbox.notices import sending
from sandbox.records import drafts, queue
from sandbox.records.database import Database, migrate
from sandbox.records.tables import Submission
from sandbox.settings import Settings
from sandbox.web import reading
from tests.make.queued import hand_in

AUTOGROUP = Path("/proc/self/autogroup")
ONE_ASSESSMENT = """
import sys, threading
from pathlib import Path
import sandbox.preloaded
from sandbox.assess import assess
from sandbox.settings import Settings
from tests.make import submissions

folder = Path(sys.argv[1])
assert threading.active_count() == 1, threading.enumerate()
handed_in = submissions.predictions(folder / "s")
before = set(sys.modules)
assess(handed_in, out=folder / "out", settings=Settings(state=folder / "state"), log_to_mlflow=False)
print(*(set(sys.modules) - before))
"""
PAGES = """
import sys
from pathlib import Path
from sandbox.app import create_app
from sandbox.records.database import migrate
from sandbox.serving import have_ready
from sandbox.settings import Settings
from sandbox.web.words import texts

settings = Settings(state=Path(sys.argv[1]) / "state", listen="127.0.0.1:1")
migrate(settings)
app = create_app(settings)
have_ready(app)
before, read = set(sys.modules), texts.cache_info().misses
for path in ("/en/", "/nl/submissions", "/en/portfolio", "/nl/drafts"):
    assert app.test_client().get(path).status_code == 200, path
ours = ("checks", "model_cards", "jinja2", "pandas", "sklearn")
print(*(name for name in set(sys.modules) - before if name.startswith(ours)), texts.cache_info().misses - read)
"""


def _told(program: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


def test_an_assessment_finds_the_slow_libraries_imported_by_the_fork_server(tmp_path: Path) -> None:
    # Without any preloading there are more than a thousand.
    left = _told(ONE_ASSESSMENT, tmp_path)
    assert len(left) < 40, left


def test_the_first_reader_of_a_page_finds_words_checks_and_templates_read(tmp_path: Path) -> None:
    assert _told(PAGES, tmp_path) == ["0"]


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel hands no processor time to sessions")
def test_a_session_of_its_own_is_as_nice_as_its_process() -> None:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.nice(5)
        begin_session()
        os.write(theirs, AUTOGROUP.read_bytes())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(theirs)
    with os.fdopen(ours) as told:
        assert told.read().split()[-2:] == ["nice", "5"]


def test_the_session_of_a_process_that_is_gone_needs_no_telling() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    hand_on(ended.pid)


def test_a_worker_that_finds_nothing_to_do_waits_for_no_writer(settings: Settings) -> None:
    migrate(settings)
    writer, worker = Database(settings), Database(settings)
    with writer.writing() as session:
        session.execute(select(Submission)).all()
        begun = time.monotonic()
        assert queue.claim(worker, worker="w") is None
        assert queue.requeue_expired(worker, actor="w") == (0, 0)
        assert drafts.claim(worker) is None
        assert sending.send_due(worker, settings) == 0
        assert time.monotonic() - begun < 20
    hand_in(settings, writer)
    assert queue.claim(worker, worker="w") is not None
    writer.close()
    worker.close()


def test_many_who_ask_for_one_report_at_once_have_it_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    @lru_cache(maxsize=8)
    def slowly(_raw: bytes, _run: bytes, lang: str) -> Any:
        made.append(lang)
        time.sleep(0.2)
        return object()

    monkeypatch.setattr(reading, "_made_of", slowly)
    (tmp_path / "dossier.json").write_bytes(b"{}")
    (tmp_path / "run.json").write_bytes(os.urandom(8))
    together = threading.Barrier(6)

    def ask(number: int) -> Any:
        together.wait()
        return reading.read(tmp_path, sha256(b"{}").hexdigest(), "en" if number % 2 else "nl")

    with ThreadPoolExecutor(6) as readers:
        found = list(readers.map(ask, range(6)))
    assert sorted(made) == ["en", "nl"]
    assert len(set(map(id, found))) == 2
