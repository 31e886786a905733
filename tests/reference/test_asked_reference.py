"""What asking a model again finds, against pandas, fairlearn, statsmodels and formulas that never saw our code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fairlearn.metrics import demographic_parity_difference
from scipy.stats import spearmanr
from sklearn.metrics import confusion_matrix
from statsmodels.stats.proportion import proportion_confint

from checks.evidence import Evidence
from checks.finding import Figure
from tests.make.evidence import by_model, by_predictions, codes, declare, table
from tests.make.judged import finding, judged, measure, of_group

ROWS = 900
WEIGHTS = {"age": 0.9, "pay": 0.7, "kind": 0.5}


def score(shown: pd.DataFrame) -> np.ndarray:
    """Answer as the model does, on a frame; a missing value counts for nothing, an unknown kind for much."""
    kind = shown["kind"].map({"a": 0.0, "b": 1.0}).fillna(3.0)
    return np.asarray(WEIGHTS["age"] * shown["age"] + WEIGHTS["pay"] * shown["pay"].fillna(0) + WEIGHTS["kind"] * kind)


def probability(shown: pd.DataFrame) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-score(shown))))


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    rng = np.random.default_rng(8)
    given = table(
        features={
            "age": rng.normal(0, 1, ROWS),
            "pay": pa.array(rng.normal(0, 1, ROWS), mask=rng.random(ROWS) < 0.2),
            "kind": rng.choice(["a", "b"], ROWS).tolist(),
        },
        groups={"sex": rng.choice(["f", "m"], ROWS)},
        label=codes(rng.integers(0, 2, ROWS)),
    )
    return by_model(given, lambda shown: probability(shown.to_pandas())[:, None], declare(route="model"))


def frame(evidence: Evidence, probe: str) -> pd.DataFrame:
    """Put beside each other the decision about each row asked again, the first one, and the row's group."""
    assert evidence.rows is not None
    rows, again = evidence.rows.to_pandas(), evidence.asked[probe]
    shown = rows.rename(columns=lambda name: name.removeprefix("feature:"))
    at = again.facts["row"].astype(int)
    first = (probability(shown) >= 0.5)[at]
    told = {"before": first, "after": again.values[:, 0] >= 0.5, "sex": rows["group:sex"].to_numpy()[at]}
    for fact in ("column", "player"):
        if fact in again.facts:
            told["feature"] = np.array(list(WEIGHTS))[again.facts[fact].astype(int)]
    return pd.DataFrame(told).assign(flipped=lambda f: f["before"] != f["after"])


@pytest.mark.parametrize("check", ["small_changes", "missing_inputs", "never_seen"])
def test_flips_are_those_of_pandas_over_everyone_by_group_and_by_input_and_are_drawn(
    evidence: Evidence, check: str
) -> None:
    code, probe = f"robustness.{check}", {"small_changes": "nudged", "missing_inputs": "missing"}.get(check, check)
    told = frame(evidence, probe)
    assert told["flipped"].any()
    found, drawn = finding(code, evidence), {f.name: f for f in judged(code, evidence)[0].figures}
    flipped = measure(code, "flipped", evidence)
    assert flipped.value == pytest.approx(told["flipped"].mean())
    bounds = proportion_confint(told["flipped"].sum(), len(told), method="wilson")
    assert (flipped.low, flipped.high) == pytest.approx(bounds)
    parts = {f"{code}.sex": ("sex", "group")} | ({code: ("feature", "feature")} if "feature" in told else {})
    assert set(drawn) == set(parts)
    for name, (by, column) in parts.items():
        wanted = told.groupby(by)["flipped"].agg(["mean", "sum", "size"])
        figure: Figure = drawn[name]
        assert dict(zip(figure.columns[column], figure.columns["value"], strict=True)) == pytest.approx(
            wanted["mean"].to_dict()
        )
        for group, (rate, hits, size) in wanted.iterrows():
            own = of_group(found, str(group), "flip_rate")
            low, high = proportion_confint(hits, size, alpha=0.05 / len(wanted), method="wilson")
            assert (own.value, own.low, own.high, own.rows) == pytest.approx((rate, low, high, size))


def test_the_gap_without_an_input_is_fairlearns_on_the_answers_without_it(evidence: Evidence) -> None:
    told, found = frame(evidence, "neutral"), finding("fairness.inputs_left_out", evidence)

    def gap(part: pd.DataFrame, decided: str) -> float:
        return float(demographic_parity_difference(part[decided], part[decided], sensitive_features=part["sex"]))

    each = {str(name): gap(part, "after") for name, part in told.groupby("feature")}
    assert {n: of_group(found, n, "difference").value for n in each} == pytest.approx(each)
    first = told[told["feature"] == told["feature"].iloc[0]]
    assert measure("fairness.inputs_left_out", "difference_now", evidence).value == pytest.approx(gap(first, "before"))


def test_importance_per_group_is_that_of_a_linear_model_by_hand() -> None:
    """A linear model's Shapley value is weight times distance from the background's mean; pandas averages by group."""
    rng = np.random.default_rng(3)
    x, weight = rng.normal(size=(400, 3)) * [1.0, 2.0, 0.5], np.array([1.0, 0.4, 0.0])
    group = np.where(x[:, 1] + rng.normal(size=400) > 0, "a", "b")
    given = table(
        features={f"x{i}": x[:, i] for i in range(3)},
        groups={"town": group},
        label=pa.chunked_array([pa.array(x[:, 0])]),
    )
    evidence = by_model(
        given,
        lambda shown: (np.stack([c.to_numpy() for c in shown.columns], axis=1) @ weight)[:, None],
        declare(route="model", task="regression", groups=("town",)),
    )
    facts = evidence.asked["coalitions"].facts
    explained, background = facts["explained"].astype(int), facts["background"].astype(int)
    values = pd.DataFrame(np.abs(weight * (x[explained] - x[background].mean(axis=0))))
    means = values.groupby(group[explained]).mean()
    found = finding("explainability.difference_between_groups", evidence)
    own = {
        (g.group["town"], g.group["feature"]): g.measures[0].value for g in found.groups if g.group["feature"] != "x2"
    }
    wanted = {(town, f"x{i}"): means.loc[town, i] for town in ("a", "b") for i in (0, 1)}
    assert own == pytest.approx(wanted, rel=1e-6)
    gap = measure("explainability.difference_between_groups", "difference", evidence)
    assert gap.value == pytest.approx((means.loc["a"] - means.loc["b"]).abs().max(), rel=1e-6)
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low < gap.value < gap.high
    # An input that is not used moved no explained row; that is not yet certainty about all others.
    (unused,) = (
        g.measures[0] for g in finding("explainability.feature_importance", evidence).groups if "x2" in g.group.values()
    )
    assert unused.value == pytest.approx(0.0, abs=1e-12)
    assert unused.low == pytest.approx(0.0, abs=1e-12)
    assert unused.high is not None
    assert unused.high > 0.01


def test_the_strongest_association_of_two_numbers_is_scipys_rank_correlation() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 3))
    x[:, 2] = x[:, 0] + rng.normal(size=300)
    given = table(
        features={f"x{i}": x[:, i] for i in range(3)}, groups={"sex": ["f"] * 300}, label=codes(rng.integers(0, 2, 300))
    )
    evidence = by_model(given, lambda shown: probability_of(shown), declare(route="model"))
    strongest = measure("explainability.inputs_together", "largest_association", evidence)
    assert strongest.value == pytest.approx(abs(spearmanr(x[:, 0], x[:, 2]).statistic))
    assert strongest.reason is not None
    assert strongest.reason.params == {"first": "x0", "second": "x2"}


def probability_of(shown: pa.Table) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-shown.column("x0").to_numpy())))[:, None]


def test_the_confusion_matrix_that_is_drawn_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 3, 300)
    decision = np.where(rng.random(300) < 0.7, label, rng.integers(0, 3, 300))
    names = ("no", "maybe", "yes")
    evidence = by_predictions(
        groups={"sex": ["f"] * 300}, decision=decision, label=label, task="multiclass", classes=names
    )
    (figure,) = judged("accuracy.overall", evidence)[0].figures
    wanted = confusion_matrix(label, decision, normalize="true")
    places = zip(figure.columns["label"], figure.columns["decision"], strict=True)
    assert figure.columns["value"] == pytest.approx([wanted[names.index(a), names.index(b)] for a, b in places])
    assert sum(figure.columns["rows"]) == 3 * 300


def test_how_many_are_alike_is_drawn_as_pandas_counts_it() -> None:
    rng = np.random.default_rng(2)
    people = pd.DataFrame({"age": rng.integers(20, 60, 400), "town": rng.choice(list("ab"), 400, p=[0.9, 0.1])})
    evidence = by_predictions(
        groups={"sex": ["f"] * 400},
        decision=[0, 1] * 200,
        features={"age": people["age"].to_numpy(), "town": people["town"].tolist()},
    )
    (figure,) = judged("privacy.k_anonymity", evidence)[0].figures
    alike = people.groupby(["age", "town"])["age"].transform("size")
    bars = pd.cut(alike, [0, 1, 4, 9, 19, 49, np.inf], labels=["1", "2–4", "5–9", "10–19", "20–49", "50+"])
    assert dict(zip(figure.columns["alike"], figure.columns["value"], strict=True)) == pytest.approx(
        bars.value_counts(normalize=True).to_dict()
    )
