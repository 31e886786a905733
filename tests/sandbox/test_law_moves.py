"""The same dossier under the text of 2024 and under the current one: other dates, and two practices that are new."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from model_cards.dossier import Assessment
from sandbox.assess import assess
from sandbox.judge_again import judge_again
from sandbox.settings import Settings
from sandbox.starting import SECTORS
from tests.make.submissions import dump

BEFORE, NOW = "32024R1689.1", "02024R1689-20260727.1"
AFTER_THE_NEW_PRACTICES = dt.date(2026, 12, 3)


def submitted(folder: Path, answers: dict[str, Any], **more: Any) -> Path:
    folder.mkdir()
    system = {
        "name": "System",
        "version": "1",
        "provider": {"name": "Example", "country": "NL"},
        "roles": ["provider", "deployer"],
        "intended_purpose": "What it is for.",
    }
    given = {k: list(v) if isinstance(v, tuple) else v for k, v in answers.items()}
    (folder / "submission.yaml").write_text(dump({"format": 1, "system": system, "answers": "a.yaml", **more}))
    (folder / "a.yaml").write_text(dump(given))
    return folder


def under_both(
    answers: dict[str, Any], settings: Settings, tmp_path: Path, as_of: dt.date = AFTER_THE_NEW_PRACTICES
) -> tuple[Assessment, Assessment]:
    first = submitted(tmp_path / "s", answers)
    assess(first, out=tmp_path / "now", settings=settings, as_of=as_of, languages=("en",), log_to_mlflow=False)
    both = tuple(
        judge_again(
            tmp_path / "now",
            out=tmp_path / version,
            settings=settings,
            rules_version=version,
            as_of=as_of,
            languages=("en",),
        )
        for version in (BEFORE, NOW)
    )
    return both[0], both[1]


def card_of(folder: Path) -> str:
    return (folder / "model_card.en.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("sector", "duty", "before", "now"),
    [
        ("credit", "provider_9", "2026-08-02", "2027-12-02"),
        ("imaging", "provider_9", "2027-08-02", "2028-08-02"),
    ],
)
def test_the_same_dossier_has_other_dates_under_the_text_of_2024(
    sector: str, duty: str, before: str, now: str, settings: Settings, tmp_path: Path
) -> None:
    old, new = under_both(dict(SECTORS[sector].answers), settings, tmp_path)
    assert old.dossier.risk.risk_class == new.dossier.risk.risk_class
    assert (old.dossier.risk.rules_version, new.dossier.risk.rules_version) == (BEFORE, NOW)
    found = [next(d for d in a.dossier.risk.duties if d.id == duty) for a in (old, new)]
    assert [d.applies_from for d in found] == [dt.date.fromisoformat(before), dt.date.fromisoformat(now)]
    assert found[1].applies_from_original == dt.date.fromisoformat(before)
    assert old.dossier.declaration == new.dossier.declaration
    assert old.dossier.submission == new.dossier.submission


@pytest.mark.parametrize(
    ("practice", "design"), [("intimate_imagery", "imagery_intended"), ("abuse_material", "abuse_intended")]
)
def test_the_two_new_practices_are_prohibited_under_the_current_text_alone(
    practice: str, design: str, settings: Settings, tmp_path: Path
) -> None:
    answers = {
        **SECTORS["maintenance"].answers,
        "how_it_works": "generative",
        "practices": [practice],
        "content_design": [design],
        "generates": ["media"],
        "generates_exception": "none",
        "published": ["none"],
        "placed_when": "not_yet",
    }
    old, new = under_both(answers, settings, tmp_path)
    assert new.dossier.risk.risk_class == "prohibited"
    assert old.dossier.risk.risk_class == "transparency"
    assert [r.rule for r in old.dossier.risk.routes if r.risk_class == "prohibited"] == []
    assert "5(1)(b" in card_of(tmp_path / NOW)
    assert "everyone_5_new" in {d.id for d in new.dossier.risk.duties} - {d.id for d in old.dossier.risk.duties}


def test_the_day_before_the_new_practices_apply_they_give_no_class_yet(settings: Settings, tmp_path: Path) -> None:
    answers = {
        **SECTORS["maintenance"].answers,
        "how_it_works": "generative",
        "practices": ["intimate_imagery"],
        "content_design": ["imagery_intended"],
        "generates": ["media"],
        "generates_exception": "none",
        "published": ["none"],
        "placed_when": "not_yet",
    }
    _, new = under_both(answers, settings, tmp_path, dt.date(2026, 12, 1))
    assert new.dossier.risk.risk_class == "transparency"
    assert [r.counts for r in new.dossier.risk.routes if r.risk_class == "prohibited"] == [False]


def test_what_is_contested_draft_or_unverified_stands_in_the_text_of_the_card(
    settings: Settings, tmp_path: Path
) -> None:
    under_both(dict(SECTORS["credit"].answers), settings, tmp_path)
    card = " ".join(card_of(tmp_path / NOW).split())
    assert "guidelines" in card
    assert "What else the law says of this system" in card
    assert "2 August 2026" in card, "the literal reading of a contested date"
    assert "2023/2225" in card


def test_comparing_both_says_that_the_law_moved(settings: Settings, tmp_path: Path) -> None:
    from sandbox import comparing

    under_both(dict(SECTORS["credit"].answers), settings, tmp_path)
    told = comparing.as_text(comparing.compare_folders(tmp_path / BEFORE, tmp_path / NOW), "en")
    assert BEFORE in told
    assert NOW in told
    assert "duties came, went or changed" in told
    assert " 0 duties" not in told
