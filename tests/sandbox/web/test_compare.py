"""Two submissions of one system beside each other: what changed, in both languages, and nothing that runs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable

from flask.testing import FlaskClient

from sandbox.records import queue, uploads
from sandbox.records.database import Database
from sandbox.review.portfolio import portfolio
from sandbox.settings import Settings
from sandbox.web.security import DOCUMENT_POLICY


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
    file = uploads.dossiers(settings) / str(found.dossier) / "dossier.json"
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
    places = portfolio(database, uploads.dossiers(settings), organisations=None, today=today)
    assert [(p.newest.id, p.versions) for p in places] == [(other, 1), (second, 2)]
    assert (places[1].next_date, places[1].next_duties) == (dt.date(2027, 12, 2), ("logs",))
    assert places[0].next_date is None
    assert portfolio(database, uploads.dossiers(settings), organisations=["x"], today=today) == []
    page = client.get("/nl/portfolio").text.replace("\xa0", " ")
    assert "2 december 2027" in page
    assert "Another &lt;b&gt;system&lt;/b&gt;" in page
    assert first not in page
