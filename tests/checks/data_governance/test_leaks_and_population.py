"""What gives the label away, and whether the data hold people as the population does."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from checks.finding import Outcome
from tests.make.evidence import by_counts, by_predictions
from tests.make.judged import finding, group, of_group

N = 600


def labelled(**features: object) -> object:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, N)
    given = {name: f(label, rng) if callable(f) else f for name, f in features.items()}
    return by_predictions(groups={"sex": ["F", "M"] * (N // 2)}, decision=label, label=label, features=given)


def test_a_copy_of_the_label_and_what_determines_it_are_found_and_a_strong_input_is_not() -> None:
    evidence = labelled(
        copy=lambda y, r: y,
        spelled=lambda y, r: np.where(y == 1, "granted", "refused").tolist(),
        turned=lambda y, r: 5.0 - y + r.normal(0, 0.01, N),
        reason_code=lambda y, r: [f"{'A' if v else 'B'}{r.integers(0, 5)}" for v in y],
        strong=lambda y, r: y + r.normal(0, 1, N),
        noise=lambda y, r: r.normal(0, 1, N),
    )
    found = finding("data_governance.leakage_columns", evidence)
    told = {g.group["feature"]: g.measures[0].value for g in found.groups}
    assert {n for n, v in told.items() if v >= 0.99} == {"copy", "spelled", "turned", "reason_code"}
    assert found.measure("columns").value == 4
    assert found.outcome is Outcome.FAIL
    assert told["strong"] < 0.9
    assert 0.4 < told["noise"] < 0.6


def test_a_number_that_is_different_in_each_row_is_not_taken_for_a_leak() -> None:
    evidence = labelled(
        row=lambda y, r: [f"id{i}" for i in range(N)],
        serial=lambda y, r: np.arange(N),
    )
    found = finding("data_governance.leakage_columns", evidence)
    assert found.measure("columns").value == 0
    assert found.outcome is Outcome.PASS


def test_of_each_person_one_row_is_looked_at_so_that_a_person_does_not_tell_the_own_label() -> None:
    rng = np.random.default_rng(7)
    label, home = np.repeat(rng.integers(0, 2, N // 4), 4), np.repeat([f"home {i}" for i in range(N // 4)], 4).tolist()
    given = {"groups": {"sex": ["F", "M"] * (N // 2)}, "decision": label, "label": label, "features": {"home": home}}
    found = finding("data_governance.leakage_columns", by_predictions(**given, unit=np.arange(N) // 4))
    assert found.measure("columns").rows == N // 4
    assert found.measure("columns").value == 0
    assert finding("data_governance.leakage_columns", by_predictions(**given)).measure("columns").value == 1


def test_a_number_that_is_predicted_can_leak_too() -> None:
    rng = np.random.default_rng(2)
    price = rng.normal(0, 1, N)
    evidence = by_predictions(
        groups={"sex": ["F", "M"] * (N // 2)},
        decision=price,
        label=price,
        task="regression",
        favourable=None,
        features={"tax": price * 0.2, "noise": rng.normal(0, 1, N)},
    )
    found = finding("data_governance.leakage_columns", evidence)
    assert [g.group["feature"] for g in found.groups] == ["tax", "noise"]
    assert found.measure("columns").value == 1


POPULATION = {"sex": {"F": 0.5, "M": 0.45, "X": 0.05}}


def test_shares_are_compared_with_the_stated_population() -> None:
    groups = {"sex": ["F"] * 300 + ["M"] * 690 + [None] * 7 + ["Y"] * 3}
    evidence = by_predictions(groups=groups, decision=[0, 1] * 500, population=POPULATION)
    found = finding("data_governance.population", evidence)
    share = 300 / 990
    assert found.measure("largest_shortfall").value == pytest.approx(0.5 - share)
    low, high = proportion_confint(300, 990, alpha=0.05 / 3, method="wilson")
    assert found.measure("largest_shortfall").low == pytest.approx(0.5 - high)
    assert found.measure("largest_shortfall").high == pytest.approx(0.5 - low)
    assert found.measure("smallest_ratio").value == 0.0
    assert found.measure("absent_groups").value == 1
    assert group(found, "X").too_small
    assert of_group(found, "F", "population_share").value == 0.5
    assert found.reason.params == {"rows": 1000, "left_out": 10}


def test_a_draw_from_the_population_is_not_called_different_from_it() -> None:
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(100):
        rows = [(n, 1, 1, int(k)) for n, k in zip("FMX", rng.multinomial(500, [0.5, 0.45, 0.05]), strict=True)]
        found = finding("data_governance.population", by_counts(rows, population=POPULATION))
        wrong += found.measure("largest_shortfall").low > 0
    assert wrong <= 8


def test_people_of_one_household_count_together_against_the_population() -> None:
    four = {"sex": [g for g in ["F", "F", "M"] * 50 for _ in range(4)]}
    one = {"sex": ["F", "F", "M"] * 50}
    stated = {"sex": {"F": 0.5, "M": 0.5}}
    together = finding(
        "data_governance.population",
        by_predictions(groups=four, decision=[0, 1] * 300, unit=np.arange(600) // 4, population=stated),
    ).measure("largest_shortfall")
    alone = finding(
        "data_governance.population", by_predictions(groups=one, decision=[0, 1] * 75, population=stated)
    ).measure("largest_shortfall")
    assert together.value == pytest.approx(alone.value)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high), abs=2e-3)


def test_without_a_stated_population_it_says_what_to_supply() -> None:
    found = finding("data_governance.population", by_predictions(groups={"sex": ["F", "M"]}, decision=[0, 1]))
    assert found.outcome is Outcome.NOT_GATHERED
    assert found.reason.code == "no_population"


def test_a_stated_population_changes_the_digest_and_its_order_does_not() -> None:
    groups = {"sex": ["F", "M"]}
    bare = by_predictions(groups=groups, decision=[0, 1])
    stated = by_predictions(groups=groups, decision=[0, 1], population=POPULATION)
    turned = {"sex": dict(reversed(POPULATION["sex"].items()))}
    again = by_predictions(groups=groups, decision=[0, 1], population=turned)
    assert bare.digest != stated.digest == again.digest


def test_labels_of_rows_of_one_household_are_less_certain_than_those_of_strangers() -> None:
    evidence = by_predictions(
        groups={"sex": ["F", "M"] * 50},
        decision=[0, 1] * 50,
        label=[0, 0, 0, 0, 1, 1, 1, 1] * 12 + [0, 0, 1, 1],
        unit=np.arange(100) // 4,
    )
    strangers = by_predictions(
        groups={"sex": ["F", "M"] * 50}, decision=[0, 1] * 50, label=[0, 0, 0, 0, 1, 1, 1, 1] * 12 + [0, 0, 1, 1]
    )
    together = finding("data_governance.label_balance", evidence).measure("smallest_class")
    apart = finding("data_governance.label_balance", strangers).measure("smallest_class")
    assert together.low < apart.low < apart.high < together.high
