"""Keys are wrapped by a master key from a file, the environment or a token, and open with no other."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.keys.token import Place
from sandbox.records import keyring, uploads
from sandbox.records.examination import examine
from sandbox.records.tables import new_id
from sandbox.settings import Settings

Make = Callable[[str], str]


@pytest.fixture
def in_token(a_token: str) -> Make:
    """Makes an AES key in a token, and gives the reference to it."""

    def made(name: str) -> str:
        import pkcs11

        label = f"{name}-{new_id()[:8]}"
        reference = a_token.replace("OBJECT", label)
        with Place.of(reference, {}).opened(writing=True) as session:
            session.generate_key(pkcs11.KeyType.AES, 256, label=label, store=True)
        return reference

    return made


@pytest.fixture(params=["file", "digits", "environment", "token"])
def wrapped(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Settings:
    """Settings with a master key, given in each way."""
    if request.param == "token":
        return replace(settings, master_key_file=request.getfixturevalue("in_token")("wrapping"))
    raw = os.urandom(32)
    if request.param == "environment":
        monkeypatch.setenv(keyring.VARIABLE, raw.hex())
        return settings
    (tmp_path / "master").write_bytes(raw if request.param == "file" else raw.hex().encode())
    (tmp_path / "master").chmod(0o600)
    return replace(settings, master_key_file=str(tmp_path / "master"))


def receive(settings: Settings, content: bytes, submission_id: str) -> None:
    receiving = uploads.Receiving(settings, submission_id)
    receiving.write(content)
    receiving.keep()
    receiving.close()


def test_an_upload_s_key_is_wrapped_and_erasing_it_erases_the_upload(wrapped: Settings) -> None:
    receive(wrapped, b"a table with people", "a" * 32)
    (key,) = (wrapped.state / "keys").iterdir()
    assert keyring.is_wrapped(key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert b"".join(uploads.read_upload(wrapped, "a" * 32)) == b"a table with people"
    assert keyring.read(key, wrapped) not in key.read_bytes()
    key.unlink()
    with pytest.raises(FileNotFoundError):
        list(uploads.read_upload(wrapped, "a" * 32))


def test_a_key_is_bound_to_its_name_and_to_its_content(wrapped: Settings, tmp_path: Path) -> None:
    keyring.keep(tmp_path / "one.key", b"k" * 32, wrapped)
    assert keyring.read(tmp_path / "one.key", wrapped) == b"k" * 32
    (tmp_path / "two.key").write_bytes((tmp_path / "one.key").read_bytes())
    changed = bytearray((tmp_path / "one.key").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "one.key").write_bytes(changed)
    for name in ("one.key", "two.key"):
        with pytest.raises(keyring.NoMasterKey, match="another master key, or was changed"):
            keyring.read(tmp_path / name, wrapped)


def test_another_key_of_the_token_opens_nothing(settings: Settings, tmp_path: Path, in_token: Make) -> None:
    one, other = in_token("one"), in_token("other")
    keyring.keep(tmp_path / "a.key", b"k" * 32, replace(settings, master_key_file=one))
    with pytest.raises(keyring.NoMasterKey, match="another master key"):
        keyring.read(tmp_path / "a.key", replace(settings, master_key_file=other))
    with pytest.raises(keyring.NoMasterKey, match="no AES key named absent-"):
        keyring.keep(tmp_path / "b.key", b"k" * 32, replace(settings, master_key_file=one.replace("=one-", "=absent-")))
    assert not (tmp_path / "b.key").exists()
    with pytest.raises(keyring.NoMasterKey, match="PIN"):
        keyring.master(replace(settings, master_key_file=one.replace("/pin", "/no-such-file")))


def test_the_token_serves_several_threads(settings: Settings, tmp_path: Path, in_token: Make) -> None:
    mine = replace(settings, master_key_file=in_token("wrapping"))
    found = []

    def work(number: int) -> None:
        file = tmp_path / f"{number}.key"
        keyring.keep(file, bytes([number]) * 32, mine)
        found.append(keyring.read(file, mine)[0] == number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 6


def test_another_process_unwraps_what_this_one_wrapped(settings: Settings, in_token: Make) -> None:
    mine = replace(settings, master_key_file=in_token("wrapping"))
    receive(mine, b"a table with people", "a" * 32)
    reads = (
        "import sys; from pathlib import Path\nfrom sandbox.records import uploads\n"
        "from sandbox.settings import Settings\n"
        "given = Settings(state=Path(sys.argv[1]), master_key_file=sys.argv[2])\n"
        "sys.stdout.buffer.write(b''.join(uploads.read_upload(given, 'a' * 32)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", reads, str(mine.state), mine.master_key_file], capture_output=True, check=True
    )
    assert done.stdout == b"a table with people"


def test_the_examination_tries_the_token(settings: Settings, in_token: Make) -> None:
    mine = replace(settings, master_key_file=in_token("wrapping"))
    receive(mine, b"one", "a" * 32)
    (line,) = [line for line in examine(mine) if line.what == "master key"]
    assert (line.held, line.observed) == (True, "1 keys, 1 wrapped by the master key")
    gone = replace(mine, master_key_file=mine.master_key_file.replace("=wrapping-", "=absent-"))
    (line,) = [line for line in examine(gone) if line.what == "master key"]
    assert not line.held
