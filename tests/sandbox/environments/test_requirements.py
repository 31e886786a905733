"""Requirements are lines of name==version; all else is refused, each line with its number and its reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from checks.declaration import Model
from sandbox.environments.requirements import Requirement, check_names, read_requirements, read_resolution, written
from sandbox.intake.problems import Gathered
from sandbox.intake.wanted import wanted_packages

HASH = "a" * 64


def read(text: str | bytes) -> tuple[tuple[Requirement, ...], list[tuple[str, int]]]:
    """What is read, and the code and line of each problem."""
    gathered = Gathered()
    content = text if isinstance(text, bytes) else text.encode()
    found = read_requirements(content, field="model.requirements", path="r.txt", gathered=gathered)
    codes = [(p.code.removeprefix("requirements."), int(p.params.get("line", 0))) for p in gathered.problems]
    return found, codes


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("scikit-learn==1.5.2", "scikit-learn==1.5.2"),
        ("  Scikit_Learn == 1.5.2   # ours", "scikit-learn==1.5.2"),
        ("uvicorn[standard,extra]==0.30.0", "uvicorn[standard,extra]==0.30.0"),
        ('tomli==2.0.1 ; python_version < "3.11"', 'tomli==2.0.1 ; python_version < "3.11"'),
        ("torch==2.9.1+cpu", "torch==2.9.1+cpu"),
        ("a==1!2.0.post1", "a==1!2.0.post1"),
    ],
)
def test_one_version_is_taken_with_extras_and_a_marker(line: str, expected: str) -> None:
    (one,), problems = read(line)
    assert problems == []
    assert one.line() == expected


def test_hashes_are_taken_also_over_several_lines() -> None:
    (one,), problems = read(f"joblib==1.4.2 \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{'b' * 64}\n")
    assert problems == []
    assert one.hashes == {HASH, "b" * 64}
    assert one.line() == "joblib==1.4.2"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("-r other.txt", "other_file"),
        ("--requirement=other.txt", "other_file"),
        ("-c constraints.txt", "other_file"),
        ("-e .", "editable"),
        ("--index-url https://example.org/simple", "option"),
        ("-i https://example.org/simple", "option"),
        ("--extra-index-url https://example.org/simple", "option"),
        ("--find-links /tmp", "option"),
        ("--trusted-host example.org", "option"),
        ("--no-binary :all:", "option"),
        ("a==1 --global-option=x", "option"),
        ("a==1 --index-url x", "option"),
        ("a==1 ; os_name == 'x' --no-index", "option"),
        ("git+https://example.org/a.git", "version_control"),
        ("a @ git+ssh://git@example.org/a.git", "version_control"),
        ("a @ https://example.org/a.whl", "address"),
        ("a@https://example.org/a.whl", "address"),
        ("https://example.org/a-1.0-py3-none-any.whl", "address"),
        ("file:///etc/passwd", "address"),
        ("a @ file:///etc/passwd", "address"),
        ("./a", "path"),
        ("../a-1.0.whl", "path"),
        ("/tmp/a.whl", "path"),
        ("a-1.0-py3-none-any.whl", "path"),
        ("${HOME}/a", "path"),
        ("~/a", "path"),
        ("a", "not_pinned"),
        ("a>=1", "not_pinned"),
        ("a~=1.0", "not_pinned"),
        ("a==1.*", "not_pinned"),
        ("a===1", "not_pinned"),
        ("a>=1,<2", "not_pinned"),
        ("a==1,==2", "not_pinned"),
        ("a==", "not_pinned"),
        ("a==--as", "option"),
        ("a==-1", "not_pinned"),
        ("a==1--b", "option"),
        ("?", "unreadable"),
        ("a==1 ; os_name == '$(id)' | b", "not_pinned"),
    ],
)
def test_what_leads_elsewhere_is_refused_with_its_reason(line: str, why: str) -> None:
    assert read(line) == ((), [(why, 1)])


def test_all_problems_are_said_at_once_with_their_lines() -> None:
    found, problems = read("a==1\n\n-r x\n# fine\nb\nc==2 \\\n  --hash=md5:00\n\nd @ https://x.org/d.whl\n")
    assert [one.name for one in found] == ["a"]
    assert problems == [("other_file", 3), ("not_pinned", 5), ("option", 6), ("address", 9)]


def test_a_package_in_two_versions_is_refused() -> None:
    assert read("a==1\nA==2")[1] == [("twice", 2)]
    assert read('a==1 ; python_version < "3"\na==2 ; python_version >= "3"')[1] == []


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a==1\0", b"a==1\x1b[2J", b"x" * 300_000])
def test_what_is_no_plain_text_is_refused(content: bytes) -> None:
    assert read(content)[1] == [("not_text", 0)]


@given(st.text(max_size=200) | st.text("abc=<>!~;#-\\@:/.[] \n'\"", max_size=120))
@examples(max_examples=200, deadline=None)
def test_whatever_is_written_what_is_taken_names_one_version_and_leads_nowhere(text: str) -> None:
    for one in read(text)[0]:
        line = one.line()
        assert "==" in line
        assert not any(bad in line for bad in ("://", "@", "--", "\n", "\\", "/", "$", "#"))
        assert read(line)[0][0] == Requirement(**{n: getattr(one, n) for n in one.__slots__} | {"hashes": frozenset()})


def test_only_names_that_the_operator_allows_are_taken() -> None:
    asked, _ = read("scikit-learn==1.5.2\nleak-7f3a==1")
    gathered = Gathered()
    check_names(asked, frozenset({"scikit-learn"}), field="model.requirements", path="r.txt", gathered=gathered)
    assert [(p.code, p.params["name"]) for p in gathered.problems] == [("requirements.not_allowed", "leak-7f3a")]
    check_names(asked, frozenset(), field="model.requirements", path="r.txt", gathered=gathered)
    assert len(gathered.problems) == 1


@pytest.mark.parametrize(
    "text",
    [
        "a==1\n",
        "a==1 --hash=md5:00\n",
        f"a @ https://x.org/a.whl --hash=sha256:{HASH}\n",
        f"-r x --hash=sha256:{HASH}\n",
        f"--index-url x\na==1 --hash=sha256:{HASH}\n",
    ],
)
def test_a_resolution_of_any_other_form_is_not_believed(text: str) -> None:
    assert read_resolution(text, ()) is None


def test_of_a_resolution_only_the_hashes_that_were_stated_are_kept() -> None:
    (asked, *_), _ = read(f"a==1 --hash=sha256:{HASH}\n")
    text = (
        f"a==1 \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{'b' * 64}\nb==2 \\\n    --hash=sha256:{'c' * 64}\n"
    )
    found = read_resolution(text, (asked,))
    assert found == {"a": ("1", frozenset({HASH})), "b": ("2", frozenset({"c" * 64}))}
    assert read_resolution(written(found), (asked,)) == found
    assert read_resolution(f"a==1 --hash=sha256:{'d' * 64}", (asked,)) == {"a": ("1", frozenset())}


def wanted(tmp_path: Path, scan: dict[str, object], found: str, **model: object) -> tuple[list[str], list[str]]:
    """What is asked for, and the codes of the problems."""
    gathered = Gathered()
    stated = Model.model_validate({"file": "m", "output": "value", **model})
    asked = wanted_packages(stated, tmp_path, found, scan, allowed="", gathered=gathered)
    return [one.line() for one in asked], [p.code for p in gathered.problems]


def test_a_format_that_no_cell_can_load_says_what_to_write(tmp_path: Path) -> None:
    assert wanted(tmp_path, {}, "torch") == ([], ["model.needs_packages"])
    assert wanted(tmp_path, {}, "catboost") == ([], ["model.needs_packages"])
    assert wanted(tmp_path, {"notes": ["any_function"]}, "mlflow") == ([], ["model.needs_packages"])
    assert wanted(tmp_path, {}, "xgboost") == ([], [])
    assert wanted(tmp_path, {"notes": ["not_supported", "weights_alone"]}, "safetensors")[1] == ["model.weights_alone"]
    assert wanted(tmp_path, {"notes": ["not_supported"]}, "torch")[1] == ["model.not_supported"]


def test_own_packages_must_hold_what_the_format_needs(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("numpy==2.0.0\n")
    assert wanted(tmp_path, {}, "xgboost", requirements="r.txt") == (["numpy==2.0.0"], ["model.needs_packages"])
    (tmp_path / "r.txt").write_text("xgboost-cpu==3.1.1\n")
    assert wanted(tmp_path, {}, "xgboost", requirements="r.txt") == (["xgboost-cpu==3.1.1"], [])


def test_an_mlflow_folder_brings_its_own_where_loading_it_executes_code(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "requirements.txt").write_text("mlflow==3.6.0\n")
    runs = {"loading": "can_execute_code", "notes": ["any_function"]}
    assert wanted(tmp_path, runs, "mlflow") == (["mlflow==3.6.0"], [])
    assert wanted(tmp_path, {"loading": "data_only", "notes": []}, "mlflow") == ([], [])
    (tmp_path / "m" / "requirements.txt").write_text("mlflow==3.6.0\n--index-url http://evil\n-e .\n")
    assert wanted(tmp_path, runs, "mlflow")[1] == ["requirements.option", "requirements.editable"]
