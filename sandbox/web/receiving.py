"""Take an upload in: straight from the connection to its file, hashed on the way, opened by nobody.

Assumes of its caller: the web server in front limits the size of a request too, and the check of the form's token comes
before the upload is kept.
"""

from __future__ import annotations

from typing import IO, cast

from flask import Flask, Request, abort, current_app, g, request

from sandbox.records import queue, uploads
from sandbox.records.database import Database
from sandbox.records.tables import new_id
from sandbox.review import budgets
from sandbox.settings import Settings
from sandbox.web.security import SMALL_BODY_BYTES

LONGEST_NAME = 300


class StreamingRequest(Request):
    """A request whose uploaded file goes to the folder of uploads and nowhere else."""

    def _get_file_stream(
        self,
        total_content_length: int | None,  # noqa: ARG002  # the framework's signature
        content_type: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        if not g.get("takes_upload") or g.get("receiving") is not None:
            abort(400, "upload")
        return cast("IO[bytes]", start())


def receive_in(app: Flask) -> None:
    """Make an application take uploads, and drop what is not kept at the end of a request."""
    app.request_class = StreamingRequest
    app.teardown_request(_drop)


def _drop(_error: BaseException | None) -> None:
    receiving: uploads.Receiving | None = g.pop("receiving", None)
    if receiving is not None:
        receiving.close()


def expect() -> None:
    """Let this request carry an upload; without it a request's body is small."""
    g.takes_upload = True
    request.max_content_length = _settings().upload_bytes + SMALL_BODY_BYTES


def start() -> uploads.Receiving:
    """Start to receive; dropped at the end of the request unless it is kept."""
    g.receiving = uploads.Receiving(_settings(), new_id())
    return cast("uploads.Receiving", g.receiving)


def keep(
    receiving: uploads.Receiving,
    name: str,
    database: Database,
    *,
    actor: str,
    organisation: str | None = None,
    submitted_by: str | None = None,
    origin: queue.Origin | None = None,
) -> str:
    """Keep a received upload and put it into the queue.

    Args:
        name: the file name as sent.
        actor: who sent it, for the audit log.
        organisation, submitted_by: whose it is, by id; None where the service has no accounts.
        origin: what it was put together in; None where it came as a zip.

    Returns:
        The id of the submission.

    Raises:
        OverBudget: the organisation has used what it may; nothing was kept.
    """
    receiving.keep()
    try:
        queue.add(
            database,
            submission_id=receiving.submission_id,
            # PostgreSQL keeps no null character in a text.
            name=name[:LONGEST_NAME].replace("\0", "\ufffd") or "–",
            size=receiving.size,
            digest=receiving.digest,
            actor=actor,
            organisation=organisation,
            submitted_by=submitted_by,
            origin=origin,
            gate=budgets.gate(_settings(), organisation, receiving.size) if organisation is not None else None,
        )
    except BaseException:
        uploads.remove_upload(_settings(), receiving.submission_id)
        raise
    return receiving.submission_id


def _settings() -> Settings:
    return cast("Settings", current_app.extensions["aiact_sandbox"].settings)
