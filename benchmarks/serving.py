"""What the service adds to an assessment, how many it ends in an hour, and how fast lists are with many submissions."""

from __future__ import annotations

import datetime as dt
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sandbox.records import queue
from sandbox.records.database import Database, migrate
from sandbox.records.tables import State, Submission, new_id, now
from sandbox.settings import Settings

STORED = 10_000
SYSTEMS = 500
ENDED = 12
WORKERS = (1, 2, 4)
LIST_MILLISECONDS = 100.0
PATHS = (
    "/en/submissions",
    "/nl/submissions",
    "/en/portfolio",
    "/api/v1/submissions",
    "/api/v1/submissions?q=system+77",
    "/metrics",
    "/readyz",
)


def main(options: Sequence[str]) -> int:
    """Measure; `--quick` runs fewer submissions, `--lists` none.

    Args:
        options: from the command line.

    Returns:
        1 if a list page with many stored submissions takes longer than it may, else 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(Settings(), state=Path(folder) / "state", listen="127.0.0.1:8080")
        migrate(settings)
        if "--lists" not in options:
            _throughput(settings, Path(folder), 4 if "--quick" in options else ENDED)
        return _lists(settings)


def _throughput(settings: Settings, folder: Path, count: int) -> None:
    """Compare the service with the same assessments called one after the other in this process."""
    from sandbox.assess import assess
    from sandbox.worker import work
    from tests.make import submissions
    from tests.make.queued import hand_in

    zipped = submissions.zipped(submissions.predictions(folder / "s"), folder / "s.zip")
    assess(zipped, out=folder / "warm", settings=settings, log_to_mlflow=False)
    begun = time.perf_counter()
    for number in range(count):
        assess(zipped, out=folder / f"o{number}", settings=settings, log_to_mlflow=False)
    alone = (time.perf_counter() - begun) / count
    database = Database(settings)
    hand_in(settings, database, zipped.read_bytes())
    # The first one starts the fork server, which the others find started.
    work(settings, until_empty=True)
    with_one = 0.0
    for workers in WORKERS:
        ids = [hand_in(settings, database, zipped.read_bytes()) for _ in range(count)]
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
        with_one = with_one or took
        print(
            f"{workers} worker(s): {took:6.2f} s per submission, {3600 / took:5.0f} per hour, {with_one / took:.2f} of "
            f"one worker's; in this process {alone:.2f} s (ratio {took / alone:.2f}); {os.cpu_count()} cores, load "
            f"{os.getloadavg()[0]:.1f}"
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
                system=f"System {number % SYSTEMS}",
                version=str(number // SYSTEMS),
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
    slowest = 0.0
    for path in PATHS:
        client.get(path)
        took, worked = [], []
        for _ in range(15):
            begun_at, worked_at = time.perf_counter(), time.process_time()
            answer = client.get(path)
            took.append(1000 * (time.perf_counter() - begun_at))
            worked.append(1000 * (time.process_time() - worked_at))
            assert answer.status_code == 200, (path, answer.status_code)
        middle = statistics.median(took)
        slowest = max(slowest, middle)
        print(
            f"{path:<34} {middle:6.1f} ms in the middle, {max(took):6.1f} at most, {statistics.median(worked):6.1f} of "
            f"processor time, with {STORED} stored of {SYSTEMS} systems; load {os.getloadavg()[0]:.1f}"
        )
    app.extensions["aiact_sandbox"].database.close()
    print(f"the slowest of these pages, in the middle of 15: {slowest:.0f} ms (may be {LIST_MILLISECONDS:.0f})")
    return int(slowest > LIST_MILLISECONDS)
