"""The card of one small assessment, word for word: a change of it is seen before it is made."""

from __future__ import annotations

import pytest

from tests.model_cards.golden.renew import FOLDER, documents


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return dict(documents())


@pytest.mark.parametrize("lang", ["en", "nl"])
@pytest.mark.parametrize("form", ["md", "html", "pdf.txt", "readme.yaml"])
def test_the_card_is_word_for_word_what_was_agreed(lang: str, form: str, made: dict[str, str]) -> None:
    name = f"card.{lang}.{form}"
    agreed = (FOLDER / name).read_text(encoding="utf-8")
    assert made[name].splitlines() == agreed.splitlines(), (
        "where the difference is meant: .venv/bin/python -m tests.model_cards.golden.renew"
    )


def test_every_golden_file_is_compared(made: dict[str, str]) -> None:
    assert {path.name for path in FOLDER.iterdir() if path.name.startswith("card.")} == set(made)
