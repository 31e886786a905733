"""The page about submissions: its example is taken in as it stands, and it names every field and every refusal."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from checks.declaration import Counts, Data, Inputs, Model, Predictions, Provider, System, Training
from model_cards.words import texts
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "reference" / "submission.md").read_text(encoding="utf-8")
BLOCKS = dict(
    re.findall(r"^```yaml\n# ([\w.]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL),
)


def write_example(folder: Path) -> Path:
    """Put the files of the page into a folder."""
    folder.mkdir()
    for name, text in BLOCKS.items():
        (folder / name).write_text(text, encoding="utf-8")
    (table,) = re.findall(r"^```csv\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (folder / "people.csv").write_text(table, encoding="utf-8")
    return folder


def test_the_example_is_taken_in_as_it_stands(take, tmp_path: Path) -> None:
    bundle = take(write_example(tmp_path / "s"))
    assert bundle.table.features.column_names == ["income", "town", "age"]
    assert bundle.table.groups.to_pydict() == {"sex": ["f", "m", "m", "f"], "age": ["25-64", "<25", ">=65", "25-64"]}
    assert bundle.table.label.to_pylist() == [1, 0, 1, None]
    assert bundle.recorded.decision.to_pylist() == [1, 1, 1, 0]
    assert bundle.declaration.datasheet["period"] == "2024-01-01 to 2025-12-31"


def test_the_example_of_inputs_fits_the_example(take, tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s")
    path = folder / "submission.yaml"
    inputs = "\n".join("  " + line for line in BLOCKS["inputs.yaml"].splitlines())
    text = path.read_text().replace("age: feature+group", "age: group")
    path.write_text(f"{text}\ninputs:\n{inputs}\n")
    features = take(folder).table.features
    assert features.column_names == ["town", "income"]
    assert features.column("town").to_pylist() == ["Breda", None, "Delft", "Assen"]


def test_every_field_stands_on_the_page() -> None:
    absent = []
    models: tuple[type[BaseModel], ...] = (System, Provider, Model, Training, Predictions, Counts, Data, Inputs)
    for model in models:
        absent += [f"{model.__name__}.{n}" for n in model.model_fields if not re.search(rf"\b{n}\b", PAGE)]
    assert [name for name in absent if name != "Data.default_role"] == []


def test_every_refusal_stands_on_the_page() -> None:
    listed = dict(re.findall(r"^\| `([a-z_.0-9]+)` \| (.*) \|$", PAGE.partition("<!-- refusals -->")[2], re.MULTILINE))
    expected = {code: sentence.replace("|", "\\|") for code, sentence in texts("en")["refusals"].items()}
    assert listed == expected
