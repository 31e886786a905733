"""What leaving an input out would do to the gap: asked of the model itself, one input at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from checks.evidence import Evidence
from checks.finding import Outcome
from tests.make.evidence import by_model, codes, declare, table
from tests.make.judged import finding, of_group


def asked(*, unit: bool = False, favourable: str | None = "yes") -> tuple[Evidence, dict[str, np.ndarray]]:
    """A model that leans on an input which stands in for the group, and on one that does not."""
    rng = np.random.default_rng(2)
    n = 3000
    sex = rng.choice(["F", "M"], n)
    proxy = (sex == "M").astype(float) + rng.normal(0, 0.3, n)
    merit = rng.normal(0, 1, n)
    given = table(
        features={"proxy": proxy, "merit": merit, "idle": rng.normal(0, 1, n)},
        groups={"sex": sex},
        label=codes(rng.integers(0, 2, n)),
        unit=np.arange(n) // 2 if unit else None,
    )

    def predict(batch: pa.Table) -> np.ndarray:
        p, m = (batch.column(name).to_numpy() for name in ("proxy", "merit"))
        return np.asarray(1 / (1 + np.exp(-(2 * (p - 0.5) + m))))[:, None]

    declaration = declare(route="model", favourable=favourable, columns={"u": "unit"} if unit else None)
    return by_model(given, predict, declaration), {"sex": sex, "proxy": proxy, "merit": merit}


def test_the_input_that_stands_in_for_the_group_is_named_and_the_gap_goes_with_it() -> None:
    evidence, given = asked()
    found = finding("fairness.inputs_left_out", evidence)
    now, smallest = (found.measure(n) for n in ("difference_now", "smallest_difference"))
    assert now is not None
    assert smallest is not None
    assert found.groups[0].group == {"feature": "proxy"}
    chosen = 2 * (given["proxy"] - 0.5) + given["merit"] >= 0
    gap = abs(chosen[given["sex"] == "F"].mean() - chosen[given["sex"] == "M"].mean())
    assert now.low is not None
    assert now.high is not None
    assert now.low < gap < now.high
    assert smallest.value is not None
    assert smallest.low is not None
    assert smallest.high is not None
    # Without the proxy, merit alone decides, and it does not go along with the group.
    assert smallest.low <= smallest.value <= smallest.high
    assert smallest.low < 0.02
    assert smallest.value < now.low
    assert of_group(found, "idle", "flip_rate").value == 0.0
    assert of_group(found, "idle", "difference").value == pytest.approx(now.value)


def test_what_is_usual_is_a_value_of_the_data_and_the_same_for_everyone() -> None:
    from checks.asking import plan_all, probes_for
    from tests.contract.test_every_probe import a_table, declared

    given = a_table()
    plan = plan_all(probes_for(declared()), given, declared(), 5)["neutral"]
    for player in np.unique(plan.facts["player"]):
        here = np.flatnonzero(plan.facts["player"] == player)
        own = given.features.take(pa.array(plan.facts["row"][here]))
        changed = [n for n in own.column_names if not plan.rows.column(n).take(pa.array(here)).equals(own.column(n))]
        assert len(changed) <= 1
        for name in changed:
            assert len(plan.rows.column(name).take(pa.array(here)).unique()) == 1


def test_pairs_of_rows_of_one_household_make_the_gap_without_an_input_less_certain() -> None:
    plain, tied = (
        finding("fairness.inputs_left_out", asked(unit=u)[0]).measure("difference_now") for u in (False, True)
    )
    assert plain is not None
    assert tied is not None
    assert plain.value == tied.value
    assert plain.high is not None
    assert tied.high is not None
    assert tied.high != plain.high


def test_without_a_favourable_class_there_is_no_gap_to_ask_about() -> None:
    found = finding("fairness.inputs_left_out", asked(favourable=None)[0])
    assert found.outcome is Outcome.NOT_GATHERED
    assert found.reason is not None
    assert found.reason.code == "no_favourable"
