"""What the service adds to an assessment, how many it ends in an hour, and how fast lists are with many submissions."""

from __future__ import annotations

import datetime as dt
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sandbox.records import queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.tables import State, Submission, new_id, now
from sandbox.settings import Settings

STORED = 10_000
ENDED = 12
LIST_MILLISECONDS = 100.0


def main(options: Sequence[str]) -> int:
    """Measure; `--quick` runs fewer submissions.

    Args:
        options: from the command line.

    Returns:
        1 if a list page with many stored submissions takes longer than it may, else 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(Settings(), state=Path(folder) / "state", listen="127.0.0.1:8080")
        migrate(settings)
        _throughput(settings, Path(folder), 4 if "--quick" in options else ENDED)
        return _lists(settings)


def _hand_in(settings: Settings, database: Database, content: bytes) -> str:
    receiving = uploads.Receiving(settings, new_id())
    receiving.write(content)
    receiving.keep()
    receiving.close()
    queue.add(
        database,
        submission_id=receiving.submission_id,
        name="a.zip",
        size=receiving.size,
        digest=receiving.digest,
        actor="bench",
    )
    return receiving.submission_id


def _throughput(settings: Settings, folder: Path, count: int) -> None:
    """Compare the service with the same assessments called one after the other in this process."""
    from sandbox.assess import assess
    from sandbox.worker import work
    from tests.make import submissions

    zipped = submissions.zipped(submissions.predictions(folder / "s"), folder / "s.zip")
    assess(zipped, out=folder / "warm", settings=settings, log_to_mlflow=False)
    begun = time.perf_counter()
    for number in range(count):
        assess(zipped, out=folder / f"o{number}", settings=settings, log_to_mlflow=False)
    alone = (time.perf_counter() - begun) / count
    database = Database(settings)
    for workers in (1, 2):
        ids = [_hand_in(settings, database, zipped.read_bytes()) for _ in range(count)]
        stop = threading.Event()
        threads = [threading.Thread(target=work, args=(settings,), kwargs={"stop": stop}) for _ in range(workers)]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        while any(not State(f.state).is_over for i in ids if (f := queue.find(database, i)) is not None):
            time.sleep(0.05)
        took = (time.perf_counter() - begun) / count
        stop.set()
        for thread in threads:
            thread.join()
        states = {str(f.state) for i in ids if (f := queue.find(database, i)) is not None}
        assert states == {State.DONE.value}, states
        print(
            f"{workers} worker(s): {took:6.2f} s per submission, {3600 / took:5.0f} per hour; in this process "
            f"{alone:.2f} s; added {took - alone:+.2f} s (ratio {took / alone:.2f})"
        )
    database.close()


def _lists(settings: Settings) -> int:
    from sandbox.app import create_app

    database = Database(settings)
    begun = now() - dt.timedelta(days=30)
    with database.writing() as session:
        session.add_all(
            Submission(
                id=new_id(),
                received=begun + dt.timedelta(seconds=number),
                name=f"system {number}.zip",
                bytes=1000,
                digest="0" * 64,
                state=State.DONE,
                started=begun,
                ended=begun,
                system=f"System {number}",
                version="1",
                risk_class="minimal",
                beyond=0,
                undecided=1,
                within=2,
            )
            for number in range(STORED)
        )
    database.close()
    app = create_app(settings)
    client = app.test_client()
    slow = False
    for path in ("/en/submissions", "/nl/submissions", "/api/v1/submissions", "/metrics", "/readyz"):
        client.get(path)
        took = []
        for _ in range(15):
            begun_at = time.perf_counter()
            answer = client.get(path)
            took.append(1000 * (time.perf_counter() - begun_at))
            assert answer.status_code == 200, (path, answer.status_code)
        middle = statistics.median(took)
        slow = slow or middle > LIST_MILLISECONDS
        print(f"{path:<22} {middle:6.1f} ms in the middle, {max(took):6.1f} ms at most, with {STORED} stored")
    app.extensions["aiact_sandbox"].database.close()
    return int(slow)
