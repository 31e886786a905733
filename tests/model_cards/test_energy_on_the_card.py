"""What the card says of processor time and energy: per 1,000 predictions, and that it was not told where it was not."""

from __future__ import annotations

import pytest

from model_cards.card import Entries
from model_cards.dossier import Assessment
from model_cards.material import Material
from model_cards.sections.isolation import section
from model_cards.words import Words
from tests.make.assessments import assessment as made


def told(assessment: Assessment, language: str) -> str:
    material = Material(assessment=assessment, words=Words(language))
    entries = [e for b in section(material).blocks if isinstance(b, Entries) for e in b.entries]
    return "\n".join(f"{e.term}: {''.join(s.text for line in e.lines for s in line)}" for e in entries)


@pytest.mark.parametrize(
    ("language", "time", "energy", "none"),
    [
        ("en", "0.0813", "3.9 joules", "does not tell"),
        ("nl", "0,0813", "3,9 joule", "vertelt het niet"),
    ],
)
def test_time_and_energy_stand_on_the_card_per_thousand_predictions(
    language: str, time: str, energy: str, none: str
) -> None:
    assessment = made()
    said = told(assessment, language)
    assert time in said
    assert energy in said
    assert none not in said
    assert assessment.run is not None
    assert assessment.run.receipt is not None
    quiet = assessment.run.receipt.model_copy(update={"joules": None, "joules_per_1000_predictions": None})
    untold = assessment.model_copy(update={"run": assessment.run.model_copy(update={"receipt": quiet})})
    assert none in told(untold, language)
    assert energy not in told(untold, language)
