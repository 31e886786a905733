"""Uploads come in a stream, are hashed, and are gone unless they are kept; a dossier is zipped the same every time."""

from __future__ import annotations

import hashlib
import os
import stat
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.records import keyring, uploads
from sandbox.settings import Settings


def test_an_upload_is_hashed_and_kept_under_its_id(settings: Settings) -> None:
    receiving = uploads.Receiving(settings, "a" * 32)
    for piece in (b"one", b"two"):
        receiving.write(piece)
    receiving.keep()
    receiving.close()
    assert b"".join(uploads.read_upload(settings, "a" * 32)) == b"onetwo"
    assert receiving.digest == hashlib.sha256(b"onetwo").hexdigest()
    (path,) = (settings.state / "uploads").iterdir()
    assert (path.name, stat.S_IMODE(path.stat().st_mode)) == (f"{'a' * 32}.sealed", 0o600)


def test_an_upload_that_is_not_kept_is_gone(settings: Settings) -> None:
    receiving = uploads.Receiving(settings, "a" * 32)
    receiving.write(b"one")
    receiving.close()
    receiving.close()
    assert list((settings.state / "uploads").iterdir()) == []


def test_an_upload_past_the_limit_is_refused(settings: Settings) -> None:
    receiving = uploads.Receiving(replace(settings, upload_bytes=5), "a" * 32)
    receiving.write(b"12345")
    with pytest.raises(uploads.TooLarge):
        receiving.write(b"6")
    receiving.close()
    assert list((settings.state / "uploads").iterdir()) == []


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


def kept(settings: Settings, content: bytes = b"a table with people") -> str:
    receiving = uploads.Receiving(settings, "b" * 32)
    receiving.write(content)
    receiving.keep()
    receiving.close()
    return receiving.submission_id


def test_an_upload_lies_encrypted_and_comes_back_as_it_was_sent(settings: Settings) -> None:
    content = os.urandom(3) + b"people" * 700_000
    submission = kept(settings, content)
    assert b"people" not in (settings.state / "uploads" / f"{submission}.sealed").read_bytes()
    assert b"".join(uploads.read_upload(settings, submission)) == content
    with uploads.opened(settings, submission) as file:
        assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (content, 0o600)
    assert list((settings.state / "quarantine").iterdir()) == []


def test_an_upload_without_its_key_is_erased(settings: Settings) -> None:
    submission = kept(settings)
    copied = (settings.state / "uploads" / f"{submission}.sealed").read_bytes()
    assert uploads.remove_upload(settings, submission)
    assert not uploads.remove_upload(settings, submission)
    assert list((settings.state / "keys").iterdir()) == []
    (settings.state / "uploads" / f"{submission}.sealed").write_bytes(copied)
    with pytest.raises(FileNotFoundError):
        list(uploads.read_upload(settings, submission))


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), lambda raw: b""])
def test_a_changed_upload_is_noticed(settings: Settings, change: Callable[[bytes], bytes]) -> None:
    submission = kept(settings)
    path = settings.state / "uploads" / f"{submission}.sealed"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(uploads.Damaged):
        list(uploads.read_upload(settings, submission))


def test_an_upload_cannot_be_passed_off_as_another_one(settings: Settings) -> None:
    submission = kept(settings)
    other = "c" * 32
    (settings.state / "uploads" / f"{submission}.sealed").rename(settings.state / "uploads" / f"{other}.sealed")
    (settings.state / "keys" / f"{submission}.upload").rename(settings.state / "keys" / f"{other}.upload")
    with pytest.raises(uploads.Damaged):
        list(uploads.read_upload(settings, other))


def test_what_is_left_by_a_killed_receiver_is_removed_and_what_is_being_received_stays(settings: Settings) -> None:
    living = uploads.Receiving(settings, "a" * 32)
    dead = (settings.state / "uploads") / f"{'d' * 32}.{'e' * 32}.partial"
    dead.write_bytes(b"half")
    (settings.state / "keys" / f"{'d' * 32}.upload").write_bytes(b"k" * 32)
    for file in (settings.state / "uploads").iterdir():
        os.utime(file, (1, time.time() - 10))
    assert uploads.remove_partial(settings) == 1
    assert [p.name.partition(".")[0] for p in (settings.state / "uploads").iterdir()] == ["a" * 32]
    assert [p.name for p in (settings.state / "keys").iterdir()] == [f"{'a' * 32}.upload"]
    living.close()
    assert list(settings.state.rglob("*.upload")) == []


def test_a_key_is_wrapped_by_the_master_key_and_opens_with_no_other(settings: Settings, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(os.urandom(32))
    second.write_text("ab" * 32 + "\n")
    for file in (first, second):
        file.chmod(0o600)
    wrapped = replace(settings, master_key_file=str(first))
    submission = kept(wrapped)
    assert keyring.is_wrapped(settings.state / "keys" / f"{submission}.upload")
    assert b"".join(uploads.read_upload(wrapped, submission)) == b"a table with people"
    for wrong in (settings, replace(settings, master_key_file=str(second))):
        with pytest.raises(keyring.NoMasterKey):
            list(uploads.read_upload(wrong, submission))


def test_a_master_key_of_another_length_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keyring.VARIABLE, "0f")
    with pytest.raises(keyring.NoMasterKey, match="64 hexadecimal"):
        keyring.master(settings)


def test_a_master_key_that_everybody_can_read_is_refused(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "master"
    file.write_bytes(b"k" * 32)
    file.chmod(0o604)
    with pytest.raises(keyring.NoMasterKey, match="chmod"):
        keyring.master(replace(settings, master_key_file=str(file)))
