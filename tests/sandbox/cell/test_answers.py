"""What a model's library returns becomes what was asked, or a status that says why not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sandbox.cell import answers
from sandbox.cell.boosters import xgboost_codes
from sandbox.cell.columns import UNKNOWN_CODE, Unanswerable, places_by_name, trained_values
from sandbox.cell.wire import Column, Setup, Status

BINARY = Setup(
    format="skops",
    path="m",
    allow_code=False,
    columns=(Column(name="x", type="number"),),
    task="binary",
    output="probability",
    classes=("no", "yes"),
    score_of="yes",
    k=1,
)
THREE = replace(BINARY, task="multiclass", classes=("a", "b", "c"), score_of="a", k=3)


@pytest.mark.parametrize(
    ("declared", "label", "place"),
    [
        (("no", "yes"), "yes", 1),
        (("no", "yes"), np.str_("no"), 0),
        (("no", "yes"), 1, 1),
        (("no", "yes"), np.int64(0), 0),
        (("no", "yes"), 1.0, 1),
        (("no", "yes"), True, 1),
        (("no", "yes"), 2, -1),
        (("no", "yes"), 0.5, -1),
        (("no", "yes"), "1", -1),
        (("no", "yes"), None, -1),
        (("no", "yes"), float("nan"), -1),
        (("0", "1"), 1, 1),
        (("0", "1"), 1.0, 1),
        (("0", "1"), np.bool_(True), 1),
        (("0", "1"), "0", 0),
        (("1", "2"), 1, 0),
        (("1", "2"), 0, -1),
        (("1", "2"), 2.0, 1),
        (("False", "True"), False, 0),
        (("false", "true"), np.bool_(True), 1),
        (("1.0", "0.0"), 0, 1),
        (("no", "yes"), b"yes", 1),
    ],
)
def test_a_label_is_found_by_name_and_else_by_place(declared: tuple[str, ...], label: Any, place: int) -> None:
    assert answers.Classes(declared).place(label) == place
    as_objects = np.array([label, None], dtype=object)
    assert answers.Classes(declared).places(as_objects).tolist() == [place, -1]


def test_labels_of_every_array_type_are_found() -> None:
    for raw in (np.array(["yes", "no"]), np.array([1, 0]), np.array([True, False]), np.array([[1.0], [0.0]])):
        assert answers.labels(raw, BINARY).tolist() == [[1.0], [0.0]]


def test_the_probability_is_that_of_the_declared_class() -> None:
    table = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert answers.probability(table, BINARY, ["no", "yes"]).tolist() == [[0.8], [0.4]]
    assert answers.probability(table, BINARY, ["yes", "no"]).tolist() == [[0.2], [0.6]]
    assert answers.probability(table, replace(BINARY, score_of="no"), None).tolist() == [[0.2], [0.6]]
    assert answers.probability(table[:, 1], BINARY, None).tolist() == [[0.8], [0.4]]
    assert answers.probability(table, BINARY, [0, 1]).tolist() == [[0.8], [0.4]]


def test_probabilities_of_many_classes_stand_in_the_declared_order() -> None:
    table = np.array([[0.1, 0.2, 0.7]])
    assert answers.probability(table, THREE, ["c", "a", "b"]).tolist() == [[0.2, 0.7, 0.1]]
    assert answers.probability(table[:, :2], THREE, ["c", "a"]).tolist() == [[0.2, 0.0, 0.1]]


@pytest.mark.parametrize(
    ("raw", "own", "status"),
    [
        (np.zeros((2, 3)), None, Status.WRONG_SHAPE),
        (np.zeros((2, 2, 2)), None, Status.WRONG_SHAPE),
        (np.zeros((2, 2)), ["no", "maybe"], Status.UNDECLARED_LABEL),
        (np.zeros((2, 2)), ["no", "no"], Status.UNDECLARED_LABEL),
        (np.array([["a", "b"]]), None, Status.NOT_NUMERIC),
    ],
)
def test_a_table_that_does_not_fit_says_why(raw: np.ndarray, own: list[str] | None, status: Status) -> None:
    with pytest.raises(Unanswerable) as raised:
        answers.probability(raw, BINARY, own)
    assert raised.value.status is status


def test_a_score_grows_with_the_chance_of_the_class_that_is_asked() -> None:
    raw = np.array([-1.0, 3.0])
    assert answers.score(raw, BINARY, ["no", "yes"]).tolist() == [[-1.0], [3.0]]
    assert answers.score(raw, BINARY, ["yes", "no"]).tolist() == [[1.0], [-3.0]]
    assert answers.score(raw, replace(BINARY, score_of="no"), None).tolist() == [[1.0], [-3.0]]


def test_numbers_of_classes_outside_the_declared_ones_are_marked() -> None:
    assert answers.by_place(np.array([0, 1, 2, -3, 0.5, np.nan]), BINARY)[:, 0].tolist() == [0, 1, -1, -1, -1, -1]


COLUMNS = tuple(Column(name=n, type="number") for n in ("a b", "c", "d"))


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (None, [0, 1, 2]),
        (["d", "a b"], [2, 0]),
        (["a_b", "c", "d"], [0, 1, 2]),
        (["f0", "f1", "f2"], [0, 1, 2]),
        (["Column_0", "Column_1", "Column_2"], [0, 1, 2]),
    ],
)
def test_inputs_are_found_by_name_and_else_by_place(names: list[str] | None, places: list[int]) -> None:
    assert places_by_name(COLUMNS, names, 3) == places


@pytest.mark.parametrize("names", [["e"], ["f0", "f1"], ["f1", "f0", "f2"], ["Column_0", "c", "d"]])
def test_inputs_that_are_not_given_are_a_fault_of_loading(names: list[str]) -> None:
    with pytest.raises(Unanswerable) as raised:
        places_by_name(COLUMNS, names)
    assert raised.value.status is Status.INPUTS_DIFFER


def test_a_model_of_another_width_does_not_fit() -> None:
    with pytest.raises(Unanswerable):
        places_by_name(COLUMNS, None, 4)


def test_declared_names_take_the_type_that_was_trained() -> None:
    assert trained_values(["1", "2", "x"], [2, 1.0]) == [1.0, 2, "x"]


def _booster(categories: list[Any]) -> Any:
    import pandas as pd
    from xgboost import XGBClassifier

    frame = pd.DataFrame({"c": pd.Categorical((categories * 20)[:40], categories=categories)})
    y = np.arange(40) % 2
    return XGBClassifier(n_estimators=2, n_jobs=1, enable_categorical=True).fit(frame, y).get_booster()


@pytest.mark.parametrize(
    ("trained", "declared", "codes"),
    [
        (["b", "a"], ("a", "b"), [1, 0]),
        (["b", "a"], ("a", "z", "b"), [1, UNKNOWN_CODE, 0]),
        ([9, 7, 3], ("3", "9"), [2, 0]),
        (["ü", "a"], ("ü", "a"), [0, 1]),
    ],
)
def test_a_booster_is_asked_with_its_own_codes(trained: list[Any], declared: tuple[str, ...], codes: list[int]) -> None:
    setup = replace(BINARY, columns=(Column(name="c", type="category", categories=declared),))
    assert xgboost_codes(_booster(trained), setup, [0]) == {0: codes}


def test_names_that_a_booster_cut_in_another_order_are_refused_rather_than_guessed() -> None:
    setup = replace(BINARY, columns=(Column(name="c", type="category", categories=("a", "über")),))
    with pytest.raises(Unanswerable) as raised:
        xgboost_codes(_booster(["über", "a"]), setup, [0])
    assert raised.value.status is Status.INPUTS_DIFFER
