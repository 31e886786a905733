"""Group figures against fairlearn and scikit-learn computed row by row, apart from the checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fm
from numpy.typing import NDArray
from sklearn import metrics as skm

from checks.evidence import Evidence
from tests.make.evidence import by_counts, by_predictions
from tests.make.judged import find, finding, measure, of_group
from tests.make.real import read_adult

RATES = {
    "selection_rate": ("selection_rate", fm.selection_rate),
    "equal_opportunity": ("true_positive_rate", fm.true_positive_rate),
    "false_positive_rate": ("false_positive_rate", fm.false_positive_rate),
    "predictive_parity": ("precision", skm.precision_score),
    "accuracy_by_group": ("accuracy", skm.accuracy_score),
}


@pytest.fixture(scope="module")
def adult(real_data: Path) -> pd.DataFrame:
    """The test part of Adult with the decisions of a plain logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train = read_adult(real_data / "adult" / "adult.data")
    test = read_adult(real_data / "adult" / "adult.test")
    columns = ["age", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(train[columns], train["income"] == ">50K")
    test["score"] = model.predict_proba(test[columns])[:, 1]
    return test.assign(y=(test["income"] == ">50K").astype(int), d=(test["score"] >= 0.5).astype(int))


def sealed(adult: pd.DataFrame, *, weighted: bool) -> Evidence:
    return by_predictions(
        groups={"sex": adult["sex"].to_numpy(), "race": adult["race"].to_numpy()},
        decision=adult["d"].to_numpy(),
        label=adult["y"].to_numpy(),
        score=adult["score"].to_numpy(),
        weight=adult["fnlwgt"].to_numpy(dtype=float) if weighted else None,
    )


def row_wise(adult: pd.DataFrame, function: Any, attribute: str, *, weighted: bool) -> fm.MetricFrame:
    params = {"sample_weight": adult["fnlwgt"]} if weighted else {}
    return fm.MetricFrame(
        metrics=function,
        y_true=adult["y"],
        y_pred=adult["d"],
        sensitive_features=adult[attribute],
        sample_params=params,
    )


@pytest.mark.real_data
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("attribute", ["sex", "race"])
@pytest.mark.parametrize("check", list(RATES))
def test_counting_gives_fairlearns_row_wise_figures_on_adult(
    adult: pd.DataFrame, check: str, attribute: str, weighted: bool
) -> None:
    name, function = RATES[check]
    frame = row_wise(adult, function, attribute, weighted=weighted)
    found = finding(f"fairness.{check}", sealed(adult, weighted=weighted), attribute)
    for group, value in frame.by_group.items():
        assert of_group(found, group, name).value == pytest.approx(value, abs=1e-12)
    w = adult["fnlwgt"].to_numpy(dtype=float) if weighted else np.ones(len(adult))
    among = {"equal_opportunity": adult["y"] == 1, "false_positive_rate": adult["y"] == 0}
    among["predictive_parity"] = adult["d"] == 1
    counts = among.get(check, pd.Series(True, index=adult.index))
    large = []
    for group, value in frame.by_group.items():
        behind = w[((adult[attribute] == group) & counts).to_numpy()]
        enough = behind.sum() ** 2 / (behind**2).sum() >= 30
        assert next(g for g in found.groups if g.group[attribute] == group).too_small is not enough
        large += [value] if enough else []
    # Amer-Indian-Eskimo and Other have too few rows with a favourable label or decision to count for the headline.
    for headline, value in (("difference", max(large) - min(large)), ("ratio", min(large) / max(large))):
        given = found.measure(headline)
        assert given is not None
        assert given.value == pytest.approx(value, abs=1e-12)
        assert given.low is not None
        assert given.high is not None
        assert given.low <= given.value <= given.high


@pytest.mark.real_data
@pytest.mark.parametrize("weighted", [False, True])
def test_equalised_odds_is_fairlearns_worst_case_on_adult(adult: pd.DataFrame, weighted: bool) -> None:
    params = {"sample_weight": adult["fnlwgt"]} if weighted else {}
    expected = {
        "difference": fm.equalized_odds_difference(adult["y"], adult["d"], sensitive_features=adult["sex"], **params),
        "ratio": fm.equalized_odds_ratio(adult["y"], adult["d"], sensitive_features=adult["sex"], **params),
    }
    evidence = sealed(adult, weighted=weighted)
    for name, value in expected.items():
        assert measure("fairness.equalised_odds", name, evidence, "sex").value == pytest.approx(value, abs=1e-12)


@pytest.mark.real_data
def test_the_adverse_ratio_is_that_of_the_other_outcome(adult: pd.DataFrame) -> None:
    frame = fm.MetricFrame(
        metrics=fm.selection_rate, y_true=adult["y"], y_pred=1 - adult["d"], sensitive_features=adult["sex"]
    )
    given = measure("fairness.selection_rate", "adverse_ratio", sealed(adult, weighted=False), "sex")
    assert given.value == pytest.approx(frame.ratio(), abs=1e-12)


@pytest.mark.real_data
def test_skewed_weights_widen_the_interval(adult: pd.DataFrame) -> None:
    plain = measure("fairness.selection_rate", "difference", sealed(adult, weighted=False), "sex")
    weighted = measure("fairness.selection_rate", "difference", sealed(adult, weighted=True), "sex")
    assert plain.high is not None
    assert plain.low is not None
    assert weighted.high is not None
    assert weighted.low is not None
    assert weighted.high - weighted.low > 1.05 * (plain.high - plain.low)


@pytest.mark.real_data
@pytest.mark.parametrize("weighted", [False, True])
def test_the_interval_on_adult_is_as_wide_as_a_bootstrap_over_rows(adult: pd.DataFrame, weighted: bool) -> None:
    rng = np.random.default_rng(7)
    d, female = adult["d"].to_numpy(), (adult["sex"] == "Female").to_numpy()
    w = adult["fnlwgt"].to_numpy(dtype=float) if weighted else np.ones(len(adult))
    gaps = []
    for _ in range(300):
        at = rng.integers(0, len(d), len(d))
        rates = [np.average(d[at][m], weights=w[at][m]) for m in (female[at], ~female[at])]
        gaps.append(abs(rates[0] - rates[1]))
    given = measure("fairness.selection_rate", "difference", sealed(adult, weighted=weighted), "sex")
    assert given.high is not None
    assert given.low is not None
    # The bootstrap's own width is known to some eight percent from 300 draws.
    assert (given.high - given.low) / (2 * 1.96 * np.std(gaps)) == pytest.approx(1.0, abs=0.17)


@pytest.mark.real_data
def test_the_boundary_of_an_age_band_belongs_to_the_band_above(real_data: Path) -> None:
    given = pd.read_csv(real_data / "german" / "german.data", sep=" ", header=None)
    age, good = given[12].to_numpy(), (given[20] == 1).astype(int).to_numpy()

    def gap(young: NDArray[np.bool_]) -> float:
        band = np.where(young, "young", "old")
        found = finding("fairness.selection_rate", by_predictions(groups={"age": band}, decision=good, label=good))
        rate = {name: of_group(found, name, "selection_rate").value for name in ("young", "old")}
        assert rate["young"] is not None
        assert rate["old"] is not None
        headline = found.measure("difference")
        assert headline is not None
        assert headline.value == pytest.approx(abs(rate["young"] - rate["old"]))
        return rate["young"] - rate["old"]

    assert gap(age < 25) == pytest.approx(-0.1286, abs=1e-4)
    assert gap(age <= 25) == pytest.approx(-0.1494, abs=1e-4)


@pytest.mark.real_data
def test_student_grants_are_compared_without_labels_and_never_within_with_them(real_data: Path) -> None:
    given = pd.read_csv(real_data / "student_grant" / "Table1_SD_20k.csv")
    flagged = (given["Risk category"].astype(int) >= 5).astype(int).to_numpy()
    outcome = given["Outcome house visit"].to_numpy()
    label = np.select([outcome == "Unduly", outcome == "Duly"], [1, 0], default=-1)
    evidence = by_predictions(
        groups={"education": given["Education"].to_numpy()},
        decision=flagged,
        label=label,
        classes=("no visit", "visit"),
        favourable="no visit",
        data={"sampling": "flagged_only"},
    )
    frame = fm.MetricFrame(
        metrics=fm.selection_rate, y_true=flagged, y_pred=1 - flagged, sensitive_features=given["Education"]
    )
    found = finding("fairness.selection_rate", evidence)
    difference = found.measure("difference")
    assert difference is not None
    assert difference.value == pytest.approx(frame.difference(), abs=1e-12)
    labelled = finding("fairness.accuracy_by_group", evidence)
    assert labelled.outcome.value in ("measured", "inconclusive")
    assert labelled.reason is not None
    assert labelled.reason.params["unlabelled"] == int((label < 0).sum()) > 18_000


def test_fairlearns_documented_example_gives_its_documented_figures() -> None:
    y_true = [1, 1, 1, 1, 1, 0, 0, 1, 1, 0]
    y_pred = [0, 1, 1, 1, 1, 0, 0, 0, 1, 1]
    sex = ["Female"] * 5 + ["Male"] * 5
    # Thirty copies of each row, so that both groups are large enough; shares do not change by that.
    evidence = by_predictions(
        groups={"sex": np.repeat(sex, 30)}, decision=np.repeat(y_pred, 30), label=np.repeat(y_true, 30)
    )
    accuracy = finding("fairness.accuracy_by_group", evidence)
    selection = finding("fairness.selection_rate", evidence)
    assert [of_group(accuracy, g, "accuracy").value for g in ("Female", "Male")] == [0.8, 0.6]
    assert [of_group(selection, g, "selection_rate").value for g in ("Female", "Male")] == [0.8, 0.4]
    assert [measure("fairness.accuracy_by_group", n, evidence).value for n in ("difference", "ratio")] == pytest.approx(
        [0.2, 0.75]
    )
    assert [measure("fairness.selection_rate", n, evidence).value for n in ("difference", "ratio")] == pytest.approx(
        [0.4, 0.5]
    )


def test_several_classes_are_compared_as_favourable_against_the_rest() -> None:
    rng = np.random.default_rng(2)
    n = 3000
    label, decision = rng.integers(0, 3, n), rng.integers(0, 3, n)
    group = rng.choice(["a", "b"], n)
    evidence = by_predictions(
        groups={"g": group},
        decision=decision,
        label=label,
        task="multiclass",
        classes=("x", "y", "z"),
        favourable="y",
    )
    expected = fm.MetricFrame(
        metrics={"tpr": fm.true_positive_rate, "sr": fm.selection_rate},
        y_true=label == 1,
        y_pred=decision == 1,
        sensitive_features=group,
    ).difference()
    assert measure("fairness.equal_opportunity", "difference", evidence).value == pytest.approx(expected["tpr"])
    assert measure("fairness.selection_rate", "difference", evidence).value == pytest.approx(expected["sr"])
    accuracy = fm.MetricFrame(
        metrics=skm.accuracy_score, y_true=label, y_pred=decision, sensitive_features=group
    ).difference()
    assert measure("fairness.accuracy_by_group", "difference", evidence).value == pytest.approx(accuracy)


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_of_a_predicted_number_are_those_of_fairlearn_row_by_row(weighted: bool) -> None:
    rng = np.random.default_rng(4)
    n = 1500
    group = rng.choice(["a", "b", "c"], n)
    label = rng.normal(10, 3, n)
    value = label + rng.normal(0.3, 1.0, n) * np.where(group == "a", 2.0, 1.0)
    weight = rng.lognormal(0, 0.5, n) if weighted else None
    evidence = by_predictions(
        groups={"g": group}, decision=value, label=label, weight=weight, task="regression", favourable=None
    )

    def mean_error(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        return float(np.average(np.asarray(y_pred) - np.asarray(y_true), weights=sample_weight))

    functions = {"mae": skm.mean_absolute_error, "me": mean_error}
    params = {name: {"sample_weight": weight} for name in functions} if weighted else {}
    frame = fm.MetricFrame(
        metrics=functions, y_true=label, y_pred=value, sensitive_features=group, sample_params=params
    )
    found = finding("fairness.regression_error", evidence)
    for name in ("a", "b", "c"):
        assert of_group(found, name, "absolute_error").value == pytest.approx(frame.by_group["mae"][name])
        assert of_group(found, name, "mean_error").value == pytest.approx(frame.by_group["me"][name])
    to_all, over_all = frame.difference(method="to_overall"), frame.ratio(method="to_overall")
    expected = {
        "absolute_error_difference": frame.difference()["mae"],
        "absolute_error_ratio": frame.ratio()["mae"],
        "mean_error_difference": frame.difference()["me"],
        "mean_error_to_everyone": to_all["me"],
        "absolute_error_to_everyone": to_all["mae"],
        "absolute_error_ratio_to_everyone": over_all["mae"],
    }
    for name, value_ in expected.items():
        given = found.measure(name)
        assert given is not None
        assert given.value == pytest.approx(value_)
        assert given.low is not None
        assert given.high is not None
        assert given.low <= value_ <= given.high


def test_the_same_counts_give_the_same_figures_by_rows_and_by_counts() -> None:
    cells = [("F", 1, 1, 60), ("F", 1, 0, 40), ("F", 0, 1, 10), ("F", 0, 0, 90)]
    cells += [("M", 1, 1, 80), ("M", 1, 0, 20), ("M", 0, 1, 30), ("M", 0, 0, 70)]
    rows = [(g, y, d) for g, y, d, n in cells for _ in range(n)]
    by_row = by_predictions(
        groups={"sex": [r[0] for r in rows]}, decision=[r[2] for r in rows], label=[r[1] for r in rows]
    )
    counted = by_counts(cells)
    for name in (*RATES, "equalised_odds"):
        one, other = finding(f"fairness.{name}", by_row), finding(f"fairness.{name}", counted)
        assert one.measures == other.measures
        assert one.groups == other.groups
        assert find(f"fairness.{name}").rejudge.value == "dossier"


def test_errors_that_are_all_alike_are_not_called_certain() -> None:
    label = np.linspace(0, 1, 80)
    evidence = by_predictions(
        groups={"g": ["a"] * 40 + ["b"] * 40}, decision=label, label=label, task="regression", favourable=None
    )
    found = finding("fairness.regression_error", evidence)
    for given in (*found.measures, *(m for g in found.groups for m in g.measures)):
        assert given.low is None
        assert given.high is None
    assert of_group(found, "a", "mean_error").reason is not None


def test_95_percent_is_95_percent_for_the_errors_of_a_predicted_number() -> None:
    rng, draws = np.random.default_rng(31), 300
    sizes, spread, shift = np.array([120, 80, 60, 40]), np.array([1.0, 1.5, 1.0, 2.0]), np.array([0.0, 0.3, 0.3, 0.5])
    group = np.repeat(np.arange(4), sizes)
    share = sizes / sizes.sum()
    truth = {
        "mean_error_difference": 0.5,
        "mean_error_to_everyone": float(np.abs(shift - (share * shift).sum()).max()),
    }
    held = dict.fromkeys(truth, 0)
    for _ in range(draws):
        label = rng.normal(0, 1, len(group))
        value = label + shift[group] + spread[group] * rng.normal(0, 1, len(group))
        evidence = by_predictions(
            groups={"g": group.astype(str)}, decision=value, label=label, task="regression", favourable=None
        )
        found = finding("fairness.regression_error", evidence)
        for name, true in truth.items():
            given = found.measure(name)
            assert given is not None
            assert given.low is not None
            assert given.high is not None
            held[name] += given.low <= true <= given.high
    # Three standard errors of 300 draws below 95 %.
    assert min(held.values()) / draws >= 0.912, held
