"""The command on real data, with every figure held against fairlearn and scikit-learn computed apart."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
from sklearn.metrics import accuracy_score, roc_auc_score

from tests.make import real

pytestmark = pytest.mark.real_data
COMMAND = Path(sys.executable).parent / "aiact-sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    made: real.Made
    dossier: dict[str, Any]
    folder: Path
    status: int
    stdout: str

    def finding(self, check: str, attribute: str | None = None) -> dict[str, Any]:
        (found,) = [f for f in self.dossier["findings"] if f["check"] == check and f["attribute"] == attribute]
        return found

    def measure(self, check: str, attribute: str | None, name: str) -> dict[str, Any]:
        (found,) = [m for m in self.finding(check, attribute)["measures"] if m["name"] == name]
        return found

    def group_values(self, check: str, attribute: str, name: str) -> dict[str, float]:
        return {
            g["group"][attribute]: m["value"]
            for g in self.finding(check, attribute)["groups"]
            for m in g["measures"]
            if m["name"] == name
        }


def run(made: real.Made, out: Path, state: Path, *options: str) -> Done:
    """Type the command as a person would, from another folder than the checkout."""
    command = [
        str(COMMAND),
        "assess",
        str(made.folder),
        "--out",
        str(out),
        "--seed",
        "3",
        "--as-of",
        "2026-11-24",
        *options,
    ]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(state),
        "AIACT_SANDBOX_STATE": str(state),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=out.parent, env=environment, timeout=280, check=False
    )
    assert done.returncode in (0, 1, 5), done.stderr
    dossier = json.loads((out / "dossier.json").read_text(encoding="utf-8"))
    return Done(made=made, dossier=dossier, folder=out, status=done.returncode, stdout=done.stdout)


@pytest.fixture(scope="module")
def adult(real_data: Path, tmp_path_factory: pytest.TempPathFactory, bwrap: str) -> Done:
    base = tmp_path_factory.mktemp("adult")
    made = real.adult(base / "submission", real_data)
    return run(made, base / "dossier", base / "state", "--isolation", "bubblewrap")


@pytest.fixture(scope="module")
def grant(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    base = tmp_path_factory.mktemp("grant")
    return run(real.student_grant(base / "submission", real_data), base / "dossier", base / "state")


@pytest.fixture(scope="module")
def credit(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    base = tmp_path_factory.mktemp("credit")
    return run(real.german(base / "submission", real_data), base / "dossier", base / "state")


def frame(metric: Any, made: real.Made, group: str, favourable: str, label: str) -> pd.Series:
    decided = (made.decision == favourable).astype(int)
    known = made.rows[label].astype(str).isin(["", "nan"]).to_numpy()
    truth = (made.rows[label].to_numpy() == favourable).astype(int)
    if metric is not selection_rate:
        decided, truth, groups = decided[~known], truth[~known], made.rows[group][~known]
    else:
        groups = made.rows[group]
    return MetricFrame(metrics=metric, y_true=truth, y_pred=decided, sensitive_features=groups.to_numpy()).by_group


@pytest.mark.bubblewrap
def test_adult_is_explained_in_every_way_with_a_plot_of_each_and_says_what_a_prediction_takes(adult: Done) -> None:
    card = (adult.folder / "model_card.en.html").read_text(encoding="utf-8")
    checks = ("feature_importance", "single_decisions", "inputs_together", "stability", "effects")
    found = [adult.finding(f"explainability.{name}") for name in checks]
    found += [adult.finding("explainability.difference_between_groups", group) for group in real.ADULT_GROUPS]
    for finding in found:
        assert finding["outcome"] in ("pass", "measured"), finding["check"]
        assert finding["figures"], finding["check"]
        for figure in finding["figures"]:
            for language in ("en", "nl"):
                assert "<desc" in (adult.folder / "plots" / f"{figure}.{language}.svg").read_text(encoding="utf-8")
    for title in ("Whether explanations stay the same", "Inputs that go together", "How the answer goes along with"):
        assert title in card
    together = {g["group"]["feature"] for g in adult.finding("explainability.inputs_together")["groups"]}
    assert "education + education-num" in together
    receipt = json.loads((adult.folder / "run.json").read_text(encoding="utf-8"))["receipt"]
    each = 1000 * receipt["cpu_seconds"] / receipt["rows_asked"]
    assert receipt["cpu_seconds_per_1000_predictions"] == pytest.approx(each)
    assert "Energy per 1,000 predictions" in card


@pytest.mark.bubblewrap
@pytest.mark.parametrize("group", real.ADULT_GROUPS)
@pytest.mark.parametrize(
    ("check", "name", "metric"),
    [
        ("fairness.selection_rate", "selection_rate", selection_rate),
        ("fairness.equal_opportunity", "true_positive_rate", true_positive_rate),
        ("fairness.false_positive_rate", "false_positive_rate", false_positive_rate),
        ("fairness.accuracy_by_group", "accuracy", accuracy_score),
    ],
)
def test_each_group_of_adult_gets_the_figure_that_fairlearn_gives(
    adult: Done, group: str, check: str, name: str, metric: Any
) -> None:
    expected = frame(metric, adult.made, group, ">50K", "income").to_dict()
    assert adult.group_values(check, group, name) == pytest.approx(expected, abs=1e-12)


@pytest.mark.bubblewrap
def test_the_headline_of_adult_by_sex_is_the_known_one(adult: Done) -> None:
    rates = frame(selection_rate, adult.made, "sex", ">50K", "income")
    difference = adult.measure("fairness.selection_rate", "sex", "difference")
    assert difference["value"] == pytest.approx(rates.max() - rates.min(), abs=1e-12)
    assert difference["low"] < difference["value"] < difference["high"]
    ratio = adult.measure("fairness.selection_rate", "sex", "ratio")
    assert ratio["value"] == pytest.approx(rates.min() / rates.max(), abs=1e-12)
    adverse = adult.measure("fairness.selection_rate", "sex", "adverse_ratio")
    assert adverse["value"] == pytest.approx((1 - rates.max()) / (1 - rates.min()), abs=1e-12)
    assert adult.finding("fairness.selection_rate", "sex")["outcome"] == "fail"
    assert adult.status == 1


@pytest.mark.bubblewrap
def test_equalised_odds_is_the_larger_gap_and_never_the_sum(adult: Done) -> None:
    gaps = []
    for metric in (true_positive_rate, false_positive_rate):
        rates = frame(metric, adult.made, "sex", ">50K", "income")
        gaps.append(rates.max() - rates.min())
    assert adult.measure("fairness.equalised_odds", "sex", "difference")["value"] == pytest.approx(max(gaps), abs=1e-12)


@pytest.mark.bubblewrap
def test_accuracy_of_adult_is_that_of_scikit_learn(adult: Done) -> None:
    truth = adult.made.rows["income"].to_numpy()
    assert adult.measure("accuracy.overall", None, "accuracy")["value"] == pytest.approx(
        accuracy_score(truth, adult.made.decision), abs=1e-12
    )
    assert adult.measure("accuracy.scores", None, "auc")["value"] == pytest.approx(
        roc_auc_score(truth == ">50K", adult.made.score), abs=1e-9
    )
    assert adult.measure("accuracy.overall", None, "accuracy")["rows"] == 16_281


@pytest.mark.bubblewrap
def test_the_run_of_adult_carries_its_receipt_and_the_dossier_none(adult: Done) -> None:
    run_json = json.loads((adult.folder / "run.json").read_text(encoding="utf-8"))
    receipt = run_json["receipt"]
    assert receipt["backend"] == "bubblewrap"
    assert all(p["held"] for p in receipt["probes"])
    assert {"network_inet", "dns", "write_root", "core_pattern", "canary", "environment", "capabilities"} <= {
        p["probe"] for p in receipt["probes"]
    }
    assert receipt["rows_asked"] > 16_281
    assert receipt["ending"] == "finished"
    assert "receipt" not in adult.dossier


@pytest.mark.bubblewrap
def test_adult_is_explained_within_the_stated_error(adult: Done) -> None:
    explanation = adult.dossier["explanation"]
    assert explanation["explained_rows"] == 200
    assert {g["feature"] for g in explanation["global"]} == set(real.ADULT_FEATURES)
    assert explanation["additivity_error"] < 1e-9
    named = [g["feature"] for g in explanation["global"][:5]]
    assert {"marital-status", "relationship", "capital-gain"} & set(named)


@pytest.mark.bubblewrap
def test_adult_leaves_card_figures_and_sums_in_both_languages(adult: Done) -> None:
    for name in (
        "model_card.en.md",
        "model_card.en.html",
        "model_card.en.pdf",
        "model_card.nl.md",
        "model_card.nl.html",
    ):
        assert (adult.folder / name).stat().st_size > 2_000
    assert list((adult.folder / "plots").glob("fairness.selection_rate.sex*.svg"))
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=adult.folder, check=False)
    assert done.returncode == 0


@pytest.mark.bubblewrap
def test_nothing_row_level_but_explained_rows_is_in_the_dossier_of_adult(adult: Done) -> None:
    whole = json.dumps(adult.dossier)
    assert "fnlwgt" not in json.dumps(adult.dossier["counts"])
    assert len(whole) < 3_000_000


def test_the_grant_records_are_compared_without_a_model(grant: Done) -> None:
    assert grant.dossier["submission"]["route"] == "predictions"
    expected = frame(selection_rate, grant.made, "education", "no visit", "label").to_dict()
    assert grant.group_values("fairness.selection_rate", "education", "selection_rate") == pytest.approx(expected)
    html = (grant.folder / "model_card.en.html").read_text(encoding="utf-8")
    assert "The model was not run here; the provider supplied these figures." in html


def test_labels_of_flagged_students_only_are_never_within_a_limit(grant: Done) -> None:
    for check in ("fairness.equal_opportunity", "fairness.equalised_odds", "fairness.predictive_parity"):
        assert grant.finding(check, "education")["outcome"] != "pass"


def test_german_credit_by_age_from_25_gets_fairlearns_figures(credit: Done) -> None:
    old = np.where(credit.made.rows["age"] >= 25, "old", "young")
    decided = (credit.made.decision == "good").astype(int)
    expected = MetricFrame(metrics=selection_rate, y_true=decided, y_pred=decided, sensitive_features=old).by_group
    found = credit.group_values("fairness.selection_rate", "age", "selection_rate")
    assert sorted(found.values()) == pytest.approx(sorted(expected))
    rows = {g["rows"] for g in credit.finding("fairness.selection_rate", "age")["groups"]}
    assert rows == {int((old == "old").sum()), int((old == "young").sum())}


def test_the_last_line_gives_the_three_counts(grant: Done) -> None:
    last = grant.stdout.strip().splitlines()[-1]
    assert "beyond" in last
    assert "undecided" in last
    assert "within" in last
