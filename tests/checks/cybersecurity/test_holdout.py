"""What a reviewer's holdout tells of a model that stored the answers to the rows submitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy.stats import skew, ttest_rel
from statsmodels.stats.proportion import confint_proportions_2indep

from checks.asking import all_probes, rng_for
from checks.evidence import Evidence, Table
from checks.finding import Outcome
from tests.make.evidence import by_model, codes, declare, floats, table
from tests.make.judged import finding, judged

Predict = Callable[[pa.Table], NDArray[np.float64]]
NAMES = ("income", "age")


def people(rows: int, seed: int, *, number: bool = False) -> Table:
    rng = np.random.default_rng(seed)
    income, age = np.round(rng.normal(30.0, 8.0, rows), 2), rng.integers(18, 80, rows)
    pull = (income - 30.0) / 8.0 + (age - 50) / 20.0 + rng.normal(0.0, 1.5, rows)
    return table(
        features={"income": income, "age": age},
        groups={"sex": [["f", "m"][i] for i in rng.integers(0, 2, rows)]},
        label=floats(pull) if number else codes((pull > 0).astype(int)),
    )


def rule(batch: pa.Table) -> NDArray[np.float64]:
    income, age = (batch.column(n).to_numpy().astype(float) for n in NAMES)
    return np.asarray((income - 30.0) / 8.0 + (age - 50) / 20.0)[:, None]


def learned(batch: pa.Table) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-rule(batch)))


def storing(given: Table, decimals: int = 9) -> Predict:
    """Holds the label of every row submitted; with few decimals it forgives what lies within them."""

    def key(batch: pa.Table) -> list[tuple[float, float]]:
        columns = [batch.column(n).to_numpy().astype(float) for n in NAMES]
        return list(zip(np.round(columns[0], decimals), np.round(columns[1], 0 if decimals > 1 else -1), strict=True))

    assert given.label is not None
    held = dict(zip(key(given.features), given.label.to_pylist(), strict=True))
    return lambda batch: np.array([[float(held.get(k, 0))] for k in key(batch)])


def asked(predict: Predict, given: Table, holdout: Table | None, task: str = "binary") -> Evidence:
    return by_model(replace(given, holdout=holdout), predict, declare(route="model", task=task))


def test_a_model_that_stored_the_answers_is_caught_by_the_holdout() -> None:
    given, holdout = people(900, 1), people(500, 2)
    found = finding("cybersecurity.memorised_answers", asked(storing(given), given, holdout))
    truth = np.asarray(holdout.label.to_numpy())
    assert found.measure("accuracy_all").value > 0.99  # a few people are alike and have different labels
    assert found.measure("accuracy_holdout").value == pytest.approx((truth == 0).mean(), abs=0.03)
    assert found.measure("holdout_lost").low > 0.3
    assert found.outcome is Outcome.FAIL
    assert found.reason.params["held"] == 500


def test_a_lookup_that_forgives_small_differences_is_caught_by_the_holdout_alone() -> None:
    given, holdout = people(900, 1), people(500, 2)
    predict = storing(given, decimals=1)
    alone = finding("cybersecurity.memorised_answers", asked(predict, given, None))
    told = finding("cybersecurity.memorised_answers", asked(predict, given, holdout))
    assert alone.measure("accuracy_lost").high < 0.2
    assert alone.measure("holdout_lost") is None
    assert told.measure("holdout_lost").low > 0.25


def test_what_was_learned_does_as_well_on_the_holdout_with_the_interval_of_statsmodels() -> None:
    given, holdout = people(2_000, 1), people(1_500, 2)
    evidence = asked(learned, given, holdout)
    found = finding("cybersecurity.memorised_answers", evidence)
    lost = found.measure("holdout_lost")
    right = [int((np.asarray(t.label.to_numpy()) == (rule(t.features)[:, 0] > 0)).sum()) for t in (given, holdout)]
    assert lost.value == pytest.approx(right[0] / 2_000 - right[1] / 1_500)
    low, high = confint_proportions_2indep(right[0], 2_000, right[1], 1_500, method="newcomb", compare="diff")
    assert (lost.low, lost.high) == pytest.approx((low, high), abs=1e-9)
    assert found.outcome is Outcome.PASS
    (figure,) = judged("cybersecurity.memorised_answers", evidence)[0].figures
    assert figure.columns["measure"] == ("accuracy_submitted", "accuracy_changed", "accuracy_all", "accuracy_holdout")


def test_stored_numbers_are_caught_by_the_change_and_by_the_holdout_and_learned_ones_are_not() -> None:
    given, holdout = people(700, 1, number=True), people(600, 2, number=True)
    stored = finding("cybersecurity.memorised_answers", asked(storing(given), given, holdout, "regression"))
    kept = finding("cybersecurity.memorised_answers", asked(rule, given, holdout, "regression"))
    assert stored.measure("error_all").value == pytest.approx(0.0, abs=0.02)
    assert stored.measure("error_gained").low > 0.5
    assert stored.measure("holdout_error_ratio").high < 0.1
    assert stored.measure("error_ratio").high < 0.1
    assert kept.measure("error_ratio").low > 0.95
    alone = finding("cybersecurity.memorised_answers", asked(storing(given), given, None, "regression"))
    assert alone.outcome is Outcome.FAIL
    assert stored.outcome is Outcome.FAIL
    ratio = kept.measure("holdout_error_ratio")
    assert ratio.low < 1 < ratio.high
    assert kept.outcome is Outcome.PASS
    truth = np.asarray(holdout.label.to_numpy())
    assert kept.measure("error_holdout").value == pytest.approx(np.abs(rule(holdout.features)[:, 0] - truth).mean())


def test_the_error_gained_has_the_interval_of_a_paired_t_test_corrected_for_skewness() -> None:
    given = people(400, 3, number=True)
    evidence = asked(rule, given, None, "regression")
    gained = finding("cybersecurity.memorised_answers", evidence).measure("error_gained")
    probe = next(p for p in all_probes() if p.name == "within_precision")
    plan = probe.plan(given, declare(route="model", task="regression"), rng_for(0, probe.name))
    truth = np.asarray(given.label.to_numpy())[plan.facts["row"]]
    before = np.abs(rule(given.features.take(pa.array(plan.facts["row"])))[:, 0] - truth)
    after = np.abs(rule(plan.rows)[:, 0] - truth)
    assert gained.value == pytest.approx((after - before).mean())
    tested, n = ttest_rel(after, before), len(after)
    bounds, g = tested.confidence_interval(0.95), skew(after - before) / np.sqrt(n)
    # The skewness of the gains moves the bounds of the paired t test a little: Hall's cubic of each is Student's bound.
    for own, plain in ((gained.low, bounds.low), (gained.high, bounds.high)):
        t, student = ((gained.value - bound) * tested.statistic / gained.value for bound in (own, plain))
        assert t + g * t**2 / 3 + g**2 * t**3 / 27 + g / 6 == pytest.approx(student)
        assert own == pytest.approx(plain, rel=0.02)


def test_rows_of_one_person_in_the_holdout_make_it_less_certain() -> None:
    given, holdout = people(900, 1), people(100, 2)
    four = replace(
        holdout,
        features=pa.concat_tables([holdout.features] * 4),
        label=pa.chunked_array(holdout.label.chunks * 4),
        rows=400,
        unit=pa.chunked_array([pa.array(np.tile(np.arange(100), 4))]),
    )
    one, many = (finding("cybersecurity.memorised_answers", asked(learned, given, h)) for h in (holdout, four))
    first, second = (f.measure("accuracy_holdout") for f in (one, many))
    assert first.value == second.value
    assert second.high - second.low == pytest.approx(first.high - first.low, rel=0.02)


def test_no_feature_of_the_holdout_enters_the_evidence_and_it_is_mixed_with_the_others() -> None:
    given, holdout = people(900, 1), people(500, 2)
    batches: list[pa.Table] = []

    def predict(batch: pa.Table) -> NDArray[np.float64]:
        batches.append(batch)
        return learned(batch)

    evidence = asked(predict, given, holdout)
    assert evidence.rows.num_rows == 900
    assert set(evidence.asked["holdout"].facts) == {"label", "unit", "left_out"}
    incomes = set(holdout.features.column("income").to_pylist())
    first = batches[0].column("income").to_pylist()
    hits = [i for i, v in enumerate(first) if v in incomes]
    assert len(hits) > 20
    assert np.diff(hits).max() < len(first) / 4
