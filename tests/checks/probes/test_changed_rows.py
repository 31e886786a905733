"""Rows asked again with something changed: what moves, what stays, and what is left alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.asking import Plan, all_probes, rng_for
from checks.declaration import Declaration
from checks.evidence import Table
from tests.make.evidence import codes, declare, table


def planned(name: str, given: Table, declaration: Declaration | None = None) -> Plan | None:
    probe = next(p for p in all_probes() if p.name == name)
    return probe.plan(given, declaration or declare(route="model"), rng_for(1, name))


def people() -> Table:
    rng = np.random.default_rng(0)
    n = 900
    gain = np.where(rng.random(n) < 0.9, 0.0, np.round(rng.exponential(5_000.0, n)))
    return table(
        features={
            "age": rng.integers(18, 80, n).astype(float),
            "rate": rng.normal(size=n),
            "gain": gain,
            "code": rng.integers(0, 5, n).astype(float),
            "on": rng.integers(0, 2, n).astype(float),
            "job": [["a", "b", None][i] for i in rng.integers(0, 3, n)],
        },
        groups={"sex": ["f"] * n},
        label=codes(rng.integers(0, 2, n)),
    )


def columns(plan: Plan, given: Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    before = given.features.column(name).take(pa.array(plan.facts["row"])).to_numpy(zero_copy_only=False)
    return before, plan.rows.column(name).to_numpy(zero_copy_only=False)


def test_whole_numbers_move_by_one_and_others_by_a_twentieth_of_their_spread() -> None:
    given = people()
    plan = planned("nudged", given)
    assert plan is not None
    before, after = columns(plan, given, "age")
    assert set(np.abs(after - before)) <= {0.0, 1.0}
    assert (after == before).mean() < 0.05
    before, after = columns(plan, given, "rate")
    steps = np.abs(after - before)
    assert 0.045 < np.median(steps) < 0.055
    assert 0.4 < ((after - before) > 0).mean() < 0.6


def test_the_value_that_most_rows_share_stays_and_codes_are_left_alone() -> None:
    given = people()
    plan = planned("nudged", given)
    assert plan is not None
    before, after = columns(plan, given, "gain")
    assert (after[before == 0.0] == 0.0).all()
    # A whole number moves to one that the data hold, so a lonely one may have nowhere to go.
    assert (after[before > 0.0] != before[before > 0.0]).mean() > 0.7
    assert set(after) <= set(given.features.column("gain").to_numpy())
    for name in ("code", "on"):
        before, after = columns(plan, given, name)
        np.testing.assert_array_equal(before, after)
    assert plan.facts["moved"].tolist() == [True, True, True, False, False, False]


def test_dummies_of_a_category_are_never_nudged() -> None:
    given = people()
    base = declare(route="model").model_dump(mode="json")
    declared = Declaration.model_validate({**base, "inputs": {"dummies": {"x": ["age", "rate", "gain"]}}})
    assert planned("nudged", given, declared) is None


def test_exactly_one_input_is_left_out_and_only_where_it_may_be_empty() -> None:
    given = people()
    plan = planned("missing", given)
    assert plan is not None
    before, after = columns(plan, given, "job")
    assert all(value is not None for value in before)
    assert all(value is None for value in after)
    for name in ("age", "rate", "gain", "code", "on"):
        np.testing.assert_array_equal(*columns(plan, given, name))


def test_a_swapped_group_is_another_one_and_nothing_else_changes() -> None:
    rng = np.random.default_rng(0)
    sex = [["f", "m", "x", None][i] for i in rng.integers(0, 4, 300)]
    given = table(
        features={"sex": sex, "pay": rng.random(300)}, groups={"sex": sex}, label=codes(rng.integers(0, 2, 300))
    )
    declared = declare(route="model", groups=(), columns={"sex": "feature+group"})
    plan = planned("swapped_group", given, declared)
    assert plan is not None
    before, after = columns(plan, given, "sex")
    assert None not in before.tolist()
    assert None not in after.tolist()
    assert (before != after).all()
    assert {(b, a) for b, a in zip(before, after, strict=True)} == {(b, a) for b in "fmx" for a in "fmx" if a != b}
    np.testing.assert_array_equal(*columns(plan, given, "pay"))


def test_a_group_that_is_no_input_is_not_asked_about() -> None:
    assert planned("swapped_group", people()) is None
