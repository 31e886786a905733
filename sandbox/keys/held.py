"""Open the private key that a reference names: a file, the environment, a hardware token or a signing process.

Assumes of its caller: the key is the caller's to use, and its file, its token's PIN and the process's socket are kept
from others.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandbox.keys.listed import PublicKey, add_to_list, key_id, refused
from sandbox.keys.signer import Signer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_VARIABLE: Final = "AIACT_SANDBOX_SIGNING_KEY"
"""Environment variable that may hold the private key itself, as PEM, or a reference to it."""

IN_TOKEN: Final = "pkcs11:"  # noqa: S105  # the beginning of a reference, no secret
IN_PROCESS: Final = "unix:"


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

    def sign(self, message: bytes) -> bytes:
        """Sign with the key."""
        return self.held.sign(message)


def open_signer(reference: str = "", environment: Mapping[str, str] | None = None) -> Signer:
    """Open the private key that a reference names.

    Args:
        reference: the path of a PEM file (PKCS#8, without passphrase, as `new_key` writes it); `pkcs11:` and what names
            a key in a token (RFC 7512, see `sandbox.keys.token`); `unix:` and the socket of a signing process. Empty
            for what `KEY_VARIABLE` holds: one of these, or the PEM text itself.
        environment: the variables to look in; the process's own where not given.

    Raises:
        Refused: there is no key, it is not an Ed25519 key, or its token or process cannot be reached. The message never
            holds any of it.
    """
    env = os.environ if environment is None else environment
    reference = reference or env.get(KEY_VARIABLE, "")
    if not reference:
        raise refused("key", "key.missing", f"no key: name it with --key, or put its PEM text in {KEY_VARIABLE}")
    if reference.startswith(IN_TOKEN):
        from sandbox.keys.token import open_token

        return open_token(reference, env)
    if reference.startswith(IN_PROCESS):
        from sandbox.keys.process import Remote

        return Remote.reach(Path(reference.removeprefix(IN_PROCESS)))
    if reference.lstrip().startswith("-----BEGIN"):
        return _from_pem(reference.encode())
    try:
        return _from_pem(Path(reference).read_bytes())
    except OSError as gone:
        raise refused("key", "key.missing", f"the key file {reference} cannot be read") from gone


def _from_pem(pem: bytes) -> PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        held = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as wrong:
        message = "this is not a private key as PEM (PKCS#8, without passphrase); `aiact-sandbox new-key` makes one"
        raise refused("key", "key.unreadable", message) from wrong
    if not isinstance(held, Ed25519PrivateKey):
        raise refused("key", "key.kind", "this is not an Ed25519 key; `aiact-sandbox new-key` makes one")
    return PrivateKey(public=held.public_key().public_bytes_raw(), held=held)


def new_key(
    out: str, *, name: str, key_list: Path, valid_from: dt.date, valid_until: dt.date | None = None
) -> PublicKey:
    """Make a key pair: the private key in a new file or in a token, the public key added to a key list.

    Args:
        out: file for the private key, made readable to its owner alone and never overwritten; or `pkcs11:` and what
            names a key, to make it inside a token, which it never leaves.
        name: whose key it is, for the reader of the key list.
        key_list: JSON file of the list; made where it is not there yet.
        valid_from, valid_until: see `PublicKey`.

    Raises:
        FileExistsError: there is a file at `out`, or a key of that name in the token, already.
        Refused: the key list is there and cannot be read, the days are the wrong way round, or the token is not there.
    """
    from sandbox.keys.listed import load_key_list

    if valid_until is not None and valid_until < valid_from:
        raise refused("valid_until", "key.days", "the last day of the key lies before its first")
    if key_list.exists():
        load_key_list(key_list)  # a list that cannot be read is found before a key is made
    if out.startswith(IN_TOKEN):
        from sandbox.keys.token import make_in_token

        public = make_in_token(out, os.environ)
    else:
        public = _make_file(Path(out))
    return add_to_list(key_list, public, name=name, valid_from=valid_from, valid_until=valid_until)


def _make_file(out: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    held = Ed25519PrivateKey.generate()
    pem = held.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as there:
        raise FileExistsError(f"{out} exists already; a key is never overwritten") from there
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
    return held.public_key().public_bytes_raw()
