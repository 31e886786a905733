"""The energy meter, on a made-up tree of power zones: what counts, what counts twice, and what cannot be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.isolation import energy
from sandbox.isolation.energy import EnergyMeter, per_thousand


def zone(root: Path, folder: str, name: str, microjoules: int, most: int = 1_000_000_000) -> Path:
    made = root / folder
    made.mkdir(parents=True, exist_ok=True)
    (made / "name").write_text(f"{name}\n")
    (made / "energy_uj").write_text(f"{microjoules}\n")
    (made / "max_energy_range_uj").write_text(f"{most}\n")
    return made / "energy_uj"


def test_packages_are_added_up_and_nothing_is_counted_twice(tmp_path: Path) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 7_000_000)
    others = [
        zone(tmp_path, "intel-rapl:0:0", "core", 0),
        zone(tmp_path, "intel-rapl:2", "psys", 0),
        zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0),
    ]
    (tmp_path / "intel-rapl").mkdir()
    with EnergyMeter(tmp_path) as meter:
        first.write_text("8000000\n")
        second.write_text("7500000\n")
        for other in others:
            other.write_text("900000000\n")
        assert meter.joules() == pytest.approx(3.5)
        first.write_text("9000000\n")
        assert meter.joules() == pytest.approx(4.5)


def test_a_counter_that_starts_again_goes_on_where_it_was(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 99_000_000, most=100_000_000)
    with EnergyMeter(tmp_path) as meter:
        counter.write_text("2000000\n")
        assert meter.joules() == pytest.approx(3.0)
        counter.write_text("1000000\n")
        assert meter.joules() == pytest.approx(3.0 + 99.0)


def test_a_counter_is_read_often_enough_to_see_it_start_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "SAMPLE_SECONDS", 0.001)
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0, most=100_000_000)
    with EnergyMeter(tmp_path) as meter:
        for microjoules in (60_000_000, 20_000_000):
            # Put in place whole: the meter reads at any moment.
            (tmp_path / "next").write_text(f"{microjoules}\n")
            (tmp_path / "next").replace(counter)
            for _ in range(10_000):
                if meter._counters[0].last == microjoules:
                    break
                meter._over.wait(0.001)
            assert meter._counters[0].last == microjoules
    assert meter.joules() == pytest.approx(120.0)


@pytest.mark.parametrize("broken", ["missing", "empty", "words", "gone later"])
def test_a_machine_that_does_not_tell_gives_no_figure(tmp_path: Path, broken: str) -> None:
    root = tmp_path / "powercap"
    if broken != "missing":
        root.mkdir()
    if broken in ("words", "gone later"):
        counter = zone(root, "intel-rapl:0", "package-0", 1)
        zone(root, "intel-rapl:1", "package-1", 1)
        if broken == "words":
            counter.write_text("not for you\n")
    with EnergyMeter(root) as meter:
        if broken == "gone later":
            counter.unlink()
        assert meter.joules() is None


def test_what_a_thousand_predictions_take_is_not_told_where_it_is_not_known() -> None:
    assert per_thousand(3.0, 1_500) == 2.0
    assert per_thousand(None, 10) is None
    assert per_thousand(3.0, 0) is None
