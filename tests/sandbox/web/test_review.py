"""A dossier is reviewed: judged finding by finding, signed by somebody else, bound to digests, and stale in time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from sandbox.app import create_app
from sandbox.engine import run
from sandbox.records import audit, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.tables import AuditEntry, Submission, new_id
from sandbox.review import desk, people
from sandbox.review.permissions import Role
from sandbox.settings import Settings

PASSWORD = "four words that differ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A service with a submitter, a reviewer and an auditor, and how they hand in and speak to it."""

    database: Database
    settings: Settings
    people: dict[str, FlaskClient]
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

    def status(self, submission: str) -> str:
        return desk.standing(self.database, self.row(submission)).status

    def judge_all(self, submission: str, who: str = "reviewer") -> None:
        for key in (
            "fairness.selection_rate@sex",
            "fairness.selection_rate@home town",
            "fairness.equal_opportunity@sex",
        ):
            assert self.post(who, submission, "judgements", finding=key, text="Because.").status_code == 303


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
        ("auditor", [Role.AUDITOR]),
    ):
        ids[login] = people.create_person(database, login=login, name=login, password=PASSWORD, actor="test")
        for role in roles:
            people.give_role(database, person_id=ids[login], organisation_id=organisation, role=role, actor="test")
        clients[login] = app.test_client()
        with clients[login].session_transaction() as kept:
            kept["secret"] = people.sign_in(database, login=login, password=PASSWORD)
            kept["csrf"] = "known"

    def hand_in(content: bytes = b"Benefits", by: str = "submitter") -> str:
        submission = new_id()
        receiving = uploads.Receiving(settings, submission)
        receiving.write(content)
        receiving.keep()
        queue.add(
            database,
            submission_id=submission,
            name="b.zip",
            size=len(content),
            digest=receiving.digest,
            actor="test",
            organisation=organisation,
            submitted_by=ids[by],
        )
        claimed = queue.claim(database, worker="test")
        assert claimed is not None
        run(submission, settings, token=claimed.token, entry="tests.make.runs:quick")
        return submission

    yield Desk(database=database, settings=settings, people=clients, hand_in=hand_in)
    database.close()


def test_from_the_queue_to_a_signature_that_says_what_it_says(office: Desk) -> None:
    submission = office.hand_in()
    assert "Not begun" in office.people["reviewer"].get("/en/review").text
    assert office.post("reviewer", submission, "status", status="in_review").status_code == 303
    early = office.post("reviewer", submission, "status", status="signed", no_conflict="yes")
    assert early.status_code == 422
    assert "Not every open finding" in early.text
    office.judge_all(submission)
    assert "0 of 3 open findings" in office.page("submitter", submission)
    without = office.post("reviewer", submission, "status", status="signed")
    assert "conflicts of interest" in without.text
    assert office.status(submission) == "in_review"
    assert office.post("reviewer", submission, "status", status="signed", no_conflict="yes").status_code == 303
    signed = desk.standing(office.database, office.row(submission)).decision
    assert signed is not None
    digest = office.row(submission).dossier_digest
    assert signed.statement == (
        f"I have reviewed dossier {digest} under policy default 1 and rules 2026.1. My judgement on each open finding "
        "is stated. I do not confirm compliance with Regulation (EU) 2024/1689; this is not a conformity assessment, "
        "written proof or exit report."
    )
    assert signed.statement in office.page("submitter", submission)
    assert "Signed" in office.people["reviewer"].get("/en/review").text
    with office.database.reading() as session:
        done = session.scalars(select(AuditEntry.action).where(AuditEntry.subject == submission)).all()
        assert [a for a in done if a.startswith("review.")] == [
            "review.in_review",
            *["review.judgement"] * 3,
            "review.signed",
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


def test_a_signature_says_nothing_of_a_newer_version(office: Desk) -> None:
    submission = office.hand_in()
    office.post("reviewer", submission, "status", status="in_review")
    office.judge_all(submission)
    office.post(
        "reviewer", submission, "status", status="signed_with_reservations", no_conflict="yes", text="Small groups."
    )
    assert "There is a newer version" not in office.page("reviewer", submission)
    newer = office.hand_in()
    with office.database.writing() as session:
        session.execute(update(Submission).where(Submission.id == newer).values(version="1.3", beyond=0))
    page = office.page("reviewer", submission)
    assert "There is a newer version" in page
    assert re.search(r"Version: 1\.2 → 1\.3", page)
    assert re.search(r"Beyond the limit set: 1 → 0", page)
    assert office.status(newer) == "none"
    assert "there is a newer version, 1.3" in office.people["reviewer"].get("/en/review").text


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
        ({"finding": "fairness.selection_rate@sex", "text": "x"}, "judgements"),
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
    office.post("reviewer", submission, "status", status="signed", no_conflict="yes")
    assert office.post("reviewer", submission, "status", status="withdrawn").status_code == 422, "without a reason"
    assert office.post("reviewer", submission, "status", status="withdrawn", text="An error.").status_code == 303
    assert office.status(submission) == "withdrawn"


def test_without_accounts_there_is_no_desk(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/en/review").status_code == 404
    assert "Review" not in client.get("/en/").text
