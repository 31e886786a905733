"""Uploads meet a parser in a cell only: web and worker import no library that reads models."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARSERS = {
    *("onnx", "onnxruntime", "xgboost", "lightgbm", "skops", "catboost", "torch"),
    *("joblib", "pickle", "cloudpickle"),
}
"""Libraries that read model files: none of them is imported outside the cell at all."""

READERS = {"read_table", "read_csv", "read_parquet", "ParquetFile", "read_excel", "open_csv", "memory_map", "OSFile"}
"""Ways of pyarrow and pandas to open a file. Both are used on the trusted side, in memory and on what we wrote."""

UPLOADS = ("sandbox/intake", "sandbox/web", "sandbox/api", "sandbox/records/uploads.py", "sandbox/worker.py")


def service() -> list[Path]:
    """Every module of the trusted side."""
    found = [p for package in ("checks", "model_cards", "sandbox") for p in (ROOT / package).rglob("*.py")]
    # The demonstration writes models of its own, on the machine of whoever asks for it; it reads none.
    apart = {ROOT / "sandbox" / "cell", ROOT / "sandbox" / "demo"}
    return sorted(p for p in found if not apart.intersection(p.parents))


def imported(path: Path) -> set[str]:
    """The top-level names that a module imports, at its top or inside a function, also by name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            names |= {a.value.partition(".")[0] for a in node.args if isinstance(a, ast.Constant)}
    return names


def test_no_library_that_reads_models_is_imported_outside_the_cell() -> None:
    found = {str(p.relative_to(ROOT)): imported(p) & PARSERS for p in service()}
    assert {path: names for path, names in found.items() if names} == {}


def test_mlflow_is_imported_only_where_results_are_logged() -> None:
    found = {str(p.relative_to(ROOT)) for p in service() if "mlflow" in imported(p)}
    assert all(path.startswith("sandbox/records/") for path in found), found


@pytest.mark.parametrize("word", sorted(READERS))
def test_no_upload_is_opened_with_a_reader_of_tables(word: str) -> None:
    found = set()
    for path in service():
        name = str(path.relative_to(ROOT))
        if not name.startswith(UPLOADS):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", "")
                owner = getattr(getattr(node.func, "value", None), "id", "")
                if called == word and owner in ("pa", "pq", "pd", "pyarrow", "pandas", "csv", "parquet"):
                    found.add(name)
    assert found == set()


def test_the_formats_import_their_libraries_in_the_functions_that_load() -> None:
    # So that the host, which asks a format for its name and what it needs, imports none of them.
    for path in sorted((ROOT / "sandbox" / "cell" / "formats").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = {a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names}
        top |= {n.module or "" for n in tree.body if isinstance(n, ast.ImportFrom) and n.level == 0}
        assert not {name.partition(".")[0] for name in top} & (PARSERS | {"numpy", "pandas", "pyarrow", "mlflow"}), path
