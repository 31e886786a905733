"""The whole set of documents, in both languages, public and not, each held to its standard by that standard's means.

Counts and documents alone go with every run; Adult and the student-grant records take minutes: `make hand-over`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from model_cards.exports import exports
from sandbox.assess import assess
from sandbox.settings import Settings
from tests.make import hand_over, real

ALL = bool(os.environ.get("AIACT_SANDBOX_HAND_OVER"))
slow = pytest.mark.skipif(not ALL, reason="takes minutes: make hand-over")


def counts_only(folder: Path, source: Path) -> None:
    """Submit the counts of Adult's test rows by sex, as a provider would who hands in no row and no model."""
    table = real.read_adult(source / "adult" / "adult.test")
    decided = table["education-num"].gt(12).map({True: ">50K", False: "<=50K"})
    counts = pd.crosstab([table["sex"], table["income"], decided.rename("decision")], "rows").reset_index()
    folder.mkdir(parents=True)
    counts.rename(columns={"income": "label"}).to_csv(folder / "counts.csv", index=False)
    data = {"task": "binary", "classes": ["<=50K", ">50K"], "favourable": ">50K", "columns": {"sex": "group"}}
    _submit(folder, "Income estimate", counts={"file": "counts.csv"}, data=data)


def documents_only(folder: Path, _: Path) -> None:
    """Submit a technical documentation alone."""
    folder.mkdir(parents=True)
    text = "# Technical documentation\n\n## Intended purpose\n\nThe system orders letters by their date.\n"
    (folder / "technical_documentation.md").write_text(text, encoding="utf-8")
    _submit(folder, "Order of letters", documents=["technical_documentation.md"])


def _submit(folder: Path, name: str, **more: Any) -> None:
    real.write_submission(folder, {"format": 1, "system": real.system(name, public_body=True), **more})


@pytest.mark.real_data
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "submit",
    [
        counts_only,
        documents_only,
        pytest.param(real.student_grant, marks=slow),
        pytest.param(real.adult, marks=slow),
    ],
)
def test_every_document_of_the_set_is_made_and_valid(
    submit: Callable[[Path, Path], Any], settings: Settings, tmp_path: Path, real_data: Path
) -> None:
    submit(tmp_path / "submission", real_data)
    settings = replace(settings, isolation="bubblewrap")
    assess(tmp_path / "submission", out=tmp_path / "dossier", settings=settings, log_to_mlflow=False)
    made = dict(hand_over.whole_set(tmp_path / "dossier", tmp_path, settings))
    assert len(made) == len(exports()) * 2 * 2
    found = {name: hand_over.faults(name.partition("/")[0], content) for name, content in made.items()}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert all(made[f"pdf/{lang}/public"] != made[f"pdf/{lang}/whole"] for lang in ("en", "nl"))
