"""Look at a whole installation and say what to mend, for the person on call."""

from __future__ import annotations

import datetime as dt
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from sandbox.records import audit, keyring
from sandbox.records.database import Database, is_migrated
from sandbox.records.files import NotReached, open_files
from sandbox.records.mlflow_log import credential
from sandbox.records.tables import AuditEntry, OutboxEntry, State, Submission, now
from sandbox.settings import Settings

PRIVATE = ("dossiers", "evidence", "uploads", "keys")
CLOCK_SECONDS = 5.0
TRACKING_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was looked at.

    Args:
        what: its name.
        held: whether it is as it must be.
        observed: what was seen.
        mend: what to do; empty where there is nothing to do.
    """

    what: str
    held: bool
    observed: str
    mend: str = ""


def examine(settings: Settings) -> tuple[Line, ...]:
    """Look at state folder, disk, keys, database, audit log, queue and MLflow; changes nothing.

    Args:
        settings: of the service.
    """
    return tuple(_lines(settings))


def _lines(settings: Settings) -> Iterator[Line]:
    yield from _state(settings)
    yield _keys(settings)
    if settings.files:
        yield _files(settings)
    database = Database(settings)
    try:
        yield from _database(database)
    except SQLAlchemyError as error:
        seen = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
        yield Line(what="database", held=False, observed=seen, mend="start the database, or mend DATABASE_URL")
    finally:
        database.close()
    yield _tracking(settings)


def _state(settings: Settings) -> Iterator[Line]:
    if not settings.state.is_dir():
        yield Line(what="state", held=False, observed=f"{settings.state} is not there", mend="start the service once")
        return
    for name in PRIVATE:
        folder = settings.state / name
        if folder.is_dir() and (mode := stat.S_IMODE(folder.stat().st_mode)) & 0o077:
            yield Line(what="state", held=False, observed=f"{folder} has mode {mode:04o}", mend=f"chmod 0700 {folder}")
    free = shutil.disk_usage(settings.state).free
    enough = free >= 2 * settings.upload_bytes + settings.unpacked_bytes
    seen = f"{free // 1024**2} MiB free"
    yield Line(
        what="disk", held=enough, observed=seen, mend="" if enough else "make room: two uploads and one unpacked fit"
    )


def _files(settings: Settings) -> Line:
    try:
        kept = sum(1 for _ in open_files(settings).kept("uploads", ".sealed"))
    except (ValueError, NotReached) as error:
        return Line(what="files", held=False, observed=str(error)[:300], mend="mend FILES, or the variables of AWS")
    return Line(what="files", held=True, observed=f"{kept} uploads in {settings.files}")


def _keys(settings: Settings) -> Line:
    try:
        master = keyring.master(settings)
    except keyring.NoMasterKey as error:
        return Line(what="master key", held=False, observed=str(error), mend="mend MASTER_KEY_FILE")
    folder = settings.state / "keys"
    files = [
        p for p in folder.glob("*") if p.suffix in (".key", ".upload", ".part", ".dossier") and p.name != "web.key"
    ]
    wrapped = [p for p in files if keyring.is_wrapped(p)]
    for file in wrapped:
        try:
            keyring.read(file, settings)
        except keyring.NoMasterKey as error:
            return Line(what="master key", held=False, observed=str(error), mend="set the master key that it was")
    seen = f"{len(files)} keys, {len(wrapped)} wrapped by the master key"
    if master is None:
        return Line(what="master key", held=True, observed=f"none is set; {seen}", mend="set MASTER_KEY_FILE")
    return Line(what="master key", held=True, observed=seen)


def _database(database: Database) -> Iterator[Line]:
    migrated = is_migrated(database)
    kind = database.engine.dialect.name
    if not migrated:
        yield Line(what="database", held=False, observed="tables of another version", mend="start the service once")
        return
    yield Line(what="database", held=True, observed=f"{kind}, tables of this version")
    with database.reading() as session:
        faults = audit.verify(session)
        number, digest = audit.head(session)
        newest = session.scalar(select(AuditEntry.at).order_by(AuditEntry.number.desc()).limit(1))
        silent = session.scalar(
            select(func.count())
            .select_from(Submission)
            .where(Submission.state == State.RUNNING, Submission.lease_until < now())
        )
        queued = session.scalar(select(func.count()).select_from(Submission).where(Submission.state == State.QUEUED))
        running = session.scalar(select(func.count()).select_from(Submission).where(Submission.state == State.RUNNING))
        waiting = session.execute(
            select(func.count(), func.max(OutboxEntry.problem)).where(OutboxEntry.logged.is_(None))
        ).one()
    yield Line(
        what="audit log",
        held=not faults,
        observed=faults[0] if faults else f"{number} lines verify; head {digest}",
        mend="keep a copy of the database as it is and find out who changed it" if faults else "",
    )
    ahead = (dt.datetime.fromisoformat(newest) - now()).total_seconds() if newest else 0.0
    yield Line(
        what="clock",
        held=ahead < CLOCK_SECONDS,
        observed="not behind the audit log" if ahead < CLOCK_SECONDS else f"{ahead:.0f} s behind the audit log",
        mend="" if ahead < CLOCK_SECONDS else "set the clock of this machine",
    )
    idle = bool(queued) and not running
    yield Line(
        what="workers",
        held=not silent and not idle,
        observed=f"{queued} waiting, {running} running, {silent} without a sign of life",
        mend="start a worker; what it left is taken up again" if silent or idle else "",
    )
    yield Line(
        what="outbox",
        held=not waiting[1],
        observed=f"{waiting[0]} not in MLflow yet" + (f": {waiting[1]}" if waiting[1] else ""),
        mend="start MLflow; nothing is lost, the worker tries again" if waiting[1] else "",
    )


def _tracking(settings: Settings) -> Line:
    if not settings.tracking_uri.startswith(("http://", "https://")):
        return Line(what="mlflow", held=True, observed="embedded in the state folder")
    import requests

    address = f"{settings.tracking_uri.rstrip('/')}/api/2.0/mlflow/experiments/search"
    try:
        answer = requests.get(address, {"max_results": "1"}, auth=credential(settings), timeout=TRACKING_SECONDS)
    except (OSError, ValueError) as error:
        return Line(what="mlflow", held=False, observed=f"no answer: {error}", mend="start MLflow; nothing is lost")
    mend = "" if answer.ok else "mend MLFLOW_CREDENTIAL_FILE" if answer.status_code in (401, 403) else "look at its log"
    return Line(what="mlflow", held=answer.ok, observed=f"answers {answer.status_code}", mend=mend)
