"""What a draft becomes: everything that a submission can say, in files and a zip that intake reads."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from checks.declaration import Declaration
from sandbox.drafting import optional, writing
from sandbox.intake.archive import read_directory, unpack
from sandbox.intake.declaring import declare
from sandbox.records import drafts
from sandbox.records.database import Database, migrate
from sandbox.settings import Settings

SYSTEM = {
    "name": "Grants",
    "version": "3",
    "intended_purpose": "Advises a clerk on grants.",
    "description": "Trees.",
    "licence": "EUPL-1.2",
    "languages": ["nl", "en"],
    "provider_name": "Town",
    "provider_contact": "ai@town.example",
    "provider_country": "NL",
    "provider_size": "medium",
    "roles": ["provider", "deployer"],
    "public_body": "yes",
    "route": "model",
}
COLUMNS = {
    "task": "binary",
    "classes": ["no", "yes"],
    "favourable": "yes",
    "threshold": "0.5",
    "sampling": "all",
    "output": "probability",
    "score_of": "yes",
    "allow_code": True,
    "roles": {"sex": "group", "age": "feature+group", "granted": "label", "town": "feature"},
    "bands": {"age": ["25", "65"]},
    "population": "sex; f; 0,51\nsex; m; 0,49",
    "inputs_order": "town\nstatus_a\nstatus_b\nage",
    "inputs_types": "town: category",
    "inputs_categories": "town: Assen; Breda, west",
    "inputs_dummies": "status: status_a, status_b",
    "trained_commit": "abc1234",
    "trained_data_digest": "d" * 64,
    "trained_date": "2026-08-01",
    "trained_mlflow_run": "run-1",
}
LIMITS = {
    "rows": [{"code": "fairness.selection_rate.ratio", "at_least": "0.8", "at_most": "1", "reason": "four fifths"}],
    "claims": {"accuracy": "0.87"},
    "differences": {"sex": {"justified": "By the law on grants.", "desirable": ""}},
    "seen": True,
}
PUBLICATION = {
    "fields": {
        "goal": "Deciding on grants sooner.",
        "category": ["Wonen"],
        "lawful_basis_grouping": "Grants act | https://example.org/law",
    },
    "fria": {"oversight": "A clerk decides."},
    "further": {"annex_viii": {"status": "in use"}},
    "seen": True,
}
WHOLE = {
    "system": SYSTEM,
    "questionnaire": {"answers": {"gpai": "no"}},
    "terms": {"personal_data": "yes", "lawful_basis": "GDPR", "collection": "By form.", "training_origin": "2020"},
    "files": {"delimiter": ";", "missing": ["", "unknown"]},
    "columns": COLUMNS,
    "limits": LIMITS,
    "publication": PUBLICATION,
}
FILES = {"model": "m.skops", "data": "d.csv", "training": "t.csv", "requirements": "r.txt", "document": "a.md"}


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    migrate(settings)
    made = Database(settings)
    yield made
    made.close()


def a_draft(
    database: Database, settings: Settings, content: Mapping[str, Any], files: Mapping[str, str] = FILES
) -> drafts.Whole:
    draft_id = drafts.begin(database, actor="t", content=content)
    for kind, name in files.items():
        made = drafts.add_file(database, settings, draft_id, kind=kind, name=name, size=len(name), actor="t")
        assert made is not None
        drafts.receive(database, settings, made, io.BytesIO(name.encode()), actor="t")
    found = drafts.whole(database, draft_id)
    assert found is not None
    return found


def with_(**changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {**given, **changes.get(name, {})} for name, given in WHOLE.items()}


def declared(whole: drafts.Whole, folder: Path) -> Declaration:
    written = writing.texts(whole)
    folder.mkdir()
    for path, content in written.items():
        (folder / path).write_bytes(content)
    return declare(folder, dict.fromkeys((*written, *(f.path for f in whole.files)), ""))


def fields_of(model: type[BaseModel], at: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        # A field that may be left out is a union with None; what a mapping holds has no fields of its own here.
        parts = () if get_origin(field.annotation) is dict else (field.annotation, *get_args(field.annotation))
        inner = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        found |= fields_of(inner[0], f"{at}{name}.") if inner else {f"{at}{name}"}
    return found


def test_every_field_of_a_submission_can_be_filled_in(database: Database, settings: Settings, tmp_path: Path) -> None:
    by_model = a_draft(database, settings, WHOLE)
    assert writing.problems(by_model) == ()
    by_predictions = a_draft(
        database,
        settings,
        with_(system={"route": "predictions"}, columns={"decision": "d", "score": "s", "score_of": "yes"}),
        {"predictions": "p.csv", "data": "d.csv", "training": "t.csv"},
    )
    by_counts = a_draft(database, settings, with_(system={"route": "counts"}), {"counts": "c.csv"})
    set_: set[str] = set()

    def note(stated: BaseModel, at: str = "") -> None:
        for name in stated.model_fields_set:
            value = getattr(stated, name)
            set_.add(f"{at}{name}")
            if isinstance(value, BaseModel):
                note(value, f"{at}{name}.")

    for place, whole in enumerate((by_model, by_predictions, by_counts)):
        assert writing.problems(whole) == ()
        note(declared(whole, tmp_path / str(place)))
    assert fields_of(Declaration) <= set_


def test_what_was_typed_is_what_the_submission_says(database: Database, settings: Settings, tmp_path: Path) -> None:
    whole = a_draft(database, settings, WHOLE)
    stated = declared(whole, tmp_path / "s")
    assert stated.model is not None
    assert stated.data is not None
    assert stated.inputs.order == ("town", "status_a", "status_b", "age")
    assert stated.inputs.categories == {"town": ("Assen", "Breda, west")}
    assert stated.inputs.dummies == {"status": ("status_a", "status_b")}
    assert (stated.model.training.commit, str(stated.model.training.date)) == ("abc1234", "2026-08-01")
    assert (stated.model.requirements, stated.data.training) == ("r.txt", "t.csv")
    assert (stated.data.delimiter, stated.data.missing) == (";", ("", "unknown"))
    assert stated.claims == {"accuracy": 0.87}
    assert stated.datasheet["training"] == {"origin": "2020"}
    assert stated.publication["lawful_basis_grouping"] == [{"title": "Grants act", "link": "https://example.org/law"}]
    assert stated.publication["differences"] == {"sex": {"justified": "By the law on grants."}}
    assert stated.publication["fria"] == {"oversight": "A clerk decides."}
    assert writing.texts(whole)["population.csv"] == b"attribute;group;share\nsex;f;0.51\nsex;m;0.49\n"


def test_intake_reads_what_was_typed(database: Database, settings: Settings, tmp_path: Path) -> None:
    from sandbox.intake import accept

    rows = "".join(
        f"{'fm'[i % 2]};{20 + i};{'yes' if i % 3 else 'unknown'};{'no' if i % 4 else 'yes'}\n" for i in range(60)
    )
    content = with_(
        system={"route": "predictions"},
        columns={"decision": "advice", "score_of": "", "roles": {"sex": "group", "granted": "label", "age": "group"}},
    )
    whole = a_draft(database, settings, content, {})
    table = f"sex;age;granted;advice\n{rows}".encode()
    made = drafts.add_file(
        database, settings, whole.draft.id, kind="predictions", name="p.csv", size=len(table), actor="t"
    )
    assert made is not None
    drafts.receive(database, settings, made, io.BytesIO(table), actor="t")
    found = drafts.whole(database, whole.draft.id)
    assert found is not None
    (tmp_path / "s.zip").write_bytes(b"".join(writing.stream_zip(found, settings)))
    with accept(tmp_path / "s.zip", settings, isolation=None) as bundle:
        assert bundle.population == {"sex": {"f": 0.51, "m": 0.49}}
        assert bundle.table is not None
        assert bundle.table.label is not None
        assert bundle.table.label.null_count == 20
        assert bundle.declaration.claims == {"accuracy": 0.87}


def test_a_new_version_begins_with_all_that_was_stated(database: Database, settings: Settings, tmp_path: Path) -> None:
    stated = declared(a_draft(database, settings, WHOLE), tmp_path / "first")
    filled = writing.from_declaration(stated)
    filled["system"]["version"] = "4"
    again = declared(a_draft(database, settings, {**filled, "terms": WHOLE["terms"]}), tmp_path / "second")
    before = stated.model_dump(mode="json")
    after = again.model_dump(mode="json")
    assert after["system"].pop("version") == "4"
    assert before["system"].pop("version") == "3"
    # Whom it is meant for is a table, and tables come anew with each version.
    assert after["data"].pop("population") is None
    assert before["data"].pop("population") == "population.csv"
    assert after == before


@pytest.mark.parametrize(
    ("columns", "field", "code"),
    [
        ({"inputs_types": "town category"}, "inputs.types", "typed.line_named"),
        ({"inputs_dummies": "status:"}, "inputs.dummies", "typed.line_named"),
        ({"inputs_categories": "town: A\ntown: B"}, "inputs.categories", "typed.twice"),
        ({"inputs_types": "town: colour"}, "inputs.types.town", "field.not_one_of"),
        ({"inputs_types": "sex: text"}, "inputs.types.sex", "inputs.no_feature"),
        ({"population": "sex; f"}, "data.population", "typed.line_share"),
        ({"population": "sex; f; half"}, "data.population", "typed.line_share"),
        ({"population": "sex, f, 0,51"}, "data.population", "typed.line_share"),
        ({"population": "sex; f; nan"}, "data.population", "typed.line_share"),
        ({"population": "town; Assen; 1"}, "data.population", "population.attribute"),
        ({"population": "sex; f; 0.5\nsex; f; 0.5"}, "data.population", "population.twice"),
        ({"population": "sex; f; 0.5\nsex; m; 0.4"}, "data.population", "population.total"),
        ({"trained_date": "1 August"}, "model.training.date", "field.not_date"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_field(
    database: Database, settings: Settings, columns: dict[str, str], field: str, code: str
) -> None:
    whole = a_draft(database, settings, with_(columns=columns))
    assert (field, code) in {(p.field, p.code) for p in writing.problems(whole)}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"begin_date": "August 2026"}, "register.not_a_month"),
        ({"website": "example.org"}, "register.not_a_link"),
        ({"lawful_basis_grouping": "Grants act"}, "register.link_incomplete"),
        ({"name": "x" * 101}, "register.too_long"),
    ],
)
def test_what_the_register_would_refuse_is_told_beforehand(
    database: Database, settings: Settings, given: dict[str, str], code: str
) -> None:
    whole = a_draft(database, settings, with_(publication={"fields": given}))
    (found,) = writing.problems(whole)
    assert (found.field, found.code) == (f"publication.{next(iter(given))}", code)
    assert "publication" in writing.needed(whole)


def test_only_a_public_body_is_asked_what_a_register_asks(database: Database, settings: Settings) -> None:
    whole = a_draft(database, settings, with_(system={"public_body": "no"}))
    assert "publication" not in writing.needed(whole)
    assert optional.publication(whole) == {
        "annex_viii": {"status": "in use"},
        "differences": {"sex": {"justified": "By the law on grants."}},
    }


def test_files_beyond_what_32_bits_count_are_handed_in(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The writer goes over to 64 bits at this size; here it does so at once, without gigabytes.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 3)
    whole = a_draft(database, settings, WHOLE)
    made = io.BytesIO(b"".join(writing.stream_zip(whole, settings)))
    assert made.getvalue()[-42:-38] == b"PK\x06\x07"
    found = {}
    for entry in read_directory(made, 10**6):
        pieces: list[bytes] = []
        unpack(made, entry, pieces.append)
        found[entry.path] = b"".join(pieces)
    assert found == writing.texts(whole) | {name: name.encode() for name in FILES.values()}


def test_what_may_come_in_is_what_the_operator_lets_come_in_and_be_unpacked(settings: Settings) -> None:
    from dataclasses import replace

    large = replace(settings, upload_bytes=6 * 1024**3, unpacked_bytes=6 * 1024**3)
    assert drafts.room_for(large, ()) > 5 * 1024**3
    assert drafts.room_for(replace(large, unpacked_bytes=10**6), ()) < 10**6
