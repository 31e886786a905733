"""Tell machines how the service stands: whether it lives, whether it can take work, and figures for Prometheus.

Assumes of its caller: none of it holds personal data or names a submission. Figures are given only to who asks this
process directly; a reverse proxy in front says for whom it asks, and gets none.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator, Mapping
from importlib import metadata

from flask import Blueprint, Response, request
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from sandbox.errors import NotAllowed
from sandbox.records.database import Database, is_migrated
from sandbox.records.tables import AuditEntry, OutboxEntry, State, Submission, now
from sandbox.settings import Settings
from sandbox.web.pages import service

blueprint = Blueprint("health", __name__)

LEAST_FREE_UPLOADS = 2
"""For how many of the largest uploads there must be room before the service says that it can take one."""

PROXY_HEADERS = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded")


@blueprint.get("/healthz")
def alive() -> Response:
    """Answer as long as this process does; asks nothing of anything else."""
    return _json(200, {"alive": True})


@blueprint.get("/readyz")
def ready() -> Response:
    """Answer 200 when an upload can be taken, else 503 with what is not as it must be."""
    lacking = what_is_lacking(service().settings, service().database)
    return _json(503 if lacking else 200, {"ready": not lacking, "lacking": list(lacking)})


@blueprint.get("/metrics")
def metrics() -> Response:
    """Give figures in Prometheus' text format, to who asks directly."""
    if any(name in request.headers for name in PROXY_HEADERS):
        raise NotAllowed("figures are not given through a proxy")
    body = "".join(_lines(service().settings, service().database))
    return Response(body, 200, content_type="text/plain; version=0.0.4; charset=utf-8")


def what_is_lacking(settings: Settings, database: Database) -> tuple[str, ...]:
    """Name what keeps this service from taking an upload: `database`, `migrations`, `disk`; empty if nothing does.

    Args:
        settings: state folder and largest upload.
        database: as opened.
    """
    lacking = []
    try:
        if not is_migrated(database):
            lacking.append("migrations")
    except SQLAlchemyError:
        lacking.append("database")
    try:
        if shutil.disk_usage(settings.state).free < LEAST_FREE_UPLOADS * settings.upload_bytes:
            lacking.append("disk")
    except OSError:
        lacking.append("disk")
    return tuple(lacking)


def _json(status: int, content: Mapping[str, object]) -> Response:
    return Response(json.dumps(content), status, mimetype="application/json", headers={"Cache-Control": "no-store"})


def _lines(settings: Settings, database: Database) -> Iterator[str]:
    with database.reading() as session:
        states = {str(s): n for s, n in session.execute(select(Submission.state, func.count()).group_by("state"))}
        oldest = session.scalar(select(func.min(Submission.received)).where(Submission.state == State.QUEUED))
        at = now()
        silent = session.scalar(
            select(func.count())
            .select_from(Submission)
            .where(Submission.state == State.RUNNING, Submission.lease_until < at)
        )
        outbox = session.scalar(select(func.count()).select_from(OutboxEntry).where(OutboxEntry.logged.is_(None)))
        lines = session.scalar(select(func.max(AuditEntry.number)))
        ends = session.execute(
            select(Submission.started, Submission.ended).where(
                Submission.state == State.DONE, Submission.ended > at - dt.timedelta(hours=1)
            )
        ).all()
    took = [(end - start).total_seconds() for start, end in ends if start is not None and end is not None]
    yield from _gauge("submissions", "Submissions by state.", {f'state="{s}"': states.get(s.value, 0) for s in State})
    waited = (at - oldest).total_seconds() if oldest is not None else 0.0
    yield from _gauge("queue_oldest_seconds", "How long the submission waits that waits longest.", {"": waited})
    yield from _gauge("leases_over", "Running submissions whose worker gave no sign of life.", {"": silent or 0})
    yield from _gauge("outbox_waiting", "Assessments that are not in MLflow yet.", {"": outbox or 0})
    yield from _gauge("audit_lines", "Lines of the audit log.", {"": lines or 0})
    yield from _gauge("done_last_hour", "Assessments done in the last hour.", {"": len(took)})
    yield from _gauge("done_last_hour_seconds", "What those took in all.", {"": sum(took)})
    yield from _gauge("state_free_bytes", "Room left for the state.", {"": shutil.disk_usage(settings.state).free})
    yield from _gauge("build", "Version that runs.", {f'version="{metadata.version("aiact-sandbox")}"': 1})


def _gauge(name: str, words: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP aiact_sandbox_{name} {words}\n# TYPE aiact_sandbox_{name} gauge\n"
    for labels, value in values.items():
        yield f"aiact_sandbox_{name}{'{' + labels + '}' if labels else ''} {value:.15g}\n"
