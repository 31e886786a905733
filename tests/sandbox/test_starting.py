"""The start of a submission: what is guessed is right on usual data, marked as a guess, and accepted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.cell.frames import Type
from sandbox.errors import Refused
from sandbox.intake import accept
from sandbox.settings import Settings
from sandbox.starting import SECTORS, Seen, guess_roles, start
from tests.make.submissions import ROWS, csv_of, without


def accepted(folder: Path, settings: Settings, tmp_path: Path):
    return accept(folder, settings, isolation=None, quarantine=tmp_path / "q")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An XGBoost model of two inputs, one a category."""
    import pandas as pd
    import xgboost

    rows = pd.DataFrame(without(ROWS, "decision", "score")[1:], columns=list(ROWS[0][:4]))
    inputs = pd.DataFrame({"income": rows["income"].astype(int), "town": rows["town"].astype("category")})
    fitted = xgboost.XGBClassifier(n_estimators=2, enable_categorical=True)
    fitted.fit(inputs, rows["outcome"] == "yes")
    path = tmp_path / "model.ubj"
    fitted.save_model(path)
    return path


def test_a_start_from_model_and_data_is_accepted_as_it_is(settings: Settings, model: Path, tmp_path: Path) -> None:
    data = tmp_path / "d.csv"
    data.write_text(csv_of(without(ROWS, "decision", "score")))
    folder = tmp_path / "s"
    steps = start(folder, from_model=model, from_data=data, settings=settings)
    assert [line[:2] for line in steps.splitlines()] == ["1.", "2.", "3."]
    with accepted(folder, settings, tmp_path) as bundle:
        stated = bundle.declaration
        assert stated.data is not None
        assert stated.model is not None
        assert bundle.model_format == "xgboost"
        assert stated.data.classes == ("no", "yes")
        assert stated.data.favourable == "yes"
        assert stated.data.label == "outcome"
        assert stated.data.attributes == ("sex",)
        assert stated.inputs.order == ("income", "town")
        assert {n: t.value for n, t in stated.inputs.types.items()} == {"income": "number", "town": "category"}
        assert stated.model.score_of == "yes"
        assert bundle.table is not None
        assert bundle.table.rows == 6


def test_every_guess_and_every_line_to_fill_in_is_marked(settings: Settings, model: Path, tmp_path: Path) -> None:
    data = tmp_path / "d.csv"
    data.write_text(csv_of(without(ROWS, "decision", "score")))
    start(tmp_path / "s", from_model=model, from_data=data, settings=settings)
    text = (tmp_path / "s" / "submission.yaml").read_text()
    for field in ("task", "classes", "favourable", "threshold", "output", "score_of", "sex", "outcome", "inputs"):
        (line,) = [x for x in text.splitlines() if re.match(rf"\s+{field}:", x)]
        assert "GUESS" in line, line
    for field in ("version", "intended_purpose", "public_body"):
        (line,) = [x for x in text.splitlines() if re.match(rf"\s+{field}:", x)]
        assert "EDIT" in line, line


@pytest.mark.parametrize("sector", [None, *SECTORS])
def test_a_start_without_files_is_accepted_as_documents(sector: str | None, settings: Settings, tmp_path: Path) -> None:
    start(tmp_path / "s", sector=sector, settings=settings)
    with accepted(tmp_path / "s", settings, tmp_path) as bundle:
        assert bundle.declaration.route == "documents"
        assert bundle.declaration.system.public_body is (sector in ("benefits", "letters"))
        if sector is None:
            assert set(bundle.declaration.answers.values()) <= {"unknown", ("unknown",)}
        else:
            assert bundle.declaration.answers == SECTORS[sector].answers
            assert [d.name for d in bundle.documents] == ["technical_documentation.md"]
        assert "areas" in bundle.declaration.answers


@pytest.mark.parametrize("sector", [None, *SECTORS])
def test_the_commented_part_is_a_submission_too(sector: str | None, settings: Settings, tmp_path: Path) -> None:
    start(tmp_path / "s", sector=sector, settings=settings)
    path = tmp_path / "s" / "submission.yaml"
    part = re.compile(r"^# ((?:  )*[a-z_]+:.*)$", re.MULTILINE)
    path.write_text(part.sub(r"\1", path.read_text().partition("answers:")[0]))
    with pytest.raises(Refused) as raised:
        accepted(tmp_path / "s", settings, tmp_path)
    assert {p.code for p in raised.value.problems} == {"file.absent"}


@pytest.mark.parametrize("sector", SECTORS)
def test_every_likely_answer_is_marked_as_an_example_and_every_question_asked_is_there(
    sector: str, settings: Settings, tmp_path: Path
) -> None:
    steps = start(tmp_path / "s", sector=sector, settings=settings)
    assert [line[:2] for line in steps.splitlines()[:3]] == ["1.", "2.", "3."]
    text = (tmp_path / "s" / "answers.yaml").read_text()
    for name in SECTORS[sector].answers:
        (line,) = [x for x in text.splitlines() if x.startswith(f"{name}:")]
        assert "# EXAMPLE, " in line, line
    words = SECTORS[sector]
    assert words.limits
    assert words.groups
    assert set(words.groups) <= {n for n, role in words.columns.items() if "group" in role}
    assert list(words.columns.values()).count("label") == 1


def test_a_pickle_is_accepted_only_after_a_person_agreed(settings: Settings, tmp_path: Path) -> None:
    import pickle

    from sklearn.tree import DecisionTreeClassifier

    (tmp_path / "m.pkl").write_bytes(pickle.dumps(DecisionTreeClassifier().fit([[0], [1]], ["no", "yes"])))
    (tmp_path / "d.csv").write_text("income,sex,outcome\n1,f,no\n2,m,yes\n")
    start(tmp_path / "s", from_model=tmp_path / "m.pkl", from_data=tmp_path / "d.csv", settings=settings)
    with pytest.raises(Refused) as raised:
        accepted(tmp_path / "s", settings, tmp_path)
    assert {p.code for p in raised.value.problems} == {"model.needs_consent"}
    path = tmp_path / "s" / "submission.yaml"
    path.write_text(path.read_text().replace("allow_code: false", "allow_code: true"))
    accepted(tmp_path / "s", settings, tmp_path).close()


def test_names_that_need_quotes_are_quoted(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('"a: b","yes",#c,"age {x}",geslacht,label\n1,2,3,1,m,NO\n4,5,6,2,v,null-ish\n')
    (tmp_path / "m.pkl").write_bytes(b"\x80\x04N.")
    start(tmp_path / "s", from_model=tmp_path / "m.pkl", from_data=tmp_path / "d.csv", settings=settings)
    path = tmp_path / "s" / "submission.yaml"
    path.write_text(path.read_text().replace("allow_code: false", "allow_code: true"))
    with accepted(tmp_path / "s", settings, tmp_path) as bundle:
        assert bundle.table is not None
        assert bundle.table.features.column_names == ["a: b", "yes", "#c"]
        assert bundle.table.groups.column_names == ["age {x}", "geslacht"]
        assert bundle.declaration.data is not None
        assert bundle.declaration.data.classes == ("NO", "null-ish")


def test_a_start_never_writes_over_a_submission(settings: Settings, tmp_path: Path) -> None:
    start(tmp_path / "s", settings=settings)
    before = (tmp_path / "s" / "submission.yaml").read_text()
    with pytest.raises(Refused) as raised:
        start(tmp_path / "s", sector="credit", settings=settings)
    assert [p.code for p in raised.value.problems] == ["init.exists"]
    assert (tmp_path / "s" / "submission.yaml").read_text() == before
    with pytest.raises(Refused) as raised:
        start(tmp_path / "t", sector="banking", settings=settings)
    assert "credit" in raised.value.problems[0].message
    assert not (tmp_path / "t").exists()


def column(name: str, values: tuple[str, ...], type_: Type = Type.CODES, *, many: bool = False) -> Seen:
    return Seen(name=name, type=type_, values=values, many=many, missing=0, rows=100)


def test_roles_are_guessed_by_names_and_values() -> None:
    ages = tuple(str(a) for a in range(18, 80))
    guess = guess_roles(
        [
            column("client_id", (), Type.WHOLE, many=True),
            column("leeftijd", ages, Type.WHOLE),
            column("native-country", ("NL", "BE")),
            column("nationality", ("NL", "BE")),
            column("average", ("1", "2"), Type.WHOLE),
            column("fnlwgt", (), Type.NUMBER, many=True),
            column("remark", (), Type.TEXT, many=True),
            column("income", ("<=50K", ">50K")),
        ]
    )
    assert guess.roles == {
        "client_id": "unit",
        "leeftijd": "group",
        "nationality": "group",
        "fnlwgt": "weight",
        "remark": "identifier",
        "income": "label",
    }
    assert guess.bands == {"leeftijd": "[25, 40, 65]"}
    assert (guess.task, guess.classes, guess.favourable) == ("binary", ("<=50K", ">50K"), ">50K")
    numbers = guess_roles([column("a", ("1", "2"), Type.WHOLE), column("target", (), Type.NUMBER, many=True)])
    assert (numbers.task, numbers.label, numbers.classes) == ("regression", "target", ())
    assert guess_roles([column("a", ("1", "2")), column("b", (), Type.NUMBER, many=True)]).label is None


def test_data_with_decisions_start_the_predictions_route(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(csv_of())
    start(tmp_path / "s", from_data=tmp_path / "d.csv", settings=settings)
    with accepted(tmp_path / "s", settings, tmp_path) as bundle:
        assert bundle.declaration.route == "predictions"
        assert bundle.declaration.predictions is not None
        assert bundle.declaration.predictions.decision == "decision"
        assert bundle.declaration.predictions.score == "score"
        assert bundle.table is not None
        assert bundle.table.features.column_names == ["income", "town"]
        assert bundle.table.label is not None
        assert bundle.table.label.to_pylist() == [1, 0, 1, 0, 1, 0]


def test_answers_that_lie_beside_the_inputs_are_not_shown_to_the_model(
    settings: Settings, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_text(csv_of())
    start(tmp_path / "s", from_model=model, from_data=tmp_path / "d.csv", settings=settings)
    with accepted(tmp_path / "s", settings, tmp_path) as bundle:
        assert bundle.table is not None
        assert bundle.table.features.column_names == ["income", "town"]


def test_a_hint_that_is_taken_out_of_its_comment_is_a_field(settings: Settings, tmp_path: Path) -> None:
    start(tmp_path / "s", settings=settings)
    path = tmp_path / "s" / "submission.yaml"
    text = path.read_text()
    assert "\t" not in text
    path.write_text(
        text.replace("    # country: NL", "    country: NL").replace("    # size: small", "    size: small")
    )
    with accepted(tmp_path / "s", settings, tmp_path) as bundle:
        assert bundle.declaration.system.provider.country == "NL"
        assert bundle.declaration.system.provider.size == "small"
