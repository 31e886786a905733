"""The model formats: one module each, found by listing this folder.

A format has `LOADING` (`data_only` or `can_execute_code`), `NEEDS` (packages any one of which loads it), `sniff` (is
this file mine, by name and content), `scan` (what is in it) and `load` (in the model's cell alone). `sniff` and `scan`
execute nothing of the file. The scan says what was seen and what stands out; it cannot say that a file is harmless.
"""

# ruff: noqa: TID252 - this folder is copied into a cell under another package name
from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..columns import Columns, Unanswerable
from ..wire import Setup, Status

if TYPE_CHECKING:
    import numpy as np


class Loaded(Protocol):
    """A model that can be asked."""

    def predict(self, columns: Columns) -> np.ndarray:
        """Answer one batch, shape (n, k), float64.

        Raises:
            Unanswerable: the model cannot give what the set-up asks.
        """


class Format(Protocol):
    """What each module of this folder offers."""

    LOADING: str
    NEEDS: tuple[str, ...]

    def sniff(self, path: Path) -> bool:
        """Tell whether a file or folder is of this format, by name and content, without executing any of it."""

    def scan(self, path: Path) -> dict[str, Any]:
        """Say what a file holds, without executing any of it; JSON types only."""

    def load(self, path: Path, setup: Setup) -> Loaded:
        """Load a model; in the model's cell alone."""


def names() -> tuple[str, ...]:
    """List the formats, by the files of this folder."""
    return tuple(sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_")))


def named(name: str) -> Format:
    """Find a format by name.

    Raises:
        Unanswerable: there is no such format.
    """
    if name not in names():
        raise Unanswerable(Status.UNKNOWN_FORMAT, f"there is no format {name!r}")
    return cast(Format, importlib.import_module(f".{name}", __name__))


def sniff(path: str | Path) -> str | None:
    """Name the format of a file or folder.

    Args:
        path: what was uploaded.

    Returns:
        The one format that recognises it; None where none does, or more than one (a file made to be read two ways).
    """
    found = [name for name in names() if named(name).sniff(Path(path))]
    return found[0] if len(found) == 1 else None


def scan(path: str | Path, allow_code: bool) -> dict[str, Any]:
    """Scan a model without executing any of it.

    Args:
        path: what was uploaded, a file or a folder.
        allow_code: whether the submitter consented to code that runs on loading.

    Returns:
        `format`; `loading`: `data_only` or `can_execute_code`; `verdict`: `scanned`, `scan_incomplete` (it could not be
        read to its end: nothing is said of the rest) or `unknown_format`; `types`: the types, globals or operators that
        it names; `suspicious`: those of them, and features of the file, that a model does not need; `notes`: codes,
        among them `consent_missing` where the file executes code and the submitter did not consent: it is not loaded.
    """
    name = sniff(path)
    if name is None:
        return report(None, "can_execute_code", "unknown_format")
    seen = named(name).scan(Path(path))
    if seen["loading"] == "can_execute_code" and not allow_code:
        seen["notes"].append("consent_missing")
    return seen


def load(setup: Setup) -> Loaded:
    """Load the model that a set-up names; in the model's cell alone.

    Raises:
        Unanswerable: the format is unknown, executes code without consent, or the model cannot give what is asked.
    """
    form = named(setup.format)
    return form.load(Path(setup.path), setup)


MOST_LISTED = 500
"""Entries kept of each list of a scan, so that a file cannot make a scan long."""


def report(
    name: str | None,
    loading: str,
    verdict: str = "scanned",
    *,
    types: set[str] | None = None,
    suspicious: set[str] | None = None,
    notes: list[str] | None = None,
) -> dict[str, Any]:
    """Write a scan in its one shape, with bounded lists and bounded words."""

    def short(words: set[str] | None) -> list[str]:
        return sorted(w[:200].encode("utf-8", "replace").decode() for w in words or ())[:MOST_LISTED]

    return {
        "format": name,
        "loading": loading,
        "verdict": verdict,
        "types": short(types),
        "suspicious": short(suspicious),
        "notes": (notes or [])[:MOST_LISTED],
    }
