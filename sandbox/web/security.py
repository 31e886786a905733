"""What every answer and every request of the web process must have: headers, the right host, the right origin, a token.

Assumes of its caller: a service that listens elsewhere than on this machine has accounts, and stands behind something
that encrypts; its cookie is sent over nothing else.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from urllib.parse import urlsplit

from flask import Flask, Request, Response, abort, g, request, session

from sandbox.records.keyring import drawn
from sandbox.settings import Settings

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content policy of pages: everything from here, and no script or style inside a page."""

DOCUMENT_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""Content policy of documents out of a dossier: they run nothing, and have no origin."""

MLFLOW_POLICY = PAGE_POLICY.replace("style-src 'self'", "frame-src 'self'; style-src 'self' 'unsafe-inline'").replace(
    "img-src 'self' data:",
    "img-src 'self' data: blob:; font-src 'self' data:; manifest-src 'self'; worker-src 'self' blob:",
)
"""Content policy of MLflow's own pages: everything from here; its scripts write styles into the page."""

SMALL_BODY_BYTES = 64 * 1024
"""Largest body of a request that carries no upload."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
TOKEN_FIELD = "csrf"  # noqa: S105  # a field's name
TOKEN_HEADER = "X-CSRF-Token"  # noqa: S105  # of requests that carry no form


def secure(app: Flask, settings: Settings) -> None:
    """Give an application its secret, its checks before each request and its headers after it."""
    host, _, _ = settings.listen.rpartition(":")
    app.secret_key = drawn(settings.state / "keys" / "web.key")
    app.config.update(
        SESSION_COOKIE_NAME="aiact_sandbox",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=not is_this_machine(host),
        MAX_CONTENT_LENGTH=SMALL_BODY_BYTES,
        # The parser's own buffer counts too, and holds a whole piece of the upload.
        MAX_FORM_MEMORY_SIZE=8 * SMALL_BODY_BYTES,
        MAX_FORM_PARTS=8,
    )
    if is_this_machine(host):
        app.before_request(_refuse_other_names)
    app.before_request(_refuse_other_origins)
    app.after_request(_add_headers)
    app.jinja_env.globals["csrf_token"] = csrf_token


def is_this_machine(host: str) -> bool:
    """Tell whether an address can be reached from this machine alone."""
    if host.strip("[]") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def same_origin(asked: Request) -> bool:
    """Tell whether a request comes from a page of ours, or from no page at all."""
    if asked.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return False
    origin = asked.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == asked.host


def _refuse_other_names() -> None:
    """Refuse a request to this machine under a name that is not its own.

    A page elsewhere can give its own name this machine's address; the browser then takes both for one site.
    """
    if not is_this_machine(urlsplit(f"//{request.host}").hostname or ""):
        abort(400)


def _refuse_other_origins() -> None:
    if request.method not in SAFE_METHODS and not same_origin(request):
        abort(403)


def csrf_token() -> str:
    """Give the token that every form of this browser carries."""
    if TOKEN_FIELD not in session:
        session[TOKEN_FIELD] = secrets.token_urlsafe(32)
    return str(session[TOKEN_FIELD])


def require_token() -> None:
    """Refuse a form that does not carry the token; call it once the form may be read."""
    given = request.headers.get(TOKEN_HEADER) or request.form.get(TOKEN_FIELD, "")
    if not hmac.compare_digest(given.encode(), str(session.get(TOKEN_FIELD, "")).encode()) or not given:
        abort(400, "csrf")


def _add_headers(response: Response) -> Response:
    policy = MLFLOW_POLICY if g.get("is_mlflow") else PAGE_POLICY
    policy = DOCUMENT_POLICY if g.get("is_document") else policy
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN" if g.get("is_document") else "DENY",
        # Not `no-referrer`: under that a browser sends the origin of our own forms as `null`.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), browsing-topics=()",
    }
    for name, value in headers.items():
        response.headers[name] = value
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
