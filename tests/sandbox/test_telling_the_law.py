"""What is contested or not read in the law itself stands in the words of `classify`, not only in the file."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import yaml

from checks.ai_act.rules import load
from model_cards.words import Words
from sandbox.questionnaire import classify, form, told
from sandbox.settings import Settings
from sandbox.starting import start

TODAY = dt.date(2026, 11, 24)
BENEFITS = {
    "exclusion": "none",
    "how_it_works": "learned",
    "gpai": "no",
    "practices": ["none"],
    "product_acts": ["none"],
    "areas": ["benefits"],
    "services_use": ["fraud_signal"],
    "users": ["public_authority"],
    "profiling": "yes",
    "interacts": "no",
    "generates": ["none"],
    "placed_when": "not_yet",
    "personal_data": "yes",
    "persons_decision": "assists",
    "citizen_effect": "legal_effect",
}


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_what_a_class_rests_on_is_said_beside_it(lang: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    organisation = {"roles": ["provider", "deployer"], "public_body": "yes", "country": "NL"}
    path.write_text(yaml.safe_dump({"organisation": organisation, "answers": BENEFITS}), encoding="utf-8")
    risk = classify(path, as_of=TODAY)
    said = told(risk, lang)
    words = Words(lang)
    assert risk.routes[0].basis == "draft"
    assert words("law.basis.draft") in said
    assert words("law.confidence.draft") in said, "on the answer that rests on draft guidelines"
    contested = next(d for d in risk.duties if d.applies_from_other_reading)
    assert words.date(contested.applies_from_other_reading) in said, "both readings of a contested date"
    unread = next(o for o in risk.other_law if o.confidence != "primary")
    assert f"{words.other_law(unread.id)} ({unread.provision})" in said
    assert words(f"law.confidence.{unread.confidence}") in said


def test_the_form_says_with_which_answer_an_option_goes() -> None:
    text = " ".join(form("en").replace("#", " ").split())
    assert "(only with areas=credit)" in text
    assert sum(1 for q in load().questions if f" {q.id}: unknown" in text) == len(load().questions)


def test_a_file_of_an_earlier_form_is_still_read(tmp_path: Path) -> None:
    earlier = {k: v for k, v in BENEFITS.items() if k != "services_use"} | {"benefits_use": ["fraud_signal"]}
    for name, answers in (("now", BENEFITS), ("earlier", earlier)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(answers), encoding="utf-8")
    now, before = (classify(tmp_path / f"{name}.yaml", as_of=TODAY) for name in ("now", "earlier"))
    assert now == before


def test_answers_beside_their_submission_are_read_for_who_hands_it_in(settings: Settings, tmp_path: Path) -> None:
    start(tmp_path / "s", sector="benefits", settings=settings)
    of_the_folder = classify(tmp_path / "s", as_of=TODAY)
    assert {"deployer_27", "deployer_26_8"} <= {d.id for d in of_the_folder.duties}
    assert "nl_algorithm_register" in {o.id for o in of_the_folder.other_law}
    assert classify(tmp_path / "s" / "answers.yaml", as_of=TODAY) == of_the_folder
    form_within = {"organisation": {"roles": ["importer"]}, "answers": BENEFITS | {"services_use": ["reclaim_signal"]}}
    (tmp_path / "s" / "answers.yaml").write_text(yaml.safe_dump(form_within), encoding="utf-8")
    assert "importer" not in {d.role for d in classify(tmp_path / "s", as_of=TODAY).duties}, "as the form says"


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_a_duty_that_does_not_reach_an_older_system_says_so(lang: str, tmp_path: Path) -> None:
    credit = {"areas": ["credit"], "services_use": ["credit_persons"], "users": ["others"]}
    older = BENEFITS | credit | {"placed_when": "before_2026_08_02", "design_change": "no", "role_change": ["none"]}
    path = tmp_path / "answers.yaml"
    path.write_text(yaml.safe_dump(older), encoding="utf-8")
    risk = classify(path, as_of=TODAY)
    assert "not_applicable" in {d.status for d in risk.duties}
    words = Words(lang)
    said = told(risk, lang)
    assert words.duty_note("legacy_unchanged") in said
    lifted = next(d for d in risk.duties if d.status == "not_applicable")
    assert f"{words.duty(lifted.id)} ({lifted.provision}), {words('law.statuses.not_applicable')}" in said


def test_nothing_answered_leaves_no_heading_without_a_line_under_it(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text(form("en"), encoding="utf-8")
    risk = classify(path, as_of=TODAY)
    assert risk.path
    assert Words("en")("terminal.path") not in told(risk, "en")
