"""Read the package's own YAML files. The only file of this layer that opens anything."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def names(folder: str) -> tuple[str, ...]:
    """List the YAML files of a folder of this package.

    Args:
        folder: path inside the package, with `/`, for example `ai_act/rules`.

    Returns:
        File names without `.yaml`, sorted.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    found = resources.files("checks").joinpath(*folder.split("/"))
    return tuple(sorted(f.name.removesuffix(".yaml") for f in found.iterdir() if f.name.endswith(".yaml")))


@cache
def _parsed(path: str) -> Any:
    return parsed(resources.files("checks").joinpath(*path.split("/")).read_text(encoding="utf-8"))


def parsed(text: str) -> Any:
    """Read YAML that is the packages' own, with the safe loader that is written in C where it is there.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(text, Loader=loader)  # noqa: S506  # both are the safe loader; the first is the fast one


def read(path: str) -> Any:
    """Read one YAML file of this package; parsed once per process. The caller must not change what it gets.

    Args:
        path: path inside the package, with `/`, for example `policies/default.yaml`.

    Raises:
        FileNotFoundError: there is no such file.
        yaml.YAMLError: the file is not YAML (a fault of ours).
    """
    return _parsed(path)
