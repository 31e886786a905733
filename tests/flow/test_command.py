"""The command as a person meets it: bad input, statuses, and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result

from sandbox.cli import main
from sandbox.settings import PREFIX
from tests.make import real

Typed = Callable[..., Result]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Type a command, with a state folder of the test's own."""
    monkeypatch.setenv(f"{PREFIX}STATE", str(tmp_path / "state"))

    def run(*words: Any) -> Result:
        return CliRunner().invoke(main, [str(w) for w in words])

    return run


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """A submission by predictions that is in order."""
    folder = tmp_path / "submission"
    folder.mkdir()
    count = 200
    pd.DataFrame(
        {
            "sex": ["f", "m"] * (count // 2),
            "age": [20 + n % 50 for n in range(count)],
            "label": (["yes"] * 3 + ["no"]) * (count // 4),
            "yhat": (["yes"] * 2 + ["no"] * 2) * (count // 4),
        }
    ).to_csv(folder / "data.csv", index=False)
    real.write_submission(
        folder,
        {
            "format": 1,
            "system": real.system("Predictions"),
            "predictions": {"file": "data.csv", "decision": "yhat"},
            "data": {
                "task": "binary",
                "classes": ["no", "yes"],
                "favourable": "yes",
                "columns": {"sex": "group", "label": "label"},
            },
        },
    )
    return folder


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    content = yaml.safe_load((folder / "submission.yaml").read_text(encoding="utf-8"))
    edit(content)
    real.write_submission(folder, content)


def test_predictions_are_assessed_without_any_wall(typed: Typed, predictions: Path, tmp_path: Path) -> None:
    done = typed("assess", predictions, "--out", tmp_path / "out", "--quiet", "--json")
    assert done.exit_code in (0, 1, 5), done.output
    told = json.loads(done.stdout)
    assert told["route"] == "predictions"
    assert (tmp_path / "out" / "model_card.nl.md").is_file()


def test_several_things_wrong_are_all_said_at_once_with_field_and_remedy(
    typed: Typed, predictions: Path, tmp_path: Path
) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["colour"] = "blue"
        content["system"]["provider"]["size"] = "enormous"
        content["data"]["favourable"] = "maybe"

    change(predictions, edit)
    done = typed("assess", predictions, "--out", tmp_path / "out", "--quiet", "--json")
    assert done.exit_code == 3
    problems = {p["field"]: p["message"] for p in json.loads(done.stdout)["refused"]}
    assert "colour" in problems
    assert "small" in problems["system.provider.size"]
    assert any("maybe" in message for message in problems.values())
    assert not (tmp_path / "out").exists()


def test_a_missing_column_is_named(typed: Typed, predictions: Path, tmp_path: Path) -> None:
    change(predictions, lambda content: content["data"]["columns"].update(gender="group"))
    done = typed("assess", predictions, "--out", tmp_path / "out", "--quiet")
    assert done.exit_code == 3
    assert "gender" in done.stderr
    assert "data.columns.gender" in done.stderr


def test_labels_that_are_not_declared_are_named(typed: Typed, predictions: Path, tmp_path: Path) -> None:
    change(predictions, lambda content: content["data"].update(classes=["nope", "yes"]))
    done = typed("assess", predictions, "--out", tmp_path / "out", "--quiet")
    assert done.exit_code == 3
    assert "no" in done.stderr


def test_an_empty_file_is_said_to_be_empty(typed: Typed, predictions: Path, tmp_path: Path) -> None:
    (predictions / "data.csv").write_bytes(b"")
    done = typed("assess", predictions, "--out", tmp_path / "out", "--quiet")
    assert done.exit_code == 3
    assert "empty" in done.stderr


def test_an_unknown_limit_is_refused_with_a_near_one(typed: Typed, predictions: Path, tmp_path: Path) -> None:
    limits = {"fairness.selection_rates.ratio": {"at_least": 0.8, "reason": "as agreed"}}
    change(predictions, lambda content: content.update(limits=limits))
    done = typed("assess", predictions, "--out", tmp_path / "out", "--quiet")
    assert done.exit_code == 3
    assert "fairness.selection_rate" in done.stderr


def test_a_model_is_refused_where_no_wall_can_be_built(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandbox import respondent
    from sandbox.errors import CellUnavailable
    from tests.flow.test_promises import rows, submit

    def none(*_: Any, **__: Any) -> Any:
        raise CellUnavailable("No wall can be built here: install bubblewrap (apt-get install bubblewrap).")

    monkeypatch.setattr(respondent, "choose", none)
    submission = submit(tmp_path / "a", rows(1))
    done = typed("assess", submission, "--out", tmp_path / "out", "--quiet")
    assert done.exit_code == 4
    assert "install bubblewrap" in done.stderr
    assert not (tmp_path / "out").exists()


def test_out_that_holds_something_is_never_overwritten(typed: Typed, predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep me", encoding="utf-8")
    done = typed("assess", predictions, "--out", out, "--quiet")
    assert done.exit_code == 2
    assert (out / "mine.txt").read_text(encoding="utf-8") == "keep me"


def test_fail_on_decides_what_a_build_stops_for(typed: Typed, predictions: Path, tmp_path: Path) -> None:
    stopped = typed("assess", predictions, "--out", tmp_path / "a", "--quiet", "--fail-on", "not_gathered")
    assert stopped.exit_code == 1
    went_on = typed("assess", predictions, "--out", tmp_path / "b", "--quiet", "--fail-on", "error")
    assert went_on.exit_code == 0


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_the_questionnaire_as_printed_can_be_classified(typed: Typed, tmp_path: Path, lang: str) -> None:
    form = typed("questions", "--lang", lang)
    assert form.exit_code == 0
    path = tmp_path / "answers.yaml"
    path.write_text(form.stdout, encoding="utf-8")
    done = typed("classify", path, "--json")
    assert done.exit_code == 0, done.output
    risk = json.loads(done.stdout)
    assert risk["class"] == "undetermined"
    assert len(risk["possible"]) > 3
    assert risk["undecided_by"]
    told = typed("classify", path, "--lang", lang, "--as-of", "2027-12-03")
    assert told.exit_code == 0
    assert len(told.stdout) > 300


def test_an_unknown_answer_is_refused_with_those_there_are(typed: Typed, tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text("how_it_works: by magic\n", encoding="utf-8")
    done = typed("classify", path)
    assert done.exit_code == 3
    assert "learned" in done.stderr


def test_documents_alone_get_a_class_and_a_card(typed: Typed, tmp_path: Path) -> None:
    folder = tmp_path / "submission"
    folder.mkdir()
    (folder / "technical.md").write_text("# Intended purpose\n\n" + "It sorts letters. " * 30, encoding="utf-8")
    real.write_submission(folder, {"format": 1, "system": real.system("Documents"), "documents": ["technical.md"]})
    done = typed("assess", folder, "--out", tmp_path / "out", "--quiet", "--json")
    assert done.exit_code in (0, 1, 5), done.output
    outcomes = {f["check"]: f["outcome"] for f in json.loads(done.stdout)["findings"]}
    assert outcomes["documentation.annex_iv"] in ("measured", "fail", "inconclusive", "pass")
    assert outcomes["fairness.selection_rate"] in ("not_applicable", "not_gathered")


def test_counts_alone_compare_groups_with_intervals(typed: Typed, tmp_path: Path) -> None:
    folder = tmp_path / "submission"
    folder.mkdir()
    cells = [("f", "yes", "yes", 300), ("f", "yes", "no", 100), ("f", "no", "yes", 50), ("f", "no", "no", 150)]
    cells += [("m", "yes", "yes", 500), ("m", "yes", "no", 50), ("m", "no", "yes", 80), ("m", "no", "no", 170)]
    pd.DataFrame(cells, columns=["sex", "label", "decision", "rows"]).to_csv(folder / "counts.csv", index=False)
    real.write_submission(
        folder,
        {
            "format": 1,
            "system": real.system("Counts"),
            "counts": {"file": "counts.csv"},
            "data": {
                "task": "binary",
                "classes": ["no", "yes"],
                "favourable": "yes",
                "columns": {"sex": "group"},
            },
        },
    )
    done = typed("assess", folder, "--out", tmp_path / "out", "--quiet", "--json")
    assert done.exit_code in (0, 1, 5), done.output
    (finding,) = [f for f in json.loads(done.stdout)["findings"] if f["check"] == "fairness.selection_rate"]
    assert finding["measures"]["difference"]["value"] == pytest.approx(580 / 800 - 350 / 600)
    assert finding["measures"]["difference"]["low"] < finding["measures"]["difference"]["value"]


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [("check", "Nonsense", "family.name"), ("check", "nofamily.x", "families"), ("probe", "1x", "file name")],
)
def test_new_says_what_a_name_must_be(typed: Typed, kind: str, name: str, wrong: str) -> None:
    done = typed("new", kind, name)
    assert done.exit_code == 2
    assert wrong in done.stderr


def test_new_writes_a_start_that_imports(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "registry.py").write_text("", encoding="utf-8")
    starts = {"check": "data_governance.undecided_rows", "probe": "twice", "format": "other", "export": "other"}
    for kind, name in starts.items():
        done = typed("new", kind, name, "--root", tmp_path)
        assert done.exit_code == 0, done.output
    for path in tmp_path.rglob("*.py"):
        if "tests" not in path.parts and path.name != "registry.py":
            exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), {"__name__": path.stem})
