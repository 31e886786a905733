"""What must be true of every question to a model, present and future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from checks.asking import BASELINE, Plan, Probe, all_probes, plan_all, rng_for
from checks.declaration import Declaration
from checks.evidence import Table
from tests.make.evidence import codes, declare

PROBES = all_probes()


def a_table(rows: int = 120, *, label_seed: int = 0, one: bool = False) -> Table:
    """A table with every type of column, missing values among them; labels and groups drawn apart from features."""
    rng = np.random.default_rng(11)
    job = pa.array([["cook", "smith", None][i] for i in rng.integers(0, 3, rows)])
    size = rng.normal(size=rows)
    size[::9] = np.nan
    features = pa.table(
        {
            "size": pa.chunked_array([pa.array(size, from_pandas=True)]),
            "count": pa.chunked_array([pa.array(rng.integers(0, 60, rows))]),
            "home": pa.chunked_array([pa.array(rng.random(rows) < 0.5)]),
            "job": pa.chunked_array([job.dictionary_encode()]),
            "note": pa.chunked_array([pa.array([f"t{i % 7}" for i in range(rows)])]),
            "sex": pa.chunked_array([pa.array([["f", "m"][i] for i in rng.integers(0, 2, rows)]).dictionary_encode()]),
        }
    )
    if one:
        features = features.slice(0, 1)
        rows = 1
    drawn = np.random.default_rng(100 + label_seed)
    groups = pa.table({"region": pa.array([["north", "south"][i] for i in drawn.integers(0, 2, rows)])})
    made = Table(
        features=features,
        groups=groups.append_column("sex", features.column("sex").cast(pa.string())),
        label=codes(drawn.integers(0, 2, rows)),
        rows=rows,
        row_numbers=pa.chunked_array([pa.array(np.arange(rows))]),
    )
    turned = replace(made, features=features.take(pa.array(np.arange(rows)[::-1])))
    return replace(made, training=turned, holdout=turned)


def declared() -> Declaration:
    return declare(route="model", groups=("region",), columns={"sex": "feature+group"})


def planned(probe: Probe, table: Table) -> Plan | None:
    return probe.plan(table, declared(), rng_for(3, probe.name))


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.name)
def test_it_asks_rows_of_the_same_columns_and_types_as_the_data(probe: Probe) -> None:
    table = a_table()
    plan = planned(probe, table)
    assert plan is not None
    assert plan.rows.num_rows > 0
    assert plan.rows.schema.names == table.features.schema.names
    assert plan.rows.schema.types == table.features.schema.types


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.name)
def test_labels_and_groups_change_nothing_of_what_is_asked(probe: Probe) -> None:
    first, second = planned(probe, a_table(label_seed=1)), planned(probe, a_table(label_seed=2))
    assert first is not None
    assert second is not None
    assert first.rows.equals(second.rows)


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.name)
def test_the_same_seed_asks_the_same(probe: Probe) -> None:
    first, second = planned(probe, a_table()), planned(probe, a_table())
    assert first is not None
    assert second is not None
    assert first.rows.equals(second.rows)
    assert set(first.facts) == set(second.facts)
    for name in first.facts:
        np.testing.assert_array_equal(first.facts[name], second.facts[name])


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.name)
def test_facts_are_arrays_of_numbers_that_an_evidence_can_hash(probe: Probe) -> None:
    plan = planned(probe, a_table())
    assert plan is not None
    for name, fact in plan.facts.items():
        assert isinstance(fact, np.ndarray), name
        assert fact.dtype.kind in "iufb", name


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.name)
def test_one_row_or_none_is_no_fault(probe: Probe) -> None:
    plan = planned(probe, a_table(one=True))
    assert plan is None or plan.rows.num_rows >= 1
    empty = a_table().features.slice(0, 0)
    nothing = Table(
        features=empty,
        groups=empty.select(["sex"]).cast(pa.schema([("sex", pa.string())])),
        rows=0,
        row_numbers=pa.chunked_array([pa.array([], type=pa.int64())]),
    )
    assert probe.plan(nothing, declared(), rng_for(3, probe.name)) is None


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.name)
def test_every_value_asked_is_in_reach_of_the_data(probe: Probe) -> None:
    """A question must not crash a model by a value that it could never meet: no new category, no new missing one.

    But where that is the question, another copy of the model is asked, whose fault takes no other answers with it.
    """
    table = a_table()
    plan = planned(probe, table)
    assert plan is not None
    if plan.fresh and probe.name == "never_seen":
        return
    for name in table.features.column_names:
        asked, known = plan.rows.column(name), table.features.column(name)
        if known.null_count == 0:
            assert asked.null_count == 0, name
        if not pa.types.is_floating(known.type) and not pa.types.is_integer(known.type):
            assert set(asked.cast(pa.string()).to_pylist()) <= set(known.cast(pa.string()).to_pylist()), name
        else:
            numbers = asked.drop_null().to_numpy()
            assert numbers.min() >= known.drop_null().to_numpy().min(), name
            assert numbers.max() <= known.drop_null().to_numpy().max(), name


def test_the_first_question_is_the_data_themselves() -> None:
    table = a_table()
    plan = plan_all(PROBES, table, declared(), 0)[BASELINE]
    assert plan.rows.equals(table.features)
    assert not plan.apart


def test_another_probe_never_changes_what_one_asks() -> None:
    table = a_table()
    alone = plan_all(tuple(p for p in PROBES if p.name == "repeated"), table, declared(), 5)
    together = plan_all(PROBES, table, declared(), 5)
    assert alone["repeated"].rows.equals(together["repeated"].rows)
