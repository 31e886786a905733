"""Each kind of bad input gives one clear problem with its field and what would be right, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.make import submissions
from tests.make.submissions import ROWS, csv_of, predictions, without

# ---- the submission and its manifest


def test_what_is_not_there_is_refused(refusal, tmp_path: Path) -> None:
    assert set(refusal(tmp_path / "nowhere")) == {"|submission.absent"}


def test_an_empty_folder_is_refused(refusal, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (only,) = refusal(tmp_path / "s").values()
    assert only.code == "submission.empty"
    assert "aiact-sandbox init" in only.message


def test_a_manifest_in_another_place_is_found_and_named(refusal, tmp_path: Path) -> None:
    folder = predictions(tmp_path / "s" / "deeper")
    (folder.parent / "readme.txt").write_text("x")
    (only,) = refusal(folder.parent).values()
    assert only.code == "submission.manifest_elsewhere"
    assert "deeper/submission.yaml" in only.message


def test_the_manifest_alone_is_refused_with_what_to_give(refusal, tmp_path: Path) -> None:
    folder = predictions(tmp_path / "s")
    (only,) = refusal(folder / "submission.yaml").values()
    assert only.code == "submission.file_given"


def test_a_folder_that_is_too_large_is_refused(refusal, tmp_path: Path) -> None:
    folder = predictions(tmp_path / "s", files={"big.bin": b"x" * 5000})
    assert set(refusal(folder, unpacked_bytes=4000)) == {"|archive.too_large"}


def test_a_zip_that_is_too_large_is_refused_before_it_is_unpacked(refusal, tmp_path: Path) -> None:
    folder = predictions(tmp_path / "s", files={"big.bin": os.urandom(5000)})
    archive = submissions.zipped(folder, tmp_path / "s.zip")
    assert set(refusal(archive, upload_bytes=4000)) == {"|submission.too_large"}


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda p: p.symlink_to("/etc/passwd"), "file.link_leaves"),
        (lambda p: p.symlink_to(".."), "file.link_leaves"),
        (lambda p: p.symlink_to("nothing"), "file.link_to_no_file"),
        (lambda p: p.symlink_to("."), "file.link_to_no_file"),
        (lambda p: os.mkfifo(p), "file.device"),
        (lambda p: p.with_name("a\nb").write_text("x"), "file.strange_name"),
        (lambda p: p.with_name("a\u202egnp.exe").write_text("x"), "file.strange_name"),
        (lambda p: os.close(os.open(os.fsencode(p) + b"\xff", os.O_CREAT)), "file.strange_name"),
        (lambda p: (p.with_name("Table.csv")).write_text("x"), "file.case_collision"),
    ],
)
def test_a_folder_with_what_is_no_plain_file_is_refused(refusal, tmp_path: Path, make: Any, code: str) -> None:
    folder = predictions(tmp_path / "s")
    make(folder / "odd")
    assert [p.code for p in refusal(folder).values()] == [code]


def test_a_socket_in_the_folder_is_refused(refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = predictions(tmp_path / "s")
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("odd")
        assert set(refusal(folder)) == {"|file.device"}


# ---- fields


def test_all_independent_problems_are_told_at_once(refusal, tmp_path: Path) -> None:
    folder = predictions(
        tmp_path / "s",
        data={
            "classes": ["no", "yes", "yes"],
            "sampling": "everyone",
            "columns": {"sex": "grp", "outcome": "label"},
            "colums": {},
            "training": "rows of 2020.parquet",
        },
        model={"file": "m.onnx", "output": "probability", "allow_code": "perhaps"},
        system={"name": "x", "version": "1", "provider": {"name": "A", "country": "Nederland", "size": "tiny"}},
        claims={"accuracy": "high"},
        documents=["absent.md"],
    )
    found = refusal(folder)
    assert set(found) == {
        "data.sampling|field.not_one_of",
        "data.columns.sex|field.not_one_of_near",
        "data.colums|field.unknown_near",
        "data.training|file.absent",
        "model.allow_code|field.not_boolean",
        "model.file|file.absent",
        "system.intended_purpose|field.missing",
        "system.provider.country|field.pattern",
        "system.provider.size|field.not_one_of",
        "claims.accuracy|field.not_number",
        "documents.0|file.absent",
    }
    assert found["data.columns.sex|field.not_one_of_near"].params["near"] == "group"
    assert "feature+group" in found["data.columns.sex|field.not_one_of_near"].message
    assert found["data.colums|field.unknown_near"].params["near"] == "columns"
    assert "NL" in found["system.provider.country|field.pattern"].message


def test_several_rules_of_one_section_are_told_apart(refusal, tmp_path: Path) -> None:
    folder = predictions(
        tmp_path / "s",
        data={"classes": ["no", "no", "perhaps"], "favourable": "yes", "columns": {"a": "label", "b": "label"}},
    )
    assert set(refusal(folder)) == {
        "data.classes|declaration.class_twice",
        "data.classes|declaration.two_classes",
        "data.favourable|declaration.not_a_class",
        "data.columns|declaration.one_label",
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": {"file": "table.csv", "output": "label"}}, "predictions|declaration.one_route"),
        ({"predictions": {"file": "table.csv"}}, "predictions.decision|declaration.predictions_unnamed"),
        (
            {"predictions": {"file": "table.csv", "score": "score"}},
            "predictions.score_of|declaration.predictions_score_of",
        ),
        (
            {"predictions": {"file": "table.csv", "score": "score", "score_of": "si"}},
            "predictions.score_of|declaration.not_a_class",
        ),
        (
            {"predictions": None, "model": {"file": "table.csv", "output": "score"}},
            "model.score_of|declaration.score_of_missing",
        ),
        (
            {"predictions": None, "model": {"file": "table.csv", "output": "label"}},
            "data.file|declaration.data_file_missing",
        ),
        (
            {"limits": {"accuracy.performance.accuracy": {"reason": "x"}}},
            "limits.accuracy.performance.accuracy.at_least|declaration.no_bound",
        ),
        (
            {"limits": {"accuracy.performance.accuracy": {"reason": "x", "at_least": "2", "at_most": "1"}}},
            "limits.accuracy.performance.accuracy.at_least|declaration.crossed_bounds",
        ),
        (
            {"limits": {"accuracy": {"reason": "x", "at_least": "0.5"}}},
            "limits.accuracy|declaration.limit_form",
        ),
        ({"predictions": {"file": "../table.csv", "decision": "d"}}, "predictions.file|declaration.outside"),
        ({"predictions": {"file": "/etc/passwd", "decision": "d"}}, "predictions.file|declaration.outside"),
        ({"documents": "a.md"}, "documents|field.not_list"),
        ({"system": "a"}, "system|field.not_mapping"),
        ({"system": {**submissions.SYSTEM, "name": ["a"]}}, "system.name|field.not_text"),
        ({"system": {**submissions.SYSTEM, "version": "x" * 61}}, "system.version|field.too_long"),
        ({"format": "2"}, "format|field.out_of_range"),
        ({"format": "two"}, "format|field.not_whole"),
        ({"threshold": "0.5"}, "threshold|field.unknown_elsewhere"),
        ({"xyzzy": "0.5"}, "xyzzy|field.unknown"),
    ],
)
def test_a_wrong_declaration_names_the_field_and_what_would_be_right(
    refusal, tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    found = refusal(predictions(tmp_path / "s", **changes))
    assert expected in found, sorted(found)
    assert len(found) <= 2
    assert all("[refusals." not in p.message for p in found.values())


def test_predictions_without_data_are_refused(refusal, tmp_path: Path) -> None:
    folder = submissions.documents(tmp_path / "s", {"t.csv": "a\n1\n"}, predictions={"file": "t.csv", "decision": "a"})
    assert set(refusal(folder)) == {"data|declaration.data_missing"}


def test_a_regression_has_no_classes_and_a_value(refusal, tmp_path: Path) -> None:
    folder = predictions(
        tmp_path / "s", data={"task": "regression"}, predictions={"file": "table.csv", "decision": "d"}
    )
    assert "data.classes|declaration.no_classes" in refusal(folder)
    folder = submissions.with_model(tmp_path / "t", b"x", data={"task": "regression", "classes": None})
    assert "model.output|declaration.value_and_regression" in refusal(folder)
    folder = predictions(
        tmp_path / "u",
        data={"task": "regression", "classes": None, "favourable": None},
        predictions={"file": "table.csv", "score": "score", "score_of": "x"},
    )
    assert "predictions.decision|predictions.value_missing" in refusal(folder)


def test_a_limit_that_nothing_measures_is_refused_with_the_nearest(refusal, tmp_path: Path) -> None:
    folder = predictions(
        tmp_path / "s",
        limits={
            "fairness.selection_rte.ratio": {"at_least": "0.8", "reason": "x"},
            "fairness.selection_rate.rato": {"at_least": "0.8", "reason": "x"},
        },
    )
    found = refusal(folder)
    near = found["limits.fairness.selection_rte.ratio|limits.no_such_check_near"]
    assert "fairness.selection_rate.ratio" in near.params["near"]
    assert "ratio" in found["limits.fairness.selection_rate.rato|limits.no_such_measure"].params["gives"]


def test_a_file_with_a_name_that_is_nearly_right_is_suggested(refusal, tmp_path: Path) -> None:
    folder = predictions(tmp_path / "s", predictions={"file": "tabel.csv", "decision": "decision"})
    assert refusal(folder)["predictions.file|file.absent_near"].params["near"] == "table.csv"


def test_answers_are_held_against_the_questionnaire(refusal, tmp_path: Path) -> None:
    folder = predictions(
        tmp_path / "s",
        answers="answers.yaml",
        files={"answers.yaml": "how_it_work: learned\nexclusion: [none, nonsense]\nhow_it_works: {a: b}\n"},
    )
    found = refusal(folder)
    assert set(found) == {"answers.how_it_works|field.not_answer"}
    (folder / "answers.yaml").write_text("how_it_work: learned\nexclusion: [none, nonsense]\n")
    found = refusal(folder)
    assert found["answers.how_it_work|answers.no_such_question_near"].params["near"] == "how_it_works"
    assert "research" in found["answers.exclusion|answers.no_such_option"].params["allowed"]


def test_bands_and_inputs_must_fit_the_columns(refusal, tmp_path: Path) -> None:
    folder = predictions(
        tmp_path / "s",
        data={
            "columns": {"sex": "group", "outcome": "label", "age": "group", "wage": "group", "town": "ignore"},
            "bands": {"income": ["1"], "age": ["40", "25"], "wage": []},
        },
        inputs={
            "order": ["income", "income", "town"],
            "categories": {"income": ["a", "a"]},
            "types": {"income": "number"},
        },
    )
    assert set(refusal(folder)) == {
        "data.bands.income|bands.no_group",
        "data.bands.age|bands.not_ascending",
        "data.bands.wage|bands.empty",
        "inputs.order|inputs.doubled",
        "inputs.order.town|inputs.no_feature",
        "inputs.categories.income|inputs.category_twice",
        "inputs.categories.income|inputs.category_type",
    }


def test_a_role_for_all_that_only_one_column_can_have_is_refused(refusal, tmp_path: Path) -> None:
    folder = predictions(tmp_path / "s", data={"columns": {"default": "label", "sex": "group"}})
    assert set(refusal(folder)) == {"data.columns.default|declaration.default_role"}
    folder = predictions(tmp_path / "t", data={"columns": {"default": "featur"}})
    assert set(refusal(folder)) == {"data.columns.default|field.not_one_of_near"}


# ---- tables


@pytest.mark.parametrize(
    ("table", "code", "words"),
    [
        ("", "table.empty", "at least one row"),
        (" \n\n", "table.empty", "header line"),
        ("income,town,sex,outcome,decision,score\n", "table.no_rows", "at least one row"),
        ("a,b,a,c,b\n1,2,3,4,5\n", "table.doubled_columns", "a, b"),
        (csv_of() + "1,2\n", "table.ragged", "2 fields where 6 are expected"),
        (csv_of() + "1,2,3,4,5,6,7\n8,9\n", "table.ragged", "(2 such rows in all)"),
        (b"income,town\n1,K\xf6ln\n", "table.not_utf8", "Line 2"),
        ("income,town\n1,x\n".encode("utf-16"), "table.not_utf8", "UTF-8"),
        (bytes(range(256)) * 20, "table.not_text", "binary content"),
        (b"PK\x03\x04" + b"\0" * 90, "table.is_zip", "spreadsheet"),
        (b"PAR1" + b"\0" * 90, "table.is_parquet", ".parquet"),
        ("x" * 300 + "\n1\n", "table.long_name", "header line"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused(
    refusal, tmp_path: Path, table: str | bytes, code: str, words: str
) -> None:
    (only,) = refusal(predictions(tmp_path / "s", table=table)).values()
    assert (only.field, only.code) == ("predictions.file", code)
    assert words in only.message


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"income,town\n1,x\n"])
def test_a_parquet_file_that_cannot_be_read_is_refused(refusal, tmp_path: Path, content: bytes) -> None:
    folder = predictions(
        tmp_path / "s", predictions={"file": "t.parquet", "decision": "decision"}, files={"t.parquet": content}
    )
    (only,) = refusal(folder).values()
    assert only.field == "predictions.file"
    assert only.code in ("table.empty", "table.broken_parquet")


def test_a_parquet_column_of_lists_is_refused_unless_it_is_ignored(refusal, take, tmp_path: Path) -> None:
    folder = predictions(tmp_path / "s", predictions={"file": "t.parquet", "decision": "decision"})
    columns = {"sex": ["f"], "outcome": ["no"], "decision": ["no"], "path": [[1, 2]]}
    pq.write_table(pa.table(columns), folder / "t.parquet")
    found = refusal(folder)
    assert "list" in found["data.columns.path|column.unreadable_type"].message
    ignored = predictions(
        folder,
        predictions={"file": "t.parquet", "decision": "decision"},
        data={"columns": {"sex": "group", "outcome": "label", "path": "ignore"}},
    )
    assert take(ignored).table.features.column_names == []


def test_a_file_that_is_no_table_by_its_name_is_refused(refusal, tmp_path: Path) -> None:
    folder = predictions(
        tmp_path / "s", predictions={"file": "t.xlsx", "decision": "decision"}, files={"t.xlsx": b"PK\x03\x04"}
    )
    assert set(refusal(folder)) == {"predictions.file|table.kind"}


def test_columns_that_are_not_in_the_file_are_named_all_at_once(refusal, tmp_path: Path) -> None:
    folder = predictions(
        tmp_path / "s",
        data={"columns": {"sexe": "group", "outcome": "label", "zzz": "weight"}},
        predictions={"file": "table.csv", "decision": "decisions", "score": "qqq", "score_of": "yes"},
    )
    found = refusal(folder)
    assert found["data.columns.sexe|table.column_missing_near"].params["near"] == "sex"
    assert found["predictions.decision|table.column_missing_near"].params["near"] == "decision"
    assert "income" in found["data.columns.zzz|table.column_missing"].params["columns"]
    assert "predictions.score|table.column_missing" in found
    assert len(found) == 4


def test_labels_that_were_not_declared_are_named_with_their_counts(refusal, tmp_path: Path) -> None:
    table = csv_of().replace("f,yes", "f,maybe").replace("m,no", "m,never")
    found = refusal(predictions(tmp_path / "s", table=table))
    (only,) = found.values()
    assert (only.field, only.code) == ("data.columns.outcome", "label.undeclared")
    assert "'maybe' (2x), 'never' (2x)" in only.message
    assert "no, yes" in only.message


def test_a_full_stop_after_each_label_is_told_and_never_dropped(refusal, tmp_path: Path) -> None:
    rows = [ROWS[0], *((a, b, c, d + ".", e, f) for a, b, c, d, e, f in ROWS[1:])]
    (only,) = refusal(predictions(tmp_path / "s", table=csv_of(rows))).values()
    assert only.code == "label.trailing_stop"
    assert "full stop" in only.message
    rows = [ROWS[0], *((a, b, c, d.upper(), e, f) for a, b, c, d, e, f in ROWS[1:])]
    (only,) = refusal(predictions(tmp_path / "t", table=csv_of(rows))).values()
    assert only.code == "label.other_case"


def test_decisions_that_were_not_declared_are_refused(refusal, tmp_path: Path) -> None:
    table = csv_of().replace(",yes,0.9", ",granted,0.9")
    assert set(refusal(predictions(tmp_path / "s", table=table))) == {"predictions.decision|label.undeclared"}


def test_a_numeric_group_without_bands_is_refused_with_a_proposal(refusal, tmp_path: Path) -> None:
    rows = ["age,income,outcome,decision"] + [f"{20 + i},{i},no,yes" for i in range(30)]
    folder = predictions(
        tmp_path / "s",
        table="\n".join(rows),
        data={"columns": {"age": "group", "outcome": "label"}},
        predictions={"file": "table.csv", "decision": "decision"},
    )
    (only,) = refusal(folder).values()
    assert (only.field, only.code) == ("data.columns.age", "group.needs_bands")
    assert "age: [25, 40, 65]" in only.message


def test_weights_must_be_there_and_positive(refusal, tmp_path: Path) -> None:
    columns = {"sex": "group", "outcome": "label", "income": "weight"}
    for value, code in (("0", "weight.not_positive"), ("-1", "weight.not_positive"), ("", "weight.missing")):
        folder = predictions(
            tmp_path / f"s{value}", table=csv_of().replace("600,", f"{value},"), data={"columns": columns}
        )
        (only,) = refusal(folder).values()
        assert (only.field, only.code, only.params["row"]) == ("data.columns.income", code, 4)
    folder = predictions(tmp_path / "t", table=csv_of().replace("600,", "many,"), data={"columns": columns})
    (only,) = refusal(folder).values()
    assert only.code == "column.not_number"
    assert "row 4" in only.message
    assert '"many"' in only.message


def test_numbers_with_a_decimal_comma_are_refused_and_not_read_as_words(refusal, tmp_path: Path) -> None:
    table = csv_of(delimiter=";").replace("1200", "1200,50").replace("0.", "0,")
    found = refusal(predictions(tmp_path / "s", table=table))
    assert set(found) == {"data.columns.income|column.decimal_comma", "predictions.score|column.decimal_comma"}


def test_infinite_numbers_are_refused(refusal, tmp_path: Path) -> None:
    (only,) = refusal(predictions(tmp_path / "s", table=csv_of().replace("2400", "-inf"))).values()
    assert (only.code, only.params["row"]) == ("column.infinite", 3)


def test_weights_too_large_to_be_squared_and_added_up_are_refused(refusal, tmp_path: Path) -> None:
    columns = {"sex": "group", "outcome": "label", "income": "weight"}
    folder = predictions(tmp_path / "s", table=csv_of().replace("2400", "2.4e61"), data={"columns": columns})
    (only,) = refusal(folder).values()
    assert (only.code, only.params["row"], only.params["most"]) == ("column.too_large", 3, "1e+60")


def test_types_and_categories_that_do_not_fit_are_refused(refusal, tmp_path: Path) -> None:
    folder = predictions(
        tmp_path / "s",
        inputs={
            "order": ["town", "income"],
            "types": {"town": "number", "wrong": "text"},
            "categories": {"income": ["600", "700"]},
            "dummies": {"place": ["a", "town"]},
        },
    )
    found = refusal(folder)
    assert set(found) == {
        "data.columns.town|column.not_number",
        "inputs.types.wrong|table.column_missing",
        "inputs.categories.income|inputs.category_unknown",
        "inputs.dummies.place|inputs.dummies_absent",
    }
    assert "'1200' (1x)" in found["inputs.categories.income|inputs.category_unknown"].message


def test_an_order_that_lacks_features_is_refused(refusal, tmp_path: Path) -> None:
    folder = predictions(tmp_path / "s", inputs={"order": ["income"]})
    (only,) = refusal(folder).values()
    assert (only.field, only.code) == ("inputs.order", "inputs.order_incomplete")
    assert "town" in only.message


def test_a_column_without_a_name_is_refused_unless_it_counts_the_rows(refusal, take, tmp_path: Path) -> None:
    numbered = [("", *ROWS[0]), *((str(i), *row) for i, row in enumerate(ROWS[1:]))]
    bundle = take(predictions(tmp_path / "s", table=csv_of(numbered)))
    assert bundle.table.features.column_names == ["income", "town"]
    assert any("only counts the rows" in note for note in bundle.notes)
    other = [("", *ROWS[0]), *((str(i * i), *row) for i, row in enumerate(ROWS[1:]))]
    assert set(refusal(predictions(tmp_path / "t", table=csv_of(other)))) == {"data.columns|table.column_unnamed"}


def test_predictions_must_have_a_row_for_each_row_of_the_data(refusal, tmp_path: Path) -> None:
    folder = predictions(
        tmp_path / "s",
        table=csv_of(without(ROWS, "decision", "score")),
        data={"file": "table.csv"},
        predictions={"file": "p.csv", "decision": "yhat"},
        files={"p.csv": "yhat\nyes\nno\n"},
    )
    (only,) = refusal(folder).values()
    assert (only.code, only.params) == ("predictions.row_count", {"rows": 2, "data_rows": 6})


def test_predictions_are_no_column_of_the_data_and_not_empty(refusal, tmp_path: Path) -> None:
    folder = predictions(tmp_path / "s", data={"columns": {"sex": "group", "outcome": "label", "score": "feature"}})
    assert set(refusal(folder)) == {"predictions.score|predictions.has_role"}
    folder = predictions(
        tmp_path / "t", predictions={"file": "table.csv", "decision": "score", "score": "score", "score_of": "yes"}
    )
    assert set(refusal(folder)) == {"predictions.score|predictions.same_column"}
    empty = [ROWS[0], *((a, b, c, d, "", f) for a, b, c, d, _, f in ROWS[1:])]
    assert set(refusal(predictions(tmp_path / "u", table=csv_of(empty)))) == {
        "predictions.decision|predictions.all_missing"
    }


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("sex,decision\nf,yes\n", {"counts.file|table.column_missing"}),
        (
            "gender,decision,rows\nf,yes,1\n",
            {"data.columns.sex|table.column_missing", "counts.file|counts.stray_column"},
        ),
        ("sex,decision,rows\nf,yes,-1\n", {"counts.file|counts.not_whole"}),
        ("sex,decision,rows\nf,yes,1.5\n", {"counts.file|counts.not_whole"}),
        ("sex,decision,rows\nf,yes,\n", {"counts.file|counts.missing"}),
        ("sex,decision,rows\nf,yes,few\n", {"counts.file|column.not_number"}),
        ("sex,decision,rows\nf,yes,0\n", {"counts.file|counts.all_zero"}),
        ("sex,label,decision,rows\nf,maybe,si,1\n", {"counts.file|label.undeclared"}),
        ("sex,decision,rows,weight\nf,yes,1,2\n", {"counts.file|counts.weight_pair"}),
        ("sex,decision,rows,weight,weight_squared\nf,yes,1,-2,4\n", {"counts.file|counts.negative"}),
    ],
)
def test_counts_that_are_no_counts_are_refused(refusal, tmp_path: Path, table: str, expected: set[str]) -> None:
    assert set(refusal(submissions.counts(tmp_path / "s", table))) == expected


def test_counts_need_a_group_and_classes(refusal, tmp_path: Path) -> None:
    table = "sex,decision,rows\nf,yes,1\n"
    folder = submissions.counts(tmp_path / "s", table, data={"task": "binary", "classes": ["no", "yes"]})
    found = refusal(folder)
    assert "sex" in found["data.columns|counts.no_groups"].message
    folder = submissions.counts(tmp_path / "t", table, data={"task": "regression", "columns": {"sex": "group"}})
    assert set(refusal(folder)) == {"counts|counts.regression"}


# ---- documents and models


def test_documents_of_another_kind_or_not_utf8_are_refused(refusal, tmp_path: Path) -> None:
    folder = submissions.documents(tmp_path / "s", {"a.exe": b"MZ", "b.md": b"x\ny\xff"}, documents=["a.exe", "b.md"])
    found = refusal(folder)
    assert set(found) == {"documents.0|document.kind", "documents.1|document.not_utf8"}
    assert found["documents.1|document.not_utf8"].params["line"] == 2


def test_a_model_in_no_known_format_is_refused_with_the_formats_there_are(refusal, tmp_path: Path) -> None:
    (only,) = refusal(submissions.with_model(tmp_path / "s", b"nonsense", name="model.bin")).values()
    assert (only.field, only.code) == ("model.file", "model.unknown_format")
    assert "skops" in only.message
    (only,) = refusal(submissions.with_model(tmp_path / "t", b"", name="model.bin")).values()
    assert only.code == "model.empty"


def test_a_pickle_without_consent_is_refused_and_told_beside_other_problems(refusal, take, tmp_path: Path) -> None:
    import pickle

    from sklearn.tree import DecisionTreeClassifier

    model = pickle.dumps(DecisionTreeClassifier().fit([[0], [1]], ["no", "yes"]))
    table = csv_of(without(ROWS, "decision", "score")).replace("f,yes", "f,maybe")
    found = refusal(submissions.with_model(tmp_path / "s", model, name="model.pkl", table=table))
    assert set(found) == {"model.allow_code|model.needs_consent", "data.columns.outcome|label.undeclared"}
    assert "skops" in found["model.allow_code|model.needs_consent"].message
    bundle = take(submissions.with_model(tmp_path / "t", model, name="model.pkl", stated={"allow_code": "true"}))
    assert bundle.model_format == "pickle"
    assert bundle.scan["verdict"] == "scanned"
    assert bundle.declaration.model is not None
    assert bundle.declaration.model.file == "model.pkl"


def test_a_model_needs_features(refusal, tmp_path: Path) -> None:
    folder = submissions.with_model(
        tmp_path / "s", b"nonsense", data={"columns": {"default": "ignore", "sex": "group", "outcome": "label"}}
    )
    assert "data.columns|table.no_features" in refusal(folder)
