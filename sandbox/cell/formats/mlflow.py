"""MLflow model folders: the native file of a known flavour; generic Python functions are not loaded."""

# ruff: noqa: TID252 - this folder is copied into a cell under another package name
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..columns import Unanswerable
from ..wire import Setup, Status
from . import Loaded, named, names, report

LOADING = "can_execute_code"

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

    Notes name the flavour (`flavour_sklearn`) and the native format (`native_skops`); `not_supported` says that nothing
    in the folder would be loaded. A loader that is not MLflow's own, and code beside the model, stand out.
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
        return report("mlflow", LOADING, "scanned", suspicious=suspicious, notes=[*notes, "not_supported"])
    inner = named(native[0]).scan(native[1])
    return report(
        "mlflow",
        inner["loading"],
        inner["verdict"],
        types=set(inner["types"]),
        suspicious=suspicious | set(inner["suspicious"]),
        notes=[*notes, f"native_{native[0]}", *inner["notes"]],
    )


def load(path: Path, setup: Setup) -> Loaded:
    """Load the native file of a known flavour, without MLflow and without any code beside it.

    Raises:
        Unanswerable: there is no such flavour (a generic Python function), or as the native format says.
    """
    native = _native(path, _described(path))
    if native is None:
        raise Unanswerable(Status.NOT_SUPPORTED, "no flavour of this folder is loaded here")
    return named(native[0]).load(native[1], setup)
