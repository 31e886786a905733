"""Submissions waiting, claimed and ended: each is worked on by one worker at a time and ends exactly once.

A claim is a lease with a fencing token. Whoever lost its lease holds an old token, and nothing it writes counts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import CursorResult, Select, Update, func, or_, select, text, tuple_, update

from sandbox.errors import Problem
from sandbox.records import audit
from sandbox.records.database import Database, Session
from sandbox.records.tables import Organisation, OutboxEntry, Spent, State, Submission, now

LEASE_SECONDS = 30.0
LONGEST_LEASE = dt.timedelta(minutes=5)
ATTEMPTS = 3
RETRIES_OF_A_CLAIM = 20

REVIEW = 1
"""Priority of what a reviewer runs again: somebody who judges waits for it."""


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
        hands: who else had a hand in it, by id.
        retention_days: how long upload and evidence are kept; None for as long as the operator keeps them.
        until_review: the upload is erased as soon as its review is signed, if that is sooner.
        holdout_of: the submission that is assessed again with this upload, which a reviewer added.
    """

    draft: str | None = None
    previous: str | None = None
    hands: Collection[str] = ()
    retention_days: int | None = None
    until_review: bool = False
    holdout_of: str | None = None


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
                hands=sorted(origin.hands),
                retention_days=origin.retention_days,
                until_review=origin.until_review,
                holdout_of=origin.holdout_of,
                priority=0 if origin.holdout_of is None else REVIEW,
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


def claim(
    database: Database, *, worker: str, lease_seconds: float = LEASE_SECONDS, running_at_once: int = 0
) -> Claim | None:
    """Claim the submission whose turn it is; no two workers get the same one.

    What a reviewer runs again comes first. Then the organisation with the fewest running has its turn; among equals the
    one that was served longest ago, and of its submissions the one that waits longest. So whoever hands in a thousand
    waits for itself, with one worker as with many.

    Args:
        worker: name of the claiming worker.
        lease_seconds: how long the claim counts without a sign of life.
        running_at_once: how many may run at once of an organisation without a figure of its own; 0 for no limit.

    Returns:
        None when nothing waits, or only of organisations that have as many running as they may.
    """
    if not database.has(select(Submission.id).where(Submission.state == State.QUEUED)):
        return None
    for _ in range(RETRIES_OF_A_CLAIM):
        with database.writing() as session:
            if session.get_bind().dialect.name == "postgresql":
                # Claims take turns, as SQLite's writers do anyway: two at once would both count the same as running.
                session.execute(text("SELECT pg_advisory_xact_lock(4144)"))
            row = session.execute(_next(running_at_once)).first()
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
                if row.priority == 0:
                    session.execute(
                        update(Organisation)
                        .where(Organisation.id == row.organisation)
                        .values(served=now())
                        .execution_options(synchronize_session=False)
                    )
                audit.record(
                    session,
                    actor=worker,
                    action="submission.claimed",
                    subject=row.id,
                    facts={"attempt": row.attempt + 1, "token": row.token + 1},
                )
                return Claim(submission_id=row.id, token=row.token + 1, attempt=row.attempt + 1)
    return None


def _next(running_at_once: int) -> Select[str, int, int, str | None, int]:
    """Ask for the submission whose turn it is."""
    running = (
        select(Submission.organisation, func.count().label("many"))
        .where(Submission.state == State.RUNNING)
        .group_by(Submission.organisation)
        .subquery()
    )
    many = func.coalesce(running.c.many, 0)
    most = func.coalesce(Organisation.running_at_once, running_at_once)
    return (
        select(Submission.id, Submission.token, Submission.attempt, Submission.organisation, Submission.priority)
        .outerjoin(Organisation, Organisation.id == Submission.organisation)
        .outerjoin(running, running.c.organisation == Submission.organisation)
        .where(Submission.state == State.QUEUED, or_(most == 0, many < most))
        .order_by(
            Submission.priority.desc(),
            many,
            Organisation.served.asc().nulls_first(),
            Submission.received,
            Submission.id,
        )
        .limit(1)
        # A row that somebody else changes at this moment is passed over.
        .with_for_update(skip_locked=True, of=Submission)
    )


def take_over(
    database: Database, submission_id: str, token: int, *, worker: str, lease_seconds: float = LEASE_SECONDS
) -> int | None:
    """Take a claim over from whoever made it, as where the work is done on another machine.

    The taker gets a token of its own. So of two that were handed the same claim only the first begins, and whoever
    made the claim can no longer end it.

    Args:
        submission_id, token: of the claim as it was made.
        worker: name of who takes it.
        lease_seconds: how long the taker's sign of life counts.

    Returns:
        The token that counts from now on; None where the claim does not stand any more.
    """
    claimed = Claim(submission_id=submission_id, token=token, attempt=0)
    with database.writing() as session:
        until = now() + dt.timedelta(seconds=lease_seconds)
        taken = _mine(update(Submission), claimed).values(token=token + 1, worker=worker, lease_until=until)
        if not _changed(session, taken):
            return None
        facts = {"token": token + 1}
        audit.record(session, actor=worker, action="submission.taken_over", subject=submission_id, facts=facts)
    return token + 1


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
    at = now()
    silent = select(Submission.id, Submission.token, Submission.attempt, Submission.cancel_requested).where(
        Submission.state == State.RUNNING,
        # One that lasts longer than any is given was written before the clock was put back.
        or_(Submission.lease_until < at, Submission.lease_until > at + LONGEST_LEASE),
    )
    if not database.has(silent):
        return 0, 0
    with database.writing() as session:
        lost = session.execute(
            silent.order_by(Submission.id)
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
    database: Database,
    *,
    limit: int = 100,
    organisations: Collection[str] | None = None,
    state: State | None = None,
    containing: str = "",
    after: Submission | None = None,
) -> Sequence[Submission]:
    """List the newest submissions first.

    Args:
        organisations: only what is theirs, by id; None for all there are.
        state: only those in this state.
        containing: only those whose name or system has this text in it, in capitals or not.
        after: only those that come after this one in the list: the next page.
    """
    statement = (
        select(Submission)
        .where(Submission.holdout_of.is_(None))
        .order_by(Submission.received.desc(), Submission.id.desc())
        .limit(limit)
    )
    if organisations is not None:
        statement = statement.where(Submission.organisation.in_(organisations))
    if state is not None:
        statement = statement.where(Submission.state == state)
    if containing:
        statement = statement.where(
            Submission.name.icontains(containing, autoescape=True)
            | Submission.system.icontains(containing, autoescape=True)
        )
    if after is not None:
        statement = statement.where(tuple_(Submission.received, Submission.id) < tuple_(after.received, after.id))
    with database.reading() as session:
        return session.scalars(statement).all()


def versions_of(database: Database, submission: Submission, *, limit: int = 20) -> Sequence[Submission]:
    """List the other finished submissions of the same system in the same organisation, the newest first."""
    with database.reading() as session:
        return session.scalars(
            select(Submission)
            .where(
                Submission.organisation.is_not_distinct_from(submission.organisation),
                Submission.system == submission.system,
                Submission.state == State.DONE,
                Submission.holdout_of.is_(None),
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
    with database.reading() as session:
        return session.scalars(
            select(Submission)
            .where(
                Submission.organisation.is_not_distinct_from(submission.organisation),
                Submission.data_digest == data_digest,
                Submission.state == State.DONE,
                Submission.ended < before,
                Submission.holdout_of.is_(None),
                Submission.id != submission.id,
            )
            .order_by(Submission.ended)
        ).all()


def waiting_before(database: Database, submission: Submission) -> int:
    """Count the submissions that are likely to be taken before this one, as far as can be told now.

    Organisations take turns: before the third of one, at most three of each other are taken.
    """
    same = Submission.organisation.is_not_distinct_from(submission.organisation)
    queued = select(func.count()).select_from(Submission).where(Submission.state == State.QUEUED)
    with database.reading() as session:
        first = session.scalar(queued.where(Submission.priority > submission.priority)) or 0
        level = queued.where(Submission.priority == submission.priority)
        own = session.scalar(level.where(same, Submission.received < submission.received)) or 0
        earlier = select(Submission.organisation, func.count(), func.min(Submission.received)).where(
            Submission.state == State.QUEUED, Submission.priority == submission.priority, ~same
        )
        others = session.execute(earlier.group_by(Submission.organisation)).all()
    # In the round that is its own, those come before it who have waited longer.
    return first + own + sum(min(many, own + (since < submission.received)) for _, many, since in others)
