"""The examples are what their script makes, and each is assessed to the class that it says."""

from __future__ import annotations

import datetime as dt
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from checks.ai_act import rules as law
from checks.ai_act.answers import Profile, check_answers
from checks.ai_act.classify import next_questions
from checks.finding import Outcome
from sandbox.assess import assess
from sandbox.settings import Settings
from sandbox.starting import SECTORS, start

FOLDER = Path(__file__).resolve().parents[2] / "examples"
TODAY = dt.date(2026, 11, 24)
EXPECTED = {
    "credit": ("high_risk_annex_iii", "provider_9", "consumer_credit"),
    "benefits": ("high_risk_annex_iii", "deployer_27", "nl_algorithm_register_high_risk"),
    "letters": ("minimal", "provider_4", "nl_algorithm_register_impactful"),
    "maintenance": ("minimal", "provider_4", "cyber_resilience"),
    "imaging": ("high_risk_annex_i_a", "provider_43_3", "medical_devices"),
    "recruitment": ("high_risk_annex_iii", "deployer_26_7", "equal_treatment"),
    "education": ("high_risk_annex_iii", "provider_10", "equal_treatment"),
    "energy": ("minimal", "deployer_4", "cyber_resilience"),
}


def the_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("examples_make", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_sector_has_an_example_and_an_expectation() -> None:
    folders = {p.name for p in FOLDER.iterdir() if p.is_dir() and p.name[0] not in "._"}
    assert set(SECTORS) == set(EXPECTED) == folders - {"pipelines"}


@pytest.mark.parametrize("sector", SECTORS)
def test_an_example_is_what_its_script_makes(sector: str, tmp_path: Path) -> None:
    the_script().make(tmp_path)
    assert contents(tmp_path / sector) == contents(FOLDER / sector)
    assert all(b"\0" not in content for content in contents(FOLDER / sector).values())


@pytest.mark.parametrize("sector", SECTORS)
def test_an_example_is_assessed_to_its_class_with_figures_and_its_own_limits(
    sector: str, settings: Settings, tmp_path: Path
) -> None:
    assessed = assess(
        FOLDER / sector,
        out=tmp_path / "dossier",
        settings=settings,
        as_of=TODAY,
        seed=3,
        languages=("en",),
        log_to_mlflow=False,
    )
    dossier = assessed.assessment.dossier
    risk_class, duty, other = EXPECTED[sector]
    assert dossier.risk.risk_class == risk_class
    assert duty in {d.id for d in dossier.risk.duties}
    assert other in {o.id for o in dossier.risk.other_law}
    assert [f.check for f in dossier.findings if f.outcome is Outcome.ERROR] == []
    by_provider = {
        f"{f.check}.{name}" for f in dossier.findings for name, a in f.limit.items() if a.origin == "provider"
    }
    assert by_provider == set(SECTORS[sector].limits)
    assert any(g.rows >= 30 and g.measures for f in dossier.findings for g in f.groups)
    sheet = dossier.finding("documentation.datasheet")
    assert sheet is not None
    assert {i.state for i in sheet.items} == {"found"}


@pytest.mark.parametrize("sector", SECTORS)
def test_a_start_without_a_table_is_assessed_as_documents(sector: str, settings: Settings, tmp_path: Path) -> None:
    start(tmp_path / "s", sector=sector, settings=settings)
    assessed = assess(
        tmp_path / "s", out=tmp_path / "d", settings=settings, as_of=TODAY, languages=("nl",), log_to_mlflow=False
    )
    dossier = assessed.assessment.dossier
    assert dossier.risk.risk_class == EXPECTED[sector][0]
    written = dossier.finding("documentation.annex_iv")
    assert written is not None
    assert {i.state for i in written.items} <= {"placeholder", "not_found"}


@pytest.mark.parametrize("sector", SECTORS)
def test_the_likely_answers_of_a_sector_leave_no_question_open(sector: str) -> None:
    words, rules = SECTORS[sector], law.load()
    assert check_answers(words.answers, rules) == ()
    profile = Profile(roles=words.roles, public_body=words.public_body, size=words.size, country=words.country)
    assert next_questions(words.answers, profile, rules, as_of=TODAY) == ()
