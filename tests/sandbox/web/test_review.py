"""A dossier is reviewed: judged finding by finding, signed by others, bound to digests, and stale in time."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from checks import policy
from checks.ai_act import rules as law
from checks.ai_act.rules import RiskClass
from checks.fairness.justification import QUESTIONS
from model_cards.dossier import Dossier
from sandbox.app import create_app
from sandbox.engine import run
from sandbox.records import audit, erasure, evidence_store, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.tables import AuditEntry, ReviewEntry, Submission, now
from sandbox.review import assigning, desk, holdouts, people, staleness
from sandbox.review.permissions import Role
from sandbox.settings import Settings
from tests.make import queued, runs

PASSWORD = "four words that differ"
FAILED = "fairness.selection_rate@sex"
ANSWERED = {"stated.justified": "The law asks for it.", "stated.desirable": "No; it is to be smaller next year."}
TODAY = now().date()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A service with a submitter, a reviewer and an auditor, and how they hand in and speak to it."""

    database: Database
    settings: Settings
    people: dict[str, FlaskClient]
    ids: dict[str, str]
    hand_in: Callable[..., str]

    def page(self, who: str, submission: str) -> str:
        answer = self.people[who].get(f"/en/submissions/{submission}/review")
        assert answer.status_code == 200
        return answer.text

    def post(self, who: str, submission: str, what: str, **form: Any) -> TestResponse:
        given = {"csrf": "known", "digest": self.row(submission).dossier_digest, **form}
        return self.people[who].post(f"/en/submissions/{submission}/review/{what}", data=given)

    def row(self, submission: str) -> Submission:
        found = queue.find(self.database, submission)
        assert found is not None
        return found

    def part_of(self, submission: str, today: dt.date = TODAY) -> str:
        parts = assigning.queue(self.database, [str(self.row(submission).organisation)], policy="default", today=today)
        return next(part for part, listed in parts.items() if submission in {w.submission.id for w in listed})

    def status(self, submission: str) -> str:
        return desk.standing(self.database, self.row(submission)).status

    def judge_all(self, submission: str, who: str = "reviewer") -> None:
        for key in FAILED, "fairness.selection_rate@home town", "fairness.equal_opportunity@sex":
            answered = ANSWERED if key == FAILED else {}
            assert self.post(who, submission, "judgements", finding=key, text="Because.", **answered).status_code == 303

    def sign(self, submission: str) -> None:
        assert self.post("reviewer", submission, "status", status="in_review").status_code == 303
        self.judge_all(submission)
        for who in ("reviewer", "second"):
            assert self.post(who, submission, "status", status="signed", no_conflict="yes").status_code == 303

    def run(self, submission: str, entry: str = "quick") -> None:
        claimed = queue.claim(self.database, worker="test")
        assert claimed is not None
        assert claimed.submission_id == submission
        run(submission, self.settings, token=claimed.token, entry=f"tests.make.runs:{entry}")


@pytest.fixture
def office(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(people, "HASH", "argon2id:1:8:1")
    settings = replace(settings, accounts="local", listen="127.0.0.1:8080")
    migrate(settings)
    app: Flask = create_app(settings)
    database: Database = app.extensions["aiact_sandbox"].database
    organisation = people.create_organisation(database, name="Municipality", actor="test")
    clients: dict[str, FlaskClient] = {}
    ids: dict[str, str] = {}
    for login, roles in (
        ("submitter", [Role.SUBMITTER]),
        ("both", [Role.SUBMITTER, Role.REVIEWER]),
        ("reviewer", [Role.REVIEWER]),
        ("second", [Role.REVIEWER]),
        ("auditor", [Role.AUDITOR]),
    ):
        ids[login] = people.create_person(database, login=login, name=login, password=PASSWORD, actor="test")
        for role in roles:
            people.give_role(database, person_id=ids[login], organisation_id=organisation, role=role, actor="test")
        clients[login] = app.test_client()
        with clients[login].session_transaction() as kept:
            kept["secret"] = people.sign_in(database, login=login, password=PASSWORD)
            kept["csrf"] = "known"

    def hand_in(content: bytes = b"Benefits", by: str = "submitter", entry: str = "quick") -> str:
        submission = queued.hand_in(settings, database, content, "b.zip", organisation=organisation, by=ids[by])
        claimed = queue.claim(database, worker="test")
        assert claimed is not None
        run(submission, settings, token=claimed.token, entry=f"tests.make.runs:{entry}")
        return submission

    yield Desk(database=database, settings=settings, people=clients, ids=ids, hand_in=hand_in)
    database.close()


def test_from_the_queue_to_a_signature_that_says_what_it_says(office: Desk) -> None:
    submission = office.hand_in()
    assert office.part_of(submission) == "new"
    assert office.post("reviewer", submission, "status", status="in_review").status_code == 303
    assert office.part_of(submission) == "waiting"
    early = office.post("reviewer", submission, "status", status="signed", no_conflict="yes")
    assert early.status_code == 422
    assert "Not every open finding" in early.text
    office.judge_all(submission)
    assert "Each of the open findings (3) has a judgement." in office.page("submitter", submission)
    without = office.post("reviewer", submission, "status", status="signed")
    assert "conflicts of interest" in without.text
    assert office.status(submission) == "in_review"
    for who in ("reviewer", "second"):
        assert office.post(who, submission, "status", status="signed", no_conflict="yes").status_code == 303
    signed = desk.standing(office.database, office.row(submission)).decision
    assert signed is not None
    digest = office.row(submission).dossier_digest
    assert signed.statement == (
        f"I have reviewed dossier {digest} under policy default 1 and rules 2026.1. My judgement on each open finding "
        "is stated. I do not confirm compliance with Regulation (EU) 2024/1689; this is not a conformity assessment, "
        "written proof or exit report."
    )
    assert signed.statement in office.page("submitter", submission)
    with office.database.reading() as session:
        done = session.scalars(select(AuditEntry.action).where(AuditEntry.subject == submission)).all()
        assert [a for a in done if a.startswith("review.")] == [
            "review.in_review",
            *["review.judgement"] * 3,
            *["review.signed"] * 2,
        ]
        assert audit.verify(session) == ()


def test_nobody_judges_or_signs_what_they_handed_in(office: Desk) -> None:
    own = office.hand_in(by="both")
    assert office.post("both", own, "status", status="in_review").status_code == 422
    office.post("reviewer", own, "status", status="in_review")
    judged = office.post("both", own, "judgements", finding="fairness.selection_rate@sex", text="Fine.")
    assert judged.status_code == 422
    assert "Somebody else judges" in judged.text
    office.judge_all(own)
    assert office.post("both", own, "status", status="signed", no_conflict="yes").status_code == 422
    assert office.status(own) == "in_review"


def test_a_class_that_asks_for_two_signatures_is_signed_by_two_people(office: Desk) -> None:
    submission = office.hand_in()
    office.post("reviewer", submission, "status", status="in_review")
    office.judge_all(submission)
    assert office.post("reviewer", submission, "status", status="signed", no_conflict="yes").status_code == 303
    assert office.status(submission) == "in_review"
    assert "1 of 2 signatures" in office.page("auditor", submission)
    again = office.post("reviewer", submission, "status", status="signed", no_conflict="yes")
    assert again.status_code == 422
    assert "The other signature is somebody else" in again.text
    reserved = {"status": "signed_with_reservations", "text": "Small groups.", "no_conflict": "yes"}
    assert office.post("second", submission, "status", **reserved).status_code == 303
    assert office.status(submission) == "signed_with_reservations", "one reservation holds for the whole"


def test_every_class_says_how_many_sign() -> None:
    assert set(desk.SIGNATURES_NEEDED) == set(get_args(RiskClass))
    assert set(desk.SIGNATURES_NEEDED.values()) == {1, 2}


def test_changes_asked_for_after_one_signature_take_it_away(office: Desk) -> None:
    submission = office.hand_in()
    office.post("reviewer", submission, "status", status="in_review")
    office.judge_all(submission)
    office.post("reviewer", submission, "status", status="signed", no_conflict="yes")
    office.post("second", submission, "status", status="changes_requested", text="Why?")
    office.post("second", submission, "status", status="in_review")
    assert desk.standing(office.database, office.row(submission)).signatures == []


def test_what_no_figure_answers_is_answered_where_a_difference_lies_beyond_its_limit(office: Desk) -> None:
    submission = office.hand_in()
    office.post("reviewer", submission, "status", status="in_review")
    half = {"stated.justified": "The law asks for it."}
    refused = office.post("reviewer", submission, "judgements", finding=FAILED, text="Because.", **half)
    assert refused.status_code == 422
    assert "The law asks for it." in refused.text, "what was written is not lost"
    assert office.post("reviewer", submission, "judgements", finding=FAILED, text="So.", **ANSWERED).status_code == 303
    page = office.page("submitter", submission)
    assert "No; it is to be smaller next year." in page
    judged = desk.standing(office.database, office.row(submission)).judged[FAILED]
    assert set(judged.stated) == set(QUESTIONS)


def test_a_signature_says_nothing_of_a_newer_version(office: Desk) -> None:
    submission = office.hand_in()
    office.sign(submission)
    assert "There is a newer version" not in office.page("reviewer", submission)
    newer = office.hand_in()
    with office.database.writing() as session:
        session.execute(update(Submission).where(Submission.id == newer).values(version="1.3"))
    folder = uploads.dossiers(office.settings) / str(office.row(newer).dossier)
    _write_again(office, newer, folder, runs.dossier("Benefits", found=runs.findings()[1:]))
    page = office.page("reviewer", submission)
    assert "There is a newer version" in page
    assert re.search(r"Version: 1\.2 → 1\.3", page)
    changes = page.partition("What the newer version changed")[2]
    assert "How often groups get the favourable decision" in changes, "the finding that went is named"
    assert office.status(newer) == "none"
    assert office.part_of(submission) == "stale"
    assert "there is a newer version, 1.3" in office.people["reviewer"].get("/en/review").text


def _write_again(office: Desk, submission: str, folder: Path, dossier: Dossier) -> None:
    """Put another dossier in the place of one, and record it."""
    (folder / "dossier.json").write_bytes(dossier.to_json())
    with office.database.writing() as session:
        session.execute(update(Submission).where(Submission.id == submission).values(dossier_digest=dossier.digest))


def test_newer_limits_and_newer_law_make_a_signature_stale_and_what_they_change_is_listed(office: Desk) -> None:
    submission = office.hand_in()
    folder = uploads.dossiers(office.settings) / str(office.row(submission).dossier)
    chosen = policy.load("default")
    made = runs.dossier("Benefits")
    facts = made.policy.model_copy(update={"version": chosen.version, "recorded": chosen.recorded})
    rules = made.risk.model_copy(update={"rules_version": law.load().version})
    _write_again(office, submission, folder, made.model_copy(update={"policy": facts, "risk": rules}))
    office.sign(submission)
    assert office.part_of(submission) == "ended"
    assert "This signature is stale" not in office.page("auditor", submission)
    older = facts.model_copy(update={"version": "0"})
    _write_again(
        office,
        submission,
        folder,
        made.model_copy(update={"policy": older, "risk": rules.model_copy(update={"rules_version": "2020.1"})}),
    )
    with office.database.writing() as session:
        session.execute(
            update(ReviewEntry).values(
                dossier_digest=office.row(submission).dossier_digest, policy="default 0", rules="2020.1"
            )
        )
    assert office.part_of(submission) == "stale"
    page = office.page("submitter", submission)
    assert f"Limits: default 0 → default {chosen.version}" in page
    assert f"Rules: 2020.1 → {law.load().version}" in page
    assert "This signature is stale" in office.people["submitter"].get(f"/en/submissions/{submission}/report").text
    compared = staleness.under_what_applies_now(
        made.model_copy(update={"policy": older, "risk": rules.model_copy(update={"rules_version": "2020.1"})}),
        "default",
    )
    assert compared.class_changed
    # The made-up dossier holds accuracy to a limit that the policy of now does not have.
    assert "accuracy.overall.ratio" in {change.what for change in compared.limits}
    assert compared.moved == (), "no figure moves by itself"


def test_reviewers_are_asked_by_a_day_after_which_it_is_overdue(office: Desk) -> None:
    submission = office.hand_in()
    due = TODAY + dt.timedelta(days=3)
    asked = {"person": office.ids["second"], "due": due.isoformat()}
    assert office.post("reviewer", submission, "reviewers", **asked).status_code == 303
    assert office.part_of(submission) == "new"
    assert office.part_of(submission, due) == "new"
    assert office.part_of(submission, due + dt.timedelta(days=1)) == "overdue"
    assert "second" in office.people["reviewer"].get("/en/review").text
    for wrong in (
        {"person": office.ids["auditor"], "due": due.isoformat()},
        {"person": office.ids["submitter"], "due": due.isoformat()},
        {"person": office.ids["second"], "due": (TODAY - dt.timedelta(days=1)).isoformat()},
        {"person": office.ids["second"], "due": "soon"},
    ):
        assert office.post("reviewer", submission, "reviewers", **wrong).status_code == 422
    later = {"person": office.ids["second"], "due": (due + dt.timedelta(days=30)).isoformat()}
    office.post("reviewer", submission, "reviewers", **later)
    assert [a.due for a in assigning.asked(office.database, office.row(submission))] == [due + dt.timedelta(days=30)]
    assert office.post("reviewer", submission, "relieved", person=office.ids["second"]).status_code == 303
    assert assigning.asked(office.database, office.row(submission)) == []
    with office.database.reading() as session:
        done = session.scalars(select(AuditEntry).where(AuditEntry.action == "review.assigned")).all()
        assert json.loads(done[0].facts) == {"person": office.ids["second"], "due": due.isoformat()}


def test_whoever_had_a_hand_in_it_judges_nothing_of_it_and_is_not_asked_to(office: Desk) -> None:
    submission = office.hand_in()
    with office.database.writing() as session:
        session.get_one(Submission, submission).hands = [office.ids["second"]]
    assert office.ids["second"] not in {
        m.person_id for m in assigning.reviewers(office.database, office.row(submission))
    }
    refused = office.post("second", submission, "status", status="in_review")
    assert refused.status_code == 422
    assert "had a hand in it" in refused.text
    assert office.post("reviewer", submission, "status", status="in_review").status_code == 303


def test_whoever_handed_it_in_is_asked_for_no_review_of_it(office: Desk) -> None:
    own = office.hand_in(by="both")
    assert office.ids["both"] not in {m.person_id for m in assigning.reviewers(office.database, office.row(own))}


def test_a_question_waits_for_the_submitter_until_it_has_an_answer(office: Desk) -> None:
    submission = office.hand_in()
    office.post("reviewer", submission, "status", status="in_review")
    assert office.post("reviewer", submission, "questions", finding=FAILED, text="Who chose 0.4?").status_code == 303
    assert office.part_of(submission) == "with_submitter"
    number = str(desk.standing(office.database, office.row(submission)).unanswered[0].number)
    assert office.post("reviewer", submission, "answers", answers=number, text="I do.").status_code == 422
    assert office.post("submitter", submission, "answers", answers="99", text="We.").status_code == 422
    assert office.post("submitter", submission, "questions", text="Why?").status_code == 403
    assert office.post("submitter", submission, "answers", answers=number, text="The board.").status_code == 303
    assert office.post("submitter", submission, "answers", answers=number, text="Or not.").status_code == 422
    assert office.part_of(submission) == "waiting"
    page = office.page("auditor", submission)
    assert page.index("Who chose 0.4?") < page.index("The board.")


def test_a_comment_stands_beside_the_passage_that_it_is_about(office: Desk) -> None:
    submission = office.hand_in(entry="documented")
    about = {"finding": "documentation.annex_iv", "passage": "annex_iv.2g"}
    assert office.post("submitter", submission, "comments", text="Section 4.", **about).status_code == 303
    page = office.page("reviewer", submission)
    assert "Tested on Loan &lt;script&gt;" in page
    assert page.index("Tested on Loan") < page.index("Section 4.")
    for wrong in ({"passage": "annex_iv.1a"}, {"finding": FAILED}, {"finding": ""}):
        assert office.post("submitter", submission, "comments", text="x", **{**about, **wrong}).status_code == 422


def test_rows_that_only_the_reviewer_has_give_a_dossier_beside_the_first_and_are_erased(office: Desk) -> None:
    submission = office.hand_in()
    rows = b"sex,granted\nf,yes\n"

    def send(who: str, name: str = "../secret people.CSV", content: bytes = rows) -> TestResponse:
        form = {"csrf": "known", "holdout": (io.BytesIO(content), name)}
        where = f"/en/submissions/{submission}/review/holdout"
        return office.people[who].post(where, data=form, content_type="multipart/form-data")

    assert send("submitter").status_code == 403
    assert send("reviewer", name="rows.xlsx").status_code == 422
    assert send("reviewer", content=b"").status_code == 422
    assert holdouts.of(office.database, office.row(submission)) == []
    assert send("reviewer").status_code == 303
    (again,) = holdouts.of(office.database, office.row(submission))
    assert again.name == "holdout.csv"
    assert uploads.is_kept(office.settings, again.id)
    stop = office.people["submitter"].post(f"/en/submissions/{again.id}/cancel", data={"csrf": "known"})
    assert stop.status_code == 403, "what a reviewer began is not the submitter's to stop"
    office.run(again.id, "held")
    assert not uploads.is_kept(office.settings, again.id), "the rows are erased once they were asked"
    assert uploads.is_kept(office.settings, submission)
    run_json = office.people["submitter"].get(f"/en/submissions/{again.id}/files/run.json").get_json()
    assert run_json["attested_by"] == "reviewer"
    assert run_json["notes"] == [f".csv {hashlib.sha256(rows).hexdigest()}"]
    report = office.people["submitter"].get(f"/en/submissions/{again.id}/report").text
    assert "assessed again with rows that a reviewer added" in report
    assert "secret people" not in report
    assert (
        f"/en/submissions/{again.id}/report"
        in office.people["submitter"].get(f"/en/submissions/{submission}/report").text
    )
    assert again.id not in office.people["submitter"].get("/en/submissions").text, "it is no submission of theirs"
    assert (
        office.people["reviewer"].get(f"/en/submissions/{again.id}/review").location.endswith(f"/{submission}/review")
    )
    assert office.part_of(submission) == "new"
    evidence = office.row(submission).evidence_digest
    assert evidence_store.load(str(evidence), office.settings) is not None
    erasure.erase(office.settings, office.database, submission, actor="operator", reason="asked")
    assert evidence_store.load(str(evidence), office.settings) is None
    with office.database.reading() as session:
        gone = session.scalars(select(AuditEntry.subject).where(AuditEntry.action == erasure.ERASED)).all()
    assert set(gone) == {submission, again.id}, "evidence of both held the same rows"


def test_what_is_wrong_in_a_reviewers_rows_is_not_told_to_the_submitter(office: Desk) -> None:
    submission = office.hand_in()
    form = {"csrf": "known", "holdout": (io.BytesIO(b"sex,granted\nf,yes\n"), "rows.csv")}
    where = f"/en/submissions/{submission}/review/holdout"
    office.people["reviewer"].post(where, data=form, content_type="multipart/form-data")
    (again,) = holdouts.of(office.database, office.row(submission))
    assert office.people["submitter"].get(f"/en/submissions/{again.id}").status_code == 200
    office.run(again.id, "refused")
    assert office.row(again.id).problems
    seen = {who: office.people[who].get(f"/en/submissions/{again.id}").status_code for who in office.people}
    assert seen == {"submitter": 403, "both": 200, "reviewer": 200, "second": 200, "auditor": 200}


def test_nobody_adds_rows_to_their_own_submission_or_to_what_cannot_be_asked_again(office: Desk) -> None:
    own, other = office.hand_in(by="both"), office.hand_in()
    uploads.remove_upload(office.settings, other)
    for who, submission in (("both", own), ("reviewer", other)):
        form = {"csrf": "known", "holdout": (io.BytesIO(b"a,b\n"), "a.csv")}
        where = f"/en/submissions/{submission}/review/holdout"
        assert office.people[who].post(where, data=form, content_type="multipart/form-data").status_code == 422
        assert holdouts.of(office.database, office.row(submission)) == []


def test_a_dossier_that_is_another_than_the_one_seen_is_not_signed(office: Desk) -> None:
    submission = office.hand_in()
    office.post("reviewer", submission, "status", status="in_review")
    assert office.post("reviewer", submission, "comments", text="x", digest="0" * 64).status_code == 422
    folder = uploads.dossiers(office.settings) / str(office.row(submission).dossier)
    (folder / "dossier.json").write_bytes((folder / "dossier.json").read_bytes() + b" ")
    answer = office.people["reviewer"].get(f"/en/submissions/{submission}/review")
    assert answer.status_code == 500
    assert "With number" in answer.text


@pytest.mark.parametrize(
    ("form", "what"),
    [
        ({"status": "signed", "no_conflict": "yes"}, "status"),
        ({"status": "changes_requested", "text": "x"}, "status"),
        ({"finding": FAILED, "text": "x", **ANSWERED}, "judgements"),
        ({"finding": "accuracy.overall", "text": "x"}, "judgements"),
        ({"text": "x"}, "judgements"),
        ({"text": "  "}, "comments"),
        ({"finding": "nothing", "text": "x"}, "comments"),
    ],
)
def test_what_does_not_follow_is_refused(office: Desk, form: dict[str, str], what: str) -> None:
    submission = office.hand_in()
    assert office.post("reviewer", submission, what, **form).status_code == 422
    assert desk.standing(office.database, office.row(submission)).entries == []


def test_changes_are_asked_for_answered_and_a_signature_is_withdrawn(office: Desk) -> None:
    submission = office.hand_in()
    for form in (
        {"status": "in_review"},
        {"status": "changes_requested", "text": "Why this threshold?"},
        {"status": "in_review"},
    ):
        assert office.post("reviewer", submission, "status", **form).status_code == 303
    answer = {"finding": "accuracy.overall", "text": "See <b>section 4</b>\u202e."}
    assert office.post("submitter", submission, "comments", **answer).status_code == 303
    page = office.page("auditor", submission)
    assert "See &lt;b&gt;section 4&lt;/b&gt;⟨U+202E⟩." in page
    assert "<textarea" not in page, "an auditor changes nothing"
    office.judge_all(submission)
    for who in ("reviewer", "second"):
        office.post(who, submission, "status", status="signed", no_conflict="yes")
    assert office.post("reviewer", submission, "status", status="withdrawn").status_code == 422, "without a reason"
    assert office.post("reviewer", submission, "status", status="withdrawn", text="An error.").status_code == 303
    assert office.status(submission) == "withdrawn"


def test_without_accounts_there_is_no_desk(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/en/review").status_code == 404
    assert "Review" not in client.get("/en/").text
