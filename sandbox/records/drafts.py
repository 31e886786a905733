"""Submissions that are being put together: their sections, their files, and what a worker is asked to do for them.

Assumes of its caller: whoever asks was found to be allowed to work on the draft.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import CursorResult, delete, func, select, update

from sandbox.errors import Problem
from sandbox.records import audit, parts
from sandbox.records.database import Database, Session
from sandbox.records.queue import as_json
from sandbox.records.tables import (
    AuditEntry,
    Draft,
    DraftFile,
    DraftJob,
    DraftSection,
    Person,
    State,
    Submission,
    new_id,
    now,
)
from sandbox.settings import Settings

SECTIONS: Final = ("system", "questionnaire", "terms", "files", "columns", "limits", "publication")
"""The sections of a draft, in the order in which they are filled in."""

SEVERAL: Final = ("beside", "document")
"""Kinds of which there may be more than one."""

KINDS: Final = ("model", "data", "predictions", "counts", "training", "requirements", *SEVERAL)
"""What a file of a draft can be. `beside`: what a model keeps its numbers in, by the name that the model gives it."""

TABLES: Final = ("data", "predictions", "counts")
KEPT: Final = dt.timedelta(days=30)
"""How long a draft is kept that nobody works on."""

MOST_FILES: Final = 60
MARGIN: Final = 64 * 1024
"""Room for what was filled in, and for the headers of the zip."""

JOB_LEASE_SECONDS: Final = 30.0
JOB_TRIES: Final = 2
"""How often a job is begun whose worker was lost over it."""

_BY_HAND: Final = ("draft.begun", "draft.changed", "draft.file_received", "draft.confirmed")
"""What the audit log calls it when somebody has a hand in a draft."""

_RESERVED: Final = frozenset(
    {
        "submission.yaml",
        "answers.yaml",
        "datasheet.yaml",
        "inputs.yaml",
        "limits.seal.json",
        "population.csv",
        "publication.yaml",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A draft with its sections and files as they stand.

    Args:
        sections: what is recorded of each section that somebody touched, by name.
        files: in the order in which they came.
        jobs: by id: the file's for a look, the draft's for a check.
    """

    draft: Draft
    sections: Mapping[str, DraftSection]
    files: tuple[DraftFile, ...]
    jobs: Mapping[str, DraftJob]

    def of_kind(self, kind: str) -> DraftFile | None:
        """Give the newest whole file of a kind."""
        return next((f for f in reversed(self.files) if f.kind == kind and f.digest), None)

    def section(self, name: str) -> Mapping[str, Any]:
        """Give what was filled in of one section; empty before anything was."""
        given = self.draft.content.get(name)
        return given if isinstance(given, dict) else {}

    @property
    def table(self) -> DraftFile | None:
        """The table whose columns are given roles: the data, or what holds predictions or counts."""
        return next((found for kind in TABLES if (found := self.of_kind(kind)) is not None), None)


def begin(
    database: Database,
    *,
    actor: str,
    organisation: str | None = None,
    person: str | None = None,
    content: Mapping[str, Any] | None = None,
    previous: str | None = None,
) -> str:
    """Begin a draft.

    Args:
        organisation, person: whose it is, by id; None where the service has no accounts.
        content: what is known already, by section.
        previous: the submission that this becomes a new version of.

    Returns:
        Its id.
    """
    with database.writing() as session:
        at = now()
        draft = Draft(
            id=new_id(),
            organisation=organisation,
            made_by=person,
            made=at,
            changed=at,
            content=dict(content or {}),
            previous=previous,
        )
        session.add(draft)
        audit.record(
            session,
            actor=actor,
            action="draft.begun",
            subject=draft.id,
            facts={"previous": previous} if previous else {},
        )
        return draft.id


def find(database: Database, draft_id: str) -> Draft | None:
    """Give a draft, or None."""
    with database.reading() as session:
        return session.get(Draft, draft_id)


def whole(database: Database, draft_id: str) -> Whole | None:
    """Give a draft with all that belongs to it, or None."""
    with database.reading() as session:
        draft = session.get(Draft, draft_id)
        if draft is None:
            return None
        sections = session.scalars(select(DraftSection).where(DraftSection.draft == draft_id)).all()
        files = session.scalars(
            select(DraftFile).where(DraftFile.draft == draft_id).order_by(DraftFile.made, DraftFile.id)
        ).all()
        jobs = session.scalars(select(DraftJob).where(DraftJob.draft == draft_id)).all()
        return Whole(
            draft=draft, sections={s.section: s for s in sections}, files=tuple(files), jobs={j.id: j for j in jobs}
        )


def listed(
    database: Database,
    *,
    organisations: Collection[str] | None,
    helped: Collection[str] = (),
    person: str | None = None,
) -> Sequence[Draft]:
    """List the drafts that are not handed in, the newest first.

    Args:
        organisations: only what is theirs, by id; None for all there are.
        helped: organisations of which those drafts are listed too in which a section is assigned to `person`.
    """
    statement = select(Draft).where(Draft.submission.is_(None)).order_by(Draft.changed.desc()).limit(100)
    if organisations is not None:
        assigned = Draft.id.in_(select(DraftSection.draft).where(DraftSection.assigned_to == person))
        theirs = Draft.organisation.in_(helped) & assigned
        statement = statement.where(Draft.organisation.in_(organisations) | theirs)
    with database.reading() as session:
        return session.scalars(statement).all()


def hands(database: Database, draft: Draft) -> frozenset[str]:
    """Give who had a hand in a draft, by id.

    Whoever began it, or filled in, sent or confirmed a part of it, as the audit log has it; and whoever had a hand in
    the version before, whose words it carries on.
    """
    with database.reading() as session:
        before = session.get(Submission, draft.previous) if draft.previous is not None else None
        earlier = frozenset() if before is None else frozenset(filter(None, (before.submitted_by, *before.hands)))
        actors = session.scalars(
            select(AuditEntry.actor).where(AuditEntry.subject == draft.id, AuditEntry.action.in_(_BY_HAND)).distinct()
        )
        logins = [actor.removeprefix("person:") for actor in actors if actor.startswith("person:")]
        return earlier | frozenset(session.scalars(select(Person.id).where(Person.login.in_(logins))))


def keep(database: Database, draft_id: str, section: str, given: Mapping[str, Any], *, actor: str) -> bool:
    """Keep what was filled in of one section; where it changed, who confirmed it did not confirm this.

    Returns:
        Whether it changed.
    """
    with database.writing() as session:
        draft = session.get(Draft, draft_id, with_for_update=True)
        if draft is None or draft.content.get(section) == given:
            return False
        draft.content = {**draft.content, section: dict(given)}
        _touched(session, draft, section, actor)
        return True


def _touched(session: Session, draft: Draft, section: str, actor: str) -> None:
    draft.changed = now()
    session.execute(
        update(DraftSection)
        .where(DraftSection.draft == draft.id, DraftSection.section == section)
        .values(confirmed_by=None, confirmed_name="", confirmed_at=None)
    )
    session.execute(delete(DraftJob).where(DraftJob.id == draft.id))
    audit.record(session, actor=actor, action="draft.changed", subject=draft.id, facts={"section": section})


def _section(session: Session, draft_id: str, section: str) -> DraftSection:
    found = session.get(DraftSection, (draft_id, section))
    if found is None:
        found = DraftSection(draft=draft_id, section=section)
        session.add(found)
    return found


def sections_of(database: Database, draft_id: str, person: str | None) -> Collection[str]:
    """List the sections of a draft that are assigned to somebody; none to nobody."""
    if person is None:
        return ()
    with database.reading() as session:
        statement = select(DraftSection.section).where(DraftSection.draft == draft_id)
        return session.scalars(statement.where(DraftSection.assigned_to == person)).all()


def assign(database: Database, draft_id: str, section: str, person: str | None, *, actor: str) -> None:
    """Say who answers for a section; None for nobody in particular. A confirmation by somebody else ends with it."""
    with database.writing() as session:
        found = _section(session, draft_id, section)
        if found.assigned_to != person and found.confirmed_by != person:
            found.confirmed_by, found.confirmed_name, found.confirmed_at = None, "", None
        found.assigned_to = person
        audit.record(
            session,
            actor=actor,
            action="draft.assigned",
            subject=draft_id,
            facts={"section": section, "to": person or ""},
        )


def confirm(database: Database, draft_id: str, section: str, *, person: str | None, name: str, actor: str) -> bool:
    """Record that somebody confirms a section as it stands.

    Returns:
        False where the section is assigned to somebody else.
    """
    with database.writing() as session:
        found = _section(session, draft_id, section)
        if found.assigned_to not in (None, person):
            return False
        found.confirmed_by, found.confirmed_name, found.confirmed_at = person, name, now()
        audit.record(session, actor=actor, action="draft.confirmed", subject=draft_id, facts={"section": section})
        return True


# ---- files


def path_for(kind: str, name: str, taken: Collection[str]) -> str:
    """Make the path of a file in the submission from the name that was sent: letters, digits, dot, dash, underscore.

    Args:
        kind: one of `KINDS`.
        name: as sent; whatever it is.
        taken: paths that are there already.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name.replace("\\", "/").rpartition("/")[2]).strip("-. ")[-80:].lstrip("-.")
    stem, dot, suffix = (plain or kind).rpartition(".")
    made, number = plain or kind, 1
    lower = {t.lower() for t in taken} | _RESERVED
    while made.lower() in lower:
        number += 1
        made = f"{stem}-{number}{dot}{suffix}" if dot else f"{suffix}-{number}"
    return made


def room_for(settings: Settings, files: Sequence[DraftFile]) -> int:
    """Tell how many bytes can still be added to these files: what the operator lets come in, and be unpacked."""
    return max(0, min(settings.upload_bytes, settings.unpacked_bytes) - MARGIN - sum(file.size for file in files))


def add_file(
    database: Database, settings: Settings, draft_id: str, *, kind: str, name: str, size: int, actor: str
) -> DraftFile | None:
    """Make room for a file of a draft.

    Args:
        kind: one of `KINDS`.
        name: as sent.
        size: bytes that it will have.

    Returns:
        The file, of which nothing is here yet; None where the draft has as many files as it may have, or would become
        larger than what may be handed in.
    """
    file_id = new_id()
    with database.writing() as session:
        draft = session.get(Draft, draft_id, with_for_update=True)
        others = session.scalars(select(DraftFile).where(DraftFile.draft == draft_id)).all()
        stays = [f for f in others if kind in SEVERAL or f.kind != kind]
        if draft is None or len(stays) >= MOST_FILES or size > room_for(settings, stays):
            return None
        made = DraftFile(
            id=file_id,
            draft=draft_id,
            kind=kind,
            name=name[:300] or "–",
            path=path_for(kind, name, [f.path for f in stays]),
            size=size,
            made=now(),
        )
        parts.begin(settings, file_id)
        session.add(made)
        gone = [f for f in others if f not in stays]
        for file in gone:
            session.execute(delete(DraftJob).where(DraftJob.id == file.id))
            session.delete(file)
        _touched(session, draft, "files", actor)
        if gone and kind in TABLES:
            _touched(session, draft, "columns", actor)
    for file in gone:
        parts.remove(settings, file.id)
    return made


def find_file(database: Database, draft_id: str, file_id: str) -> DraftFile | None:
    """Give a file of this draft, or None."""
    with database.reading() as session:
        found = session.get(DraftFile, file_id)
        return found if found is not None and found.draft == draft_id else None


def receive(
    database: Database, settings: Settings, file: DraftFile, source: parts.Source, *, actor: str
) -> DraftFile | None:
    """Add what comes to a file, and record how far it is; where it is whole, its hash is computed from the disk.

    Args:
        file: as found a moment ago; what comes goes behind what it has.

    Returns:
        The file as it is now; None where it was removed meanwhile.

    Raises:
        sandbox.records.parts.Busy: somebody else is adding to it.
    """
    before = parts.Mark(received=file.received, stored=file.stored, pieces=file.pieces)
    mark = parts.append(settings, file.id, before, source, file.size - file.received)
    digest = parts.digest_of(settings, file.id, file.size) if mark.received == file.size else ""
    with database.writing() as session:
        found = session.get(DraftFile, file.id)
        if found is None or found.received != before.received:
            return None
        found.received, found.stored, found.pieces, found.digest = mark.received, mark.stored, mark.pieces, digest
        if digest:
            facts: dict[str, str | int] = {"kind": found.kind, "digest": digest, "bytes": found.size}
            audit.record(session, actor=actor, action="draft.file_received", subject=found.draft, facts=facts)
            if found.kind in TABLES:
                session.merge(_job(found.id, found.draft, "look"))
    return found


def remove_file(database: Database, settings: Settings, draft_id: str, file_id: str, *, actor: str) -> None:
    """Erase one file of a draft."""
    with database.writing() as session:
        found, draft = session.get(DraftFile, file_id), session.get(Draft, draft_id)
        if found is None or draft is None or found.draft != draft_id:
            return
        session.execute(delete(DraftJob).where(DraftJob.id == file_id))
        session.delete(found)
        _touched(session, draft, "files", actor)
    parts.remove(settings, file_id)


def handed_in(database: Database, draft_id: str, submission_id: str) -> None:
    """Record what was handed in from a draft; its files stay until that was assessed, in case it is refused."""
    with database.writing() as session:
        session.execute(update(Draft).where(Draft.id == draft_id).values(submission=submission_id, changed=now()))


def reopen(database: Database, draft_id: str) -> None:
    """Let a draft be worked on again whose submission was not assessed."""
    with database.writing() as session:
        session.execute(update(Draft).where(Draft.id == draft_id).values(submission=None, changed=now()))


def forget(database: Database, settings: Settings, draft_id: str, *, actor: str) -> None:
    """Erase a draft and its files."""
    with database.writing() as session:
        files = session.scalars(select(DraftFile.id).where(DraftFile.draft == draft_id)).all()
        for table in (DraftJob, DraftFile, DraftSection):
            session.execute(delete(table).where(table.draft == draft_id))
        session.execute(delete(Draft).where(Draft.id == draft_id))
        audit.record(session, actor=actor, action="draft.erased", subject=draft_id)
    for file_id in files:
        parts.remove(settings, file_id)


def tidy(database: Database, settings: Settings, *, actor: str) -> int:
    """Erase drafts that were assessed or that nobody worked on for long, and files that no draft knows.

    Returns:
        How many drafts there were.
    """
    with database.reading() as session:
        left = session.scalars(select(Draft.id).where(Draft.changed < now() - KEPT)).all()
        done = session.scalars(
            select(Draft.id).join(Submission, Submission.id == Draft.submission).where(Submission.state == State.DONE)
        ).all()
    gone = sorted({*left, *done})
    for draft_id in gone:
        forget(database, settings, draft_id, actor=actor)
    listed_now = list(parts.here(settings))
    with database.reading() as session:
        known = set(session.scalars(select(DraftFile.id)))
    for file_id, changed in listed_now:
        # One that is just being made is on disk before it is in the record.
        if file_id not in known and changed < (now() - dt.timedelta(hours=1)).timestamp():
            parts.remove(settings, file_id)
    return len(gone)


# ---- what a worker is asked to do


def _job(job_id: str, draft_id: str, kind: str) -> DraftJob:
    return DraftJob(
        id=job_id, draft=draft_id, kind=kind, state="waiting", asked=now(), until=None, tries=0, problems=[]
    )


def ask(database: Database, draft_id: str, *, kind: str, job_id: str) -> None:
    """Ask a worker to look at a file or to check a draft; what was found before counts no more."""
    with database.writing() as session:
        session.merge(_job(job_id, draft_id, kind))


def claim(database: Database) -> DraftJob | None:
    """Claim the job that waits longest, or one whose worker gave no sign of life; None where there is none."""
    waiting = select(DraftJob).where(
        (DraftJob.state == "waiting") | ((DraftJob.state == "running") & (DraftJob.until < now()))
    )
    if not database.has(waiting):
        return None
    with database.writing() as session:
        found = session.scalars(waiting.order_by(DraftJob.asked).limit(1).with_for_update(skip_locked=True)).first()
        if found is None:
            return None
        if found.tries >= JOB_TRIES:
            found.state = "failed"
            return None
        found.state, found.tries = "running", found.tries + 1
        found.until = now() + dt.timedelta(seconds=JOB_LEASE_SECONDS)
        return found


def renew(database: Database, job: DraftJob) -> None:
    """Give a sign of life of a job that is under way."""
    with database.writing() as session:
        until = now() + dt.timedelta(seconds=JOB_LEASE_SECONDS)
        session.execute(update(DraftJob).where(DraftJob.id == job.id, DraftJob.state == "running").values(until=until))


def settle(database: Database, job: DraftJob, *, state: str, problems: Sequence[Problem] = ()) -> bool:
    """Record how a job ended; of one that was asked again or taken back meanwhile nothing is recorded."""
    with database.writing() as session:
        outcome = session.execute(
            update(DraftJob)
            .where(DraftJob.id == job.id, DraftJob.state == "running", DraftJob.asked == job.asked)
            .values(state=state, until=None, problems=[as_json(p) for p in problems])
        )
        assert isinstance(outcome, CursorResult)
        return outcome.rowcount == 1


def count(database: Database, organisation: str | None) -> int:
    """Count the drafts of an organisation that are not handed in."""
    same = Draft.organisation.is_(None) if organisation is None else Draft.organisation == organisation
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(Draft).where(same, Draft.submission.is_(None))) or 0
