"""Programs of torch.export (`.pt2`): a graph and its weights; loading one can execute code, so it needs consent."""

# ruff: noqa: TID252 - this folder is copied into a cell under another package name
from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import answers
from .. import scan as opcodes
from ..columns import Columns, Unanswerable
from ..wire import Setup, Status
from . import Loaded, report

if TYPE_CHECKING:
    import numpy as np

LOADING = "can_execute_code"
NEEDS = ("torch",)

_PROGRAMS = ("serialized_exported_program.json", "models/model.json", "data.pkl", "constants.pkl")


def _names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return []


def sniff(path: Path) -> bool:
    """Tell whether this is a zip as torch writes them and nothing before it: a program, a script, pickled weights."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
    names = _names(path)
    return "schema.json" not in names and any(name.endswith(_PROGRAMS) for name in names)


def scan(path: Path) -> dict[str, Any]:
    """Follow every pickle inside, and see that there is a program of torch.export.

    Anything else that torch writes (`torch.save`, TorchScript) is scanned too, and `not_supported` says that it would
    not be loaded.
    """
    seen = opcodes.Seen()
    with path.open("rb") as file:
        names = opcodes.follow_archive(file, seen)
    own = {word for word in seen.suspicious if word.startswith(_OWN)}
    notes = list(seen.notes)
    if not any(name.endswith(_PROGRAMS[:2]) for name in names):
        notes.append("not_supported")
    verdict = "scanned" if seen.complete else "scan_incomplete"
    return report("torch", LOADING, verdict, types=seen.globals, suspicious=seen.suspicious - own, notes=notes)


_OWN = ("torch._utils._rebuild_", "torch.FloatStorage", "torch.DoubleStorage", "torch.LongStorage", "persistent_id")
"""What weights name: how a tensor is put together, and where its numbers are."""


class _Program:
    def __init__(self, program: Any, setup: Setup) -> None:
        self._module = program.module()
        self._setup = setup
        given = [one for one in program.graph_signature.user_inputs if isinstance(one, str)]
        if len(given) != 1:
            raise Unanswerable(Status.INPUTS_DIFFER, f"a program of {len(given)} inputs; one table of numbers is given")
        example = program.example_inputs
        self._type = example[0][0].dtype if example and example[0] else None

    def predict(self, columns: Columns) -> np.ndarray:
        import torch

        table = torch.tensor(columns.matrix().copy(), dtype=self._type or torch.float32)
        with torch.no_grad():
            answer = self._module(table)
        if not isinstance(answer, torch.Tensor):
            raise Unanswerable(Status.WRONG_SHAPE, "the program gives something else than one tensor")
        whole = not answer.dtype.is_floating_point
        return answers.of_booster(answer.detach().numpy(), self._setup, classes=whole)


def load(path: Path, setup: Setup) -> Loaded:
    """Load a program over one table of numbers, shape (n, p), that gives what is declared, shape (n,) or (n, K).

    The program names no classes: column i is the i-th declared class, and a single number is that of the second.

    Raises:
        Unanswerable: no consent was given, it is no program of torch.export, or it takes other inputs.
    """
    if not setup.allow_code:
        raise Unanswerable(Status.CODE_NOT_ALLOWED, "loading this file executes code, and no consent was given")
    if not any(name.endswith(_PROGRAMS[:2]) for name in _names(path)):
        raise Unanswerable(Status.NOT_SUPPORTED, "no program of torch.export is in the file")
    import torch

    return _Program(torch.export.load(str(path)), setup)
