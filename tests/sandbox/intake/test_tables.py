"""How columns are read: types, missing values, bands, classes, and nothing of labels in the features."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sandbox.cell.tables import sniff_delimiter
from sandbox.intake.columns import draw_bands, draw_row_numbers, match_classes
from sandbox.intake.problems import Gathered
from tests.make.submissions import csv_of, predictions

DECISION = {"file": "table.csv", "decision": "decision"}


def read(take, folder: Path, table: str | bytes, **more: Any) -> pa.Table:
    """Read a CSV whose last column is the decision, without label and groups; give its features."""
    data = {"columns": {}, **more.pop("data", {})}
    bundle = take(predictions(folder, table=table, data=data, predictions=DECISION, **more))
    return bundle.table.features


@pytest.mark.parametrize(
    ("values", "type_", "read_as"),
    [
        (["1", "2", "-3"], pa.int64(), [1, 2, -3]),
        (["1", "", "3"], pa.float64(), [1.0, None, 3.0]),
        (["1.0", "2", "3"], pa.float64(), [1.0, 2.0, 3.0]),
        (["1e3", ".5", "-2."], pa.float64(), [1000.0, 0.5, -2.0]),
        ([" 1", "2 ", "NA"], pa.float64(), [1.0, 2.0, None]),
        (["?", "nan", "NULL"], pa.dictionary(pa.int32(), pa.string()), [None, None, "NULL"]),
        (["True", "false", ""], pa.bool_(), [True, False, None]),
        (["yes", "no", "yes"], pa.dictionary(pa.int32(), pa.string()), ["yes", "no", "yes"]),
        (["b", "a", "b"], pa.dictionary(pa.int32(), pa.string()), ["b", "a", "b"]),
        (["1", "x", "3"], pa.dictionary(pa.int32(), pa.string()), ["1", "x", "3"]),
        (["0x10", "1", "2"], pa.dictionary(pa.int32(), pa.string()), ["0x10", "1", "2"]),
        (["123456789012345678901", "1", "2"], pa.float64(), [123456789012345678901.0, 1.0, 2.0]),
        (["", "", ""], pa.float64(), [None, None, None]),
        (['"a,b"', '"x\ny"', '"q""q"'], pa.dictionary(pa.int32(), pa.string()), ["a,b", "x\ny", 'q"q']),
        (["é", "日本", "🙂"], pa.dictionary(pa.int32(), pa.string()), ["é", "日本", "🙂"]),
    ],
)
def test_a_csv_column_gets_the_type_its_values_have(
    take, tmp_path: Path, values: list[str], type_: pa.DataType, read_as: list[Any]
) -> None:
    table = "x,decision\n" + "".join(f"{v},no\n" for v in values)
    column = read(take, tmp_path / "s", table).column("x")
    assert column.type == type_
    assert column.to_pylist() == read_as


def test_stated_types_go_before_what_the_values_look_like(take, tmp_path: Path) -> None:
    table = "a,b,c,d,e,decision\n1,1,1,2.0,x,no\n0,2,0,3,y,no\n"
    features = read(
        take,
        tmp_path / "s",
        table,
        inputs={
            "order": ["e", "d", "c", "b", "a"],
            "types": {"a": "boolean", "b": "category", "c": "text", "d": "number", "e": "category"},
            "categories": {"e": ["y", "z", "x"]},
        },
    )
    assert features.column_names == ["e", "d", "c", "b", "a"]
    assert features.column("a").to_pylist() == [True, False]
    assert features.schema.field("b").type == pa.dictionary(pa.int32(), pa.string())
    assert features.column("b").to_pylist() == ["1", "2"]
    assert features.schema.field("c").type == pa.string()
    assert features.column("d").type == pa.float64()
    assert features.column("e").combine_chunks().dictionary.to_pylist() == ["y", "z", "x"]
    assert features.column("e").combine_chunks().indices.to_pylist() == [2, 0]


def test_many_different_texts_stay_texts(take, tmp_path: Path) -> None:
    names = [f"person {i} é" for i in range(1001)]
    table = "x,decision\n" + "".join(f"{n},no\n" for n in names) + ",no\n"
    column = read(take, tmp_path / "s", table).column("x")
    assert column.type == pa.string()
    assert column.to_pylist() == [*names, None]


@pytest.mark.parametrize(
    "table",
    [
        "\ufeff" + csv_of(),
        csv_of(delimiter=";"),
        csv_of(delimiter="\t"),
        csv_of(delimiter="|"),
        csv_of().replace("\n", "\r\n"),
        csv_of().replace(",", " , "),
        csv_of() + "\n\n",
        "\n" + csv_of(),
        csv_of().rstrip("\n"),
        csv_of().replace("income", '"income"'),
    ],
)
def test_the_usual_ways_to_write_a_csv_give_the_same_table(take, tmp_path: Path, table: str) -> None:
    plain = take(predictions(tmp_path / "plain"))
    other = take(predictions(tmp_path / "other", table=table))
    assert other.table.features.equals(plain.table.features)
    assert other.table.groups.equals(plain.table.groups)
    assert other.table.label.equals(plain.table.label)
    assert other.recorded == plain.recorded


def test_a_stated_delimiter_and_missing_markers_are_used(take, tmp_path: Path) -> None:
    table = "income sex outcome decision\n1 f yes yes\n-9 m - no\n"
    bundle = take(
        predictions(tmp_path / "s", table=table, data={"delimiter": " ", "missing": ["-9", "-"]}, predictions=DECISION)
    )
    assert bundle.table.features.column("income").to_pylist() == [1.0, None]
    assert bundle.table.label.to_pylist() == [1, None]


def test_the_delimiter_is_the_one_that_cuts_all_lines_alike() -> None:
    assert sniff_delimiter("a;b;c\n1,5;2;3\n2,5;3;4\n") == ";"
    assert sniff_delimiter('a,b\n"x;y;z",1\n') == ","
    assert sniff_delimiter("a\n1\n2\n") == ","
    assert sniff_delimiter("a\tb\n1, 2\t3\n") == "\t"


def test_parquet_types_become_the_few_types_there_are(take, tmp_path: Path) -> None:
    table = pa.table(
        {
            "whole": pa.array([1, 2], pa.int8()),
            "gaps": pa.array([1, None], pa.int32()),
            "big": pa.array([2**64 - 1, 1], pa.uint64()),
            "number": pa.array([0.5, float("nan")], pa.float32()),
            "money": pa.array([Decimal("1.50"), Decimal("2.25")]),
            "truth": pa.array([True, None]),
            "text": pa.array([" b ", "NA"], pa.large_string()),
            "category": pa.array(["z", "a"]).dictionary_encode(),
            "codes": pa.array([3, 1]).dictionary_encode(),
            "day": pa.array([dt.date(2026, 8, 1), None]),
            "nothing": pa.nulls(2),
            "decision": ["no", "yes"],
        }
    )
    folder = predictions(
        tmp_path / "s", data={"columns": {}}, predictions={"file": "t.parquet", "decision": "decision"}
    )
    pq.write_table(table, folder / "t.parquet")
    features = take(folder).table.features
    assert features.to_pydict() == {
        "whole": [1, 2],
        "gaps": [1.0, None],
        "big": [float(2**64 - 1), 1.0],
        "number": [0.5, None],
        "money": [1.5, 2.25],
        "truth": [True, None],
        "text": ["b", None],
        "category": ["z", "a"],
        "codes": [3, 1],
        "day": ["2026-08-01", None],
        "nothing": [None, None],
    }
    assert features.schema.field("whole").type == pa.int64()
    assert features.schema.field("category").type == pa.dictionary(pa.int32(), pa.string())
    assert features.column("category").combine_chunks().dictionary.to_pylist() == ["a", "z"]


def test_the_index_that_pandas_writes_is_no_column(take, tmp_path: Path) -> None:
    import pandas as pd

    folder = predictions(tmp_path / "s", data={"columns": {}}, predictions={"file": "t.parquet", "decision": "d"})
    pd.DataFrame({"a": [1, 2], "d": ["no", "yes"]}, index=[5, 9]).to_parquet(folder / "t.parquet")
    assert take(folder).table.features.column_names == ["a"]


def test_labels_written_as_numbers_or_truth_values_match_their_classes(take, tmp_path: Path) -> None:
    for i, (written, classes) in enumerate(
        (
            (["0.0", "1.0", "0"], ["0", "1"]),
            (["True", "FALSE", "true"], ["true", "false"]),
            (["1", "2", "1"], ["2", "1"]),
        )
    ):
        table = "x,outcome,decision\n" + "".join(f"1,{w},{classes[0]}\n" for w in written)
        data = {"classes": classes, "favourable": classes[0], "columns": {"outcome": "label"}}
        bundle = take(predictions(tmp_path / f"s{i}", table=table, data=data, predictions=DECISION))
        expected = {0: [0, 1, 0], 1: [0, 1, 0], 2: [1, 0, 1]}[i]
        assert bundle.table.label.to_pylist() == expected


def test_a_regression_has_numbers_for_labels_and_predictions(take, tmp_path: Path) -> None:
    table = "x,y,yhat\n1,10,11.5\n2,,3\n3,7.5,\n"
    bundle = take(
        predictions(
            tmp_path / "s",
            table=table,
            data={"task": "regression", "classes": None, "favourable": None, "columns": {"y": "label"}},
            predictions={"file": "table.csv", "decision": "yhat"},
        )
    )
    assert bundle.table.label.to_pylist() == [10.0, None, 7.5]
    assert bundle.recorded.decision.to_pylist() == [11.5, 3.0, None]
    assert bundle.recorded.decision.type == pa.float64()


def test_roles_split_the_table_and_identifiers_never_leave(take, tmp_path: Path) -> None:
    table = (
        "id,bsn,income,race,age,level,weight,household,outcome,decision\n"
        "1,111,10,a,24,1.0,0.5,h2,no,no\n2,222,20,b,25,2.0,1,h1,yes,no\n3,333,30,,64,1.0,2,h2,yes,no\n4,444,40,a,65,,1,,no,no\n"
    )
    roles = {
        "id": "identifier", "bsn": "ignore", "race": "feature+group", "age": "group", "level": "group",
        "weight": "weight", "household": "unit", "outcome": "label",
    }  # fmt: skip
    bundle = take(
        predictions(
            tmp_path / "s", table=table, data={"columns": roles, "bands": {"age": [25, 40, 65]}}, predictions=DECISION
        )
    )
    made = bundle.table
    assert made.features.column_names == ["income", "race"]
    assert made.groups.to_pydict() == {
        "race": ["a", "b", None, "a"],
        "age": ["<25", "25-39", "40-64", ">=65"],
        "level": ["1", "2", "1", None],
    }
    assert made.weight.to_pylist() == [0.5, 1.0, 2.0, 1.0]
    units = made.unit.to_pylist()
    assert units[0] == units[2]
    assert len(set(units)) == 3
    assert any("name no unit" in note for note in bundle.notes)
    held = [*made.features.column_names, *made.groups.column_names]
    assert not {"id", "bsn"} & set(held)


def test_a_submission_with_other_labels_and_groups_has_the_same_features(take, tmp_path: Path) -> None:
    plain = take(predictions(tmp_path / "a"))
    changed = csv_of().replace(",f,yes", ",x,no").replace(",m,no", ",y,yes").replace(",m,yes", ",,")
    other = take(predictions(tmp_path / "b", table=changed))
    assert not other.table.groups.equals(plain.table.groups)
    assert not other.table.label.equals(plain.table.label)
    for name in plain.table.features.column_names:
        ours, theirs = (t.features.column(name).combine_chunks() for t in (plain.table, other.table))
        assert [b and bytes(b) for b in ours.buffers()] == [b and bytes(b) for b in theirs.buffers()]
        if pa.types.is_dictionary(ours.type):
            assert ours.dictionary.equals(theirs.dictionary)


@pytest.mark.parametrize(
    ("numbers", "bounds", "expected"),
    [
        ([24, 25, 39, 40, 64, 65], [25, 40, 65], ["<25", "25-39", "25-39", "40-64", "40-64", ">=65"]),
        ([1, 2, 3], [2, 3], ["<2", "2", ">=3"]),
        ([24.5, 25, 40], [25, 40], ["<25", "[25, 40)", ">=40"]),
        ([0.1, 0.5, 1.0], [0.5, 1.0], ["<0.5", "[0.5, 1)", ">=1"]),
        ([10, None, 30], [25], ["<25", None, ">=25"]),
    ],
)
def test_bands_are_closed_below_and_named_as_people_say_them(
    numbers: list[float | None], bounds: list[float], expected: list[str | None]
) -> None:
    assert draw_bands(pa.array(numbers), bounds).to_pylist() == expected


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
    st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=5, unique=True).map(sorted),
)
@examples(max_examples=60)
def test_every_number_lies_in_exactly_one_band(numbers: list[float], bounds: list[float]) -> None:
    drawn = draw_bands(pa.array(numbers), bounds)
    assert len(drawn.dictionary) == len(bounds) + 1
    edges = [-np.inf, *bounds, np.inf]
    for number, code in zip(numbers, drawn.indices.to_pylist(), strict=True):
        assert edges[code] <= number < edges[code + 1]


def test_classes_are_matched_by_their_whole_text() -> None:
    gathered = Gathered()
    matched = match_classes("f", "y", pa.array(["a", None, "b"]).dictionary_encode(), ("b", "a"), gathered)
    assert matched is not None
    assert matched.to_pylist() == [1, None, 0]
    assert matched.type == pa.int32()
    assert gathered.problems == []
    assert match_classes("f", "y", pa.array(["a", "ab"]), ("b", "a"), gathered) is None
    assert [p.code for p in gathered.problems] == ["label.undeclared"]


def test_row_numbers_are_distinct_and_not_the_places() -> None:
    drawn = draw_row_numbers(10_000, "ab" * 32)
    assert len(set(drawn.tolist())) == 10_000
    assert (drawn >= 0).all()
    assert not np.array_equal(np.argsort(drawn), np.arange(10_000))
    assert np.array_equal(drawn, draw_row_numbers(10_000, "ab" * 32))


def test_a_parquet_table_is_read_one_column_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet

    from sandbox.cell import tables
    from sandbox.cell.frames import As

    pq.write_table(pa.table({"a.b": [1, 2, 3], "a": ["x", "y", None], "c": [0.5, 1.5, 2.5]}), tmp_path / "t.parquet")
    asked: list[list[str]] = []
    read = parquet.ParquetFile.read

    def watched(self: parquet.ParquetFile, columns: list[str], **how: bool) -> pa.Table:
        asked.append(columns)
        return read(self, columns=columns, **how)

    monkeypatch.setattr(parquet.ParquetFile, "read", watched)
    opened = tables.open_table(
        tmp_path / "t.parquet", {"format": "parquet", "delimiter": "", "missing": [""], "most_rows": 100}
    )
    tables.head(opened)
    assert asked == []
    assert [opened.take(i).to_pylist() for i in range(3)] == [[1, 2, 3], ["x", "y", None], [0.5, 1.5, 2.5]]
    for i in range(3):
        tables.column(opened, i, As.AUTOMATIC, 1000)
    assert all(len(columns) == 1 for columns in asked)


def test_a_large_csv_is_gone_through_once_per_column_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandbox.cell import tables
    from sandbox.cell.frames import As, Fault, Unreadable

    (tmp_path / "t.csv").write_text('\na;b;c\n1;"x;1";0.5\n2;;1\n3;"y\nz";?\n')
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n")
    stated = {"format": "csv", "delimiter": "", "missing": ["", "?"], "most_rows": 100}

    def written() -> list[bytes]:
        opened = tables.open_table(tmp_path / "t.csv", stated)
        columns = [b"".join(map(bytes, tables.column(opened, i, As.AUTOMATIC, 1000))) for i in range(3)]
        return [tables.head(opened), *columns]

    whole = written()
    monkeypatch.setattr(tables, "WHOLE_BYTES", 0)
    assert written() == whole
    with pytest.raises(Unreadable) as raised:
        tables.open_table(tmp_path / "ragged.csv", stated)
    assert raised.value.fault is Fault.RAGGED
