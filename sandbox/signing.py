"""Sign a dossier: a detached Ed25519 signature over its list of hashes, and the public list of keys it is checked by.

What is signed is `SHA256SUMS`, which lists every file of the dossier but itself and the signatures. The signature is a
DSSE envelope around an in-toto statement: its subjects are `SHA256SUMS` and every file listed there, its predicate is
the summary of the findings. The first signature is the file `signature`; each further one (`signature.1`, ...) is a
countersignature over the same list, which names the signatures that were there before it. It is an electronic
signature by whoever holds the key; it is not a qualified electronic signature, and the time in it is the signer's own:
a time stamp by somebody else stands beside it (`sandbox.timestamps`).

Assumes of its caller: the key is the caller's to use (`sandbox.keys.held`).
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandbox.errors import Refused
from sandbox.keys.held import Signer
from sandbox.keys.listed import key_id, refused
from sandbox.timestamps import name_for
from sandbox.whole import replace

if TYPE_CHECKING:
    from model_cards.dossier import Dossier, Run

SUMS: Final = "SHA256SUMS"
FIRST: Final = "signature"
NAMED: Final = re.compile(r"signature(\.[1-9][0-9]{0,3})?")
BESIDE: Final = re.compile(r"(signature|timestamp)(\.[1-9][0-9]{0,3})?")
"""Files that no hash is listed for: they come after the list."""

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:aiact-sandbox:dossier:1"
FIXED_TIME: Final = (1980, 1, 1, 0, 0, 0)
_SUM: Final = re.compile(r"([0-9a-f]{64})  ([^\x00-\x1f\x7f]+)")


def sums_of(folder: Path) -> bytes:
    """Write the list of the hashes of all files of a folder, but of the list itself and the signatures."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in names
        if name != SUMS and not BESIDE.fullmatch(name)
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
        if found[2] in sums or found[2] == SUMS or BESIDE.fullmatch(found[2]):
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


def envelope(signer: Signer, payload: bytes) -> dict[str, Any]:
    """Sign a statement as DSSE says, and give the envelope as JSON types.

    Raises:
        Refused: whoever holds the key does not sign it.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signature  # type: ignore[attr-defined]  # not in its __all__

    by = key_id(signer.public)
    signed = Signature(by, signer.sign(pae(payload)).hex())
    given: dict[str, Any] = Envelope(payload, PAYLOAD_TYPE, {by: signed}).to_dict()
    return given


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


def sign(
    dossier: Path,
    signer: Signer,
    *,
    signed_at: dt.datetime | None = None,
    stamp: Callable[[bytes], bytes] | None = None,
) -> str:
    """Sign a dossier; where it is signed already, countersign it.

    Args:
        dossier: folder or zip of a dossier whose files are as its `SHA256SUMS` lists them.
        signer: holds the key.
        signed_at: time of signing as the signer states it; now where not given.
        stamp: has the signature's file stamped with the time by somebody else, and gives the content of the stamp's
            file; none where not given.

    Returns:
        The name of the new file: `signature`, or `signature.<n>` for a countersignature.

    Raises:
        Refused: a file is not as listed, or a signature that is there does not hold; nobody should sign that. Or the
            same key has signed it already, or no stamp was given; then nothing is added.
        FileNotFoundError: there is no such dossier.
    """
    from sandbox.verifying import Contents, verify

    checked = verify(dossier)
    if checked.problems:
        raise Refused(checked.problems)
    public = signer.public
    again = next((s for s in checked.signatures if s.key_id == key_id(public)), None)
    if again is not None:
        raise refused(again.name, "signature.again", f"this key has signed the dossier already, in {again.name}")
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
    signature = written(envelope(signer, payload))
    stamped = stamp(signature) if stamp is not None else None
    _add(dossier, name, signature)
    if stamped is not None:
        _add(dossier, name_for(name), stamped)
    return name


def _add(dossier: Path, name: str, content: bytes) -> None:
    """Add a file to a dossier, whole or not at all."""
    if dossier.is_dir():
        replace(dossier / name, content)
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
