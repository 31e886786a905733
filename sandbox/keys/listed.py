"""Read and extend the public list of keys that signatures are checked by."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sandbox.errors import Problem, Refused
from sandbox.whole import replace


def key_id(public: bytes) -> str:
    """Name a public key: the SHA-256 of its 32 bytes, hexadecimal."""
    return hashlib.sha256(public).hexdigest()


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
        raise refused("key_list", "key_list.missing", f"the key list {path} cannot be read") from gone
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if not where:
            raise refused("key_list", "key_list.unreadable", f"{path} is no list of keys") from wrong
        raise refused("key_list", "key_list.unreadable", f"{where}: {first['msg']}") from wrong
    except (ValueError, yaml.YAMLError) as wrong:
        raise refused("key_list", "key_list.unreadable", "the key list is neither YAML nor JSON") from wrong


def add_to_list(
    key_list: Path, public: bytes, *, name: str, valid_from: dt.date, valid_until: dt.date | None
) -> PublicKey:
    """Add a public key to a list, which is made where it is not there yet.

    Args:
        key_list: JSON file of the list.
        public: 32 bytes.
        name, valid_from, valid_until: see `PublicKey`.

    Raises:
        Refused: the key list is there and cannot be read.
    """
    known = load_key_list(key_list) if key_list.exists() else KeyList()
    added = PublicKey(
        id=key_id(public),
        public_key=base64.b64encode(public).decode(),
        name=name,
        valid_from=valid_from,
        valid_until=valid_until,
    )
    listed = KeyList(format=known.format, keys=(*known.keys, added))
    replace(key_list, (json.dumps(listed.model_dump(mode="json"), ensure_ascii=False, indent=2) + "\n").encode())
    return added


def refused(field: str, code: str, message: str) -> Refused:
    """Make a refusal with one problem."""
    return Refused(Problem(field=field, code=code, message=message))
