"""What README and docs tell a reader to do is done here, block by block."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from checks.registry import FAMILIES, catalogue
from sandbox.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def test_the_first_check_page_runs_as_it_stands() -> None:
    space: dict[str, object] = {"__name__": "first_check"}
    code = blocks(ROOT / "docs" / "first_check.md", "python")
    assert len(code) >= 2
    for text in code:
        exec(compile(text, "docs/first_check.md", "exec"), space)


@pytest.mark.timeout(300)
def test_whoever_follows_the_first_check_page_has_a_check_that_holds_to_the_contract(tmp_path: Path) -> None:
    for folder in ("checks", "model_cards", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    page = ROOT / "docs" / "first_check.md"
    (start,) = [text for text in blocks(page, "sh") if "new check" in text]
    programs = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    subprocess.run(["bash", "-e", "-c", start], cwd=tmp_path, env=programs, check=True)
    (tmp_path / "checks/data_governance/undecided_rows.py").write_text(blocks(page, "python")[0], encoding="utf-8")
    for language, given in zip(("en", "nl"), blocks(page, "yaml"), strict=True):
        words = tmp_path / "model_cards/locale" / language / "checks/data_governance.yaml"
        others, _, written = words.read_text(encoding="utf-8").rpartition("\nundecided_rows:\n")
        assert "measures:" in written
        words.write_text(f"{others}\n{given}", encoding="utf-8")
    test = tmp_path / "tests/checks/data_governance/test_undecided_rows.py"
    figures = test.read_text(encoding="utf-8").replace("decision=[0, 1, 0, 0]", "decision=[0, 1, None, 0]")
    test.write_text(figures.replace('measure("unanswered").value == 0', 'measure("share").value == 0.25'), "utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    written_now = ("checks/data_governance/undecided_rows.py", str(test))
    for tool in (("ruff", "check"), ("ruff", "format", "--check")):
        done = run(*tool, *written_now)
        assert done.returncode == 0, done.stdout
    held = ("tests/contract/test_every_check.py", str(test), "-k", "undecided_rows")
    done = run("pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *held)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b4\d passed", done.stdout), done.stdout


def test_a_receiver_of_webhooks_checks_signatures_as_the_page_shows() -> None:
    from sandbox.notices.hooks import signature

    space: dict[str, Any] = {"__name__": "receiver"}
    (code,) = blocks(ROOT / "docs" / "programs.md", "python")
    exec(compile(code, "docs/programs.md", "exec"), space)
    header = signature("whsec_1", 1_000_000, b"{}")
    assert space["is_ours"]("whsec_1", header, b"{}", now=1_000_100)
    for secret, body, now in (
        ("whsec_2", b"{}", 1_000_100),
        ("whsec_1", b"[]", 1_000_100),
        ("whsec_1", b"{}", 1_000_400),
    ):
        assert not space["is_ours"](secret, header, body, now=now)
    for broken in ("", "t=x,v1=y", "v1=", "t=1000000"):
        assert not space["is_ours"]("whsec_1", broken, b"{}", now=1_000_100)


@pytest.mark.bubblewrap
@pytest.mark.timeout(600)
def test_the_walk_through_of_the_readme_works_as_typed(tmp_path: Path, bwrap: str) -> None:
    from sandbox.demo import letters

    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    letters.build(tmp_path / "demo-out" / "submissions" / "letters")
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        f"{PREFIX}STATE": str(tmp_path / "state"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    typed = [b for b in blocks(ROOT / "README.md", "sh") if ".venv/bin/aiact-sandbox" in b]
    assert len(typed) >= 3
    for text in typed:
        done = subprocess.run(
            ["bash", "-e", "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 1, 5), f"{text}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "my-dossier" / "model_card.en.html").is_file()
    (code,) = blocks(ROOT / "README.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("undetermined")
    assert "problems=()" in done.stdout
    assert len(done.stdout) < 1000, "what is printed can be read"


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http://", "https://", "mailto:")) and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_every_setting_is_documented() -> None:
    documented = Settings.__doc__ or ""
    assert [name for name in Settings().as_dict() if f"{name}:" not in documented] == []
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [name for name in Settings().as_dict() if f"`{PREFIX}{name.upper()}`" not in page] == []


def test_every_dependency_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = {re.split(r"[><=!~ \[]", d)[0] for d in project["project"]["dependencies"]}
    named |= {re.split(r"[><=!~ \[]", d)[0] for d in project["dependency-groups"]["cell"]}
    for more in project["project"]["optional-dependencies"].values():
        named |= {re.split(r"[><=!~ \[]", d)[0] for d in more}
    reasons = (ROOT / "docs" / "decisions" / "dependencies.md").read_text(encoding="utf-8")
    assert sorted(n for n in named if n not in reasons) == []


def test_every_dependency_of_the_service_is_imported_by_it() -> None:
    import tomllib
    from importlib.metadata import packages_distributions

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {re.split(r"[><=!~ \[]", d)[0] for d in project["dependencies"]}
    modules: dict[str, set[str]] = {}
    for module, distributions in packages_distributions().items():
        for distribution in distributions:
            modules.setdefault(distribution.lower().replace("_", "-"), set()).add(module)
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for package in ("checks", "model_cards", "sandbox")
        for path in (ROOT / package).rglob("*.py")
    )
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", source, re.MULTILINE))
    # SQLAlchemy loads psycopg itself, by the address of the database.
    assert sorted(name for name in named - {"psycopg"} if not modules[name] & imported) == []


def test_every_family_of_checks_is_known_and_every_check_is_in_one() -> None:
    assert {c.code.partition(".")[0] for c in catalogue()} <= set(FAMILIES)


def test_the_glossary_has_every_outcome() -> None:
    from checks.finding import Outcome

    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert [o.value for o in Outcome if f"`{o.value}`" not in glossary] == []
