"""What the checks of the evaluation data count, against pandas and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.finding import Outcome
from tests.make.evidence import by_counts, by_predictions
from tests.make.judged import finding, group, judged, measure, of_group


def test_missing_values_are_counted_per_column() -> None:
    evidence = by_predictions(
        groups={"g": ["a"] * 4},
        decision=[0, 1, 0, 1],
        features={"x": [1.0, float("nan"), None, 2.0], "y": ["a", None, "b", "c"], "z": [1, 2, 3, 4]},
    )
    found = finding("data_governance.missing_values", evidence)
    assert {g.group["feature"]: g.measures[0].value for g in found.groups} == {"x": 0.5, "y": 0.25, "z": 0.0}
    assert {m.name: m.value for m in found.measures} == {
        "share": 0.25,
        "columns_with_missing": 2,
        "worst_column": 0.5,
    }
    (figure,) = judged("data_governance.missing_values", evidence)[0].figures
    assert figure.kind == "bars"
    assert figure.columns["feature"] == ("x", "y", "z")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0, None]), st.sampled_from(["a", "b", None]), st.integers(0, 2), st.booleans()
        ),
        min_size=1,
        max_size=60,
    )
)
def test_duplicates_are_those_of_pandas(rows: list[tuple[float | None, str | None, int, bool]]) -> None:
    x, y, z, b = (list(column) for column in zip(*rows, strict=True))
    evidence = by_predictions(
        groups={"g": ["a"] * len(x)}, decision=[0] * len(x), features={"x": x, "y": y, "z": z, "b": b}
    )
    expected = pd.DataFrame({"x": x, "y": y, "z": z, "b": b}).duplicated().sum()
    assert measure("data_governance.duplicates", "duplicates", evidence).value == expected


def test_many_wide_columns_do_not_make_different_rows_alike() -> None:
    rng = np.random.default_rng(1)
    features = {f"x{i}": rng.permutation(5000).astype(float) for i in range(12)}
    evidence = by_predictions(groups={"g": ["a"] * 5000}, decision=[0] * 5000, features=features)
    assert measure("data_governance.duplicates", "duplicates", evidence).value == 0


def test_rows_that_are_alike_with_different_labels_contradict() -> None:
    evidence = by_predictions(
        groups={"g": ["a"] * 5}, decision=[0] * 5, label=[0, 1, 1, 1, -1], features={"x": [1, 1, 2, 2, 1]}
    )
    assert measure("data_governance.duplicates", "contradicting", evidence).value == 2
    assert measure("data_governance.duplicates", "share", evidence).value == pytest.approx(0.6)


def test_representation_counts_groups_and_flags_the_small() -> None:
    evidence = by_predictions(
        groups={"sex": ["F"] * 60 + ["M"] * 30 + ["X"] * 5 + [None] * 5},
        decision=[0, 1] * 50,
        label=[1] * 50 + [-1] * 50,
    )
    found = finding("data_governance.representation", evidence)
    assert {m.name: m.value for m in found.measures} == {
        "groups": 3,
        "small_groups": 2,
        "smallest_share": 0.05,
        "not_stated": 0.05,
    }
    assert group(found, "X").too_small
    assert of_group(found, "M", "group_share").value == pytest.approx(0.3)
    assert of_group(found, "M", "unlabelled").value == 1.0


def test_skewed_weights_make_a_group_too_small() -> None:
    weight = np.r_[np.full(60, 1.0), [1000.0], np.full(59, 0.01)]
    evidence = by_predictions(groups={"g": ["a"] * 60 + ["b"] * 60}, decision=[0, 1] * 60, weight=weight)
    found = finding("data_governance.representation", evidence)
    assert not group(found, "a").too_small
    assert group(found, "b").too_small
    assert group(found, "b").effective_rows == pytest.approx(1.0, abs=0.01)


def test_representation_of_a_predicted_number_counts_all_rows() -> None:
    evidence = by_predictions(
        groups={"g": ["a", "b", None, "b"]},
        decision=[1.0, 2.0, 3.0, 4.0],
        label=[1.0, None, 2.0, None],
        task="regression",
        favourable=None,
    )
    found = finding("data_governance.representation", evidence)
    assert [(g.group["g"], g.rows) for g in found.groups] == [("a", 1), ("b", 2), (None, 1)]


def test_label_balance_is_given_over_everyone_and_per_group() -> None:
    evidence = by_counts([("F", 1, 1, 30), ("F", 0, 1, 70), ("M", 1, 0, 50), ("M", 0, 0, 50), ("M", None, 0, 100)])
    found = finding("data_governance.label_balance", evidence)
    values = {m.name: m.value for m in found.measures}
    assert values["smallest_class"] == pytest.approx(0.4)
    assert values["largest_class"] == pytest.approx(0.6)
    assert values["unlabelled"] == pytest.approx(1 / 3)
    assert of_group(found, "F", "class[yes]").value == pytest.approx(0.3)
    figures = judged("data_governance.label_balance", evidence)[0].figures
    assert [f.name for f in figures] == ["data_governance.label_balance", "data_governance.label_balance.sex"]


def test_without_rows_or_labels_it_is_said_so() -> None:
    empty = by_predictions(groups={"g": []}, decision=[], label=[])
    for check in ("representation", "label_balance", "missing_values", "duplicates"):
        assert finding(f"data_governance.{check}", empty).outcome is Outcome.NOT_GATHERED
