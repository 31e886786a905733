"""What is said of training data beside evaluation data: rows in both, drift, and inputs that determine something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from statsmodels.stats.proportion import proportion_confint

from checks.evidence import Evidence, Table
from checks.finding import Outcome
from checks.sealing import Recorded, seal
from checks.training import OTHERS, reduce_training
from tests.make.evidence import by_predictions, codes, declare, table
from tests.make.judged import finding, group, measure, of_group


def _category(values: pa.Array) -> pa.Array:
    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    return values.cast(pa.string()).dictionary_encode() if is_text else values


def part(frame: pd.DataFrame, **more: Any) -> Table:
    """Make a table of a frame: `sex` is a group, `y` the label, `w` the weight, `who` the unit, the rest are inputs."""
    shown = {n: pa.array(frame[n], from_pandas=True) for n in frame.columns if n not in ("sex", "y", "w", "who")}
    return table(
        groups={"sex": frame["sex"].tolist()} if "sex" in frame else {},
        features={n: _category(v) for n, v in shown.items()},
        label=codes(frame["y"].to_numpy()) if "y" in frame else None,
        weight=frame["w"].to_numpy() if "w" in frame else None,
        unit=frame["who"].to_numpy() if "who" in frame else None,
        rows=len(frame),
        **more,
    )


def sealed(test: pd.DataFrame, train: pd.DataFrame, columns: Mapping[str, str] | None = None) -> Evidence:
    roles = {
        **({"w": "weight"} if "w" in test else {}),
        **({"who": "unit"} if "who" in test else {}),
        **(columns or {}),
    }
    given_rows = replace(part(test), training=part(train))
    declaration = declare(groups=("sex",) if "sex" in test else (), columns=roles)
    recorded = Recorded(decision=codes([0] * len(test)))
    return seal(declaration, submission_digest="0" * 64, table=given_rows, recorded=recorded)


def people(rows: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 60, rows),
            "town": rng.choice(["Assen", "Breda", "Delft"], rows),
            "income": np.round(rng.normal(2 + shift, 1, rows), 1),
            "sex": rng.choice(["f", "m"], rows),
            "y": rng.integers(0, 2, rows),
        }
    )


# ---- leakage


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_shared_rows_are_those_that_pandas_merges(data: st.DataObject) -> None:
    row = st.tuples(st.sampled_from([1.0, 2.0, None]), st.sampled_from(["a", "b", None]), st.integers(0, 1))
    test = pd.DataFrame(data.draw(st.lists(row, min_size=1, max_size=30)), columns=["x", "t", "y"])
    train = pd.DataFrame(data.draw(st.lists(row, min_size=1, max_size=30)), columns=["x", "t", "y"])
    for frame in (test, train):
        frame["x"] = frame["x"].astype(float)
        frame["t"] = frame["t"].astype("string")
    facts = sealed(test, train).training
    assert facts is not None

    def same(i: int, columns: list[str]) -> int:
        merged = test.iloc[[i]].fillna({"t": "-", "x": -1.0})[columns]
        return len(merged.merge(train.fillna({"t": "-", "x": -1.0})[columns], on=columns))

    assert facts.alike.sum(axis=1).tolist() == [same(i, ["x", "t"]) for i in range(len(test))]
    assert facts.alike_label.tolist() == [same(i, ["x", "t", "y"]) for i in range(len(test))]
    assert facts.rows == len(train)


def test_a_copied_twentieth_is_found_with_its_interval_and_by_group() -> None:
    test, train = people(2_000, 1), people(3_000, 2)
    test["income"] += np.arange(2_000) * 10.0  # nobody is like another by chance
    train["income"] += 100_000 + np.arange(3_000) * 10.0
    train.iloc[:100] = test.iloc[:100]
    found = finding("data_governance.leakage", sealed(test, train))
    low, high = proportion_confint(100, 2_000, method="wilson")
    share = found.measure("share")
    assert (share.value, share.low, share.high) == pytest.approx((0.05, low, high))
    assert found.measure("same_label").value == pytest.approx(0.05)
    assert found.measure("beyond_chance").value == pytest.approx(0.05)
    women = (test["sex"] == "f").to_numpy()
    assert of_group(found, "f", "group_shared").value == pytest.approx(women[:100].sum() / women.sum())
    assert found.outcome is Outcome.FAIL
    assert found.measure("known_units") is None


def test_two_draws_of_alike_people_share_rows_and_no_more_than_chance() -> None:
    wrong = 0
    for seed in range(40):
        test, train = people(400, 2 * seed), people(900, 2 * seed + 1)
        for frame in (test, train):
            frame["income"] = frame["income"].round(0)
        beyond = measure("data_governance.leakage", "beyond_chance", sealed(test, train))
        wrong += not beyond.low <= 0 <= beyond.high
    assert measure("data_governance.leakage", "share", sealed(test, train)).value > 0.3
    assert wrong <= 5


def test_chance_is_how_often_training_rows_are_alike_to_one_another() -> None:
    test, train = people(60, 3), people(200, 4)
    for frame in (test, train):
        frame["income"], frame["age"] = 0.0, frame["age"] // 3
    twice = train.duplicated(["age", "town", "income"], keep=False).mean()
    found = finding("data_governance.leakage", sealed(test, train))
    assert found.measure("beyond_chance").value == pytest.approx(found.measure("share").value - twice)


def test_a_test_that_was_wholly_trained_on_is_found_also_among_many_more_training_rows() -> None:
    train = people(5_000, 20)
    evidence = sealed(train.sample(100, random_state=1), train)
    assert evidence.training is not None
    beyond = measure("data_governance.leakage", "beyond_chance", evidence)
    assert beyond.value == pytest.approx(1.0 - evidence.training.twins[0])
    assert beyond.low > 0.1


def test_rows_of_one_person_are_no_chance_twins() -> None:
    train = pd.concat([people(200, 21)] * 3, ignore_index=True)
    train["income"] += np.tile(np.arange(200) * 10.0, 3)
    train["who"] = np.tile(np.arange(200), 3)
    test = people(100, 22).assign(who=1_000 + np.arange(100))
    assert measure("data_governance.leakage", "beyond_chance", sealed(test, train)).value == pytest.approx(
        0.0, abs=0.02
    )
    evidence = sealed(test.drop(columns="who"), train.drop(columns="who"))
    assert measure("data_governance.leakage", "beyond_chance", evidence).value < -0.9


def test_rows_that_differ_in_writing_alone_are_near() -> None:
    test = pd.DataFrame({"x": [0.1, 0.2, 0.3], "t": ["Breda", "Delft", "Assen"], "y": [0, 1, 0]})
    train = pd.DataFrame({"x": [0.1000001, 0.26, 0.3000002], "t": [" breda ", "Delft", "ASSEN"], "y": [0, 1, 1]})
    found = finding("data_governance.leakage", sealed(test, train))
    assert found.measure("share").value == 0.0
    assert found.measure("near").value == pytest.approx(2 / 3)


def test_people_with_rows_in_both_tables_are_counted_as_people() -> None:
    test, train = people(300, 5), people(300, 6)
    test["who"], train["who"] = np.arange(300) // 3, 90 + np.arange(300) // 3
    evidence = sealed(test, train)
    found = finding("data_governance.leakage", evidence)
    assert found.measure("known_units").value == pytest.approx(10 / 100)
    assert found.outcome is Outcome.FAIL
    alone = finding("data_governance.leakage", sealed(test.drop(columns="who"), train.drop(columns="who")))
    wide, narrow = (f.measure("share") for f in (found, alone))
    assert wide.high - wide.low >= narrow.high - narrow.low - 1e-9


def test_weights_weigh_in_the_shared_share() -> None:
    test, train = people(4, 7), people(50, 8)
    train.iloc[:1] = test.iloc[:1]
    test["w"], train["w"] = [5.0, 1.0, 1.0, 1.0], 1.0
    assert measure("data_governance.leakage", "share", sealed(test, train)).value == pytest.approx(5 / 8)


# ---- drift


def test_distances_are_scipys_and_by_hand() -> None:
    test, train = people(500, 9, shift=0.4), people(700, 10)
    test["amount"], train["amount"] = (
        np.random.default_rng(1).normal(0, 1, 500),
        np.random.default_rng(2).normal(1, 1, 700),
    )
    found = finding("data_governance.drift", sealed(test, train))
    for column in ("age", "income"):
        assert of_group(found, column, "ks").value == pytest.approx(ks_2samp(test[column], train[column]).statistic)
    # Of many different values the gap is looked at at a hundred quantiles, so it can be missed by one in a hundred.
    exact = ks_2samp(test["amount"], train["amount"]).statistic
    assert exact - 0.02 < of_group(found, "amount", "ks").value <= exact + 1e-12
    shares = [f["town"].value_counts(normalize=True) for f in (test, train)]
    assert of_group(found, "town", "total_variation").value == pytest.approx((shares[0] - shares[1]).abs().sum() / 2)
    label = [f["y"].mean() for f in (test, train)]
    assert found.measure("label").value == pytest.approx(abs(label[0] - label[1]))
    assert found.measure("largest").value == of_group(found, "amount", "ks").value
    assert found.outcome is Outcome.FAIL


def test_intervals_of_drift_hold_the_true_distance_of_all_columns_at_once() -> None:
    missed = drifted = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        frames = []
        for rows, p in ((150, [0.5, 0.3, 0.2]), (250, [0.4, 0.3, 0.3])):
            kinds = {f"k{i}": rng.choice(["a", "b", "c"], rows, p=p) for i in range(3)}
            numbers = {f"n{i}": rng.choice([1.0, 2.0, 3.0], rows, p=p) for i in range(3)}
            same = {f"s{i}": rng.integers(0, 9, rows) for i in range(3)}
            frames.append(pd.DataFrame({**kinds, **numbers, **same, "y": 0}))
        found = finding("data_governance.drift", sealed(*frames))
        wrong = [
            g
            for g in found.groups
            if not (m := g.measures[0]).low <= (0.0 if g.group["feature"][0] == "s" else 0.1) <= m.high
        ]
        missed += bool(wrong)
        drifted += any(g.measures[0].low > 0 for g in found.groups if g.group["feature"][0] == "s")
    assert missed <= 0.05 * 150 + 5
    assert drifted <= 0.05 * 150 + 5


def test_a_missing_value_is_a_value_of_its_own_and_rare_categories_are_taken_together() -> None:
    rng = np.random.default_rng(3)
    test = pd.DataFrame(
        {"x": np.where(np.arange(400) < 200, np.nan, 1.0), "t": rng.choice([f"c{i}" for i in range(60)], 400), "y": 0}
    )
    train = pd.DataFrame({"x": np.ones(400), "t": rng.choice([f"c{i}" for i in range(60)], 400), "y": 0})
    evidence = sealed(test, train)
    assert of_group(finding("data_governance.drift", evidence), "x", "ks").value == pytest.approx(0.5)
    assert evidence.training is not None
    bins = evidence.training.columns.to_pandas().query("column == 't'")["bin"].tolist()
    assert len(bins) == 22
    assert OTHERS in bins


def test_units_and_weights_make_a_distance_less_certain_and_never_more() -> None:
    test, train = people(600, 11), people(600, 12)
    plain = of_group(finding("data_governance.drift", sealed(test, train)), "age", "ks")
    test["who"], train["who"] = np.arange(600) // 4, 1_000 + np.arange(600) // 4
    units = of_group(finding("data_governance.drift", sealed(test, train)), "age", "ks")
    assert units.value == plain.value
    assert units.high - units.value == pytest.approx(2 * (plain.high - plain.value))


def test_free_text_is_not_kept_of_the_training_data() -> None:
    test = pd.DataFrame({"note": [f"about {i}" for i in range(1_200)], "y": 0})
    train = pd.DataFrame({"note": [f"secret {i}" for i in range(1_200)], "y": 0})
    evidence = sealed(test, train)
    assert evidence.training is not None
    assert "secret" not in str(evidence.training.columns.to_pydict())


def test_the_training_facts_change_the_digest_of_the_evidence() -> None:
    test, train = people(50, 1), people(50, 2)
    assert sealed(test, train).digest == sealed(test, train).digest
    assert sealed(test, train).digest != sealed(test, people(50, 3)).digest


def test_without_training_data_the_checks_say_what_to_supply() -> None:
    bare = by_predictions(groups={"sex": ["f", "m"]}, decision=[0, 1], features={"x": [1, 2]})
    for check in ("leakage", "drift"):
        found = finding(f"data_governance.{check}", bare)
        assert found.outcome is Outcome.NOT_GATHERED
        assert found.reason.code == "no_training"
    assert reduce_training(table(groups={"sex": ["f"]}), declare().data, 0) is None


# ---- inputs that determine something


def rows_of(**features: Any) -> Evidence:
    n = 400
    label = [i % 2 for i in range(n)]
    return by_predictions(
        groups={"sex": [("f", "m", "x")[i % 3] for i in range(n)]}, decision=label, label=label, features=features
    )


def test_what_determines_the_label_or_a_group_or_numbers_the_rows_is_found_and_near_misses_are_not() -> None:
    n = 400
    evidence = rows_of(
        copy=[i % 2 for i in range(n)],
        branch=[i % 20 for i in range(n)],
        nearly=[i % 2 if i else 1 for i in range(n)],
        sexcode=[i % 3 for i in range(n)],
        both=[i % 6 for i in range(n)],
        serial=list(range(n)),
        token=[f"t{i}" for i in range(n)],
        mostly=[i if i % 10 else 0 for i in range(n)],
        amount=np.linspace(0, 1, n),
        flat=[1] * n,
    )
    found = finding("data_governance.determining_inputs", evidence)
    told = {g.group["feature"]: {m.name for m in g.measures} for g in found.groups}
    assert told == {
        "copy": {"label_inputs"},
        "branch": {"label_inputs"},
        "sexcode": {"group_inputs"},
        "both": {"label_inputs", "group_inputs"},
        "serial": {"identifier_inputs"},
        "token": {"identifier_inputs"},
    }
    assert [m.value for m in found.measures] == [3, 2, 2]
    assert found.outcome is Outcome.FAIL


def test_no_shared_row_among_few_does_not_show_that_none_would_be() -> None:
    test, train = people(60, 3), people(60, 4)
    test["income"], train["income"] = 1e6 + np.arange(60.0), np.arange(60.0)
    beyond = measure("data_governance.leakage", "beyond_chance", sealed(test, train))
    assert beyond.value == 0.0
    assert beyond.high is not None
    assert beyond.high > 0.02
    assert (
        finding("data_governance.leakage", sealed(test, train)).limit["beyond_chance"].outcome is Outcome.INCONCLUSIVE
    )


def test_a_group_that_is_itself_an_input_is_not_counted_twice() -> None:
    evidence = by_predictions(
        groups={"sex": ["f", "m"] * 50, "town": ["a", "b", "c", "d"] * 25},
        decision=[0, 1] * 50,
        features={"sex": ["f", "m"] * 50, "x": np.linspace(0, 1, 100)},
    )
    assert measure("data_governance.determining_inputs", "group_inputs", evidence).value == 0


@pytest.mark.parametrize("label", [None, [1] * 100, [-1] * 90 + [0, 1] * 5], ids=["none", "one class", "few"])
def test_where_labels_or_groups_cannot_be_told_apart_no_input_is_said_not_to_determine_them(
    label: list[int] | None,
) -> None:
    evidence = by_predictions(
        groups={"sex": ["f", "m"] * 50},
        decision=[0, 1] * 50,
        label=label,
        features={"sex": ["f", "m"] * 50, "x": np.linspace(0, 1, 100)},
    )
    found = finding("data_governance.determining_inputs", evidence)
    for name in ("label_inputs", "group_inputs"):
        unknown = found.measure(name)
        assert unknown is not None
        assert unknown.value is None
        assert unknown.reason is not None
    assert found.outcome is Outcome.INCONCLUSIVE


def test_small_groups_stay_visible_beside_their_share() -> None:
    test, train = people(100, 13), people(100, 14)
    test.loc[:9, "sex"] = "x"
    assert group(finding("data_governance.leakage", sealed(test, train)), "x").too_small
