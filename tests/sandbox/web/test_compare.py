"""Two submissions of one system beside each other: what changed, in both languages, and nothing that runs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from checks.ai_act.risk import Duty, PathStep
from model_cards.words import Words
from sandbox.records import dossier_store, queue
from sandbox.records.database import Database
from sandbox.records.tables import Submission
from sandbox.review.portfolio import portfolio
from sandbox.settings import Settings
from sandbox.web.duties import matrix
from sandbox.web.path_drawing import LETTERS, diagram
from sandbox.web.security import DOCUMENT_POLICY
from tests.make import runs
from tests.make.runs import HOSTILE


def test_a_report_offers_its_other_versions_and_the_comparison_opens(
    client: FlaskClient, ended: Callable[..., str]
) -> None:
    first, second, other = ended("quick"), ended("quick"), ended("quick", b"Another system")
    page = client.get(f"/en/submissions/{second}/report").text
    assert f"/en/submissions/{second}/compare/{first}" in page
    assert other not in page
    for lang, word in (("en", "Comparison"), ("nl", "Vergelijking")):
        where = f"/{lang}/submissions/{second}/compare/{first}"
        shown = client.get(where)
        assert shown.status_code == 200
        assert word in shown.text
        document = client.get(f"{where}/comparison.html")
        assert document.status_code == 200
        assert document.headers["Content-Security-Policy"] == DOCUMENT_POLICY
        assert f'lang="{lang}"' in document.text
        assert "Loan decisions" in document.text


def test_two_systems_are_compared_and_said_to_be_two(client: FlaskClient, ended: Callable[..., str]) -> None:
    first, second = ended("quick"), ended("quick", b"Another system")
    document = client.get(f"/en/submissions/{second}/compare/{first}/comparison.html").text
    assert "Another system" in document
    assert "Loan decisions" in document


def test_what_has_no_dossier_is_compared_with_nothing(client: FlaskClient, ended: Callable[..., str]) -> None:
    first, refused = ended("quick"), ended("refused")
    for one, two in ((first, refused), (refused, first), (first, "0" * 32)):
        assert client.get(f"/en/submissions/{one}/compare/{two}").status_code == 404
        assert client.get(f"/en/submissions/{one}/compare/{two}/comparison.html").status_code == 404


def test_the_portfolio_has_each_system_once_with_its_next_date(
    client: FlaskClient, ended: Callable[..., str], database: Database, settings: Settings
) -> None:
    assert "Nothing has been assessed yet" in client.get("/en/portfolio").text
    ended("refused")
    first, second, other = ended("quick"), ended("quick"), ended("quick", b"Another <b>system</b>")
    found = queue.find(database, second)
    assert found is not None
    file = dossier_store.folder(settings, str(found.dossier)) / "dossier.json"
    given = json.loads(file.read_bytes())
    duty = {
        "id": "logs",
        "provision": "AIA 12",
        "role": "provider",
        "applies_from_original": None,
        "contested": False,
        "status": "not_yet_due",
    }
    given["risk"]["duties"] = [
        {**duty, "applies_from": day} for day in ("2025-02-02", "2028-08-02", "2027-12-02", None)
    ]
    file.write_text(json.dumps(given))
    today = dt.date(2026, 11, 24)
    places = portfolio(
        database, partial(dossier_store.folder, settings), organisations=None, today=today, policy="default"
    )
    assert [(p.newest.id, p.versions) for p in places] == [(other, 1), (second, 2)]
    assert (places[1].next_date, places[1].next_duties) == (dt.date(2027, 12, 2), ("logs",))
    assert places[0].next_date is None
    nothing = partial(portfolio, database, partial(dossier_store.folder, settings), today=today, policy="default")
    assert nothing(organisations=["x"]) == []
    page = client.get("/nl/portfolio").text.replace("\xa0", " ")
    assert "2 december 2027" in page
    assert "Another &lt;b&gt;system&lt;/b&gt;" in page
    assert first not in page


def made(submission: str, database: Database, settings: Settings, **risk: Any) -> None:
    """Give a finished submission a dossier whose risk part says something."""
    found = queue.find(database, submission)
    assert found is not None
    dossier = runs.dossier()
    dossier = dossier.model_copy(update={"risk": dossier.risk.model_copy(update=risk)})
    (dossier_store.folder(settings, str(found.dossier)) / "dossier.json").write_bytes(dossier.to_json())
    with database.writing() as session:
        session.execute(update(Submission).where(Submission.id == submission).values(dossier_digest=dossier.digest))


def duty(name: str, role: str, day: str | None) -> Duty:
    return Duty.model_validate(
        {
            "id": name,
            "provision": "AIA 12",
            "role": role,
            "applies_from": day,
            "applies_from_original": None,
            "contested": False,
            "evidence": ["accuracy.overall"],
            "status": "partial",
        }
    )


def test_duties_stand_in_a_matrix_that_a_role_and_a_date_filter(
    client: FlaskClient, ended: Callable[..., str], database: Database, settings: Settings
) -> None:
    submission = ended("quick")
    duties = (
        duty("logs", "provider", "2027-12-02"),
        duty("human_oversight", "provider", "2026-08-02"),
        duty("human_oversight", "deployer", "2026-08-02"),
        duty("registration", "deployer", None),
    )
    made(submission, database, settings, duties=duties)
    assert [row.title for row in matrix(duties, str).rows] == ["human_oversight", "logs", "registration"]
    only = matrix(duties, str, role="deployer")
    assert (only.shown, [row.title for row in only.rows]) == (["deployer"], ["human_oversight", "registration"])
    by = matrix(duties, str, by=dt.date(2027, 1, 1))
    assert ([row.title for row in by.rows], by.left_out) == (["human_oversight", "registration"], 1)
    one = matrix((duty("a.provider", "provider", None), duty("a.deployer", "deployer", None)), lambda _: "Literacy")
    assert [sorted(row.by_role) for row in one.rows] == [["deployer", "provider"]], "one duty of two roles is one row"
    where = f"/en/submissions/{submission}/law"
    assert client.get(where).text.count('<tr role="row">') == 1 + 3
    shown = client.get(f"{where}?role=deployer&by=2027-01-01").text
    assert shown.count('<tr role="row">') == 1 + 2
    assert '<option value="deployer" selected>' in shown
    assert client.get(f"{where}?role=<b>&by=soon").status_code == 200


def test_the_way_to_the_class_is_drawn_and_told(
    client: FlaskClient, ended: Callable[..., str], database: Database, settings: Settings
) -> None:
    submission = ended("quick")
    steps = [
        {"question": "scope.ai_system", "answer": "yes", "provision": "AIA 3(1)", "confidence": "primary"},
        {"question": HOSTILE, "answer": "yes", "provision": "AIA 6(2) " + "long " * 90, "confidence": "draft"},
    ]
    risk = runs.dossier().risk
    path = tuple(PathStep.model_validate(step) for step in steps)
    made(submission, database, settings, path=path)
    page = client.get(f"/nl/submissions/{submission}/law").text
    assert page.count('<g class="box ') == 3
    assert '<g class="box unsure">' in page
    assert '<title id="path-name">' in page
    assert "<script>alert" not in page
    drawn = diagram(risk.model_copy(update={"path": path}), Words("nl"), "Hoog risico")
    assert drawn.boxes[-1].lines[0].text == "Hoog risico"
    for box, after in pairwise(drawn.boxes):
        assert after.y > box.y + box.height, "no two boxes touch"
    assert all(len(line.text) <= LETTERS[line.style] for box in drawn.boxes for line in box.lines)
    assert drawn.height >= drawn.boxes[-1].y + drawn.boxes[-1].height


def test_a_report_says_in_a_minute_what_it_comes_to_and_how_to_do_it_again(
    client: FlaskClient, ended: Callable[..., str]
) -> None:
    submission = ended("quick")
    for lang, beyond in (("en", "Beyond the limit set"), ("nl", "Buiten de gestelde grens")):
        page = client.get(f"/{lang}/submissions/{submission}/report").text
        assert page.index('id="summary-beyond"') < page.index('id="card"')
        assert beyond in page
        assert "--policy default --as-of 2026-06-01 --seed 4 --out again" in page
        assert f"/{lang}/submissions/{submission}/card/model_card.{lang}.html#fairness-selection-rate-1" in page
        assert page.index(Words(lang)("card.attested.service")) < page.index('class="counts"')


def test_runs_are_linked_where_a_tracking_server_has_pages(client: FlaskClient, app: Flask) -> None:
    assert 'href="/mlflow/"' not in client.get("/en/").text
    there = replace(app.extensions["aiact_sandbox"].settings, mlflow_tracking_uri="http://127.0.0.1:9")
    app.extensions["aiact_sandbox"] = replace(app.extensions["aiact_sandbox"], settings=there)
    assert 'href="/mlflow/"' in client.get("/en/").text
