"""Values that the data never hold, and another mix of groups."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from checks.asking import Plan, ask, plan_all, probes_for
from checks.evidence import Evidence, Table
from checks.finding import Outcome
from checks.probes.never_seen import CATEGORY, NUMBER, UNSEEN
from checks.sealing import seal
from tests.make.evidence import by_counts, by_model, codes, declare, table
from tests.make.judged import finding, of_group


def people(rows: int = 800) -> Table:
    rng = np.random.default_rng(4)
    return table(
        features={
            "age": rng.integers(18, 80, rows).astype(np.int64),
            "pay": [None if r < 0.1 else float(r) for r in rng.random(rows)],
            "kind": pa.array(rng.choice(["a", "b"], rows).tolist()).dictionary_encode(),
            "flag": rng.integers(0, 2, rows).astype(np.int64),
        },
        groups={"sex": rng.choice(["f", "m"], rows)},
        label=codes(rng.integers(0, 2, rows)),
    )


def planned(given: Table) -> Plan:
    declaration = declare(route="model")
    return plan_all(probes_for(declaration), given, declaration, 3)["never_seen"]


def test_each_row_asked_differs_in_one_input_that_no_row_of_the_data_has() -> None:
    given = people()
    plan = planned(given)
    assert plan.fresh
    age = given.features.column("age").to_numpy()
    for place in range(plan.rows.num_rows):
        own = given.features.slice(int(plan.facts["row"][place]), 1).to_pylist()[0]
        now = plan.rows.slice(place, 1).to_pylist()[0]
        (changed,) = (name for name in own if own[name] != now[name])
        assert changed == given.features.column_names[int(plan.facts["column"][place])]
        # A column of few numbers is taken for codes, and no code is made up.
        assert changed != "flag"
        if plan.facts["kind"][place] == CATEGORY:
            assert now["kind"] == UNSEEN
        else:
            assert plan.facts["kind"][place] == NUMBER
        if changed == "age":
            assert not age.min() <= now["age"] <= age.max()


def test_a_model_that_reads_one_category_flips_at_another_name_and_for_whom_is_told() -> None:
    def leaning(batch: pa.Table) -> np.ndarray:
        kind = np.array(batch.column("kind").cast(pa.string()).to_pylist())
        return np.where(kind == "a", 0.9, np.where(kind == "b", 0.8, 0.1))[:, None]

    found = finding("robustness.never_seen", by_model(people(), leaning, declare(route="model")))
    unseen, beyond = (found.measure(n) for n in ("flipped_unseen_category", "flipped_out_of_range"))
    assert unseen is not None
    assert beyond is not None
    assert (unseen.value, beyond.value) == (1.0, 0.0)
    assert beyond.high is not None
    assert beyond.high > 0
    assert of_group(found, "kind", "flip_rate").value == 1.0
    assert {"f", "m"} <= {g.group.get("sex") for g in found.groups}


def mixed() -> Evidence:
    cells = [("F", 1, 1, 180), ("F", 1, 0, 20), ("F", 0, 0, 90), ("F", 0, 1, 10)]
    cells += [("M", 1, 1, 300), ("M", 1, 0, 300), ("M", 0, 1, 300), ("M", 0, 0, 300)]
    return by_counts(cells)


def test_another_mix_of_groups_weighs_their_rates_by_its_shares() -> None:
    found = finding("robustness.shifted_population", mixed())
    there, change = (found.measure(n) for n in ("accuracy_there", "accuracy_change"))
    assert there is not None
    assert change is not None
    assert there.value == pytest.approx(0.5 * 0.9 + 0.5 * 0.5)
    assert change.value == pytest.approx(0.7 - (0.2 * 0.9 + 0.8 * 0.5))
    assert change.low is not None
    assert change.high is not None
    assert 0 < change.low < change.value < change.high
    assert found.reason is not None
    assert found.reason.code == "to_even"


def test_the_stated_population_is_the_mix_where_there_is_one() -> None:
    from dataclasses import replace

    stated = replace(mixed(), population={"sex": {"F": 0.2, "M": 0.8}})
    found = finding("robustness.shifted_population", stated)
    change = found.measure("selection_change")
    assert change is not None
    # The data have that mix already, so nothing changes, and that is certain.
    assert (change.low, change.value, change.high) == pytest.approx((0, 0, 0), abs=1e-12)
    assert found.reason is not None
    assert found.reason.code == "to_stated"


def test_one_large_group_cannot_be_mixed() -> None:
    found = finding("robustness.shifted_population", by_counts([("F", 1, 1, 100), ("M", 1, 0, 5)]))
    assert found.outcome is Outcome.NOT_GATHERED


def test_95_percent_is_95_percent_for_the_change_by_another_mix() -> None:
    rng, draws, held = np.random.default_rng(6), 200, 0
    sizes, rates = np.array([150, 60, 400]), np.array([0.4, 0.1, 0.55])
    truth = float((rates * (1 / 3 - sizes / sizes.sum())).sum())
    for _ in range(draws):
        chosen = rng.binomial(sizes, rates)
        rows = [
            (g, 1, d, int(k)) for g, n, c in zip("abc", sizes, chosen, strict=True) for d, k in ((1, c), (0, n - c))
        ]
        change = finding("robustness.shifted_population", by_counts(rows)).measure("selection_change")
        assert change is not None
        assert change.low is not None
        assert change.high is not None
        held += change.low <= truth <= change.high
    assert held / draws >= 0.904


def test_a_model_that_fails_at_such_a_value_is_told_and_costs_no_other_check_its_words() -> None:
    declaration = declare(route="model")
    given = people()
    plans = plan_all(probes_for(declaration), given, declaration, 0)
    others = {name: plan for name, plan in plans.items() if name not in ("never_seen", "missing")}
    asked = ask(others, lambda batch: np.full((batch.num_rows, 1), 0.4), key=b"tests")
    fault = {"code": "crashed", "rows_answered": True, "question": "never_seen"}
    evidence = seal(declaration, submission_digest="0" * 64, table=given, asked=asked, model_fault=fault)
    found = finding("robustness.never_seen", evidence)
    assert found.outcome is Outcome.MEASURED
    assert found.reason is not None
    assert (found.reason.code, found.reason.params) == ("fails", {"fault": "crashed"})
    other = finding("robustness.missing_inputs", evidence)
    assert other.reason is not None
    assert other.reason.code == "not_asked"
