"""Sign a dossier: a detached Ed25519 signature over its list of hashes, and the public list of keys it is checked by.

What is signed is `SHA256SUMS`, which lists every file of the dossier but itself and the signatures. The signature is a
DSSE envelope around an in-toto statement: its subjects are `SHA256SUMS` and every file listed there, its predicate is
the summary of the findings. The first signature is the file `signature`; each further one (`signature.1`, ...) is a
countersignature over the same list, which names the signatures that were there before it. It is an electronic
signature by whoever holds the key; it is not a qualified electronic signature, and the time in it is the signer's own.

Assumes of its caller: the private key is the caller's to use, and its file is kept from others. Keys come from a file
or an environment variable; a key in a hardware token (PKCS#11) needs another `Signer` and is not offered yet.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sandbox.errors import Problem, Refused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from model_cards.dossier import Dossier, Run

SUMS: Final = "SHA256SUMS"
FIRST: Final = "signature"
NAMED: Final = re.compile(r"signature(\.[1-9][0-9]{0,3})?")
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:aiact-sandbox:dossier:1"
KEY_VARIABLE: Final = "AIACT_SANDBOX_SIGNING_KEY"
"""Environment variable that may hold the private key itself, as PEM."""

FIXED_TIME: Final = (1980, 1, 1, 0, 0, 0)
_SUM: Final = re.compile(r"([0-9a-f]{64})  ([^\x00-\x1f\x7f]+)")


class PublicKey(BaseModel):
    """One key of the public key list.

    Args:
        id: SHA-256 of the 32 bytes of the public key, hexadecimal; so an id names one key and no other.
        public_key: those 32 bytes in base64.
        name: whose key it is, for the reader.
        valid_from, valid_until: first and last day (UTC) that the key signs on; no last day where None.
        revoked: day it was revoked; nothing signed with it is accepted any more, whatever its date. None if it was not.
        reason: why it was revoked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    public_key: str
    name: str
    valid_from: dt.date
    valid_until: dt.date | None = None
    revoked: dt.date | None = None
    reason: str = ""

    @field_validator("valid_until", "revoked", mode="before")
    @classmethod
    def _nothing(cls, value: Any) -> Any:
        return None if value in ("", "null", "~") else value

    @field_validator("public_key")
    @classmethod
    def _thirty_two_bytes(cls, value: str) -> str:
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as wrong:
            raise ValueError("is not base64") from wrong
        if len(raw) != 32:
            raise ValueError("is not an Ed25519 public key: it must be 32 bytes")
        return value

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the key."""
        return base64.b64decode(self.public_key)


class KeyList(BaseModel):
    """The public list of keys, published by whoever signs; it must come from elsewhere than the dossier.

    Args:
        format: version of this format.
        keys: old keys stay in it, so that what they signed can still be checked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = "1"
    keys: tuple[PublicKey, ...] = Field(default=())

    @field_validator("format", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @field_validator("keys")
    @classmethod
    def _ids_fit(cls, keys: tuple[PublicKey, ...]) -> tuple[PublicKey, ...]:
        for key in keys:
            if key.id != key_id(key.raw):
                raise ValueError(f"the id of {key.name!r} is not the SHA-256 of its public key")
        if len({key.id for key in keys}) != len(keys):
            raise ValueError("a key stands in it twice")
        return keys

    def find(self, wanted: str) -> PublicKey | None:
        """Give the key of an id, or None."""
        return next((key for key in self.keys if key.id == wanted), None)


class Signer(Protocol):
    """Something that holds one private key and signs with it."""

    @property
    def public(self) -> bytes:
        """Its public key, 32 bytes."""
        ...

    def envelope(self, payload: bytes) -> dict[str, Any]:
        """Sign a payload.

        Args:
            payload: the in-toto statement, as bytes.

        Returns:
            The DSSE envelope as JSON types.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey:
    """An Ed25519 key held in this process.

    Args:
        public: its public key, 32 bytes.
        held: the key itself; not shown.
    """

    public: bytes
    held: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"PrivateKey({key_id(self.public)})"

    def envelope(self, payload: bytes) -> dict[str, Any]:
        """Sign a payload as DSSE says, by securesystemslib."""
        from securesystemslib.dsse import Envelope
        from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]  # not in its __all__

        public = SSlibKey.from_crypto(self.held.public_key(), key_id(self.public))
        envelope = Envelope(payload, PAYLOAD_TYPE, {})
        envelope.sign(CryptoSigner(self.held, public))
        given: dict[str, Any] = envelope.to_dict()
        return given


def key_id(public: bytes) -> str:
    """Name a public key: the SHA-256 of its 32 bytes, hexadecimal."""
    return hashlib.sha256(public).hexdigest()


def load_key(path: Path | None, environment: Mapping[str, str] | None = None) -> PrivateKey:
    """Read the private key from a file or, without one, from the environment.

    Args:
        path: PEM file (PKCS#8, without passphrase), as `new_key` writes it.
        environment: the variables to look in; the process's own where not given.

    Raises:
        Refused: there is no key, or it is not an Ed25519 key. The message never holds any of it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    env = os.environ if environment is None else environment
    if path is not None:
        try:
            pem = path.read_bytes()
        except OSError as gone:
            raise _refused("key", "key.missing", f"the key file {path} cannot be read") from gone
    elif env.get(KEY_VARIABLE):
        pem = env[KEY_VARIABLE].encode()
    else:
        raise _refused("key", "key.missing", f"no key: name its file with --key, or put its PEM text in {KEY_VARIABLE}")
    try:
        held = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as wrong:
        message = "this is not a private key as PEM (PKCS#8, without passphrase); `aiact-sandbox new-key` makes one"
        raise _refused("key", "key.unreadable", message) from wrong
    if not isinstance(held, Ed25519PrivateKey):
        raise _refused("key", "key.kind", "this is not an Ed25519 key; `aiact-sandbox new-key` makes one")
    return PrivateKey(public=held.public_key().public_bytes_raw(), held=held)


def new_key(
    out: Path, *, name: str, key_list: Path, valid_from: dt.date, valid_until: dt.date | None = None
) -> PublicKey:
    """Make a key pair: the private key in a new file of its own, the public key added to a key list.

    Args:
        out: file for the private key; made readable to its owner alone, and never overwritten.
        name: whose key it is, for the reader of the key list.
        key_list: JSON file of the list; made where it is not there yet.
        valid_from, valid_until: see `PublicKey`.

    Raises:
        FileExistsError: there is a file at `out` already.
        Refused: the key list is there and cannot be read, or the days are the wrong way round.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if valid_until is not None and valid_until < valid_from:
        raise _refused("valid_until", "key.days", "the last day of the key lies before its first")
    known = load_key_list(key_list) if key_list.exists() else KeyList()
    held = Ed25519PrivateKey.generate()
    raw = held.public_key().public_bytes_raw()
    public = PublicKey(
        id=key_id(raw),
        public_key=base64.b64encode(raw).decode(),
        name=name,
        valid_from=valid_from,
        valid_until=valid_until,
    )
    pem = held.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as there:
        raise FileExistsError(f"{out} exists already; a key is never overwritten") from there
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
    listed = KeyList(format=known.format, keys=(*known.keys, public))
    text = json.dumps(listed.model_dump(mode="json"), ensure_ascii=False, indent=2) + "\n"
    _replace(key_list, text.encode())
    return public


def load_key_list(path: Path) -> KeyList:
    """Read a key list, YAML or JSON.

    Raises:
        Refused: it cannot be read, or it is not a key list; says where and what.
    """
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
        # Every scalar is text: a date stays as it was written until the model reads it.
        given = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  # the base loader makes text only
        return KeyList.model_validate(given)
    except OSError as gone:
        raise _refused("key_list", "key_list.missing", f"the key list {path} cannot be read") from gone
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "key list"
        raise _refused("key_list", "key_list.unreadable", f"{where}: {first['msg']}") from wrong
    except (ValueError, yaml.YAMLError) as wrong:
        raise _refused("key_list", "key_list.unreadable", "the key list is neither YAML nor JSON") from wrong


def sums_of(folder: Path) -> bytes:
    """Write the list of the hashes of all files of a folder, but of the list itself and the signatures."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in names
        if name != SUMS and not NAMED.fullmatch(name)
    ]
    return "".join(lines).encode()


def parse_sums(raw: bytes) -> dict[str, str]:
    """Read `SHA256SUMS`: the SHA-256 of every file by its path.

    Raises:
        ValueError: a line is not a hash, two spaces and a path; a path stands there twice, or is one of the signatures
            or the list itself; the last line has no end. Strict, so that no byte of it can change unnoticed.
    """
    text = raw.decode("utf-8")
    if not text.endswith("\n"):
        raise ValueError("its last line has no end")
    sums: dict[str, str] = {}
    for number, line in enumerate(text[:-1].split("\n"), 1):
        found = _SUM.fullmatch(line)
        if found is None:
            raise ValueError(f"line {number} is not a SHA-256, two spaces and a path")
        if found[2] in sums or found[2] == SUMS or NAMED.fullmatch(found[2]):
            raise ValueError(f"line {number} names {found[2]}, which may not stand there (again)")
        sums[found[2]] = found[1]
    return sums


def signature_names(names: Iterable[str]) -> tuple[str, ...]:
    """Pick the signatures out of file names: the first, then countersignatures by number."""
    found = [name for name in names if NAMED.fullmatch(name)]
    return tuple(sorted(found, key=lambda name: int(name.partition(".")[2] or 0)))


def pae(payload: bytes) -> bytes:
    """Give the bytes that a DSSE signature is over."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def written(envelope: Mapping[str, Any]) -> bytes:
    """Write an envelope in its one form, so that a changed byte is seen even where it would mean the same."""
    return (json.dumps(envelope, sort_keys=True, indent=2) + "\n").encode()


def summary(dossier: Dossier, run: Run) -> dict[str, Any]:
    """Give what the predicate says of the findings; it follows from the dossier's own files."""
    counts = dossier.outcome_counts
    return {
        "attested_by": run.attested_by,
        "as_of": dossier.risk.as_of.isoformat(),
        "counts": {name: counts[name] for name in ("beyond", "undecided", "within", "errors")},
        "dossier_digest": run.dossier_digest,
        "evidence_digest": dossier.submission.evidence_digest,
        "policy": {"name": dossier.policy.name, "version": dossier.policy.version},
        "risk_class": str(dossier.risk.risk_class),
        "route": dossier.submission.route.value,
        "rules_version": dossier.risk.rules_version,
        "submission_digest": dossier.submission.digest,
        "system": {
            "name": dossier.declaration.system.name,
            "version": dossier.declaration.system.version,
        },
        "versions": {"aiact-sandbox": dossier.versions.get("aiact-sandbox", "")},
    }


def statement(
    sums: bytes,
    said: Mapping[str, Any],
    *,
    public: bytes,
    before: Mapping[str, str],
    signed_at: dt.datetime,
) -> bytes:
    """Make the in-toto statement that is signed.

    Args:
        sums: the bytes of `SHA256SUMS`.
        said: see `summary`.
        public: the signer's public key; it is part of what is signed.
        before: SHA-256 by name of the signatures that are there already.
        signed_at: as the signer says.

    Returns:
        Canonical JSON.
    """
    from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # ships no types
    from in_toto_attestation.v1.resource_descriptor import (  # type: ignore[import-untyped]  # ships no types
        ResourceDescriptor,
    )
    from in_toto_attestation.v1.statement import Statement  # type: ignore[import-untyped]  # ships no types

    listed = {SUMS: hashlib.sha256(sums).hexdigest(), **parse_sums(sums)}
    predicate = {
        **said,
        "signed_at": signed_at.astimezone(dt.UTC).isoformat(timespec="seconds"),
        "signer": {"key_id": key_id(public), "public_key": base64.b64encode(public).decode()},
        "signed_after": [{"name": name, "sha256": digest} for name, digest in before.items()],
    }
    subjects = [ResourceDescriptor(name=name, digest={"sha256": digest}).pb for name, digest in listed.items()]
    made = Statement(subjects, PREDICATE_TYPE, predicate)
    made.validate()
    given = {
        "_type": STATEMENT_TYPE,
        "predicate": predicate,
        "predicateType": PREDICATE_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in listed.items()],
    }
    # Written by ourselves, because protobuf's own writer makes a fraction of every count.
    assert MessageToDict(made.pb) == given
    return json.dumps(given, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def sign(dossier: Path, signer: Signer, *, signed_at: dt.datetime | None = None) -> str:
    """Sign a dossier; where it is signed already, countersign it.

    Args:
        dossier: folder or zip of a dossier whose files are as its `SHA256SUMS` lists them.
        signer: holds the key.
        signed_at: time of signing as the signer states it; now where not given.

    Returns:
        The name of the new file: `signature`, or `signature.<n>` for a countersignature.

    Raises:
        Refused: a file is not as listed, or a signature that is there does not hold; nobody should sign that. Or the
            same key has signed it already.
        FileNotFoundError: there is no such dossier.
    """
    from sandbox.verifying import Contents, verify

    checked = verify(dossier)
    if checked.problems:
        raise Refused(checked.problems)
    public = signer.public
    again = next((s for s in checked.signatures if s.key_id == key_id(public)), None)
    if again is not None:
        raise _refused(again.name, "signature.again", f"this key has signed the dossier already, in {again.name}")
    with Contents.of(dossier) as contents:
        before = {name: hashlib.sha256(contents.read(name)).hexdigest() for name in signature_names(contents.names)}
        sums = contents.read(SUMS)
    assert checked.dossier is not None
    assert checked.run is not None
    payload = statement(
        sums,
        summary(checked.dossier, checked.run),
        public=public,
        before=before,
        signed_at=signed_at or dt.datetime.now(dt.UTC),
    )
    last = max((int(name.partition(".")[2] or 0) for name in before), default=-1)
    name = FIRST if last < 0 else f"{FIRST}.{last + 1}"
    _add(dossier, name, written(signer.envelope(payload)))
    return name


def _add(dossier: Path, name: str, content: bytes) -> None:
    """Add a file to a dossier, whole or not at all."""
    if dossier.is_dir():
        _replace(dossier / name, content)
        return
    from sandbox.verifying import Contents

    with Contents.of(dossier) as contents:
        top = contents.top
    with tempfile.NamedTemporaryFile(dir=dossier.parent, prefix=f".{dossier.name}.", delete=False) as draft:
        partial = Path(draft.name)
    try:
        shutil.copyfile(dossier, partial)
        with zipfile.ZipFile(partial, "a", zipfile.ZIP_DEFLATED) as archive:
            entry = zipfile.ZipInfo(top + name, FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, content)
        shutil.copymode(dossier, partial)
        partial.replace(dossier)
    finally:
        partial.unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        draft.write(content)
        partial = Path(draft.name)
    partial.chmod(0o644)
    partial.replace(path)


def _refused(field: str, code: str, message: str) -> Refused:
    return Refused(Problem(field=field, code=code, message=message))
