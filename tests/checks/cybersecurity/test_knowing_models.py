"""Models that remember: those that count what they were asked, and those that hold the answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from checks.asking import BATCH_ROWS, all_probes, plan_all, rng_for
from checks.evidence import Evidence, Table
from checks.finding import Finding, Outcome
from checks.judge import judge
from checks.policy import load
from checks.probes.within_precision import precision
from checks.registry import catalogue
from tests.make.evidence import by_model, codes, declare, table

POLICY = load("default")
Predict = Callable[[pa.Table], NDArray[np.float64]]


def people(rows: int = 1_200, *, noise: float = 1.5) -> Table:
    rng = np.random.default_rng(4)
    income, age = np.round(rng.normal(30.0, 8.0, rows), 2), rng.integers(18, 80, rows)
    pull = (income - 30.0) / 8.0 + (age - 50) / 20.0 + rng.normal(0.0, noise, rows)
    return table(
        features={
            "income": income,
            "age": age,
            "kind": [["a", "b"][i] for i in rng.integers(0, 2, rows)],
            "code": rng.integers(0, 5, rows),
        },
        groups={"sex": [["f", "m"][i] for i in rng.integers(0, 2, rows)]},
        label=codes((pull > 0).astype(int)),
    )


def learned(batch: pa.Table) -> NDArray[np.float64]:
    """A rule that was learned: smooth, and right about four times in five."""
    income, age = (batch.column(n).to_numpy().astype(float) for n in ("income", "age"))
    return np.asarray(1.0 / (1.0 + np.exp(-((income - 30.0) / 8.0 + (age - 50) / 20.0))))[:, None]


def storing(given: Table) -> Predict:
    """Holds the label of every row submitted, and has learned nothing."""
    assert given.label is not None
    rows = zip(*(given.features.column(n).to_pylist() for n in given.features.column_names), strict=True)
    held = dict(zip(rows, given.label.to_pylist(), strict=True))

    def predict(batch: pa.Table) -> NDArray[np.float64]:
        asked = zip(*(batch.column(n).to_pylist() for n in batch.column_names), strict=True)
        return np.array([[float(held.get(row, 0))] for row in asked])

    return predict


def found(code: str, evidence: Evidence) -> Finding:
    return judge(next(c for c in catalogue() if c.code == f"cybersecurity.{code}"), evidence, POLICY)[0].finding


def asked(predict: Predict, given: Table | None = None) -> Evidence:
    return by_model(given or people(), predict, declare(route="model"))


def test_stored_answers_are_lost_by_a_change_that_the_data_cannot_tell() -> None:
    given = people()
    finding = found("memorised_answers", asked(storing(given), given))
    values = {m.name: m.value for m in finding.measures}
    assert values["accuracy_submitted"] == 1.0
    assert (values["accuracy_changed"] or 0.0) < 0.65
    assert finding.outcome is Outcome.FAIL


def test_what_was_learned_is_kept() -> None:
    finding = found("memorised_answers", asked(learned))
    lost = finding.measures[0]
    assert abs(lost.value or 0.0) < 0.01
    assert (finding.measures[1].value or 0.0) > 0.7
    assert finding.outcome is Outcome.PASS
    assert finding.reason is not None
    assert finding.reason.params["columns"] == 2


def test_rows_without_a_label_are_left_out_and_none_at_all_is_said() -> None:
    given = people()
    half = codes([int(v.as_py()) if i % 2 else -1 for i, v in enumerate(given.label or [])])
    finding = found("memorised_answers", asked(learned, table_with(given, half)))
    assert finding.measures[0].rows == given.rows // 2
    nothing = found("memorised_answers", asked(learned, table_with(given, codes([-1] * given.rows))))
    assert nothing.outcome is Outcome.NOT_GATHERED


def table_with(given: Table, label: pa.ChunkedArray) -> Table:
    return Table(
        features=given.features, groups=given.groups, label=label, rows=given.rows, row_numbers=given.row_numbers
    )


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([1.25, 2.5, 3.75], 0.01),
        ([1.0, 2.0, 17.0], 1.0),
        ([1_000_000.5, 2.5, 3.0], 1.0),
        ([0.1234567891234, 0.7, 1.1], 1e-6),
        ([1e-12, 3e-12, 2e-12], 1e-9),
    ],
)
def test_the_precision_is_the_last_decimal_but_no_finer_than_a_millionth_of_the_range(
    values: list[float], unit: float
) -> None:
    assert precision(np.array(values)) == pytest.approx(unit, rel=0.2)


def test_every_row_asked_changed_and_by_less_than_the_data_can_tell() -> None:
    given = people()
    probe = next(p for p in all_probes() if p.name == "within_precision")
    plan = probe.plan(given, declare(route="model"), rng_for(2, probe.name))
    assert plan is not None
    before = given.features.take(pa.array(plan.facts["row"]))

    def moved(name: str) -> NDArray[np.float64]:
        after, first = (t.column(name).to_numpy().astype(float) for t in (plan.rows, before))
        return np.asarray(np.abs(after - first))

    assert ((moved("income") > 0.0005) & (moved("income") < 0.005)).all()
    assert set(moved("age")) == {1.0}
    assert moved("code").max() == 0.0
    assert plan.rows.column("kind").equals(before.column("kind"))
    rounded = np.round(plan.rows.column("income").to_numpy(), 2)
    np.testing.assert_allclose(rounded, before.column("income").to_numpy())


def test_whole_numbers_that_may_be_codes_only_become_numbers_that_the_data_hold() -> None:
    rng = np.random.default_rng(0)
    postcode = rng.choice(np.arange(1000, 2000, 3), 900)
    given = table(
        features={"postcode": postcode, "own": np.arange(900) * 7},
        groups={"sex": ["f"] * 900},
        label=codes([0, 1] * 450),
    )
    probe = next(p for p in all_probes() if p.name == "within_precision")
    plan = probe.plan(given, declare(route="model"), rng_for(2, probe.name))
    assert plan is not None
    assert plan.facts["moved"].tolist() == [False, True]
    assert set(plan.rows.column("postcode").to_numpy()) <= set(postcode)


class Counting:
    """Answers by its rule, and turns the answers round once it was asked as often as no honest user would."""

    def __init__(self, after: int) -> None:
        self.rows = 0
        self.after = after

    def __call__(self, batch: pa.Table) -> NDArray[np.float64]:
        self.rows += batch.num_rows
        return learned(batch) if self.rows <= self.after else 1.0 - learned(batch)


def test_a_model_that_counts_what_it_was_asked_differs_from_one_that_was_asked_little() -> None:
    given = people()
    declaration = declare(route="model")
    plans = plan_all(tuple(p for p in all_probes() if p.name in ("baseline", "second_cell")), given, declaration, 0)
    assert plans["second_cell"].fresh
    assert plans["second_cell"].apart
    assert plans["second_cell"].batch_rows < BATCH_ROWS
    assert found("consistent_answers", asked(learned)).outcome is Outcome.PASS
    finding = found("consistent_answers", asked(Counting(5_000)))
    assert finding.outcome is Outcome.FAIL
    assert (finding.measures[0].value or 0.0) > 0


@pytest.mark.parametrize(("rows", "again"), [(50, 50), (1_200, 200), (10_000, 500)])
def test_a_twentieth_is_asked_again_and_of_few_rows_more(rows: int, again: int) -> None:
    probe = next(p for p in all_probes() if p.name == "second_cell")
    plan = probe.plan(people(rows), declare(route="model"), rng_for(1, probe.name))
    assert plan is not None
    assert plan.rows.num_rows == again
    assert len(np.unique(plan.facts["row"])) == again
    assert (np.diff(plan.facts["row"]) < 0).any()
