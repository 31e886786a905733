"""CSV and Parquet hold every measure and the data of every figure, unrounded; formulas are defused in CSV."""

from __future__ import annotations

import csv
import io
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq

from model_cards.dossier import Assessment
from model_cards.exports import figures
from tests.make.assessments import assessment, measured_by_all_checks


def made(given: Assessment) -> dict[str, list[dict[str, str]]]:
    with zipfile.ZipFile(io.BytesIO(figures.render(given, "en"))) as archive:
        names = archive.namelist()
        texts = {name: archive.read(name).decode() for name in names if not name.endswith(".parquet")}
    assert {n.removesuffix(".csv") for n in names if n.endswith(".csv")} == {
        n.removesuffix(".parquet") for n in names if n.endswith(".parquet")
    }
    assert "not a regulatory sandbox" in texts.pop("about.txt")
    return {name: list(csv.DictReader(io.StringIO(text))) for name, text in texts.items()}


def test_every_measure_is_there_as_it_was_measured() -> None:
    given = measured_by_all_checks(rows=300)
    rows = made(given)["measures.csv"]
    for finding in given.dossier.findings:
        mine = [r for r in rows if r["check"] == finding.check and r["attribute"] == (finding.attribute or "")]
        whole = [r for r in mine if not r["group"] and r["measure"]]
        assert [r["measure"] for r in whole] == [m.name for m in finding.measures]
        assert [float(r["value"]) if r["value"] else None for r in whole] == [m.value for m in finding.measures]
        assert len([r for r in mine if r["group"]]) == sum(len(g.measures) for g in finding.groups)
        assert mine, "a finding without a figure has its line too"


def test_every_figure_is_there_and_single_rows_stand_apart() -> None:
    given = assessment()
    files = made(given)
    assert "figures/fairness.selection_rate.sex.csv" in files
    assert "row_level/explainability.single_decisions.1.csv" in files
    assert {n.split("/")[0] for n in files} == {"measures.csv", "figures", "row_level"}
    assert [r["value"] for r in files["figures/fairness.selection_rate.sex.csv"]] == ["0.1095", "0.304", ""]


def test_parquet_holds_the_same_as_numbers_and_texts() -> None:
    given = assessment()
    with zipfile.ZipFile(io.BytesIO(figures.render(given, "en"))) as archive:
        measures = pq.read_table(io.BytesIO(archive.read("measures.parquet")))
        rates = pq.read_table(io.BytesIO(archive.read("figures/fairness.selection_rate.sex.parquet")))
    assert measures.num_rows == len(made(given)["measures.csv"])
    for name in ("value", "low", "high", "rows"):
        assert pa.types.is_floating(measures.schema.field(name).type) or pa.types.is_integer(
            measures.schema.field(name).type
        )
    assert rates.column("value").to_pylist() == [0.1095, 0.304, None]


def test_a_value_that_does_not_exist_is_an_empty_cell_with_its_reason() -> None:
    row = next(r for r in made(assessment())["measures.csv"] if r["measure"] == "adverse_ratio")
    assert row["value"] == ""
    assert row["reason"]


def test_a_group_named_like_a_formula_is_defused() -> None:
    given = assessment()
    figure = given.figures[0].model_copy(update={"columns": {"=cmd()": ("=1+1", "+2", "-5"), "value": (-1.5, 2, None)}})
    rows = made(given.model_copy(update={"figures": (figure,)}))["figures/fairness.selection_rate.sex.csv"]
    assert rows == [
        {"'=cmd()": "'=1+1", "value": "-1.5"},
        {"'=cmd()": "+2", "value": "2"},
        {"'=cmd()": "-5", "value": ""},
    ]


def test_a_file_name_stays_inside_the_zip() -> None:
    given = assessment()
    figure = given.figures[0].model_copy(update={"name": "../../etc/passwd"})
    names = list(made(given.model_copy(update={"figures": (figure,)})))
    assert not [n for n in names if ".." in n.split("/")]
