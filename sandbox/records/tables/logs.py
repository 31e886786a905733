"""What is only ever added to: the audit log, where its head was sent, and the outbox to MLflow."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sandbox.records.tables.base import Base


class AuditEntry(Base):
    """One line of the audit log; see `sandbox.records.audit`.

    Args:
        number: 1, 2, 3, ... without a gap.
        previous: digest of the line before; 64 zeros for the first.
        digest: SHA-256 over all of this line but itself, hexadecimal.
    """

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(40))
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(200), index=True)
    facts: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64), unique=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)


class AuditHead(Base):
    """A head of the audit log that was sent to somewhere else; see `sandbox.records.audit_heads`.

    Args:
        day: of which it is, ISO 8601.
        place: `authority` for the time-stamping authority, `mail:` with an address, `auditor:` with the person's id.
        number, digest: of the newest line then.
        statement: as it was sent.
        stamp: the file of its time stamp; empty for a mail.
    """

    __tablename__ = "audit_heads"

    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    place: Mapped[str] = mapped_column(String(300), primary_key=True)
    at: Mapped[dt.datetime]
    number: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    statement: Mapped[str] = mapped_column(Text)
    stamp: Mapped[str] = mapped_column(Text)


class OutboxEntry(Base):
    """One assessment that has to reach MLflow; see `sandbox.records.mlflow_log`.

    Args:
        key: identity of the assessment's run; the same assessment can be put only once.
        folder: name of its folder among the dossiers.
        tries: how often logging was tried without success.
        problem: why the last try failed; empty if none did.
        mlflow_run: the MLflow run it became; None as long as it waits.
    """

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_logged", "logged"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    folder: Mapped[str] = mapped_column(String(80))
    put: Mapped[dt.datetime]
    tries: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str] = mapped_column(Text, default="")
    logged: Mapped[dt.datetime | None]
    mlflow_run: Mapped[str | None] = mapped_column(String(64))
