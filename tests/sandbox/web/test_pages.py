"""A person hands in a zip, sees how far it is, and reads the report, in either language."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sandbox.records import audit, queue, uploads
from sandbox.records.database import Database
from sandbox.settings import Settings
from sandbox.web.live import Streams
from sandbox.web.words import Pages, texts
from tests.make.runs import HOSTILE

Submit = Callable[..., Any]
LANGUAGES = pytest.mark.parametrize("lang", ["en", "nl"])
NOT_SAID = re.compile(r"\b(fair|safe|passed|compliant|AI-testomgeving voor regelgeving)\b", re.IGNORECASE)


def pages_of(ended: Callable[..., str], submit: Submit) -> list[str]:
    done = ended("quick")
    refused = ended("refused")
    failed = ended("killed")
    waiting = submit().location.rpartition("/")[2]
    return ["", "submissions", f"submissions/{done}/report"] + [f"submissions/{i}" for i in (refused, failed, waiting)]


def test_an_upload_is_kept_unopened_and_waits(submit: Submit, settings: Settings, database: Database) -> None:
    content = b"this is no zip, and nobody looks"
    answer = submit(content, "loan.zip")
    assert answer.status_code == 303
    submission_id = answer.location.rpartition("/")[2]
    assert re.fullmatch("[0-9a-f]{32}", submission_id)
    found = queue.find(database, submission_id)
    assert found is not None
    assert (found.state, found.name, found.bytes) == ("queued", "loan.zip", len(content))
    assert found.digest == hashlib.sha256(content).hexdigest()
    assert b"".join(uploads.read_upload(settings, submission_id)) == content
    with database.reading() as session:
        assert audit.length(session) == 1


def test_an_upload_of_many_pieces_arrives_whole(submit: Submit, settings: Settings) -> None:
    content = bytes(range(256)) * (settings.upload_bytes // 256)
    answer = submit(content)
    assert answer.status_code == 303
    assert b"".join(uploads.read_upload(settings, answer.location.rpartition("/")[2])) == content


@LANGUAGES
def test_every_page_says_what_this_is_not_and_judges_nobody(
    client: FlaskClient, ended: Callable[..., str], submit: Submit, lang: str
) -> None:
    disclaimer = Pages(lang).disclaimer
    assert "57" in disclaimer
    for page in pages_of(ended, submit):
        answer = client.get(f"/{lang}/{page}")
        assert answer.status_code == 200, page
        assert disclaimer in answer.text, page
        assert f'<html lang="{lang}">' in answer.text
        assert not NOT_SAID.search(re.sub("<[^>]+>", " ", answer.text)), page
    missing = client.get(f"/{lang}/nothing")
    assert missing.status_code == 404
    assert disclaimer in missing.text


@LANGUAGES
def test_every_page_can_be_had_in_the_other_language(
    client: FlaskClient, ended: Callable[..., str], submit: Submit, lang: str
) -> None:
    other = "nl" if lang == "en" else "en"
    for page in pages_of(ended, submit):
        assert f'href="/{other}/{page}" lang="{other}"' in client.get(f"/{lang}/{page}").text


def test_the_languages_have_the_same_words_with_the_same_slots() -> None:
    english, dutch = texts("en"), texts("nl")
    assert english.keys() == dutch.keys()
    for key in english:
        assert set(re.findall(r"\{\w+\}", english[key])) == set(re.findall(r"\{\w+\}", dutch[key])), key
        assert dutch[key].strip(), key


@pytest.mark.parametrize(
    ("header", "cookie", "lang"), [("nl-NL,nl;q=0.9", None, "nl"), ("fr", None, "en"), ("nl", "en", "en")]
)
def test_the_first_page_comes_in_the_readers_language(
    client: FlaskClient, header: str, cookie: str | None, lang: str
) -> None:
    if cookie:
        client.set_cookie("lang", cookie)
    answer = client.get("/", headers={"Accept-Language": header})
    assert (answer.status_code, answer.location) == (302, f"/{lang}/")


@LANGUAGES
def test_a_report_shows_three_counts_the_class_and_the_card(
    client: FlaskClient, ended: Callable[..., str], lang: str
) -> None:
    done = ended("quick")
    assert client.get(f"/{lang}/submissions/{done}").location == f"/{lang}/submissions/{done}/report"
    text = client.get(f"/{lang}/submissions/{done}/report").text
    words = Pages(lang)
    for key, count in (("beyond", 1), ("undecided", 2), ("within", 1)):
        assert f"<dt>{words(f'report.{key}')}</dt><dd>{count}</dd>" in text
    assert words.class_name("high_risk_annex_iii") in text
    assert "[" not in words.class_name("high_risk_annex_iii")
    assert f'href="/{lang}/submissions/{done}/card/model_card.{lang}.html"' in text
    for part in ("method", "law", "isolation", "unmeasured"):
        assert f'card/model_card.{lang}.html#{part}"' in text, "each part of the card is one step away"
    assert "aiact-sandbox judge dossier" in text
    assert "<iframe" not in text


def test_the_card_is_shown_below_the_way_back_and_can_run_nothing(
    client: FlaskClient, ended: Callable[..., str]
) -> None:
    done = ended("quick")
    answer = client.get(f"/nl/submissions/{done}/card/model_card.nl.html")
    before, _, card = answer.text.partition("</nav>")
    assert card == "<header><h1>Card nl</h1></header><script>alert(1)</script>", "the card itself is as it was written"
    assert f'href="/nl/submissions/{done}/report"' in before
    assert f'href="/nl/submissions/{done}/files/model_card.nl.pdf"' in before
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    # A card links to itself in the other language by its file name.
    sibling = answer.request.path.replace("model_card.nl", "model_card.en")
    assert client.get(sibling).text.count("<h1>Card en</h1>") == 1
    assert client.get(sibling.replace("model_card.en", "model_card.xx")).status_code == 404


def test_a_plot_is_saved_and_could_run_nothing_where_it_is_opened(
    client: FlaskClient, ended: Callable[..., str]
) -> None:
    answer = client.get(f"/nl/submissions/{ended('quick')}/files/plots/plot0.svg")
    assert answer.status_code == 200
    assert answer.mimetype == "image/svg+xml"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_dossier_comes_as_one_zip_and_the_same_one_every_time(
    client: FlaskClient, ended: Callable[..., str], settings: Settings
) -> None:
    done = ended("quick")
    first = client.get(f"/en/submissions/{done}/dossier.zip")
    assert first.headers["Content-Disposition"].startswith("attachment")
    assert first.data == client.get(f"/nl/submissions/{done}/dossier.zip").data
    with zipfile.ZipFile(io.BytesIO(first.data)) as archive:
        assert {"dossier.json", "run.json", "model_card.nl.html", "plots/plot0.svg"} <= set(archive.namelist())
        assert {i.date_time for i in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_file_of_the_dossier_is_sent_and_nothing_beside_it(client: FlaskClient, ended: Callable[..., str]) -> None:
    done = ended("quick")
    base = f"/en/submissions/{done}/files/"
    assert json.loads(client.get(base + "dossier.json").data)["schema"] == "1"
    for name in ("../sandbox.db", "%2e%2e/sandbox.db", "..%2f..%2fsandbox.db", "/etc/passwd", "plots", "nothing"):
        assert client.get(base + name).status_code in (404, 308), name


@LANGUAGES
def test_a_refused_submission_shows_each_problem_at_its_field_as_text(
    client: FlaskClient, ended: Callable[..., str], lang: str
) -> None:
    text = client.get(f"/{lang}/submissions/{ended('refused')}").text
    assert "<code>data.columns.sex</code>" in text
    assert "<code>model.file</code>" in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "\u202e" not in text
    assert "⟨U+202E⟩" in text


@LANGUAGES
def test_a_killed_assessment_says_what_happened(client: FlaskClient, ended: Callable[..., str], lang: str) -> None:
    text = client.get(f"/{lang}/submissions/{ended('killed')}").text
    assert "SIGKILL" in text
    assert ("out of memory" if lang == "en" else "geheugen") in text


def test_a_fault_of_ours_shows_its_number_and_no_detail(client: FlaskClient, ended: Callable[..., str]) -> None:
    failed = ended("broken")
    text = client.get(f"/en/submissions/{failed}").text
    assert re.search("Incident [0-9a-f]{12}", text)
    assert "secret" not in text
    assert "ZeroDivision" not in text


@pytest.mark.parametrize(
    "name",
    [
        HOSTILE + ".zip",
        "../../etc/passwd",
        "a\u0000b.zip",
        "x" * 5000 + ".zip",
        '"><img src=x>.zip',
        "\u202ecod.zip",
        "..",
    ],
)
def test_a_hostile_file_name_is_shown_as_text_and_never_used(
    submit: Submit, client: FlaskClient, settings: Settings, name: str
) -> None:
    answer = submit(b"x", name)
    assert answer.status_code == 303
    for page in (answer.location, "/nl/submissions", "/en/"):
        text = client.get(page).text
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "\u202e" not in text
        assert "\u0000" not in text
        assert len(text) < 40_000
    assert [p.name for p in (settings.state / "uploads").iterdir()] == [f"{answer.location.rpartition('/')[2]}.sealed"]


def test_a_hostile_system_name_is_text_in_the_report(client: FlaskClient, ended: Callable[..., str]) -> None:
    done = ended("quick", HOSTILE.encode())
    text = client.get(f"/en/submissions/{done}/report").text
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(("content", "name"), [(b"", "empty.zip"), (b"", "")])
def test_nothing_handed_in_is_said_at_the_form(submit: Submit, settings: Settings, content: bytes, name: str) -> None:
    answer = submit(content, name)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert list((settings.state / "uploads").iterdir()) == []


def test_an_upload_past_the_limit_is_refused_and_not_kept(
    submit: Submit, settings: Settings, database: Database
) -> None:
    for size in (settings.upload_bytes + 1, settings.upload_bytes * 3):
        answer = submit(b"x" * size)
        assert answer.status_code == 413
        assert Pages("en").bytes(settings.upload_bytes) in answer.text
    assert list((settings.state / "uploads").iterdir()) == []
    assert queue.newest(database) == []


def test_a_form_without_its_token_does_nothing(
    client: FlaskClient, token: str, settings: Settings, database: Database
) -> None:
    for sent in ({}, {"csrf": ""}, {"csrf": "x" * 43}):
        form = {**sent, "submission": (io.BytesIO(b"x"), "a.zip")}
        assert client.post("/en/submissions", data=form, content_type="multipart/form-data").status_code == 400
    assert list((settings.state / "uploads").iterdir()) == []
    assert queue.newest(database) == []


def test_two_files_at_once_are_refused_and_neither_is_kept(client: FlaskClient, token: str, settings: Settings) -> None:
    form = {"csrf": token, "submission": [(io.BytesIO(b"1"), "a.zip"), (io.BytesIO(b"2"), "b.zip")]}
    assert client.post("/en/submissions", data=form, content_type="multipart/form-data").status_code == 400
    assert list((settings.state / "uploads").iterdir()) == []


def test_a_page_of_another_site_can_send_nothing(client: FlaskClient, token: str, database: Database) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        form = {"csrf": token, "submission": (io.BytesIO(b"x"), "a.zip")}
        answer = client.post("/en/submissions", data=form, content_type="multipart/form-data", headers=headers)
        assert answer.status_code == 403
    assert queue.newest(database) == []


def test_this_machines_address_under_another_name_is_answered_nothing(client: FlaskClient) -> None:
    assert client.get("/en/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/en/", headers={"Host": "localhost:8080"}).status_code == 200


def test_every_answer_carries_the_headers(client: FlaskClient, ended: Callable[..., str]) -> None:
    done = ended("quick")
    for page in (
        "/",
        "/en/",
        "/en/nothing",
        "/static/style.css",
        f"/en/submissions/{done}/card/model_card.nl.html",
        "/api/v1/submissions/x",
    ):
        headers = client.get(page).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        if "/card/" not in page:
            assert "unsafe-inline" not in headers["Content-Security-Policy"]


def test_no_page_holds_script_or_style_of_its_own(
    client: FlaskClient, ended: Callable[..., str], submit: Submit
) -> None:
    for page in pages_of(ended, submit):
        text = client.get(f"/en/{page}").text
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
        assert all("src=" in tag for tag in re.findall("<script[^>]*>", text))
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_cookies_cannot_be_read_by_scripts(client: FlaskClient) -> None:
    cookies = client.get("/en/").headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    assert all("HttpOnly" in c and "SameSite=Lax" in c for c in cookies)


def test_a_waiting_submission_can_be_stopped(
    client: FlaskClient, submit: Submit, token: str, database: Database
) -> None:
    page = submit().location
    assert client.post(f"{page}/cancel").status_code == 400
    answer = client.post(f"{page}/cancel", data={"csrf": token})
    assert (answer.status_code, answer.location) == (303, page)
    assert queue.newest(database)[0].state == "cancelled"
    assert Pages("en")("status.title.cancelled") in client.get(page).text


@LANGUAGES
def test_without_scripts_the_page_reloads_itself_until_it_is_over(
    client: FlaskClient, submit: Submit, token: str, lang: str
) -> None:
    page = submit(lang=lang).location
    assert '<noscript><meta http-equiv="refresh"' in client.get(page).text
    client.post(f"{page}/cancel", data={"csrf": token})
    text = client.get(page).text
    assert "refresh" not in text
    assert "live.js" not in text


def test_events_tell_the_place_in_the_queue_then_each_stage_then_the_end(
    client: FlaskClient, submit: Submit, database: Database
) -> None:
    submit()
    page = submit().location
    stream = client.get(f"{page}/events")
    assert stream.mimetype == "text/event-stream"
    said = (json.loads(p.removeprefix("data: ")) for p in map(bytes.decode, stream.iter_encoded()) if p[0] == "d")
    assert next(said)["text"] == Pages("en")("status.waiting", count=1)
    first = queue.claim(database, worker="w")
    mine = queue.claim(database, worker="w")
    assert first is not None
    assert mine is not None
    assert next(said)["state"] == "running"
    queue.report(database, mine, stage="ask", done=128, total=512)
    now = next(said)
    assert (now["stage"], now["text"]) == ("ask", "Asking the model: 128 of 512")
    assert 40 < now["percent"] < 60
    queue.request_cancel(database, mine.submission_id, actor="web")
    assert next(said)["text"] == Pages("en")("status.stopping")
    queue.end(database, mine, state=queue.State.CANCELLED, actor="w")
    assert next(said)["over"] is True
    assert list(said) == []


def test_more_streams_than_can_be_borne_are_turned_away_and_freed_again(
    app: Flask, submit: Submit, database: Database
) -> None:
    submission_id = submit().location.rpartition("/")[2]
    streams, words = Streams(database, most=1), Pages("en")
    first = streams.open(submission_id, words)
    assert first is not None
    assert next(first).startswith("retry")
    assert streams.open(submission_id, words) is None
    first.close()  # type: ignore[attr-defined]
    assert streams.open(submission_id, words) is not None


@pytest.mark.parametrize(
    "page", ["", "/report", "/card/model_card.en.html", "/events", "/dossier.zip", "/files/dossier.json"]
)
def test_what_is_not_there_answers_not_found(client: FlaskClient, page: str) -> None:
    for submission_id in ("0" * 32, "x", "..%2f..", "%00"):
        assert client.get(f"/en/submissions/{submission_id}{page}").status_code in (404, 308)


def test_a_report_that_is_not_there_yet_answers_not_found(client: FlaskClient, submit: Submit) -> None:
    page = submit().location
    for part in ("report", "card/model_card.en.html", "dossier.zip"):
        assert client.get(f"{page}/{part}").status_code == 404
