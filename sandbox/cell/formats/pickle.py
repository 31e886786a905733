"""Pickle, joblib and cloudpickle files: loading one executes what it holds, so it needs consent and a cell."""

# ruff: noqa: TID252 - this folder is copied into a cell under another package name
from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import scan as opcodes
from ..columns import Unanswerable
from ..estimator import Estimator
from ..wire import Setup, Status
from . import Loaded, report

LOADING = "can_execute_code"
NEEDS: tuple[str, ...] = ()


def sniff(path: Path) -> bool:
    """Tell whether this begins as a pickle, or is named as one and begins as a text pickle or a compressed file."""
    return path.is_file() and opcodes.looks_like_pickle(path)


def scan(path: Path) -> dict[str, Any]:
    """List every global that the file names, by following its opcodes without calling any.

    What no model library needs stands out.
    """
    seen = opcodes.follow(path)
    return report(
        "pickle",
        LOADING,
        "scanned" if seen.complete else "scan_incomplete",
        types=seen.globals,
        suspicious=seen.suspicious,
        notes=list(seen.notes),
    )


def load(path: Path, setup: Setup) -> Loaded:
    """Load the object; this runs code of the submitter, here in the cell.

    Raises:
        Unanswerable: no consent was given.
    """
    if not setup.allow_code:
        raise Unanswerable(Status.CODE_NOT_ALLOWED, "loading this file executes code, and no consent was given")
    fitted: Any
    if opcodes.is_joblib(path):
        import joblib

        fitted = joblib.load(path)
    else:
        import pickle

        with path.open("rb") as file:
            fitted = pickle.load(file)  # noqa: S301 - with the submitter's consent, and in a cell
    return Estimator(fitted, setup)
