"""Sign a dossier: a detached Ed25519 signature over its list of hashes, and the public list of keys it is checked by.

What is signed is `SHA256SUMS`, which lists every file of the dossier but itself and the signatures: a DSSE envelope
around an in-toto statement (`sandbox.statement`). The first signature is the file `signature`; each further one
(`signature.1`, ...) is a countersignature over the same list, which names the signatures that were there before it. It
is an electronic signature by whoever holds the key; it is not a qualified electronic signature, and the time in it is
the signer's own: a time stamp by somebody else stands beside it (`sandbox.timestamps`).

Assumes of its caller: the key is the caller's to use (`sandbox.keys.held`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sandbox.contents import Contents
from sandbox.errors import Refused
from sandbox.keys.listed import key_id, refused
from sandbox.keys.signer import Signer
from sandbox.statement import FIRST, PAYLOAD_TYPE, SUMS, pae, signature_names, statement, summary, written
from sandbox.timestamps import name_for
from sandbox.verifying import verify
from sandbox.whole import replace

FIXED_TIME: Final = (1980, 1, 1, 0, 0, 0)


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
