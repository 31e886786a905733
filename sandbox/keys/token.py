"""Use keys in a hardware token through PKCS#11: Ed25519 to sign, AES to wrap other keys; none ever leaves the token.

A key is named as RFC 7512 says: `pkcs11:token=LABEL;object=LABEL?module-path=/path/of/library.so`, with
`&pin-source=file:/path` where its PIN is in a file.

Assumes of its caller: the PKCS#11 library is the operator's choice; its code runs in this process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from cryptography.exceptions import InvalidTag

from sandbox.keys.listed import key_id, refused

PIN_VARIABLE: Final = "AIACT_SANDBOX_PKCS11_PIN"
"""Environment variable with the token's PIN, where its reference names no `pin-source`."""

_TAG_BITS: Final = 128

EDWARDS_25519: Final = bytes.fromhex("06032b6570")
"""The curve's object identifier, DER; what a token keeps as the parameters of such a key."""


_TURN: Final = threading.Lock()
"""Whether somebody is signed in is one thing for all sessions of a process: they take turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a key is.

    Args:
        token: the token's label.
        label: the key's label.
        module: the PKCS#11 library.
        pin: of the token; not shown.
    """

    token: str
    label: str
    module: Path
    pin: str = field(repr=False)

    @classmethod
    def of(cls, reference: str, environment: Mapping[str, str]) -> Place:
        """Read a reference.

        Raises:
            Refused: a part of it is missing, unknown, or its PIN cannot be read.
        """
        path, _, query = reference.removeprefix("pkcs11:").partition("?")
        parts = dict(_pairs(path, ";") + _pairs(query, "&"))
        unknown = sorted(parts.keys() - {"token", "object", "module-path", "pin-source"})
        missing = [name for name in ("token", "object", "module-path") if not parts.get(name)]
        if unknown or missing:
            what = f"knows no {', '.join(unknown)}" if unknown else f"lacks {', '.join(missing)}"
            form = "pkcs11:token=LABEL;object=LABEL?module-path=/path/of/library.so&pin-source=file:/path"
            raise refused("key", "key.reference", f"the reference to a key in a token {what}; it is written as {form}")
        source = parts.get("pin-source", "")
        if source:
            try:
                pin = Path(source.removeprefix("file:")).read_text(encoding="utf-8").strip()
            except OSError as gone:
                raise refused("key", "key.pin", "the file with the token's PIN cannot be read") from gone
        else:
            pin = environment.get(PIN_VARIABLE, "")
        if not pin:
            raise refused("key", "key.pin", f"the token needs its PIN: name pin-source, or set {PIN_VARIABLE}")
        return cls(token=parts["token"], label=parts["object"], module=Path(parts["module-path"]), pin=pin)

    @contextmanager
    def opened(self, *, writing: bool = False) -> Iterator[Any]:
        """Open a session with the token.

        Raises:
            Refused: the library or the token is not there, or the PIN is wrong.
        """
        try:
            import pkcs11
            from pkcs11.exceptions import PinIncorrect, PKCS11Error
        except ModuleNotFoundError as absent:
            message = "keys in a token need another package: pip install 'aiact-sandbox[keys]'"
            raise refused("key", "key.extra", message) from absent
        with _TURN:
            try:
                token = pkcs11.lib(str(self.module)).get_token(token_label=self.token)
                session = token.open(user_pin=self.pin, rw=writing)
            except PinIncorrect as wrong:
                raise refused("key", "key.pin", "the token does not take this PIN") from wrong
            except (PKCS11Error, RuntimeError, OSError) as wrong:
                why = f"{type(wrong).__name__} {wrong}".strip()
                raise refused("key", "key.token", f"the token {self.token} cannot be opened: {why}") from wrong
            with session:
                yield session


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """An Ed25519 key in a token; a session with it is opened for each signature.

    Args:
        public: its public key, 32 bytes.
        place: where it is.
    """

    public: bytes
    place: Place

    def __repr__(self) -> str:
        return f"TokenKey({key_id(self.public)})"

    def sign(self, message: bytes) -> bytes:
        """Let the token sign."""
        from pkcs11 import Mechanism

        with self.place.opened() as session:
            signature: bytes = _private(session, self.place).sign(message, mechanism=Mechanism.EDDSA)
        return signature


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCipher:
    """An AES key in a token, used as `AESGCM` of cryptography is; a session with it is opened for each call.

    AES-GCM rather than AES key wrap, because it binds what it encrypts to a name.
    """

    place: Place

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Encrypt; the tag stands at the end.

        Raises:
            Refused: the token or the key in it is not there.
        """
        from pkcs11 import GCMParams, Mechanism

        with self.place.opened() as session:
            sealed: bytes = _secret(session, self.place).encrypt(
                data, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, associated_data, _TAG_BITS)
            )
        return sealed

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Decrypt what is genuine.

        Raises:
            cryptography.exceptions.InvalidTag: it was encrypted with another key, or was changed.
            Refused: the token or the key in it is not there.
        """
        from pkcs11 import GCMParams, Mechanism
        from pkcs11.exceptions import PKCS11Error

        with self.place.opened() as session:
            key = _secret(session, self.place)
            try:
                opened: bytes = key.decrypt(
                    data, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, associated_data, _TAG_BITS)
                )
            except PKCS11Error as wrong:
                # Tokens differ in what they call it.
                raise InvalidTag from wrong
        return opened


def open_token(reference: str, environment: Mapping[str, str]) -> TokenKey:
    """Find the key that a reference names.

    Raises:
        Refused: the reference, the token or the key in it is not there, or is no Ed25519 key.
    """
    from pkcs11 import Attribute, KeyType, ObjectClass
    from pkcs11.exceptions import NoSuchKey

    place = Place.of(reference, environment)
    with place.opened() as session:
        _private(session, place)
        try:
            key = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=place.label)
        except NoSuchKey as absent:
            raise refused("key", "key.missing", f"the token has no public key named {place.label}") from absent
        if key.key_type != KeyType.EC_EDWARDS:
            raise refused("key", "key.kind", f"the key {place.label} in the token is not an Ed25519 key")
        # The point is an OCTET STRING of the 32 bytes; some tokens leave its two bytes of DER away.
        public = bytes(key[Attribute.EC_POINT])[-32:]
    return TokenKey(public=public, place=place)


def make_in_token(reference: str, environment: Mapping[str, str]) -> bytes:
    """Make a key pair inside a token and give its public key, 32 bytes.

    Raises:
        FileExistsError: the token has a key of that name already.
        Refused: the reference or the token is not there.
    """
    place = Place.of(reference, environment)
    with place.opened(writing=True) as session:
        from pkcs11 import Attribute, KeyType, Mechanism

        if list(session.get_objects({Attribute.LABEL: place.label})):
            raise FileExistsError(f"the token {place.token} has a key named {place.label} already; none is overwritten")
        curve = session.create_domain_parameters(KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: EDWARDS_25519}, local=True)
        public, _private_key = curve.generate_keypair(
            mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=place.label
        )
        return bytes(public[Attribute.EC_POINT])[-32:]


def _private(session: Any, place: Place) -> Any:
    from pkcs11 import ObjectClass
    from pkcs11.exceptions import MultipleObjectsReturned, NoSuchKey

    try:
        return session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=place.label)
    except NoSuchKey as absent:
        raise refused("key", "key.missing", f"the token has no private key named {place.label}") from absent
    except MultipleObjectsReturned as several:
        raise refused("key", "key.missing", f"the token has several keys named {place.label}") from several


def _secret(session: Any, place: Place) -> Any:
    from pkcs11 import KeyType, ObjectClass
    from pkcs11.exceptions import MultipleObjectsReturned, NoSuchKey

    try:
        return session.get_key(object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES, label=place.label)
    except NoSuchKey as absent:
        raise refused("key", "key.missing", f"the token has no AES key named {place.label}") from absent
    except MultipleObjectsReturned as several:
        raise refused("key", "key.missing", f"the token has several AES keys named {place.label}") from several


def _pairs(text: str, separator: str) -> list[tuple[str, str]]:
    return [(name, unquote(value)) for name, _, value in (p.partition("=") for p in text.split(separator) if p)]
