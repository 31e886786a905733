"""What the card says of cells that other workers lent: how many rows they answered, behind which walls."""

from __future__ import annotations

import pytest

from model_cards.dossier import LentCell, Run
from tests.make.assessments import assessment as made
from tests.model_cards.test_energy_on_the_card import told


@pytest.mark.parametrize(
    ("language", "term", "said"),
    [
        ("en", "Answered by other workers", "12,000 of the rows, by 3 cells of 2 idle workers"),
        ("nl", "Beantwoord door andere werkers", "12.000 van de rijen, door 3 cellen van 2 werkers"),
    ],
)
def test_rows_that_other_workers_answered_stand_on_the_card_with_their_walls(
    language: str, term: str, said: str
) -> None:
    assessment = made()
    assert assessment.run is not None
    assert assessment.run.receipt is not None
    assert term not in told(assessment, language)
    own = assessment.run.receipt
    lent = tuple(LentCell(worker=worker, rows_answered=4_000, receipt=own) for worker in ("b", "b", "c"))
    run = assessment.run.model_copy(update={"receipt": own.model_copy(update={"lent": lent})})
    shared = told(assessment.model_copy(update={"run": run}), language)
    assert f"{term}: {said}" in shared
    # Two cells of one worker stand behind one wall that was tried once.
    assert f"({2 * len(own.probes)} " in shared
    assert Run.from_json(run.to_json()) == run
