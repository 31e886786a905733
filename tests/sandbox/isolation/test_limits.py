"""Control groups of version 2 and of a delegated scope, in a tree of files that looks like the kernel's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from sandbox.isolation import limits as groups
from sandbox.isolation.interface import Limits

CELL = Limits(memory_bytes=64 * 1024**2, processes=7)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The root of a version 2 hierarchy, empty of cells."""
    root = tmp_path / "cgroup"
    root.mkdir()
    (root / "cgroup.controllers").write_text("cpu memory pids")
    (root / "cgroup.subtree_control").write_text("memory pids")
    (tmp_path / "own").write_text("0::/\n")
    monkeypatch.setattr(groups, "ROOT", root)
    monkeypatch.setattr(groups, "OWN", tmp_path / "own")
    groups.hierarchies.cache_clear()
    yield root
    groups.hierarchies.cache_clear()


def control(folder: Path, *, procs: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "cgroup.subtree_control").write_text("")
    (folder / "cgroup.procs").write_text(procs)
    return folder


def test_version_2_bounds_all_processes_of_a_cell_and_lets_none_of_it_swap(tree: Path) -> None:
    control(tree / "aiact-sandbox")
    made = groups.make("cell", CELL)
    assert made is not None
    assert made.by == "cgroup v2"
    assert made.folders == (tree / "aiact-sandbox" / "cell",)
    assert (made.memory / "memory.max").read_text() == str(CELL.memory_bytes)
    assert (made.memory / "memory.oom.group").read_text() == "1"
    assert (made.pids / "pids.max").read_text() == "7"
    assert (tree / "aiact-sandbox" / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_version_2_measures_what_a_cell_used_and_what_the_kernel_ended(tree: Path) -> None:
    control(tree / "aiact-sandbox")
    made = groups.make("cell", CELL)
    assert made is not None
    assert (made.cpu_seconds(), made.peak_bytes(), made.memory_kills(), made.processes()) == (None, None, 0, [])
    (made.memory / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (made.memory / "memory.peak").write_text("4096\n")
    (made.memory / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (made.memory / "cgroup.procs").write_text("11\n12\n")
    assert (made.cpu_seconds(), made.peak_bytes(), made.memory_kills()) == (2.5, 4096, 2)
    assert made.processes() == [11, 12]


def test_swap_is_closed_where_the_kernel_counts_it(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control(tree / "aiact-sandbox")
    made = Path.mkdir

    def as_the_kernel_does(folder: Path, *args: object, **options: object) -> None:
        made(folder, *args, **options)  # type: ignore[arg-type]
        if folder.name == "cell":
            (folder / "memory.swap.max").write_text("max")

    monkeypatch.setattr(Path, "mkdir", as_the_kernel_does)
    group = groups.make("cell", CELL)
    assert group is not None
    assert (group.memory / "memory.swap.max").read_text() == "0"


def test_a_delegated_scope_is_used_where_the_root_is_closed_and_its_processes_step_aside(
    tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scope = control(tree / "user.slice" / "worker.scope", procs="41\n42\n")
    control(scope / "aiact-sandbox")
    (tmp_path / "own").write_text("0::/user.slice/worker.scope\n")
    second = groups._second
    monkeypatch.setattr(groups, "_second", lambda root: None if root == tree else second(root))
    made = groups.hierarchies()
    assert made is not None
    assert made.memory == made.pids == scope / "aiact-sandbox"
    assert (scope / "aiact-sandbox-workers" / "cgroup.procs").read_text() == "42"
    assert (scope / "cgroup.subtree_control").read_text() == "+memory +pids"
    # What the worker starts later is in the group beside; it finds the same place.
    (tmp_path / "own").write_text("0::/user.slice/worker.scope/aiact-sandbox-workers\n")
    (scope / "cgroup.procs").write_text("")
    groups.hierarchies.cache_clear()
    assert groups.hierarchies() == made


@pytest.mark.parametrize("own", ["0::/", "0::/nowhere.scope", "5:memory:/old", ""])
def test_without_a_group_to_write_to_there_is_none(
    tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str
) -> None:
    (tmp_path / "own").write_text(own)
    second = groups._second
    monkeypatch.setattr(groups, "_second", lambda root: None if root == tree else second(root))
    assert groups.hierarchies() is None
    assert groups.make("cell", CELL) is None


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_no_limit_can_be_switched_off(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be above 0"):
        replace(Limits(), **{name: value})


def test_a_group_beside_the_workers_own_namespace_is_found_by_its_name(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"docker-{'ab' * 32}.scope"
    group = control(tree / "system.slice" / name)
    read = Path.read_text
    told = {"/proc/77/cgroup": f"0::/../{name}\n", "/proc/78/cgroup": "0::/../docker-gone.scope\n"}
    monkeypatch.setattr(Path, "read_text", lambda self, *how: told.get(str(self)) or read(self, *how))
    found = groups.of_process(77)
    assert found is not None
    assert (found.version, found.memory) == (2, group)
    assert groups.of_process(78) is None
