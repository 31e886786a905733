"""Slurm on this machine: one controller and two nodes, each a daemon that can be killed and started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo")
NODES = ("n1", "n2")


def absent() -> list[str]:
    """List the programs that are not installed; Debian's packages are slurm-wlm and munge."""
    return [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]


def _ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Slurm:
    """A cluster that is there from `start` to `stop`; commands reach it through `environment`."""

    def __init__(self) -> None:
        # The path of a socket may be a hundred characters long, which a test's own folder is not short enough for.
        self._folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        self._folder.chmod(0o755)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {"SLURM_CONF": str(self._folder / "slurm.conf")}

    def start(self) -> None:
        """Start all daemons, and wait until both nodes can take a job.

        Raises:
            TimeoutError: they did not come up; says what was seen.
        """
        munge = self._folder / "munge"
        munge.mkdir(mode=0o755)
        (munge / "key").write_bytes(os.urandom(128))
        (munge / "key").chmod(0o600)
        controller, *ports = _ports(1 + len(NODES))
        host = socket.gethostname()
        lines = [
            "ClusterName=test",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmctldPort={controller}",
            "SlurmUser=root",
            "AuthType=auth/munge",
            f"AuthInfo=socket={munge / 'socket'}",
            "CredType=cred/munge",
            f"StateSaveLocation={self._folder / 'state'}",
            f"SlurmdSpoolDir={self._folder}/spool-%n",
            f"SlurmctldPidFile={self._folder}/controller.pid",
            f"SlurmdPidFile={self._folder}/%n.pid",
            f"SlurmctldLogFile={self._folder}/controller.log",
            f"SlurmdLogFile={self._folder}/%n.log",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "SwitchType=switch/none",
            "MpiDefault=none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core",
            "SlurmdParameters=config_overrides",
            "ReturnToService=2",
            # A lost node is soon known to be lost, and what is told to end has a moment to give its work back.
            "SlurmdTimeout=5",
            "KillWait=10",
            *(
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000"
                for name, port in zip(NODES, ports, strict=True)
            ),
            f"PartitionName=main Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE State=UP",
        ]
        (self._folder / "state").mkdir()
        (self._folder / "slurm.conf").write_text("\n".join(lines) + "\n")
        self._run(
            "munged",
            ["/usr/sbin/munged", "--foreground", "--force", f"--key-file={munge / 'key'}"]
            + [
                f"--{name}={munge / name.partition('-')[0]}" for name in ("socket", "pid-file", "log-file", "seed-file")
            ],
        )
        _wait(lambda: (munge / "socket").exists(), "munged did not start")
        self._run("controller", ["/usr/sbin/slurmctld", "-D"])
        for name in NODES:
            self.start_node(name)
        _wait(lambda: self.ask("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == "2", self.tell)

    def start_node(self, name: str) -> None:
        """Start the daemon of one node."""
        self._run(name, ["/usr/sbin/slurmd", "-D", "-N", name])

    def kill_node(self, name: str) -> None:
        """Kill the daemon of one node, and all that its jobs started, as a power cut does."""
        steps = [self.running[name].pid]
        for pid in steps:
            for task in Path(f"/proc/{pid}/task").glob("*"):
                with suppress(OSError):
                    steps += [int(child) for child in (task / "children").read_text().split()]
        steps += self._steps_of(name)
        for pid in steps:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.running.pop(name).wait()

    def _steps_of(self, name: str) -> list[int]:
        """List the processes that Slurm started for jobs on a node: their environment names it."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                given = (folder / "environ").read_bytes().split(b"\0")
                if f"SLURMD_NODENAME={name}".encode() in given and str(self._folder).encode() in b" ".join(given):
                    found.append(int(folder.name))
        return found

    def ask(self, *command: str) -> str:
        """Run one of Slurm's commands; empty where it fails."""
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout

    def tell(self) -> str:
        """Say what the cluster looks like, and the last lines of its logs."""
        logs = [f"{p.name}: {p.read_text()[-1500:]}" for p in sorted(self._folder.glob("*.log"))]
        return "\n".join([self.ask("sinfo"), self.ask("squeue"), *logs])

    def stop(self) -> None:
        """End all daemons and jobs, and remove their files."""
        self.ask("scancel", "--full", "--user", "root")
        for name in NODES:
            if name in self.running:
                self.kill_node(name)
        for process in reversed(self.running.values()):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, name: str, command: list[str]) -> None:
        with (self._folder / f"{name}.out").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, env={**os.environ, **self.environment}, stdout=log, stderr=log, start_new_session=True
            )


def _wait(condition: object, otherwise: object, seconds: float = 40) -> None:
    until = time.monotonic() + seconds
    assert callable(condition)
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(otherwise() if callable(otherwise) else otherwise)
        time.sleep(0.2)
