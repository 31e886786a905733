"""Do for drafts what needs an upload opened: look at a table, check the whole; by a worker, behind the walls.

Each job runs in a process of its own. What a look finds is kept encrypted under the key of the file it is about.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from checks.declaration import ColumnRole, Data
from sandbox import engine
from sandbox.errors import CellUnavailable, Problem, Refused
from sandbox.niceness import begin_session
from sandbox.records import drafts, parts
from sandbox.records.database import Database
from sandbox.records.tables import DraftJob
from sandbox.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""Pause between two looks for a job."""

LONGEST_SECONDS: Final = 600.0
"""How long one job may take."""

EXAMPLES: Final = 3
LONGEST_EXAMPLE: Final = 40
MOST_VALUES: Final = 30
MOST_COLUMNS: Final = 2_000


class Jobs:
    """Does the jobs of drafts beside the assessments, so that whoever fills one in waits for no assessment.

    Args:
        settings: of this service.
        stop: set when the worker stops.
    """

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings, self._stop = settings, stop
        self._thread = threading.Thread(target=self._loop, name="draft jobs", daemon=True)

    def start(self) -> None:
        """Start looking for jobs."""
        self._thread.start()

    def finish(self) -> None:
        """Wait for the job that is under way to be ended."""
        if self._thread.is_alive():
            self._thread.join(5)

    def _loop(self) -> None:
        database = Database(self._settings)
        try:
            while not self._stop.is_set():
                try:
                    did = do_next(self._settings, database, self._stop)
                except (SQLAlchemyError, OSError) as error:
                    # A database that is away or a full disk must not end the jobs of all drafts to come.
                    log.warning("a job of a draft could not be done: %s", type(error).__name__)
                    did = False
                if not did:
                    self._stop.wait(LOOK_SECONDS)
        finally:
            database.close()


def do_next(settings: Settings, database: Database, stop: threading.Event | None = None) -> bool:
    """Do the job that waits longest, in a process of its own.

    Args:
        stop: set it to end the job; it is then asked for again.

    Returns:
        Whether there was one.
    """
    job = drafts.claim(database)
    if job is None:
        return False
    process = engine.context().Process(target=_in_child, args=(job.id, settings), name=f"draft job {job.id}")
    process.start()
    try:
        begun = renewed = time.monotonic()
        while process.is_alive() and not (stop is not None and stop.is_set()):
            process.join(engine.TICK_SECONDS)
            if time.monotonic() - begun > LONGEST_SECONDS:
                break
            if time.monotonic() - renewed > drafts.JOB_LEASE_SECONDS / 3:
                drafts.renew(database, job)
                renewed = time.monotonic()
        if stop is not None and stop.is_set() and process.is_alive():
            drafts.ask(database, job.draft, kind=job.kind, job_id=job.id)
    finally:
        engine.end_process(process)
        engine.sweep(settings)
        engine.empty_quarantine(settings)
    # Of a job that recorded its own end this records nothing.
    drafts.settle(database, job, state="failed")
    return True


def _in_child(job_id: str, settings: Settings) -> None:
    begin_session()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=engine.end_with_parent, daemon=True).start()
    database = Database(settings)
    with database.reading() as session:
        job = session.get(DraftJob, job_id)
    if job is None:
        return
    found: Sequence[Problem] = ()
    try:
        if job.kind == "look":
            _look(database, settings, job)
        else:
            _check(database, settings, job)
    except Refused as refused:
        found = refused.problems
    except CellUnavailable as unavailable:
        found = (Problem(field="", code="run.no_wall", message=str(unavailable), params={}),)
    except FileNotFoundError:
        # Removed while it was looked at: there is nothing to say of it any more.
        return
    drafts.settle(database, job, state="done", problems=found)


@contextmanager
def _unsealed(database: Database, settings: Settings, draft_id: str, *, only: str | None = None) -> Iterator[Path]:
    """Give the files of a draft as a folder in the quarantine, which is gone when the block ends.

    Args:
        only: one file by its id, alone and without the texts.
    """
    from sandbox.drafting.writing import texts
    from sandbox.intake.quarantine import remove

    whole = drafts.whole(database, draft_id)
    if whole is None:
        raise FileNotFoundError(draft_id)
    quarantine = settings.local / "quarantine"
    quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=f"submission-{os.getpid()}-", dir=quarantine))
    try:
        for path, content in () if only else texts(whole).items():
            (folder / path).write_bytes(content)
        for file in whole.files:
            if file.digest and only in (None, file.id):
                with (folder / file.path).open("xb") as out:
                    for piece in parts.read(settings, file.id, file.size):
                        out.write(piece)
        yield folder
    finally:
        remove(folder)


def _wall(settings: Settings) -> Any:
    from sandbox.isolation.interface import Chosen
    from sandbox.respondent import wall_or_why_not

    wall = wall_or_why_not(settings.isolation, settings)
    return wall.isolation if isinstance(wall, Chosen) else None


def _look(database: Database, settings: Settings, job: DraftJob) -> None:
    """Look at a table: names, types, a few examples, our guesses, and what looks like personal data."""
    from sandbox.intake.bundle import TABLE_FORMATS
    from sandbox.intake.problems import problem
    from sandbox.intake.reading import BY_CELL, BY_LIMITED_PROCESS, reading
    from sandbox.starting import columns_seen, guess_roles

    file, whole = drafts.find_file(database, job.draft, job.id), drafts.whole(database, job.draft)
    if file is None or whole is None:
        raise FileNotFoundError(job.id)
    written = whole.section("files")
    field = "data.file" if file.kind == "data" else f"{file.kind}.file"
    suffix = Path(file.path).suffix.lower()
    if suffix not in TABLE_FORMATS:
        raise Refused(problem(field, "table.kind", path=file.path, known=", ".join(TABLE_FORMATS)))
    missing = written.get("missing") or Data.model_fields["missing"].default
    isolation = _wall(settings)
    with (
        _unsealed(database, settings, job.draft, only=file.id) as folder,
        reading(folder / file.path, field=field, isolation=isolation, budget_bytes=settings.unpacked_bytes) as opened,
    ):
        head = opened.open_table(
            format_=TABLE_FORMATS[suffix], delimiter=written.get("delimiter") or None, missing=missing
        )
        seen = columns_seen(head, opened)[:MOST_COLUMNS]
    guess = guess_roles(seen)
    columns = []
    for column in seen:
        signs = signs_of(column.name, column.sample)
        # Of what may point at one person no example is kept, nor of what is nearly different in every row.
        hidden = bool(DIRECT & set(signs)) or guess.why.get(column.name) == "texts"
        examples = () if hidden else column.sample[:EXAMPLES]
        few = not hidden and not column.many and len(column.values) <= MOST_VALUES
        columns.append(
            {
                "name": column.name,
                "type": column.type.name.lower(),
                "missing": column.missing,
                "different": None if column.many else len(column.values),
                "values": [v[:LONGEST_EXAMPLE] for v in column.values] if few else [],
                "examples": [v[:LONGEST_EXAMPLE] for v in examples],
                "hidden": hidden,
                "signs": signs,
                "role": guess.roles.get(column.name, ColumnRole.IDENTIFIER.value if DIRECT & set(signs) else None),
                "why": guess.why.get(column.name, "signs" if DIRECT & set(signs) else None),
                "bands": guess.bands.get(column.name),
            }
        )
    content = {
        "rows": head.rows,
        "read_by": BY_CELL if isolation is not None else BY_LIMITED_PROCESS,
        "columns": columns,
        "guess": {
            "task": guess.task,
            "classes": list(guess.classes),
            "favourable": guess.favourable,
            "decision": guess.decision,
            "score": guess.score,
            "label": guess.label,
        },
    }
    parts.note(settings, file.id, json.dumps(content, ensure_ascii=False).encode())


DIRECT: Final = frozenset({"bsn", "payment_card", "iban", "email", "phone", "address", "person_name"})
"""Signs of what points at one person by itself; what the others speak of is special or sensitive."""


def signs_of(name: str, sample: Sequence[str]) -> list[str]:
    """Tell what a column looks like that privacy law looks at: a sign, and no proof.

    Args:
        name: of the column.
        sample: some of its values as text.

    Returns:
        Kinds of `DIRECT`, and categories of special or sensitive data; empty where nothing was noticed.
    """
    from checks.privacy._columns import Text, words_of
    from checks.privacy._identifying import FORMS, NAME_WORDS
    from checks.privacy._special import NOT_SPECIAL, category_by_name, category_by_values

    words = set(words_of(name))
    found = [kind for kind, named in NAME_WORDS.items() if words & named]
    for kind, (has_form, share) in FORMS.items():
        hits = sum(has_form(value[:2_000]) for value in sample)
        if kind not in found and sample and hits / len(sample) >= share and hits >= min(3, len(sample)):
            found.append(kind)
    column = Text(name=name, shown=True, values=tuple(sample), counts=(1,) * len(sample), numeric=False)
    by_values = category_by_values(column)
    category = category_by_name(name) or (by_values[0] if by_values is not None else None)
    if category is not None and category != NOT_SPECIAL and not found:
        found.append(category)
    return found


def _check(database: Database, settings: Settings, job: DraftJob) -> None:
    """Check the whole submission as the command does, without running anything of it."""
    from sandbox.intake import accept

    with (
        _unsealed(database, settings, job.draft) as folder,
        accept(folder, settings, isolation=_wall(settings)),
    ):
        pass
