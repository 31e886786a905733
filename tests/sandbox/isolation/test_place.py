"""Leases, user ids and files of cells on the host."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from sandbox.errors import CellUnavailable
from sandbox.isolation import place
from sandbox.isolation.interface import CellFiles
from sandbox.settings import Settings

AS_ROOT = os.geteuid() == 0


def test_no_two_leases_share_a_user_id(settings: Settings) -> None:
    taken = [place.take(settings, "bubblewrap", own_user=AS_ROOT) for _ in range(8)]
    try:
        assert len({lease.name for lease in taken}) == 8
        if AS_ROOT:
            assert len({lease.user_id for lease in taken}) == 8
            assert all(place.FIRST_USER_ID <= lease.user_id < place.FIRST_USER_ID + place.USER_IDS for lease in taken)
        assert {lease.name for lease in place.leases(settings)} == {lease.name for lease in taken}
        assert all(lease.owner_lives() for lease in taken)
    finally:
        for lease in taken:
            lease.end()
    assert place.leases(settings) == []


def test_when_every_user_id_is_taken_no_cell_is_opened(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "USER_IDS", 1)
    monkeypatch.setattr(place, "FIRST_USER_ID", 771_234)
    lease = place.take(settings, "docker", own_user=True)
    try:
        with pytest.raises(CellUnavailable, match="Every user id for cells is taken"):
            place.take(settings, "docker", own_user=True)
    finally:
        lease.end()


def test_a_lease_of_a_reused_process_id_or_of_another_boot_has_no_living_owner(settings: Settings) -> None:
    lease = place.take(settings, "bubblewrap", own_user=AS_ROOT)
    try:
        lease.owner_started += 1
        assert not lease.owner_lives()
        lease.owner_started -= 1
        lease.boot = "another"
        assert not lease.owner_lives()
    finally:
        lease.end()


def test_the_files_of_a_cell_are_writable_by_nobody_and_closed_to_strangers(settings: Settings, tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "deep").mkdir(parents=True)
    (model / "deep" / "weights.bin").write_bytes(b"w")
    lease = place.take(settings, "bubblewrap", own_user=AS_ROOT)
    try:
        inbox = place.fill(lease, CellFiles(model=model), place.CELL_CODE)
        for folder, _, names in os.walk(inbox.folder):
            for path in (Path(folder), *(Path(folder) / name for name in names)):
                mode = path.lstat().st_mode
                assert mode & 0o007 == 0
                if not stat.S_ISSOCK(mode) and path != inbox.folder:
                    assert mode & 0o222 == 0
                if AS_ROOT:
                    assert (path.lstat().st_uid, path.lstat().st_gid) == (0, lease.user_id)
        assert (inbox.folder / "model" / "model" / "deep" / "weights.bin").read_bytes() == b"w"
        place.stop_listening(inbox)
        assert not (inbox.folder / "socket" / "s").exists()
    finally:
        lease.end()
    assert not Path(lease.folder).exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "socket"])
def test_only_files_and_folders_enter(settings: Settings, tmp_path: Path, kind: str) -> None:
    strange = tmp_path / "m"
    if kind == "link":
        strange.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(strange)
    else:
        with socket.socket(socket.AF_UNIX) as made:
            handle = os.open(tmp_path, os.O_PATH)
            made.bind(f"/proc/self/fd/{handle}/m")
            os.close(handle)
    lease = place.take(settings, "bubblewrap", own_user=AS_ROOT)
    try:
        with pytest.raises(CellUnavailable, match="neither a file nor a folder"):
            place.fill(lease, CellFiles(model=strange), place.CELL_CODE)
    finally:
        lease.end()


def test_the_environment_of_a_cell_takes_nothing_from_the_worker_but_what_openblas_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    named = place.environment()
    assert named["OPENBLAS_CORETYPE"] == "Haswell"
    assert set(named) <= {
        "PATH",
        "HOME",
        "LC_ALL",
        "PYTHONHASHSEED",
        "OMP_NUM_THREADS",
        "OMP_WAIT_POLICY",
        "OPENBLAS_NUM_THREADS",
        "OPENBLAS_CORETYPE",
        "OPENBLAS_L2_SIZE",
    }


def test_the_installation_keeps_its_identity(settings: Settings) -> None:
    assert place.installation(settings) == place.installation(settings)
    assert len(place.installation(settings)) == 32
