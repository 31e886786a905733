"""Run the service: the web server in this process, and a worker in a process beside it unless workers run elsewhere."""

from __future__ import annotations

import datetime as dt
import json
import logging
import multiprocessing
import os
import signal
import threading
import time
from importlib import import_module
from multiprocessing.context import SpawnProcess
from types import FrameType

from flask import Flask

from checks.registry import catalogue
from sandbox.app import create_app
from sandbox.cluster import refuse_unfit
from sandbox.engine import ASSESS
from sandbox.errors import CannotStart
from sandbox.isolation.place import lay_out
from sandbox.records import keyring
from sandbox.records.database import migrate
from sandbox.records.queue import LEASE_SECONDS
from sandbox.settings import Settings
from sandbox.web.live import MOST_STREAMS
from sandbox.web.security import SMALL_BODY_BYTES
from sandbox.web.words import LANGUAGES, Pages

log = logging.getLogger(__name__)

THREADS = MOST_STREAMS + 16
CONNECTIONS = 500
STEADY_SECONDS = 60.0
LONGEST_PAUSE = 30.0
STOP_SECONDS = 20.0
BESIDE_NICENESS = 5
LATE = ("model_cards.build", "model_cards.exports", "sandbox.comparing")
"""What pages import when they first need it."""


class _AsJson(logging.Formatter):
    """One JSON object per line, for a collector of logs."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "process": self._process,
            "pid": record.process,
            "level": record.levelname.lower(),
            "from": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_as(process: str, log_format: str = "text") -> None:
    """Write what happens to standard error, with the kind of process.

    Args:
        process: `web`, `worker` or `engine-proxy`.
        log_format: `text` or `json`.

    Raises:
        ValueError: there is no such format.
    """
    if log_format not in ("text", "json"):
        raise ValueError(f"log_format must be text or json, not {log_format!r}")
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {process} %(levelname)s %(message)s")
    if log_format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(_AsJson(process))
    # Alembic tells of each plug-in that it loads.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _work_beside(settings: Settings, entry: str, parent: int, lease_seconds: float) -> None:
    from sandbox.worker import work

    log_as("worker", settings.log_format)
    # Whoever reads a page waits for it; an assessment takes its time anyway.
    os.nice(BESIDE_NICENESS)
    work(settings, entry=entry, parent=parent, lease_seconds=lease_seconds)


class Beside:
    """A worker process that is started again when it ends, until told to stop.

    Args:
        settings: of this service.
        entry: see `sandbox.engine.run`.
        lease_seconds: how long a worker's sign of life counts.
    """

    def __init__(self, settings: Settings, entry: str = ASSESS, lease_seconds: float = LEASE_SECONDS) -> None:
        self._settings, self._entry, self._lease_seconds = settings, entry, lease_seconds
        self._stop = threading.Event()
        self._process: SpawnProcess | None = None
        self._thread = threading.Thread(target=self._supervise, name="worker supervisor", daemon=True)

    @property
    def pid(self) -> int | None:
        """Process id of the worker, or None."""
        return self._process.pid if self._process is not None and self._process.is_alive() else None

    def start(self) -> None:
        """Start the worker."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the worker and wait for it; what it ran is given back to the queue."""
        self._stop.set()
        self._thread.join()

    def _supervise(self) -> None:
        context = multiprocessing.get_context("spawn")
        pause = 1.0
        while not self._stop.is_set():
            begun = time.monotonic()
            self._process = context.Process(
                target=_work_beside,
                args=(self._settings, self._entry, os.getpid(), self._lease_seconds),
                name="worker",
            )
            self._process.start()
            while self._process.is_alive() and not self._stop.is_set():
                self._process.join(0.2)
            if self._stop.is_set():
                break
            log.error("the worker ended with %s and is started again", self._process.exitcode)
            pause = 1.0 if time.monotonic() - begun > STEADY_SECONDS else min(pause * 2, LONGEST_PAUSE)
            self._stop.wait(pause)
        if self._process is not None and self._process.is_alive():
            self._process.terminate()
            self._process.join(STOP_SECONDS)
            self._process.kill()
            self._process.join()


def have_ready(app: Flask) -> None:
    """Read and import what pages need before the first reader comes, who would wait for it, and everybody else too."""
    for name in LATE:
        import_module(name)
    catalogue()
    for lang in LANGUAGES:
        Pages(lang)
    for template in app.jinja_env.list_templates(extensions=["html"]):
        app.jinja_env.get_template(template)


def serve(settings: Settings, *, entry: str = ASSESS, lease_seconds: float = LEASE_SECONDS) -> None:
    """Serve pages and API until SIGTERM or SIGINT, with a worker beside where the settings have one.

    Args:
        settings: of this service; `listen` says where.
        entry: see `sandbox.engine.run`.
        lease_seconds: how long a worker's sign of life counts.

    Raises:
        OSError: the address is taken or is not this machine's.
        CannotStart: `listen` is no address and port, or something is set that this installation cannot use.
        CellUnavailable: several organisations would share a machine that cannot bound a cell's memory as a whole.
    """
    import waitress  # type: ignore[import-untyped]  # ships no types

    log_as("web", settings.log_format)
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdigit():
        raise CannotStart(f"listen must be an address and a port, as in 127.0.0.1:8080, not {settings.listen!r}")
    refuse_unfit(settings)
    keyring.refuse_no_master(settings)
    if settings.worker_beside:
        # Looked at here too, so that pages do not open beside a worker that refuses to start.
        from sandbox.isolation.choose import refuse_weak_limits

        refuse_weak_limits(settings)
    migrate(settings)
    lay_out(settings)
    app = create_app(settings)
    have_ready(app)
    server = waitress.create_server(
        app,
        host=host.strip("[]"),
        port=int(port),
        threads=THREADS,
        # A browser keeps its connection: beyond this many, one waits until another leaves.
        connection_limit=CONNECTIONS,
        ident=None,
        max_request_body_size=settings.upload_bytes + SMALL_BODY_BYTES + 4096,
        channel_timeout=300,
    )
    beside = Beside(settings, entry, lease_seconds) if settings.worker_beside else None
    if beside is not None:
        beside.start()

    def told(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, told)
    log.info("serving on http://%s", settings.listen)
    try:
        server.run()
    except KeyboardInterrupt:
        log.info("stopping")
    finally:
        server.close()
        if beside is not None:
            beside.stop()
