"""Counts made on the user's own machine: the same as counting in the service, and never more than counts."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

from sandbox import count_alone, counting
from sandbox.cli import main
from sandbox.count_alone import Asked, Unfit, band_names, count
from sandbox.errors import Refused
from sandbox.intake.columns import draw_bands


@pytest.fixture
def people(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    n = 500
    frame = pd.DataFrame(
        {
            "name": [f"person {i}" for i in range(n)],
            "sex": rng.choice(["F", "M", "?"], n, p=[0.5, 0.45, 0.05]),
            "age": rng.integers(18, 80, n),
            "income": rng.choice(["<=50K", ">50K", ""], n),
            "yhat": rng.choice(["<=50K", ">50K"], n),
            "p": rng.random(n).round(3),
            "w": rng.lognormal(0, 0.3, n).round(4),
        }
    )
    path = tmp_path / "people.csv"
    frame.to_csv(path, index=False)
    return path


def test_counts_are_those_of_pandas_crosstab(people: Path) -> None:
    counts = count(Asked(table=people, groups=("sex",), decision="yhat", label="income"))
    frame = pd.read_csv(people, dtype=str, keep_default_na=False).replace({"?": None, "": None})
    for _, row in counts.iterrows():
        same = pd.Series(True, index=frame.index)
        for mine, theirs in (("sex", "sex"), ("label", "income"), ("decision", "yhat")):
            same &= frame[theirs].isna() if pd.isna(row[mine]) else frame[theirs] == row[mine]
        assert row["rows"] == same.sum()
    assert counts["rows"].sum() == 500


def test_counting_in_pieces_changes_nothing(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(
        table=people, groups=("sex", "age"), decision="yhat", label="income", weight="w", bands={"age": (25.0, 40.0)}
    )
    whole = count(asked)
    monkeypatch.setattr(count_alone, "PIECE", 37)
    pd.testing.assert_frame_equal(count(asked), whole)


@pytest.mark.parametrize("values", [[18, 25, 39, 40, 77], [0.2, 0.5, 0.75, 1.0, None]])
def test_bands_are_named_as_the_service_names_them(values: list[float | None]) -> None:
    bounds = (25.0, 40.0) if values[0] == 18 else (0.5, 1.0)
    drawn = draw_bands(pa.array(values, type=pa.float64()), bounds)
    whole = all(v is None or v == int(v) for v in values)
    assert band_names(bounds, whole=whole) == drawn.dictionary.to_pylist()


def test_scores_decide_from_the_threshold_on_and_a_missing_score_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("g,p\na,0.5\na,0.499\na,\n")
    counts = count(Asked(table=path, groups=("g",), score="p", threshold=0.5, above="yes", below="no"))
    assert dict(zip(counts["decision"].fillna("none"), counts["rows"], strict=True)) == {"no": 1, "yes": 1, "none": 1}


def test_weights_come_with_the_sum_of_their_squares(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("g,d,w\na,yes,1\na,yes,3\n")
    counts = count(Asked(table=path, groups=("g",), decision="d", weight="w"))
    assert counts[["rows", "weight", "weight_squared"]].to_numpy().tolist() == [[2.0, 4.0, 10.0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"groups": ()}, "at least one column"),
        ({"groups": ("gender",)}, "no column gender; there are: name, sex"),
        ({"decision": None}, "either the column with decisions"),
        ({"weight": "name"}, "'person 0' is not a number"),
        ({"groups": ("name", "age")}, None),
        ({"bands": {"age": (40.0, 25.0)}, "groups": ("age",)}, "must grow"),
        ({"bands": {"age": (25.0,)}}, "bands are drawn of a group"),
        ({"table": Path("nowhere.csv")}, "there is no file"),
    ],
)
def test_what_cannot_be_counted_says_what_would_be_right(
    people: Path, change: dict[str, object], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count_alone, "MOST", 100)
    asked = Asked(**{"table": people, "groups": ("sex",), "decision": "yhat", **change})
    with pytest.raises(Unfit, match=said or "more than 100 combinations"):
        count(asked)
    with pytest.raises(Refused):
        counting.count(asked)


def test_the_script_runs_on_its_own_and_counts_the_same(people: Path, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere" / "count_people.py"
    alone.parent.mkdir()
    alone.write_text(CliRunner().invoke(main, ["count", "--script"]).stdout)
    out = tmp_path / "counts.csv"
    command = [sys.executable, "-I", str(alone), str(people), "--group", "sex", "--group", "age", "--band", "age=25,40"]
    command += ["--decision", "yhat", "--label", "income", "--out", str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "fewer than 10 people" in ran.stderr
    arguments = ["count", *command[3:-2]]
    told = CliRunner().invoke(main, arguments)
    assert told.stdout == out.read_text()
    again = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert again.returncode == 2, "a file that is there must not be written over"


def test_the_script_imports_nothing_beyond_pandas_and_the_standard_library() -> None:
    def imported(nodes: Iterable[ast.AST]) -> set[str]:
        named = {n.name for node in nodes if isinstance(node, ast.Import) for n in node.names}
        named |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
        return {name.partition(".")[0] for name in named}

    tree = ast.parse(counting.script())
    assert imported(tree.body) <= {"pandas", *sys.stdlib_module_names}
    # A Parquet file is read by what pandas itself would need for it, and only then.
    (reads,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "pieces")
    assert imported(list(ast.walk(tree))) - imported(tree.body) == {"pyarrow"} == imported(list(ast.walk(reads)))


def test_a_parquet_table_is_read_in_pieces_and_counts_as_the_same_table_in_csv(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    n = 3000
    table = pd.DataFrame(
        {
            "sex": rng.choice(["f", "m"], n),
            "age": np.where(rng.random(n) < 0.1, np.nan, rng.integers(18, 80, n)),
            "y": rng.integers(0, 2, n),
        }
    )
    table.to_parquet(tmp_path / "t.parquet", row_group_size=500)
    table.to_csv(tmp_path / "t.csv", index=False)
    counted = [
        count_alone.count(
            Asked(table=tmp_path / name, groups=("sex", "age"), decision="y", bands={"age": (25.0, 40.0)})
        )
        for name in ("t.parquet", "t.csv")
    ]
    pd.testing.assert_frame_equal(*counted)


def test_no_value_of_a_column_that_was_not_named_stands_in_the_counts(people: Path) -> None:
    told = CliRunner().invoke(main, ["count", str(people), "--group", "sex", "--decision", "yhat", "--json"])
    given = json.loads(told.stdout)
    assert given["rows"] == 500
    assert "person" not in given["csv"]


def test_a_counts_file_becomes_a_submission_that_intake_reads(people: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from sandbox.intake import accept
    from sandbox.settings import Settings

    folder = tmp_path / "submission"
    folder.mkdir()
    asked = Asked(table=people, groups=("sex", "age"), decision="yhat", label="income", bands={"age": (25.0, 40.0)})
    counted = counting.count(asked, out=folder / "counts.csv")
    head = 'format: 1\nsystem:\n  name: S\n  version: "1"\n  provider: {name: P}\n  intended_purpose: Tests.\n'
    classes = '  task: binary\n  classes: ["<=50K", ">50K"]\n  favourable: ">50K"\n'
    text = head + counted.submission.replace("data:\n", f"data:\n{classes}")
    (folder / "submission.yaml").write_text(text)
    settings = replace(Settings.from_environment(), state=tmp_path / "state")
    with accept(folder, settings, isolation=None) as bundle:
        assert bundle.counts is not None
        assert sum(bundle.counts.column("rows").to_pylist()) == 500
        assert set(bundle.counts.column("age").to_pylist()) == {"<25", "25-39", ">=40"}
