"""A key may be in a token or with another process; what it signs is the same, and it never comes here."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import signing, statement
from sandbox.errors import Refused
from sandbox.keys.held import new_key, open_signer
from sandbox.keys.process import serving
from sandbox.verifying import verify
from tests.make import dossiers
from tests.make.assessments import assessment
from tests.make.tokens import MODULE, PIN


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with an unsigned dossier of a few files."""
    dossiers.bare(tmp_path / "dossier", assessment())
    return tmp_path


# ---- a token


@pytest.fixture
def token(a_token: str) -> str:
    """A reference to a key that is not there yet, in a token that is."""
    return a_token.replace("OBJECT", "dossiers")


def test_a_key_made_in_a_token_signs_and_never_leaves_it(base: Path, token: str) -> None:
    public = new_key(token, name="ours", key_list=base / "keys.json", valid_from=dt.date(2026, 1, 1))
    signer = open_signer(token)
    assert signing.sign(base / "dossier", signer) == "signature"
    found = verify(base / "dossier", key_list=base / "keys.json")
    assert found.unchanged
    assert found.signatures[0].key_id == public.id
    assert repr(signer) == f"TokenKey({public.id})"
    assert PIN not in repr(signer)
    with pytest.raises(FileExistsError, match="none is overwritten"):
        new_key(token, name="again", key_list=base / "keys.json", valid_from=dt.date(2026, 1, 1))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("token=ours", "token=another"), "key.token"),
        (("object=dossiers", "object=another"), "key.missing"),
        (("object=dossiers", ""), "key.reference"),
        (("object=dossiers", "object=dossiers;colour=red"), "key.reference"),
        ((f"module-path={MODULE}", "module-path=/nowhere/library.so"), "key.token"),
        (("/pin", "/no-such-file"), "key.pin"),
    ],
)
def test_what_is_wrong_with_a_reference_to_a_token_is_said(token: str, change: tuple[str, str], code: str) -> None:
    with pytest.raises(Refused) as refused:
        open_signer(token.replace(*change))
    assert [p.code for p in refused.value.problems] == [code]


def test_a_wrong_pin_is_said_without_showing_it(token: str, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("987654")
    with pytest.raises(Refused, match="does not take this PIN") as refused:
        open_signer(f"{token.partition('&')[0]}&pin-source=file:{tmp_path}/pin")
    assert "987654" not in str(refused.value)


# ---- another process


@pytest.fixture
def elsewhere(base: Path) -> Iterator[str]:
    """A process (here a thread) that holds the key of `ours.pem`."""
    with serving(dossiers.key(base), base / "signer.sock"):
        yield f"unix:{base}/signer.sock"


def test_a_signing_process_signs_a_dossier_and_shows_its_public_key_alone(base: Path, elsewhere: str) -> None:
    signer = open_signer(elsewhere)
    assert signing.sign(base / "dossier", signer) == "signature"
    assert verify(base / "dossier", key_list=base / "keys.json").unchanged
    assert (base / "signer.sock").stat().st_mode & 0o777 == 0o660


def said(base: Path, signer: object, /, **changes: object) -> bytes:
    """A statement about the dossier as it is, but for some parts of it."""
    import json

    read = verify(base / "dossier")
    assert read.dossier is not None
    assert read.run is not None
    payload = statement.statement(
        (base / "dossier" / "SHA256SUMS").read_bytes(),
        statement.summary(read.dossier, read.run),
        public=signer.public,  # type: ignore[attr-defined]
        before={},
        signed_at=dt.datetime.now(dt.UTC),
    )
    given = json.loads(payload)
    for part, value in changes.items():
        (given["predicate"] if part in given["predicate"] else given)[part] = value
    return json.dumps(given, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def test_it_signs_a_statement_of_now_by_its_own_key(base: Path, elsewhere: str) -> None:
    signer = open_signer(elsewhere)
    assert len(signer.sign(statement.pae(said(base, signer)))) == 64


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "another type"),
        ({"predicateType": "https://slsa.dev/provenance/v1"}, "another type"),
        (
            {"subject": [{"name": "a", "digest": {"sha256": "0" * 64}, "content": "text"}]},
            "more than names and digests",
        ),
        ({"subject": [{"name": "a", "digest": {"sha256": "no digest"}}]}, "cannot be read"),
        ({"signed_at": "2020-01-01T00:00:00+00:00"}, "seconds from now"),
        ({"signer": {"key_id": "0" * 64, "public_key": "AAAA"}}, "names another key"),
    ],
)
def test_it_signs_nothing_but_statements_about_digests(
    base: Path, elsewhere: str, changes: dict[str, object], why: str
) -> None:
    signer = open_signer(elsewhere)
    with pytest.raises(Refused, match=why):
        signer.sign(statement.pae(said(base, signer, **changes)))


@pytest.mark.parametrize("message", [b"a message of another program", statement.pae(b"{}")[:-1], statement.pae(b"[1]")])
def test_it_signs_no_message_of_another_program(base: Path, elsewhere: str, message: bytes) -> None:
    with pytest.raises(Refused, match="does not sign this"):
        open_signer(elsewhere).sign(message)


def test_a_caller_who_breaks_off_or_sends_too_much_harms_nobody(base: Path, elsewhere: str) -> None:
    for sent in (b"", b"\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x09abc"):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(elsewhere.removeprefix("unix:"))
            line.sendall(sent)
    assert len(open_signer(elsewhere).public) == 32


def test_where_no_process_answers_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no signing process answers"):
        open_signer(f"unix:{tmp_path}/nobody.sock")
