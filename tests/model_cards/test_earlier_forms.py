"""A dossier whose path holds questions and answers of an earlier form renders and exports as it was judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checks import resources
from checks.ai_act.risk import PathStep
from model_cards.dossier import Assessment, Dossier
from model_cards.exports import exports
from model_cards.words import Words, languages
from sandbox.exporting import export
from tests.make.assessments import assessment, high_risk
from tests.make.dossiers import bare

OPTIONS = {
    "gpai_systemic": ("no", "yes", "unknown"),
    "gpai_open": ("no", "yes", "unknown"),
    "gpai_placed": ("before_2025_08_02", "later"),
    "manipulation_effect": ("harm", "no_harm", "ordinary_persuasion"),
    "vulnerability_effect": ("harm", "no_harm", "no_distortion"),
    "imagery_design": ("intended", "foreseeable", "used_for_it", "safeguards", "consent"),
    "abuse_design": ("intended", "foreseeable", "safeguards", "right_in_law"),
    "identification_exception": ("none", "victims", "threat", "suspect"),
    "identification_conditions": ("all_met", "not_all_met", "unknown"),
    "benefits_use": ("entitlement", "fraud_signal", "route_to_handler"),
    "credit_use": ("persons", "fraud_detection", "companies_only", "none"),
    "insurance_use": ("life_health", "other_insurance", "claims"),
    "emergency_use": ("calls", "dispatch", "triage"),
    "enforcement_use": ("victim_risk", "polygraph", "evidence", "administration"),
    "migration_use": ("polygraph", "risk", "applications", "document_check"),
    "large_scale_system": ("no", "yes"),
    "justice_use": ("interpret_law", "dispute_resolution", "ancillary"),
    "elections_use": ("influence", "campaign_logistics"),
    "deepfake": ("no", "yes", "artistic", "police"),
    "public_text": ("no", "yes", "reviewed", "police"),
    "behaviour_effect": ("harm",),
    "content_design": ("intended", "foreseeable", "used_for_it"),
}


def steps() -> tuple[PathStep, ...]:
    return tuple(
        PathStep(question=question, answer=option, provision="AIA 6(2)", confidence="primary")
        for question, options in OPTIONS.items()
        for option in options
    )


def stored() -> Assessment:
    risk = high_risk().model_copy(update={"path": steps(), "undecided_by": ("credit_use", "imagery_design")})
    given = assessment(risk=risk)
    answers: dict[str, Any] = {q: o if len(o) > 1 else o[0] for q, o in OPTIONS.items()}
    declaration = given.dossier.declaration.model_copy(update={"answers": answers})
    return given.model_copy(update={"dossier": given.dossier.model_copy(update={"declaration": declaration})})


def test_every_question_that_was_put_in_an_earlier_form_is_looked_at() -> None:
    former = {f["question"] for f in resources.read("ai_act/rules/questions.yaml")["formerly"]}
    assert former <= set(OPTIONS)


@pytest.mark.parametrize("lang", languages())
def test_questions_and_answers_of_an_earlier_form_are_said_in_its_words(lang: str) -> None:
    words = Words(lang)
    for step in steps():
        said = (words.question(step.question), words.answer(step.question, step.answer))
        assert not [text for text in said if text.startswith("[")], step


@pytest.mark.parametrize("lang", languages())
def test_a_dossier_with_an_earlier_path_is_read_back_and_rendered_in_every_format(lang: str) -> None:
    given = stored()
    given = given.model_copy(update={"dossier": Dossier.from_json(given.dossier.to_json())})
    words = Words(lang)
    for name, export_of in exports().items():
        content = export_of.render(given, lang)
        assert content, name
        if name in ("markdown", "html", "system_card"):
            text = content.decode()
            assert "[questions." not in text, name
            assert words.question("credit_use") in " ".join(text.split()), name
            assert words.answer("emergency_use", "triage") in " ".join(text.split()), name


@pytest.mark.parametrize("name", ["system_card", "fria", "annex_viii", "algorithm_register"])
def test_a_stored_dossier_with_an_earlier_path_is_exported_without_being_judged_again(
    name: str, tmp_path: Path
) -> None:
    folder = bare(tmp_path / "dossier", stored())
    before = (folder / "dossier.json").read_bytes()
    made = export(folder, name, lang="nl", out=tmp_path / "made")
    assert b"[questions." not in made.read_bytes()
    assert (folder / "dossier.json").read_bytes() == before
