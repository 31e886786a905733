"""Which wall is chosen, what is said of it, and what happens where none can be built."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.errors import CellUnavailable
from sandbox.isolation import bubblewrap, choose, docker, seccomp
from sandbox.isolation.interface import CellFiles, Limits
from sandbox.serving import serve
from sandbox.settings import Settings
from sandbox.worker import work
from tests.conftest import skip_or_fail


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which

    def blind(tool: str, path: str | None = None) -> str | None:
        return None if tool == "bwrap" else which(tool, path=path)

    monkeypatch.setattr(bubblewrap.shutil, "which", blind)


@pytest.mark.usefixtures("no_engine", "no_bubblewrap")
def test_without_any_wall_it_says_why_for_each_and_what_to_install(settings: Settings) -> None:
    with pytest.raises(CellUnavailable) as why:
        choose.choose("auto", settings)
    told = str(why.value)
    assert "docker: No Docker engine answers" in told
    assert "apt-get install docker.io" in told
    assert "bubblewrap: bwrap is not there: install bubblewrap" in told


@pytest.mark.bubblewrap
@pytest.mark.usefixtures("no_engine", "bwrap")
def test_auto_takes_bubblewrap_where_no_engine_answers_and_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "build_tree", lambda settings, progress: settings.state)
    chosen = choose.choose("auto", settings)
    assert chosen.isolation.name == "bubblewrap"
    assert len(chosen.notes) == 1
    assert "No Docker engine answers" in chosen.notes[0]


@pytest.mark.usefixtures("no_engine")
def test_docker_by_name_never_falls_back(settings: Settings) -> None:
    with pytest.raises(CellUnavailable, match="No Docker engine answers"):
        choose.choose("docker", settings)


@pytest.mark.usefixtures("no_bubblewrap")
def test_bubblewrap_by_name_never_falls_back(settings: Settings) -> None:
    with pytest.raises(CellUnavailable, match="bwrap is not there"):
        choose.choose("bubblewrap", settings)


def test_an_unknown_backend_is_named(settings: Settings) -> None:
    with pytest.raises(ValueError, match="auto, docker, bubblewrap"):
        choose.choose("chroot", settings)


@pytest.mark.docker
def test_a_runtime_that_the_engine_does_not_have_is_refused_not_replaced(settings: Settings) -> None:
    if docker.engine_unavailable(settings) is not None:
        skip_or_fail("no Docker engine answers")
    named = replace(settings, docker_runtime="runsc-not-there")
    with pytest.raises(CellUnavailable, match="no runtime 'runsc-not-there'"):
        docker.Docker(named).open(CellFiles(), Limits())


@pytest.mark.usefixtures("no_engine", "no_bubblewrap")
def test_doctor_has_a_line_with_a_remedy_for_each_backend_that_is_absent(settings: Settings) -> None:
    lines = choose.doctor_lines(settings)
    assert [(line.backend, line.probe, line.held) for line in lines] == [
        ("docker", "available", False),
        ("bubblewrap", "available", False),
    ]
    assert all("install" in line.mend for line in lines)


def test_without_libseccomp_bubblewrap_builds_no_wall(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp.ctypes.util, "find_library", lambda name: None)
    reason = seccomp.unavailable()
    assert reason is not None
    assert "apt-get install libseccomp2" in reason
    if shutil.which("bwrap"):
        assert bubblewrap.Bubblewrap(settings).available() == reason


@pytest.mark.bubblewrap
def test_a_kernel_without_namespaces_for_users_is_named_with_the_setting_that_opens_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, bwrap: str
) -> None:
    reason = "This machine lets no ordinary user make namespaces"
    monkeypatch.setattr(bubblewrap, "_namespaces", lambda: reason)
    assert bubblewrap.Bubblewrap(settings).available() == reason
    with pytest.raises(CellUnavailable, match=reason):
        bubblewrap.Bubblewrap(settings).open(CellFiles(), Limits())


@pytest.mark.docker
def test_the_image_is_named_by_all_that_decides_its_content(settings: Settings) -> None:
    name = docker.image_name(settings)
    assert name.startswith(f"{settings.cell_image}:")
    assert docker.image_name(replace(settings, cell_base_image="another:base")) != name
    assert docker.dockerfile() == Path(__file__).resolve().parents[3] / "Dockerfile"


@pytest.mark.usefixtures("no_engine")
def test_a_service_of_several_organisations_does_not_start_with_resource_limits_only(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = replace(settings, accounts="local")
    monkeypatch.setattr(choose.groups, "hierarchies", lambda: None)
    for start in (choose.refuse_weak_limits, work, serve):
        with pytest.raises(CellUnavailable, match="resource limits only"):
            start(shared)
    choose.refuse_weak_limits(replace(settings, accounts="off"))
    monkeypatch.setattr(choose.groups, "hierarchies", lambda: object())
    choose.refuse_weak_limits(shared)
    monkeypatch.setattr(choose.Podman, "available", lambda _: None)
    for per_process in (True, False):
        monkeypatch.setattr(choose, "bounded_per_process", lambda _, told=per_process: told)
        if per_process:
            with pytest.raises(CellUnavailable, match="resource limits only"):
                choose.refuse_weak_limits(replace(shared, isolation="podman"))
        else:
            choose.refuse_weak_limits(replace(shared, isolation="podman"))
