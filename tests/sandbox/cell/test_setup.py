"""What a cell is told of a submission: its inputs and its task, and nothing else."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from checks.declaration import Declaration
from sandbox.cell.wire import Column
from sandbox.isolation.conversation import encode, setup_for

SCHEMA = pa.schema(
    [
        ("age", pa.int64()),
        ("income", pa.float64()),
        ("member", pa.bool_()),
        ("region", pa.dictionary(pa.int32(), pa.string())),
        ("note", pa.string()),
        ("sex", pa.dictionary(pa.int32(), pa.string())),
        ("granted", pa.string()),
        ("weight", pa.float64()),
        ("household", pa.string()),
        ("person", pa.string()),
    ]
)
ROLES = {"sex": "group", "granted": "label", "weight": "weight", "household": "unit", "person": "identifier"}
CATEGORIES = {"region": ("north", "south"), "sex": ("f", "m"), "granted": ("no", "yes")}


def stated(**changed: Any) -> Declaration:
    """A submission with one column of each role."""
    data = {
        "file": "d.csv",
        "task": "binary",
        "classes": ["no", "yes"],
        "columns": {**ROLES, **changed.pop("roles", {})},
    }
    return Declaration.model_validate(
        {
            "system": {"name": "s", "version": "1", "provider": {"name": "p"}, "intended_purpose": "x"},
            "model": {"file": "m.skops", "output": "probability", "score_of": "yes", **changed.pop("model", {})},
            "data": {**data, **changed.pop("data", {})},
            **changed,
        }
    )


def test_only_features_are_told_each_with_its_type() -> None:
    setup = setup_for(stated(), SCHEMA, CATEGORIES, "skops", "/c/model/m.skops")
    assert setup.columns == (
        Column(name="age", type="whole"),
        Column(name="income", type="number"),
        Column(name="member", type="boolean"),
        Column(name="region", type="category", categories=("north", "south")),
        Column(name="note", type="text"),
    )
    written = setup.encode().decode()
    for secret in ("sex", "granted", "weight", "household", "person"):
        assert secret not in written


def test_a_feature_that_is_also_a_group_is_told() -> None:
    setup = setup_for(stated(roles={"sex": "feature+group"}), SCHEMA, CATEGORIES, "skops", "/c/model/m")
    assert setup.columns[-1] == Column(name="sex", type="category", categories=("f", "m"))


def test_two_submissions_that_differ_only_in_labels_and_groups_write_the_same_bytes() -> None:
    features = {"age": pa.array([30, 40]), "note": pa.array(["a", None])}
    written = []
    for labels, groups in ((["yes", "no"], ["f", "m"]), (["no", "no"], ["m", "m"])):
        whole = pa.table({**features, "granted": pa.array(labels), "sex": pa.array(groups).dictionary_encode()})
        setup = setup_for(stated(), whole.schema, {"sex": ("m", "f")}, "skops", "/c/model/m")
        shown = whole.select([c.name for c in setup.columns])
        sections = encode(setup, shown)
        written.append(
            (setup.encode(), [(bytes(s.values), bytes(s.valid or b""), bytes(s.text or b"")) for s in sections])
        )
    assert written[0] == written[1]


def test_inputs_state_order_types_and_codes() -> None:
    inputs = {
        "order": ["region", "age"],
        "types": {"age": "category", "region": "category"},
        "categories": {"age": ["30", "40"], "region": ["south", "north"]},
    }
    setup = setup_for(stated(inputs=inputs), SCHEMA, CATEGORIES, "skops", "/c/model/m")
    assert [c.name for c in setup.columns] == ["region", "age"]
    assert setup.columns[0].categories == ("south", "north")
    batch = pa.table({"age": pa.array([40, 30]), "region": pa.array(["north", "south"]).dictionary_encode()})
    codes = [memoryview(s.values).cast("i").tolist() for s in encode(setup, batch)]
    assert codes == [[1, 0], [1, 0]]


@pytest.mark.parametrize(
    ("task", "output", "classes", "k"),
    [
        ("binary", "probability", ["no", "yes"], 1),
        ("binary", "label", ["no", "yes"], 1),
        ("multiclass", "probability", ["no", "yes", "maybe"], 3),
        ("multiclass", "decision", ["no", "yes", "maybe"], 1),
        ("regression", "value", [], 1),
    ],
)
def test_the_task_settles_how_many_numbers_an_answer_has(task: str, output: str, classes: list[str], k: int) -> None:
    asked = "yes" if output == "probability" else None
    declared = stated(data={"task": task, "classes": classes}, model={"output": output, "score_of": asked})
    assert setup_for(declared, SCHEMA, CATEGORIES, "skops", "/c/model/m").k == k


def test_what_intake_must_have_refused_is_an_error_of_ours() -> None:
    for inputs, found in (({"order": ["sex"]}, CATEGORIES), ({}, {})):
        with pytest.raises(ValueError, match=r"no features|without values"):
            setup_for(stated(inputs=inputs), SCHEMA, found, "skops", "/c/model/m")
