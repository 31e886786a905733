"""Real files as people have them: what is wrong with them is told, and what is right is read as pandas reads it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.make import real
from tests.make.submissions import predictions

pytestmark = pytest.mark.real_data
HEADER = ",".join(real.ADULT_COLUMNS) + "\n"
ADULT = {
    "classes": ["<=50K", ">50K"],
    "favourable": ">50K",
    "columns": {"sex": "group", "race": "group", "age": "group", "income": "label", "fnlwgt": "weight"},
    "bands": {"age": ["25", "40", "65"]},
}


def test_adult_as_it_is_published_is_refused_for_its_full_stops(refusal, real_data: Path, tmp_path: Path) -> None:
    table = HEADER + (real_data / "adult" / "adult.test").read_text()
    decision = {"file": "table.csv", "decision": "education"}
    found = refusal(predictions(tmp_path / "s", table=table, data=ADULT, predictions=decision))
    stops = found["data.columns.income|label.trailing_stop"]
    assert "'<=50K.' (12435x), '>50K.' (3846x)" in stops.message
    assert "predictions.decision|label.undeclared" in found
    assert len(found) == 2


def test_adult_without_a_header_is_refused(refusal, real_data: Path, tmp_path: Path) -> None:
    table = (real_data / "adult" / "adult.test").read_text()
    decision = {"file": "table.csv", "decision": "education"}
    found = refusal(predictions(tmp_path / "s", table=table, data=ADULT, predictions=decision))
    assert {p.code for p in found.values()} == {"table.doubled_columns"}


def test_adult_is_read_as_pandas_reads_it(take, real_data: Path, tmp_path: Path) -> None:
    parts = [(real_data / "adult" / name).read_text().rstrip("\n") for name in ("adult.data", "adult.test")]
    table = HEADER + "\n".join(parts).replace("K.\n", "K\n").removesuffix(".") + "\n"
    data = {**ADULT, "columns": {**ADULT["columns"], "education": "ignore"}}
    bundle = take(
        predictions(
            tmp_path / "s",
            table=table,
            data={**data, "file": "table.csv"},
            predictions={"file": "p.csv", "decision": "d"},
            files={"p.csv": "d\n" + "<=50K\n" * 48_842},
        )
    )
    given = pd.concat(
        [real.read_adult(real_data / "adult" / n) for n in ("adult.data", "adult.test")], ignore_index=True
    )
    made = bundle.table
    assert made.rows == 48_842
    for name in made.features.column_names:
        column = made.features.column(name)
        ours = column.to_pandas().astype(object).where(column.to_pandas().notna(), None)
        theirs = given[name].astype(object).where(given[name].notna(), None)
        assert ours.tolist() == theirs.tolist(), name
    label = pd.Series(made.label.to_pylist())
    sex = pd.Series(made.groups.column("sex").to_pylist())
    assert round(100 * label.mean(), 2) == 23.93
    assert {k: round(100 * v, 2) for k, v in label.groupby(sex).mean().items()} == {"Female": 10.93, "Male": 30.38}
    assert made.weight.to_pylist() == given["fnlwgt"].astype(float).tolist()
    bands = pd.Series(made.groups.column("age").to_pylist())
    theirs = pd.cut(given["age"], [-1, 24, 39, 64, 200], labels=["<25", "25-39", "40-64", ">=65"]).astype(str)
    assert bands.tolist() == theirs.tolist()


def test_german_predictions_match_whether_written_0_or_0_point_0(take, real_data: Path, tmp_path: Path) -> None:
    source = real_data / "german" / "pred_XGBoost.csv"
    bundle = take(
        predictions(
            tmp_path / "s",
            table=source.read_text(),
            data={
                "classes": ["0", "1"],
                "favourable": "0",
                "columns": {"age": "group", "true_class": "label", "errors": "ignore"},
                "bands": {"age": ["25"]},
            },
            predictions={"file": "table.csv", "decision": "predicted_class"},
        )
    )
    given = pd.read_csv(source)
    assert bundle.table.label.to_pylist() == given["true_class"].astype(int).tolist()
    assert bundle.recorded.decision.to_pylist() == given["predicted_class"].tolist()
    assert bundle.table.groups.column("age").to_pylist() == ["<25" if a < 25 else ">=25" for a in given["age"]]
    assert bundle.table.features.num_columns == 56


def test_student_grant_records_are_read_with_almost_no_labels(take, real_data: Path, tmp_path: Path) -> None:
    source = real_data / "student_grant" / "Table1_SD_20k.csv"
    bundle = take(
        predictions(
            tmp_path / "s",
            table=source.read_text(),
            data={
                "task": "multiclass",
                "classes": list("123456"),
                "favourable": None,
                "columns": {"Education": "group", "Age": "group", "Outcome house visit": "feature"},
            },
            predictions={"file": "table.csv", "decision": "Risk category"},
        )
    )
    given = pd.read_csv(source)
    assert bundle.table.rows == 20_000
    assert [d + 1 for d in bundle.recorded.decision.to_pylist()] == given["Risk category"].tolist()
    assert bundle.table.groups.column("Education").to_pylist() == given["Education"].tolist()
    assert any("only counts the rows" in note for note in bundle.notes)
