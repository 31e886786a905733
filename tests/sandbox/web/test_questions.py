"""The questionnaire in the browser: only what matters is asked, nothing is lost, and the result is the command's."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from checks.ai_act.rules import load
from model_cards.words import Words
from sandbox.cli import main
from sandbox.records.database import Database
from sandbox.records.tables import QuestionnaireDraft, now
from sandbox.web import drafts

START = "/en/questions"
ME = {"roles": ["provider", "deployer"], "public_body": "yes", "size": "medium", "country": "nl"}


def csrf(client: FlaskClient, page: str = START) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(page).text)
    assert found is not None
    return found[1]


def begin(client: FlaskClient, **more: Any) -> TestResponse:
    return client.post(START, data={"csrf": csrf(client), **ME, **more})


def on(page: str) -> list[str]:
    return re.findall(r'name="on_page" value="([^"]+)"', page)


def answer_all(client: FlaskClient, answers: dict[str, Any], lang: str = "en") -> TestResponse:
    """Go through the pages as a person does, with `unknown` for what is not given."""
    where = begin(client).location
    for _ in range(60):
        if where.endswith("/result"):
            return client.get(where.replace("/en/", f"/{lang}/"))
        page = client.get(where).text
        asked = on(page)
        assert asked
        given = {question: answers.get(question, "unknown") for question in asked}
        where = client.post(where, data={"csrf": csrf(client, where), "on_page": asked, **given}).location
    raise AssertionError("it never ended")


def test_nothing_is_known_is_an_answer_to_everything(client: FlaskClient) -> None:
    page = answer_all(client, {})
    assert page.status_code == 200
    assert "Indicated class" in page.text
    assert "have no answer yet" not in page.text


def test_what_comes_out_is_what_the_command_says(client: FlaskClient, tmp_path: Path) -> None:
    calm = {q.id: o for q in load().questions for o in ("no", "none") if q.option(o)}
    answers = {**calm, "how_it_works": "learned", "areas": ["credit"], "services_use": ["credit_persons"]}
    page = answer_all(client, answers)
    kept = client.get("/en/questions/answers.yaml")
    assert kept.headers["Content-Disposition"] == "attachment; filename=answers.yaml"
    (tmp_path / "answers.yaml").write_bytes(kept.data)
    document = yaml.safe_load(kept.text)
    assert document["organisation"] == {**ME, "country": "NL"}
    today = dt.datetime.now(dt.UTC).date()
    said = CliRunner().invoke(main, ["classify", str(tmp_path / "answers.yaml"), "--as-of", str(today), "--json"])
    risk = json.loads(said.stdout)
    words = Words("en")
    assert words.class_name(risk["class"]) in page.text
    assert risk["duties"]
    for duty in risk["duties"]:
        assert words.duty(duty["id"]).replace("'", "&#39;") in page.text
    assert Words("nl").class_name(risk["class"]) in client.get("/nl/questions/result").text


def test_only_questions_that_matter_are_put(client: FlaskClient) -> None:
    where = begin(client).location
    assert where.endswith("/scope")
    page = client.get(where).text
    assert on(page) == ["exclusion"]
    form = {"csrf": csrf(client, where), "on_page": ["exclusion"], "exclusion": "defence"}
    assert client.post(where, data=form).location.endswith("/people"), "of the Act nothing else is asked"
    assert client.get("/en/questions/uses").status_code == 303
    form["exclusion"] = "none"
    assert client.post(where, data=form).location.endswith("/scope"), "a new question came up on this page"
    assert on(client.get(where).text) == ["exclusion", "how_it_works"]


def test_an_answer_that_no_longer_matters_is_not_kept_in_the_file(client: FlaskClient) -> None:
    answer_all(client, {"exclusion": "none", "how_it_works": "learned", "gpai": "yes", "gpai_kind": ["open"]})
    assert yaml.safe_load(client.get("/en/questions/answers.yaml").text)["answers"]["gpai_kind"] == ["open"]
    where = "/en/questions/model"
    asked = on(client.get(where).text)
    client.post(where, data={"csrf": csrf(client, where), "on_page": asked, "gpai": "no"})
    kept = yaml.safe_load(client.get("/en/questions/answers.yaml").text)["answers"]
    assert kept["gpai"] == "no"
    assert "gpai_kind" not in kept


def test_a_missing_answer_is_named_and_the_others_are_kept(client: FlaskClient) -> None:
    where = begin(client).location
    form = {"csrf": csrf(client, where), "on_page": ["exclusion"]}
    assert client.post(where, data=form).location == where
    assert "Choose an answer." in client.get(where).text
    assert "Kies een antwoord." not in client.get(where.replace("/en/", "/nl/")).text, "it is said once"


def test_none_of_these_beside_another_answer_is_named(client: FlaskClient) -> None:
    answer_all(client, {"exclusion": "none", "how_it_works": "learned"})
    question = next(q for q in load().questions if q.kind == "multi" and q.option("none"))
    where = f"/en/questions/{question.block}"
    asked = on(client.get(where).text)
    assert question.id in asked
    both = ["none", next(o.id for o in question.options if o.id not in ("none", "unknown"))]
    given = dict.fromkeys(asked, "unknown") | {question.id: both}
    sent = client.post(where, data={"csrf": csrf(client, where), "on_page": asked, **given})
    assert sent.location == where
    assert "does not go together" in client.get(where).text


def test_the_language_can_be_switched_at_any_step(client: FlaskClient) -> None:
    where = begin(client).location
    page = client.get(where).text
    assert f'href="{where.replace("/en/", "/nl/")}"' in page
    assert on(client.get(where.replace("/en/", "/nl/")).text) == on(page)


@pytest.mark.parametrize(("given", "wrong"), [({"roles": []}, "role"), ({"country": "N1"}, "two letters")])
def test_what_is_wrong_about_the_organisation_is_said(client: FlaskClient, given: dict[str, Any], wrong: str) -> None:
    page = begin(client, **given)
    assert page.status_code == 422
    assert wrong in page.text


def test_each_browser_has_its_own_answers_and_can_remove_them(app: Flask, database: Database) -> None:
    one, other = app.test_client(), app.test_client()
    answer_all(one, {})
    assert other.get("/en/questions/result").status_code == 303
    one.post("/en/questions/forget", data={"csrf": csrf(one)})
    assert one.get("/en/questions/result").status_code == 303
    with database.reading() as session:
        assert session.query(QuestionnaireDraft).count() == 0


def test_old_drafts_go(database: Database) -> None:
    first = drafts.begin(database, {"a": 1})
    with database.writing() as session:
        session.get_one(QuestionnaireDraft, first).changed = now() - drafts.KEPT
    assert drafts.read(database, first) is None
    drafts.begin(database, {})
    with database.reading() as session:
        assert session.get(QuestionnaireDraft, first) is None


def test_an_unknown_block_and_a_form_without_its_token_are_refused(client: FlaskClient) -> None:
    begin(client)
    assert client.get("/en/questions/nothing").status_code == 404
    assert client.post("/en/questions/scope", data={"exclusion": "none"}).status_code == 400


def test_only_the_options_of_areas_that_were_ticked_are_shown_and_a_new_area_asks_again(client: FlaskClient) -> None:
    begin(client)
    scope = {"exclusion": "none", "how_it_works": "learned"}
    answer_page(client, "scope", scope)
    answer_page(client, "uses", {"areas": ["credit"], "services_use": ["companies_only"]})
    page = client.get("/en/questions/uses").text
    assert 'value="credit_persons"' in page
    assert 'value="entitlement"' not in page
    answer_page(client, "uses", {"areas": ["credit", "benefits"], "services_use": ["companies_only"]}, times=1)
    page = client.get("/en/questions/uses").text
    assert 'value="entitlement"' in page
    kept = yaml.safe_load(client.get("/en/questions/answers.yaml").text)["answers"]
    assert "services_use" not in kept, "what was not on the page was not left unticked"


def answer_page(client: FlaskClient, block: str, answers: dict[str, Any], times: int = 2) -> None:
    """Fill in one page, twice since a question may come up because of another."""
    where = f"/en/questions/{block}"
    for _ in range(times):
        asked = on(client.get(where).text)
        given = {question: answers.get(question, "unknown") for question in asked}
        client.post(where, data={"csrf": csrf(client, where), "on_page": asked, **given})


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_the_result_shows_what_rests_on_drafts_and_both_readings_of_a_contested_date(
    client: FlaskClient, lang: str
) -> None:
    calm = {q.id: o for q in load().questions for o in ("no", "none") if q.option(o)}
    answers = {**calm, "how_it_works": "learned", "areas": ["benefits"], "services_use": ["fraud_signal"]}
    answers |= {"users": ["public_authority"], "profiling": "yes", "placed_when": "not_yet"}
    page = answer_all(client, answers, lang).text
    words = Words(lang)
    for said in (words("law.basis.draft"), words("law.confidence.draft")):
        assert said.replace("'", "&#39;") in page
    assert words.date(dt.date(2026, 8, 2)) in page
    assert words.date(dt.date(2027, 12, 2)) in page
