"""A submission put together in the wizard and assessed by a real worker behind the wall."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from sandbox.app import create_app
from sandbox.drafting import jobs
from sandbox.engine import run
from sandbox.records import queue, uploads
from sandbox.records.database import migrate
from sandbox.settings import Settings
from tests.conftest import skip_or_fail
from tests.make.wizards import SYSTEM, TERMS, Wizard, answer_all


@pytest.fixture
def service_settings(settings: Settings) -> Settings:
    from sandbox.errors import CellUnavailable
    from sandbox.isolation.choose import choose

    try:
        choose("bubblewrap", settings)
    except CellUnavailable as none:
        skip_or_fail(str(none))
    return replace(settings, isolation="bubblewrap", listen="127.0.0.1:8080")


def table() -> bytes:
    rows = [
        f"{['f', 'm'][i % 2]},{1000 + 37 * i},{'yes' if i % 3 else 'no'},{'yes' if (i * 7) % 5 else 'no'}"
        for i in range(240)
    ]
    return ("sex,income,outcome,decision\n" + "\n".join(rows) + "\n").encode()


@pytest.mark.timeout(300)
def test_from_the_first_page_to_the_report_and_a_second_version_with_other_limits(service_settings: Settings) -> None:
    settings = service_settings
    migrate(settings)
    app = create_app(settings)
    database = app.extensions["aiact_sandbox"].database
    client = app.test_client()
    wizard = Wizard(client, "nl")
    reports = []
    for limit in ("0.8", "0.7"):
        wizard.keep("system", SYSTEM)
        wizard.keep("terms", TERMS)
        answer_all(wizard)
        wizard.upload("predictions", "advice.csv", table())
        assert jobs.do_next(settings, database)
        page = wizard.see("columns")
        assert "Gelezen in een cel." in page
        places = {n: i for i, n in enumerate(re.findall(r'aria-label="Rol van ([^"]+)"', page))}
        roles = {"sex": "group", "income": "feature", "outcome": "label", "decision": "ignore"}
        given = {f"role-{places[name]}": role for name, role in roles.items()}
        given |= {"task": "binary", "classes": "no\nyes", "favourable": "yes", "sampling": "all"}
        wizard.keep("columns", {**given, "decision": "nonsense"})
        wizard.keep(
            "limits", {"code-0": "fairness.selection_rate.ratio", "at_least-0": limit, "reason-0": "a convention"}
        )
        wizard.do("/check")
        assert jobs.do_next(settings, database)
        assert "Kolommen: Kolom met de beslissing" in wizard.see("check")
        assert wizard.do("/submit", confirm="yes").location.endswith("/check#wrong")
        wizard.keep("columns", {**given, "decision": "decision"})
        wizard.do("/check")
        assert jobs.do_next(settings, database)
        assert "Er is niets gevonden" in wizard.see("check")
        place = wizard.do("/submit", confirm="yes").location
        claimed = queue.claim(database, worker="test")
        assert claimed is not None
        run(claimed.submission_id, settings, token=claimed.token)
        found = queue.find(database, claimed.submission_id)
        assert found is not None
        assert found.state == "done", found.problems
        assert client.get(place).location.endswith("/report")
        reports.append(found)
        again = client.post(f"/nl/drafts/again/{found.id}", data={"csrf": wizard.token})
        wizard.id = again.location.split("/")[-2]
        assert f"/nl/submissions/{found.id}" in wizard.see(""), (
            "the page of the draft names what it is a new version of"
        )
        assert 'value="Loan advice"' in wizard.see("system")
    first, second = (
        json.loads((uploads.dossiers(settings) / str(r.dossier) / "run.json").read_bytes())["standing"] for r in reports
    )
    kept = {"residency": "", "retention_days": 12, "until_review": False}
    assert first == {"limits_changed": None, "results_before_limits": 0, **kept}
    assert second == {"limits_changed": True, "results_before_limits": 1, **kept}
    assert reports[1].previous == reports[0].id
    assert reports[1].name.rpartition(" ")[0] == reports[0].name.rpartition(" ")[0] == "Loan advice"
    card = (uploads.dossiers(settings) / str(reports[1].dossier) / "model_card.en.md").read_text()
    assert "These limits were recorded after 1 earlier results" in card
    assert "12 days, then erased" in card
    database.close()
