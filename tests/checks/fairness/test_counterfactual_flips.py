"""What happens to decisions when only the group is changed, and when it cannot be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.evidence import Evidence
from checks.finding import Finding, Outcome
from checks.judge import judge
from checks.policy import Policy, Terms
from checks.registry import catalogue
from tests.make.evidence import by_model, codes, declare, table

POLICY = Policy(
    name="test",
    version="1",
    recorded=dt.date(2026, 1, 1),
    about="test",
    terms=Terms(confidence=0.95, minimum_rows=30, suppress_below=10, short_words=5, families="per_attribute"),
    limits={},
)


def evidence(predict: Callable[[pa.Table], NDArray[np.float64]]) -> Evidence:
    rng = np.random.default_rng(6)
    sex = [["f", "m"][i] for i in rng.integers(0, 2, 400)]
    region = [["n", "s"][i] for i in rng.integers(0, 2, 400)]
    given = table(
        features={"pay": rng.random(400), "sex": sex},
        groups={"sex": sex, "region": region},
        label=codes(rng.integers(0, 2, 400)),
    )
    declared = declare(route="model", groups=("region",), columns={"sex": "feature+group"})
    return by_model(given, predict, declared)


def found(sealed: Evidence) -> dict[str | None, Finding]:
    check = next(c for c in catalogue() if c.code == "fairness.counterfactual_flips")
    return {judged.finding.attribute: judged.finding for judged in judge(check, sealed, POLICY)}


def by_pay_and_sex(batch: pa.Table) -> NDArray[np.float64]:
    bonus = np.array([0.2 if s == "m" else 0.0 for s in batch.column("sex").cast(pa.string()).to_pylist()])
    return (batch.column("pay").to_numpy() * 0.8 + bonus)[:, None]


def test_a_model_that_favours_a_group_flips_those_between_and_says_who_gains() -> None:
    sealed = evidence(by_pay_and_sex)
    finding = found(sealed)["sex"]
    assert sealed.rows is not None
    pay, sex = sealed.rows.column("feature:pay").to_numpy(), np.array(sealed.rows.column("group:sex").to_pylist())
    # With the bonus 0.3 / 0.8 is enough, without it 0.5 / 0.8 is needed: those between flip.
    between = (pay * 0.8 >= 0.3) & (pay * 0.8 < 0.5)
    assert finding.measures[0].value == between.mean()
    groups = {g.group["sex"]: {m.name: m.value for m in g.measures} for g in finding.groups}
    assert groups["f"]["gained"] == groups["f"]["flip_rate"] == between[sex == "f"].mean()
    assert groups["f"]["lost"] == 0.0
    assert groups["m"]["lost"] == between[sex == "m"].mean()
    check = next(c for c in catalogue() if c.code == "fairness.counterfactual_flips")
    (drawn,) = next(j.figures for j in judge(check, sealed, POLICY) if j.finding.attribute == "sex")
    assert dict(zip(drawn.columns["group"], drawn.columns["value"], strict=True)) == {
        name: measures["flip_rate"] for name, measures in groups.items()
    }


def test_a_model_that_does_not_look_at_the_group_flips_nothing_with_an_interval_that_is_not_certain() -> None:
    finding = found(evidence(lambda b: b.column("pay").to_numpy()[:, None]))["sex"]
    flipped = finding.measures[0]
    assert flipped.value == 0.0
    assert flipped.high is not None
    assert flipped.high > 0.005


def test_an_attribute_that_is_no_input_cannot_be_swapped() -> None:
    finding = found(evidence(by_pay_and_sex))["region"]
    assert finding.outcome is Outcome.NOT_APPLICABLE
    assert finding.reason is not None
    assert finding.reason.code == "not_an_input"
