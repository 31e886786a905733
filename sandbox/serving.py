"""Run the service on one machine: the web server in this process, and a worker in a process beside it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.context import SpawnProcess
from types import FrameType

from sandbox.app import create_app
from sandbox.engine import ASSESS
from sandbox.records.database import migrate
from sandbox.settings import Settings
from sandbox.web.live import MOST_STREAMS
from sandbox.web.security import SMALL_BODY_BYTES

log = logging.getLogger(__name__)

THREADS = MOST_STREAMS + 8
STEADY_SECONDS = 60.0
LONGEST_PAUSE = 30.0
STOP_SECONDS = 20.0


def log_as(process: str) -> None:
    """Write what happens to standard error, with the kind of process before it."""
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {process} %(levelname)s %(message)s")
    # Alembic tells of each plug-in that it loads.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _work_beside(settings: Settings, entry: str, parent: int) -> None:
    from sandbox.worker import work

    log_as("worker")
    work(settings, entry=entry, parent=parent)


class Beside:
    """A worker process that is started again when it ends, until told to stop.

    Args:
        settings: of this service.
        entry: see `sandbox.engine.run`.
    """

    def __init__(self, settings: Settings, entry: str = ASSESS) -> None:
        self._settings, self._entry = settings, entry
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
                target=_work_beside, args=(self._settings, self._entry, os.getpid()), name="worker"
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


def serve(settings: Settings, *, entry: str = ASSESS) -> None:
    """Serve pages and API, with a worker beside, until SIGTERM or SIGINT.

    Args:
        settings: of this service; `listen` says where.
        entry: see `sandbox.engine.run`.

    Raises:
        OSError: the address is taken or is not this machine's.
        ValueError: `listen` is no address and port.
    """
    import waitress  # type: ignore[import-untyped]  # ships no types

    log_as("web")
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"listen must be an address and a port, as in 127.0.0.1:8080, not {settings.listen!r}")
    migrate(settings)
    server = waitress.create_server(
        create_app(settings),
        host=host.strip("[]"),
        port=int(port),
        threads=THREADS,
        ident=None,
        max_request_body_size=settings.upload_bytes + SMALL_BODY_BYTES + 4096,
        channel_timeout=300,
    )
    beside = Beside(settings, entry)
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
        beside.stop()
