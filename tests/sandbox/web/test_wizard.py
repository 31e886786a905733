"""Putting a submission together: page by page, left and resumed, assigned and confirmed, to what is handed in."""

from __future__ import annotations

import hashlib
import io
import re
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sandbox.app import create_app
from sandbox.drafting import jobs
from sandbox.records import drafts, parts, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.tables import AuditEntry, Draft, DraftJob, DraftSection, State, Submission, now
from sandbox.review import budgets, people
from sandbox.review.permissions import Role
from sandbox.settings import Settings
from sandbox.web.wizard.forms import lacking_terms
from sandbox.web.words import Pages
from tests.make.wizards import HOSTILE, SYSTEM, TERMS, Wizard, answer_all


@pytest.fixture
def wizard(client: FlaskClient) -> Wizard:
    return Wizard(client)


@pytest.fixture
def ready(wizard: Wizard) -> Wizard:
    wizard.keep("system", SYSTEM)
    wizard.keep("terms", TERMS)
    return wizard


def _whole(database: Database, draft_id: str) -> drafts.Whole:
    found = drafts.whole(database, draft_id)
    assert found is not None
    return found


def test_what_was_kept_is_there_again_in_another_browser_and_language(app: Flask, wizard: Wizard) -> None:
    answer = wizard.keep("system", SYSTEM)
    assert answer.location.endswith("/questionnaire")
    page = app.test_client().get(f"/nl/drafts/{wizard.id}/system").text
    assert 'value="Loan advice"' in page
    assert "Naam van het systeem" in page
    assert 'value="NL"' in page


def test_what_is_wrong_stands_at_its_field_with_what_would_be_right(wizard: Wizard) -> None:
    wizard.keep("system", {**SYSTEM, "name": "", "provider_country": "Nederland"})
    page = wizard.see("system")
    assert 'aria-describedby="hint-system.provider.country why-system.provider.country" aria-invalid="true"' in page
    assert 'id="why-system.name"' in page
    assert 'role="alert" id="wrong"' in page


def test_nothing_is_uploaded_before_the_terms_are_accepted(wizard: Wizard) -> None:
    wizard.keep("system", SYSTEM)
    assert "must be filled in" in wizard.see("files")
    assert wizard.create("predictions", "p.csv", 10).status_code == 403
    wizard.keep("terms", {**TERMS, "basis": ""})
    assert wizard.create("predictions", "p.csv", 10).status_code == 403
    wizard.keep("terms", TERMS)
    assert wizard.create("predictions", "p.csv", 10).status_code == 201


def test_special_data_ask_for_a_ground_and_a_reason_not_to_send_codes_or_counts(wizard: Wizard) -> None:
    wizard.keep("terms", {**TERMS, "personal_data": "special"})
    page = wizard.see("terms")
    assert "Tick this, or send codes or counts" in page
    assert "Name the ground of Article 9" in page
    wizard.keep("terms", {**TERMS, "personal_data": "special", "special_ground": "Art 9(2)(j)", "knows_special": "yes"})
    assert "Tick this" not in wizard.see("terms")


def test_data_stay_no_longer_than_the_operator_keeps_them(wizard: Wizard, database: Database) -> None:
    wizard.keep("terms", {**TERMS, "retention_days": "9000"})
    assert _whole(database, wizard.id).section("terms")["retention_days"] == 30


def test_an_upload_goes_on_where_it_was(ready: Wizard, database: Database, settings: Settings) -> None:
    content = bytes(range(256)) * 300
    place = ready.create("document", "notes.md", len(content)).location
    assert ready.patch(place, 0, content[:50_000]).headers["Upload-Offset"] == "50000"
    assert ready.tus("HEAD", place).headers["Upload-Offset"] == "50000"
    assert ready.patch(place, 0, content).status_code == 409
    assert ready.patch(place, 50_000, content[50_000:]).headers["Upload-Offset"] == str(len(content))
    file = _whole(database, ready.id).files[0]
    assert b"".join(parts.read(settings, file.id, file.size)) == content
    assert file.digest in ready.see("files")
    on_disk = (settings.state / "drafts" / f"{file.id}.part").read_bytes()
    assert content[:64] not in on_disk


def test_what_a_killed_process_did_not_acknowledge_is_written_anew(settings: Settings) -> None:
    settings.state.mkdir(exist_ok=True)
    parts.begin(settings, "a" * 32)
    mark = parts.append(settings, "a" * 32, parts.Mark(), io.BytesIO(b"first "), 6)
    parts.append(settings, "a" * 32, mark, io.BytesIO(b"lost"), 4)
    parts.append(settings, "a" * 32, mark, io.BytesIO(b"second"), 6)
    assert b"".join(parts.read(settings, "a" * 32, 12)) == b"first second"


def test_memory_does_not_grow_with_a_file(settings: Settings) -> None:
    settings.state.mkdir(exist_ok=True)
    size, part = 50 * 1024**2, 4 * 1024**2
    parts.begin(settings, "d" * 32)
    mark = parts.Mark()
    tracemalloc.start()
    try:
        while mark.received < size:
            with Path("/dev/zero").open("rb", buffering=0) as zeros:
                mark = parts.append(settings, "d" * 32, mark, zeros, min(part, size - mark.received))
        digest = parts.digest_of(settings, "d" * 32, size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert digest == hashlib.sha256(bytes(size)).hexdigest()
    assert peak < 8 * parts.PIECE


def test_a_changed_part_is_noticed(settings: Settings) -> None:
    settings.state.mkdir(exist_ok=True)
    parts.begin(settings, "b" * 32)
    parts.append(settings, "b" * 32, parts.Mark(), io.BytesIO(b"x" * 100), 100)
    file = settings.state / "drafts" / f"{'b' * 32}.part"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(uploads.Damaged):
        list(parts.read(settings, "b" * 32, 100))


def test_two_cannot_add_to_one_file_at_once(settings: Settings) -> None:
    settings.state.mkdir(exist_ok=True)
    parts.begin(settings, "c" * 32)

    class Slow:
        def __init__(self) -> None:
            self.left = 3

        def read(self, size: int, /) -> bytes:
            self.left -= 1
            if self.left == 1:
                with pytest.raises(parts.Busy):
                    parts.append(settings, "c" * 32, parts.Mark(), io.BytesIO(b"x"), 1)
            return b"y" if self.left > 0 else b""

    assert parts.append(settings, "c" * 32, parts.Mark(), Slow(), 10).received == 2


def test_more_than_may_be_handed_in_is_refused_before_a_byte_comes(ready: Wizard, settings: Settings) -> None:
    assert ready.create("predictions", "p.csv", settings.upload_bytes + 1).status_code == 413
    assert ready.create("predictions", "p.csv", settings.upload_bytes - drafts.MARGIN).status_code == 201
    assert ready.create("document", "d.md", 1).status_code == 413


def test_a_plain_form_uploads_without_scripts(ready: Wizard, database: Database, settings: Settings) -> None:
    form = {"csrf": ready.token, "kind": "document", "file": (io.BytesIO(b"# Notes"), "my notes.md")}
    answer = ready.client.post(ready.at("/files/send"), data=form, content_type="multipart/form-data")
    assert answer.location.endswith("/files")
    (file,) = _whole(database, ready.id).files
    assert (file.path, file.digest != "", file.size) == ("my-notes.md", True, 7)
    assert list((settings.state / "uploads").iterdir()) == []


def test_hostile_file_names_are_shown_and_become_no_path(ready: Wizard, database: Database) -> None:
    ready.upload("predictions", f"../../{HOSTILE}", b"a,b\n1,2\n")
    page = ready.see("files")
    assert "&lt;img src=x onerror=alert(1)&gt;⟨U+202E⟩.csv" in page
    assert "<img" not in page
    (file,) = _whole(database, ready.id).files
    assert re.fullmatch(r"[A-Za-z0-9._-]+", file.path)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("submission.yaml", "submission-2.yaml"),
        ("..", "model"),
        ("a/b\\c.csv", "c.csv"),
        ("LIMITS.seal.json", "LIMITS.seal-2.json"),
    ],
)
def test_a_file_takes_no_name_that_means_something_else(name: str, path: str) -> None:
    assert drafts.path_for("model", name, ()) == path


def test_a_look_shows_types_examples_guesses_and_signs_of_personal_data(
    ready: Wizard, database: Database, settings: Settings
) -> None:
    rows = "".join(
        f"person{i}@example.org,{'vm'[i % 2]},{20 + i},{'yes' if i % 3 else 'no'},{'yes' if i % 4 else 'no'}\n"
        for i in range(60)
    )
    ready.upload("predictions", "p.csv", f"mail,geslacht,{HOSTILE[:-4]},granted,decision\n{rows}".encode())
    assert "A worker will look" in ready.see("columns")
    assert jobs.do_next(settings, database)
    page = ready.see("columns")
    assert "Looks like personal data: e-mail addresses" in page
    assert "@example.org" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;⟨U+202E⟩" in page
    assert "<img" not in page
    assert re.search(r'name="role-1".*?value="group" selected', page, re.S)
    assert re.search(r'name="role-3".*?value="label" selected', page, re.S)
    file = _whole(database, ready.id).files[0]
    seen = (settings.state / "drafts" / f"{file.id}.seen").read_bytes()
    assert b"geslacht" not in seen
    ready.do(f"/files/{file.id}/remove")
    assert list((settings.state / "drafts").iterdir()) == []


def test_bands_that_we_guessed_for_a_group_go_when_its_column_is_made_an_input(
    ready: Wizard, database: Database, settings: Settings
) -> None:
    rows = "".join(f"{20 + i},{'yes' if i % 3 else 'no'},{'yes' if i % 4 else 'no'}\n" for i in range(60))
    ready.upload("predictions", "p.csv", f"age,granted,decision\n{rows}".encode())
    assert jobs.do_next(settings, database)
    bands = re.search(r'name="bands-0"[^>]*value="([^"]+)"', ready.see("columns"))
    assert bands is not None, "a guess"
    given = {"task": "binary", "classes": "no\nyes", "decision": "decision", "sampling": "all", "bands-0": bands[1]}
    roles = {"role-1": "label", "role-2": "ignore"}
    ready.keep("columns", {**given, **roles, "role-0": "group"})
    assert list(_whole(database, ready.id).section("columns")["bands"]) == ["age"]
    assert not ready.keep("columns", {**given, **roles, "role-0": "feature"}).location.endswith("/columns#wrong")
    assert _whole(database, ready.id).section("columns")["bands"] == {}
    assert f'value="{bands[1]}"' in ready.see("columns"), "at hand, should it become a group again"
    ready.keep("columns", {**given, **roles, "role-0": "group", "bands-0": ""})
    assert f'value="{bands[1]}"' not in ready.see("columns"), "whoever takes the bands of a group away wants none"


def test_what_may_be_stated_beside_is_kept_shown_again_and_told_at_its_field(
    wizard: Wizard, database: Database
) -> None:
    wizard.keep("system", {**SYSTEM, "route": "predictions", "licence": "EUPL-1.2", "languages": "nl; EN, dutch"})
    page = wizard.see("system")
    assert 'value="nl, en, dutch"' in page
    assert 'id="why-system.languages"' in page
    assert re.search(r'<details class="more" open><summary>Licence and languages', page)
    wizard.keep("terms", {**TERMS, "cleaning": "Doubles left out.", "training_origin": "An older register."})
    assert "Doubles left out." in wizard.see("terms")
    assert "An older register." in wizard.see("terms")
    limits = {"claim-accuracy": "0,87", "claim-f1": "high"}
    wizard.keep("limits", limits)
    page = wizard.see("limits")
    assert 'value="0.87"' in page
    assert 'id="why-claims.f1"' in page
    wizard.keep("limits", {**limits, "claim-f1": ""})
    assert _whole(database, wizard.id).section("limits")["claims"] == {"accuracy": "0.87"}


def test_a_public_body_is_asked_what_the_register_asks_and_may_leave_it(wizard: Wizard) -> None:
    wizard.keep("system", {**SYSTEM, "route": "documents"})
    assert wizard.client.get(wizard.at("/publication")).status_code == 404
    wizard.keep("system", {**SYSTEM, "route": "documents", "public_body": "yes"})
    assert "may stay empty" in wizard.see("")
    wizard.keep("publication", {"goal": "Sooner.", "begin_date": "last year", "category": ["Wonen", "none"]})
    page = wizard.see("publication")
    assert 'id="why-publication.begin_date"' in page
    assert 'value="Wonen" checked' in page
    assert "Sooner." in page
    given = {"goal": "Sooner.", "fria-oversight": "A clerk decides."}
    assert wizard.keep("publication", given).location.endswith("/check")
    assert "A clerk decides." in wizard.see("publication")
    sent = zipfile.ZipFile(io.BytesIO(wizard.client.get(wizard.at("/submission.zip")).data))
    assert sent.read("publication.yaml") == b"goal: Sooner.\nfria:\n  oversight: A clerk decides.\n"


def test_what_can_hold_the_decision_is_a_column_of_the_predictions_also_where_data_stand_apart(
    ready: Wizard, database: Database, settings: Settings
) -> None:
    rows = "".join(f"{20 + i},{'yes' if i % 3 else 'no'}\n" for i in range(60))
    ready.upload("data", "d.csv", f"age,granted\n{rows}".encode())
    ready.upload("predictions", "p.csv", ("advice\n" + "yes\nno\n" * 30).encode())
    for _ in range(2):
        assert jobs.do_next(settings, database)
    page = ready.see("columns")
    offered = re.search(r'<select id="predictions.decision".*?</select>', page, re.S)
    assert offered is not None
    assert 'value="advice" selected' in offered[0], "our guess"
    assert 'value="age"' not in offered[0]
    assert 'name="role-1"' in page, "the roles are those of the columns of the data"


def test_a_table_with_other_marks_is_looked_at_again_with_those(
    ready: Wizard, database: Database, settings: Settings
) -> None:
    ready.upload("predictions", "p.csv", ("age^advice\n" + "20^yes\n-^no\n" * 30).encode())
    assert jobs.do_next(settings, database)
    assert "1 columns" in ready.see("columns")
    ready.do("/files/written", delimiter="^", missing="-")
    assert jobs.do_next(settings, database)
    page = ready.see("columns")
    assert "2 columns" in page
    assert "30 missing" in page
    assert re.search(r'value="\^"', ready.see("files"))
    ready.do("/files/written", delimiter="^^")
    assert 'id="why-data.delimiter"' in ready.see("files")


def test_a_table_that_cannot_be_read_says_so_at_the_section_of_files(
    ready: Wizard, database: Database, settings: Settings
) -> None:
    ready.upload("predictions", "p.csv", b"\xff\xfe\x00garbage\n")
    assert jobs.do_next(settings, database)
    page = ready.see("files")
    assert 'id="wrong"' in page
    assert "Files: Predictions</a>" in page
    assert "the section on files says what" in ready.see("columns")


def test_limits_are_recorded_with_digest_and_time_and_keep_their_first_time(wizard: Wizard, database: Database) -> None:
    first = {"code-0": "fairness.selection_rate.ratio", "at_least-0": "0,8", "reason-0": "four fifths"}
    wizard.keep("limits", first)
    seals = _whole(database, wizard.id).section("limits")["seals"]
    assert len(seals) == 1
    assert seals[0]["digest"] in wizard.see("limits")
    wizard.keep("limits", {**first, "at_least-0": "0.9"})
    wizard.keep("limits", first)
    again = _whole(database, wizard.id).section("limits")["seals"]
    assert [s["sealed_at"] for s in again[:1]] == [seals[0]["sealed_at"]]
    assert len(again) == 2


def test_a_limit_without_a_reason_is_not_recorded_and_says_so_there(wizard: Wizard, database: Database) -> None:
    wizard.keep("limits", {"code-0": "fairness.selection_rate.ratio", "at_least-0": "0.8"})
    assert _whole(database, wizard.id).section("limits")["seals"] == []
    assert 'id="why-reason-0"' in wizard.see("limits")


def test_a_change_ends_a_confirmation_and_all_of_it_is_in_the_audit_log(wizard: Wizard, database: Database) -> None:
    wizard.keep("system", {**SYSTEM, "route": "documents"})
    wizard.do("/system/confirm")
    assert _whole(database, wizard.id).sections["system"].confirmed_at is not None
    wizard.keep("system", {**SYSTEM, "route": "documents", "version": "3"})
    assert _whole(database, wizard.id).sections["system"].confirmed_at is None
    with database.reading() as session:
        actions = [e.action for e in session.query(AuditEntry).filter(AuditEntry.subject == wizard.id)]
    assert actions == ["draft.begun", "draft.changed", "draft.confirmed", "draft.changed"]


def _documents_only(wizard: Wizard) -> None:
    wizard.keep("system", {**SYSTEM, "route": "documents"})
    wizard.keep("terms", TERMS)
    wizard.upload("document", "technical.md", b"# Purpose\n\nAdvises a clerk.\n")


def test_the_questionnaire_is_a_section_of_the_draft_in_both_languages(wizard: Wizard, database: Database) -> None:
    assert wizard.client.get(wizard.at("/questions")).location.endswith("/system")
    wizard.keep("system", SYSTEM)
    answer_all(wizard)
    answers = _whole(database, wizard.id).section("questionnaire")["answers"]
    assert len(answers) > 3
    first = wizard.client.get(f"/nl/drafts/{wizard.id}/questions").location
    page = wizard.client.get(first).text
    assert "Terug naar de inzending" in page
    assert " checked" in page
    assert f"{len(answers)} questions that matter" in wizard.see("questionnaire")


def test_what_was_put_together_is_the_zip_that_the_command_takes(
    wizard: Wizard, database: Database, settings: Settings, tmp_path: Path
) -> None:
    from sandbox.intake import accept

    _documents_only(wizard)
    answer_all(wizard)
    sent = wizard.client.get(wizard.at("/submission.zip")).data
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert set(archive.namelist()) >= {"submission.yaml", "answers.yaml", "technical.md"}
    file = tmp_path / "s.zip"
    file.write_bytes(sent)
    with accept(file, settings, isolation=None) as bundle:
        assert bundle.declaration.system.name == "Loan advice"


def test_handing_in_needs_everything_confirmed_and_leads_to_the_submission(
    wizard: Wizard, database: Database, settings: Settings
) -> None:
    _documents_only(wizard)
    assert wizard.do("/submit").location.endswith("/check#wrong")
    answer_all(wizard)
    assert wizard.do("/submit").location.endswith("/check#wrong")
    place = wizard.do("/submit", confirm="yes").location
    submission = queue.find(database, place.rpartition("/")[2])
    assert submission is not None
    assert (submission.retention_days, submission.draft, submission.name) == (12, wizard.id, "Loan advice 2")
    assert wizard.client.get(wizard.at()).location == place
    with zipfile.ZipFile(io.BytesIO(b"".join(uploads.read_upload(settings, submission.id)))) as archive:
        assert b"Loan advice" in archive.read("submission.yaml")


def test_a_refused_submission_leads_back_to_its_draft_at_the_field(
    wizard: Wizard, database: Database, settings: Settings
) -> None:
    from sandbox.engine import run

    _documents_only(wizard)
    answer_all(wizard)
    place = wizard.do("/submit", confirm="yes").location
    claimed = queue.claim(database, worker="t")
    assert claimed is not None
    run(claimed.submission_id, settings, token=claimed.token, entry="tests.make.runs:refused")
    page = wizard.client.get(place).text
    assert wizard.at("/columns") in page or wizard.at("/files") in page or wizard.at("/system") in page
    assert wizard.client.get(wizard.at()).status_code == 200


def test_once_assessed_a_draft_and_its_files_go_and_a_new_version_starts_from_what_was_stated(
    wizard: Wizard, database: Database, settings: Settings
) -> None:
    from sandbox.engine import run

    _documents_only(wizard)
    answer_all(wizard)
    wizard.do("/submit", confirm="yes")
    claimed = queue.claim(database, worker="t")
    assert claimed is not None
    run(claimed.submission_id, settings, token=claimed.token, entry="tests.make.runs:quick")
    drafts.tidy(database, settings, actor="t")
    assert drafts.find(database, wizard.id) is None
    assert list((settings.state / "drafts").iterdir()) == []
    again = wizard.client.post(f"/en/drafts/again/{claimed.submission_id}", data={"csrf": wizard.token})
    page = wizard.client.get(again.location).text
    assert 'value="Example BV"' in page
    made = drafts.find(database, again.location.split("/")[-2])
    assert made is not None
    assert made.previous == claimed.submission_id
    assert "New version of" in wizard.client.get(f"/en/drafts/{made.id}").text


def test_a_draft_that_is_left_alone_goes_with_its_files(ready: Wizard, database: Database, settings: Settings) -> None:
    ready.upload("document", "n.md", b"notes")
    with database.writing() as session:
        session.get_one(Draft, ready.id).changed = now() - drafts.KEPT
    assert drafts.tidy(database, settings, actor="t") == 1
    assert list((settings.state / "drafts").iterdir()) == []
    assert ready.client.get(ready.at()).status_code == 404


def test_a_job_whose_worker_was_lost_is_not_tried_for_ever(database: Database) -> None:
    draft_id = drafts.begin(database, actor="t")
    drafts.ask(database, draft_id, kind="check", job_id=draft_id)
    for _ in range(drafts.JOB_TRIES):
        assert drafts.claim(database) is not None
        assert drafts.claim(database) is None
        with database.writing() as session:
            session.get_one(DraftJob, draft_id).until = now()
    assert drafts.claim(database) is None
    with database.reading() as session:
        assert session.get_one(DraftJob, draft_id).state == "failed"


@pytest.fixture
def world(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    migrate(settings)
    monkeypatch.setattr(people, "HASH", "argon2id:1:8:1")
    app = create_app(replace(settings, accounts="local"))
    database = app.extensions["aiact_sandbox"].database
    secrets = {}
    for organisation, logins in {"Town": ("dev", "dpo"), "Other": ("them",)}.items():
        org = people.create_organisation(database, name=organisation, actor="t")
        for login in logins:
            person = people.create_person(
                database, login=login, name=login.upper(), password="four words differ", actor="t"
            )
            people.give_role(database, person_id=person, organisation_id=org, role=Role.SUBMITTER, actor="t")
            secrets[login] = (people.sign_in(database, login=login, password="four words differ"), person)

    def as_person(login: str) -> FlaskClient:
        client = app.test_client()
        with client.session_transaction() as kept:
            kept["secret"] = secrets[login][0]
        return client

    yield as_person, secrets, database
    database.close()


def test_a_section_is_confirmed_by_whom_it_was_assigned_to(world: Any) -> None:
    as_person, secrets, database = world
    wizard = Wizard(as_person("dev"))
    wizard.keep("terms", TERMS)
    wizard.do("/terms/assign", person=secrets["dpo"][1])
    wizard.do("/terms/confirm")
    assert _whole(database, wizard.id).sections["terms"].confirmed_at is None
    assert "waits to be confirmed by DPO" in wizard.see("terms")
    other = as_person("dpo")
    token = re.search(r'name="csrf" value="([^"]+)"', other.get(wizard.at("/terms")).text)[1]  # type: ignore[index]
    other.post(wizard.at("/terms/confirm"), data={"csrf": token})
    assert "Confirmed by DPO on" in wizard.see("terms")
    assert wizard.do("/terms/assign", person=secrets["them"][1]).status_code == 404


def _member(world: Any, login: str, *roles: Role) -> tuple[FlaskClient, str]:
    """Take somebody on in the first organisation who hands in nothing."""
    _, _, database = world
    organisation = people.organisation_of(database, "Town")
    assert organisation is not None
    person = people.create_person(database, login=login, name=login.upper(), password="four words differ", actor="t")
    for role in roles:
        people.give_role(database, person_id=person, organisation_id=organisation, role=role, actor="t")
    return _signed_in(world, login), person


def _signed_in(world: Any, login: str) -> FlaskClient:
    as_person, _, database = world
    client: FlaskClient = as_person("dev")
    with client.session_transaction() as kept:
        kept["secret"] = people.sign_in(database, login=login, password="four words differ")
    return client


def test_whoever_is_merely_a_member_fills_in_and_confirms_the_section_assigned_to_them(world: Any) -> None:
    as_person, _, database = world
    legal, person = _member(world, "legal", Role.MEMBER)
    wizard = Wizard(as_person("dev"))
    wizard.keep("system", SYSTEM)
    assert legal.get(wizard.at("/terms")).status_code == 404, "before anything is assigned there is no such draft"
    assert "No section is assigned to you" in legal.get("/en/drafts").text
    wizard.do("/terms/assign", person=person)
    page = legal.get("/en/drafts").text
    assert "Loan advice" in page
    assert "Begin" not in page
    theirs = Wizard(legal, draft=wizard.id)
    assert theirs.keep("terms", TERMS).location.endswith("/terms#answering")
    assert 'name="accept"' in theirs.see("terms")
    theirs.do("/terms/confirm")
    assert "Confirmed by LEGAL on" in wizard.see("terms")
    assert _whole(database, wizard.id).section("terms")["accepted_by"] == "LEGAL"


def test_what_is_handed_in_names_whoever_had_a_hand_in_it(world: Any, settings: Settings) -> None:
    as_person, secrets, database = world
    legal, person = _member(world, "legal", Role.MEMBER)
    wizard = Wizard(as_person("dev"))
    _documents_only(wizard)
    answer_all(wizard)
    wizard.do("/terms/assign", person=person)
    for section in ("system", "questionnaire", "files"):
        wizard.do(f"/{section}/confirm")
    Wizard(legal, draft=wizard.id).do("/terms/confirm")
    submission = wizard.do("/submit").location.rpartition("/")[2]
    found = queue.find(database, submission)
    assert found is not None
    assert found.hands == sorted([person, secrets["dev"][1]])
    assert found.is_of(person)
    assert not found.is_of(secrets["dpo"][1])


def test_who_filled_in_what_another_confirmed_had_a_hand_in_it_too(world: Any) -> None:
    as_person, secrets, database = world
    wizard = Wizard(as_person("dev"))
    _documents_only(wizard)
    answer_all(wizard)
    Wizard(as_person("dpo"), draft=wizard.id).keep("terms", {**TERMS, "retention_days": "20"})
    for section in ("system", "questionnaire", "terms", "files"):
        wizard.do(f"/{section}/confirm")
    found = queue.find(database, wizard.do("/submit").location.rpartition("/")[2])
    assert found is not None
    assert found.is_of(secrets["dpo"][1]), "what is confirmed as it stands are still the words of who wrote them"
    assert found.hands == sorted([secrets["dev"][1], secrets["dpo"][1]])
    again = drafts.begin(database, actor="person:somebody", organisation=found.organisation, previous=found.id)
    draft = _whole(database, again).draft
    assert drafts.hands(database, draft) == set(found.hands), "a new version carries their words on"


def test_whoever_is_merely_a_member_reads_the_rest_and_changes_nothing_of_it(world: Any) -> None:
    as_person, _, database = world
    legal, person = _member(world, "legal", Role.MEMBER)
    wizard = Wizard(as_person("dev"))
    wizard.keep("system", SYSTEM)
    wizard.keep("terms", TERMS)
    wizard.do("/terms/assign", person=person)
    theirs = Wizard(legal, draft=wizard.id)
    page = theirs.see("system")
    assert "You can read this section" in page
    assert "<fieldset disabled>" in page
    assert "/submission.zip" not in theirs.see("")
    assert theirs.keep("system", {**SYSTEM, "name": "Changed"}).status_code == 403
    assert theirs.create("predictions", "p.csv", 10).status_code == 403
    assert theirs.client.post(theirs.at("/files/send"), data={"csrf": theirs.token}).status_code == 403
    for path in ("/system/confirm", "/terms/assign", "/look", "/submit", "/forget", "/check"):
        assert theirs.do(path, sure="yes", person=person).status_code == 403, path
    for path in ("/check", "/submission.zip"):
        assert legal.get(wizard.at(path)).status_code == 403, path
    answering = f"/questions/{theirs.client.get(wizard.at('/questions')).location.rpartition('/')[2]}"
    assert theirs.do(answering).status_code == 403
    assert legal.post("/en/drafts", data={"csrf": theirs.token}).status_code == 403
    assert _whole(database, wizard.id).section("system")["name"] == "Loan advice"
    wizard.do("/terms/assign", person="")
    assert legal.get(wizard.at("/terms")).status_code == 404, "nothing is assigned to them any more"


def test_a_section_goes_to_nobody_who_reviews_or_only_reads(world: Any) -> None:
    as_person, _, database = world
    wizard = Wizard(as_person("dev"))
    _, reviewer = _member(world, "reviewer", Role.REVIEWER, Role.MEMBER)
    auditor_client, auditor = _member(world, "auditor", Role.AUDITOR)
    for person in (reviewer, auditor):
        assert wizard.do("/terms/assign", person=person).status_code == 404
    with database.writing() as session:
        session.add(DraftSection(draft=wizard.id, section="terms", assigned_to=auditor))
    answer = auditor_client.post(wizard.at("/terms"), data={"csrf": wizard.token, **TERMS})
    assert answer.status_code == 403, "an auditor changes nothing, whatever is assigned to them"


def test_a_member_of_another_organisation_sees_no_draft_that_is_assigned_to_them(world: Any) -> None:
    as_person, secrets, database = world
    wizard = Wizard(as_person("dev"))
    wizard.keep("system", SYSTEM)
    with database.writing() as session:
        session.add(DraftSection(draft=wizard.id, section="terms", assigned_to=secrets["them"][1]))
    them = as_person("them")
    assert them.get(wizard.at("/terms")).status_code == 404
    assert "Loan advice" not in them.get("/en/drafts").text


def test_a_draft_of_another_organisation_is_not_there(world: Any) -> None:
    as_person, _, _ = world
    wizard = Wizard(as_person("dev"))
    wizard.keep("system", SYSTEM)
    them = as_person("them")
    for path in ("", "/system", "/files", "/check", "/submission.zip", "/questions", "/questions/result"):
        assert them.get(wizard.at(path)).status_code == 404, path
    assert them.post(wizard.at("/forget"), data={"csrf": "x", "sure": "yes"}).status_code == 404
    assert "Loan advice" not in them.get("/en/drafts").text


@pytest.mark.parametrize(
    ("lang", "says"),
    [
        ("en", "Submissions of your organisation that wait or run: 1. It may have 1 at once."),
        ("nl", "Inzendingen van uw organisatie die wachten of lopen: 1. Het mogen er 1 tegelijk zijn."),
    ],
)
def test_over_budget_is_said_at_the_step_and_nothing_of_it_is_kept(
    world: Any, settings: Settings, lang: str, says: str
) -> None:
    as_person, _, database = world
    wizard = Wizard(as_person("dev"), lang)
    _documents_only(wizard)
    answer_all(wizard)
    for section in ("system", "questionnaire", "terms", "files"):
        wizard.do(f"/{section}/confirm")
    organisation = _whole(database, wizard.id).draft.organisation
    assert organisation is not None
    budgets.set_budget(database, organisation, actor="t", cells=1)
    queue.add(database, submission_id="1" * 32, name="n", size=1, digest="0" * 64, actor="t", organisation=organisation)
    answer = wizard.do("/submit")
    assert answer.status_code == 429
    assert says in answer.text
    assert 'role="alert"' in answer.text
    assert not list((settings.state / "uploads").glob("*.sealed"))
    sent = {"csrf": wizard.token, "submission": (io.BytesIO(b"x"), "s.zip")}
    page = wizard.client.post(f"/{lang}/submissions", data=sent)
    assert page.status_code == 429
    assert says in page.text
    assert 'id="submission"' in page.text
    budgets.set_budget(database, organisation, actor="t", cells=2)
    assert "/submissions/" in wizard.do("/submit").location


def test_limits_that_follow_results_on_the_same_data_are_told_apart(database: Database, settings: Settings) -> None:
    from model_cards.dossier import LimitsRecorded
    from sandbox.engine import _standing

    for i, limits in enumerate(("1" * 64, None)):
        queue.add(database, submission_id=f"{i:032x}", name="s", size=1, digest="0" * 64, actor="t")
        with database.writing() as session:
            row = session.get_one(Submission, f"{i:032x}")
            if i == 0:
                row.state, row.ended, row.data_digest, row.limits_digest = State.DONE, now(), "d" * 64, limits
    found = queue.find(database, f"{1:032x}")
    assert found is not None
    found.received = now()
    mine = replace(settings, retention_days=12)
    changed = _standing(database, found, mine, "d" * 64, LimitsRecorded(digest="2" * 64))
    assert (changed.retention_days, changed.results_before_limits, changed.limits_changed) == (12, 1, True)
    same = _standing(database, found, mine, "d" * 64, LimitsRecorded(digest="1" * 64))
    assert same.limits_changed is False
    other_data = _standing(database, found, mine, "e" * 64, LimitsRecorded(digest="2" * 64))
    assert other_data.limits_changed is None


def test_terms_of_an_older_version_must_be_accepted_anew() -> None:
    assert ("accept", "accept") in lacking_terms({"personal_data": "no", "accepted": "2020-01"})


def test_erasing_a_submission_erases_what_its_draft_still_holds(
    wizard: Wizard, database: Database, settings: Settings
) -> None:
    from sandbox.records.erasure import erase

    _documents_only(wizard)
    answer_all(wizard)
    submission_id = wizard.do("/submit", confirm="yes").location.rpartition("/")[2]
    queue.request_cancel(database, submission_id, actor="t")
    erase(settings, database, submission_id, actor="t", reason="asked")
    assert drafts.find(database, wizard.id) is None
    assert list((settings.state / "drafts").iterdir()) == []


def test_the_result_of_the_questions_is_there_while_a_field_elsewhere_is_still_wrong(wizard: Wizard) -> None:
    wizard.keep("system", {**SYSTEM, "provider_country": "Nederland", "provider_size": "enormous"})
    answer_all(wizard)
    assert wizard.client.get(wizard.at("/questions/result")).status_code == 200


def test_numbers_stand_in_the_wizard_as_its_language_writes_them(client: FlaskClient, database: Database) -> None:
    wizard = Wizard(client, "nl")
    wizard.keep("limits", {"code-0": "fairness.selection_rate.ratio", "at_least-0": "0.8", "reason-0": "afgesproken"})
    assert 'value="0,8"' in wizard.see("limits")
    assert _whole(database, wizard.id).section("limits")["rows"][0]["at_least"] == "0.8"
    kept = {"attribute": "sex", "total": 0.9}
    assert "samen 0,9 en niet 1" in Pages("nl").problem({"code": "population.total", "params": kept})[0]
