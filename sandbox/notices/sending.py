"""Send what waits: each at least once, again after a pause that doubles, until it is taken or too old."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import select, update

from sandbox import outgoing
from sandbox.notices import hooks, mail
from sandbox.records.database import Database
from sandbox.records.tables import Notice, Person, Webhook, now
from sandbox.settings import Settings

log = logging.getLogger(__name__)

TRIES: Final = 12
FIRST_PAUSE: Final = dt.timedelta(seconds=30)
LONGEST_PAUSE: Final = dt.timedelta(hours=6)
HELD: Final = dt.timedelta(minutes=2)
"""How long a notice belongs to the worker that took it; longer than one try may last."""

AT_ONCE: Final = 50

Fetch = Callable[..., outgoing.Answer]


def send_due(database: Database, settings: Settings, *, fetch: Fetch = outgoing.fetch) -> int:
    """Send what is due, one after the other.

    Args:
        fetch: sends a request.

    Returns:
        How many were taken by whom they are for.
    """
    taken = 0
    for _ in range(AT_ONCE):
        notice = _claim(database)
        if notice is None:
            break
        sent = _to_hook(database, settings, notice, fetch) if notice.webhook else _by_mail(database, settings, notice)
        taken += sent
        _after(database, notice, sent)
    return taken


def _claim(database: Database) -> Notice | None:
    due = select(Notice).where(Notice.due <= now())
    if not database.has(due):
        return None
    with database.writing() as session:
        notice = session.scalars(
            due.order_by(Notice.due, Notice.put).limit(1).with_for_update(skip_locked=True)
        ).first()
        if notice is not None:
            notice.due, notice.tries = now() + HELD, notice.tries + 1
        return notice


def _after(database: Database, notice: Notice, sent: bool) -> None:
    with database.writing() as session:
        kept = session.get(Notice, notice.id)
        if kept is None:
            return
        if sent or kept.tries >= TRIES:
            if not sent:
                log.warning("a notice was given up after %d tries: %s", kept.tries, kept.event)
            session.delete(kept)
        else:
            kept.due = now() + min(FIRST_PAUSE * 2 ** (kept.tries - 1), LONGEST_PAUSE)


def _to_hook(database: Database, settings: Settings, notice: Notice, fetch: Fetch) -> bool:
    with database.reading() as session:
        hook = session.get(Webhook, notice.webhook)
    if hook is None:
        return True
    body, at = notice.body.encode(), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "aiact-sandbox",
        "AIAct-Sandbox-Event": notice.event,
        "AIAct-Sandbox-Delivery": notice.id,
        "AIAct-Sandbox-Signature": hooks.signature(hooks.secret_of(settings, hook.id), at, body),
    }
    try:
        status = fetch(hook.address, method="POST", body=body, headers=headers, largest=64 * 1024).status
    except outgoing.NotReached:
        status = 0
    with database.writing() as session:
        session.execute(update(Webhook).where(Webhook.id == hook.id).values(status=status, tried=now()))
    return 200 <= status < 300


def _by_mail(database: Database, settings: Settings, notice: Notice) -> bool:
    with database.reading() as session:
        person = session.get(Person, notice.person)
    if person is None or not person.mail:
        return True
    try:
        made = mail.message(
            settings,
            to=person.mail,
            language=person.language,
            event=notice.event,
            about=notice.body,
            notice_id=notice.id,
        )
        mail.send(settings, made)
    except mail.NotSent as wrong:
        log.warning("a mail was not taken: %s", wrong)
        return False
    return True
