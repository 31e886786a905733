"""Copy a running installation to a folder, and make an installation of such a copy again.

The database is copied first, in one consistent moment; what its rows name was written before them, so that the files
copied afterwards are enough. Assumes of its caller: the copy holds the keys of uploads and evidence (wrapped, where
there is a master key, which is never in it) and is kept as private as the state folder; what was erased after it was
made comes back with it, and is erased again by whoever restores.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.engine import make_url

from sandbox.records import audit, dossier_store
from sandbox.records.database import Database, is_migrated, migrate, private_folder
from sandbox.records.files import open_files
from sandbox.records.tables import Submission, now
from sandbox.records.uploads import CHUNK
from sandbox.settings import Settings

FOLDERS = ("dossiers", "evidence", "uploads", "drafts", "keys", "outbox", "mlflow-artifacts", "publication")
"""What is copied of the state folder; what can be made again (quarantine, cell tree) is not."""

MANIFEST = "manifest.json"
FORMAT = 1
NOT_COPIED = ("web.key", f"*{dossier_store.SUFFIX}")
"""The key of cookies, because people sign in again after a restore; keys of dossiers in an object store, because a copy
is not sealed."""

IN_FILES = ("uploads", "evidence")
"""Folders of what may be kept in an object store, in the same form."""


class CannotCopy(Exception):
    """A backup cannot be made or restored as things are; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restored installation was found to hold.

    Args:
        submissions: number of records.
        dossiers: number of dossiers, each checked against its own `SHA256SUMS`.
        faults: what is not as it was written, one sentence each; empty if nothing is.
    """

    submissions: int
    dossiers: int
    faults: tuple[str, ...]


def back_up(settings: Settings, target: Path) -> dict[str, Any]:
    """Copy all that is kept into a new folder, while the service runs.

    Args:
        settings: of the service.
        target: must not exist; it appears whole or not at all.

    Returns:
        The manifest, without its list of files.

    Raises:
        CannotCopy: the target is there, the database cannot be copied, or its tables are of another version.
    """
    if target.exists():
        raise CannotCopy(f"{target} is there already; name a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    database = Database(settings)
    try:
        if not is_migrated(database):
            raise CannotCopy("the database has tables of another version than this software; start the service once")
        with database.reading() as session:
            head = audit.head(session)
        kind = _copy_database(settings, draft)
        if not settings.mlflow_tracking_uri and (settings.state / "mlflow.db").exists():
            _copy_sqlite(settings.state / "mlflow.db", draft / "mlflow.db")
        _fetch_dossiers(settings, database)
        for name in FOLDERS:
            _copy_folder(settings.state / name, draft / name)
        _copy_files(settings, draft)
        manifest = {
            "format": FORMAT,
            "made": now().isoformat(timespec="seconds"),
            "software": metadata.version("aiact-sandbox"),
            "database": kind,
            "audit_head": list(head),
        }
        files = {p.relative_to(draft).as_posix(): _digest(p) for p in sorted(draft.rglob("*")) if p.is_file()}
        (draft / MANIFEST).write_text(json.dumps({**manifest, "files": files}, indent=1), encoding="utf-8")
        draft.rename(target)
        return {**manifest, "number_of_files": len(files)}
    finally:
        database.close()
        shutil.rmtree(draft, ignore_errors=True)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _copy_database(settings: Settings, draft: Path) -> str:
    url = make_url(settings.database)
    match url.get_backend_name():
        case "sqlite" if url.database:
            _copy_sqlite(Path(url.database), draft / "sandbox.db")
            return "sqlite"
        case "postgresql":
            _run_tool("pg_dump", settings, "--format=custom", "--no-owner", f"--file={draft / 'sandbox.dump'}")
            return "postgresql"
        case other:
            raise CannotCopy(f"a database of kind {other} is copied by its own tools")


def _run_tool(program: str, settings: Settings, *arguments: str) -> None:
    """Run a program of PostgreSQL on the database of the settings; the password is in no argument."""
    found = shutil.which(program)
    if found is None:
        raise CannotCopy(f"{program} is not installed: apt-get install postgresql-client")
    url = make_url(settings.database)
    parts = {
        "PGHOST": url.host or url.query.get("host"),
        "PGPORT": url.port or url.query.get("port"),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    environment = {**os.environ, **{name: str(value) for name, value in parts.items() if value}}
    done = subprocess.run([found, *arguments], env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # our own arguments
    if done.returncode != 0:
        raise CannotCopy(f"{program} failed: {done.stderr.strip()[-500:]}")


def _copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that is in use, as it is at one moment."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(source, timeout=60)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode=DELETE")


def _copy_folder(source: Path, target: Path) -> None:
    """Copy what is finished; what vanishes meanwhile was erased, and stays so."""
    target.mkdir(mode=0o700)
    if not source.is_dir():
        return
    for file in sorted(source.rglob("*")):
        inside = file.relative_to(source)
        unfinished = any(part.startswith(".") for part in inside.parts) or file.suffix == ".partial"
        if unfinished or any(fnmatch(file.name, n) for n in NOT_COPIED) or file.is_symlink() or not file.is_file():
            continue
        copy = target / inside
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            shutil.copy2(file, copy)
        except FileNotFoundError:
            copy.unlink(missing_ok=True)


def _fetch_dossiers(settings: Settings, database: Database) -> None:
    """Have a copy here of each dossier that a record names, so that a backup is the same wherever files are kept."""
    if open_files(settings).here:
        return
    with database.reading() as session:
        names = session.scalars(select(Submission.dossier).where(Submission.dossier.is_not(None))).all()
    for name in names:
        dossier_store.folder(settings, str(name))


def _copy_files(settings: Settings, draft: Path) -> None:
    """Copy what lies in an object store; what vanishes meanwhile was erased, and stays so."""
    files = open_files(settings)
    if files.here:
        return
    for name in IN_FILES:
        for kept in files.kept(name, ".sealed"):
            copy = draft / name / f"{kept.stem}.sealed"
            with (
                contextlib.suppress(FileNotFoundError),
                files.open(f"{name}/{copy.name}") as source,
                copy.open("wb") as out,
            ):
                shutil.copyfileobj(source, out, CHUNK)


def _put_files(settings: Settings, backup: Path) -> None:
    """Bring what a backup holds to where the settings keep files."""
    files = open_files(settings)
    for name in IN_FILES:
        for path in sorted((backup / name).glob("*.sealed")):
            with path.open("rb") as source, files.create(f"{name}/{path.name}", new=True) as out:
                shutil.copyfileobj(source, out, CHUNK)
                out.keep()
    for path in sorted((backup / "dossiers").glob("*.zip")):
        dossier_store.keep(settings, path.stem)


def restore(backup: Path, settings: Settings) -> Restored:
    """Make an installation of a backup, and check it whole: every file, the audit log, every dossier.

    Args:
        backup: the folder that `back_up` made.
        settings: of the new installation: a state folder that holds nothing yet, an empty database.

    Returns:
        What it holds now, with every fault found.

    Raises:
        CannotCopy: the backup was changed or is none, or there is something where it would go. Nothing was done.
    """
    manifest = _checked_manifest(backup)
    here = [name for name in (*FOLDERS, "sandbox.db", "mlflow.db") if _holds_something(settings.state / name)]
    if here:
        raise CannotCopy(f"{settings.state} holds {', '.join(here)} already; restore into an empty state folder")
    files = open_files(settings)
    taken = [name for name in (*IN_FILES, "dossiers") if any(files.kept(name, ".sealed"))]
    if taken:
        raise CannotCopy(f"{settings.files} holds {', '.join(taken)} already; restore into an empty place")
    kind = make_url(settings.database).get_backend_name()
    if kind != manifest["database"]:
        raise CannotCopy(f"the backup holds a database of kind {manifest['database']}, and the settings name {kind}")
    private_folder(settings.state / "keys")
    if kind == "sqlite":
        target = Path(str(make_url(settings.database).database))
        if target.exists():
            raise CannotCopy(f"{target} is there already")
        _copy_private(backup / "sandbox.db", target)
    else:
        _refuse_tables(settings)
        dump = backup / "sandbox.dump"
        _run_tool(
            "pg_restore", settings, "--no-owner", "--exit-on-error", f"--dbname={_database_name(settings)}", str(dump)
        )
    for name in FOLDERS:
        if name in IN_FILES and not files.here:
            continue
        private_folder(settings.state / name)
        shutil.copytree(backup / name, settings.state / name, dirs_exist_ok=True, symlinks=True)
        (settings.state / name).chmod(0o700)
    if not files.here:
        _put_files(settings, backup)
    if (backup / "mlflow.db").exists():
        _copy_private(backup / "mlflow.db", settings.state / "mlflow.db")
    migrate(settings)
    return check(settings, expected_head=(int(manifest["audit_head"][0]), str(manifest["audit_head"][1])))


def _database_name(settings: Settings) -> str:
    return str(make_url(settings.database).database)


def _refuse_tables(settings: Settings) -> None:
    database = Database(settings)
    try:
        if inspect(database.engine).get_table_names():
            raise CannotCopy("the database holds tables already; restore into an empty one")
    finally:
        database.close()


def _copy_private(source: Path, target: Path) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    shutil.copyfile(source, target)


def _holds_something(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(p.name != "web.key" for p in path.iterdir()))


def _checked_manifest(backup: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((backup / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotCopy(f"{backup} is no backup: {error}") from error
    if manifest.get("format") != FORMAT:
        raise CannotCopy(f"the backup has format {manifest.get('format')}, which this software does not read")
    there = {p.relative_to(backup).as_posix(): p for p in backup.rglob("*") if p.is_file() and p.name != MANIFEST}
    stated: dict[str, str] = manifest["files"]
    changed = sorted(set(stated) ^ set(there)) or [n for n, p in there.items() if _digest(p) != stated[n]]
    if changed:
        raise CannotCopy(f"{len(changed)} files of the backup are not as they were written, first {changed[0]}")
    return manifest


def check(settings: Settings, *, expected_head: tuple[int, str] | None = None) -> Restored:
    """Check an installation: the audit log, and every dossier that a record names against its own `SHA256SUMS`.

    Args:
        settings: of the installation.
        expected_head: number and digest of a line that the audit log must still hold.
    """
    from sandbox.verifying import verify

    database = Database(settings)
    try:
        with database.reading() as session:
            faults = list(audit.verify(session, expected_head=expected_head))
            rows = session.execute(select(Submission.id, Submission.dossier, Submission.dossier_digest)).all()
    finally:
        database.close()
    named = [row for row in rows if row.dossier]
    for row in named:
        folder = dossier_store.folder(settings, row.dossier)
        if not folder.is_dir():
            faults.append(f"The dossier of submission {row.id} is not there.")
            continue
        found = verify(folder)
        faults += [f"Dossier {row.dossier}, {p.field}: {p.message}" for p in found.problems]
        if found.digest != row.dossier_digest:
            faults.append(f"The dossier of submission {row.id} is not the one that was recorded.")
    return Restored(submissions=len(rows), dossiers=len(named), faults=tuple(faults))
