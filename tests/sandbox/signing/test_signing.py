"""A signature is a DSSE envelope around an in-toto statement, and countersignatures leave the first as it is."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import stat
from pathlib import Path

import pytest

from sandbox import signing, statement
from sandbox.errors import Refused
from sandbox.keys.held import KEY_VARIABLE, open_signer
from sandbox.keys.listed import key_id, load_key_list
from sandbox.verifying import verify
from tests.make import dossiers
from tests.make.assessments import assessment


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a key, its list, and an unsigned dossier of a few files."""
    dossiers.bare(tmp_path / "dossier", assessment())
    return tmp_path


def test_the_signature_is_read_by_the_libraries_of_its_standards(base: Path) -> None:
    from google.protobuf.json_format import ParseDict
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    key = dossiers.key(base)
    signing.sign(base / "dossier", key)
    envelope = Envelope.from_dict(json.loads((base / "dossier" / "signature").read_bytes()))
    public = SSlibKey.from_crypto(key.held.public_key(), key_id(key.public))
    assert list(envelope.verify([public], 1)) == [key_id(key.public)]
    assert envelope.pae() == statement.pae(envelope.payload)
    message = ParseDict(json.loads(envelope.payload), Message())
    Statement.copy_from_pb(message).validate()


def test_what_is_signed_are_the_list_and_every_file_and_a_summary_of_the_findings(base: Path) -> None:
    signing.sign(base / "dossier", dossiers.key(base), signed_at=dossiers.NOW)
    (facts,) = verify(base / "dossier").signatures
    names = {p.relative_to(base / "dossier").as_posix() for p in (base / "dossier").rglob("*") if p.is_file()}
    assert set(facts.subjects) == names - {"signature"}
    assert facts.subjects["SHA256SUMS"] == hashlib.sha256((base / "dossier" / "SHA256SUMS").read_bytes()).hexdigest()
    dossier = assessment().dossier
    assert facts.said["counts"] == dict(dossier.outcome_counts)
    assert facts.said["risk_class"] == dossier.risk.risk_class
    assert facts.said["rules_version"] == dossier.risk.rules_version
    assert facts.said["policy"] == {"name": dossier.policy.name, "version": dossier.policy.version}
    assert facts.said["dossier_digest"] == dossier.digest
    assert facts.signed_at == "2026-11-24T12:00:00+00:00"


def test_a_countersignature_leaves_the_first_as_it_is_and_signs_the_same_list(base: Path) -> None:
    signing.sign(base / "dossier", dossiers.key(base))
    first = (base / "dossier" / "signature").read_bytes()
    assert signing.sign(base / "dossier", dossiers.key(base, "reviewer")) == "signature.1"
    assert signing.sign(base / "dossier", dossiers.key(base, "second")) == "signature.2"
    assert (base / "dossier" / "signature").read_bytes() == first
    found = verify(base / "dossier", key_list=base / "keys.json")
    assert found.unchanged
    assert len({s.subjects["SHA256SUMS"] for s in found.signatures}) == 1
    assert [s.key_name for s in found.signatures] == ["ours", "reviewer", "second"]


def test_a_first_signature_taken_away_or_replaced_is_noticed_under_a_countersignature(base: Path) -> None:
    signing.sign(base / "dossier", dossiers.key(base))
    signing.sign(base / "dossier", dossiers.key(base, "reviewer"))
    other = dossiers.key(base, "other")
    first = base / "dossier" / "signature"
    first.unlink()
    assert {(p.field, p.code) for p in verify(base / "dossier").problems} == {("signature", "signature.gone")}
    counter = (base / "dossier" / "signature.1").read_bytes()
    (base / "dossier" / "signature.1").unlink()
    signing.sign(base / "dossier", other)
    (base / "dossier" / "signature.1").write_bytes(counter)
    assert {(p.field, p.code) for p in verify(base / "dossier").problems} == {("signature", "signature.replaced")}


def test_a_signature_with_the_wrong_key_in_it_does_not_hold(base: Path) -> None:
    ours, other = dossiers.key(base), dossiers.key(base, "other")
    signing.sign(base / "dossier", ours)
    file = base / "dossier" / "signature"
    envelope = json.loads(file.read_bytes())
    forged = other.held.sign(statement.pae(base64.b64decode(envelope["payload"])))
    envelope["signatures"][0]["sig"] = base64.b64encode(forged).decode()
    file.write_bytes(statement.written(envelope))
    assert [p.code for p in verify(base / "dossier").problems] == ["signature.invalid"]


def test_a_signer_who_states_another_summary_than_the_dossier_holds_is_noticed(base: Path) -> None:
    key = dossiers.key(base)
    sums = (base / "dossier" / "SHA256SUMS").read_bytes()
    read = verify(base / "dossier")
    assert read.dossier is not None
    assert read.run is not None
    said = {**statement.summary(read.dossier, read.run), "risk_class": "minimal"}
    payload = statement.statement(sums, said, public=key.public, before={}, signed_at=dossiers.NOW)
    (base / "dossier" / "signature").write_bytes(statement.written(signing.envelope(key, payload)))
    assert [p.code for p in verify(base / "dossier").problems] == ["signature.summary"]


def test_nobody_signs_a_dossier_that_was_changed_or_twice_with_one_key(base: Path) -> None:
    key = dossiers.key(base)
    signing.sign(base / "dossier", key)
    with pytest.raises(Refused, match="signed the dossier already"):
        signing.sign(base / "dossier", key)
    dossiers.flip(base / "dossier" / "run.json", 3)
    with pytest.raises(Refused, match="was changed"):
        signing.sign(base / "dossier", dossiers.key(base, "other"))


def test_a_private_key_is_its_owners_alone_and_never_overwritten_or_shown(base: Path) -> None:
    key = dossiers.key(base)
    assert stat.S_IMODE((base / "ours.pem").stat().st_mode) == 0o600
    assert repr(key) == f"PrivateKey({key_id(key.public)})"
    with pytest.raises(FileExistsError):
        dossiers.key(base)
    assert len(load_key_list(base / "keys.json").keys) == 1
    assert "PRIVATE" not in (base / "keys.json").read_text()


def test_a_key_comes_from_the_environment_where_no_file_is_named(base: Path) -> None:
    key = dossiers.key(base)
    environment = {KEY_VARIABLE: (base / "ours.pem").read_text()}
    assert open_signer("", environment).public == key.public
    with pytest.raises(Refused, match="no key"):
        open_signer("", {})


def test_what_is_no_ed25519_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for content in (other, b"secret words that are no key"):
        (tmp_path / "k.pem").write_bytes(content)
        with pytest.raises(Refused) as refused:
            open_signer(str(tmp_path / "k.pem"))
        assert "secret words" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "keys: 3", "{", "keys: [{id: a, public_key: b, name: c, valid_from: 2026-01-01}]", "a: &x [*x]"],
)
def test_what_is_no_key_list_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys").write_text(content)
    if content == "":
        with pytest.raises(Refused):
            load_key_list(tmp_path / "keys")
        return
    with pytest.raises(Refused) as refused:
        load_key_list(tmp_path / "keys")
    assert refused.value.problems[0].field == "key_list"


def test_an_id_that_is_not_of_its_key_is_refused(base: Path) -> None:
    dossiers.key(base)
    given = json.loads((base / "keys.json").read_text())
    given["keys"][0]["id"] = "0" * 64
    (base / "keys.json").write_text(json.dumps(given))
    with pytest.raises(Refused, match="SHA-256 of its public key"):
        load_key_list(base / "keys.json")


def test_the_last_day_of_a_key_may_not_lie_before_its_first(base: Path) -> None:
    with pytest.raises(Refused, match="lies before its first"):
        dossiers.key(base, "odd", valid_from=dt.date(2026, 2, 1), valid_until=dt.date(2026, 1, 1))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"abc  file\n",
        b"A" * 64 + b"  file\n",
        b"a" * 64 + b" file\n",
        b"a" * 64 + b"  file",
        (b"a" * 64 + b"  file\n") * 2,
        b"a" * 64 + b"  signature\n",
        b"a" * 64 + b"  SHA256SUMS\n",
        b"\xff" * 70,
        b"a" * 64 + b"  file\r\n",
    ],
)
def test_a_list_of_hashes_is_read_strictly(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each says something else
        statement.parse_sums(raw)


def test_a_service_with_a_key_signs_what_it_judges_and_hands_nothing_over_without_it(base: Path) -> None:
    from sandbox.errors import NotSigned
    from sandbox.judge_again import judge_again
    from sandbox.settings import Settings

    dossiers.key(base)
    settings = Settings(state=base / "state", signing=str(base / "ours.pem"))
    dossiers.whole(base / "before", assessment())
    judge_again(base / "before", out=base / "after", settings=settings, languages=["en"])
    found = verify(base / "after", key_list=base / "keys.json")
    assert found.unchanged
    assert len(found.signatures) == 1
    (base / "ours.pem").unlink()
    with pytest.raises(NotSigned, match="could not be signed"):
        judge_again(base / "before", out=base / "never", settings=settings, languages=["en"])
    assert not (base / "never").exists()
