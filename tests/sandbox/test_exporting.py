"""A document is made from a stored dossier alone, lands whole or not at all, and the formats are listed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from model_cards import writing
from model_cards.dossier import Assessment
from model_cards.exports import exports
from sandbox.cli import main
from sandbox.errors import Refused
from sandbox.exporting import FIGURE_KEY, export, formats, read_assessment
from tests.make.assessments import assessment


@pytest.fixture(scope="module")
def dossier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a dossier as a run would: dossier, run, and the data of its figures."""
    folder = tmp_path_factory.mktemp("dossier")
    write(assessment(), folder)
    return folder


def write(given: Assessment, folder: Path) -> None:
    assert given.run is not None
    (folder / "dossier.json").write_bytes(given.dossier.to_json())
    (folder / "run.json").write_bytes(given.run.to_json())
    (folder / "figures").mkdir()
    for figure in given.figures:
        (folder / "figures" / f"{figure.name}.parquet").write_bytes(writing.parquet(figure))


def test_the_formats_are_those_of_the_exports_with_their_standards() -> None:
    assert {f.name: f.standard for f in formats()} == {name: e.STANDARD for name, e in exports().items()}
    assert len(formats()) >= 16


@pytest.mark.parametrize("name", sorted(set(exports()) - {"markdown", "html", "pdf", "hugging_face", "figures"}))
def test_each_is_the_same_from_the_stored_dossier_as_from_the_assessment(
    name: str, dossier: Path, tmp_path: Path
) -> None:
    assert export(dossier, name, lang="nl", out=tmp_path).read_bytes() == exports()[name].render(assessment(), "nl")


def test_figures_are_read_back_and_single_rows_are_known_without_a_mark(dossier: Path, tmp_path: Path) -> None:
    read, _ = read_assessment(dossier)
    assert [f.columns for f in read.figures] == [f.columns for f in assessment().figures]
    with zipfile.ZipFile(export(dossier, "figures", lang="en", out=tmp_path)) as archive:
        names = archive.namelist()
    assert "row_level/explainability.single_decisions.1.csv" in names
    assert "figures/fairness.selection_rate.sex.csv" in names


def test_a_figure_whose_file_says_how_it_is_drawn_comes_back_whole(tmp_path: Path) -> None:
    given = assessment()
    write(given, tmp_path)
    for figure in given.figures:
        path = tmp_path / "figures" / f"{figure.name}.parquet"
        mark = {"kind": figure.kind, "params": dict(figure.params), "row_level": figure.row_level}
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({FIGURE_KEY: json.dumps(mark).encode()}), path)
    read, complete = read_assessment(tmp_path)
    assert read.figures == given.figures
    assert complete
    first = tmp_path / "figures" / f"{given.figures[0].name}.parquet"
    pq.write_table(pq.read_table(first).replace_schema_metadata({FIGURE_KEY: b"[1]"}), first)
    with pytest.raises(Refused):
        read_assessment(tmp_path)


def test_a_card_that_was_made_with_the_dossier_is_the_one_given(dossier: Path, tmp_path: Path) -> None:
    copy = tmp_path / "d"
    copy.mkdir()
    write(assessment(), copy)
    (copy / "model_card.en.html").write_bytes(b"<p>as made then</p>")
    _, complete = read_assessment(copy)
    given = export(copy, "html", lang="en", out=tmp_path).read_bytes()
    assert (given == b"<p>as made then</p>") is not complete


def test_it_lands_in_the_current_folder_and_leaves_the_dossier_as_it_was(
    dossier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(p.name for p in dossier.rglob("*"))
    monkeypatch.chdir(tmp_path)
    assert export(dossier, "fria", lang="nl", out=None) == Path(f"{dossier.name}.fria.nl.html")
    assert export(dossier, "fria", lang="nl", out=tmp_path / "new" / "mine.html").is_file()
    assert sorted(p.name for p in dossier.rglob("*")) == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("format_", "lang", "code"), [("excel", "en", "export.unknown"), ("fria", "xx", "export.language")]
)
def test_what_there_is_not_is_refused_by_name(
    format_: str, lang: str, code: str, dossier: Path, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as refused:
        export(dossier, format_, lang=lang, out=tmp_path)
    assert refused.value.problems[0].code == code


def test_a_folder_without_a_dossier_and_a_broken_figure_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        export(tmp_path, "fria", lang="en", out=None)
    write(assessment(), tmp_path)
    (tmp_path / "figures" / "fairness.selection_rate.sex.parquet").write_bytes(b"no parquet")
    with pytest.raises(Refused) as refused:
        export(tmp_path, "fria", lang="en", out=tmp_path)
    assert refused.value.problems[0].field == "figures/fairness.selection_rate.sex.parquet"


def test_the_command_lists_the_formats_and_writes_one(dossier: Path, tmp_path: Path) -> None:
    listed = CliRunner().invoke(main, ["export", str(dossier)])
    assert listed.exit_code == 0
    for name, made in exports().items():
        assert name in listed.output
        assert made.STANDARD in listed.output
    as_json = CliRunner().invoke(main, ["export", "--json"])
    assert len(json.loads(as_json.stdout)["formats"]) == len(exports())
    written = CliRunner().invoke(
        main, ["export", str(dossier), "--format", "sarif", "--out", str(tmp_path / "a.sarif")]
    )
    assert written.exit_code == 0, written.output
    assert json.loads((tmp_path / "a.sarif").read_bytes())["version"] == "2.1.0"
    unknown = CliRunner().invoke(main, ["export", str(dossier), "--format", "excel"])
    assert unknown.exit_code == 3
    nothing = CliRunner().invoke(main, ["export", "--format", "fria"])
    assert nothing.exit_code == 2


def test_the_command_makes_the_public_package_and_a_public_document(tmp_path: Path) -> None:
    from tests.make import dossiers

    whole = dossiers.whole(tmp_path / "whole", assessment())
    environment = {"AIACT_SANDBOX_STATE": str(tmp_path / "state")}
    done = CliRunner().invoke(
        main, ["export", str(whole), "--public", "--out", str(tmp_path / "public")], env=environment
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "public" / "publication.json").is_file()
    target = tmp_path / "public.csv.zip"
    words = ["export", str(whole), "--public", "--format", "figures", "--out", str(target)]
    done = CliRunner().invoke(main, words, env=environment)
    assert done.exit_code == 0, done.output
    assert target.stat().st_size > 0
