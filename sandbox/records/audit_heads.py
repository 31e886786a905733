"""Send the head of the audit log, signed, to places that whoever runs the service cannot rewrite; check what came back.

Each day a statement of the head goes to the time-stamping authority, whose stamp is kept, and by mail to the addresses
of the setting and to every auditor, whose organisations chose them. Who keeps such a mail can show that lines were cut
off or changed since, whatever the operator did to the database.

Assumes of its caller: one worker at a time sends; two that do send twice, which is harmless.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import logging
from collections.abc import Iterator, Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import select

from sandbox import timestamps
from sandbox.errors import Refused
from sandbox.keys.held import open_signer
from sandbox.notices import mail
from sandbox.records import audit
from sandbox.records.database import Database, Session
from sandbox.records.tables import AuditEntry, AuditHead, Membership, Person, now
from sandbox.review.permissions import Role
from sandbox.settings import Settings

log = logging.getLogger(__name__)

KIND: Final = "AIACT-AUDIT-HEAD-1"
"""Begins each statement, so that its signature can be taken for no other."""

AUTHORITY: Final = "authority"
SUBJECT: Final = "Head of the audit log, {day}"
TEXT: Final = """\
This is the head of the audit log of {service}.

Keep this mail. Whoever doubts later that the log is complete checks it with
  aiact-sandbox admin audit verify --head {number}:{digest}

Dit is het laatste regelnummer van het auditlogboek van {service}, met de bijbehorende digest. Bewaar deze mail: wie er
later aan twijfelt of het logboek volledig is, controleert het met de opdracht hierboven.

{statement}
"""


def state(settings: Settings, head: tuple[int, str], at: dt.datetime) -> str:
    """Write a statement of a head, signed where the service has a key of its own.

    Args:
        head: number and digest of the newest line.
        at: when.

    Returns:
        One line of JSON: `kind`, `service`, `number`, `digest`, `at`, and `key` and `signature` (base64) over the rest.
    """
    said = {
        "kind": KIND,
        "service": settings.public_address,
        "number": head[0],
        "digest": head[1],
        "at": at.isoformat(timespec="seconds"),
    }
    # A signing process signs statements about dossiers and nothing else.
    if settings.signing and not settings.signing.startswith("unix:"):
        signer = open_signer(settings.signing)
        said["key"] = base64.b64encode(signer.public).decode()
        said["signature"] = base64.b64encode(signer.sign(_signed(said))).decode()
    return json.dumps(said, sort_keys=True)


def _signed(said: Mapping[str, object]) -> bytes:
    return json.dumps({name: said[name] for name in sorted(said) if name != "signature"}).encode()


def send(database: Database, settings: Settings, *, at: dt.datetime | None = None) -> int:
    """Send the head to each place that has not had one today; a place that fails is tried again at the next call.

    Args:
        at: the present time if None.

    Returns:
        How many places took it.
    """
    moment = at or now()
    day = moment.date().isoformat()
    with database.reading() as session:
        had = set(session.scalars(select(AuditHead.place).where(AuditHead.day == day)))
        due = {place: to for place, to in _places(session, settings).items() if place not in had}
        head = audit.head(session)
    if not due or head[0] == 0:
        return 0
    taken = 0
    try:
        statement = state(settings, head, moment)
    except Refused as why:
        log.error("the head of the audit log could not be signed: %s", why)
        return 0
    for place, to in due.items():
        try:
            if place == AUTHORITY:
                stamp = timestamps.by(to)(statement.encode()).decode()
            else:
                mail.send(settings, _mail(settings, to, head, statement, day))
                stamp = ""
        except (Refused, mail.NotSent) as why:
            log.warning("the head of the audit log did not reach %s: %s", place, why)
            continue
        with database.writing() as session:
            session.merge(
                AuditHead(
                    day=day, place=place, at=moment, number=head[0], digest=head[1], statement=statement, stamp=stamp
                )
            )
        taken += 1
    return taken


def _places(session: Session, settings: Settings) -> dict[str, str]:
    """Name each place, and where it is; a person by id, so that this table holds no address of anybody."""
    places = {AUTHORITY: settings.timestamp_authority} if settings.timestamp_authority else {}
    if settings.mail_server:
        places |= {f"mail:{to}": to for given in settings.audit_mail.split(",") if (to := given.strip())}
        auditors = (
            select(Person.id, Person.mail)
            .join(Membership, Membership.person == Person.id)
            .where(Membership.role == Role.AUDITOR, Person.mail != "")
        )
        places |= {f"auditor:{id_}": to for id_, to in session.execute(auditors)}
    return places


def _mail(settings: Settings, to: str, head: tuple[int, str], statement: str, day: str) -> EmailMessage:
    made = EmailMessage(policy=SMTP)
    try:
        made["From"], made["To"] = Address(addr_spec=settings.mail_from), Address(addr_spec=to)
    except (ValueError, IndexError) as wrong:
        raise mail.NotSent("that is no address for mail") from wrong
    made["Subject"] = SUBJECT.format(day=day)
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(TEXT.format(service=settings.public_address, number=head[0], digest=head[1], statement=statement))
    return made


def verify(session: Session, *, roots: Path | None = None) -> tuple[str, ...]:
    """Check every head that was sent against the log as it is now.

    Args:
        session: any session.
        roots: PEM file with certificates of time-stamping authorities that are trusted, from elsewhere.

    Returns:
        What is wrong, in English, one sentence per fault; empty when the log still holds each head.

    Raises:
        Refused: the file with certificates cannot be read.
    """
    return tuple(
        f"The head sent to {sent.place} on {sent.day}: {fault}"
        for sent in session.scalars(select(AuditHead).order_by(AuditHead.day, AuditHead.place))
        for fault in _faults(session, sent, roots)
    )


def _faults(session: Session, sent: AuditHead, roots: Path | None) -> Iterator[str]:
    try:
        said = json.loads(sent.statement)
        if (said["kind"], said["number"], said["digest"]) != (KIND, sent.number, sent.digest):
            yield "its statement is of another head."
        if "signature" in said:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(said["key"]))
            key.verify(base64.b64decode(said["signature"]), _signed(said))
    except (ValueError, KeyError, TypeError, binascii.Error, InvalidSignature):
        yield "its statement was changed after it was signed."
    line = session.get(AuditEntry, sent.number)
    if line is None or line.digest != sent.digest:
        yield f"line {sent.number} of the log is not the one that was sent."
    if sent.place == AUTHORITY:
        try:
            stamp = timestamps.read(sent.stamp.encode(), sent.statement.encode(), roots)
        except timestamps.Unfit as why:
            yield f"its time stamp {why}."
        else:
            if abs(stamp.at - sent.at) > dt.timedelta(hours=1):
                yield f"its time stamp is of {stamp.at:%Y-%m-%d %H:%M} UTC."


def count(session: Session) -> int:
    """Count the heads that were sent."""
    return len(session.scalars(select(AuditHead.day)).all())
