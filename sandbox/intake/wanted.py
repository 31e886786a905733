"""Says which packages a model asks for, and what is missing of them: from its requirements, or from MLflow's.

Assumes that the files are in quarantine; the text is read strictly, and nothing of it is followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checks.declaration import Model
from sandbox.cell import formats
from sandbox.environments.requirements import MOST_BYTES, Requirement, check_names, normalised, read_requirements
from sandbox.intake.problems import Gathered

_OURS = Path(formats.__file__).resolve().parents[1] / "requirements.txt"
_EXAMPLES = {"torch": "torch==2.9.1", "catboost": "catboost==1.2.10", "mlflow": "mlflow==3.6.0"}
_FUNCTION_NEEDS = ("mlflow", "mlflow-skinny")


def wanted_packages(
    model: Model, folder: Path, found: str | None, scan: Mapping[str, Any], *, allowed: str, gathered: Gathered
) -> tuple[Requirement, ...]:
    """Read the packages that a model asks for.

    Args:
        model: as declared.
        folder: the submission in quarantine.
        found: the model's format.
        scan: what the scan of it says.
        allowed: names that a model may ask for, with commas between; empty for any.
        gathered: takes the problems: every line that is refused, and what the format needs and nobody names.

    Returns:
        What is asked for: from `model.requirements`; where that is not given, from the `requirements.txt` of an MLflow
        folder whose loading executes code. Empty where the cell's own packages are used.
    """
    if found is None:
        return ()
    field, path = "model.requirements", model.requirements
    if path is None and found == "mlflow" and scan.get("loading") == "can_execute_code":
        beside = f"{model.file}/requirements.txt"
        path = beside if (folder / beside).is_file() else None
        field = "model.file"
    asked: tuple[Requirement, ...] = ()
    if path is not None:
        with (folder / path).open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        asked = read_requirements(text, field=field, path=path, gathered=gathered)
        names = frozenset(normalised(name.strip()) for name in allowed.split(",") if name.strip())
        check_names(asked, names, field=field, path=path, gathered=gathered)
    notes = scan.get("notes", [])
    if "weights_alone" in notes:
        gathered.add("model.file", "model.weights_alone", path=model.file)
    elif "not_supported" in notes:
        gathered.add("model.file", "model.not_supported", path=model.file, format=found)
    else:
        needs = _FUNCTION_NEEDS if "any_function" in notes else formats.named(found).NEEDS
        there = {one.name for one in asked} if asked else _cell_packages()
        if needs and not there.intersection(needs):
            example = _EXAMPLES.get(needs[0], f"{needs[0]}==1.0")
            gathered.add(
                "model.requirements",
                "model.needs_packages",
                path=model.file,
                format=found,
                package=needs[0],
                example=example,
            )
    return asked


def files_beside(
    model: Model, files: Mapping[str, str], scan: Mapping[str, Any], *, gathered: Gathered
) -> tuple[str, ...]:
    """Name the files that a model keeps its numbers in, beside it: plain names inside the submission.

    Args:
        model: as declared.
        files: of the submission, by path.
        scan: what the scan of the model says.
        gathered: takes the problems: a name that leads elsewhere, and a file that is not there.

    Returns:
        Their paths.
    """
    named = [str(word) for key in ("types", "suspicious") for word in scan.get(key, ())]
    folder = model.file.rpartition("/")[0]
    found = []
    for name in (word.removeprefix("external:") for word in named if word.startswith("external:")):
        path = f"{folder}/{name}" if folder else name
        if "/" in name or "\\" in name or name in ("", ".", ".."):
            gathered.add("model.file", "model.external_elsewhere", path=model.file, name=name)
        elif path not in files or path == model.file:
            gathered.add("model.file", "model.external_absent", path=model.file, name=name)
        else:
            found.append(path)
    return tuple(found)


def _cell_packages() -> set[str]:
    """Name the packages that every cell holds."""
    return {normalised(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", _OURS.read_text(), re.MULTILINE)}
