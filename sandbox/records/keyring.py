"""Keep the keys of uploads and evidence, each in a file of its own, wrapped by a master key where there is one.

Without a master key the keys lie unwrapped beside what they open, which protects against nobody who reads the whole
state folder; erasing a key erases what it opens either way. Assumes of its caller: the master key is kept, and backed
up, elsewhere than the state folder.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.errors import CannotStart, Refused
from sandbox.keys.token import Place, TokenCipher
from sandbox.records.database import private_folder
from sandbox.settings import PREFIX, Settings

VARIABLE = f"{PREFIX}MASTER_KEY"
"""Environment variable that holds the master key itself, where no file is named: 64 hexadecimal digits."""

KEY_BYTES = 32
_WRAPPED = b"\x01"
_NONCE_BYTES = 12


class NoMasterKey(Exception):
    """The master key is absent, is no key, or is not the one that a key was wrapped with; the message says which."""


class Cipher(Protocol):
    """What wraps keys: AES-256-GCM, here or in a token."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Wrap."""

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Unwrap; raises `InvalidTag` where it was not wrapped so."""


def master(settings: Settings) -> Cipher | None:
    """Open the master key.

    Args:
        settings: `master_key_file` names its file (32 bytes, or 64 hexadecimal digits), or a key in a token as
            `sandbox.keys.token` does; without it, the environment may hold the key.

    Returns:
        What wraps with it; None where the operator has set none.

    Raises:
        NoMasterKey: the file cannot be read, others can read it, or what is given is no key.
    """
    if settings.master_key_file.startswith("pkcs11:"):
        try:
            return TokenCipher(place=Place.of(settings.master_key_file, os.environ))
        except Refused as why:
            raise NoMasterKey(str(why)) from why
    if settings.master_key_file:
        try:
            with Path(settings.master_key_file).open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o007:
                    raise NoMasterKey(f"everybody on this machine can reach {settings.master_key_file}: chmod o= it")
                raw = file.read(200)
        except OSError as error:
            raise NoMasterKey(f"the master key cannot be read: {error}") from error
        return AESGCM(raw) if len(raw) == KEY_BYTES else _from_digits(raw.decode("ascii", "replace"))
    given = os.environ.get(VARIABLE, "")
    return _from_digits(given) if given else None


def refuse_no_master(settings: Settings) -> None:
    """Keep a service from starting where the first upload would find that the master key cannot be used.

    Args:
        settings: see `master`.

    Raises:
        CannotStart: says what is wrong with it.
    """
    try:
        master(settings)
    except NoMasterKey as why:
        raise CannotStart(f"{why}. Set AIACT_SANDBOX_MASTER_KEY_FILE, or let this user read that file.") from why


def _from_digits(text: str) -> AESGCM:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise NoMasterKey(f"a master key is {KEY_BYTES} bytes, or {2 * KEY_BYTES} hexadecimal digits")
    return AESGCM(key)


def keep(file: Path, key: bytes, settings: Settings) -> None:
    """Write a key into a new file that only this user can read, wrapped where there is a master key.

    Args:
        file: must not exist; its name is bound to the key.
        key: 32 bytes.
        settings: where the master key is.

    Raises:
        FileExistsError: the file is there.
        NoMasterKey: see `master`.
    """
    outer = master(settings)
    content = key
    if outer is not None:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        try:
            content = _WRAPPED + nonce + outer.encrypt(nonce, key, file.name.encode())
        except Refused as why:
            raise NoMasterKey(str(why)) from why
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def read(file: Path, settings: Settings) -> bytes:
    """Read a key, and unwrap it where it is wrapped.

    Returns:
        32 bytes.

    Raises:
        FileNotFoundError: it was erased.
        NoMasterKey: it is wrapped, and the master key is not there or is another one.
    """
    content = file.read_bytes()
    if len(content) == KEY_BYTES:
        return content
    outer = master(settings)
    if outer is None:
        raise NoMasterKey(f"{file.name} is wrapped by a master key, and none is set")
    start = len(_WRAPPED) + _NONCE_BYTES
    try:
        if content[:1] != _WRAPPED:
            raise InvalidTag
        return outer.decrypt(content[1:start], content[start:], file.name.encode())
    except InvalidTag as error:
        raise NoMasterKey(f"{file.name} was wrapped by another master key, or was changed") from error
    except Refused as why:
        raise NoMasterKey(str(why)) from why


def is_wrapped(file: Path) -> bool:
    """Tell whether a key is wrapped by a master key."""
    return file.stat().st_size != KEY_BYTES


def erase(file: Path) -> bool:
    """Erase a key; one that is gone already is no error.

    Returns:
        Whether it was there.
    """
    try:
        # Overwritten first: a file system that keeps blocks in place then keeps no key either.
        with file.open("r+b") as opened:
            opened.write(b"\0" * file.stat().st_size)
            opened.flush()
            os.fsync(opened.fileno())
    except FileNotFoundError:
        return False
    file.unlink(missing_ok=True)
    return True


def drawn(file: Path) -> bytes:
    """Read a key of this installation; drawn when it is first asked for, private to this user."""
    fresh = private_folder(file.parent) / f".{file.name}.{secrets.token_hex(8)}"
    if not file.exists():
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
            out.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):
            os.link(fresh, file)
        fresh.unlink()
    return file.read_bytes()
