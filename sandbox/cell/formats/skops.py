"""skops files: scikit-learn models as a schema and arrays, each type audited before it is made."""

# ruff: noqa: TID252 - this folder is copied into a cell under another package name
from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from ..columns import Unanswerable
from ..estimator import Estimator
from ..wire import Setup, Status
from . import Loaded, report

LOADING = "data_only"
NEEDS = ("skops",)

_LIBRARIES = ("numpy", "scipy", "sklearn", "lightgbm", "xgboost")
_PLAIN = frozenset(
    {
        "collections.OrderedDict",
        "collections.defaultdict",
        "functools.partial",
        "numpy.dtype",
        "sklearn.utils.validation.check_array",
    }
)
_NO_MODEL_PARTS = frozenset(
    {"testing", "_testing", "tests", "f2py", "distutils", "datasets", "ctypeslib", "conftest", "externals", "compat"}
)


def sniff(path: Path) -> bool:
    """Tell whether this is a zip with a skops schema, and nothing before it."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "schema.json" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def accepted(name: str) -> bool:
    """Tell whether a type that skops' audit names may be made: a class of one of the model libraries.

    Functions of these libraries are not among them (some run code), nor are their test and build parts.
    """
    if name in _PLAIN:
        return True
    module, _, last = name.rpartition(".")
    parts = module.split(".")
    return (
        parts[0] in _LIBRARIES
        and not _NO_MODEL_PARTS.intersection(parts)
        and last.lstrip("_")[:1].isupper()
        and last.lstrip("_").isidentifier()
    )


def _audit(path: Path) -> list[str]:
    from skops.io import get_untrusted_types

    return list(get_untrusted_types(file=str(path)))


def scan(path: Path) -> dict[str, Any]:
    """List the types that skops' audit does not trust by default; those that are not accepted stand out."""
    try:
        found = _audit(path)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, OSError, RecursionError, ImportError):
        return report("skops", LOADING, "scan_incomplete", notes=["schema_unreadable"])
    refused = {name for name in found if not accepted(name)}
    return report(
        "skops", LOADING, types=set(found), suspicious=refused, notes=["untrusted_types_not_loaded"] if refused else []
    )


def load(path: Path, setup: Setup) -> Loaded:
    """Load the estimator with exactly the accepted types.

    Raises:
        Unanswerable: it holds a type that is not accepted.
    """
    from skops.io import load as load_file

    found = _audit(path)
    refused = [name for name in found if not accepted(name)]
    if refused:
        raise Unanswerable(Status.UNTRUSTED, f"types that are not accepted: {refused[:10]}")
    return Estimator(load_file(str(path), trusted=found), setup)
