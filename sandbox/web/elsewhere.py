"""Sign in with the operator's provider by OpenID Connect: code flow, PKCE, state, nonce, and a checked id token.

Assumes of its caller: issuer, client and secret are the operator's settings; what `begin` gives for the browser is kept
where only that browser can bring it back, and used once.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from sandbox import outgoing
from sandbox.settings import Settings

if TYPE_CHECKING:
    from authlib.integrations.requests_client import OAuth2Session

log = logging.getLogger(__name__)

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
"""Signatures of an id token that are taken; `none` and those with a shared secret are not."""

LEEWAY_SECONDS: Final = 60
"""How far the provider's clock may be from ours."""

KNOWN_SECONDS: Final = 300.0
"""How long what a provider says of itself is believed without asking again."""

SCOPE: Final = "openid profile email"


class NotVouched(Exception):
    """The provider does not vouch for anybody here; the message says why, for the log alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """Whom a provider vouches for.

    Args:
        subject: who they are there.
        mail: an address the provider has checked; empty for none.
    """

    issuer: str
    subject: str
    name: str
    mail: str


class Provider:
    """The one provider of this service.

    Args:
        settings: `oidc_issuer`, `oidc_client`, `oidc_secret` or `oidc_secret_file`, and `oidc_private`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._known: tuple[float, dict[str, Any], Any] | None = None

    def begin(self, back: str) -> tuple[str, dict[str, str]]:
        """Begin to sign somebody in.

        Args:
            back: address that the provider sends the browser back to.

        Returns:
            Where to send the browser, and what it has to bring back.

        Raises:
            NotVouched: the provider cannot be reached.
        """
        from authlib.common.security import generate_token

        about, _ = self._about()
        kept = {"nonce": secrets.token_urlsafe(32), "verifier": generate_token(64), "back": back}
        address, kept["state"] = self._session(back).create_authorization_url(
            about["authorization_endpoint"], nonce=kept["nonce"], code_verifier=kept["verifier"]
        )
        return address, kept

    def finish(self, kept: dict[str, str], given: dict[str, str]) -> Vouched:
        """Take what the provider sent back with the browser, and ask it for whom.

        Args:
            kept: what `begin` gave.
            given: the query of the address that the browser came back with.

        Raises:
            NotVouched: anything is not as it must be.
        """
        if not kept or not hmac.compare_digest(given.get("state", "").encode(), kept["state"].encode()):
            raise NotVouched("the state is another")
        if "error" in given or not given.get("code"):
            raise NotVouched(f"the provider says {given.get('error', 'nothing')[:60]}")
        about, _ = self._about()
        # A provider that names itself in its answer must be this one (RFC 9207).
        if given.get("iss", about["issuer"]) != about["issuer"]:
            raise NotVouched("the answer is by another provider")
        from authlib.common.errors import AuthlibBaseError

        try:
            with self._session(kept["back"]) as session:
                token = session.fetch_token(
                    about["token_endpoint"],
                    grant_type="authorization_code",
                    code=given["code"],
                    code_verifier=kept["verifier"],
                )
                claims = self._read(str(token["id_token"]), kept["nonce"], about)
                if "userinfo_endpoint" in about:
                    more = session.get(about["userinfo_endpoint"]).json()
                    # What is said of another is of no use here.
                    claims = {**more, **claims} if more.get("sub") == claims["sub"] else claims
        except (AuthlibBaseError, outgoing.NotReached, ValueError, KeyError, TypeError, OSError) as wrong:
            raise NotVouched(f"no id token for the code: {type(wrong).__name__}") from wrong
        mail = claims.get("email") if claims.get("email_verified") is True else ""
        name = claims.get("name") or claims.get("preferred_username") or ""
        return Vouched(issuer=about["issuer"], subject=claims["sub"], name=str(name), mail=str(mail or ""))

    def leave(self, back: str, lang: str) -> str:
        """Give the address at which somebody ends their session at the provider too; empty where it has none.

        Args:
            back: where the provider may send the browser afterwards; it must know this address of us.
            lang: in which the provider may ask whether it is meant.
        """
        try:
            address = str(self._about()[0].get("end_session_endpoint", ""))
        except NotVouched as why:
            log.warning("the provider cannot be asked where a session is ended: %s", why)
            return ""
        if urlsplit(address).scheme not in self._schemes:
            return ""
        # No id token goes along: it would have to be kept until then. The provider asks the person instead.
        given = {"client_id": self._settings.oidc_client, "post_logout_redirect_uri": back, "ui_locales": lang}
        return f"{address}{'&' if '?' in address else '?'}{urlencode(given)}"

    def _read(self, token: str, nonce: str, about: dict[str, Any]) -> dict[str, Any]:
        """Check an id token, and give what it claims."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        claims = None
        for fresh in (False, True):
            # A key that is not known may be a new one: asked for once.
            _, keys = self._about(fresh=fresh)
            try:
                claims = jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
                break
            except (JoseError, ValueError, TypeError) as wrong:
                if fresh:
                    raise NotVouched(f"the id token is not signed by the provider: {type(wrong).__name__}") from wrong
        assert claims is not None
        client = self._settings.oidc_client
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": about["issuer"]},
            aud={"essential": True, "value": client},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            registry.validate(claims)
        except (JoseError, ValueError, TypeError) as wrong:
            raise NotVouched(f"the id token is not for here and now: {wrong}") from wrong
        audience = claims["aud"]
        if (isinstance(audience, list) and len(audience) > 1) or claims.get("azp", client) != client:
            raise NotVouched("the id token is for others too")
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise NotVouched("the id token names nobody")
        return dict(claims)

    def _session(self, back: str) -> OAuth2Session:
        from authlib.integrations.requests_client import OAuth2Session

        settings = self._settings
        secret = settings.oidc_secret
        if settings.oidc_secret_file:
            secret = Path(settings.oidc_secret_file).read_text(encoding="utf-8").strip()
        session = OAuth2Session(
            client_id=settings.oidc_client,
            client_secret=secret or None,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=SCOPE,
            redirect_uri=back,
            code_challenge_method="S256",
        )
        session.mount("https://", _adapter(is_private=bool(settings.oidc_private)))
        session.mount("http://", _adapter(is_private=bool(settings.oidc_private)))
        return session

    def _about(self, *, fresh: bool = False) -> tuple[dict[str, Any], Any]:
        """Give what the provider says of itself, and its keys."""
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        with self._lock:
            if self._known is None or fresh or time.monotonic() - self._known[0] > KNOWN_SECONDS:
                issuer = self._settings.oidc_issuer
                try:
                    about = self._get(issuer.rstrip("/") + "/.well-known/openid-configuration")
                    if about["issuer"] != issuer:
                        raise NotVouched("the provider says that it is another")
                    keys = KeySet.import_key_set(self._get(about["jwks_uri"]))  # type: ignore[arg-type]  # checked there
                    for needed in ("authorization_endpoint", "token_endpoint"):
                        if urlsplit(about[needed]).scheme not in self._schemes:
                            raise NotVouched(f"{needed} is no https address")
                except (outgoing.NotReached, JoseError, ValueError, KeyError, TypeError) as wrong:
                    raise NotVouched(f"the provider does not say what it is: {wrong}") from wrong
                self._known = (time.monotonic(), about, keys)
            return self._known[1], self._known[2]

    @property
    def _schemes(self) -> tuple[str, ...]:
        return ("https", "http") if self._is_plain else ("https",)

    @property
    def _is_plain(self) -> bool:
        return bool(self._settings.oidc_private)

    def _get(self, address: str) -> dict[str, Any]:
        answer = outgoing.fetch(address, private=self._is_plain, plain=self._is_plain)
        found = json.loads(answer.body) if answer.status == 200 else None
        if not isinstance(found, dict):
            raise NotVouched(f"no document at one of its addresses ({answer.status})")
        return found


def _adapter(*, is_private: bool) -> Any:
    """Make what carries Authlib's requests: the same way out as all others."""
    from requests import PreparedRequest, Response
    from requests.adapters import BaseAdapter
    from requests.structures import CaseInsensitiveDict

    class Carrier(BaseAdapter):
        def send(self, request: PreparedRequest, *_more: Any, **_options: Any) -> Response:
            body = request.body.encode() if isinstance(request.body, str) else request.body
            answer = outgoing.fetch(
                str(request.url),
                method=str(request.method),
                body=bytes(body or b""),
                headers={
                    k: v for k, v in request.headers.items() if k.lower() not in ("connection", "accept-encoding")
                },
                private=is_private,
                plain=is_private,
            )
            made = Response()
            made.status_code, made._content = answer.status, answer.body
            made.headers, made.request = CaseInsensitiveDict(answer.headers), request
            made.url = str(request.url)
            return made

        def close(self) -> None:
            pass

    return Carrier()
