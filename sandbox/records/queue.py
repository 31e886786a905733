"""Submissions waiting, claimed and ended: each is worked on by one worker at a time and ends exactly once.

A claim is a lease with a fencing token. Whoever lost its lease holds an old token, and nothing it writes counts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import CursorResult, Update, func, select, update

from sandbox.errors import Problem
from sandbox.records import audit
from sandbox.records.database import Database, Session
from sandbox.records.tables import OutboxEntry, Spent, State, Submission, now

LEASE_SECONDS = 30.0
ATTEMPTS = 3
RETRIES_OF_A_CLAIM = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one worker holds: a submission for a time, and the token that its writes must carry."""

    submission_id: str
    token: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a submission comes from: the draft it was put together in, what it is a new version of, how long it stays.

    Args:
        retention_days: how long upload and evidence are kept; None for as long as the operator keeps them.
    """

    draft: str | None = None
    previous: str | None = None
    retention_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a finished assessment leaves in its row.

    Args:
        folder: name of its folder among the dossiers.
        outbox_key: identity of its MLflow run, see `sandbox.records.mlflow_log.key_of`.
        data_digest, limits_digest: SHA-256 of the evaluation data and of the provider's own limits, where there are.
        cpu_seconds, builds: processor time of its cells, and environments that were built for it.
    """

    system: str
    version: str
    risk_class: str
    beyond: int
    undecided: int
    within: int
    folder: str
    dossier_digest: str
    evidence_digest: str
    outbox_key: str
    data_digest: str | None = None
    limits_digest: str | None = None
    cpu_seconds: float = 0.0
    builds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What the holder of a claim must know: whether it still holds it, and whether it is asked to stop."""

    held: bool
    cancel: bool


def add(
    database: Database,
    *,
    submission_id: str,
    name: str,
    size: int,
    digest: str,
    actor: str,
    organisation: str | None = None,
    submitted_by: str | None = None,
    origin: Origin | None = None,
    gate: Callable[[Session], None] | None = None,
) -> None:
    """Put a received upload into the queue.

    Args:
        organisation, submitted_by: whose it is, by id; None where the service has no accounts.
        origin: what it was put together in; None where it came as a zip.
        gate: called first, in the same transaction; what it raises keeps the upload out.
    """
    origin = origin or Origin()
    with database.writing() as session:
        if gate is not None:
            gate(session)
        session.add(
            Submission(
                id=submission_id,
                received=now(),
                name=name,
                bytes=size,
                digest=digest,
                state=State.QUEUED,
                organisation=organisation,
                submitted_by=submitted_by,
                draft=origin.draft,
                previous=origin.previous,
                retention_days=origin.retention_days,
            )
        )
        session.flush()
        audit.record(
            session,
            actor=actor,
            action="submission.received",
            subject=submission_id,
            facts={"digest": digest, "bytes": size},
        )


def _changed(session: Session, statement: Update) -> bool:
    outcome = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(outcome, CursorResult)
    return outcome.rowcount == 1


def claim(database: Database, *, worker: str, lease_seconds: float = LEASE_SECONDS) -> Claim | None:
    """Claim the submission that waits longest; no two workers get the same one.

    Args:
        worker: name of the claiming worker.
        lease_seconds: how long the claim counts without a sign of life.

    Returns:
        None when nothing waits.
    """
    for _ in range(RETRIES_OF_A_CLAIM):
        with database.writing() as session:
            row = session.execute(
                select(Submission.id, Submission.token, Submission.attempt)
                .where(Submission.state == State.QUEUED)
                .order_by(Submission.received, Submission.id)
                .limit(1)
                # A database with row locks gives each claimer another row; SQLite's writers take turns anyway.
                .with_for_update(skip_locked=True)
            ).first()
            if row is None:
                return None
            got = _changed(
                session,
                update(Submission)
                .where(Submission.id == row.id, Submission.state == State.QUEUED, Submission.token == row.token)
                .values(
                    state=State.RUNNING,
                    token=row.token + 1,
                    attempt=row.attempt + 1,
                    worker=worker,
                    lease_until=now() + dt.timedelta(seconds=lease_seconds),
                    started=now(),
                    stage="",
                    done=0,
                    total=0,
                ),
            )
            if got:
                audit.record(
                    session,
                    actor=worker,
                    action="submission.claimed",
                    subject=row.id,
                    facts={"attempt": row.attempt + 1, "token": row.token + 1},
                )
                return Claim(submission_id=row.id, token=row.token + 1, attempt=row.attempt + 1)
    return None


def _mine(statement: Update, claimed: Claim) -> Update:
    return statement.where(
        Submission.id == claimed.submission_id,
        Submission.token == claimed.token,
        Submission.state == State.RUNNING,
    )


def renew(database: Database, claimed: Claim, *, lease_seconds: float = LEASE_SECONDS) -> Waiting:
    """Give a sign of life, and learn whether the claim still stands and whether to stop."""
    with database.writing() as session:
        until = now() + dt.timedelta(seconds=lease_seconds)
        held = _changed(session, _mine(update(Submission), claimed).values(lease_until=until))
    return Waiting(held=held, cancel=cancel_asked(database, claimed.submission_id))


def cancel_asked(database: Database, submission_id: str) -> bool:
    """Tell whether somebody asked to stop a submission."""
    with database.reading() as session:
        return bool(session.scalar(select(Submission.cancel_requested).where(Submission.id == submission_id)))


def report(database: Database, claimed: Claim, *, stage: str, done: int, total: int) -> None:
    """Write how far the work is; of a lost claim nothing is written."""
    with database.writing() as session:
        _changed(session, _mine(update(Submission), claimed).values(stage=stage[:32], done=done, total=total))


def _end(session: Session, claimed: Claim, actor: str, state: State, values: Mapping[str, Any]) -> bool:
    ended = _changed(
        session,
        _mine(update(Submission), claimed).values(state=state, ended=now(), lease_until=None, **values),
    )
    if ended:
        facts = {k: v for k, v in values.items() if k in ("dossier_digest", "evidence_digest", "incident")}
        audit.record(
            session, actor=actor, action=f"submission.{state.value}", subject=claimed.submission_id, facts=facts
        )
    return ended


def finish(database: Database, claimed: Claim, result: Result, *, actor: str) -> bool:
    """Record a finished assessment and put it into the outbox to MLflow, in one transaction.

    Returns:
        False when the claim was lost: then nothing was recorded, and the caller removes what it wrote.
    """
    with database.writing() as session:
        ended = _end(
            session,
            claimed,
            actor,
            State.DONE,
            {
                "system": result.system,
                "version": result.version,
                "risk_class": result.risk_class,
                "beyond": result.beyond,
                "undecided": result.undecided,
                "within": result.within,
                "dossier": result.folder,
                "dossier_digest": result.dossier_digest,
                "evidence_digest": result.evidence_digest,
                "data_digest": result.data_digest,
                "limits_digest": result.limits_digest,
            },
        )
        organisation = session.scalar(select(Submission.organisation).where(Submission.id == claimed.submission_id))
        if ended and organisation is not None:
            session.add(
                Spent(
                    submission=claimed.submission_id,
                    organisation=organisation,
                    at=now(),
                    cpu_seconds=result.cpu_seconds,
                    builds=result.builds,
                )
            )
        if ended and session.get(OutboxEntry, result.outbox_key) is None:
            session.add(OutboxEntry(key=result.outbox_key, folder=result.folder, put=now()))
    return ended


def end(
    database: Database,
    claimed: Claim,
    *,
    state: State,
    actor: str,
    problems: Sequence[Problem] = (),
    incident: str | None = None,
) -> bool:
    """Record an end without a dossier: refused, failed or cancelled.

    Returns:
        False when the claim was lost, or the submission had ended already; then nothing was recorded.
    """
    with database.writing() as session:
        return _end(
            session,
            claimed,
            actor,
            state,
            {"problems": [as_json(p) for p in problems], "incident": incident},
        )


def as_json(problem: Problem) -> dict[str, Any]:
    """Write a problem as it is kept in a record."""
    given = asdict(problem)
    params = {
        str(k): v if isinstance(v, str | int | float | bool | None) else str(v) for k, v in given["params"].items()
    }
    return {**given, "params": params}


def give_back(database: Database, claimed: Claim, *, actor: str) -> bool:
    """Put a claimed submission back into the queue, as when a worker is told to stop; the attempt does not count."""
    with database.writing() as session:
        back = _changed(
            session,
            _mine(update(Submission), claimed).values(
                state=State.QUEUED, lease_until=None, worker=None, attempt=Submission.attempt - 1, stage=""
            ),
        )
        if back:
            audit.record(session, actor=actor, action="submission.given_back", subject=claimed.submission_id)
        return back


def request_cancel(database: Database, submission_id: str, *, actor: str) -> bool:
    """Ask to stop a submission: at once if it waits, as soon as its worker hears of it if it runs.

    Returns:
        Whether there was something to stop.
    """
    with database.writing() as session:
        waiting = _changed(
            session,
            update(Submission)
            .where(Submission.id == submission_id, Submission.state == State.QUEUED)
            .values(state=State.CANCELLED, cancel_requested=True, ended=now()),
        )
        running = not waiting and _changed(
            session,
            update(Submission)
            .where(Submission.id == submission_id, Submission.state == State.RUNNING)
            .values(cancel_requested=True),
        )
        if waiting or running:
            audit.record(session, actor=actor, action="submission.cancel_requested", subject=submission_id)
        return waiting or running


def requeue_expired(database: Database, *, actor: str, attempts: int = ATTEMPTS) -> tuple[int, int]:
    """Take back submissions whose worker gave no sign of life: queue them again, or give up after some attempts.

    Args:
        attempts: how often a submission is tried.

    Returns:
        How many were queued again and how many were given up.
    """
    again = given_up = 0
    with database.writing() as session:
        lost = session.execute(
            select(Submission.id, Submission.token, Submission.attempt, Submission.cancel_requested)
            .where(Submission.state == State.RUNNING, Submission.lease_until < now())
            .order_by(Submission.id)
            # Every row is held before the audit log is: whoever writes to one of them at this moment is left alone.
            .with_for_update(skip_locked=True)
        ).all()
        for row in lost:
            claimed = Claim(submission_id=row.id, token=row.token, attempt=row.attempt)
            if row.cancel_requested:
                _end(session, claimed, actor, State.CANCELLED, {})
            elif row.attempt >= attempts:
                problem = Problem(
                    field="",
                    code="run.lost",
                    message=f"The worker was lost {row.attempt} times while it ran this submission. "
                    "It is not tried again.",
                    params={"attempts": row.attempt},
                )
                _end(session, claimed, actor, State.FAILED, {"problems": [as_json(problem)]})
                given_up += 1
            elif _changed(
                session,
                _mine(update(Submission), claimed).values(state=State.QUEUED, lease_until=None, worker=None, stage=""),
            ):
                audit.record(session, actor=actor, action="submission.requeued", subject=row.id)
                again += 1
    return again, given_up


def find(database: Database, submission_id: str) -> Submission | None:
    """Give one submission, or None."""
    with database.reading() as session:
        return session.get(Submission, submission_id)


def newest(
    database: Database, *, limit: int = 100, organisations: Collection[str] | None = None
) -> Sequence[Submission]:
    """List the newest submissions first.

    Args:
        organisations: only what is theirs, by id; None for all there are.
    """
    statement = select(Submission).order_by(Submission.received.desc()).limit(limit)
    if organisations is not None:
        statement = statement.where(Submission.organisation.in_(organisations))
    with database.reading() as session:
        return session.scalars(statement).all()


def versions_of(database: Database, submission: Submission, *, limit: int = 20) -> Sequence[Submission]:
    """List the other finished submissions of the same system in the same organisation, the newest first."""
    same = (
        Submission.organisation.is_(None)
        if submission.organisation is None
        else Submission.organisation == submission.organisation
    )
    with database.reading() as session:
        return session.scalars(
            select(Submission)
            .where(
                same,
                Submission.system == submission.system,
                Submission.state == State.DONE,
                Submission.id != submission.id,
            )
            .order_by(Submission.received.desc())
            .limit(limit)
        ).all()


def earlier_on_same_data(
    database: Database, submission: Submission, data_digest: str, before: dt.datetime
) -> Sequence[Submission]:
    """List the finished submissions of the same organisation on the same data whose results could be seen by a time.

    Args:
        submission: left out itself.
        data_digest: SHA-256 of the evaluation data.
        before: only what had ended by then.
    """
    same = (
        Submission.organisation.is_(None)
        if submission.organisation is None
        else Submission.organisation == submission.organisation
    )
    with database.reading() as session:
        return session.scalars(
            select(Submission)
            .where(
                same,
                Submission.data_digest == data_digest,
                Submission.state == State.DONE,
                Submission.ended < before,
                Submission.id != submission.id,
            )
            .order_by(Submission.ended)
        ).all()


def waiting_before(database: Database, submission: Submission) -> int:
    """Count the submissions that are taken before this one."""
    with database.reading() as session:
        return (
            session.scalar(
                select(func.count())
                .select_from(Submission)
                .where(Submission.state == State.QUEUED, Submission.received < submission.received)
            )
            or 0
        )
