"""Put an upload into the queue as the service does when it has received one."""

from __future__ import annotations

from sandbox.records import queue, uploads
from sandbox.records.database import Database
from sandbox.records.tables import new_id
from sandbox.settings import Settings


def hand_in(
    settings: Settings,
    database: Database,
    content: bytes = b"Loan decisions",
    name: str = "a.zip",
    *,
    organisation: str | None = None,
    by: str | None = None,
) -> str:
    """Receive this content and queue it; give the submission's id."""
    receiving = uploads.Receiving(settings, new_id())
    try:
        receiving.write(content)
        receiving.keep()
    finally:
        receiving.close()
    queue.add(
        database,
        submission_id=receiving.submission_id,
        name=name,
        size=receiving.size,
        digest=receiving.digest,
        actor="test",
        organisation=organisation,
        submitted_by=by,
    )
    return receiving.submission_id
