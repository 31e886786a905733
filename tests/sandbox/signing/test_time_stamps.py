"""A signature can be stamped with the time by somebody else, and the stamp checked by certificates from elsewhere."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import signing, timestamps, verifying
from sandbox.errors import Refused
from sandbox.verifying import verify
from tests.make import dossiers
from tests.make.assessments import assessment
from tests.make.time_stamps import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A time-stamping authority."""
    return Authority(tmp_path_factory.mktemp("authorities") / "one")


@pytest.fixture
def stamped(tmp_path: Path, authority: Authority) -> Iterator[Path]:
    """A dossier that is signed and stamped, with a countersignature that is stamped too."""
    folder = dossiers.bare(tmp_path / "dossier", assessment())
    for name in ("ours", "reviewer"):
        signing.sign(
            folder,
            dossiers.key(tmp_path, name),
            stamp=lambda signature: timestamps.ask("here", signature, lambda _, request: authority.answer(request)),
        )
    return folder


def test_a_stamp_says_when_and_by_whom_and_is_checked_by_certificates_from_elsewhere(
    stamped: Path, authority: Authority
) -> None:
    found = verify(stamped, timestamp_roots=authority.root)
    assert found.unchanged, found.problems
    for signature in found.signatures:
        assert signature.stamp is not None
        assert signature.stamp.checked
        assert signature.stamp.by == "CN=Test authority root"
        assert abs((dt.datetime.now(dt.UTC) - signature.stamp.at).total_seconds()) < 120
    assert "certificate was checked" in found.as_text()
    assert "signer's own statement" not in found.as_text()


def test_without_certificates_it_is_said_that_nobody_was_checked(stamped: Path) -> None:
    found = verify(stamped)
    assert found.unchanged
    assert "not checked: no certificates were given" in found.as_text()


def test_an_authority_of_nobodys_choice_is_noticed(stamped: Path, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "Stranger")
    found = verify(stamped, timestamp_roots=other.root)
    assert {(p.field, p.code) for p in found.problems} == {
        ("timestamp", "timestamp.unfit"),
        ("timestamp.1", "timestamp.unfit"),
    }


def test_a_stamp_of_another_signature_or_of_none_is_noticed(stamped: Path) -> None:
    first, second = stamped / "timestamp", stamped / "timestamp.1"
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    assert {p.field for p in verify(stamped).problems} == {"timestamp"}
    first.write_bytes(kept)
    second.rename(stamped / "timestamp.2")
    assert {(p.field, p.code) for p in verify(stamped).problems} == {("timestamp.2", "timestamp.alone")}


def test_every_flipped_byte_of_a_stamp_is_noticed(stamped: Path) -> None:
    content, signature = (stamped / "timestamp.1").read_bytes(), (stamped / "signature.1").read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        with pytest.raises(timestamps.Unfit):
            timestamps.read(bytes(changed), signature)
    for position in (0, len(content) // 2, len(content) - 1):
        (stamped / "timestamp.1").write_bytes(content)
        dossiers.flip(stamped / "timestamp.1", position)
        assert {p.field for p in verify(stamped).problems} == {"timestamp.1"}, position


def test_every_flipped_byte_of_a_countersignature_is_noticed(stamped: Path) -> None:
    content = (stamped / "signature.1").read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        _, problems = verifying._signature("signature.1", bytes(changed), None)
        assert {p.field for p in problems} == {"signature.1"}, position
    (stamped / "signature.1").write_bytes(bytes(changed))
    assert {p.field for p in verify(stamped).problems} == {"signature.1", "timestamp.1"}


def test_whatever_stands_in_a_stamp_is_a_problem_or_a_stamp_and_never_a_crash(stamped: Path) -> None:
    signature = (stamped / "signature").read_bytes()
    answer = base64.b64decode(json.loads((stamped / "timestamp").read_bytes())["response"])
    for position, bit in itertools.product(range(len(answer)), (1, 0x80)):
        changed = bytearray(answer)
        changed[position] ^= bit
        with contextlib.suppress(timestamps.Unfit):
            timestamps.read(timestamps._written(bytes(changed)), signature)


def test_a_byte_flipped_inside_the_answer_is_noticed_even_by_who_mends_the_hash(
    stamped: Path, authority: Authority
) -> None:
    answer = bytearray(base64.b64decode(json.loads((stamped / "timestamp").read_bytes())["response"]))
    answer[-5] ^= 1  # in the authority's own signature
    (stamped / "timestamp").write_bytes(timestamps._written(bytes(answer)))
    assert {p.field for p in verify(stamped, timestamp_roots=authority.root).problems} == {"timestamp"}


@pytest.mark.parametrize(
    "answer", [b"", b"not a stamp", b"\x30\x03\x02\x01\x02"], ids=["nothing", "text", "another structure"]
)
def test_what_is_no_stamp_leaves_the_dossier_unsigned(tmp_path: Path, answer: bytes) -> None:
    folder = dossiers.bare(tmp_path / "dossier", assessment())
    with pytest.raises(Refused, match="no time stamp by here"):
        signing.sign(
            folder,
            dossiers.key(tmp_path),
            stamp=lambda signature: timestamps.ask("here", signature, lambda _, __: answer),
        )
    assert not (folder / "signature").exists()


def test_an_answer_to_another_request_is_refused(tmp_path: Path, authority: Authority) -> None:
    recorded: list[bytes] = []

    def replaying(_: str, request: bytes) -> bytes:
        recorded.append(authority.answer(request))
        return recorded[0]

    timestamps.ask("here", b"one", replaying)
    with pytest.raises(Refused, match="another request"):
        timestamps.ask("here", b"one", replaying)


def test_a_refusal_of_the_authority_is_told(authority: Authority) -> None:
    with pytest.raises(Refused, match="not granted"):
        timestamps.ask("here", b"one", lambda _, request: authority.answer(request[:-4]))


@pytest.mark.network
@pytest.mark.enable_socket
def test_an_authority_is_asked_over_http_and_one_that_is_down_leaves_the_dossier_unsigned(
    tmp_path: Path, authority: Authority
) -> None:
    folder = dossiers.bare(tmp_path / "dossier", assessment())
    with authority.listening() as address:
        signing.sign(folder, dossiers.key(tmp_path), stamp=timestamps.by(address))
    assert verify(folder, timestamp_roots=authority.root, key_list=tmp_path / "keys.json").unchanged
    with pytest.raises(Refused, match="no time stamp by"):
        signing.sign(folder, dossiers.key(tmp_path, "reviewer"), stamp=timestamps.by(address))
    assert not (folder / "signature.1").exists()
