"""Open the draft that a request is about."""

from __future__ import annotations

from flask import abort, redirect, request, url_for

from sandbox.errors import NotAllowed
from sandbox.records import drafts, queue
from sandbox.records.drafts import Whole
from sandbox.records.tables import State
from sandbox.web.pages import service, words


def opened(draft_id: str) -> Whole:
    """Give a draft that is being worked on; one that was handed in leads to its submission.

    One whose submission was refused, broke off or was stopped is opened again.
    """
    found = drafts.whole(service().database, draft_id)
    if found is None:
        raise NotAllowed("there is no such draft")
    if found.draft.submission is not None:
        submission = queue.find(service().database, found.draft.submission)
        if submission is not None and submission.state not in (State.REFUSED, State.FAILED, State.CANCELLED):
            abort(redirect(url_for("pages.submission", lang=words().lang, submission_id=submission.id), 303))
        if request.method not in ("GET", "HEAD"):
            drafts.reopen(service().database, draft_id)
    return found
