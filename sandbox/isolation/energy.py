"""Measure the energy that the machine's processors use during a run, where the machine tells (RAPL).

Assumes of its caller: what is measured is the whole of each processor package, everything else that runs on the
machine with it; it is an upper bound for one run and no measure of one cell alone.
"""

from __future__ import annotations

import contextlib
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

POWERCAP = Path("/sys/class/powercap")

SAMPLE_SECONDS = 10.0
"""Time between two readings: a counter starts again from 0 after a minute or more of full load, which is then seen."""

PACKAGE = re.compile(r"intel-rapl:\d+")
"""Zones of the first level. Those within them count part of the same, and `intel-rapl-mmio` counts the same again."""

MICRO = 1e-6


@dataclass(slots=True)
class _Counter:
    """One package's counter of microjoules, which goes from 0 to `most` and then starts again."""

    path: Path
    most: int
    last: int
    used: int = 0

    def read(self) -> None:
        now = _number(self.path)
        self.used += now - self.last if now >= self.last else now + self.most - self.last
        self.last = now


def _number(path: Path) -> int:
    return int(path.read_text())


class EnergyMeter:
    """Adds up what all processor packages use between its beginning and its end.

    Args:
        root: folder of the kernel's power zones.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        self._counters: list[_Counter] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="energy", daemon=True)
        # Zones that only root may read, or that are not there, tell nothing: then no figure is given at all.
        with contextlib.suppress(OSError, ValueError):
            self._counters = [
                _Counter(
                    path=zone / "energy_uj",
                    most=_number(zone / "max_energy_range_uj"),
                    last=_number(zone / "energy_uj"),
                )
                for zone in sorted(root.iterdir())
                if PACKAGE.fullmatch(zone.name) and (zone / "name").read_text().startswith("package")
            ]

    def __enter__(self) -> EnergyMeter:
        if self._counters:
            self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._counters:
            self._sampler.join()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            if self.joules() is None:
                return

    def joules(self) -> float | None:
        """Give what was used since the beginning.

        Returns:
            Joules of all packages of the machine; None where it does not tell, or stopped telling.
        """
        with self._lock:
            try:
                for counter in self._counters:
                    counter.read()
            except (OSError, ValueError):
                # A part of the packages would look like all of them.
                self._counters = []
            return sum(c.used for c in self._counters) * MICRO if self._counters else None


def per_thousand(used: float | None, rows: int) -> float | None:
    """Give what a thousand predictions took, loading the model included; None where that is not known.

    Args:
        used: seconds or joules of the whole run.
        rows: rows that the cells were asked about.
    """
    return None if used is None or not rows else 1000.0 * used / rows
