"""The running service without a mouse, without scripts, and with a connection that breaks off."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from sandbox.api.shapes import SubmissionShown
from sandbox.client import Client
from tests.make import submissions
from tests.make.offices import PASSWORD, Desk, Office
from tests.make.waiting import until

pytestmark = [pytest.mark.network, pytest.mark.browser, pytest.mark.bubblewrap]
MEBIBYTE = 1024**2


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    return submissions.zipped(submissions.predictions(tmp_path / "s"), tmp_path / "loan check.zip")


def tab_to(page: Any, selector: str, stops: int = 80) -> None:
    """Go on with the tab key until an element has the focus, and see that it shows."""
    for _ in range(stops):
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


def judged_in_words(desk: Desk, reasons: str) -> None:
    """With the keyboard alone, go on to the next finding that nobody judged, say why, and keep it."""
    form = "form[action$='/review/judgements']"
    tab_to(desk.page, f"{form} textarea", 400)
    desk.page.keyboard.type(reasons)
    while not desk.page.evaluate("document.activeElement.matches('button')"):
        desk.page.keyboard.press("Tab")
        if desk.page.evaluate("document.activeElement.matches('textarea')"):
            desk.page.keyboard.type(reasons)
    with desk.page.expect_navigation():
        desk.page.keyboard.press("Enter")


def on_paper(page: Any) -> str:
    """Give the text of the page as it is printed, in one line."""
    sheets = PdfReader(io.BytesIO(page.pdf())).pages
    # Two letters that are set as one are two letters again.
    return " ".join(unicodedata.normalize("NFKC", " ".join(sheet.extract_text() for sheet in sheets)).split())


@pytest.fixture(scope="module")
def submission(service: Office, tmp_path_factory: pytest.TempPathFactory) -> SubmissionShown:
    client = Client(service.url, token=service.tokens["startup"])
    done = client.wait(client.submit(submissions.predictions(tmp_path_factory.mktemp("small") / "s")).id)
    assert done.state == "done", done.problems
    return done


@pytest.mark.timeout(600)
def test_the_desk_is_worked_at_with_the_keyboard_alone_and_printed(
    service: Office, browser: Any, submission: SubmissionShown
) -> None:
    rita = Desk(browser, service, "en")
    page = rita.page
    rita.sign_in("rita")
    rita.go("/review")
    tab_to(page, f"a[href$='{submission.id}/review']")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    decision = "form[action$='/review/status']"
    tab_to(page, f"{decision} [value=in_review]", 400)
    tab_to(page, f"{decision} button")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    judged_in_words(rita, "Six people say little.")
    assert "Six people say little." in page.locator("main").inner_text()
    # What one finding takes, the others take too.
    while (waiting := rita.unjudged()) is not None:
        for field in waiting.locator("textarea").all():
            field.fill("Seen.")
        rita.send("review.judge_keep", waiting)
    page.reload()
    tab_to(page, f"{decision} [name=status]", 400)
    while not page.evaluate("document.activeElement.value === 'signed'"):
        page.keyboard.press("ArrowDown")
    tab_to(page, f"{decision} [name=no_conflict]")
    page.keyboard.press("Space")
    tab_to(page, f"{decision} textarea")
    page.keyboard.type("Looked at.")
    tab_to(page, f"{decision} button")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    printed = on_paper(page)
    for said in ("Six people say little.", "Looked at.", "I do not confirm compliance", str(submission.dossier_digest)):
        assert said in printed
    for word in ("review.judge_keep", "review.keep", "desk.say_or_ask", "nav.label"):
        assert rita.w(word) not in printed, "paper has nothing to press"
    rita.close()


def test_a_report_and_its_card_are_whole_on_paper_and_at_400_percent(
    service: Office, browser: Any, submission: SubmissionShown
) -> None:
    ada = Desk(browser, service, "en", viewport={"width": 320, "height": 256})
    ada.sign_in("ada")
    page, w = ada.page, ada.w.documents
    ada.go(f"/submissions/{submission.id}/report")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    printed = on_paper(page)
    for heading in ("card.section.findings", "card.section.law", "card.section.unmeasured", "card.method.again"):
        assert w(heading) in printed
    page.get_by_role("link", name=ada.w("reading.card_open")).click()
    page.wait_for_url("**/model_card.en.html")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    printed = on_paper(page)
    assert ada.w("review.to_report") not in printed
    for finding in ("fairness.selection_rate", "accuracy.overall"):
        assert f"{w('card.finding.again')} {finding}" in printed
    assert w("card.method.definitions_caption") in printed, "what is folded on a screen is there on paper"
    tab_to(page, "a[href$='/report']")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url.endswith("/report")
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
