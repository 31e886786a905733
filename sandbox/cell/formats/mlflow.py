"""MLflow model folders: the native file of a known flavour, or, with consent and its own packages, any function."""

# ruff: noqa: TID252 - this folder is copied into a cell under another package name
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from .. import answers
from ..columns import Columns, Unanswerable
from ..wire import Setup, Status
from . import Loaded, named, names, report

if TYPE_CHECKING:
    import numpy as np

LOADING = "can_execute_code"
NEEDS: tuple[str, ...] = ()

_MOST_BYTES = 1024**2
_NATIVE = {
    "sklearn": "pickled_model",
    "xgboost": "data",
    "lightgbm": "data",
    "onnx": "data",
}
"""The flavours that are loaded, and the key under which each names its file."""

_ALLOWED = {
    "sklearn": ("skops", "pickle"),
    "xgboost": ("xgboost", "skops", "pickle"),
    "lightgbm": ("lightgbm", "skops", "pickle"),
    "onnx": ("onnx",),
}
_CODE_KEYS = ("code", "python_model", "model_code_path")
_LOADERS = frozenset(f"mlflow.{flavour}" for flavour in _NATIVE)


@dataclass(slots=True)
class _Described:
    flavours: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def loader(self) -> str:
        return self.flavours.get("python_function", {}).get("loader_module", "")


def _value(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def _described(folder: Path) -> _Described:
    """Read the flavours of an `MLmodel` file: two levels of plain `key: value`, as MLflow writes them.

    Anything else there (flow style, anchors, tags) is not followed and is noted, so that it can name no file.
    """
    seen = _Described()
    with (folder / "MLmodel").open("rb") as file:
        text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    inside = False
    current: dict[str, str] = {}
    for line in text.splitlines():
        bare = line.lstrip(" ")
        depth = len(line) - len(bare)
        if not bare or bare.startswith("#"):
            continue
        key, colon, rest = bare.partition(":")
        if depth == 0:
            inside = key == "flavors" and bool(colon)
            if inside and rest.strip():
                seen.notes.append("flavours_unreadable")
            if inside and seen.flavours:
                seen.notes.append("flavours_twice")
                return _Described(notes=seen.notes)
        elif inside and depth == 2 and colon:
            if _value(key) in seen.flavours or rest.strip():
                seen.notes.append("flavours_unreadable")
                return _Described(notes=seen.notes)
            current = seen.flavours.setdefault(_value(key), {})
        elif inside and depth == 4 and colon:
            value = _value(rest)
            if value.startswith(("&", "*", "!", "{", "[", "|", ">")):
                seen.notes.append("flavours_unreadable")
            elif _value(key) in current:
                seen.notes.append("flavours_unreadable")
                return _Described(notes=seen.notes)
            else:
                current[_value(key)] = value
    return seen


def _native(folder: Path, seen: _Described) -> tuple[str, Path] | None:
    """Find the native file of the one flavour that is loaded, and its format."""
    for flavour, key in _NATIVE.items():
        stated = seen.flavours.get(flavour, {}).get(key)
        if stated is None:
            continue
        pure = PurePosixPath(stated)
        if pure.is_absolute() or ".." in pure.parts or "\\" in stated or not stated:
            return None
        path = folder.joinpath(*pure.parts)
        if any(p.is_symlink() for p in (path, *path.parents) if folder in p.parents) or not path.is_file():
            return None
        found = [name for name in _ALLOWED[flavour] if name in names() and named(name).sniff(path)]
        return (found[0], path) if len(found) == 1 else None
    return None


def sniff(path: Path) -> bool:
    """Tell whether this is a folder with an `MLmodel` file."""
    return path.is_dir() and (path / "MLmodel").is_file()


def scan(path: Path) -> dict[str, Any]:
    """Say which flavours the folder has, and scan the native file that would be loaded.

    Notes name the flavour (`flavour_sklearn`) and the native format (`native_skops`). `any_function` says that MLflow
    itself would load it, from the packages that the model asks for; `not_supported` that nothing in the folder would be
    loaded. A loader that is not MLflow's own, and code beside the model, stand out.
    """
    seen = _described(path)
    notes = [f"flavour_{name}"[:80] for name in sorted(seen.flavours)] + seen.notes
    suspicious = set()
    if seen.loader and seen.loader not in _LOADERS:
        suspicious.add(f"loader_module:{seen.loader}")
    for stated in seen.flavours.values():
        suspicious |= {f"{key}:{stated[key]}" for key in _CODE_KEYS if stated.get(key, "") not in ("", "null")}
    native = _native(path, seen)
    if native is None:
        said = "any_function" if _any_function(seen) else "not_supported"
        return report("mlflow", LOADING, "scanned", suspicious=suspicious, notes=[*notes, said])
    inner = named(native[0]).scan(native[1])
    return report(
        "mlflow",
        inner["loading"],
        inner["verdict"],
        types=set(inner["types"]),
        suspicious=suspicious | set(inner["suspicious"]),
        notes=[*notes, f"native_{native[0]}", *inner["notes"]],
    )


def _any_function(seen: _Described) -> bool:
    """Tell whether MLflow would load it as a Python function: none of its flavours names a file that we load.

    What MLflow may read in another way than we did is left to nobody.
    """
    return bool(seen.loader) and not seen.notes and not seen.flavours.keys() & _NATIVE.keys()


class _Function:
    def __init__(self, function: Any, setup: Setup) -> None:
        self._function = function
        self._setup = setup

    def predict(self, columns: Columns) -> np.ndarray:
        import numpy as np

        answer = self._function.predict(columns.frame())
        raw = np.asarray(answer.to_numpy() if hasattr(answer, "to_numpy") else answer)
        if self._setup.output in ("probability", "score"):
            return answers.of_booster(raw, self._setup)
        return answers.value(raw) if self._setup.output == "value" else answers.labels(raw, self._setup)


def load(path: Path, setup: Setup) -> Loaded:
    """Load the native file of a known flavour, without MLflow and without any code beside it; else the function.

    A function is given a DataFrame with the columns in the order of the set-up. What it answers names no classes:
    column i is the i-th declared class, and a single probability or score is that of the second.

    Raises:
        Unanswerable: there is nothing to load, no consent was given, or as the native format says.
    """
    seen = _described(path)
    native = _native(path, seen)
    if native is not None:
        return named(native[0]).load(native[1], setup)
    if not _any_function(seen):
        raise Unanswerable(Status.NOT_SUPPORTED, "no flavour of this folder is loaded here")
    if not setup.allow_code:
        raise Unanswerable(Status.CODE_NOT_ALLOWED, "loading this folder executes code, and no consent was given")
    from mlflow.pyfunc import load_model

    return _Function(load_model(str(path)), setup)
