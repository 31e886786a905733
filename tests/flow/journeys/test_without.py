"""The running service without a mouse, without scripts, and with a connection that breaks off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.make import submissions
from tests.make.offices import PASSWORD, Desk, Office
from tests.make.waiting import until

pytestmark = [pytest.mark.network, pytest.mark.browser, pytest.mark.bubblewrap]
MEBIBYTE = 1024**2


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    return submissions.zipped(submissions.predictions(tmp_path / "s"), tmp_path / "loan check.zip")


def tab_to(page: Any, selector: str) -> None:
    """Go on with the tab key until an element has the focus, and see that it shows."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            outline = page.evaluate(
                "() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + s.boxShadow; }"
            )
            assert outline != "nonenone", f"one cannot see that {selector} has the focus"
            return
    raise AssertionError(f"{selector} is not reached with the tab key")


def test_with_the_keyboard_alone_one_signs_in_hands_in_and_reads(service: Office, browser: Any, zipped: Path) -> None:
    ada = Desk(browser, service, "nl")
    page = ada.page
    # Listened for from the start: a browser that is asked to tell of it only now may show the chooser before it hears.
    choosers: list[Any] = []

    def opened(chooser: Any) -> None:
        choosers.append(chooser)

    page.on("filechooser", opened)
    ada.go("/sign-in")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('.skip')"), "the first stop leads past the menus"
    tab_to(page, "[name=login]")
    page.keyboard.type("ada")
    tab_to(page, "[name=password]")
    page.keyboard.type(PASSWORD)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    ada.go("/")
    tab_to(page, "[name=submission]")
    page.keyboard.press("Enter")
    until(lambda: page.title() and choosers)
    choosers[0].set_files(str(zipped))
    tab_to(page, "form[enctype] [type=submit]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/report")
    tab_to(page, "a[href$='dossier.zip'], a[download]")
    ada.close()


def test_the_wizard_is_filled_in_with_the_keyboard_alone(service: Office, browser: Any) -> None:
    ada = Desk(browser, service, "en")
    ada.sign_in("ada")
    page = ada.page
    ada.go("/drafts")
    tab_to(page, "form button[type=submit]")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    for name, text in {
        "name": "Loan check",
        "version": "1",
        "intended_purpose": "Advises a clerk.",
        "provider_name": "Example BV",
        "provider_country": "NL",
    }.items():
        tab_to(page, f'[name="{name}"]')
        page.keyboard.type(text)
    tab_to(page, '[name="route"]')
    page.keyboard.press("ArrowDown")
    tab_to(page, "main form .actions button")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url.endswith("/questionnaire")
    assert not page.locator("#wrong").count()
    ada.close()


def test_without_scripts_one_puts_together_hands_in_reads_and_reviews(
    service: Office, browser: Any, tmp_path: Path
) -> None:
    document = tmp_path / "instructions.md"
    document.write_text("# Instructions for use\n\nA clerk decides; the system only advises.\n")
    ada = Desk(browser, service, "en", java_script_enabled=False)
    ada.sign_in("ada")
    draft = ada.begin()
    ada.fill(
        name="Letters",
        version="1",
        intended_purpose="Sorts letters.",
        provider_name="Example BV",
        provider_country="nl",
        roles="provider",
        public_body="no",
        route="documents",
    )
    ada.keep()
    ada.answer_questions(draft)
    ada.agree(draft)
    ada.upload(draft, "document", document)
    ada.confirm(draft, "system", "questionnaire", "terms", "files")
    submission = ada.hand_in(draft)
    assert ada.page.get_by_role("heading", level=1).inner_text() == "Letters"
    for login in ("rita", "rob"):
        reviewer = Desk(browser, service, "nl", java_script_enabled=False)
        reviewer.sign_in(login)
        reviewer.go(f"/submissions/{submission}/review")
        if reviewer.page.locator("form[action$='/review/status'] [value=withdrawn]").count():
            reviewer.close()
            break
        reviewer.review(submission)
        reviewer.close()
    ada.go(f"/submissions/{submission}/review")
    assert ada.w("review.status.signed") in ada.page.locator("main").inner_text()
    ada.close()


def test_an_upload_that_breaks_off_goes_on_where_it_was(service: Office, browser: Any, tmp_path: Path) -> None:
    large = tmp_path / "large.md"
    large.write_bytes(b"A line of a document.\n" * (9 * MEBIBYTE // 22))
    ada = Desk(browser, service, "en")
    ada.sign_in("ada")
    draft = ada.begin()
    ada.fill(
        name="Large", version="1", intended_purpose="x", provider_name="x", provider_country="NL", route="documents"
    )
    ada.page.locator('[name="roles"][value="provider"]').check()
    ada.keep()
    ada.agree(draft)
    ada.go(f"{draft}/files")
    sent: list[int] = []

    def break_off(route: Any) -> None:
        if route.request.method == "PATCH":
            sent.append(int(route.request.headers["upload-offset"]))
            if len(sent) == 2:
                route.abort("connectionreset")
                return
        route.continue_()

    ada.page.route("**/files/**", break_off)
    ada.page.locator("#file").set_input_files(str(large))
    ada.press("files.send")
    digest = ada.page.get_by_text("SHA-256")
    until(lambda: digest.count())
    assert sent[0] == 0
    assert sent[1] == sent[2] > 0, "what had arrived was not sent again"
    ada.close()
