"""What is taken in, by each route, and what becomes of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pyarrow as pa

from sandbox.intake import accept, read_table
from sandbox.isolation.interface import Isolation
from sandbox.settings import Settings
from tests.make import submissions


def test_a_folder_with_predictions_becomes_a_table_and_a_record(take, tmp_path: Path) -> None:
    bundle = take(submissions.predictions(tmp_path / "s"))
    table = read_table(bundle)
    assert table is not None
    assert table.features.column_names == ["income", "town"]
    assert table.features.schema.field("income").type == pa.int64()
    assert table.features.schema.field("town").type == pa.dictionary(pa.int32(), pa.string())
    assert table.features.column("town").combine_chunks().dictionary.to_pylist() == ["Assen", "Breda", "Delft"]
    assert table.groups.column("sex").to_pylist() == ["f", "m", "m", "f", "f", "m"]
    assert table.label is not None
    assert table.label.to_pylist() == [1, 0, 1, 0, 1, 0]
    assert table.rows == 6
    assert len(set(table.row_numbers.to_pylist())) == 6
    assert bundle.recorded is not None
    assert bundle.recorded.decision is not None
    assert bundle.recorded.decision.to_pylist() == [1, 1, 1, 0, 0, 0]
    assert bundle.recorded.score is not None
    assert bundle.recorded.score.to_pylist() == [0.9, 0.7, 0.8, 0.2, 0.4, 0.1]
    assert bundle.read_by == "limited_process"
    assert any("limited resources" in note for note in bundle.notes)


def test_a_folder_and_a_zip_of_it_have_the_same_digest(take, tmp_path: Path) -> None:
    folder = submissions.predictions(tmp_path / "s")
    flat = submissions.zipped(folder, tmp_path / "flat.zip")
    nested = submissions.zipped(folder, tmp_path / "nested.zip", inside="my submission/")
    bundles = [take(path) for path in (folder, flat, nested)]
    assert len({b.digest for b in bundles}) == 1
    assert all(set(b.files) == {"submission.yaml", "table.csv"} for b in bundles)
    (folder / "table.csv").write_text(submissions.csv_of() + "100,Delft,f,no,no,0.1\n")
    assert take(folder).digest != bundles[0].digest


def test_the_quarantine_is_closed_to_others_and_gone_after_close(settings: Settings, tmp_path: Path) -> None:
    submission = submissions.predictions(tmp_path / "s")
    bundle = accept(submission, settings, isolation=None, quarantine=tmp_path / "q")
    assert stat.S_IMODE(bundle.folder.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((bundle.folder / "table.csv").stat().st_mode) == 0o400
    bundle.close()
    bundle.close()
    assert list((tmp_path / "q").iterdir()) == []
    with accept(submission, settings, isolation=None, quarantine=tmp_path / "q") as opened:
        assert opened.folder.is_dir()
    assert list((tmp_path / "q").iterdir()) == []


def test_the_copy_is_read_and_not_the_original(take, tmp_path: Path) -> None:
    submission = submissions.predictions(tmp_path / "s")
    bundle = take(submission)
    (submission / "table.csv").write_text("changed")
    assert (bundle.folder / "table.csv").read_text() == submissions.csv_of()


def test_leftovers_of_a_desktop_are_left_out_and_said_so(take, tmp_path: Path) -> None:
    plain = take(submissions.predictions(tmp_path / "s"))
    folder = submissions.predictions(
        tmp_path / "t", files={".DS_Store": b"\0", "__MACOSX/._table.csv": b"\0", ".git/config": "x"}
    )
    bundle = take(folder)
    assert bundle.digest == plain.digest
    assert any(".DS_Store" in note for note in bundle.notes)
    archive = submissions.zipped(folder, tmp_path / "t.zip", inside="t/")
    assert take(archive).digest == plain.digest


def test_a_link_inside_the_submission_is_taken_as_the_file_it_names(take, tmp_path: Path) -> None:
    folder = submissions.predictions(tmp_path / "s", predictions={"file": "linked.csv", "decision": "decision"})
    (folder / "linked.csv").symlink_to("table.csv")
    bundle = take(folder)
    assert bundle.files["linked.csv"] == bundle.files["table.csv"]
    assert not (bundle.folder / "linked.csv").is_symlink()


def test_predictions_in_a_file_of_their_own_join_the_data_row_by_row(take, tmp_path: Path) -> None:
    bundle = take(
        submissions.predictions(
            tmp_path / "s",
            table=submissions.csv_of(submissions.without(submissions.ROWS, "decision", "score")),
            data={"file": "table.csv"},
            predictions={"file": "answers.csv", "decision": "yhat"},
            files={"answers.csv": "person,yhat\na,yes\nb,no\nc,\nd,yes\ne,no\nf,no\n"},
        )
    )
    assert bundle.recorded is not None
    assert bundle.recorded.decision is not None
    assert bundle.recorded.decision.to_pylist() == [1, 0, None, 1, 0, 0]
    assert bundle.recorded.score is None
    assert bundle.table is not None
    assert bundle.table.features.column_names == ["income", "town"]


def test_counts_become_a_table_of_counts(take, tmp_path: Path) -> None:
    table = "sex,label,decision,rows\nf,yes,yes,10\nf,no,yes,3\nm,,no,7\n,no,no,0\n"
    bundle = take(submissions.counts(tmp_path / "s", table))
    assert bundle.table is None
    assert bundle.counts is not None
    assert bundle.counts.to_pydict() == {
        "sex": ["f", "f", "m", None],
        "label": [1, 0, None, 0],
        "decision": [1, 1, 0, 0],
        "rows": [10, 3, 7, 0],
        "weight": [10.0, 3.0, 7.0, 0.0],
        "weight_squared": [10.0, 3.0, 7.0, 0.0],
    }


def test_documents_alone_are_enough(take, tmp_path: Path) -> None:
    bundle = take(
        submissions.documents(
            tmp_path / "s",
            {
                "a.md": "# Purpose\r\nText\r\n",
                "b.html": "<html><head><style>x{}</style></head><body><h2>Data</h2><p>Kept &amp; used</p>"
                "<script>alert(1)</script></body></html>",
                "c.odt": b"PK",
            },
            documents=["a.md", "b.html", "c.odt"],
        )
    )
    assert [d.name for d in bundle.documents] == ["a.md", "b.html"]
    assert bundle.documents[0].text == "# Purpose\nText\n"
    assert bundle.documents[1].text.split() == ["##", "Data", "Kept", "&", "used"]
    assert bundle.documents[0].digest == bundle.files["a.md"]
    assert any("c.odt was not read" in note for note in bundle.notes)
    assert bundle.table is None
    assert bundle.declaration.route == "documents"


def test_the_files_that_a_submission_names_are_read_into_the_declaration(take, tmp_path: Path) -> None:
    bundle = take(
        submissions.predictions(
            tmp_path / "s",
            data={"datasheet": "sheet.yaml"},
            answers="answers.yaml",
            publication="register.yaml",
            files={
                "sheet.yaml": "origin: own records\nperiod: 2024-01-01\n",
                "answers.yaml": "how_it_works: learned\nexclusion: [none]\n",
                "register.yaml": "lawful_basis: NO\n",
            },
        )
    )
    stated = bundle.declaration
    assert stated.datasheet == {"origin": "own records", "period": "2024-01-01"}
    assert stated.answers == {"how_it_works": "learned", "exclusion": ("none",)}
    assert stated.publication == {"lawful_basis": "NO"}
    assert stated.data is not None
    assert stated.data.datasheet == "sheet.yaml"


def test_data_without_a_model_or_predictions_are_not_read_and_said_so(take, tmp_path: Path) -> None:
    bundle = take(submissions.predictions(tmp_path / "s", data={"file": "table.csv"}, predictions=None))
    assert bundle.declaration.route == "documents"
    assert bundle.table is None
    assert any("table.csv was not read" in note for note in bundle.notes)


def test_row_numbers_are_drawn_from_the_digest_and_never_say_the_place(take, tmp_path: Path) -> None:
    first, again = (take(submissions.predictions(tmp_path / name)) for name in ("a", "b"))
    other = take(submissions.predictions(tmp_path / "c", table=submissions.csv_of() + "1,Delft,f,no,no,0.1\n"))
    assert first.table is not None
    assert again.table is not None
    assert other.table is not None
    assert first.table.row_numbers.equals(again.table.row_numbers)
    assert first.table.row_numbers.to_pylist() != other.table.row_numbers.to_pylist()[:6]


def test_an_intake_cell_reads_the_same_as_a_limited_process(
    take, wall: Isolation, settings: Settings, quarantine: Path, tmp_path: Path
) -> None:
    submission = submissions.predictions(tmp_path / "s")
    plain = take(submission)
    with accept(submission, settings, isolation=wall, quarantine=quarantine) as walled:
        assert walled.read_by == "cell"
        assert walled.notes == ()
        assert walled.table is not None
        assert plain.table is not None
        assert walled.table.features.equals(plain.table.features)
        assert walled.table.groups.equals(plain.table.groups)
        assert walled.recorded == plain.recorded


def test_a_croissant_file_is_read_as_a_data_sheet(take, tmp_path: Path) -> None:
    croissant = {
        "@context": {
            "@vocab": "https://schema.org/",
            "sc": "https://schema.org/",
            "rai": "http://mlcommons.org/croissant/RAI/",
        },
        "@type": "sc:Dataset",
        "name": "loans",
        "description": "Loans of one year.",
        "license": ["CC-BY-4.0"],
        "creator": {"@type": "sc:Organization", "name": "Example BV"},
        "rai:dataCollection": "taken from the ledger",
        "rai:dataCollectionTimeframe": ["2024-01-01", "2024-12-31"],
        "rai:dataLimitations": "no self-employed",
    }
    folder = submissions.predictions(
        tmp_path / "s", files={"sheet.json": json.dumps(croissant, indent=2)}, data={"datasheet": "sheet.json"}
    )
    assert take(folder).declaration.datasheet == {
        "origin": "Example BV",
        "collection": "taken from the ledger",
        "purpose": "Loans of one year.",
        "period": "2024-01-01, 2024-12-31",
        "licence": "CC-BY-4.0",
        "known_gaps": "no self-employed",
    }


def test_the_data_sheet_of_the_training_data_is_a_part_of_it_or_a_file_of_its_own(take, tmp_path: Path) -> None:
    croissant = {
        "@context": {"@vocab": "https://schema.org/", "rai": "http://mlcommons.org/croissant/RAI/"},
        "@type": "Dataset",
        "license": "CC-BY-4.0",
        "rai:dataLimitations": "no self-employed",
    }
    files = {"sheet.yaml": "origin: the ledger\ntraining: train.json\n", "train.json": json.dumps(croissant)}
    folder = submissions.predictions(tmp_path / "s", files=files, data={"datasheet": "sheet.yaml"})
    assert take(folder).declaration.datasheet == {
        "origin": "the ledger",
        "training": {"licence": "CC-BY-4.0", "known_gaps": "no self-employed"},
    }
    inside = {"sheet.yaml": "origin: the ledger\ntraining: {period: 2024}\n"}
    folder = submissions.predictions(tmp_path / "t", files=inside, data={"datasheet": "sheet.yaml"})
    assert take(folder).declaration.datasheet == {"origin": "the ledger", "training": {"period": "2024"}}
