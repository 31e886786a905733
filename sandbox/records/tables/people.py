"""Who may sign in, with what, and for whom."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sandbox.records.tables.base import Base


class Organisation(Base):
    """Those who share submissions; nobody outside it learns that they exist.

    Args:
        cells_at_once, running_at_once, cpu_seconds, builds, stored_bytes: its budget, see `sandbox.review.budgets`;
            None for what the operator gives everybody, 0 for no limit.
        served: when a submission of it was last claimed; None before that.
        registered_by: the person who registered it themselves; None where the operator made it.
    """

    __tablename__ = "organisations"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    made: Mapped[dt.datetime]
    cells_at_once: Mapped[int | None]
    running_at_once: Mapped[int | None]
    served: Mapped[dt.datetime | None]
    cpu_seconds: Mapped[int | None] = mapped_column(BigInteger)
    builds: Mapped[int | None]
    stored_bytes: Mapped[int | None] = mapped_column(BigInteger)
    registered_by: Mapped[str | None] = mapped_column(String(32))


class Person(Base):
    """Somebody who can sign in.

    Args:
        login: what they sign in with, in small letters.
        password: salted hash with its parameters; empty for who signs in elsewhere alone.
        must_change: the password was set by somebody else and must be replaced at the next sign-in.
        issuer, subject: who they are at the provider that they sign in with; None for a local account.
        mail: where mail goes; empty for none.
        language: of that mail.
    """

    __tablename__ = "people"
    __table_args__ = (Index("ix_people_elsewhere", "issuer", "subject", unique=True),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    login: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    password: Mapped[str] = mapped_column(String(300))
    must_change: Mapped[bool] = mapped_column(default=False)
    made: Mapped[dt.datetime]
    issuer: Mapped[str | None] = mapped_column(String(300))
    subject: Mapped[str | None] = mapped_column(String(255))
    mail: Mapped[str] = mapped_column(String(254), default="")
    language: Mapped[str] = mapped_column(String(8), default="en")


class Membership(Base):
    """One role of one person in one organisation."""

    __tablename__ = "memberships"

    person: Mapped[str] = mapped_column(String(32), ForeignKey("people.id"), primary_key=True)
    organisation: Mapped[str] = mapped_column(String(32), ForeignKey("organisations.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(16), primary_key=True)


class SignedIn(Base):
    """One session of one person in one browser.

    Args:
        digest: SHA-256 of the secret that the browser holds; whoever reads this table can sign in as nobody.
        seen: when it was last used, to the minute.
    """

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    person: Mapped[str] = mapped_column(String(32), ForeignKey("people.id"), index=True)
    begun: Mapped[dt.datetime]
    seen: Mapped[dt.datetime]


class FailedSignIn(Base):
    """How often signing in under one name failed, whether anybody has that name or not.

    Args:
        digest: SHA-256 of the name as given, in small letters.
    """

    __tablename__ = "failed_sign_ins"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    times: Mapped[int]
    last: Mapped[dt.datetime]


class ApiToken(Base):
    """A key with which a program acts for a person in one organisation.

    Args:
        digest: SHA-256 of the key; the key itself is shown once and kept nowhere.
        scope: `read`, `submit` (which includes reading) or `webhooks`.
    """

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    person: Mapped[str] = mapped_column(String(32), ForeignKey("people.id"), index=True)
    organisation: Mapped[str] = mapped_column(String(32), ForeignKey("organisations.id"))
    name: Mapped[str] = mapped_column(String(100))
    scope: Mapped[str] = mapped_column(String(16))
    made: Mapped[dt.datetime]
    until: Mapped[dt.datetime]


class Counted(Base):
    """How often one address or person did one thing lately, over all processes.

    Args:
        digest: SHA-256 of what is counted and for whom.
        begun: when the present window began.
    """

    __tablename__ = "counted"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    begun: Mapped[dt.datetime] = mapped_column(index=True)
    times: Mapped[int]


class Spent(Base):
    """What one assessment took of its organisation's budget, as its receipts say."""

    __tablename__ = "spent"

    submission: Mapped[str] = mapped_column(String(32), primary_key=True)
    organisation: Mapped[str] = mapped_column(String(32), index=True)
    at: Mapped[dt.datetime]
    cpu_seconds: Mapped[float]
    builds: Mapped[int]


class Webhook(Base):
    """An address of an organisation that is told of what happens to its submissions.

    Args:
        status: of the last answer; 0 where there was none, None before the first.
    """

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    organisation: Mapped[str] = mapped_column(String(32), ForeignKey("organisations.id"), index=True)
    address: Mapped[str] = mapped_column(Text)
    made: Mapped[dt.datetime]
    status: Mapped[int | None]
    tried: Mapped[dt.datetime | None]


class Notice(Base):
    """One message that has to go out: to a webhook, or by mail to a person.

    Args:
        id: kept from try to try, so that a receiver knows what it has already.
        webhook, person: whom it is for: one of the two.
        event: as in `submission.done`.
        body: of a webhook, as sent; the submission's id where it is a mail.
        due: when it is tried next.
    """

    __tablename__ = "notices"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    webhook: Mapped[str | None] = mapped_column(String(32), index=True)
    person: Mapped[str | None] = mapped_column(String(32))
    event: Mapped[str] = mapped_column(String(60))
    body: Mapped[str] = mapped_column(Text)
    put: Mapped[dt.datetime]
    due: Mapped[dt.datetime] = mapped_column(index=True)
    tries: Mapped[int] = mapped_column(default=0)


class NoticeMark(Base):
    """Up to which line of the audit log notices were made."""

    __tablename__ = "notice_mark"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
