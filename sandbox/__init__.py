"""The service: it takes a submission in, asks the model behind a wall, and hands out a dossier.

The public Python API is `from sandbox import assess, classify, verify`; each is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.assess import assess as assess
    from sandbox.questionnaire import classify as classify
    from sandbox.verifying import verify as verify

__all__ = ["assess", "classify", "verify"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = {"assess": "sandbox.assess", "classify": "sandbox.questionnaire", "verify": "sandbox.verifying"}[name]
    return globals().setdefault(name, getattr(import_module(home), name))
