"""Add, try and remove webhooks, and sign what they are sent.

The secret of a webhook is worked out from one key of this installation and the webhook's id: it is shown once and kept
nowhere, and whoever reads the database can sign nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from sqlalchemy import delete, select

from sandbox import outgoing
from sandbox.notices import making
from sandbox.records import audit
from sandbox.records.database import Database
from sandbox.records.keyring import drawn
from sandbox.records.tables import Notice, Webhook, new_id, now
from sandbox.settings import Settings

MOST = 10
"""Webhooks of one organisation."""

LONGEST = 500


class Unfit(ValueError):
    """The address cannot be used."""


class Enough(Unfit):
    """The organisation has as many webhooks as it may."""


def secret_of(settings: Settings, hook_id: str) -> str:
    """Give the secret of a webhook."""
    key = drawn(settings.state / "keys" / "webhooks.key")
    return "whsec_" + hmac.new(key, hook_id.encode(), hashlib.sha256).hexdigest()


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Sign a body with the time it is sent at: `t=<unix time>,v1=<HMAC-SHA256 of "<time>.<body>", hexadecimal>`."""
    made = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={made}"


def listed(database: Database, organisation_id: str) -> Sequence[Webhook]:
    """List the webhooks of an organisation, the oldest first."""
    with database.reading() as session:
        return session.scalars(
            select(Webhook).where(Webhook.organisation == organisation_id).order_by(Webhook.made)
        ).all()


def add(database: Database, *, organisation_id: str, address: str, actor: str) -> Webhook:
    """Add a webhook; whoever adds it is shown its secret once.

    Raises:
        Unfit: the address is not one out on the internet with https.
        Enough: the organisation has as many as it may.
    """
    address = address.strip()
    try:
        if len(address) > LONGEST:
            raise Unfit("too long")
        outgoing.look_up(address)
    except outgoing.NotReached as wrong:
        raise Unfit(str(wrong)) from wrong
    hook = Webhook(id=new_id(), organisation=organisation_id, address=address, made=now())
    with database.writing() as session:
        if len(session.scalars(select(Webhook.id).where(Webhook.organisation == organisation_id)).all()) >= MOST:
            raise Enough(f"an organisation has {MOST} webhooks at most")
        session.add(hook)
        audit.record(
            session, actor=actor, action="webhook.added", subject=hook.id, facts={"organisation": organisation_id}
        )
    return hook


def remove(database: Database, *, organisation_id: str, hook_id: str, actor: str) -> bool:
    """Remove a webhook of an organisation, and what waits for it; False when there is none."""
    with database.writing() as session:
        hook = session.get(Webhook, hook_id)
        if hook is None or hook.organisation != organisation_id:
            return False
        session.execute(delete(Notice).where(Notice.webhook == hook_id))
        session.delete(hook)
        audit.record(session, actor=actor, action="webhook.removed", subject=hook_id)
        return True


def try_out(database: Database, *, organisation_id: str, hook_id: str) -> bool:
    """Put a message without content into the table; False when there is no such webhook."""
    with database.writing() as session:
        hook = session.get(Webhook, hook_id)
        if hook is None or hook.organisation != organisation_id:
            return False
        making.put(session, hook, f"test-{new_id()}", "test", {"event": "test", "at": now().isoformat()})
        return True
