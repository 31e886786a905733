"""The tables of the service, and how they are opened and migrated; any SQLAlchemy URL, SQLite (WAL) by default."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Engine,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.orm import Session as Session
from sqlalchemy.types import TypeDecorator

from sandbox.settings import Settings

YOUNG_SECONDS = 3.0
"""How old a file must be before it can count as abandoned: it is made a moment before it is held."""


class Moment(TypeDecorator[dt.datetime]):
    """A point in time in UTC, on databases with and without zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Store in UTC; a time without a zone is refused, as nobody could say when it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time needs its zone")
        return value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Give the zone back that SQLite does not keep."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class State(StrEnum):
    """Where a submission stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self not in (State.QUEUED, State.RUNNING)


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {dt.datetime: Moment, dict[str, Any]: JSON, list[dict[str, Any]]: JSON}  # noqa: RUF012


class Submission(Base):
    """One upload and what became of it.

    Args:
        id: 128 random bits, hexadecimal; the only name by which it is asked for.
        name: the file name as sent; shown as text, never used as a path.
        digest: SHA-256 of the upload as received, hexadecimal.
        stage, done, total: how far it is, as last reported.
        attempt: how often it was claimed.
        token: fencing token; grows with each claim, and only its holder may write a result.
        worker, lease_until: who works on it, and until when that counts without a sign of life.
        cancel_requested: somebody asked to stop it.
        problems: what was wrong, as `sandbox.errors.Problem` by field.
        beyond, undecided, within: findings beyond, undecided and within their limit; None before it is done.
        dossier: name of its folder among the dossiers; None before it is done.
        organisation, submitted_by: whose it is, by id; None where the service has no accounts.
    """

    __tablename__ = "submissions"
    __table_args__ = (
        Index("ix_submissions_state_received", "state", "received"),
        Index("ix_submissions_received", "received"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    received: Mapped[dt.datetime]
    name: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default=State.QUEUED)
    stage: Mapped[str] = mapped_column(String(32), default="")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    token: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[dt.datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    started: Mapped[dt.datetime | None]
    ended: Mapped[dt.datetime | None]
    problems: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    incident: Mapped[str | None] = mapped_column(String(32))
    system: Mapped[str | None] = mapped_column(Text)
    version: Mapped[str | None] = mapped_column(String(60))
    risk_class: Mapped[str | None] = mapped_column(String(60))
    beyond: Mapped[int | None]
    undecided: Mapped[int | None]
    within: Mapped[int | None]
    dossier: Mapped[str | None] = mapped_column(String(80))
    dossier_digest: Mapped[str | None] = mapped_column(String(64))
    evidence_digest: Mapped[str | None] = mapped_column(String(64))
    organisation: Mapped[str | None] = mapped_column(String(32), index=True)
    submitted_by: Mapped[str | None] = mapped_column(String(32))


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
    subject: Mapped[str] = mapped_column(String(200))
    facts: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64), unique=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)


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


class QuestionnaireDraft(Base):
    """Answers to the questionnaire that somebody is giving; nothing else is kept with them.

    Args:
        id: random; only the browser that began it holds it.
        content: `organisation` and `answers`, as in the form.
    """

    __tablename__ = "questionnaires"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    content: Mapped[dict[str, Any]]
    changed: Mapped[dt.datetime] = mapped_column(index=True)


class ReviewEntry(Base):
    """One thing that somebody wrote about a dossier: never changed, never removed.

    Args:
        number: 1, 2, 3, ... of this submission.
        name: of the person, as it was then.
        kind: `comment`, `judgement`, or a status of `sandbox.review.desk`.
        finding: what it is about, as `sandbox.review.desk.key_of`; empty for the dossier as a whole.
        statement: what was signed, word for word; empty where nothing was.
        dossier_digest, policy, rules: what was before them.
    """

    __tablename__ = "review_entries"
    __table_args__ = (UniqueConstraint("submission", "number", name="uq_review_entries_number"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    submission: Mapped[str] = mapped_column(String(32), ForeignKey("submissions.id"))
    number: Mapped[int]
    at: Mapped[dt.datetime]
    person: Mapped[str] = mapped_column(String(32), ForeignKey("people.id"))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(30))
    finding: Mapped[str] = mapped_column(String(300), default="")
    text: Mapped[str] = mapped_column(Text, default="")
    statement: Mapped[str] = mapped_column(Text, default="")
    dossier_digest: Mapped[str] = mapped_column(String(64))
    policy: Mapped[str] = mapped_column(String(100))
    rules: Mapped[str] = mapped_column(String(100))


def new_id() -> str:
    """Draw an id of 128 random bits, hexadecimal."""
    return secrets.token_hex(16)


def now() -> dt.datetime:
    """Tell the time in UTC."""
    return dt.datetime.now(dt.UTC)


def open_engine(settings: Settings) -> Engine:
    """Open the database of these settings; a new SQLite file is private to this user.

    Raises:
        sqlalchemy.exc.ArgumentError: the URL is none.
    """
    url = make_url(settings.database)
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and url.database and url.database != ":memory:":
        file = Path(url.database)
        _walkable(file.parent)
        # Made here, so that it and the files beside it (which take its mode) are private from the first byte.
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(url, connect_args={"timeout": 30} if sqlite else {}, pool_pre_ping=not sqlite)
    if sqlite:

        @event.listens_for(engine, "connect")
        def _set_up(connection: Any, _record: Any) -> None:
            # The driver's own transactions begin at the first write, which lets two readers block each other's writes.
            connection.isolation_level = None
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA foreign_keys=ON")

        @event.listens_for(engine, "begin")
        def _begin(connection: Any) -> None:
            # What will write says so at the start, so that it waits for its turn instead of failing halfway.
            writes = connection.get_execution_options().get("writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class Database:
    """The opened database: sessions to read and sessions to write.

    Args:
        settings: where it is.
    """

    def __init__(self, settings: Settings) -> None:
        self.engine = open_engine(settings)
        self._read = sessionmaker(self.engine, expire_on_commit=False)
        self._write = sessionmaker(self.engine.execution_options(writes=True), expire_on_commit=False)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads."""
        with self._read() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a session that writes, in one transaction: committed at the end, undone by an exception."""
        with self._write.begin() as session:
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def private_folder(folder: Path) -> Path:
    """Make a folder that only this user can open.

    Its missing parents can be walked through but not listed: a cell's own user id must reach the cell files that stand
    under the same state folder.
    """
    if not folder.is_dir():
        _walkable(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _walkable(folder: Path) -> None:
    if not folder.is_dir():
        _walkable(folder.parent)
        folder.mkdir(mode=0o711, exist_ok=True)
        folder.chmod(0o711)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock file of this machine; waits for whoever holds it, and is let go of even by a killed process.

    Args:
        file: the lock file; made if absent, never removed.
    """
    _walkable(file.parent)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_RDWR, 0o600), "r+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def hold(descriptor: int) -> None:
    """Mark an unfinished file as being written, for as long as this process has it open; see `is_abandoned`."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def is_abandoned(file: Path) -> bool:
    """Tell whether nobody writes an unfinished file any more: whoever did was killed, or never came to `hold` it.

    Args:
        file: a file that is held while it is written; one as young as `YOUNG_SECONDS` counts as being written.
    """
    try:
        with file.open("rb") as opened:
            if time.time() - os.fstat(opened.fileno()).st_mtime < YOUNG_SECONDS:
                return False
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except OSError:
        return False


def is_migrated(database: Database) -> bool:
    """Tell whether the database has the tables of exactly this software's version.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with resources.as_file(resources.files("sandbox.records")) as folder, database.engine.connect() as connection:
        found = set(MigrationContext.configure(connection).get_current_heads())
        return found == set(ScriptDirectory(str(folder / "migrations")).get_heads())


def migrate(settings: Settings) -> None:
    """Bring the database to the newest version; processes that start together take turns.

    Raises:
        alembic.util.CommandError: the database holds a version that this software does not know (it is older).
    """
    from alembic import command
    from alembic.config import Config

    with locked(settings.state / "migrate.lock"), resources.as_file(resources.files("sandbox.records")) as folder:
        engine = open_engine(settings)
        try:
            with engine.execution_options(writes=True).connect() as connection:
                config = Config()
                config.set_main_option("script_location", str(folder / "migrations").replace("%", "%%"))
                config.attributes["connection"] = connection
                if connection.dialect.name == "postgresql":
                    # Processes on several machines share no lock file; let go of at the end of the transaction.
                    connection.execute(text("SELECT pg_advisory_xact_lock(4142)"))
                command.upgrade(config, "head")
        finally:
            engine.dispose()
