"""A Dask cluster of a test's own, with TLS: scheduler and nodes are processes that can be killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sandbox import cluster
from sandbox.settings import PREFIX, Settings
from tests.conftest import ROOT
from tests.make import node


class Machines:
    """A scheduler and nodes.

    Args:
        settings: of the service; what nodes must know of them is handed to each in its environment.
        folder: for logs and Dask's own files.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self._folder = settings, folder
        self.address = settings.scheduler
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, entry: str = "a_while", **changed: object) -> None:
        """Start the scheduler (`scheduler`) or a node (any other name), which runs an entry of `tests.make.runs`.

        Args:
            name: of the process.
            entry: what it runs, of `tests.make.runs` where no module is named.
            changed: settings of this node that are not the service's.
        """
        tls = self.settings.scheduler_tls
        host, _, port = self.address.removeprefix("tls://").partition(":")
        shared = ["--tls-ca-file", f"{tls}/ca.pem", "--tls-cert", f"{tls}/certificate.pem"]
        shared += ["--tls-key", f"{tls}/key.pem", *cluster.NOT_SERVED]
        if name == "scheduler":
            command = ["distributed.cli.dask_scheduler", "--protocol", "tls", "--host", host, "--port", port]
        else:
            command = ["distributed.cli.dask_worker", self.address, "--no-nanny", "--nthreads", "1", "--name", name]
            command += ["--local-directory", str(self._folder), "--preload", "tests.make.node"]
        own = {k: getattr(self.settings, k) for k in ("state", "database_url", "scratch")} | changed
        kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        with (self._folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", *command, *shared],
                env={
                    **kept,
                    **{f"{PREFIX}{k.upper()}": str(v) for k, v in own.items()},
                    "PYTHONPATH": str(ROOT),
                    node.ENTRY: entry if ":" in entry else f"tests.make.runs:{entry}",
                },
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )

    def kill(self, name: str) -> None:
        """Kill it, and wait until it is gone."""
        self.running[name].kill()
        self.running.pop(name).wait()

    def stop(self) -> None:
        """Kill all there are."""
        for name in list(self.running):
            self.kill(name)
