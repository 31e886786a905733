"""What the layout promises: one place for each thing, and slow libraries only where they are needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("checks", "model_cards", "sandbox")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "manager", "handler", "processor", "data", "info"}
SLOW = ("mlflow", "shap", "matplotlib", "sklearn", "statsmodels", "fairlearn", "docker", "typst", "flask", "rich")
CATCH_ALL = {"checks/judge.py", "sandbox/worker.py"}


def modules() -> list[Path]:
    return sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [str(p.relative_to(ROOT)) for p in modules() if p.stem in FORBIDDEN_NAMES] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(p.relative_to(ROOT)) for p in modules() if not ast.get_docstring(ast.parse(p.read_text()))]
    assert silent == []


def test_catching_every_exception_stands_in_two_places_only() -> None:
    found = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception")
            ):
                found.add(str(path.relative_to(ROOT)))
    assert found <= CATCH_ALL


def test_checks_open_nothing_but_their_own_resources() -> None:
    opening = set()
    for path in sorted((ROOT / "checks").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if name in {"open", "read_text", "read_bytes", "write_text", "write_bytes", "urlopen"}:
                    opening.add(str(path.relative_to(ROOT)))
    assert opening == {"checks/resources.py"}


@pytest.mark.parametrize("module", ["sandbox.cli", "sandbox.assess", "checks.registry", "model_cards.words"])
def test_starting_imports_no_slow_library(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {SLOW!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_what_enters_a_cell_imports_only_the_standard_library_at_import() -> None:
    wrong = []
    for path in sorted((ROOT / "sandbox" / "cell").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            names = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            wrong += [
                f"{path.relative_to(ROOT)}: {n}" for n in names if n.partition(".")[0] not in sys.stdlib_module_names
            ]
    assert wrong == []


def test_the_project_speaks_of_itself_alone() -> None:
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    machine = "/" + "work/"
    found = []
    for name in files:
        path = ROOT / name
        if name != "uv.lock" and path.is_file():
            text = path.read_text(encoding="utf-8", errors="ignore")
            found += [name for word in (machine, "pypi" + ".org", "/root" + "/.") if word in text]
    assert found == []
