"""Have a signature stamped by a time-stamping authority (RFC 3161), and check such a stamp offline.

The stamp of the file `signature` is the file `timestamp`, that of `signature.1` is `timestamp.1`, and so on. It says
that the signature was there at that time, on the word of the authority; it is not a qualified time stamp unless the
authority is a qualified one, which nobody here can tell.

Assumes of its caller: the authority is the operator's choice, and the certificates it is checked by come from elsewhere
than the dossier. The authority learns the SHA-512 of the signature, and nothing else.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandbox.keys.listed import refused

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

FORMAT: Final = "1"
SECONDS: Final = 20.0

Post = Callable[[str, bytes], bytes]
"""Sends a request to an address and gives the body of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a time stamp says.

    Args:
        at: time of the stamp, UTC.
        by: the authority, as its certificate names it.
        checked: whether the stamp was made under one of the certificates that were given; None where none was given.
    """

    at: dt.datetime
    by: str
    checked: bool | None


class Unfit(Exception):
    """This is no time stamp of that signature; the message says why."""


def name_for(signature: str) -> str:
    """Give the name of the file with the time stamp of a signature."""
    return signature.replace("signature", "timestamp", 1)


def by(authority: str) -> Callable[[bytes], bytes]:
    """Give what has a signature stamped by an authority of the operator's choice; see `ask`.

    Args:
        authority: https (or http) address; it may be one of this network, for the operator named it.
    """
    from sandbox.outgoing import NotReached, poster

    post = poster("application/timestamp-query", private=True, plain=True, seconds=SECONDS)

    def stamped(signature: bytes) -> bytes:
        try:
            return ask(authority, signature, post)
        except NotReached as gone:
            raise refused("timestamp", "timestamp.none", f"no time stamp by {authority}: {gone}") from gone

    return stamped


def ask(authority: str, signature: bytes, post: Post) -> bytes:
    """Have a signature stamped.

    Args:
        authority: https (or http) address of the time-stamping authority.
        signature: the whole file.
        post: sends a request; `sandbox.outgoing` has the one that goes out.

    Returns:
        The content of the time stamp's file.

    Raises:
        Refused: the authority does not answer, does not grant it, or stamps something else.
    """
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    request = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA512).build()
    answer = post(authority, request.as_bytes())
    try:
        response = _decoded(answer)
        if response.tst_info.nonce != request.nonce:
            raise Unfit("it answers another request")
        _stamps(response, signature)
    except Unfit as why:
        raise refused("timestamp", "timestamp.none", f"no time stamp by {authority}: {why}") from why
    return _written(answer)


def read(content: bytes, signature: bytes, roots: Path | None = None) -> Stamp:
    """Check the file of a time stamp against the signature it belongs to.

    Args:
        content: of the time stamp's file.
        signature: the whole file of the signature.
        roots: PEM file with certificates of authorities that are trusted, from elsewhere than the dossier.

    Raises:
        Unfit: it was changed or is damaged, is of something else, or is under none of these certificates.
        Refused: the file with certificates cannot be read.
    """
    try:
        given: dict[str, Any] = json.loads(content)
        answer = base64.b64decode(given["response"], validate=True)
        if _written(answer) != content:
            raise Unfit("was changed or is damaged: it is not written as a time stamp is")
    except (ValueError, KeyError, TypeError, RecursionError) as wrong:
        raise Unfit(f"was changed or is damaged: {type(wrong).__name__}") from wrong
    response = _decoded(answer)
    _stamps(response, signature)
    if roots is not None:
        _check(response, signature, roots)
    try:
        at, by = response.tst_info.gen_time.astimezone(dt.UTC), _authority(response)
    except (ValueError, KeyError, OverflowError) as wrong:
        raise Unfit(f"it does not say when and by whom: {type(wrong).__name__}") from wrong
    return Stamp(at=at, by=by, checked=None if roots is None else True)


def _check(response: TimeStampResponse, signature: bytes, roots: Path) -> None:
    from cryptography import x509
    from rfc3161_client import VerificationError, VerifierBuilder

    try:
        trusted = x509.load_pem_x509_certificates(roots.read_bytes())
    except (OSError, ValueError) as wrong:
        message = f"{roots} is not a file with certificates (PEM)"
        raise refused("timestamp_roots", "timestamp.roots", message) from wrong
    builder = VerifierBuilder()
    for certificate in trusted:
        builder = builder.add_root_certificate(certificate)
    try:
        builder.build().verify_message(response, signature)
    except VerificationError as wrong:
        raise Unfit(f"is not by an authority of the certificates that were given: {wrong}") from wrong


def _decoded(answer: bytes) -> TimeStampResponse:
    from rfc3161_client import PKIStatus, decode_timestamp_response

    try:
        response = decode_timestamp_response(answer)
        if response.status != PKIStatus.GRANTED:
            raise Unfit(f"it was not granted: {' '.join(response.status_string) or response.status}")
        _ = response.tst_info
    except ValueError as wrong:
        raise Unfit(f"it is not an answer as RFC 3161 has it: {wrong}") from wrong
    return response


def _stamps(response: TimeStampResponse, signature: bytes) -> None:
    if response.tst_info.message_imprint.message != hashlib.sha512(signature).digest():
        raise Unfit("is of another signature than the one beside it")


def _authority(response: TimeStampResponse) -> str:
    (signer,) = response.signed_data.signer_infos
    return str(signer.issuer.rfc4514_string())


def _written(answer: bytes) -> bytes:
    """Write a time stamp's file in its one form. The hash in it shows accidents; what shows intent is the stamp."""
    made = {
        "format": FORMAT,
        "response": base64.b64encode(answer).decode(),
        "sha256": hashlib.sha256(answer).hexdigest(),
    }
    return (json.dumps(made, sort_keys=True, indent=2) + "\n").encode()
