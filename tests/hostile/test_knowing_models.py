"""Models that know what they were asked, each in real cells through a whole assessment."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from sandbox.assess import Assessed, assess
from sandbox.settings import Settings
from tests.make import real

pytestmark = pytest.mark.bubblewrap

RULE = """
import numpy as np
def rule(X):
    return 1 / (1 + np.exp(-((X["income"] - 30) / 8 + (X["months"] - 30) / 30)))
def both(p):
    return np.column_stack([1 - p, p])
"""
MODEL = """
class Model:
    classes_ = np.array(["no", "yes"])
    feature_names_in_ = np.array(["income", "months"])
    asked = 0
    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
    def predict_proba(self, X):
"""


def submitted(folder: Path, body: str, rows: int) -> Path:
    """Submit a pickled model whose `predict_proba(self, X)` has this body."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"income": rng.normal(30, 8, rows).round(2), "months": rng.integers(1, 60, rows)})
    pull = (table["income"] - 30) / 8 + (table["months"] - 30) / 30 + rng.normal(0, 0.5, rows)
    table["granted"] = np.where(pull > 0, "yes", "no")
    source = RULE + MODEL + textwrap.indent(textwrap.dedent(body), " " * 8)
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "<hostile>", "exec"), scope)
    folder.mkdir()
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(scope["Model"]()))
    table.to_csv(folder / "test.csv", index=False)
    columns = {"granted": "label"}
    data = {"file": "test.csv", "task": "binary", "classes": ["no", "yes"], "favourable": "yes", "columns": columns}
    model = {"file": "model.pkl", "output": "probability", "score_of": "yes", "allow_code": True}
    real.write_submission(folder, {"format": 1, "system": real.system("x"), "model": model, "data": data})
    return folder


def run(tmp_path: Path, settings: Settings, body: str, rows: int = 2_000) -> Assessed:
    folder = submitted(tmp_path / "a", body, rows)
    out = tmp_path / "out"
    return assess(folder, out=out, settings=settings, isolation="bubblewrap", seed=5, log_to_mlflow=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    from dataclasses import replace

    return replace(Settings.from_environment(), state=tmp_path / "state", mlflow_tracking_uri="")


def outcome(done: Assessed, code: str) -> str:
    return str(done.dossier.finding(code).outcome)


def test_an_honest_model_answers_alike_in_every_cell_and_one_receipt_counts_them_all(
    tmp_path: Path, settings: Settings
) -> None:
    done = run(tmp_path, settings, "return both(rule(X))")
    assert outcome(done, "cybersecurity.consistent_answers") == "pass"
    assert outcome(done, "cybersecurity.memorised_answers") == "pass"
    assert outcome(done, "robustness.repeated_answers") == "pass"
    receipt = done.assessment.run.receipt
    assert receipt is not None
    assert receipt.ending == "finished"
    assert any("cells held a copy of the model each" in note for note in receipt.notes)


def test_a_model_that_answers_otherwise_after_many_questions_is_found_out(tmp_path: Path, settings: Settings) -> None:
    done = run(tmp_path, settings, "self.asked += len(X)\nreturn both(rule(X) if self.asked > 1000 else 1 - rule(X))")
    assert outcome(done, "cybersecurity.consistent_answers") == "fail"


def test_a_second_copy_that_fails_costs_the_first_none_of_its_answers(tmp_path: Path, settings: Settings) -> None:
    done = run(tmp_path, settings, "if len(X) == 173: raise ValueError\nreturn both(rule(X))")
    assert outcome(done, "cybersecurity.consistent_answers") == "not_gathered"
    assert outcome(done, "robustness.answered") == "pass"
    assert outcome(done, "robustness.repeated_answers") == "pass"


def test_a_model_that_dies_in_one_cell_ends_the_asking_in_all(tmp_path: Path, settings: Settings) -> None:
    body = "import os\nself.asked += 1\nif self.asked == 3: os._exit(3)\nreturn both(rule(X))"
    done = run(tmp_path, settings, body, rows=6_000)
    finding = done.dossier.finding("robustness.answered")
    assert str(finding.outcome) == "fail"
    assert finding.reason is not None
    assert finding.reason.code == "fault_crashed"
    receipt = done.assessment.run.receipt
    assert receipt is not None
    assert receipt.ending == "crashed"
