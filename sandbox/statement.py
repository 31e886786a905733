"""Make what a signature of a dossier is over: the list of hashes, an in-toto statement about it, the bytes of DSSE.

The statement's subjects are `SHA256SUMS` and every file listed there; its predicate is the summary of the findings.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandbox.keys.listed import key_id

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
