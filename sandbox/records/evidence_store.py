"""Keep sealed evidence: one encrypted file per evidence, its key apart from it, and an end date on both.

A file is a plain header (version, digest, key id, dates) and then pieces of AES-256-GCM. Each piece is bound to the
header, to its place and to being the last or not, so that pieces cannot be swapped, cut off or taken from another file.
Inside are JSON facts, Arrow streams and raw arrays: nothing in it can execute. Removing the key erases the evidence.

Assumes of its caller: the state folder belongs to the service alone. Whoever can read both folders of it can read the
rows.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import secrets
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from checks.declaration import Declaration
from checks.evidence import Answers, Document, Evidence, TrainingFacts, arrays_of, digest_of
from sandbox.errors import Broken
from sandbox.records import keyring
from sandbox.records.database import locked, private_folder
from sandbox.records.files import open_files
from sandbox.records.sealed_stream import PIECE, Opening, Sealing
from sandbox.records.tables import new_id, now
from sandbox.settings import Settings

log = logging.getLogger(__name__)

MAGIC = b"AIACT-EVIDENCE\n"
VERSION = 1
_HEADER_LIMIT = 64 * 1024
_JSON_LIMIT = 512 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What the plain header of a sealed file says.

    Args:
        digest: digest of the evidence.
        key_id: which key opens it.
        nonce: 7 random bytes, hexadecimal.
        submission: digest of the submission.
        sealed, expires: dates, ISO 8601; from the day after `expires` on it counts as erased.
    """

    version: int
    digest: str
    key_id: str
    nonce: str
    submission: str
    sealed: str
    expires: str


def _keys(settings: Settings) -> Path:
    return private_folder(settings.state / "keys")


def _exchanging(settings: Settings) -> AbstractContextManager[None]:
    return locked(settings.state / "evidence.lock")


def _name(digest: str) -> str:
    if len(digest) != 64 or not all(c in "0123456789abcdef" for c in digest):
        raise ValueError("a digest is 64 hexadecimal digits")
    return f"evidence/{digest}.sealed"


def _key_path(digest: str, key_id: str, settings: Settings) -> Path:
    return _keys(settings) / f"{digest}.{key_id}.key"


class _Part(io.RawIOBase):
    """One part of unknown length, as blocks of stated length; a block of length 0 ends it."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream
        self._left = 0
        self._over = False

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def write(self, piece: object, /) -> int:
        raw = memoryview(piece).cast("B")  # type: ignore[arg-type]  # any buffer
        if len(raw):
            self._stream.write(struct.pack("<Q", len(raw)))
            self._stream.write(raw)
        return len(raw)

    def finish(self) -> None:
        """End the part."""
        self._stream.write(struct.pack("<Q", 0))

    def readinto(self, buffer: Any, /) -> int:
        if not self._left and not self._over:
            (self._left,) = struct.unpack("<Q", _exactly(self._stream, 8))
            self._over = self._left == 0
        if self._over:
            return 0
        piece = self._stream.read(min(self._left, len(buffer)))
        if not piece:
            raise EOFError("the sealed file ends inside a part")
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)


def _exactly(stream: Any, size: int) -> bytes:
    got = stream.read(size)
    if len(got) != size:
        raise EOFError("the sealed file ends inside a part")
    return bytes(got)


# JSON has no tuples, and the digest of evidence tells a tuple from a list.
_TUPLE = "\0tuple"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return {_TUPLE: [_plain(v) for v in value]}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


def _back(value: Any) -> Any:
    if isinstance(value, list):
        return [_back(v) for v in value]
    if isinstance(value, dict):
        if set(value) == {_TUPLE}:
            return tuple(_back(v) for v in value[_TUPLE])
        return {k: _back(v) for k, v in value.items()}
    return value


def _write_part(stream: Any, name: dict[str, Any]) -> _Part:
    raw = json.dumps(name, ensure_ascii=False).encode()
    stream.write(struct.pack("<Q", len(raw)))
    stream.write(raw)
    return _Part(stream)


def _write(evidence: Evidence, stream: Any) -> None:
    part = _write_part(stream, {"kind": "facts"})
    facts = {
        "declaration": evidence.declaration.model_dump(mode="json"),
        "submission_digest": evidence.submission_digest,
        "documents": [{"name": d.name, "text": d.text, "digest": d.digest} for d in evidence.documents],
        "population": {attribute: dict(groups) for attribute, groups in evidence.population.items()},
        "training_rows": None if evidence.training is None else evidence.training.rows,
        "scan": _plain(dict(evidence.scan)),
        "model_fault": None if evidence.model_fault is None else _plain(dict(evidence.model_fault)),
        "seed": evidence.seed,
        "digest": evidence.digest,
    }
    part.write(json.dumps(facts, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    part.finish()
    tables: list[tuple[dict[str, Any], pa.Table]] = []
    if evidence.rows is not None:
        tables.append(({"kind": "rows"}, evidence.rows))
    tables += [({"kind": "cells", "attribute": a}, t) for a, t in evidence.cells.items()]
    tables += [({"kind": "moments", "attribute": a}, t) for a, t in evidence.moments.items()]
    if evidence.training is not None:
        tables.append(({"kind": "training"}, evidence.training.columns))
    for name, table in tables:
        part = _write_part(stream, name)
        with pa.ipc.new_stream(pa.PythonFile(part, "w"), table.schema) as writer:
            writer.write_table(table)
        part.finish()
    held: dict[str | None, dict[str | None, Any]] = {
        probe: {None: given.values, **{str(n): a for n, a in given.facts.items()}}
        for probe, given in evidence.asked.items()
    }
    if evidence.training is not None:
        held[None] = dict[str | None, Any](arrays_of(evidence.training).items())
    for probe, arrays in held.items():
        for fact, array in arrays.items():
            if array.dtype.hasobject:
                raise TypeError(f"answers.{probe}.{fact}: an array of objects cannot be sealed")
            whole = np.ascontiguousarray(array)
            name = {"kind": "array", "probe": probe, "fact": fact, "dtype": array.dtype.str, "shape": array.shape}
            part = _write_part(stream, name)
            part.write(whole.tobytes())
            part.finish()
    _write_part(stream, {"kind": "end"}).finish()


def _parts(stream: Any) -> Iterator[tuple[dict[str, Any], BinaryIO]]:
    while True:
        (size,) = struct.unpack("<Q", _exactly(stream, 8))
        if size > _HEADER_LIMIT:
            raise ValueError("the name of a part is too long")
        name = json.loads(_exactly(stream, size))
        part: BinaryIO = io.BufferedReader(_Part(stream), PIECE)
        if name["kind"] != "end":
            yield name, part
        while part.read(PIECE):
            pass
        if name["kind"] == "end":
            return


def _read(stream: Any) -> Evidence:
    facts: dict[str, Any] = {}
    rows = columns = None
    tables: dict[str, dict[str, pa.Table]] = {"cells": {}, "moments": {}}
    arrays: dict[str | None, dict[str | None, Any]] = {}
    for name, part in _parts(stream):
        match name["kind"]:
            case "facts":
                facts = json.loads(part.read(_JSON_LIMIT).decode("utf-8", "surrogatepass"))
            case "array":
                dtype = np.dtype(name["dtype"])
                array = np.frombuffer(part.read(), dtype=dtype).reshape(name["shape"]).copy()
                arrays.setdefault(name["probe"], {})[name["fact"]] = array
            case kind:
                with pa.ipc.open_stream(pa.PythonFile(part, "r")) as reader:
                    table = reader.read_all()
                if kind == "rows":
                    rows = table
                elif kind == "training":
                    columns = table
                else:
                    tables[kind][name["attribute"]] = table
    training = None
    if columns is not None:
        training = TrainingFacts(rows=facts["training_rows"], columns=columns, **arrays.pop(None))  # type: ignore[arg-type]  # keys are names
    asked = {
        str(probe): Answers(values=given.pop(None), facts={str(k): v for k, v in given.items()})
        for probe, given in arrays.items()
    }
    return Evidence(
        declaration=Declaration.model_validate(facts["declaration"]),
        submission_digest=facts["submission_digest"],
        rows=rows,
        asked=asked,
        cells=tables["cells"],
        moments=tables["moments"],
        population=facts.get("population", {}),
        training=training,
        documents=tuple(Document(**d) for d in facts["documents"]),
        scan=_back(facts["scan"]),
        model_fault=_back(facts["model_fault"]),
        seed=facts["seed"],
        digest=facts["digest"],
    )


def store(evidence: Evidence, settings: Settings, *, today: dt.date | None = None) -> None:
    """Seal evidence: encrypt it, keep its key apart, and set the date from which it is gone.

    Evidence that is kept already is sealed anew, under a new key and with a new date.

    Args:
        evidence: with its digest set.
        settings: state folder and retention.
        today: the day to count from; the present day if None.

    Raises:
        ValueError: its digest is not the digest of its facts.
        TypeError: a fact is of a kind that cannot be sealed (JSON facts, numbers, booleans and text can).
    """
    if evidence.digest != digest_of(evidence):
        raise ValueError("the digest of the evidence is not the digest of its facts")
    day = today or now().date()
    key, prefix = AESGCM.generate_key(256), secrets.token_bytes(7)
    sealed = Sealed(
        version=VERSION,
        digest=evidence.digest,
        key_id=new_id(),
        nonce=prefix.hex(),
        submission=evidence.submission_digest,
        sealed=day.isoformat(),
        expires=(day + dt.timedelta(days=settings.retention_days)).isoformat(),
    )
    header = json.dumps({name: getattr(sealed, name) for name in Sealed.__slots__}, sort_keys=True).encode()
    with open_files(settings).create(_name(evidence.digest)) as out:
        out.write(MAGIC + struct.pack("<I", len(header)) + header)
        stream = Sealing(out, key, prefix, header)
        _write(evidence, stream)
        stream.finish()
        # Two assessments of the same submission seal the same evidence: file and key are exchanged together. The key is
        # there before the file that needs it; a crash in between leaves a key that opens nothing.
        with _exchanging(settings):
            keyring.keep(_key_path(evidence.digest, sealed.key_id, settings), key, settings)
            out.keep()
            _remove_keys(evidence.digest, settings, but=sealed.key_id)


def _read_header(file: BinaryIO) -> tuple[Sealed, bytes]:
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("not a sealed file")
    (size,) = struct.unpack("<I", _exactly(file, 4))
    if size > _HEADER_LIMIT:
        raise ValueError("the header is too long")
    raw = _exactly(file, size)
    given = json.loads(raw)
    if given.get("version") != VERSION:
        raise ValueError(f"sealed as version {given.get('version')}, which this software does not read")
    return Sealed(**given), raw


def load(digest: str, settings: Settings, *, today: dt.date | None = None) -> Evidence | None:
    """Open sealed evidence.

    Args:
        digest: digest of the evidence, as its dossier names it.
        settings: where it is kept.
        today: the day to count from; the present day if None.

    Returns:
        The evidence, equal to what was stored; None once it is erased, its key is gone or its date is over.

    Raises:
        Broken: the file was changed or damaged.
        ValueError: this is no digest.
    """
    name, files = _name(digest), open_files(settings)
    try:
        with ExitStack() as stack:
            with _exchanging(settings):
                file = stack.enter_context(files.open(name))
                sealed, header = _read_header(file)
                if dt.date.fromisoformat(sealed.expires) < (today or now().date()):
                    return None
                key = keyring.read(_key_path(digest, sealed.key_id, settings), settings)
            stream = io.BufferedReader(Opening(file, key, bytes.fromhex(sealed.nonce), header), PIECE)
            evidence = _read(stream)
            if stream.read(1):
                raise ValueError("something follows the last part")
    except FileNotFoundError:
        return None
    except (
        keyring.NoMasterKey,
        InvalidTag,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        struct.error,
        pa.ArrowException,
    ) as error:
        raise _damaged(digest, repr(error)) from error
    if evidence.digest != digest or digest_of(evidence) != digest:
        raise _damaged(digest, "its facts do not have the digest it was asked for by")
    return evidence


def _damaged(digest: str, why: str) -> Broken:
    incident = new_id()[:12]
    log.error("incident %s: sealed evidence %s cannot be opened: %s", incident, digest, why)
    return Broken(incident)


def _remove_keys(digest: str, settings: Settings, *, but: str = "") -> bool:
    removed = False
    for key in _keys(settings).glob(f"{digest}.*.key"):
        if key != _key_path(digest, but, settings):
            keyring.erase(key)
            removed = True
    return removed


def erase(digest: str, settings: Settings) -> bool:
    """Erase evidence: its key first, then the file.

    Returns:
        Whether there was something to erase.
    """
    name = _name(digest)
    with _exchanging(settings):
        removed = _remove_keys(digest, settings)
        return open_files(settings).remove(name) or removed


def kept(settings: Settings) -> tuple[Sealed, ...]:
    """List what is kept, by the headers alone; a file that has none is left out and logged."""
    found, files = [], open_files(settings)
    for file in files.kept("evidence", ".sealed"):
        try:
            with files.open(f"evidence/{file.stem}.sealed", ahead=_HEADER_LIMIT) as opened:
                found.append(_read_header(opened)[0])
        except (ValueError, EOFError, TypeError, OSError) as error:
            log.error("%s is no sealed file: %r", file.stem, error)
    return tuple(found)


def remove_partial(settings: Settings) -> int:
    """Remove what a process left that was killed while it sealed.

    Returns:
        How many files there were.
    """
    return len(open_files(settings).remove_unfinished("evidence"))


def expire(settings: Settings, today: dt.date | None = None) -> tuple[str, ...]:
    """Erase all evidence whose date is over.

    Args:
        today: the day to count from; the present day if None.

    Returns:
        Digests of what was erased.
    """
    day = today or now().date()
    over = tuple(s.digest for s in kept(settings) if dt.date.fromisoformat(s.expires) < day)
    for digest in over:
        erase(digest, settings)
    return over
