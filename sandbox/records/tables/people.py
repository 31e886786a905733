"""Who may sign in, with what, and for whom."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from sandbox.records.tables.base import Base


class Organisation(Base):
    """Those who share submissions; nobody outside it learns that they exist."""

    __tablename__ = "organisations"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    made: Mapped[dt.datetime]


class Person(Base):
    """Somebody who can sign in.

    Args:
        login: what they sign in with, in small letters.
        password: salted scrypt hash with its parameters.
        must_change: the password was set by somebody else and must be replaced at the next sign-in.
    """

    __tablename__ = "people"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    login: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    password: Mapped[str] = mapped_column(String(300))
    must_change: Mapped[bool] = mapped_column(default=False)
    made: Mapped[dt.datetime]


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
        scope: `read` or `submit` (which includes reading).
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
