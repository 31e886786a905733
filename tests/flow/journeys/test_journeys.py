"""Three ways through the running service, from signing in to a signed dossier, in a browser and in both languages."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.client import Client
from tests.make import models, submissions
from tests.make.offices import REVIEWERS, Desk, Office
from tests.make.waiting import until

pytestmark = [pytest.mark.network, pytest.mark.browser, pytest.mark.bubblewrap]
LANGUAGES = ("en", "nl")


def here(lang: str) -> tuple[str, ...]:
    """Give the languages in which a journey is made: one of them, and with `make journeys` both."""
    return LANGUAGES if os.environ.get("AIACT_SANDBOX_ALL_JOURNEYS") else (lang,)


@pytest.fixture(scope="module")
def reviewers(service: Office, browser: Any) -> Iterator[dict[str, Desk]]:
    made = {login: Desk(browser, service, lang) for login, lang in zip(REVIEWERS, LANGUAGES, strict=True)}
    for login, desk in made.items():
        desk.sign_in(login)
    yield made
    for desk in made.values():
        desk.close()


def sign(reviewers: dict[str, Desk], submission: str) -> None:
    """Have one reviewer sign, and the other too where the class asks for two signatures."""
    for number, desk in enumerate(reviewers.values()):
        if number and is_signed(desk, submission):
            return
        desk.review(submission)


def is_signed(desk: Desk, submission: str) -> bool:
    return shown_status(desk, submission) == desk.w("review.status.signed")


def shown_status(desk: Desk, submission: str) -> str:
    desk.go(f"/submissions/{submission}/review")
    return str(desk.page.locator(".summary .class").first.inner_text()).strip()


@pytest.mark.parametrize("lang", here("nl"))
def test_a_startup_puts_a_model_together_and_has_it_signed(
    service: Office, browser: Any, reviewers: dict[str, Desk], lang: str, tmp_path: Path
) -> None:
    built = models.skops_pipeline(tmp_path)
    frame = models.people()
    frame["sex"] = ["f", "m"] * (len(frame) // 2)
    frame["outcome"] = [(models.LOW, models.HIGH)[i] for i in models.outcome(frame)]
    frame.to_csv(tmp_path / "people.csv", index=False)
    ada = Desk(browser, service, lang)
    ada.sign_in("ada")
    draft = ada.begin()
    ada.fill(
        name=f"Income estimate {lang}",
        version="1",
        intended_purpose="Estimates incomes for a study.",
        provider_name="Example BV",
        provider_country="nl",
        roles="provider",
        public_body="no",
        route="model",
    )
    ada.keep()
    ada.answer_questions(draft)
    ada.agree(draft)
    ada.upload(draft, "model", built.path)
    ada.upload(draft, "data", tmp_path / "people.csv")
    roles = dict.fromkeys(("income", "is member", "region", "note"), "feature")
    ada.columns(
        draft,
        {**roles, "age": "feature+group", "sex": "group", "outcome": "label"},
        task="binary",
        classes=f"{models.LOW}\n{models.HIGH}",
        favourable=models.HIGH,
        output="probability",
        score_of=models.HIGH,
        sampling="all",
    )
    ada.fill(**{"code-0": "fairness.selection_rate.ratio", "at_least-0": "0.8", "reason-0": "Agreed beforehand."})
    ada.keep("limits.keep")
    ada.confirm(draft, "system", "questionnaire", "terms", "files", "columns", "limits")
    submission = ada.hand_in(draft)
    assert ada.page.get_by_role("heading", level=1).inner_text() == f"Income estimate {lang}"
    assert ada.w("report.counts") in ada.page.locator("main").inner_text()
    run = json.loads(file_of(service, "startup", submission, "run.json"))
    assert run["receipt"]["backend"] == "bubblewrap"
    assert all(probe["held"] for probe in run["receipt"]["probes"])
    sign(reviewers, submission)
    assert shown_status(ada, submission) == ada.w("review.status.signed")
    ada.close()


@pytest.mark.parametrize("lang", here("nl"))
def test_colleagues_of_a_public_body_confirm_their_sections_and_send_counts(
    service: Office, browser: Any, reviewers: dict[str, Desk], lang: str, tmp_path: Path
) -> None:
    counts = tmp_path / "counts.csv"
    counts.write_text("sex,label,decision,rows\nf,no,no,210\nf,no,yes,40\nf,yes,no,90\nf,yes,yes,160\n"
                      "m,no,no,190\nm,no,yes,60\nm,yes,no,50\nm,yes,yes,200\n")  # fmt: skip
    desks = {login: Desk(browser, service, lang) for login in ("bea", "cor", "dirk")}
    for login, desk in desks.items():
        desk.sign_in(login)
    bea, cor, dirk = desks.values()
    draft = bea.begin()
    bea.fill(
        name=f"Student grants {lang}",
        version="1",
        intended_purpose="Chooses grants to look at.",
        provider_name="Municipality",
        provider_country="nl",
        roles="provider",
        public_body="yes",
        route="counts",
    )
    bea.keep()
    for section, name in (("questionnaire", "Cor"), ("terms", "Dirk")):
        bea.go(f"{draft}/{section}")
        bea.page.locator("#person").select_option(label=name)
        bea.send("wizard.assign")
    cor.answer_questions(draft)
    dirk.agree(draft)
    bea.upload(draft, "counts", counts)
    bea.columns(draft, {"sex": "group"}, task="binary", classes="no\nyes", favourable="yes", sampling="all")
    bea.fill(**{"code-0": "fairness.selection_rate.ratio", "at_least-0": "0.8", "reason-0": "Agreed in council."})
    bea.keep("limits.keep")
    bea.go(f"{draft}/questionnaire")
    assert bea.w("wizard.waits_for", name="Cor") in bea.page.locator("main").inner_text()
    cor.confirm(draft, "questionnaire")
    dirk.confirm(draft, "terms")
    bea.confirm(draft, "system", "files", "columns", "limits")
    submission = bea.hand_in(draft)
    listed = files_of(service, "municipality", submission)
    preview = next(name for name in listed if "algorithm_register_preview" in name)
    assert f"Student grants {lang}" in file_of(service, "municipality", submission, preview)
    sign(reviewers, submission)
    assert shown_status(bea, submission) == bea.w("review.status.signed")
    for desk in desks.values():
        desk.close()


@pytest.mark.parametrize("lang", here("en"))
def test_staff_take_from_the_queue_comment_judge_and_sign_and_nobody_signs_alone(
    service: Office, browser: Any, lang: str, tmp_path: Path
) -> None:
    folder = submissions.predictions(tmp_path / f"loan check {lang}")
    client = Client(service.url, token=service.tokens["startup"])
    submission = client.wait(client.submit(folder).id)
    assert submission.state == "done", submission.problems
    rita, rob, ada = (Desk(browser, service, lang) for _ in range(3))
    for desk, login in ((rita, "rita"), (rob, "rob"), (ada, "ada")):
        desk.sign_in(login)
    rita.go("/review")
    rita.page.locator(f'a[href*="{submission.id}"]').first.click()
    rita.page.wait_for_url("**/review")
    comment = rita.page.locator("form[action$='/review/comments']").last
    comment.evaluate("e => { const d = e.closest('details'); if (d) d.open = true; }")
    comment.locator("textarea").fill("Who chose these six people?")
    rita.press("review.comment_keep", comment)
    rita.page.get_by_text("Who chose these six people?").first.wait_for()
    ada.go(f"/submissions/{submission.id}/review")
    assert "Who chose these six people?" in ada.page.locator("main").inner_text()
    assert not ada.page.locator("form[action$='/review/status']").count(), "who handed it in signs nothing"
    sign({"rita": rita, "rob": rob}, submission.id)
    ada.go(f"/submissions/{submission.id}/review")
    text = ada.page.locator("main").inner_text()
    assert ada.w("review.status.signed") in text
    assert submission.dossier_digest in text, "a signature names the dossier that it is about"
    for desk in (rita, rob, ada):
        desk.close()


def files_of(service: Office, organisation: str, submission: str) -> list[str]:
    return sorted(_fetched(service, organisation, submission).namelist())


def file_of(service: Office, organisation: str, submission: str, name: str) -> str:
    return _fetched(service, organisation, submission).read(name).decode()


def _fetched(service: Office, organisation: str, submission: str) -> zipfile.ZipFile:
    out = service.settings.state / f"fetched-{submission}.zip"
    if not out.exists():
        Client(service.url, token=service.tokens[organisation]).fetch(submission, out)
    return until(lambda: zipfile.ZipFile(out))
