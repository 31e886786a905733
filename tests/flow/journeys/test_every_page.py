"""Every page there is, with real and hostile content: axe-core finds nothing, nothing overflows, text stays text."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import waitress  # type: ignore[import-untyped]  # ships no types
from flask import Flask
from flask.testing import FlaskClient

from sandbox.app import create_app
from sandbox.drafting import jobs
from sandbox.engine import run
from sandbox.exporting import export, formats
from sandbox.records import drafts, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.review import people
from sandbox.review.permissions import ROUTES, Role
from sandbox.settings import Settings
from sandbox.web.question_pages import _blocks
from tests.conftest import ROOT, skip_or_fail
from tests.make import queued, submissions
from tests.make.offices import PASSWORD
from tests.make.wizards import SYSTEM, TERMS, Wizard, answer_all

pytestmark = [pytest.mark.network]
LANGUAGES = ("en", "nl")
WIDTHS = (390, 1280)
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
ALL = bool(os.environ.get("AIACT_SANDBOX_ALL_JOURNEYS"))

VIOLATIONS = """axe.run(document, {iframes: false}).then(
    found => found.violations.map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))]))"""

MARK = "<img src=x onerror=alert(1)>"
TURNED = f"{MARK}\u202etxet\u2066"
NO_PAGE = ("static", "mlflow.home", "mlflow.read", "pages.events", "health.metrics")
TEXT_FILES = {".md", ".html", ".svg", ".csv", ".xml", ".txt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A service with one person who may do everything, and the addresses of all its pages after the language."""

    app: Flask
    settings: Settings
    url: str
    secret: str
    done: str
    pages: dict[str, str]

    def client(self) -> FlaskClient:
        made = self.app.test_client()
        with made.session_transaction() as kept:
            kept["secret"], kept["csrf"] = self.secret, "known"
        return made


def hostile_submission(folder: Path) -> Path:
    """Write predictions whose system, inputs, groups, classes and documents are all made to be taken for markup."""
    group, feature = f"{MARK}group", f"=cmd|{MARK}income"
    values = (f"{MARK}a\u202eb", "b\u2067c<script>alert(2)</script>")
    header = (feature, group, "outcome", "decision")
    rows = [
        (str(100 + i), values[i % 2], ("no", "yes</td>")[i % 3 > 0], ("no", "yes</td>")[(i * 7) % 5 > 1])
        for i in range(240)
    ]
    return submissions.predictions(
        folder,
        table=submissions.csv_of([header, *rows]),
        system={**submissions.SYSTEM, "name": f"Loan {TURNED}", "intended_purpose": f"To advise {TURNED}."},
        predictions={"file": "table.csv", "decision": "decision"},
        data={
            "classes": ["no", "yes</td>"],
            "favourable": "yes</td>",
            "columns": {group: "group", "outcome": "label"},
        },
        documents=["a <b>name</b>.md"],
        files={"a <b>name</b>.md": f"# Risks {TURNED}\n\nHuman oversight: {TURNED} a clerk decides.\n"},
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("pages")
    settings = replace(
        Settings.from_environment(),
        state=folder / "state",
        mlflow_tracking_uri="",
        accounts="local",
        listen="127.0.0.1:8080",
    )
    migrate(settings)
    app = create_app(settings)
    database: Database = app.extensions["aiact_sandbox"].database
    organisation = people.create_organisation(database, name=f"Municipality {TURNED}", actor="test")
    person = people.create_person(database, login="ada", name=f"Ada {TURNED}", password=PASSWORD, actor="test")
    for role in (Role.OWNER, Role.REVIEWER, Role.AUDITOR):
        people.give_role(database, person_id=person, organisation_id=organisation, role=role, actor="test")
    other = people.create_person(database, login="bea", name="Bea", password=PASSWORD, actor="test")
    people.give_role(database, person_id=other, organisation_id=organisation, role=Role.OWNER, actor="test")
    secret = people.sign_in(database, login="ada", password=PASSWORD)
    assert secret is not None

    def hand_in(content: bytes, name: str, *, by: str) -> str:
        return queued.hand_in(settings, database, content, name, organisation=organisation, by=by)

    def work() -> None:
        claimed = queue.claim(database, worker="test")
        assert claimed is not None
        run(claimed.submission_id, settings, token=claimed.token)

    zipped = submissions.zipped(hostile_submission(folder / "s"), folder / "s.zip").read_bytes()
    done = hand_in(zipped, f"{TURNED}.zip", by=other)
    work()
    found = queue.find(database, done)
    assert found is not None
    assert found.state == "done", found.problems
    again = hand_in(zipped, "again.zip", by=other)
    work()
    refused = hand_in(
        submissions.raw_zip([{"name": f"{TURNED}.csv", "content": b"a"}, {"name": "submission.yaml", "content": b""}]),
        f"{TURNED}.zip",
        by=person,
    )
    work()
    waiting = hand_in(b"x", f"{TURNED}.zip", by=person)
    made = Place(app=app, settings=settings, url="", secret=secret, done=done, pages={})
    client = made.client()
    draft = drafted(client, settings, database)
    client.post(
        f"/en/submissions/{done}/review/status",
        data={"csrf": "known", "digest": found.dossier_digest, "status": "in_review"},
    )
    client.post(
        f"/en/submissions/{done}/review/comments",
        data={"csrf": "known", "digest": found.dossier_digest, "text": f"Why {TURNED}?"},
    )
    pages = addresses(app, organisation, draft, {"done": done, "again": again, "refused": refused, "waiting": waiting})
    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=8)
    threading.Thread(target=server.run, daemon=True).start()
    yield replace(made, url=f"http://127.0.0.1:{server.effective_port}", pages=pages)
    server.close()
    database.close()


def drafted(client: FlaskClient, settings: Settings, database: Database) -> str:
    """Fill every section of a draft in, one of them wrong."""
    wizard = Wizard(client, "en")
    public = {"public_body": "yes", "provider_country": "Nederland"}
    wizard.keep("system", {**SYSTEM, **public, "name": f"Draft {TURNED}"})
    wizard.keep("terms", TERMS)
    wizard.upload("predictions", f"{TURNED}.csv", submissions.csv_of().encode())
    assert jobs.do_next(settings, database)
    wizard.upload("document", f"{TURNED}.md", b"# A document\n")
    wizard.create("document", f"{TURNED} unfinished.md", 100)
    limit = {"code-0": "fairness.selection_rate.ratio", "at_least-0": "x", "reason-0": TURNED}
    wizard.keep("limits", {**limit, "claim-accuracy": TURNED})
    wizard.keep("publication", {"goal": TURNED, "website": TURNED, "fria-oversight": TURNED})
    answer_all(wizard)
    return wizard.id


def addresses(app: Flask, organisation: str, draft: str, submission: dict[str, str]) -> dict[str, str]:
    """Give the address of every page after the language, by a name; a route without an address here fails."""
    values = {
        "organisation_id": organisation,
        "draft_id": draft,
        "other_id": submission["again"],
        "person_id": "0" * 32,
    }
    several = {
        "submission_id": submission,
        "section": {name: name for name in drafts.SECTIONS},
        "block": {name: name for name in _blocks()},
        "of": {lang: lang for lang in LANGUAGES},
    }
    made = {"nothing": "/nothing-is-here"}
    for rule in app.url_map.iter_rules():
        if (
            "GET" not in (rule.methods or ())
            or rule.endpoint in NO_PAGE
            or rule.endpoint.startswith(("api.", "health."))
        ):
            continue
        assert rule.endpoint in ROUTES
        here = {rule.endpoint: rule.rule.removeprefix("/<lang:lang>")}
        for slot in re.findall(r"<(?:[^:<>]+:)?([a-z_]+)>", rule.rule):
            if slot in ("lang", "name", "path", "file_id", "token_id", "hook_id"):
                continue
            choices = several.get(slot) or {"": values[slot]}
            here = {
                f"{name} {key}".strip(): re.sub(rf"<(?:[^:<>]+:)?{slot}>", value, address)
                for name, address in here.items()
                for key, value in choices.items()
            }
        made |= {name: address for name, address in here.items() if "<" not in address}
    return made


def opened(place: Place, lang: str) -> dict[str, str]:
    """Ask every address, and give those that answer with a page, by name, with the page."""
    client, found = place.client(), {}
    for name, address in place.pages.items():
        answer = client.get(f"/{lang}{address}")
        assert answer.status_code < 500, (name, address)
        if answer.mimetype == "text/html" and answer.status_code in (200, 404):
            found[name] = answer.text
    return found


def hidden_in(text: str) -> set[str]:
    """Give the characters of a text that hide, or that turn others around."""
    turning = {"\u200e", "\u200f", *map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))}
    return {c for c in text if c in turning or (unicodedata.category(c) == "Cc" and c not in "\n\t\r")}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_hostile_is_text_on_every_page(place: Place, lang: str) -> None:
    pages = opened(place, lang)
    assert len(pages) > 40
    shown = 0
    for name, page in pages.items():
        assert not hidden_in(page), name
        assert not hidden_in(html.unescape(page)), name
        assert MARK not in page, name
        assert "<script>alert" not in page, name
        shown += MARK in html.unescape(page)
    assert shown > 20, "it is there, as text"


def test_what_is_hostile_is_text_in_every_file_of_the_dossier_and_every_export(place: Place, tmp_path: Path) -> None:
    found = queue.find(place.app.extensions["aiact_sandbox"].database, place.done)
    assert found is not None
    folder = uploads.dossiers(place.settings) / str(found.dossier)
    files = {name: folder / name for name in uploads.files_of(folder)}
    for form in formats():
        for lang in LANGUAGES:
            target = tmp_path / f"{form.name}.{lang}{form.suffix}"
            export(folder, form.name, lang=lang, out=target)
            files[target.name] = target
    assert len(files) > 30
    for name, path in files.items():
        if path.suffix in (".json", ".sarif", ".jsonld"):
            json.loads(path.read_bytes())
        elif path.suffix in TEXT_FILES:
            text = path.read_bytes().decode()
            assert not hidden_in(text), name
            if path.suffix in (".html", ".svg", ".xml"):
                assert MARK not in text, name
                assert not hidden_in(html.unescape(text)), name
            assert path.suffix != ".csv" or not re.search(r"(^|,)\"?=", text, re.MULTILINE), name
        elif path.suffix == ".pdf" and shutil.which("pdftotext"):
            said = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True).stdout.decode()
            assert not hidden_in(said.replace("\f", "")), name


def at_a_browser(place: Place, browser: Any, width: int, **more: Any) -> Any:
    """Open a window that is signed in."""
    with place.app.test_request_context():
        serializer = place.app.session_interface.get_signing_serializer(place.app)  # type: ignore[attr-defined]  # of Flask's own
        value = serializer.dumps({"secret": place.secret, "csrf": "known"})
    context = browser.new_context(viewport={"width": width, "height": 900}, bypass_csp=True, **more)
    context.add_cookies([{"name": place.app.config["SESSION_COOKIE_NAME"], "value": value, "url": place.url}])
    context.set_default_timeout(60_000)
    return context.new_page()


@pytest.mark.browser
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("lang", "width"), [(lang, w) for lang in LANGUAGES for w in WIDTHS if ALL or (lang == "nl") == (w == 390)]
)
def test_axe_finds_nothing_on_any_page(place: Place, browser: Any, lang: str, width: int) -> None:
    if not AXE.is_file():
        skip_or_fail("no axe-core: npm install --no-save axe-core")
    axe = AXE.read_text(encoding="utf-8")
    page = at_a_browser(place, browser, width)
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    wrong = []
    for name in opened(place, lang):
        page.goto(f"{place.url}/{lang}{place.pages[name]}", wait_until="domcontentloaded")
        page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        page.evaluate(axe)
        found = page.evaluate(VIOLATIONS)
        wrong += [(name, *violation) for violation in found]
        if "card" not in name and "comparison" not in name:
            # Nothing is read by moving sideways: 1280 px at 400 % are 320.
            page.set_viewport_size({"width": 320, "height": 900})
            too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            wrong += [(name, "too wide at 320 px", too_wide)] if too_wide > 0 else []
            page.set_viewport_size({"width": width, "height": 900})
    page.context.close()
    assert said == []
    assert not wrong, "\n".join(map(str, wrong))
