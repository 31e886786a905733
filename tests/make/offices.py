"""A running service with accounts, real workers and cells, and people at browsers who work with it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.errors import CellUnavailable
from sandbox.isolation.choose import choose
from sandbox.records.database import Database, migrate
from sandbox.review import people
from sandbox.review.permissions import Role
from sandbox.serving import serve
from sandbox.settings import Settings
from sandbox.web.words import Pages
from tests.conftest import skip_or_fail
from tests.make.waiting import free_port, until

PASSWORD = "four words that differ"  # of people who exist in a test
PATIENCE = 90_000
"""How long one step of a browser may take on a machine that does other things too, in milliseconds."""

WHO = {
    "startup": {"ada": [Role.OWNER]},
    "municipality": {"bea": [Role.OWNER], "cor": [Role.MEMBER], "dirk": [Role.MEMBER]},
}
REVIEWERS = ("rita", "rob")
"""They review in both organisations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """A running service.

    Args:
        url: where it answers.
        organisations: ids by name.
        tokens: of the first person of each organisation, with the scope to hand in.
    """

    url: str
    settings: Settings
    database: Database
    organisations: dict[str, str]
    tokens: dict[str, str]


@contextmanager
def office(state: Path, **more: Any) -> Iterator[Office]:
    """Run a service in a process of its own, until the block is left."""
    settings = replace(
        Settings.from_environment(),
        **{
            "state": state,
            "mlflow_tracking_uri": "",
            "accounts": "local",
            "isolation": "bubblewrap",
            "listen": f"127.0.0.1:{free_port()}",
            **more,
        },
    )
    try:
        choose("bubblewrap", settings)
    except CellUnavailable as none:
        skip_or_fail(str(none))
    migrate(settings)
    database = Database(settings)
    organisations = {name: people.create_organisation(database, name=name, actor="test") for name in WHO}
    tokens = {}
    for name, persons in WHO.items():
        for login, roles in persons.items():
            _person(database, login, {organisations[name]: roles})
        identity = people.identify(
            database, people.sign_in(database, login=next(iter(persons)), password=PASSWORD) or ""
        )
        assert identity is not None
        tokens[name] = people.make_token(
            database, identity, name="t", organisation_id=organisations[name], scope="submit", days=1
        )
    for login in REVIEWERS:
        _person(database, login, {place: [Role.REVIEWER] for place in organisations.values()})
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(settings,))
    process.start()
    made = Office(
        url=f"http://{settings.listen}",
        settings=settings,
        database=database,
        organisations=organisations,
        tokens=tokens,
    )
    try:
        until(lambda: _answers(made.url))
        yield made
    finally:
        process.terminate()
        process.join(40)
        process.kill()
        database.close()


def _person(database: Database, login: str, roles: dict[str, list[Role]]) -> None:
    person = people.create_person(database, login=login, name=login.title(), password=PASSWORD, actor="test")
    for organisation, held in roles.items():
        for role in held:
            people.give_role(database, person_id=person, organisation_id=organisation, role=role, actor="test")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/en/", timeout=10):  # this machine's own address
            return True
    except OSError:
        return False


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser, until the block is left."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        skip_or_fail("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield opened
        opened.close()


class Desk:
    """One person at one browser.

    Args:
        browser: started.
        office: the service.
        lang: in which the person reads.
        more: of the browser's context, as `java_script_enabled` and `viewport`.
    """

    def __init__(self, browser: Any, office: Office, lang: str, **more: Any) -> None:
        self.office, self.lang, self.w = office, lang, Pages(lang)
        self.context = browser.new_context(locale=lang, **more)
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))

    def close(self) -> None:
        """Close the browser's window; nothing may have gone wrong in it."""
        self.context.close()
        assert self.said == []

    def go(self, path: str) -> None:
        """Open a page of the service by its address after the language."""
        answer = self.page.goto(f"{self.office.url}/{self.lang}{path}")
        assert answer is not None
        assert answer.status < 400, (path, answer.status)

    def sign_in(self, login: str) -> None:
        """Sign in on the page for it."""
        self.go("/sign-in")
        self.page.locator("[name=login]").fill(login)
        self.page.locator("[name=password]").fill(PASSWORD)
        self.send("account.sign_in")
        assert "sign-in" not in self.page.url

    def press(self, word: str, within: Any = None, **slots: object) -> None:
        """Press the button that carries a text."""
        (within or self.page).get_by_role("button", name=self.w(word, **slots), exact=True).first.click()

    def send(self, word: str, within: Any = None) -> None:
        """Press a button that sends a form, and wait for the page that comes of it."""
        with self.page.expect_navigation():
            self.press(word, within)

    def fill(self, **given: str) -> None:
        """Fill in or choose fields by their names."""
        for name, value in given.items():
            field = self.page.locator(f'[name="{name}"]').first
            kind = field.evaluate("e => e.type || e.tagName")
            if kind in ("radio", "checkbox"):
                self.page.locator(f'[name="{name}"][value="{value}"]').check()
            elif kind.startswith("select"):
                field.select_option(value)
            else:
                field.fill(value)

    # ---- the wizard

    def begin(self) -> str:
        """Begin to put a submission together; gives the address of the draft after the language."""
        self.go("/drafts")
        self.send("questions.begin")
        return "/drafts/" + self.page.url.split("/")[-2]

    def keep(self, word: str = "wizard.keep") -> None:
        """Keep the section that is open."""
        self.send(word)
        assert not self.page.locator("#wrong").count(), self.page.locator("#wrong").inner_text()

    def answer_questions(self, draft: str, **chosen: str) -> None:
        """Go through the questionnaire: what is given, else "unknown", else the last answer offered."""
        self.go(f"{draft}/questions")
        if "/questions/" not in self.page.url:
            self.send("questions.begin")
        for _ in range(30):
            if self.page.url.endswith("/result"):
                return
            for question in self.page.locator('[name="on_page"]').evaluate_all("all => all.map(e => e.value)"):
                options = self.page.locator(f'[name="{question}"]')
                values = options.evaluate_all("all => all.map(e => e.value)")
                wanted = chosen.get(question) or ("unknown" if "unknown" in values else values[-1])
                options.nth(values.index(wanted)).check()
            self.send("questions.next")
        raise AssertionError("the questionnaire did not end")

    def agree(self, draft: str) -> None:
        """Accept the terms."""
        self.go(f"{draft}/terms")
        self.fill(personal_data="yes", basis="public_task", retention_days="12")
        self.page.locator("[name=accept]").check()
        self.keep()

    def upload(self, draft: str, kind: str, path: Path) -> None:
        """Send a file, with scripts or without."""
        self.go(f"{draft}/files")
        self.page.locator(f'[name="kind"][value="{kind}"]').check()
        self.page.locator("#file").set_input_files(str(path))
        digests = self.page.get_by_text("SHA-256")
        before = digests.count()
        self.press("files.send")
        until(lambda: _count(digests) > before)

    def columns(self, draft: str, roles: dict[str, str], **more: str) -> None:
        """Give each column its role, once a worker has looked."""
        self.go(f"{draft}/columns")
        self.page.locator("[name=sampling]").wait_for()
        for column, role in roles.items():
            self.page.get_by_label(self.w("columns.role_of", name=column), exact=True).select_option(role)
        self.fill(**more)
        self.keep()

    def confirm(self, draft: str, *sections: str) -> None:
        """Confirm sections."""
        for section in sections:
            self.go(f"{draft}/{section}")
            self.send("wizard.confirm")

    def hand_in(self, draft: str) -> str:
        """Have it checked, hand it in, and wait for the report; gives the id of the submission."""
        self.go(f"{draft}/check")
        self.press("check.ask")
        self.page.get_by_text(self.w("check.nothing")).wait_for()
        self.press("start.send")
        self.page.wait_for_url("**/submissions/**")
        self.page.wait_for_url("**/report")
        return str(self.page.url.split("/")[-2])

    # ---- the review

    def review(self, submission: str, *, sign: str = "signed") -> None:
        """Judge every open finding with reasons, and sign."""
        self.go(f"/submissions/{submission}/review")
        form = self.page.locator("form[action$='/review/status']")
        if form.locator('[value="in_review"]').count():
            form.locator('[value="in_review"]').check()
            self.send("review.keep", form)
            self.page.locator("form[action$='/review/status'] [value=signed]").wait_for()
        while (waiting := self.unjudged()) is not None:
            for field in waiting.locator("textarea").all():
                field.fill("Seen; the office takes this into account.")
            self.send("review.judge_keep", waiting)
        form = self.page.locator("form[action$='/review/status']")
        form.locator(f'[value="{sign}"]').check()
        form.locator("[name=no_conflict]").check()
        form.locator("[name=text]").fill("The office has looked at it.")
        self.send("review.keep", form)
        self.page.locator(f"text={self.w('review.status.' + sign)}").first.wait_for()

    def unjudged(self) -> Any:
        """Give the first form of a finding that nobody judged yet, or None."""
        for form in self.page.locator("form[action$='/review/judgements']").all():
            if form.locator("legend").inner_text() == self.w("review.judge"):
                return form
        return None


def _count(located: Any) -> int:
    from playwright.sync_api import Error

    try:
        return int(located.count())
    except Error:
        # The page is another one at this moment.
        return 0
