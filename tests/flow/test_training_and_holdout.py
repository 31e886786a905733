"""The command on Adult with its training part, a stated population and a reviewer's holdout, held against pandas."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import ks_2samp
from sklearn.metrics import accuracy_score

from tests.make import real

pytestmark = [pytest.mark.real_data, pytest.mark.bubblewrap]
COMMAND = Path(sys.executable).parent / "aiact-sandbox"
KEPT = 12_000
"""Rows of the test part that are submitted; the others are the reviewer's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    made: real.Made
    test: pd.DataFrame
    train: pd.DataFrame
    dossier: dict[str, Any]
    folder: Path
    state: Path

    def finding(self, check: str, attribute: str | None = None) -> dict[str, Any]:
        (found,) = [f for f in self.dossier["findings"] if f["check"] == check and f["attribute"] == attribute]
        return found

    def measure(self, check: str, name: str, attribute: str | None = None) -> dict[str, Any]:
        (found,) = [m for m in self.finding(check, attribute)["measures"] if m["name"] == name]
        return found


@pytest.fixture(scope="module")
def done(real_data: Path, tmp_path_factory: pytest.TempPathFactory, bwrap: str) -> Done:
    base = tmp_path_factory.mktemp("training")
    made = real.adult(base / "submission", real_data)
    train = real.read_adult(real_data / "adult" / "adult.data")
    made.rows[:KEPT].to_csv(made.folder / "test.csv", index=False, na_rep="?")
    made.rows[KEPT:].to_csv(base / "holdout.csv", index=False, na_rep="?")
    train.to_csv(made.folder / "train.csv", index=False, na_rep="?")
    (made.folder / "whom.csv").write_text("attribute,group,share\nsex,Female,0.51\nsex,Male,0.49\n", encoding="utf-8")
    path = made.folder / "submission.yaml"
    stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    stated["data"] |= {"training": "train.csv", "population": "whom.csv"}
    path.write_text(yaml.safe_dump(stated, sort_keys=False), encoding="utf-8")
    state, out = base / "state", base / "dossier"
    command = [str(COMMAND), "assess", str(made.folder), "--out", str(out), "--seed", "3", "--as-of", "2026-11-24"]
    ended = subprocess.run(
        [*command, "--isolation", "bubblewrap", "--holdout", str(base / "holdout.csv")],
        capture_output=True,
        text=True,
        cwd=base,
        env={"PATH": "/usr/bin:/bin", "HOME": str(state), "AIACT_SANDBOX_STATE": str(state)},
        timeout=280,
        check=False,
    )
    assert ended.returncode in (0, 1, 5), ended.stderr
    dossier = json.loads((out / "dossier.json").read_text(encoding="utf-8"))
    return Done(made=made, test=made.rows[:KEPT], train=train, dossier=dossier, folder=out, state=state)


def test_rows_of_adult_in_both_parts_are_those_of_a_merge_and_no_more_than_chance(done: Done) -> None:
    inputs = list(real.ADULT_FEATURES)
    known = done.train[inputs].fillna("?").drop_duplicates()
    shared = done.test[inputs].fillna("?").merge(known, how="left", indicator=True)["_merge"].eq("both")
    assert done.measure("data_governance.leakage", "share")["value"] == pytest.approx(shared.mean(), abs=1e-12)
    beyond = done.measure("data_governance.leakage", "beyond_chance")
    twins = done.train[inputs].fillna("?").duplicated(keep=False).mean()
    assert beyond["value"] == pytest.approx(shared.mean() - twins, abs=1e-12)
    assert beyond["high"] < 0.02
    assert done.finding("data_governance.leakage")["outcome"] == "pass"


def test_the_parts_of_adult_lie_as_far_apart_as_scipy_says(done: Done) -> None:
    told = {g["group"]["feature"]: g["measures"][0] for g in done.finding("data_governance.drift")["groups"]}
    assert {"sex", "race", *real.ADULT_FEATURES} == set(told)
    for column in ("age", "hours-per-week", "education-num", "capital-loss"):
        assert told[column]["value"] == pytest.approx(
            ks_2samp(done.test[column], done.train[column]).statistic, abs=1e-9
        )
        assert told[column]["low"] == 0.0
    assert done.measure("data_governance.drift", "largest")["high"] < 0.1


def test_shares_of_adult_are_compared_with_the_stated_population(done: Done) -> None:
    short = done.measure("data_governance.population", "largest_shortfall", "sex")
    assert short["value"] == pytest.approx(0.51 - done.test["sex"].eq("Female").mean())
    assert 0 < short["low"] < short["value"] < short["high"]


def test_the_holdout_of_adult_is_right_as_often_as_scikit_learn_says_and_run_by_a_reviewer(done: Done) -> None:
    held = done.measure("cybersecurity.memorised_answers", "accuracy_holdout")
    truth = done.made.rows["income"].to_numpy()[KEPT:]
    asked = int(done.finding("cybersecurity.memorised_answers")["reason"]["params"]["held"])
    assert len(truth) - 20 <= asked == held["rows"] <= len(truth)
    assert held["value"] == pytest.approx(accuracy_score(truth, done.made.decision[KEPT:]), abs=0.002)
    lost = done.measure("cybersecurity.memorised_answers", "holdout_lost")
    assert lost["low"] < 0.01
    assert lost["high"] < 0.05
    run = json.loads((done.folder / "run.json").read_text(encoding="utf-8"))
    assert run["attested_by"] == "reviewer"
    assert any("holdout" in note for note in run["notes"])


def test_membership_in_the_training_part_of_adult_is_hardly_told(done: Done) -> None:
    auc = done.measure("privacy.membership_inference", "auc")
    assert 0.48 < auc["low"] < auc["high"] < 0.54
    assert done.finding("privacy.membership_inference")["outcome"] == "measured"


def test_every_new_figure_stands_in_the_report_its_plots_and_mlflow(done: Done) -> None:
    card = (done.folder / "model_card.en.md").read_text(encoding="utf-8")
    for title in (
        "Rows that stand in the training data as well",
        "How far evaluation and training data lie apart",
        "Whether answers give away who was in the training data",
        "Accuracy on the reviewer's holdout",
    ):
        assert title in card
    plots = {p.name for p in (done.folder / "plots").glob("*.svg")}
    for figure in (
        "data_governance.drift",
        "data_governance.leakage.sex",
        "privacy.membership_inference",
        "cybersecurity.memorised_answers",
    ):
        assert any(name.startswith(figure) for name in plots), (figure, sorted(plots))
    (database,) = done.state.rglob("mlflow.db")
    with sqlite3.connect(database) as store:
        logged = dict(store.execute("select key, value from metrics"))
    wanted = {
        "data_governance.leakage.beyond_chance": done.measure("data_governance.leakage", "beyond_chance"),
        "data_governance.drift.largest": done.measure("data_governance.drift", "largest"),
        "privacy.membership_inference.auc": done.measure("privacy.membership_inference", "auc"),
        "cybersecurity.memorised_answers.holdout_lost": done.measure("cybersecurity.memorised_answers", "holdout_lost"),
    }
    for key, measure in wanted.items():
        assert logged[key] == pytest.approx(measure["value"]), sorted(k for k in logged if "leakage" in k)


def test_no_row_of_training_data_or_holdout_is_in_the_dossier(done: Done) -> None:
    weights = {str(w) for w in np.r_[done.train["fnlwgt"][:200], done.made.rows["fnlwgt"][KEPT:][:200]]}
    assert not weights & set(json.dumps(done.dossier).replace('"', " ").replace(",", " ").split())
    assert not list(done.folder.rglob("*holdout*.csv")) + list(done.folder.rglob("train*.csv"))
