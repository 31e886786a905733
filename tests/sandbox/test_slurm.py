"""On Slurm, with a controller and two nodes on this machine: a lost node costs no submission and doubles none."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.cluster import load_jobqueue
from sandbox.records import uploads
from sandbox.records.database import Database, migrate
from sandbox.settings import PREFIX, Settings
from sandbox.worker import work
from tests.conftest import ROOT, skip_or_fail
from tests.faults.test_kills import model_of_income
from tests.make import authority, node, postgres, submissions
from tests.make.queued import hand_in
from tests.make.slurm import NODES, Slurm, absent
from tests.make.waiting import until
from tests.sandbox.test_cluster import ended_once, over, row

WANTED = "AIACT_SANDBOX_SLURM"
pytestmark = [
    pytest.mark.network,
    pytest.mark.timeout(900),
    pytest.mark.skipif(WANTED not in os.environ, reason="a cluster of this machine's own runs by `make slurm`"),
]


@pytest.fixture
def slurm() -> Iterator[Slurm]:
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons are started as root")
    if missing := absent():
        skip_or_fail(f"Slurm is not installed: {', '.join(missing)}")
    made = Slurm()
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    import dask.config

    load_jobqueue()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", json.dumps(["tests.make.node"]))
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    jobs = {
        "cores": 1,
        "memory": "1GB",
        "log-directory": str(tmp_path / "logs"),
        "local-directory": str(tmp_path),
        "scheduler-options": {"host": "127.0.0.1"},
        "interface": "lo",
    }
    try:
        with (
            postgres.server() as server,
            postgres.fresh(server) as url,
            dask.config.set({f"jobqueue.slurm.{k}": v for k, v in jobs.items()}),
        ):
            made = replace(
                settings,
                database_url=url,
                scratch=str(tmp_path / "scratch"),
                isolation="bubblewrap",
                scheduler="slurm",
                scheduler_at_once=2,
                scheduler_tls=str(authority.write(tmp_path / "tls")),
            )
            for name in ("state", "database_url", "scratch", "isolation"):
                # A job has the environment that it was handed in with.
                monkeypatch.setenv(f"{PREFIX}{name.upper()}", str(getattr(made, name)))
            yield made
    except FileNotFoundError as gone:
        skip_or_fail(str(gone))


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    migrate(settings)
    opened = Database(settings)
    yield opened
    opened.close()


@contextmanager
def at_work(settings: Settings, slurm: Slurm) -> Iterator[None]:
    """Run the service's worker meanwhile, and see that no job outlives it."""
    stop = threading.Event()
    service = threading.Thread(
        target=work, args=(settings,), kwargs={"stop": stop, "lease_seconds": node.LEASE_SECONDS}
    )
    service.start()
    try:
        yield
    except AssertionError:
        print(slurm.tell())
        raise
    finally:
        stop.set()
        service.join(60)
    assert not service.is_alive()
    until(lambda: nodes_in_use(slurm, "running,pending,completing") == [], 30)


def nodes_in_use(slurm: Slurm, states: str = "running") -> list[str]:
    return sorted(slurm.ask("squeue", "-h", "-t", states, "-o", "%N").split())


def test_jobs_start_for_what_waits_and_a_lost_node_costs_no_submission(
    settings: Settings, slurm: Slurm, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(node.ENTRY, "tests.make.runs:a_while")
    ids = [hand_in(settings, database) for _ in range(6)]
    with at_work(settings, slurm):
        until(lambda: nodes_in_use(slurm) == list(NODES))
        until(lambda: sum((r := row(database, i)).state == "running" and r.stage == "ask" for i in ids) == 2)
        slurm.kill_node(NODES[0])
        until(lambda: over(database, ids), 180)
        ended_once(database, ids, settings)
        assert max(row(database, i).attempt for i in ids) > 1


def test_models_are_assessed_behind_bubblewrap_in_jobs_on_both_nodes(
    settings: Settings, slurm: Slurm, database: Database, tmp_path: Path
) -> None:
    rows = [
        ("income", "sex", "outcome"),
        *((str(500 + 10 * n), "fm"[n % 2], ("no", "yes")[n > 40]) for n in range(300)),
    ]
    written = submissions.with_model(
        tmp_path / "s", model_of_income(), table=submissions.csv_of(rows), data={"columns": submissions.DATA["columns"]}
    )
    content = submissions.zipped(written, tmp_path / "s.zip").read_bytes()
    ids = [hand_in(settings, database, content) for _ in range(4)]
    with at_work(settings, slurm):
        until(lambda: nodes_in_use(slurm) == list(NODES))
        until(lambda: over(database, ids), 600)
        ended_once(database, ids, settings)
    workers = set()
    for each in ids:
        run = json.loads((uploads.dossiers(settings) / str(row(database, each).dossier) / "run.json").read_bytes())
        assert run["receipt"]["backend"] == "bubblewrap"
        assert all(probe["held"] for probe in run["receipt"]["probes"])
        assert run["receipt"]["rows_asked"] > 300
        workers.add(row(database, each).worker)
    assert len(workers) == 2
