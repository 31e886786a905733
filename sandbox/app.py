"""The web application, put together: pages, API, and one handler for every error.

The web process writes rows and reads dossiers. It opens no upload and knows no container engine.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, make_response, render_template, request
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from sandbox import tracing
from sandbox.errors import Broken, CannotStart, CellUnavailable, NotAllowed, OverBudget, Problem, Refused, SandboxError
from sandbox.records.database import Database
from sandbox.records.tables import new_id
from sandbox.records.uploads import TooLarge
from sandbox.settings import Settings
from sandbox.web import pages, receiving, security
from sandbox.web.live import Streams

log = logging.getLogger(__name__)

API = "/api/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the application works with; under `app.extensions["aiact_sandbox"]`."""

    settings: Settings
    database: Database
    streams: Streams


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application. The database must have been migrated.

    Args:
        settings: of the operator; from the environment where not given.

    Raises:
        CannotStart: `accounts` is not a setting there is, its provider cannot be asked with these settings, or others
            could reach a service without accounts.
    """
    from sandbox.api import v1
    from sandbox.web import account_pages, health, identity, mlflow_pages, question_pages, review_pages
    from sandbox.web.elsewhere import Provider
    from sandbox.web.wizard import files as wizard_files
    from sandbox.web.wizard import pages as wizard_pages

    settings = settings or Settings.from_environment()
    _refuse_to_stand_open(settings)
    app = Flask("sandbox.web")
    database = Database(settings)
    app.extensions["aiact_sandbox"] = Service(settings=settings, database=database, streams=Streams(database))
    app.extensions["aiact_sandbox_provider"] = Provider(settings)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    tracing.trace_in(app, settings)
    security.secure(app, settings)
    receiving.receive_in(app)
    identity.guard_in(app)
    app.url_map.converters["lang"] = pages.LanguageConverter
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(account_pages.blueprint)
    app.register_blueprint(question_pages.blueprint)
    app.register_blueprint(
        question_pages.blueprint, name="draft_questions", url_prefix="/<lang:lang>/drafts/<draft_id>/questions"
    )
    app.register_blueprint(wizard_files.blueprint)
    app.register_blueprint(wizard_pages.blueprint)
    app.register_blueprint(review_pages.blueprint)
    app.register_blueprint(v1.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(mlflow_pages.blueprint)
    app.register_error_handler(SandboxError, _on_sandbox_error)
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(TooLarge, lambda _error: _answer(413, "too_large"))
    app.register_error_handler(OSError, _on_os_error)
    app.register_error_handler(DataError, _on_data_error)
    app.register_error_handler(500, _on_fault)
    return app


def _refuse_to_stand_open(settings: Settings) -> None:
    from sandbox.web.identity import ACCOUNTS

    if settings.accounts not in ACCOUNTS:
        known = ", ".join(ACCOUNTS)
        raise CannotStart(f"accounts (AIACT_SANDBOX_ACCOUNTS) must be one of {known}, not {settings.accounts!r}")
    if "oidc" in settings.accounts and not (settings.oidc_issuer and settings.oidc_client):
        raise CannotStart("accounts with oidc need AIACT_SANDBOX_OIDC_ISSUER and AIACT_SANDBOX_OIDC_CLIENT")
    if "oidc" in settings.accounts:
        if urlsplit(settings.oidc_issuer).scheme not in ("https", "http"):
            raise CannotStart(f"AIACT_SANDBOX_OIDC_ISSUER must be an address, not {settings.oidc_issuer!r}")
        if settings.oidc_secret_file and not os.access(settings.oidc_secret_file, os.R_OK):
            raise CannotStart(f"AIACT_SANDBOX_OIDC_SECRET_FILE: {settings.oidc_secret_file} cannot be read")
    host, _, _ = settings.listen.rpartition(":")
    if settings.accounts == "off" and not security.is_this_machine(host):
        raise CannotStart(
            f"without accounts the service listens on this machine alone, not on {host}: set "
            "AIACT_SANDBOX_ACCOUNTS=local and make a first person with `aiact-sandbox admin create-user`"
        )


def _on_sandbox_error(error: SandboxError) -> BaseResponse:
    """Answer an error that was raised on purpose; whose fault it is decides the status."""
    match error:
        case OverBudget():
            return _answer(error.status, "over_budget", detail=str(error), problems=error.problems)
        case Refused():
            return _answer(422, "refused", detail=str(error), problems=error.problems)
        case NotAllowed():
            return _answer(404 if error.hidden else 403, "not_found" if error.hidden else "not_allowed")
        case CellUnavailable():
            return _answer(503, "unavailable", detail=str(error))
        case Broken():
            return _answer(500, "broken", incident=error.incident)
        case _:
            return _on_fault(error)


_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method",
    413: "too_large",
    415: "media_type",
    429: "too_often",
}


def _on_http_error(error: HTTPException) -> BaseResponse:
    status = error.code or 500
    if error.response is not None or status < 400:
        return make_response(error.get_response())
    if status >= 500:
        return _on_fault(error)
    code = "expired" if error.description == "csrf" else _CODES.get(status, "bad_request")
    ours = error.description if status == 422 else None
    answer = _answer(status, code, detail=ours)
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if status == 429:
        answer.headers["Retry-After"] = "300"
    if status == 405 and getattr(error, "valid_methods", None):
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]  # of 405 alone
    return answer


def _on_os_error(error: OSError) -> BaseResponse:
    return _answer(507, "disk_full") if error.errno == errno.ENOSPC else _on_fault(error)


def _on_data_error(error: DataError) -> BaseResponse:
    """Answer what a database takes for no text, as PostgreSQL does a null character: nothing here has such a name."""
    log.warning("a value at %s was not taken by the database: %s", request.endpoint, type(error.orig).__name__)
    return _answer(404, "not_found") if "\0" in request.path else _answer(400, "bad_request")


def _on_fault(error: BaseException) -> BaseResponse:
    """Answer a fault of ours: an incident id and nothing else; the detail is in the log."""
    incident = new_id()[:12]
    original = getattr(error, "original_exception", None) or error
    log.error("incident %s at %s %s", incident, request.method, request.path, exc_info=original)
    return _answer(500, "broken", incident=incident)


def _answer(
    status: int,
    code: str,
    *,
    detail: str | None = None,
    problems: tuple[Problem, ...] = (),
    incident: str = "",
) -> BaseResponse:
    words = pages.words()
    if request.path.startswith(API):
        from sandbox.web.words import Pages

        english = Pages("en")
        document: dict[str, Any] = {
            "type": f"urn:aiact-sandbox:error:{code}",
            "title": english(f"error.{code}.title"),
            "status": status,
            "detail": detail or english(f"error.{code}.text", limit=_limit(english), incident=incident),
            "instance": request.path,
        }
        if problems:
            document["problems"] = [asdict(p) for p in problems]
        if incident:
            document["incident"] = incident
        return Response(json.dumps(document), status, mimetype="application/problem+json")
    page = render_template(
        "error.html",
        status=status,
        phrase=HTTPStatus(status).phrase,
        title=words(f"error.{code}.title"),
        text=words(f"error.{code}.text", limit=_limit(words), incident=incident),
        problems=[(p.field, *words.problem(asdict(p))) for p in problems],
    )
    return make_response(page, status)


def _limit(words: Any) -> str:
    return str(words.bytes(pages.service().settings.upload_bytes))
