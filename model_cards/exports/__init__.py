"""The documents and exports there are: every file here is one, found by its place."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Protocol

from model_cards.dossier import Assessment


class Export(Protocol):
    """What every module of this folder offers.

    `FORMAT` is its name, that of its file. `STANDARD` names the standard it follows, with its version. `SUFFIX` is what
    its file's name ends in.
    """

    FORMAT: str
    STANDARD: str
    SUFFIX: str

    def render(self, assessment: Assessment, lang: str) -> bytes:
        """Make the document.

        Args:
            lang: of `model_cards.words.languages()`.

        Returns:
            Its bytes; the same assessment gives the same bytes.
        """
        ...


@cache
def exports() -> Mapping[str, Export]:
    """List the exports by name.

    Raises:
        ImportError: a file of this folder does not import, or is not an export. Nothing vanishes silently.
    """
    found: dict[str, Export] = {}
    for entry in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        module = importlib.import_module(f"{__name__}.{entry.name}")
        absent = [name for name in ("FORMAT", "STANDARD", "SUFFIX", "render") if not hasattr(module, name)]
        if absent or entry.name != module.FORMAT:
            raise ImportError(f"{module.__name__} is not an export: {', '.join(absent) or 'FORMAT is not its name'}")
        found[entry.name] = module
    return found
