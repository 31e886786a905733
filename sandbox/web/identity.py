"""Find out who asks, before every request, and refuse what the table of permissions does not allow.

Assumes of its caller: nothing; a view that is reached was allowed. What has no row in the table is reached by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from flask import Flask, abort, current_app, g, redirect, request, session, url_for
from werkzeug.wrappers import Response

from sandbox.errors import NotAllowed
from sandbox.records import audit, drafts, queue
from sandbox.records.tables import Submission
from sandbox.review import people
from sandbox.review.people import ALONE, Identity
from sandbox.review.permissions import ROUTES, SECTION_OF, Access, Permission
from sandbox.web.limits import Limit

SECRET = "secret"  # noqa: S105  # a field's name
API = "api"
WITHOUT_NEW_PASSWORD = ("static", "accounts.account", "accounts.change_password", "accounts.sign_out")
"""What somebody reaches whose password must first be replaced."""

ACCOUNTS = ("off", "local", "oidc", "local+oidc")
LIMITS = {
    "sign_in": (30, 300.0),
    "token": (60, 300.0),
    "submit": (120, 3600.0),
    "questions": (120, 300.0),
    "register": (10, 3600.0),
    "webhook": (20, 300.0),
}
"""How often one address may do what, in how many seconds."""


def guard_in(app: Flask) -> None:
    """Ask the table of permissions before every request to an application."""
    database = app.extensions["aiact_sandbox"].database
    app.extensions["aiact_sandbox_limits"] = {
        name: Limit(database, name, times, seconds) for name, (times, seconds) in LIMITS.items()
    }
    app.before_request(_guard)


def identity() -> Identity | None:
    """Give who asks; None for a stranger on a service with accounts."""
    return cast("Identity | None", g.get("identity"))


def somebody() -> Identity:
    """Give who asks, where the table lets nobody else in."""
    found = identity()
    if found is None:
        raise NotAllowed("nobody is signed in")
    return found


def actor(otherwise: str) -> str:
    """Name who asks for the audit log; `otherwise` where there are no accounts."""
    found = somebody()
    return otherwise if found.is_alone else found.actor


def organisations(permission: Permission) -> tuple[str, ...] | None:
    """List where whoever asks has a permission; None for everywhere."""
    found = identity()
    if found is None:
        return ()
    return None if found.is_alone else found.where(permission)


def limited(name: str) -> None:
    """Refuse with 429 what one address does too often."""
    if not current_app.extensions["aiact_sandbox_limits"][name].allows(request.remote_addr or ""):
        abort(429)


def found_submission(submission_id: str) -> Submission:
    """Give the submission of this request, which the guard has looked up and allowed."""
    found = g.get("submission")
    if not isinstance(found, Submission) or found.id != submission_id:
        raise NotAllowed("there is no such submission")
    return found


def also_found(submission_id: str) -> Submission:
    """Give another submission that an address names beside its own; one that may not be read is not there."""
    found = queue.find(_service().database, submission_id)
    if found is None or not somebody().holds(Permission.READ, found.organisation):
        raise NotAllowed("there is no such submission")
    return found


def note_reading(found: Submission, what: str) -> None:
    """Put into the audit log who read of a dossier, on a service with accounts."""
    who = somebody()
    if not who.is_alone:
        with _service().database.writing() as writing:
            audit.record(writing, actor=who.actor, action="dossier.read", subject=found.id, facts={"what": what})


def _service() -> Any:
    return current_app.extensions["aiact_sandbox"]


def _guard() -> Response | None:
    if request.endpoint is None:
        return None
    access = ROUTES.get(request.endpoint)
    if access is None:
        raise NotAllowed("this address is in no table")
    has_accounts = _service().settings.accounts != "off"
    needs_accounts = request.blueprint in ("accounts", "review")
    if needs_accounts and not has_accounts:
        raise NotAllowed("there are no accounts here")
    found = g.identity = (_who() if has_accounts else ALONE) if request.endpoint != "static" else None
    if found is not None and found.must_change and request.endpoint not in WITHOUT_NEW_PASSWORD:
        return redirect(url_for("accounts.account", lang=_lang()), 303)
    if access in (Access.ANYONE, Access.STRANGER_WITH_ACCOUNTS):
        return None
    if found is None:
        return _to_sign_in()
    if isinstance(access, Permission):
        _require(found, access)
    return None


def _who() -> Identity | None:
    if request.blueprint == API:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return None
        found = people.identify_token(_service().database, token.strip())
        if found is None:
            limited("token")
        # A person with a password that must be replaced acts by no program either.
        return None if found is None or found.must_change else found
    secret = session.get(SECRET)
    return people.identify(_service().database, secret) if isinstance(secret, str) else None


def _to_sign_in() -> Response:
    if request.blueprint == API:
        abort(401)
    # An address without a value is left out.
    onward = request.path if request.method == "GET" else None
    return redirect(url_for("accounts.sign_in", lang=_lang(), next=onward), 303)


def _lang() -> str:
    from sandbox.web.pages import words

    return words().lang


def _require(who: Identity, permission: Permission) -> None:
    """Refuse what a person may not: with 404 where they may not even know of it, else with 403."""
    values = request.view_args or {}
    if "submission_id" in values:
        found = queue.find(_service().database, values["submission_id"])
        if found is None or not who.holds(Permission.READ, found.organisation):
            raise NotAllowed("there is no such submission")
        g.submission = found
        organisation = found.organisation
        hidden = found.problems and who.holds(Permission.SUBMIT, organisation)
        if found.holdout_of is not None and (hidden or permission is Permission.CANCEL):
            # What a reviewer began is not the submitter's to stop; what is wrong in those rows, not theirs to read.
            permission = Permission.REVIEW
    elif "draft_id" in values:
        _require_of_draft(who, permission, values)
        return
    elif "organisation_id" in values:
        organisation = values["organisation_id"]
        if not who.is_alone and organisation not in who.may:
            raise NotAllowed("there is no such organisation")
    elif who.is_alone or who.where(permission):
        return
    else:
        raise NotAllowed("not in any organisation", hidden=False)
    if not who.holds(permission, organisation):
        raise NotAllowed("not with these roles", hidden=False)


def _require_of_draft(who: Identity, permission: Permission, values: Mapping[str, Any]) -> None:
    """Refuse what a person may not do with a draft."""
    database = _service().database
    draft = drafts.find(database, values["draft_id"])
    organisation = None if draft is None else draft.organisation
    theirs = drafts.sections_of(database, values["draft_id"], who.person_id)
    answers_for_some = bool(theirs) and who.holds(Permission.CONTRIBUTE, organisation)
    if draft is None or not (who.holds(Permission.READ, organisation) or answers_for_some):
        raise NotAllowed("there is no such draft")
    if who.holds(Permission.SUBMIT, organisation):
        return
    section = values.get("section") or SECTION_OF.get(request.endpoint or "") or SECTION_OF.get(request.blueprint or "")
    changes = request.method not in ("GET", "HEAD")
    if permission is not Permission.CONTRIBUTE or not answers_for_some or (changes and section not in theirs):
        raise NotAllowed("not with these roles, or not this section", hidden=False)
