"""People sign in with a real provider; an answer that is forged, old or meant for others signs nobody in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import select

from sandbox import outgoing
from sandbox.app import create_app
from sandbox.records.database import migrate
from sandbox.records.tables import Membership, Person
from sandbox.settings import Settings
from sandbox.web.elsewhere import NotVouched, Provider
from tests.make.waiting import free_port

ROOT = Path(__file__).parents[4]
ISSUER = "https://login.example.org"
BACK = "http://127.0.0.1:8080/sign-in/back"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    if not (ROOT / "node_modules" / "oidc-provider").is_dir():
        assert not os.environ.get("CI"), "the provider's package must be there"
        pytest.skip("no provider: npm install --no-save oidc-provider")
    port = free_port()
    script = (Path(__file__).parent / "provider.mjs").read_text()
    # Read from standard input, so that its packages are looked for from the root.
    process = subprocess.Popen(
        ["node", "--input-type=module", "-", str(port), BACK],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(script)
    process.stdin.close()
    for line in process.stdout:
        if "listening" in line:
            break
    else:
        pytest.fail("the provider did not start")
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


def service(settings: Settings, issuer: str, **more: Any) -> Flask:
    made = replace(
        settings,
        accounts="oidc",
        listen="127.0.0.1:8080",
        oidc_issuer=issuer,
        oidc_client="sandbox",
        oidc_secret="known to the test alone",
        **more,
    )
    migrate(made)
    return create_app(made)


def at_the_provider(address: str, login: str, browser: requests.Session | None = None) -> str:
    """Sign in at the provider as a browser would; gives the address it sends the browser back to."""
    browser = browser or requests.Session()
    answer = browser.get(address, allow_redirects=False, timeout=20)
    for _ in range(12):
        where = answer.headers.get("Location", "")
        if where.startswith(BACK):
            return where
        if where:
            address = requests.compat.urljoin(answer.url, where)
            answer = browser.get(address, allow_redirects=False, timeout=20)
            continue
        action = re.search(r'<form[^>]* action="([^"]+)"', answer.text)
        prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)
        assert action is not None
        assert prompt is not None
        form = {"prompt": prompt[1], "login": login, "password": "any"}
        answer = browser.post(action[1], data=form, allow_redirects=False, timeout=20)
    raise AssertionError("the provider never came back")


def signed_in(client: FlaskClient, login: str, onward: str = "") -> Any:
    sent = client.get("/nl/sign-in/elsewhere", query_string={"next": onward})
    assert sent.status_code == 303
    back = urlsplit(at_the_provider(sent.location, login))
    return client.get(f"{back.path}?{back.query}")


@pytest.mark.network
def test_somebody_signs_in_with_a_real_provider_and_has_no_role(settings: Settings, issuer: str) -> None:
    app = service(settings, issuer, oidc_private=1)
    client = app.test_client()
    with client.session_transaction() as kept:
        kept["secret"] = "set by somebody else"
    answer = signed_in(client, "ada", "/nl/account")
    assert answer.status_code == 303
    assert answer.location == "/nl/account"
    with client.session_transaction() as kept:
        assert kept["secret"] != "set by somebody else"
        assert set(kept) == {"secret"}
    page = client.get("/nl/account").text
    assert "ada &lt;b&gt;" in page
    assert 'name="old"' not in page
    assert client.get("/nl/submissions").status_code == 403
    signed_in(app.test_client(), "ada")
    signed_in(app.test_client(), "mallory")
    with app.extensions["aiact_sandbox"].database.reading() as session:
        people = {person.subject: person for person in session.scalars(select(Person)).all()}
        assert set(people) == {"ada", "mallory"}
        assert session.scalars(select(Membership)).all() == []
    assert people["ada"].mail == "ada@example.org"
    # An address that the provider has not checked may be anybody's.
    assert people["mallory"].mail == ""
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token is not None
    client.get("/nl/account")
    with client.session_transaction() as kept:
        csrf = kept["csrf"]
    out = client.post("/nl/sign-out", data={"csrf": csrf})
    assert out.status_code == 303
    assert "/nl/sign-out/elsewhere" in client.get(out.location).text
    assert client.get("/nl/account").status_code == 303


def at_the_end(address: str, browser: requests.Session) -> str:
    """Say yes where the provider asks whether to sign out; gives the address it sends the browser back to."""
    answer = browser.get(address, timeout=20)
    form = re.search(r'<form[^>]* action="([^"]+)"', answer.text)
    secret = re.search(r'name="xsrf" value="([^"]+)"', answer.text)
    assert form is not None
    assert secret is not None
    given = {"xsrf": secret[1], "logout": "yes"}
    return browser.post(form[1], data=given, allow_redirects=False, timeout=20).headers["Location"]


@pytest.mark.network
def test_who_signs_out_here_can_sign_out_at_the_provider_too(settings: Settings, issuer: str) -> None:
    client = service(settings, issuer, oidc_private=1).test_client()
    with requests.Session() as browser:
        at_the_provider(client.get("/nl/sign-in/elsewhere").location, "ada", browser)
        again = client.get("/nl/sign-in/elsewhere").location
        assert at_the_provider(again, "", browser).startswith(BACK), "the provider knows them still"
        leaving = client.get("/nl/sign-out/elsewhere")
        assert leaving.status_code == 303
        assert leaving.location.startswith(f"{issuer}/session/end?")
        assert at_the_end(leaving.location, browser) == "http://127.0.0.1:8080/"
        page = browser.get(client.get("/nl/sign-in/elsewhere").location, timeout=20)
        assert 'name="login"' in page.text, "the provider asks who it is"


@pytest.mark.parametrize("endpoint", [None, "http://login.example.org/end", "javascript:alert(1)"])
def test_where_a_provider_has_no_place_to_sign_out_none_is_offered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, endpoint: str | None
) -> None:
    about = {"issuer": ISSUER} | ({"end_session_endpoint": endpoint} if endpoint else {})
    monkeypatch.setattr(Provider, "_about", lambda *_, **__: (about, None))
    client = service(settings, ISSUER).test_client()
    assert "sign-out/elsewhere" not in client.get("/en/sign-in?out=elsewhere").text
    assert client.get("/en/sign-out/elsewhere").location == "/en/sign-in"


def test_a_stranger_cannot_have_the_provider_asked_without_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def away(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        raise NotVouched("away")

    monkeypatch.setattr(Provider, "_about", away)
    client = service(settings, ISSUER).test_client()
    for address in ("/en/sign-in?out=elsewhere", "/en/sign-out/elsewhere") * 40:
        last = client.get(address)
    assert last.status_code == 429
    assert 0 < asked <= 30
    assert client.get("/en/sign-in").status_code == 200


@pytest.mark.network
def test_an_answer_for_another_browser_or_a_second_time_signs_nobody_in(settings: Settings, issuer: str) -> None:
    app = service(settings, issuer, oidc_private=1)
    mine, theirs = app.test_client(), app.test_client()
    sent = mine.get("/en/sign-in/elsewhere")
    back = urlsplit(at_the_provider(sent.location, "ada"))
    theirs.get("/en/sign-in/elsewhere")
    assert theirs.get(f"{back.path}?{back.query}").status_code == 422
    assert mine.get(f"{back.path}?{back.query}").status_code == 303
    assert mine.get(f"{back.path}?{back.query}").location == "/en/sign-in"
    assert app.test_client().get(f"{back.path}?{back.query}").status_code == 303


@pytest.mark.network
def test_a_provider_inside_is_asked_only_where_the_operator_says_so(settings: Settings, issuer: str) -> None:
    app = service(settings, issuer, oidc_private=0)
    assert app.test_client().get("/en/sign-in/elsewhere").status_code == 503


@pytest.fixture
def forged(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Callable[..., Any]:
    """Have a provider answer with an id token of one's own making."""
    ours = RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"})
    about = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/auth",
        "token_endpoint": f"{ISSUER}/token",
        "jwks_uri": f"{ISSUER}/keys",
    }
    answers: dict[str, Any] = {
        "/.well-known/openid-configuration": about,
        "/keys": {"keys": [ours.as_dict(private=False)]},
    }

    def fetch(address: str, **_options: Any) -> outgoing.Answer:
        body = json.dumps(answers[urlsplit(address).path]).encode()
        return outgoing.Answer(status=200, headers={"content-type": "application/json"}, body=body)

    monkeypatch.setattr(outgoing, "fetch", fetch)
    provider = Provider(replace(settings, oidc_issuer=ISSUER, oidc_client="sandbox"))

    def make(*, key: Any = ours, header: dict[str, Any] | None = None, raw: str = "", **changed: Any) -> Any:
        address, kept = provider.begin(BACK)
        asked = parse_qs(urlsplit(address).query)
        assert asked["code_challenge_method"] == ["S256"]
        at = int(time.time())
        claims = {"iss": ISSUER, "aud": "sandbox", "sub": "ada", "iat": at, "exp": at + 300, "nonce": kept["nonce"]}
        claims = {name: value for name, value in (claims | changed).items() if value is not None}
        head = header or {"alg": "RS256", "kid": "1"}
        token = raw or jwt.encode(head, claims, key, algorithms=[head["alg"]])
        answers["/token"] = {"access_token": "x", "token_type": "Bearer", "id_token": token}
        return provider.finish(kept, {"state": kept["state"], "code": "c"})

    return make


def test_a_token_that_is_right_vouches_for_its_subject(forged: Callable[..., Any]) -> None:
    assert forged().subject == "ada"


WRONG: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "for others": {"aud": "others"},
    "for us and others": {"aud": ["sandbox", "others"]},
    "asked for by others": {"azp": "others"},
    "by another": {"iss": "https://evil.example"},
    "over": {"exp": 1},
    "without an end": {"exp": None},
    "of the future": {"iat": int(time.time()) + 9000},
    "about nobody": {"sub": ""},
    "without a subject": {"sub": None},
    "by another key": {"key": RSAKey.generate_key(2048, {"kid": "1"})},
    "by a shared secret": {"key": OctKey.import_key("k" * 32), "header": {"alg": "HS256", "kid": "1"}},
    "unsigned": {"raw": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."},
    "no token": {"raw": "no token"},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG.keys())
def test_a_token_that_is_wrong_in_one_thing_vouches_for_nobody(forged: Callable[..., Any], changed: Any) -> None:
    with pytest.raises(NotVouched):
        forged(**changed)


@pytest.mark.parametrize(
    "onward", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x", "/en/../x?"]
)
def test_signing_in_leads_to_no_address_of_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, onward: str
) -> None:
    monkeypatch.setattr(Provider, "begin", lambda _self, _back: (f"{ISSUER}/auth", {"state": "s"}))
    client = service(settings, ISSUER).test_client()
    client.get("/en/sign-in/elsewhere", query_string={"next": onward})
    with client.session_transaction() as kept:
        assert kept["elsewhere"]["onward"] == ""
