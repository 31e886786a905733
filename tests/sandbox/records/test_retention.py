"""What was handed in stays as long as was chosen; then it can be judged again, not run again, and the dossier stays."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from model_cards.dossier import Standing
from model_cards.exports import markdown
from sandbox import engine, worker
from sandbox.app import create_app
from sandbox.records import dossier_store, evidence_store, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.tables import AuditEntry, Person, ReviewEntry, Submission, new_id, now
from sandbox.review import desk
from sandbox.settings import Settings
from tests.make.assessments import assessment

TODAY = dt.datetime.now(dt.UTC).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service, and how something is handed in and assessed there."""

    settings: Settings
    client: FlaskClient
    database: Database

    def row(self, submission: str) -> Submission:
        found = queue.find(self.database, submission)
        assert found is not None
        return found

    def assessed(self, query: str = "") -> Submission:
        answer = self.client.post(f"/api/v1/submissions{query}", data=b"Loan", content_type="application/zip")
        assert answer.status_code == 201, answer.text
        claimed = queue.claim(self.database, worker="w")
        assert claimed is not None
        engine.run(claimed.submission_id, self.settings, token=claimed.token, entry="tests.make.runs:told")
        found = self.row(claimed.submission_id)
        assert found.state == "done"
        return found

    def tidy(self, days: int) -> None:
        worker.tidy(self.settings, self.database, TODAY + dt.timedelta(days=days))

    def reasons(self) -> list[tuple[str, str]]:
        with self.database.reading() as session:
            lines = session.scalars(select(AuditEntry).where(AuditEntry.action == "upload.expired"))
            return [(line.subject, json.loads(line.facts)["because"]) for line in lines]


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    given = replace(settings, listen="127.0.0.1:8080", retention_days=20, residency="Groningen, NL")
    migrate(given)
    app = create_app(given)
    opened = app.extensions["aiact_sandbox"].database
    yield Service(settings=given, client=app.test_client(), database=opened)
    opened.close()


def sign(service: Service, submission: Submission) -> None:
    """Write what a review comes to: as many signatures as its class asks for."""
    for number in range(1, 4):
        with service.database.writing() as session:
            person = Person(id=new_id(), login=f"p{number}", name="P", password="", made=now())
            session.add(person)
            session.flush()
            session.add(
                ReviewEntry(
                    id=new_id(),
                    submission=submission.id,
                    number=number,
                    at=now(),
                    person=person.id,
                    name="P",
                    kind=desk.IN_REVIEW if number == 1 else desk.SIGNED,
                    dossier_digest=str(submission.dossier_digest),
                    policy="default",
                    rules="1",
                )
            )
    assert desk.standing(service.database, submission).is_signed


@pytest.mark.parametrize(
    ("query", "days", "until_review"),
    [("", 20, False), ("?retention_days=3&until_review=true", 3, True), ("?retention_days=900", 20, False)],
)
def test_how_long_it_stays_and_where_is_chosen_when_handing_in_and_printed(
    service: Service, query: str, days: int, until_review: bool
) -> None:
    found = service.assessed(query)
    folder = dossier_store.folder(service.settings, str(found.dossier))
    kept = json.loads((folder / "run.json").read_bytes())["standing"]
    assert (kept["retention_days"], kept["until_review"], kept["residency"]) == (days, until_review, "Groningen, NL")
    (sealed,) = evidence_store.kept(service.settings)
    assert dt.date.fromisoformat(sealed.expires) == TODAY + dt.timedelta(days=days)


def test_what_is_no_number_of_days_is_refused(service: Service) -> None:
    for wrong in ("0", "-3", "many"):
        url = f"/api/v1/submissions?retention_days={wrong}"
        assert service.client.post(url, data=b"Loan", content_type="application/zip").status_code == 422
    assert list(uploads.kept(service.settings)) == []


def test_a_signed_review_erases_the_upload_and_leaves_what_is_judged_again(service: Service) -> None:
    found, other = service.assessed("?until_review=true"), service.assessed()
    service.tidy(0)
    assert {kept.stem for kept in uploads.kept(service.settings)} == {found.id, other.id}
    sign(service, found)
    service.tidy(0)
    assert [kept.stem for kept in uploads.kept(service.settings)] == [other.id]
    assert service.reasons() == [(found.id, "the review is signed")]
    # It cannot be run again; it can be judged again, and its dossier is still given.
    with pytest.raises(FileNotFoundError):
        list(uploads.read_upload(service.settings, found.id))
    assert evidence_store.load(str(found.evidence_digest), service.settings) is not None
    assert service.client.get(f"/api/v1/submissions/{found.id}/dossier").status_code == 200


def test_the_days_that_were_chosen_erase_upload_and_evidence_and_leave_the_dossier(service: Service) -> None:
    found = service.assessed("?retention_days=3")
    service.tidy(3)
    assert uploads.is_kept(service.settings, found.id)
    assert evidence_store.kept(service.settings) != ()
    service.tidy(5)
    assert not uploads.is_kept(service.settings, found.id)
    assert evidence_store.kept(service.settings) == ()
    assert service.reasons() == [(found.id, "its days are over")]
    assert [key.name for key in (service.settings.state / "keys").iterdir()] == ["web.key"]
    assert service.client.get(f"/api/v1/submissions/{found.id}/dossier").status_code == 200


@pytest.mark.parametrize(
    ("lang", "says", "later"),
    [
        ("en", "Kept and processed in", "it can then be judged again"),
        ("nl", "Bewaard en verwerkt in", "dan kan opnieuw worden beoordeeld"),
    ],
)
def test_the_card_prints_how_long_and_where(lang: str, says: str, later: str) -> None:
    made = assessment()
    assert made.run is not None
    for until_review in (False, True):
        kept = Standing(retention_days=12, until_review=until_review, residency="Groningen, NL")
        run = made.run.model_copy(update={"standing": kept})
        card = markdown.render(made.model_copy(update={"run": run}), lang).decode()
        assert says in card
        assert "Groningen, NL" in card
        assert later in card
        assert "12" in card
