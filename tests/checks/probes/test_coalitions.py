"""The questions from which Shapley values are computed: which rows are asked, how many, and what is not asked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checks.probes.coalitions import BUDGET_ROWS, plan_coalitions, players_of
from tests.make.evidence import declare


def numbers(rows: int, columns: int, distinct: int | None = None) -> pa.Table:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, columns)) if distinct is None else rng.integers(0, distinct, (rows, columns))
    return pa.table({f"x{i}": x[:, i] for i in range(columns)})


def alone(table: pa.Table) -> list[tuple[str, tuple[str, ...]]]:
    return [(n, (n,)) for n in table.column_names]


def matrix(table: pa.Table) -> np.ndarray:
    return np.stack([c.to_numpy() for c in table.columns], axis=1)


def test_a_table_the_size_of_adult_stays_within_the_budget() -> None:
    table = numbers(16_281, 12)
    plan = plan_coalitions(table, alone(table), np.random.default_rng(0))
    assert plan is not None
    assert len(plan.facts["explained"]) == 200
    assert len(plan.facts["background"]) == 1_000
    assert plan.rows.num_rows <= BUDGET_ROWS + 1_200
    assert plan.facts["index"].shape[1] >= 10


def test_each_step_of_a_path_lets_one_input_join() -> None:
    table = numbers(300, 6)
    plan = plan_coalitions(table, alone(table), np.random.default_rng(0), budget_rows=6_000)
    assert plan is not None
    asked, data, facts = matrix(plan.rows), matrix(table), plan.facts
    rng = np.random.default_rng(9)
    for _ in range(50):
        i, k = int(rng.integers(len(facts["explained"]))), int(rng.integers(facts["drawn"].shape[1]))
        x, z = data[facts["explained"][i]], data[facts["background"][facts["drawn"][i, k]]]
        for way in range(2):
            order = facts["order"][i, k] if way == 0 else facts["order"][i, k][::-1]
            row = z.copy()
            np.testing.assert_array_equal(asked[facts["index"][i, k, way, 0]], row)
            for step, joins in enumerate(order, start=1):
                row[joins] = x[joins]
                np.testing.assert_array_equal(asked[facts["index"][i, k, way, step]], row)


def test_all_coalitions_find_the_row_they_mean() -> None:
    table = numbers(40, 4, distinct=3)
    plan = plan_coalitions(table, alone(table), np.random.default_rng(0))
    assert plan is not None
    asked, data, facts = matrix(plan.rows), matrix(table), plan.facts
    assert facts["index"].shape[2] == 2**4
    for i in range(0, 40, 7):
        for b in range(0, len(facts["background"]), 5):
            x, z = data[facts["explained"][i]], data[facts["background"][b]]
            for coalition in range(16):
                wanted = np.where((coalition >> np.arange(4)) & 1 == 1, x, z)
                np.testing.assert_array_equal(asked[facts["index"][i, b, coalition]], wanted)


def test_an_input_on_which_both_rows_agree_costs_no_question() -> None:
    varied, alike = numbers(400, 8), numbers(400, 8, distinct=2)
    first = plan_coalitions(varied, alone(varied), np.random.default_rng(0), budget_rows=8_000, explained_rows=50)
    second = plan_coalitions(alike, alone(alike), np.random.default_rng(0), budget_rows=8_000, explained_rows=50)
    assert first is not None
    assert second is not None
    # With half of the inputs alike the same budget buys about twice the pairs.
    assert second.facts["index"].shape[1] > 1.7 * first.facts["index"].shape[1]


def test_each_pair_of_a_row_has_a_background_row_of_its_own() -> None:
    table = numbers(500, 10)
    plan = plan_coalitions(table, alone(table), np.random.default_rng(0))
    assert plan is not None
    for drawn in plan.facts["drawn"]:
        assert len(set(drawn.tolist())) == len(drawn)


def test_many_inputs_mean_fewer_explained_rows_and_too_many_none() -> None:
    table = numbers(300, 150)
    plan = plan_coalitions(table, alone(table), np.random.default_rng(0))
    assert plan is not None
    assert 10 <= len(plan.facts["explained"]) < 60
    assert plan.rows.num_rows < 1.5 * BUDGET_ROWS
    wide = numbers(30, 3_000)
    assert plan_coalitions(wide, alone(wide), np.random.default_rng(0)) is None


def test_one_input_needs_no_mixtures() -> None:
    table = numbers(30, 1)
    plan = plan_coalitions(table, alone(table), np.random.default_rng(0))
    assert plan is not None
    assert plan.rows.num_rows == 60


def test_categories_and_missing_values_keep_their_types() -> None:
    job = pa.array(["a", "b", None, "a"] * 20).dictionary_encode()
    size = pa.array([1.0, None, 3.0, 4.0] * 20)
    table = pa.table({"job": pa.chunked_array([job.slice(0, 40), job.slice(40)]), "size": size})
    plan = plan_coalitions(table, alone(table), np.random.default_rng(0))
    assert plan is not None
    assert plan.rows.schema.types == table.schema.types
    assert set(plan.rows.column("job").cast(pa.string()).to_pylist()) == {"a", "b", None}


def test_a_category_named_like_a_column_stays_apart_from_it() -> None:
    declaration = declare(route="model")
    inputs = declaration.inputs.model_copy(update={"dummies": {"a": ("b", "c")}})
    declaration = declaration.model_copy(update={"inputs": inputs})
    assert players_of(["a", "b", "c"], declaration) == [("a", ("a",)), ("a", ("b", "c"))]


def test_pieces_of_a_column_with_dictionaries_of_their_own_are_one_column() -> None:
    first, second = pa.array(["a", "b"] * 20).dictionary_encode(), pa.array(["b", "c"] * 20).dictionary_encode()
    table = pa.table({"job": pa.chunked_array([first, second]), "x": np.arange(80.0)})
    plan = plan_coalitions(table, alone(table), np.random.default_rng(0), budget_rows=2_000)
    whole = pa.table(
        {"job": pa.chunked_array([table.column("job").cast(pa.string()).combine_chunks()]), "x": table["x"]}
    )
    same = plan_coalitions(whole, alone(whole), np.random.default_rng(0), budget_rows=2_000)
    assert plan is not None
    assert same is not None
    assert plan.rows.column("job").cast(pa.string()).to_pylist() == same.rows.column("job").to_pylist()


def test_what_is_planned_does_not_grow_with_the_data() -> None:
    table = numbers(400_000, 12)
    plan = plan_coalitions(table, alone(table), np.random.default_rng(0))
    assert plan is not None
    assert plan.rows.num_rows <= BUDGET_ROWS + 1_200
    assert plan.rows.nbytes < 20_000_000
