"""Every refusal has words in every language, with the same slots."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import sandbox.intake
from model_cards.words import languages, texts
from sandbox.intake.columns import _REASONS
from sandbox.intake.declaring import _OWN_WORDS

CODE = re.compile(r"^[a-z]+\.[a-z0-9_]+$")
SLOT = re.compile(r"\{([a-z_]+)\}")


def _codes_in_the_source() -> set[str]:
    """Collect the texts of the form of a code that stand where a problem is made, or in a table of codes."""
    found = {code for code, _ in _OWN_WORDS} | set(_REASONS.values())
    families = {code.partition(".")[0] for code in texts("en")["refusals"]}
    folder = Path(sandbox.intake.__file__).parent
    beside = (folder.parent / "environments" / "requirements.py", folder.parent / "starting.py")
    for path in (*folder.glob("*.py"), *beside):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.match(node.value):
                family, _, rest = node.value.partition(".")
                if family in families and rest not in ("file", "yaml", "yml", "inputs", "csv", "txt"):
                    found.add(node.value)
    from checks.ai_act.answers import AnswerProblem

    return found | {f"answers.{c}" for c in ast.literal_eval(_options(AnswerProblem)) if c != "no_such_question"}


def _options(model: type) -> str:
    from typing import get_args

    return repr(list(get_args(model.model_fields["code"].annotation)))  # type: ignore[attr-defined]


def test_every_code_that_is_used_has_words_and_every_word_is_used() -> None:
    used = _codes_in_the_source()
    fields = {"data.file", "counts.file", "predictions.file", "model.file", "inputs.order", "predictions.decision"}
    fields |= {"data.columns", "model.allow_code", "model.requirements", "predictions.score"}
    worded = set(texts("en")["refusals"])
    assert used - fields - worded == set()
    assert worded - used == set()


@pytest.mark.parametrize("lang", [lang for lang in languages() if lang != "en"])
def test_every_language_has_the_same_refusals_with_the_same_slots(lang: str) -> None:
    english, other = texts("en")["refusals"], texts(lang)["refusals"]
    assert set(english) == set(other)
    for code, sentence in english.items():
        assert set(SLOT.findall(sentence)) == set(SLOT.findall(other[code])), code
        assert other[code] != sentence or code == "declaration.rule"


def test_a_refusal_never_shows_an_unfilled_slot(refusal, tmp_path: Path) -> None:
    from tests.make.submissions import predictions

    for found in refusal(predictions(tmp_path / "s", table="a,a\n", data={"clases": [], "task": "bin"})).values():
        assert "{" not in found.message
