"""Training data, a reviewer's holdout and the stated population: what is read of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.errors import Refused
from sandbox.intake import accept
from sandbox.settings import Settings
from tests.make import submissions
from tests.make.submissions import ROWS, csv_of

TRAINING = (
    ("town", "income", "sex", "outcome", "note"),
    ("Breda", "1200", "f", "yes", "a"),
    ("Paris", "81.5", "m", "no", "b"),
    ("", "", "f", "", "c"),
)
POPULATION = "attribute,group,share\nsex,f,0.5\nsex,m,0.495\nsex,x,0.01\n"


def test_training_data_are_read_as_the_evaluation_data_are(take, tmp_path: Path) -> None:
    bundle = take(
        submissions.predictions(tmp_path / "s", data={"training": "train.csv"}, files={"train.csv": csv_of(TRAINING)})
    )
    training = bundle.table.training
    assert training.features.column_names == ["income", "town"]
    assert training.features.column("income").to_pylist() == [1200.0, 81.5, None]
    assert training.features.column("town").to_pylist() == ["Breda", "Paris", None]
    assert training.groups.to_pydict() == {"sex": ["f", "m", "f"]}
    assert training.label.to_pylist() == [1, 0, None]
    assert training.rows == 3


def test_people_have_the_same_code_in_both_tables_and_rows_without_one_are_alone(take, tmp_path: Path) -> None:
    rows = [(*row, unit) for row, unit in zip(ROWS, ("who", "a", "b", "b", "", "c", "a"), strict=True)]
    bundle = take(
        submissions.predictions(
            tmp_path / "s",
            table=csv_of(rows),
            data={"training": "train.csv", "columns": {"sex": "group", "outcome": "label", "who": "unit"}},
            files={"train.csv": "income,town,outcome,who\n1,Breda,no,b\n2,Delft,no,z\n3,Delft,no,\n4,Delft,no,z\n"},
        )
    )
    first, training = bundle.table.unit.to_pylist(), bundle.table.training.unit.to_pylist()
    assert training[0] == first[1] == first[2]
    assert training[1] == training[3]
    assert not {training[1], training[2]} & set(first)
    assert training[1] != training[2]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("income,outcome\n1,yes\n", "table.column_missing"),
        ("income,town,outcome\nmuch,Breda,yes\n", "column.not_number"),
        ("income,town,outcome\n1,Breda,perhaps\n", "label.undeclared"),
    ],
)
def test_what_is_wrong_with_training_data_is_told_under_their_field(
    refusal, tmp_path: Path, text: str, code: str
) -> None:
    problems = refusal(
        submissions.predictions(tmp_path / "s", data={"training": "train.csv"}, files={"train.csv": text})
    )
    assert list(problems) == [f"data.training|{code}"]


def test_the_stated_population_is_read_and_adds_up_to_one(take, tmp_path: Path) -> None:
    bundle = take(
        submissions.predictions(tmp_path / "s", data={"population": "whom.csv"}, files={"whom.csv": POPULATION})
    )
    assert list(bundle.population["sex"]) == ["f", "m", "x"]
    assert sum(bundle.population["sex"].values()) == pytest.approx(1.0, abs=1e-12)
    assert bundle.population["sex"]["f"] == pytest.approx(0.5 / 1.005)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("attribute,group\nsex,f\n", "table.column_missing"),
        ("attribute,group,share\nsex,f,half\n", "column.not_number"),
        ("attribute,group,share\nsex,f,\n", "population.row"),
        ("attribute,group,share\nsex,f,-1\n", "population.row"),
        ("attribute,group,share\nrace,f,1\n", "population.attribute"),
        ("attribute,group,share\nsex,f,0.5\nsex,f,0.5\n", "population.twice"),
        ("attribute,group,share\nsex,f,51\nsex,m,49\n", "population.total"),
    ],
)
def test_a_population_that_is_none_is_refused_with_what_would_be_right(
    refusal, tmp_path: Path, text: str, code: str
) -> None:
    problems = refusal(
        submissions.predictions(tmp_path / "s", data={"population": "whom.csv"}, files={"whom.csv": text})
    )
    assert list(problems) == [f"data.population|{code}"]


def test_counts_come_with_a_population_too(take, tmp_path: Path) -> None:
    folder = submissions.counts(
        tmp_path / "s",
        "sex,label,decision,rows\nf,yes,yes,10\nm,no,no,7\n",
        data={
            "task": "binary", "classes": ["no", "yes"], "favourable": "yes", "columns": {"sex": "group"},
            "population": "whom.csv",
        },
    )  # fmt: skip
    (folder / "whom.csv").write_text(POPULATION)
    assert set(take(folder).population) == {"sex"}


# ---- a model that holds the test file


@pytest.mark.parametrize("path", ["model/test.csv", "model/artifacts/renamed.bin"])
def test_a_model_folder_that_holds_the_test_file_is_refused(refusal, tmp_path: Path, path: str) -> None:
    table = csv_of(submissions.without(ROWS, "decision", "score"))
    folder = submissions.with_model(
        tmp_path / "s", b"{}", name="model/model.json", stated={"file": "model"}, table=table, files={path: table}
    )
    assert "model.file|model.holds_data" in refusal(folder)


def test_a_model_folder_without_the_test_file_is_not_refused_for_it(refusal, tmp_path: Path) -> None:
    folder = submissions.with_model(
        tmp_path / "s", b"{}", name="model/model.json", stated={"file": "model"}, files={"model/other.csv": "a\n1\n"}
    )
    assert "model.file|model.holds_data" not in refusal(folder)


# ---- a reviewer's holdout


def test_a_holdout_needs_a_model(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("income,town,outcome\n1,Breda,yes\n")
    submission = submissions.predictions(tmp_path / "s")
    with pytest.raises(Refused) as raised:
        accept(submission, settings, isolation=None, quarantine=tmp_path / "q", holdout=tmp_path / "h.csv")
    assert [p.code for p in raised.value.problems] == ["holdout.no_model"]
    assert list((tmp_path / "q").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "holdout.submitted"),
        ("income,town\n1,Breda\n", "table.column_missing"),
        ("town,outcome\nBreda,yes\n", "table.column_missing"),
    ],
)
def test_a_holdout_that_can_say_nothing_is_refused(
    settings: Settings, tmp_path: Path, text: str | None, code: str
) -> None:
    submission = submissions.with_model(tmp_path / "s", b"{}")
    (tmp_path / "h.csv").write_text(text if text is not None else (submission / "table.csv").read_text())
    with pytest.raises(Refused) as raised:
        accept(submission, settings, isolation=None, quarantine=tmp_path / "q", holdout=tmp_path / "h.csv")
    assert any(p.field == "holdout" and p.code.startswith(code) for p in raised.value.problems)


def test_a_holdout_that_is_not_there_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Refused) as raised:
        accept(
            submissions.with_model(tmp_path / "s", b"{}"),
            settings,
            isolation=None,
            quarantine=tmp_path / "q",
            holdout=tmp_path / "none.csv",
        )
    assert [(p.field, p.code) for p in raised.value.problems] == [("holdout", "holdout.absent")]
    assert "There is no table at none.csv" in str(raised.value)
    assert list((tmp_path / "q").iterdir()) == []
