"""Check a dossier offline, from its own files, a key list and a digest that both come from elsewhere.

Assumes nothing of the dossier: it may be hostile. Nothing in it is executed, unpacked to disk or followed; files are
hashed in pieces. What it shows is that files are unchanged, never that what they say is right.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandbox import statement, timestamps
from sandbox.contents import Contents, Unreadable
from sandbox.errors import Problem
from sandbox.keys.listed import KeyList, key_id, load_key_list

if TYPE_CHECKING:
    from model_cards.dossier import Dossier, Run

UNCHANGED: Final = (
    "Unchanged since signed by key {key}. This does not show that the figures are right or that the system complies."
)
UNSIGNED: Final = (
    "Not signed. The files are as the dossier's own list has them; whoever changes a file can change that list too. "
    "This does not show who made it, that the figures are right or that the system complies."
)
EXPECTED: Final = "The digest is the one expected; it stands for {covers}."
TIME_OWN: Final = "The time of signing is the signer's own statement; it is not a time stamp by somebody else."
STAMPED: Final = "{name} was there at {at}, says {by}; the authority's certificate was checked."
STAMP_UNCHECKED: Final = (
    "{name} has a time stamp of {at} in the name of {by}; whether they made it was not checked: "
    "no certificates were given."
)
NO_LIST: Final = (
    "No key list was given, so whose key this is was not checked: compare the key's id with what its holder publishes."
)
NOT_QUALIFIED: Final = "It is not a qualified electronic signature."


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFacts:
    """What one signature says and how far it holds.

    Args:
        name: of its file.
        key_id: of the key it was made with; empty where that cannot be read.
        key_name: whose key it is by the key list; empty without one.
        signed_at: as the signer states it, ISO 8601.
        holds: whether the signature is by that key, over what it carries.
        listed: whether the key list has the key, not revoked and valid on that day; None without a key list.
        stamp: the time stamp beside it, where there is one that belongs to it.
        subjects: SHA-256 by file that were signed, `SHA256SUMS` among them.
        said: what the signer says of the findings.
    """

    name: str
    key_id: str = ""
    key_name: str = ""
    signed_at: str = ""
    holds: bool = False
    listed: bool | None = None
    stamp: timestamps.Stamp | None = None
    subjects: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found.

    Args:
        problems: what is not as it must be, each with the file and what is wrong; empty where nothing is.
        signatures: those that are there, the first and the countersignatures.
        notes: sentences that must be read beside it.
        files: number of files that were hashed.
        digest: SHA-256 of `dossier.json`; empty where it is not there.
        sums_digest: SHA-256 of `SHA256SUMS`, which stands for all files; empty where it is not there.
        dossier, run: as read, where they could be.
    """

    problems: tuple[Problem, ...]
    signatures: tuple[SignatureFacts, ...] = ()
    notes: tuple[str, ...] = ()
    files: int = 0
    digest: str = ""
    sums_digest: str = ""
    dossier: Dossier | None = field(default=None, repr=False)
    run: Run | None = field(default=None, repr=False)

    @property
    def unchanged(self) -> bool:
        """Whether nothing was found to be wrong."""
        return not self.problems

    def as_text(self) -> str:
        """Say it to a person."""
        if self.problems:
            count = len(self.problems)
            lines = [f"This does not hold: {count} problem{'s' if count > 1 else ''}."]
            lines += [f"  {p.field}: {p.message}" for p in self.problems]
        else:
            good = [s for s in self.signatures if s.holds and s.listed is not False]
            lines = [UNCHANGED.format(key=s.key_id) for s in good] or [UNSIGNED]
        for s in self.signatures:
            if s.holds:
                named = f", {s.key_name}" if s.key_name else ""
                lines.append(f"  {s.name}: key {s.key_id}{named}, {s.signed_at}")
        lines += [f"  {note}" for note in self.notes]
        if self.digest:
            lines.append(f"  {self.files} files. Digest of dossier.json: {self.digest}")
            lines.append(f"  Digest of {statement.SUMS}: {self.sums_digest}")
        return "\n".join(lines)

    def as_object(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {
            "unchanged": self.unchanged,
            "problems": [{"file": p.field, "code": p.code, "message": p.message} for p in self.problems],
            "signatures": [
                {
                    "file": s.name,
                    "key_id": s.key_id,
                    "key_name": s.key_name,
                    "signed_at": s.signed_at,
                    "holds": s.holds,
                    "listed": s.listed,
                    "timestamp": None
                    if s.stamp is None
                    else {"at": s.stamp.at.isoformat(), "by": s.stamp.by, "checked": s.stamp.checked},
                }
                for s in self.signatures
            ],
            "notes": list(self.notes),
            "files": self.files,
            "dossier_digest": self.digest,
            "sums_digest": self.sums_digest,
        }


def verify(
    dossier: Path,
    *,
    key_list: Path | None = None,
    expected_digest: str | None = None,
    timestamp_roots: Path | None = None,
) -> Verified:
    """Check that a dossier is what was signed, offline and without the service.

    Args:
        dossier: its folder or zip.
        key_list: public keys, from elsewhere than the dossier; with it, a signature by one of them is asked for.
        expected_digest: SHA-256, from elsewhere, of `dossier.json` or of `SHA256SUMS`.
        timestamp_roots: PEM file with certificates, from elsewhere, that time stamps must be under.

    Returns:
        Every problem found, by file. Without a signature a dossier is valid too, and the result says so.

    Raises:
        FileNotFoundError: there is no such folder or zip.
        Refused: the key list or the certificates cannot be read.
    """
    keys = load_key_list(key_list) if key_list is not None else None
    try:
        with Contents.of(dossier) as contents:
            return _verify(contents, keys, expected_digest, timestamp_roots)
    except Unreadable as wrong:
        return Verified(problems=(Problem(field=dossier.name, code="dossier.unreadable", message=str(wrong)),))


def _verify(contents: Contents, keys: KeyList | None, expected_digest: str | None, roots: Path | None) -> Verified:
    problems: list[Problem] = list(contents.strange)
    notes: list[str] = []

    def wrong(file: str, code: str, message: str) -> None:
        problems.append(Problem(field=file, code=code, message=message))

    digests: dict[str, str] = {}
    for name in contents.names:
        try:
            digests[name] = contents.digest(name)
        except Unreadable as unread:
            wrong(name, "file.unreadable", str(unread))

    signatures = []
    for name in statement.signature_names(contents.names):
        if name in digests:
            facts, found = _signature(name, contents.read(name), keys)
            problems += found
            signatures.append(_stamped(facts, contents, digests, roots, wrong))
    for name in contents.names:
        if name.startswith("timestamp") and name not in {timestamps.name_for(s.name) for s in signatures}:
            wrong(name, "timestamp.alone", "is a time stamp of a signature that is not there")
    signed = next((s for s in signatures if s.holds), None)

    listed = _listed(contents, digests, signed, wrong)
    if listed is not None:
        _compare(contents.names, digests, listed, wrong, by_signature=signed is not None)
    for facts in signatures:
        if facts.holds:
            _cross_check(facts, digests, listed, wrong)
    if keys is not None and not any(s.holds and s.listed for s in signatures):
        message = "the dossier is not signed by a key of the list that was given"
        if not signatures:
            message += "; it has no signature at all, or that was taken away"
        wrong(statement.FIRST, "signature.none_listed", message)

    read = _read(contents, digests, wrong)
    if read is not None:
        for facts in signatures:
            if facts.holds and any(facts.said.get(k) != v for k, v in statement.summary(*read).items()):
                wrong(
                    facts.name,
                    "signature.summary",
                    "what the signer says of the findings is not what the dossier holds",
                )
    digest, sums_digest = digests.get("dossier.json", ""), digests.get(statement.SUMS, "")
    if expected_digest is not None:
        covers = {digest: "dossier.json alone", sums_digest: "all files"}.get(expected_digest.strip().lower())
        if covers is None:
            message = (
                f"the digest expected is {expected_digest}, and that is neither of dossier.json nor of {statement.SUMS}"
            )
            wrong("dossier.json", "digest.unexpected", message)
        else:
            notes.append(EXPECTED.format(covers=covers))
    if any(s.holds for s in signatures):
        notes += [NO_LIST] if keys is None else []
        notes += [TIME_OWN] if any(s.stamp is None for s in signatures) else []
        notes += [
            (STAMPED if s.stamp.checked else STAMP_UNCHECKED).format(
                name=s.name, at=s.stamp.at.isoformat(), by=s.stamp.by
            )
            for s in signatures
            if s.stamp is not None
        ]
        notes += [NOT_QUALIFIED]
        for s in signatures:
            listed_key = keys.find(s.key_id) if keys is not None else None
            if s.holds and keys is not None and listed_key is None:
                notes.append(f"{s.name} is by the key {s.key_id}, which is not in the key list.")
            if (
                s.listed
                and listed_key
                and listed_key.valid_until
                and listed_key.valid_until < dt.datetime.now(dt.UTC).date()
            ):
                notes.append(f"The key of {s.name} signs no longer since {listed_key.valid_until.isoformat()}.")
    return Verified(
        problems=tuple(problems),
        signatures=tuple(signatures),
        notes=tuple(notes),
        files=len(digests),
        digest=digest,
        sums_digest=sums_digest,
        dossier=read[0] if read else None,
        run=read[1] if read else None,
    )


def _stamped(
    facts: SignatureFacts, contents: Contents, digests: Mapping[str, str], roots: Path | None, wrong: Any
) -> SignatureFacts:
    """Add the time stamp that stands beside a signature, where there is one."""
    name = timestamps.name_for(facts.name)
    if name not in digests:
        return facts
    try:
        stamp = timestamps.read(contents.read(name), contents.read(facts.name), roots)
    except timestamps.Unfit as why:
        wrong(name, "timestamp.unfit", str(why))
        return facts
    return replace(facts, stamp=stamp)


def _listed(
    contents: Contents, digests: Mapping[str, str], signed: SignatureFacts | None, wrong: Any
) -> dict[str, str] | None:
    """Give the hashes that files must have: as signed, or else as the dossier's own list has them."""
    own: dict[str, str] | None = None
    if statement.SUMS not in contents.names:
        wrong(statement.SUMS, "file.missing", "is missing; it lists the hashes of all files")
    elif statement.SUMS in digests:
        try:
            own = statement.parse_sums(contents.read(statement.SUMS))
        except ValueError as bad:
            wrong(statement.SUMS, "sums.unreadable", f"was changed or is damaged: {bad}")
    if signed is None:
        return own
    as_signed = {name: digest for name, digest in signed.subjects.items() if name != statement.SUMS}
    if statement.SUMS in digests and digests[statement.SUMS] != signed.subjects.get(statement.SUMS):
        wrong(statement.SUMS, "file.changed", "was changed: it is not the list that was signed")
    elif own is not None and own != as_signed:
        wrong(signed.name, "signature.subjects", f"names other hashes than the {statement.SUMS} that it signs")
    return as_signed


def _compare(
    names: tuple[str, ...], digests: Mapping[str, str], listed: Mapping[str, str], wrong: Any, *, by_signature: bool
) -> None:
    by = "that was signed" if by_signature else f"in {statement.SUMS}"
    for name, digest in sorted(listed.items()):
        if name not in names:
            wrong(name, "file.missing", "is missing")
        elif name in digests and digests[name] != digest:
            wrong(name, "file.changed", f"was changed: its hash is not the one {by}")
    for name in names:
        if name not in listed and name != statement.SUMS and not statement.BESIDE.fullmatch(name):
            wrong(name, "file.unexpected", "is not part of the dossier: no hash is listed for it")


def _cross_check(
    facts: SignatureFacts, digests: Mapping[str, str], listed: Mapping[str, str] | None, wrong: Any
) -> None:
    """Check what one signature says against what is there, and against the first one that holds."""
    if statement.SUMS in digests and facts.subjects.get(statement.SUMS) != digests[statement.SUMS]:
        wrong(facts.name, "signature.other_list", f"was made over another {statement.SUMS} than the one that is there")
    elif listed is not None and {n: d for n, d in facts.subjects.items() if n != statement.SUMS} != dict(listed):
        wrong(facts.name, "signature.subjects", f"names other hashes than the {statement.SUMS} that it signs")
    for earlier in facts.said.get("signed_after", ()):
        name = earlier["name"]
        if name not in digests:
            wrong(name, "signature.gone", f"is missing; it was there when {facts.name} was made")
        elif digests[name] != earlier["sha256"]:
            wrong(name, "signature.replaced", f"is not the one that was there when {facts.name} was made")


def _signature(name: str, raw: bytes, keys: KeyList | None) -> tuple[SignatureFacts, list[Problem]]:
    """Read and check one signature by itself."""
    problems: list[Problem] = []

    def wrong(code: str, message: str) -> None:
        problems.append(Problem(field=name, code=code, message=message))

    try:
        facts, public, signature, payload = _parsed(name, raw)
    except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as bad:
        wrong("signature.unreadable", f"was changed or is damaged: {type(bad).__name__}")
        return SignatureFacts(name=name), problems
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, statement.pae(payload))
    except (InvalidSignature, ValueError):
        wrong("signature.invalid", f"does not hold: it was changed, or was not made by the key {facts['key_id']}")
        return SignatureFacts(name=name, key_id=facts["key_id"]), problems
    listed: bool | None = None
    key_name = ""
    if keys is not None:
        key = keys.find(facts["key_id"])
        listed = False
        if key is not None:
            key_name = key.name
            day = dt.datetime.fromisoformat(facts["signed_at"]).astimezone(dt.UTC).date()
            if key.revoked is not None:
                why = f" ({key.reason})" if key.reason else ""
                wrong("key.revoked", f"the key {key.id} was revoked on {key.revoked.isoformat()}{why}")
            elif day < key.valid_from:
                wrong(
                    "key.not_yet",
                    f"was made on {day.isoformat()}, before the key's first day, {key.valid_from.isoformat()}",
                )
            elif key.valid_until is not None and day > key.valid_until:
                wrong(
                    "key.expired",
                    f"was made on {day.isoformat()}, after the key's last day, {key.valid_until.isoformat()}",
                )
            else:
                listed = True
    return SignatureFacts(name=name, holds=True, listed=listed, key_name=key_name, **facts), problems


def _parsed(name: str, raw: bytes) -> tuple[dict[str, Any], bytes, bytes, bytes]:
    """Read an envelope strictly: any byte that is not as we would write it is an error.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, OverflowError: it is not one of our signatures.
    """
    envelope = json.loads(raw.decode("utf-8"))
    payload = base64.b64decode(envelope["payload"], validate=True)
    (one,) = envelope["signatures"]
    signature = base64.b64decode(one["sig"], validate=True)
    again = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": statement.PAYLOAD_TYPE,
        "signatures": [{"keyid": str(one["keyid"]), "sig": base64.b64encode(signature).decode()}],
    }
    if statement.written(again) != raw:
        raise ValueError(f"{name} is not written as a signature is")
    given = json.loads(payload.decode("utf-8"))
    predicate = dict(given["predicate"])
    if given["_type"] != statement.STATEMENT_TYPE or given["predicateType"] != statement.PREDICATE_TYPE:
        raise ValueError("the statement is of another type")
    subjects = {str(subject["name"]): str(subject["digest"]["sha256"]) for subject in given["subject"]}
    if len(subjects) != len(given["subject"]):
        raise ValueError("a file is signed twice")
    signer = predicate["signer"]
    public = base64.b64decode(signer["public_key"], validate=True)
    if key_id(public) != one["keyid"] or signer["key_id"] != one["keyid"]:
        raise ValueError("the key's id is not that of the key")
    for earlier in predicate.get("signed_after", ()):
        if not (isinstance(earlier["name"], str) and isinstance(earlier["sha256"], str)):
            raise TypeError("an earlier signature is not named")
    signed_at = dt.datetime.fromisoformat(str(predicate["signed_at"]))
    if signed_at.tzinfo is None:
        raise ValueError("the time of signing has no zone")
    facts = {
        "key_id": str(one["keyid"]),
        "signed_at": signed_at.astimezone(dt.UTC).isoformat(timespec="seconds"),
        "subjects": subjects,
        "said": predicate,
    }
    return facts, public, signature, payload


def _read(contents: Contents, digests: Mapping[str, str], wrong: Any) -> tuple[Dossier, Run] | None:
    """Read dossier.json and run.json by their schema, and check that they belong together."""
    from pydantic import ValidationError

    from model_cards.dossier import SCHEMA, Dossier, Run

    found: dict[str, Any] = {}
    for name, model in (("dossier.json", Dossier), ("run.json", Run)):
        if name not in contents.names:
            wrong(name, "file.missing", "is missing")
            continue
        if name not in digests:
            continue
        try:
            given = json.loads(contents.read(name))
            if given["schema"] != SCHEMA:
                wrong(name, "schema.unknown", f"is of schema {given['schema']!r}; this version reads schema {SCHEMA}")
                continue
            # The contract shows the system at the top as well; the model has it once.
            if name == "dossier.json" and given.pop("system", None) != given["declaration"]["system"]:
                wrong(name, "schema.system", "names another system at its top than in the declaration")
            found[name] = model.model_validate(given)
        except ValidationError as bad:
            for error in bad.errors()[:10]:
                where = ".".join(str(part) for part in error["loc"])
                wrong(name, "schema.wrong", f"is not of its schema at {where}: {error['msg']}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            wrong(name, "schema.unreadable", "is not the JSON of a dossier")
    run = found.get("run.json")
    if run is not None and "dossier.json" in digests and run.dossier_digest != digests["dossier.json"]:
        wrong("run.json", "run.other_dossier", "belongs to another dossier.json than the one that is there")
    return (found["dossier.json"], run) if len(found) == 2 and run is not None else None
