"""Uploads come in a stream, are hashed, and are gone unless they are kept; a dossier is zipped the same every time."""

from __future__ import annotations

import hashlib
import os
import stat
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.records import uploads
from sandbox.settings import Settings


def test_an_upload_is_hashed_and_kept_under_its_id(settings: Settings) -> None:
    receiving = uploads.Receiving(settings, "a" * 32)
    for piece in (b"one", b"two"):
        receiving.write(piece)
    path = receiving.keep()
    receiving.close()
    assert path.read_bytes() == b"onetwo"
    assert receiving.digest == hashlib.sha256(b"onetwo").hexdigest()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_upload_that_is_not_kept_is_gone(settings: Settings) -> None:
    receiving = uploads.Receiving(settings, "a" * 32)
    receiving.write(b"one")
    receiving.close()
    receiving.close()
    assert list(uploads.uploads(settings).iterdir()) == []


def test_an_upload_past_the_limit_is_refused(settings: Settings) -> None:
    receiving = uploads.Receiving(replace(settings, upload_bytes=5), "a" * 32)
    receiving.write(b"12345")
    with pytest.raises(uploads.TooLarge):
        receiving.write(b"6")
    receiving.close()
    assert list(uploads.uploads(settings).iterdir()) == []


def test_the_same_folder_gives_the_same_zip_at_any_time(tmp_path: Path) -> None:
    folder = tmp_path / "dossier"
    (folder / "plots").mkdir(parents=True)
    (folder / "plots" / "b.svg").write_text("b")
    (folder / "a.json").write_text("a")
    uploads.zip_dossier(folder, tmp_path / "one.zip")
    os.utime(folder / "a.json", (1, time.time() - 5000))
    (folder / "a.json").chmod(0o600)
    uploads.zip_dossier(folder, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == ["a.json", "plots/b.svg"]
        assert archive.read("plots/b.svg") == b"b"


def test_a_link_in_a_dossier_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "dossier"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    uploads.zip_dossier(folder, tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == []
    assert uploads.files_of(folder) == ()
