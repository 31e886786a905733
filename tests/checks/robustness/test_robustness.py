"""The checks of robustness: what they count, and what they say when the model fails."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from checks.declaration import Declaration
from checks.evidence import Evidence, Table
from checks.finding import Finding, Outcome
from checks.judge import judge
from checks.policy import Limit, Policy, Terms
from checks.registry import catalogue
from checks.robustness.answered import FAULTS
from checks.sealing import seal
from tests.make.evidence import by_model, codes, declare, table

Predict = Callable[[pa.Table], NDArray[np.float64]]

EXACTLY_NONE = Limit(at_most=0, source="test", why="test")
POLICY = Policy(
    name="test",
    version="1",
    recorded=dt.date(2026, 1, 1),
    about="test",
    terms=Terms(confidence=0.95, minimum_rows=30, suppress_below=10, short_words=5, families="per_attribute"),
    limits={
        "robustness.repeated_answers.differing_rows": EXACTLY_NONE,
        "robustness.row_order.differing_rows": EXACTLY_NONE,
        "robustness.answered.unanswered_rows": EXACTLY_NONE,
    },
)


def people(rows: int = 600) -> Table:
    rng = np.random.default_rng(4)
    age = rng.integers(18, 80, rows).astype(float)
    return table(
        features={"age": age, "pay": [None if r < 0.1 else float(r) for r in rng.random(rows)]},
        groups={"sex": [["f", "m"][i] for i in rng.integers(0, 2, rows)]},
        label=codes(rng.integers(0, 2, rows)),
    )


def steady(batch: pa.Table) -> NDArray[np.float64]:
    age = batch.column("age").to_numpy()
    return np.asarray((age / 100.0)[:, None])


def found(check: str, evidence: Evidence) -> Finding:
    one = next(c for c in catalogue() if c.code == f"robustness.{check}")
    return judge(one, evidence, POLICY)[0].finding


def asked(predict: Predict, declaration: Declaration | None = None, given: Table | None = None) -> Evidence:
    return by_model(given or people(), predict, declaration or declare(route="model"))


@pytest.mark.parametrize("check", ["repeated_answers", "row_order", "answered"])
def test_a_steady_model_lies_within_each_limit(check: str) -> None:
    finding = found(check, asked(steady))
    assert finding.outcome is Outcome.PASS
    assert finding.measures[0].value == 0.0


def test_a_model_that_draws_its_answers_is_beyond_the_limit() -> None:
    rng = np.random.default_rng(0)

    def drawn(batch: pa.Table) -> NDArray[np.float64]:
        return rng.random((batch.num_rows, 1))

    for check, rows in (("repeated_answers", 600), ("row_order", 500)):
        finding = found(check, asked(drawn))
        assert finding.outcome is Outcome.FAIL
        differing = finding.measure("differing_rows")
        assert differing is not None
        assert differing.value == differing.rows == rows
        largest = finding.measure("largest_change")
        assert largest is not None
        assert largest.value is not None
        assert 0.5 < largest.value <= 1.0


def test_a_model_that_looks_at_its_neighbours_is_found_by_the_order_of_rows() -> None:
    def crowd(batch: pa.Table) -> NDArray[np.float64]:
        age = batch.column("age").to_numpy()
        return np.asarray(((age - age.mean()) / 200.0 + 0.5)[:, None])

    assert found("row_order", asked(crowd)).outcome is Outcome.FAIL


def test_the_rounding_of_single_precision_is_no_difference_but_a_millionth_more_is() -> None:
    calls = 0

    def shaky(batch: pa.Table, by: float) -> NDArray[np.float64]:
        nonlocal calls
        calls += 1
        return steady(batch) * (1.0 + by * (calls % 2))

    rounded = found("row_order", asked(lambda b: shaky(b, 1e-7)))
    assert rounded.outcome is Outcome.PASS
    largest = rounded.measure("largest_change")
    assert largest is not None
    assert largest.value is not None
    assert 0.0 < largest.value < 1e-6
    assert found("row_order", asked(lambda b: shaky(b, 1e-4))).outcome is Outcome.FAIL


def test_labels_differ_or_do_not_without_a_tolerance() -> None:
    stated = declare(route="model").model_dump(mode="json")
    labels = Declaration.model_validate({**stated, "model": {"file": "m.skops", "output": "label"}})
    small = 0

    def moody(batch: pa.Table) -> NDArray[np.float64]:
        nonlocal small
        small += batch.num_rows == 37
        answers = (steady(batch) > 0.5).astype(np.float64)
        return 1.0 - answers if batch.num_rows == 37 and small == 1 else answers

    finding = found("row_order", asked(moody, labels))
    differing = finding.measure("differing_rows")
    assert differing is not None
    assert differing.value == 37.0


@pytest.mark.parametrize("code", FAULTS)
def test_a_model_that_failed_has_answered_no_row_and_lies_beyond_the_limit(code: str) -> None:
    given = people()
    evidence = seal(
        declare(route="model"),
        submission_digest="0",
        table=given,
        model_fault={"code": code, "rows": 3, "seconds": 1.5},
    )
    finding = found("answered", evidence)
    assert finding.outcome is Outcome.FAIL
    assert finding.reason is not None
    assert finding.reason.code == f"fault_{code}"
    assert finding.reason.params["rows"] == 3
    assert finding.measures[0].value == 600.0
    # The other checks say that the model did not answer, and never that it was within a limit.
    assert found("repeated_answers", evidence).outcome is Outcome.NOT_GATHERED
    assert found("row_order", evidence).outcome is Outcome.NOT_GATHERED


def test_a_fault_without_a_known_name_is_still_a_fault_and_hostile_words_are_cut() -> None:
    fault: dict[str, Any] = {"code": "exploded", "message": "x" * 100_000, "nested": {"a": 1}, "n": 7}
    evidence = seal(declare(route="model"), submission_digest="0", table=people(), model_fault=fault)
    finding = found("answered", evidence)
    assert finding.outcome is Outcome.FAIL
    assert finding.reason is not None
    assert finding.reason.code == "fault_unknown"
    assert len(str(finding.reason.params["message"])) == 200
    assert "nested" not in finding.reason.params


def test_a_threshold_far_from_every_row_flips_nothing_and_one_among_them_does() -> None:
    near = found("small_changes", asked(steady))
    far = found("small_changes", asked(lambda b: steady(b) * 0.2))
    flipped, unmoved = near.measure("flipped"), far.measure("flipped")
    assert flipped is not None
    assert unmoved is not None
    assert unmoved.value == 0.0
    # Zero flips in 600 rows still leave room for a few in a thousand.
    assert unmoved.high is not None
    assert 0.004 < unmoved.high < 0.01
    # Ages are moved by one year, so the decisions about those next to 50 flip, of some sixty years.
    assert flipped.value is not None
    assert 0.005 < flipped.value < 0.05
    assert {g.group["sex"] for g in near.groups} == {"f", "m"}
    by_sex = sum(round((g.measures[0].value or 0.0) * g.rows) for g in near.groups)
    assert by_sex == round(flipped.value * flipped.rows)


def test_a_model_that_leans_on_an_input_flips_when_it_is_missing() -> None:
    def leaning(batch: pa.Table) -> NDArray[np.float64]:
        pay = batch.column("pay").to_numpy(zero_copy_only=False).astype(float)
        return np.where(np.isnan(pay), 0.0, 1.0)[:, None]

    finding = found("missing_inputs", asked(leaning))
    flipped = finding.measure("flipped")
    assert flipped is not None
    # Only rows that had a value are asked without it, and then every decision flips.
    assert flipped.value == 1.0
    assert [g.group for g in finding.groups] == [{"feature": "pay"}, {"sex": "f"}, {"sex": "m"}]
    assert found("missing_inputs", asked(steady)).measures[0].value == 0.0


def test_data_without_missing_values_leave_nothing_out() -> None:
    whole = table(features={"age": [20.0, 30.0] * 20}, groups={"sex": ["f", "m"] * 20}, label=codes([0, 1] * 20))
    finding = found("missing_inputs", asked(steady, given=whole))
    assert finding.outcome is Outcome.NOT_GATHERED
    assert finding.reason is not None
    assert finding.reason.code == "not_asked"


def test_how_far_predicted_numbers_move_is_told_in_the_unit_of_the_label_and_per_group() -> None:
    given = people()
    declaration = declare(route="model", task="regression", favourable=None, groups=("sex",))
    given = replace(given, label=pa.chunked_array([pa.array(np.linspace(0.0, 9.0, given.rows))]))

    def pays(batch: pa.Table) -> NDArray[np.float64]:
        age, pay = (batch.column(name).to_numpy(zero_copy_only=False) for name in ("age", "pay"))
        return np.asarray((3.0 * age + 100.0 * np.nan_to_num(pay))[:, None])

    evidence = by_model(given, pays, declaration)
    for check in ("small_changes", "missing_inputs", "never_seen"):
        told = found(check, evidence)
        change = told.measure("mean_change")
        assert change is not None, check
        assert change.unit == "label"
        assert change.value is not None
        assert change.low is not None
        assert change.high is not None
        assert 0 < change.low < change.value < change.high
        of_people = [g for g in told.groups if "sex" in g.group]
        assert {g.group["sex"] for g in of_people} == {"f", "m"}
        assert all(m.name == "mean_change" and m.low is not None for g in of_people for m in g.measures)
    left_out = found("missing_inputs", evidence).measure("mean_change")
    assert left_out is not None
    # Without pay, the one input that is ever empty, the number falls by a hundred times what it was.
    pay = given.features.column("pay").to_numpy()[evidence.asked["missing"].facts["row"]]
    assert left_out.value == pytest.approx(100.0 * pay.mean(), rel=1e-12)
